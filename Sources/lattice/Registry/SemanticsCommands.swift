// What events mean from a record on: activated once every node has it, and the way out where none has.

import NodeRuntime
import ArgumentParser
import EventModel
import Foundation
import Messaging
import NATSMessaging
import StateMachines

/// `lattice publish activate-semantics`
struct PublishSemantics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activate-semantics",
        abstract: "Change what events mean from here on, once every node has that version.",
        discussion: """
            New logs begin with the newest version; an old log keeps its own until somebody says otherwise, and what is \
            in it keeps its meaning for ever. Every node is asked first what it has: one that lacks the version would \
            stop, so the activation is not published, and the nodes are named. A node that is down cannot answer: \
            --nodes says how many there are.

              lattice publish activate-semantics --as alice --nodes 3 --reason "every node has 0.2"
            """)

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @Option(help: "The version.") var version: UInt32 = RecordFilter.supportedSemantics
    @Option(help: ArgumentHelp("Refuse unless exactly so many nodes answer.", valueName: "count")) var nodes: Int?
    @Flag(help: "Publish it although nodes lack it: they will stop. The audit trail says which.") var force = false
    @Option(help: "Why.") var reason = ""
    @OptionGroup var options: PublishOptions

    func validate() throws {
        if version == 0 { throw ValidationError("versions begin at 1") }
        if let nodes, nodes < 1 { throw ValidationError("--nodes is at least 1") }
    }

    func run() async throws {
        let client = try await options.client.connect(as: "lattice publish")
        let found: [AnsweringNode]
        do {
            found = try await client.nodes()
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        try check(found)
        let lacking = found.filter { $0.semantics < version }
        let event = PolicyEvent.semanticsActivated(version: version, reason: reason(lacking))
        try await options.publish(.policy(event), owner: principal)
    }

    private func check(_ found: [AnsweringNode]) throws(CommandFailure) {
        if found.isEmpty {
            throw CommandFailure(.unreachable, "no node answers what it has; nothing was published")
        }
        if let nodes, nodes != found.count {
            throw CommandFailure(.failed, "\(found.count) nodes answer, not \(nodes); nothing was published")
        }
        let lacking = found.filter { $0.semantics < version }
        if lacking.isEmpty || force { return }
        let names = lacking.map { "\($0.id) (lattice \($0.version), semantics up to \($0.semantics))" }
        throw CommandFailure(
            .failed,
            "\(lacking.count) of \(found.count) nodes lack semantics \(version) and would stop; nothing was published:\n  "
                + Terminal.escaped(names.joined(separator: ", "))
                + "\n  install a newer lattice there first; --force publishes it all the same")
    }

    private func reason(_ lacking: [AnsweringNode]) -> String {
        if lacking.isEmpty { return reason }
        let names = lacking.map(\.id).joined(separator: ", ")
        let why = reason.isEmpty ? "" : "; \(reason)"
        return String(decoding: "forced, \(names) lacking it\(why)".utf8.prefix(Limits.valueBytes), as: UTF8.self)
    }
}

/// `lattice publish skip-record`
struct PublishSkip: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip-record",
        abstract: "Over a stream: let nodes pass a record at which they stop (status 7).",
        discussion: """
            Only an activation of semantics can be skipped, while no node went on behind it for longer than sixty ticks; \
            every node and every replay then takes it for a record that nobody understands. Nodes that stopped find this \
            one at their next start. It stands in the audit trail. A log without a stream: `lattice log skip`.

              lattice publish skip-record 4711 --as alice --reason "a typo: there is no version 22"
            """)

    @Argument(help: "The record's sequence.") var sequence: UInt64
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @Option(help: "Why.") var reason = ""
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        if sequence < 2 { throw ValidationError("a log's first record says what it means: it cannot be skipped") }
    }

    func run() async throws {
        let event = PolicyEvent.recordSkipped(sequence: SequenceNumber(sequence), reason: reason)
        guard let (type, facts) = EventCodec.encode(.policy(event)) else { preconditionFailure("no opaque event") }
        let client = try await client.connect(as: "lattice publish")
        let answer: Result<StreamAcknowledgement, CommandFailure>
        do throws(CommandFailure) {
            answer = .success(try await client.store(EventSubject.of(type, owner: principal, administrator: ""), facts))
        } catch {
            answer = .failure(error)
        }
        await client.close()
        let stored = try answer.get()
        Terminal.say(
            "record \(sequence) is skipped by record \(stored.sequence) of the stream \(Terminal.escaped(stored.stream)), "
                + "if it can be; start the nodes again, `lattice query outcome \(stored.sequence)` tells")
    }
}

/// One node's word on what it has.
struct AnsweringNode: Sendable {
    var id: String
    var version: String
    var semantics: UInt32

    private struct Info: Decodable {
        var id: String
        var version: String
        var metadata: [String: String]
    }

    /// Nil: it is no node of this mesh.
    init?(_ payload: [UInt8], prefix: String) {
        guard let info = try? JSONDecoder().decode(Info.self, from: Data(payload)), info.metadata["prefix"] == prefix
        else { return nil }
        id = info.id
        version = info.version
        // One that does not say it is older than the question.
        semantics = info.metadata["semantics_supported"].flatMap { UInt32($0) } ?? Semantics.first.version
    }
}

extension NodeClient {
    /// Every node that answers within a second.
    func nodes() async throws(CommandFailure) -> [AnsweringNode] {
        let inbox =
            bus.configuration.inboxPrefix + ".lattice-nodes-" + String(UInt64.random(in: .min ... .max), radix: 36)
        let subscription: any MessageSubscription
        do throws(BusError) {
            subscription = try bus.subscribe(inbox, queueGroup: nil, limits: .standard)
            try await bus.flush(timeout: .seconds(5))
            try bus.publish(Message(subject: "$SRV.INFO.lattice", replyTo: inbox, payload: []))
        } catch {
            throw CommandFailure(error, url: bus.configuration.servers.joined(separator: ", "))
        }
        defer { subscription.drain() }
        let end = ContinuousClock.now + .seconds(1)
        var found: [AnsweringNode] = []
        while ContinuousClock.now < end {
            let messages = await blocking { try? subscription.receive(maximum: 64, timeout: .milliseconds(100)) }
            guard let messages else { break }
            for node in messages.compactMap({ AnsweringNode($0.payload, prefix: prefix) })
            where !found.contains(where: { $0.id == node.id }) {
                found.append(node)
            }
        }
        return found.sorted { $0.id < $1.id }
    }

    /// Publishes an event to a stream and waits for the stream's word alone: the nodes may all have stopped.
    func store(_ event: String, _ facts: [UInt8]) async throws(CommandFailure) -> StreamAcknowledgement {
        let id = "skip-" + String(UInt64.random(in: .min ... .max), radix: 36)
        let message = Message(
            subject: "\(prefix).events.\(event)",
            headers: [MessageHeader("Content-Type", "application/protobuf"), MessageHeader("Nats-Msg-Id", id)],
            payload: facts)
        let answer: Message
        do throws(BusError) {
            answer = try await bus.request(message, timeout: timeout)
        } catch {
            guard error.code == .noResponders || error.code == .timeout else {
                throw CommandFailure(error, url: bus.configuration.servers.joined(separator: ", "))
            }
            throw CommandFailure(
                .unreachable,
                "no stream takes it: a log on core NATS is mended where it lies, by `lattice log skip`")
        }
        do throws(BusError) {
            return try StreamAcknowledgement(answer, to: message.subject)
        } catch {
            let outcome = try? JSONTranscoder.json(fromBinary: answer.payload, kind: .outcomeAnswer)
            let text = outcome.map { String(decoding: $0, as: UTF8.self) } ?? "\(error)"
            throw CommandFailure(.failed, "it was not taken: \(Terminal.escaped(text))")
        }
    }
}
