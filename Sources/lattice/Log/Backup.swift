// Copies a node's data beside the running node.

import ArgumentParser
import EventModel
import EventStore

/// `lattice backup`
struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy log and checkpoints into a new directory, beside the running node.",
        discussion: """
            Nothing is stopped and nothing is locked. The copy is proved before the command ends, has the identity, the \
            segments and the chain of the original (so anchors hold for it), and is a data directory: `lattice serve \
            --data TARGET` starts from it. Only one of the two may serve a prefix. The keys of captured contents are not \
            copied: else an erased day could be read again; keep <data>/keys yourself where that is wanted.

              lattice backup /mnt/backup/monday
              lattice backup /mnt/backup/monday --data /var/lib/lattice --json
            """)

    @Argument(help: ArgumentHelp("Where the copy goes; empty or missing.", valueName: "target")) var target: String
    @OptionGroup var log: LogOptions
    @Flag(help: "Print one line of JSON.") var json = false

    struct Facts: Encodable {
        var bytes: UInt64
        var checkpoints: Int
        var lastSequence: UInt64
        var logID: String
        var segments: Int

        enum CodingKeys: String, CodingKey {
            case bytes, checkpoints, segments
            case lastSequence = "last_sequence"
            case logID = "log_id"
        }
    }

    func run() async throws {
        let bar = ProgressBar("backup")
        let backup = LogBackup(of: log.data, into: target)
        let report = try readingLog { () throws(EventStoreError) in
            try backup.run { bar.report($0, of: $1) }
        }
        bar.finish()
        let proof = try readingLog { () throws(EventStoreError) in try EventLog.verify(directory: target) }
        guard (proof.lastSequence ?? report.lastSequence) == report.lastSequence else {
            throw CommandFailure(.failed, "the copy in \(target) is not what was copied; remove it and try again")
        }
        let facts = Facts(
            bytes: report.byteCount, checkpoints: report.checkpoints.count,
            lastSequence: report.lastSequence.rawValue, logID: report.logID.description, segments: report.segmentCount)
        if json { return Terminal.say(JSONOutput.encode(facts)) }
        Terminal.say("copied \(facts.segments) segments and \(facts.checkpoints) checkpoints, \(facts.bytes) bytes")
        Terminal.say("  records up to \(facts.lastSequence); the copy is whole")
        Terminal.say("  restore: lattice serve --data \(target)")
    }
}
