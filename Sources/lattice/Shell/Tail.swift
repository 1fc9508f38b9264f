// Follows events as they come, from the bus or from a log on disk.

import ArgumentParser
import EventModel
import EventStore
import Logging
import Messaging
import NATSMessaging

/// `lattice tail`
struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow events.",
        discussion: """
            Live, events are shown as they pass on NATS, before they have a sequence. With --from they are read from the \
            log on disk, each with its place and time, and then followed as they are committed.

              lattice tail                                   everything that passes
              lattice tail --service checkout --kind registered
              lattice tail --from 1 --data ./lattice-data    the log from its first record, then on
              lattice tail --rejected                        what was not understood or not allowed, too
            """)

    @Option(help: "Only this service (or principal).") var service: String?
    @Option(
        help: "Only this kind: registered, heartbeat, tick, ….", completion: .list(EventType.allCases.map(\.name)))
    var kind: String?
    @Option(help: "Only this family: registry, clock, policy.") var family: String?
    @Option(help: ArgumentHelp("Read the log on disk from this sequence.", valueName: "seq")) var from: UInt64?
    @Flag(help: "With --from: end at the log's end instead of following.") var once = false
    @Flag(help: "Show what the node rejects, too.") var rejected = false
    @Flag(help: "Show notices of changed services, too.") var changes = false
    @Flag(help: "One JSON object a line; --json=wire: events as they are on NATS.") var json = false
    @Flag(help: .hidden) var jsonWire = false
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        if let kind, !EventType.allCases.contains(where: { $0.name == kind }) {
            let known = EventType.allCases.map(\.name).joined(separator: ", ")
            throw ValidationError("--kind '\(kind)' is unknown; there are \(known)")
        }
        if let family, EventFamily(rawValue: family) == nil {
            throw ValidationError("--family takes registry, clock or policy, not '\(family)'")
        }
        if once && from == nil { throw ValidationError("--once goes with --from") }
    }

    func run() async throws {
        if let from { return try await readLog(SequenceNumber(from)) }
        let client = try await client.connect(as: "lattice tail", says: .warning)
        var subjects = ["\(client.prefix).events.>"]
        if rejected { subjects.append("\(client.prefix).rejected") }
        if changes { subjects.append("\(client.prefix).changes.>") }
        let prefix = client.prefix
        var followers: [Task<Void, Never>] = []
        for subject in subjects {
            let subscription = try client.bus.subscribe(subject, queueGroup: nil, limits: .standard)
            followers.append(
                Task {
                    while let messages = await blocking({
                        try? subscription.receive(maximum: 256, timeout: .milliseconds(500))
                    }) {
                        for message in messages { show(message, prefix) }
                    }
                })
        }
        for follower in followers { await follower.value }
        throw CommandFailure(.unreachable, "the connection to NATS was closed")
    }

    // MARK: Live

    /// People read an event as it was sent, programs read every field of it.
    private var dialect: JSONDialect { json && !jsonWire ? .people : .wire }

    private func show(_ message: Message, _ prefix: String) {
        let tail = message.subject.dropFirst(prefix.count + 1)
        guard tail.hasPrefix("events.") else {
            return say("\(tail)", notice(message, tail == "rejected" ? .rejection : .changeNotice))
        }
        let tokens = tail.split(separator: ".").map(String.init)
        guard matches(tokens) else { return }
        let type = EventType.allCases.first { $0.name == tokens.last && $0.family.rawValue == tokens[1] }
        say(tokens.dropFirst().joined(separator: "."), body(message, type))
    }

    private func body(_ message: Message, _ type: EventType?) -> String {
        let isText = message.payload.first == UInt8(ascii: "{")
        guard let type,
            let binary = isText ? try? JSONTranscoder.binary(fromJSON: message.payload, type: type) : message.payload,
            let text = try? dialect.text(binary, type)
        else { return undecodable(message) }
        return String(decoding: text, as: UTF8.self)
    }

    private func notice(_ message: Message, _ kind: MessageKind) -> String {
        guard let binary = try? JSONTranscoder.binary(fromJSON: message.payload, kind: kind),
            let text = try? dialect.text(binary, kind)
        else { return undecodable(message) }
        return String(decoding: text, as: UTF8.self)
    }

    /// What anybody may have sent is never printed as it came: it could end the line or the JSON around it.
    private func undecodable(_ message: Message) -> String { #"{"undecodable_bytes":\#(message.payload.count)}"# }

    private func say(_ subject: String, _ body: String) {
        if json {
            Terminal.say(#"{"subject":\#(JSONOutput.encode(subject)),"event":\#(body)}"#)
        } else {
            Terminal.say("\(Terminal.escaped(subject))  \(Terminal.escaped(body))")
        }
    }

    /// `events.<family>.<owner>.<kind>`, or without an owner.
    private func matches(_ tokens: [String]) -> Bool {
        guard tokens.count >= 3 else { return false }
        if let family, tokens[1] != family { return false }
        if let kind, tokens.last != kind { return false }
        if let service { return tokens.count == 4 && SubjectToken.unescape(tokens[2]) == service }
        return true
    }

    // MARK: From disk

    private func readLog(_ first: SequenceNumber) async throws {
        let directory = client.data
        let reader = try readingLog { () throws(EventStoreError) in try LogReader.open(directory: directory) }
        var next = max(first, reader.firstRetained)
        while true {
            var cursor = try readingLog { () throws(EventStoreError) in try reader.frames(from: next) }
            while let batch = try readingLog({ () throws(EventStoreError) in try cursor.nextBatch() }) {
                for frame in batch where matches(frame) {
                    json ? RecordLine.say(frame, dialect) : RecordLine.show(frame)
                }
                if let last = batch.lastSequence { next = last.next }
            }
            if once { return }
            try await Task.sleep(for: .milliseconds(250))
            try readingLog { () throws(EventStoreError) in try reader.refresh() }
        }
    }

    private func matches(_ frame: Frame) -> Bool {
        matches(["events"] + String(decoding: frame.subject, as: UTF8.self).split(separator: ".").map(String.init))
    }
}

/// A record as one line.
enum RecordLine {
    static func show(_ frame: Frame) { Terminal.say(text(frame)) }

    static func say(_ frame: Frame, _ dialect: JSONDialect) { Terminal.say(json(frame, dialect)) }

    static func json(_ frame: Frame, _ dialect: JSONDialect = .people) -> String {
        let line = JSONTranscoder.recordJSON(
            sequence: frame.sequence, recordedAt: frame.recordedAt, subject: frame.subject,
            messageID: frame.messageID, eventType: frame.eventType, schemaVersion: frame.schemaVersion,
            facts: frame.facts, attachment: frame.attachment, forPeople: dialect == .people)
        return String(decoding: line, as: UTF8.self)
    }

    static func text(_ frame: Frame) -> String {
        let subject = Terminal.escaped(String(decoding: frame.subject, as: UTF8.self))
        let type = EventType(rawValue: frame.eventType)
        let body = type.flatMap { try? JSONTranscoder.json(fromBinary: frame.facts, type: $0) }
        let text = body.map { Terminal.escaped(String(decoding: $0, as: UTF8.self)) } ?? "\(frame.facts.count) bytes"
        return "\(frame.sequence)  \(RFC3339Text.of(frame.recordedAt))  \(subject)  \(text)"
    }
}
