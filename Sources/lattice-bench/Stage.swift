// Where a benchmark happens: a directory of its own, a nats-server, connections, a node.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Logging
import Messaging
import NATSMessaging

/// Real parts, started for one run and ended after it.
struct Stage {
    let directory: String
    let server: EmbeddedNATSServer
    let logger: Logger

    static func open(_ common: CommonOptions, jetStream: Bool = false) async throws -> Stage {
        let directory = try makeDirectory(common)
        var options = EmbeddedNATSServer.Options(directory: directory + "/nats")
        if jetStream { options.jetStreamDirectory = directory + "/nats/jetstream" }
        var logger = Logger(label: "lattice-bench")
        logger.logLevel = .error
        return Stage(
            directory: directory, server: try await EmbeddedNATSServer.start(options), logger: logger)
    }

    static func makeDirectory(_ common: CommonOptions) throws -> String {
        let directory = common.directory + "/lattice-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory + "/nats", withIntermediateDirectories: true)
        return directory
    }

    /// A connection; `atOnce` for those who ask and answer.
    func connect(_ name: String, atOnce: Bool) async throws -> NATSMessageBus {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.sendsAtOnce = atOnce
        return try await NATSMessageBus.connect(configuration, logger: logger)
    }

    func startNode(
        _ configure: (inout NodeConfiguration) -> Void = { _ in }, stream: (any StreamSource)? = nil,
        shadows: (any ShadowSender)? = nil
    ) async throws -> RunningNode {
        var configuration = NodeConfiguration(directory: directory + "/data")
        configuration.bytesPerSecond = 0
        configuration.spansPerSecond = 0
        configure(&configuration)
        let intake = try await connect("intake", atOnce: false)
        let answers = try await connect("answers", atOnce: true)
        let environment = NodeEnvironment(
            intakeBus: intake, answerBus: answers, stream: stream, clock: .system, logger: logger,
            shadows: shadows)
        let node = try await Node.start(configuration, environment)
        return RunningNode(node: node, buses: [intake, answers])
    }

    func close() async {
        await server.terminate()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

/// A node with its connections.
struct RunningNode {
    let node: Node
    let buses: [NATSMessageBus]

    func stop() async {
        await node.stop()
        for bus in buses { await bus.close() }
    }

    /// Waits until a sequence is applied.
    func waitUntilApplied(_ sequence: UInt64, limit: Duration = .seconds(120)) async throws {
        let end = ContinuousClock.now.advanced(by: limit)
        while node.appliedSequence.rawValue < sequence {
            if ContinuousClock.now > end {
                throw BenchError("applied \(node.appliedSequence) of \(sequence) within \(limit)")
            }
            try await Task.sleep(for: .microseconds(200))
        }
    }

    /// Waits until so many events are accepted: the node's own records, its clock's among them, have sequences too.
    func waitUntilAccepted(_ count: UInt64, limit: Duration = .seconds(10)) async throws {
        let end = ContinuousClock.now.advanced(by: limit)
        while case let status = await node.status(), status.acceptedEvents < count || status.gaps > 0 {
            if status.gaps > 0 || ContinuousClock.now > end {
                throw BenchError("events were lost: \(status.acceptedEvents) of \(count), gaps \(status.gaps)")
            }
            try await Task.sleep(for: .microseconds(200))
        }
    }
}

/// A benchmark that could not be carried out.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension NodeClock {
    static let system = NodeClock { PosixStorage().now() }
}
