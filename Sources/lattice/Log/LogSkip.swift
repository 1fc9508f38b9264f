// Lets a log on disk be started again that holds a record at which every start ends.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// `lattice log skip`
struct LogSkip: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Pass a record that activates semantics which nobody has (status 7).",
        discussion: """
            A node of this version does not write such a record into its own log; one before 0.2.0 did. Nothing is taken \
            out: a record is appended that says so, with who and why, and every later fold takes the other for one that \
            nobody understands. It stands in the audit trail. The log of a stream is mended through the stream: `lattice \
            publish skip-record`.

              lattice log skip 4711 --as alice --reason "a typo: there is no version 22"
            """)

    @Argument(help: "The record's sequence.") var sequence: UInt64
    @OptionGroup var log: LogOptions
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are, for the audit trail; nobody but this machine's users vouches for it.", valueName: "name"))
    var principal: String
    @Option(help: "Why.") var reason = ""

    func validate() throws {
        if principal.isEmpty { throw ValidationError("--as is empty") }
        if reason.utf8.count > Limits.valueBytes { throw ValidationError("--reason has more than 4096 bytes") }
    }

    func run() async throws {
        let directory = log.data
        // A directory that is none must not become one.
        _ = try log.reader()
        let (opened, _) = try readingLog { () throws(EventStoreError) in try EventLog.open(directory: directory) }
        let place: SequenceNumber
        do throws(CommandFailure) {
            place = try append(to: opened)
        } catch {
            try? opened.close()
            throw error
        }
        try readingLog { () throws(EventStoreError) in try opened.close() }
        Terminal.say("record \(sequence) is skipped by record \(place); the next start passes it")
    }

    private func append(to log: EventLog) throws(CommandFailure) -> SequenceNumber {
        if case .jetStream(let name, _) = log.source {
            throw CommandFailure(
                .failed,
                "this log is fed from the stream \(Terminal.escaped(name)): `lattice publish skip-record \(sequence)` tells "
                    + "every node")
        }
        try check(log.reader)
        let event = Event.policy(.recordSkipped(sequence: SequenceNumber(sequence), reason: reason))
        guard let (type, facts) = EventCodec.encode(event) else { preconditionFailure("no opaque event") }
        let place = log.lastSequence.next
        let subject = "policy.\(SubjectToken.escape(principal)).\(type.name)"
        try readingLog { () throws(EventStoreError) in
            var batch = FrameBatch()
            try batch.append(
                sequence: place, recordedAt: PosixStorage().now(), eventType: type.rawValue,
                schemaVersion: EventType.currentSchemaVersion, subject: Array(subject.utf8), facts: facts)
            try log.append(batch)
            try log.commit()
        }
        return place
    }

    /// Only what stops a start can be skipped.
    private func check(_ reader: LogReader) throws(CommandFailure) {
        let place = SequenceNumber(sequence)
        guard let frame = try readingLog({ () throws(EventStoreError) in try reader.frame(at: place) }) else {
            throw CommandFailure(.failed, "there is no record \(sequence)")
        }
        let record = EventRecord(frame)
        guard case .policy(.semanticsActivated(let version, _)) = record.event,
            version > RecordFilter.supportedSemantics
        else { throw CommandFailure(.failed, "record \(sequence) stops no start; nothing was changed") }
        switch try readingLog({ () throws(EventStoreError) in try reader.settling(of: record) }) {
        case .open: return
        case .skipped: throw CommandFailure(.failed, "record \(sequence) is skipped already; nothing was changed")
        case .settled:
            throw CommandFailure(
                .failed,
                "a node that has semantics \(version) went on behind record \(sequence): install that version; nothing was "
                    + "changed")
        }
    }
}
