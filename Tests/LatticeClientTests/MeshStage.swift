// Where the SDK's stories happen: a nats-server of their own, a node in this process, connections of users.

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

@testable import LatticeClient

/// All suites with a mesh stand below this one: two cores bear one mesh at a time.
@Suite(.serialized) struct `The SDK` {}

/// What a test must not go on without.
struct StageFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A server, a directory, at most one node, and what was connected.
final class MeshStage: Sendable {
    let directory: String
    private let jetStream: Bool
    private let roles: Bool
    private let current: Mutex<EmbeddedNATSServer>
    private let running = Mutex<(node: Node, buses: [NATSMessageBus])?>(nil)
    private let connections = Mutex<[MeshConnection]>([])
    private let tasks = Mutex<[Task<Void, Never>]>([])

    private init(_ directory: String, _ server: EmbeddedNATSServer, jetStream: Bool, roles: Bool) {
        self.directory = directory
        self.jetStream = jetStream
        self.roles = roles
        current = Mutex(server)
    }

    /// Opens a stage with a node, runs a story on it, ends everything whatever came of it.
    ///
    /// - Parameters:
    ///   - jetStream: the node's events are ordered by a stream.
    ///   - roles: the server enforces the shipped permissions.
    static func with(
        jetStream: Bool = false, roles: Bool = false, configuration: String? = nil, node: Bool = true,
        _ story: (MeshStage) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/lattice-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var options = EmbeddedNATSServer.Options(directory: directory)
        if jetStream { options.jetStreamDirectory = directory + "/jetstream" }
        if let text = try roles ? shippedRoles() : configuration {
            options.configurationFile = directory + "/server.conf"
            try text.write(toFile: directory + "/server.conf", atomically: true, encoding: .utf8)
        }
        let stage = MeshStage(
            directory, try await EmbeddedNATSServer.start(options), jetStream: jetStream, roles: roles)
        do {
            if node { try await stage.startNode() }
            try await story(stage)
        } catch {
            await stage.close()
            throw error
        }
        await stage.close()
    }

    private func close() async {
        for task in tasks.withLock({ $0 }) { task.cancel() }
        for task in tasks.withLock({ $0 }) { await task.value }
        for connection in connections.withLock({ $0 }) { await connection.close() }
        await stopNode()
        await server.terminate()
    }

    /// The shipped file with a password in the place of each variable.
    private static func shippedRoles() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Documentation/roles.conf"), encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard let variable = line.firstRange(of: "$LATTICE_PASSWORD_") else { return String(line) }
            return line[..<variable.lowerBound] + "\"secret\""
        }.joined(separator: "\n")
    }

    // MARK: Server and node

    var server: EmbeddedNATSServer { current.withLock { $0 } }

    func killServer() async { await server.kill() }

    /// The same data on the same port.
    func restartServer() async throws {
        var options = server.options
        options.port = server.port
        let restarted = try await EmbeddedNATSServer.start(options)
        current.withLock { $0 = restarted }
    }

    private func configuration(_ name: String, user: String?) -> NATSConfiguration {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.reconnect.delayMin = .milliseconds(10)
        configuration.reconnect.delayMax = .milliseconds(50)
        configuration.sendsAtOnce = true
        configuration.retriesFirstConnect = true
        if let user {
            configuration.credentials = .userPassword(user: user, password: "secret")
            configuration.inboxPrefix = "_INBOX.\(user.split(separator: "-")[0])"
        }
        return configuration
    }

    /// A node on the stage's data, or on other data.
    func startNode(
        in folder: String = "data", as user: String? = nil,
        _ configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws {
        var settings = NodeConfiguration(directory: directory + "/" + folder)
        settings.tickInterval = .seconds(3_600)
        settings.queryTimeout = .seconds(1)
        settings.bytesPerSecond = 0
        if jetStream {
            settings.mode = .jetStream(stream: "LATTICE")
            // Over a stream a leader is found by ticks, and only a leader replies.
            settings.tickInterval = .milliseconds(50)
        }
        configure(&settings)
        let user = user ?? (roles ? (jetStream ? "node-jetstream" : "node") : nil)
        let logger = Logger(label: "sdk") { _ in SwiftLogNoOpLogHandler() }
        let intake = try await NATSMessageBus.connect(configuration("intake", user: user), logger: logger)
        let answers = try await NATSMessageBus.connect(configuration("answers", user: user), logger: logger)
        var environment = NodeEnvironment(
            intakeBus: intake, answerBus: answers, clock: NodeClock { PosixStorage().now() }, logger: logger)
        if jetStream {
            _ = try await JetStreamAdministration(intake).ensureStream(
                StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"]))
            environment.stream = try JetStreamSource(bus: intake, stream: "LATTICE", options: JetStreamSource.Options())
            {
                $0.fingerprint
            }
        }
        let node = try await Node.start(settings, environment)
        running.withLock { $0 = (node, [intake, answers]) }
        if !jetStream {
            let first = node.recovery.lastSequence.next
            guard try await eventually({ node.appliedSequence >= first }) else { throw StageFailure("no first record") }
        }
    }

    func stopNode() async {
        let stopped = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let stopped else { return }
        await stopped.node.stop()
        for bus in stopped.buses { await bus.close() }
    }

    var node: Node {
        get throws {
            guard let node = running.withLock({ $0?.node }) else { throw StageFailure("no node runs") }
            return node
        }
    }

    // MARK: Users

    /// A connection of a user of the SDK.
    func connect(_ name: String = "sdk", user: String? = nil) async throws -> MeshConnection {
        let settings = configuration(name, user: user)
        let logger = Logger(label: "sdk") { _ in SwiftLogNoOpLogHandler() }
        let bus = try await NATSMessageBus.connect(settings, logger: logger)
        let connection = MeshConnection(
            bus: bus, inboxPrefix: settings.inboxPrefix, requestTimeout: .seconds(2), logger: logger)
        connections.withLock { $0.append(connection) }
        return connection
    }

    /// Runs something until the story ends.
    @discardableResult
    func run(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        let task = Task { await body() }
        tasks.withLock { $0.append(task) }
        return task
    }

    /// Publishes an event and waits until the node has applied it; its sequence.
    @discardableResult
    func tell(_ event: Event, _ connection: MeshConnection) async throws -> SequenceNumber {
        let (type, facts) = try #require(EventCodec.encode(event))
        let owner =
            switch event {
            case .registry(let event): event.serviceName
            case .mirror(let event): event.sourceService
            default: ""
            }
        let answer = try await connection.bus.request(
            Message(
                subject: connection.subject(type, of: owner),
                headers: [MessageHeader("Content-Type", "application/protobuf")], payload: facts),
            timeout: .seconds(10))
        let outcome = try OutcomeNotice.decode(answer.payload[...])
        guard outcome.word == "accepted" else { throw StageFailure("\(outcome)") }
        return outcome.sequence
    }

    /// Registers instances; `ids` may name region and zone as `id@region/zone`.
    @discardableResult
    func register(
        _ service: String, _ ids: [String], weight: UInt32 = 100, incarnation: Int64 = 1, _ connection: MeshConnection
    ) async throws -> SequenceNumber {
        let events = ids.enumerated().map { index, id in
            let parts = id.split(whereSeparator: { "@/".contains($0) }).map(String.init) + ["", ""]
            return Registration(
                instanceID: parts[0], endpoint: "10.0.0.\(index + 1):80", region: parts[1], zone: parts[2],
                weight: weight, incarnation: incarnation)
        }
        return try await tell(.registry(.registered(Registered(serviceName: service, events: events))), connection)
    }

    func deregister(_ service: String, _ id: String, _ connection: MeshConnection) async throws {
        let event = Deregistration(instanceID: id, incarnation: 1, reason: "test")
        try await tell(
            .registry(.deregistered(Batch(serviceName: service, events: [event]))), connection)
    }
}
