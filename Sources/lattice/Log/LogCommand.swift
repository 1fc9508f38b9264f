// What can be done with a log on disk, without a node.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation

/// `lattice log`
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Look at a log on disk, move it, mend it.",
        discussion: """
              lattice log info                               what there is
              lattice log cat --from 100 --limit 10          records as JSON lines
              lattice log export mesh.lattice                one file with everything
              lattice log import mesh.lattice --data ./new   into a new directory
              lattice log digests --every 10000 --output F   digests of the states, to hold another log against
              lattice log history NAME --into DIR            a recorded log with its digests, as a test
              lattice log repair                             what could be done about damage (changes nothing)
              lattice log skip 4711 --as alice               a record that stops every start (status 7)
            """,
        subcommands: [
            LogInfo.self, LogCat.self, LogExport.self, LogImport.self, LogDigests.self, LogHistory.self,
            LogRepairCommand.self,
            LogSkip.self,
        ])
}

struct LogInfo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "First and last record, times, checkpoints.",
        discussion: "Example: lattice log info --data /var/lib/lattice")

    @OptionGroup var log: LogOptions
    @Flag(help: "Print one line of JSON.") var json = false

    struct Facts: Encodable {
        var firstRetained: UInt64
        var lastSequence: UInt64
        var firstTime: String?
        var lastTime: String?
        var checkpoints: [UInt64]

        enum CodingKeys: String, CodingKey {
            case checkpoints
            case firstRetained = "first_retained"
            case lastSequence = "last_sequence"
            case firstTime = "first_time"
            case lastTime = "last_time"
        }
    }

    func run() async throws {
        let reader = try log.reader()
        let first = reader.firstRetained
        let last = reader.lastSequence
        func time(_ sequence: SequenceNumber) throws -> String? {
            guard last >= sequence, sequence > .origin else { return nil }
            return try readingLog { () throws(EventStoreError) in try reader.frame(at: sequence) }
                .map { RFC3339.text($0.recordedAt) }
        }
        let facts = Facts(
            firstRetained: first.rawValue, lastSequence: last.rawValue, firstTime: try time(first),
            lastTime: try time(last), checkpoints: ((try? log.checkpoints.list()) ?? []).map(\.rawValue))
        if json { return Terminal.say(JSONOutput.encode(facts)) }
        Terminal.say("records      \(facts.firstRetained) to \(facts.lastSequence)")
        Terminal.say("times        \(facts.firstTime ?? "none") to \(facts.lastTime ?? "none")")
        let checkpoints = facts.checkpoints.map { "\($0)" }.joined(separator: ", ")
        Terminal.say("checkpoints  \(checkpoints.isEmpty ? "none" : checkpoints)")
    }
}

struct LogCat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Print records as JSON lines.",
        discussion: "Example: lattice log cat --from 100 --limit 10 | jq .subject")

    @OptionGroup var log: LogOptions
    @Option(help: "The first sequence.") var from: UInt64 = 1
    @Option(help: "The last sequence.") var to: UInt64?
    @Option(help: "At most so many records.") var limit: Int?
    @Flag(help: "JSON lines are what this prints anyway; --json=wire: events as they are on NATS.") var json = false
    @Flag(help: .hidden) var jsonWire = false

    func validate() throws {
        if let to, to < from { throw ValidationError("--to \(to) lies before --from \(from)") }
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1") }
    }

    func run() async throws {
        let reader = try log.reader()
        let first = max(SequenceNumber(from), reader.firstRetained)
        let last = to.map { SequenceNumber($0) } ?? .end
        var rest = limit ?? Int.max
        var cursor = try readingLog { () throws(EventStoreError) in try reader.frames(from: first, through: last) }
        while let batch = try readingLog({ () throws(EventStoreError) in try cursor.nextBatch() }) {
            for frame in batch {
                if rest == 0 { return }
                rest -= 1
                RecordLine.say(frame, jsonWire ? .wire : .people)
            }
        }
    }
}

struct LogExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write records into one file that proves itself.",
        discussion: "Example: lattice log export mesh.lattice --to 4711")

    @Argument(help: "The file to write; it must not be there.", completion: .file()) var file: String
    @OptionGroup var log: LogOptions
    @Option(help: "The first sequence.") var from: UInt64?
    @Option(help: "The last sequence.") var to: UInt64?
    @Flag(help: "Print one line of JSON.") var json = false

    func run() async throws {
        if FileManager.default.fileExists(atPath: file) {
            throw CommandFailure(.failed, "\(file) is there already; an export overwrites nothing")
        }
        let reader = try log.reader()
        let directory = log.data
        let first = from.map { SequenceNumber($0) } ?? .origin
        let last = to.map { SequenceNumber($0) } ?? .end
        let bar = ProgressBar("export")
        let report = try readingLog { () throws(EventStoreError) in
            defer { bar.finish() }
            let id = try EventLog.logID(of: directory)
            return try reader.export(to: file, id: id, from: first, through: last) { bar.report($0, of: $1) }
        }
        TransferText.show(report, file, asJSON: json)
    }
}

struct LogImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a log from an exported file, in a new or empty directory.",
        discussion: "Example: lattice log import mesh.lattice --data ./new")

    @Argument(help: "The file to read.", completion: .file()) var file: String
    @Option(help: ArgumentHelp("The new data directory.", valueName: "dir"), completion: .directory) var data: String
    @Flag(help: "Print one line of JSON.") var json = false

    func run() async throws {
        let bar = ProgressBar("import")
        let report = try readingLog { () throws(EventStoreError) in
            defer { bar.finish() }
            return try EventLog.importLog(from: file, into: data) { bar.report($0, of: $1) }
        }
        TransferText.show(report, data, asJSON: json)
    }
}

/// What was moved.
enum TransferText {
    private struct Facts: Encodable {
        var records: UInt64
        var bytes: UInt64
        var first: UInt64?
        var last: UInt64?
    }

    static func show(_ report: TransferReport, _ place: String, asJSON: Bool) {
        let facts = Facts(
            records: report.frameCount, bytes: report.byteCount, first: report.firstSequence?.rawValue,
            last: report.lastSequence?.rawValue)
        if asJSON { return Terminal.say(JSONOutput.encode(facts)) }
        Terminal.say(
            "\(facts.records) records, \(facts.bytes) bytes: \(facts.first ?? 0) to \(facts.last ?? 0) in \(place)")
    }
}
