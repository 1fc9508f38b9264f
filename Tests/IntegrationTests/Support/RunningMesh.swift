// A nats-server, a node and a client, real and on loopback, for one test.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Logging
import Messaging
import NATSMessaging
import Synchronization
import TestKit
import Testing

/// A clock that the test moves, or the machine's own.
final class SteppedClock: Sendable {
    private let offset = Mutex<Int64>(0)

    var clock: NodeClock {
        NodeClock {
            let now = Int64(Date().timeIntervalSince1970 * 1_000_000) * 1_000
            return Timestamp(nanoseconds: now + self.offset.withLock { $0 })
        }
    }

    /// Steps the clock, forth or back.
    func step(seconds: Int64) { offset.withLock { $0 += seconds * 1_000_000_000 } }
}

/// Everything one test needs; `close` ends it.
final class RunningMesh {
    let directory: String
    let server: EmbeddedNATSServer
    let clock: SteppedClock
    let client: NATSMessageBus
    private(set) var node: Node
    private var buses: [NATSMessageBus]

    static func open(
        clock: SteppedClock = SteppedClock(), _ configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> RunningMesh {
        let directory = NSTemporaryDirectory() + "lattice-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory + "/nats", withIntermediateDirectories: true)
        let server = try await EmbeddedNATSServer.start(EmbeddedNATSServer.Options(directory: directory + "/nats"))
        let client = try await connect(server, "client")
        let (node, buses) = try await startNode(directory, server, clock, configure)
        return RunningMesh(directory, server, clock, client, node, buses)
    }

    private init(
        _ directory: String, _ server: EmbeddedNATSServer, _ clock: SteppedClock, _ client: NATSMessageBus,
        _ node: Node,
        _ buses: [NATSMessageBus]
    ) {
        self.directory = directory
        self.server = server
        self.clock = clock
        self.client = client
        self.node = node
        self.buses = buses
    }

    static func connect(_ server: EmbeddedNATSServer, _ name: String) async throws -> NATSMessageBus {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.sendsAtOnce = true
        return try await NATSMessageBus.connect(configuration, logger: quiet)
    }

    static var quiet: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    static func startNode(
        _ directory: String, _ server: EmbeddedNATSServer, _ clock: SteppedClock,
        _ configure: (inout NodeConfiguration) -> Void
    ) async throws -> (Node, [NATSMessageBus]) {
        var configuration = NodeConfiguration(directory: directory + "/data")
        configuration.registry.allowLoopback = true
        configuration.tickInterval = .milliseconds(100)
        configure(&configuration)
        let buses = [try await connect(server, "intake"), try await connect(server, "answers")]
        do {
            let environment = NodeEnvironment(
                intakeBus: buses[0], answerBus: buses[1], clock: clock.clock, logger: quiet)
            let node = try await Node.start(configuration, environment)
            return (node, buses)
        } catch {
            for bus in buses { await bus.close() }
            throw error
        }
    }

    /// Ends the node in order and starts it again on the same directory.
    func restart(_ configure: (inout NodeConfiguration) -> Void = { _ in }, between: () throws -> Void = {})
        async throws
    {
        await stopNode()
        try between()
        (node, buses) = try await Self.startNode(directory, server, clock, configure)
    }

    func stopNode() async {
        await node.stop()
        for bus in buses { await bus.close() }
    }

    func close() async {
        await stopNode()
        await client.close()
        await server.terminate()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Talking

    /// Publishes JSON with a reply and returns the outcome.
    func publish(_ subject: String, _ json: String, id: String? = nil) async throws -> Outcome {
        let headers = id.map { [MessageHeader("Nats-Msg-Id", $0)] } ?? []
        return try await publish(
            Message(subject: "lattice.events.\(subject)", headers: headers, payload: Array(json.utf8)))
    }

    func publish(_ message: Message) async throws -> Outcome {
        let reply = try await client.request(message, timeout: .seconds(10))
        return try JSONDecoder().decode(Outcome.self, from: Data(jsonPayload(reply)))
    }

    private func jsonPayload(_ reply: Message) throws -> [UInt8] {
        reply.payload.first == UInt8(ascii: "{")
            ? reply.payload : try JSONTranscoder.json(fromBinary: reply.payload, kind: .outcomeAnswer)
    }

    /// Registers one instance of `checkout`.
    @discardableResult
    func register(_ id: String, more: String = "", service: String = "checkout") async throws -> Outcome {
        try await publish(
            "registry.\(service).registered",
            #"{"service_name":"\#(service)","events":[{"instance_id":"\#(id)","endpoint":"127.0.0.1:80"\#(more)}]}"#)
    }

    /// Asks in JSON; the answer as it came.
    func ask(_ query: String, _ json: String = "{}") async throws -> Message {
        try await client.request(
            Message(
                subject: "lattice.queries.\(query)", headers: [MessageHeader("Content-Type", "application/json")],
                payload: Array(json.utf8)), timeout: .seconds(15))
    }

    func text(_ query: String, _ json: String = "{}") async throws -> String {
        String(decoding: try await ask(query, json).payload, as: UTF8.self)
    }

    func answer(_ query: String, _ json: String = "{}") async throws -> Answer {
        try JSONDecoder().decode(Answer.self, from: Data(try await ask(query, json).payload))
    }

    /// Polls until something is so.
    func wait(until condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now.advanced(by: .seconds(20))
        while ContinuousClock.now < end {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("it did not happen within 20 s")
    }
}

/// The reply to a publisher.
struct Outcome: Decodable {
    struct Refusal: Decodable {
        var index: Int?
        var reason: String
    }

    var sequence: String?
    var outcome: String
    var accepted: Int?
    var reason: String?
    var refused: [Refusal]?
    var replaced: [Int]?
    var first_sequence: String?
}

/// The parts of answers that tests look at.
struct Answer: Decodable {
    struct AsOf: Decodable {
        var sequence: String
    }

    struct Instance: Decodable {
        var instance_id: String
        var health: String?
    }

    struct Service: Decodable {
        var service_name: String
        var changed_sequence: String?
        var instances: Int?
    }

    struct Removal: Decodable {
        var instance_id: String
        var kind: String
        var reason: String?
        var actor: String?
    }

    struct Machine: Decodable, Equatable {
        var machine: String
        var digest: String
    }

    var as_of: AsOf?
    var instances: [Instance]?
    var instance: Instance?
    var services: [Service]?
    var removals: [Removal]?
    var machines: [Machine]?
    var seed: String?
    var cursor: String?
    var code: String?
    var protected: Bool?
    var rejected_messages: String?
    var gaps: String?

    var ids: [String] { (instances ?? []).map(\.instance_id) }
}
