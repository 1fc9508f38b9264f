// Digests of a log's states in a file: to hold another log against, and as recorded histories.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import StateMachines

/// `lattice log digests`
struct LogDigests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digests", abstract: "Write the digests of the states at every so many records.",
        discussion: """
            A node keeps digests at each of its checkpoints, in the file checkpoints/\(DigestLadder.fileName); this makes \
            more of them from the log. The file is text and is read by `lattice verify --against`.

              lattice log digests --every 10000 --output mesh.digests
              lattice log digests --from 40000 --to 50000 --every 1 --output there.digests
            """)

    @OptionGroup var log: LogOptions
    @Option(help: "Records between two digests.") var every: UInt64 = 10_000
    @Option(parsing: .unconditional, help: ArgumentHelp("Begin behind this point.", valueName: "point"))
    var from: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("End at this point, with a digest.", valueName: "point"))
    var to: String?
    @Option(help: ArgumentHelp("The file to write; it must not be there.", valueName: "file")) var output: String
    @Flag(help: "Print one line of JSON.") var json = false

    func validate() throws {
        if every == 0 { throw ValidationError("--every is at least 1") }
    }

    private struct Facts: Encodable {
        var digests: Int
        var last: UInt64
        var file: String
    }

    func run() async throws {
        if FileManager.default.fileExists(atPath: output) {
            throw CommandFailure(.failed, "\(Terminal.escaped(output)) is there already; nothing was overwritten")
        }
        let past = try PastLog(log.data)
        let first = try from.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let last = try to.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let rungs = try past.rungs(
            from: first ?? past.beginning, through: last ?? past.reader.lastSequence, every: every)
        try FileText.write(DigestLadder.encode(rungs), to: output)
        let facts = Facts(digests: rungs.count, last: rungs.last?.sequence.rawValue ?? 0, file: output)
        if json { return Terminal.say(JSONOutput.encode(facts)) }
        Terminal.say("\(facts.digests) digests, the last at record \(facts.last), in \(Terminal.escaped(output))")
    }
}

extension PastLog {
    /// Digests after every so many records, and at the end.
    func rungs(
        from first: SequenceNumber, through last: SequenceNumber, every: UInt64
    ) throws(CommandFailure) -> [LadderRung] {
        let bar = ProgressBar("digests")
        defer { bar.finish() }
        var state = try state(at: first)
        var rungs: [LadderRung] = []
        while state.moment.sequence < last {
            var count: UInt64 = 0
            try asking { () throws(QueryError) in
                try timeline.advance(&state, through: last) { _, _, _ in
                    count += 1
                    return count < every
                }
            }
            if count == 0 { break }
            let moment = state.moment
            rungs.append(
                LadderRung(sequence: moment.sequence, recordedAt: moment.recordedAt, machines: state.digests()))
            bar.report(moment.sequence.rawValue, of: last.rawValue)
        }
        return rungs
    }
}

/// Files that commands write.
enum FileText {
    static func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CommandFailure(.failed, "\(Terminal.escaped(path)) can not be written: \(error.localizedDescription)")
        }
    }
}

/// `lattice log history`
struct LogHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Record a log with its digests, to be replayed by the tests of every later version.",
        discussion: """
            Writes NAME.lattice (the records) and NAME.digests into a directory: Tests/Histories in the repository. A \
            history never changes; what it recorded is what its events mean for ever.

              lattice log history registry-1 --into Tests/Histories --to 500
            """)

    @Argument(help: "The history's name.") var name: String
    @OptionGroup var log: LogOptions
    @Option(help: ArgumentHelp("The directory.", valueName: "dir"), completion: .directory) var into: String
    @Option(parsing: .unconditional, help: ArgumentHelp("End at this point.", valueName: "point")) var to: String?
    @Option(help: "Records between two digests.") var every: UInt64 = 50
    @Flag(help: "Print one line of JSON.") var json = false
    /// A history is small enough for a repository.
    private static let byteMaximum: UInt64 = 1 << 20

    func validate() throws {
        if every == 0 { throw ValidationError("--every is at least 1") }
        let isPlain = name.utf8.allSatisfy { ($0 | 0x20) &- 97 < 26 || $0 &- 48 < 10 || $0 == 45 || $0 == 46 }
        if name.isEmpty || !isPlain || name.hasPrefix(".") {
            throw ValidationError("a history's name has letters, digits, points and hyphens")
        }
    }

    func run() async throws {
        let (records, digests) = (into + "/\(name).lattice", into + "/\(name).digests")
        for path in [records, digests] where FileManager.default.fileExists(atPath: path) {
            throw CommandFailure(.failed, "\(Terminal.escaped(path)) is there already; a history never changes")
        }
        let past = try PastLog(log.data)
        guard past.beginning == .origin else {
            throw CommandFailure(.failed, "the log was trimmed: a history begins at the first record")
        }
        let last = try to.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let rungs = try past.rungs(from: .origin, through: last ?? past.reader.lastSequence, every: every)
        let directory = log.data
        let report = try readingLog { () throws(EventStoreError) in
            let id = try EventLog.logID(of: directory)
            return try past.reader.export(to: records, id: id, from: .origin, through: last ?? .end)
        }
        if report.byteCount > Self.byteMaximum {
            try? FileManager.default.removeItem(atPath: records)
            throw CommandFailure(
                .failed, "that is \(report.byteCount) bytes; a history has at most 1 MiB: end it with --to")
        }
        try FileText.write(DigestLadder.encode(rungs), to: digests)
        TransferText.show(report, records, asJSON: json)
    }
}
