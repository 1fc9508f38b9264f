// Where a story happens: a nats-server of its own, a directory, nodes in this process, a client that asks them.

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

/// All suites stand below this one: two cores bear one mesh at a time.
@Suite(.serialized) struct `A node` {}

/// What a test must not go on without.
struct StageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A clock that goes on only when it is told to.
final class TestClock: Sendable {
    private let time: Mutex<Timestamp>
    private let readings = Mutex(0)

    /// Begins in November 2026.
    init() { time = Mutex(Timestamp(nanoseconds: 1_795_000_000_000_000_000)) }

    var now: Timestamp { time.withLock { $0 } }
    var wallClock: NodeClock {
        NodeClock {
            self.readings.withLock { $0 += 1 }
            return self.now
        }
    }

    /// Waits until whoever lives by this clock has looked at it again.
    func waitUntilRead() async throws {
        let before = readings.withLock { $0 }
        guard try await eventually({ readings.withLock { $0 >= before + 3 } }) else {
            throw StageError("nobody looks at the clock")
        }
    }

    func advance(_ nanoseconds: Nanoseconds) { time.withLock { $0 = $0 + nanoseconds } }
}

/// A server, a directory, and how nodes are started on them.
final class Stage: Sendable {
    let directory: Scratch
    let words = LogWords()
    private let current: Mutex<EmbeddedNATSServer>
    private let running = Mutex<[RunningNode]>([])
    private let clients = Mutex<[NATSMessageBus]>([])

    private init(_ directory: Scratch, _ server: EmbeddedNATSServer) {
        self.directory = directory
        current = Mutex(server)
    }

    var server: EmbeddedNATSServer { current.withLock { $0 } }
    var logger: Logger {
        let words = words
        return Logger(label: "integration") { _ in words.handler }
    }

    /// Opens a stage, runs a story on it, ends everything whatever came of it.
    static func with(
        jetStream: Bool = false, serverConfiguration: String? = nil, _ story: (Stage) async throws -> Void
    ) async throws {
        let directory = try Scratch()
        var options = EmbeddedNATSServer.Options(directory: directory.path)
        if jetStream { options.jetStreamDirectory = directory.path + "/jetstream" }
        if let serverConfiguration {
            options.configurationFile = directory.path + "/server.conf"
            try serverConfiguration.write(toFile: directory.path + "/server.conf", atomically: true, encoding: .utf8)
        }
        let stage = Stage(directory, try await EmbeddedNATSServer.start(options))
        do {
            try await story(stage)
        } catch {
            await stage.close()
            throw error
        }
        await stage.close()
    }

    private func close() async {
        for node in running.withLock({ $0 }) { await node.stop() }
        for bus in clients.withLock({ $0 }) { await bus.close() }
        await server.terminate()
    }

    // MARK: Server

    func killServer() async { await server.kill() }

    /// The same data on the same port.
    func restartServer() async throws {
        var options = server.options
        options.port = server.port
        let restarted = try await EmbeddedNATSServer.start(options)
        current.withLock { $0 = restarted }
    }

    func connect(_ name: String, atOnce: Bool = true) async throws -> NATSMessageBus {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.sendsAtOnce = atOnce
        configuration.reconnect.delayMin = .milliseconds(10)
        configuration.reconnect.delayMax = .milliseconds(50)
        return try await NATSMessageBus.connect(configuration, logger: logger)
    }

    /// Somebody who publishes and asks.
    func client(prefix: String = "lattice") async throws -> Client {
        let bus = try await connect("client")
        clients.withLock { $0.append(bus) }
        return Client(bus: bus, prefix: prefix)
    }

    // MARK: Nodes

    /// A node in a folder of the stage. Ticks are an hour apart unless the story is about time.
    @discardableResult
    func node(
        in folder: String = "data", clock: TestClock? = nil, wallClock: NodeClock = .system, stream: String? = nil,
        shadows: (any ShadowSender)? = nil, _ configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> RunningNode {
        let path = folder.hasPrefix("/") ? folder : directory.path + "/" + folder
        var configuration = NodeConfiguration(directory: path)
        configuration.tickInterval = .seconds(3_600)
        configuration.queryTimeout = .seconds(5)
        configuration.bytesPerSecond = 0
        configuration.spansPerSecond = 0
        if let stream { configuration.mode = .jetStream(stream: stream) }
        configure(&configuration)
        let intake = try await connect("intake", atOnce: false)
        let answers = try await connect("answers")
        var environment = NodeEnvironment(
            intakeBus: intake, answerBus: answers, clock: clock?.wallClock ?? wallClock, logger: logger,
            shadows: shadows)
        do {
            if let stream {
                environment.stream = try JetStreamSource(bus: intake, stream: stream, options: .quick) {
                    $0.fingerprint
                }
            }
            let node = try await Node.start(configuration, environment)
            let started = RunningNode(node: node, buses: [intake, answers])
            running.withLock { $0.append(started) }
            // The node's own first records come in one batch, before anything it is told.
            if stream == nil { try await started.waitUntilApplied(node.recovery.lastSequence.rawValue + 1) }
            return started
        } catch {
            await intake.close()
            await answers.close()
            throw error
        }
    }

    /// Why a node does not start.
    func failureOfStart(
        in folder: String = "data", stream: String? = nil,
        _ configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> String? {
        do {
            let started = try await node(in: folder, stream: stream, configure)
            await started.stop()
            return nil
        } catch let failure as NodeFailure {
            return failure.code
        }
    }

    func files(in folder: String) -> [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: directory.path + "/" + folder)
        return (names ?? []).sorted()
    }
}

/// A node with its connections.
final class RunningNode: Sendable {
    let node: Node
    let buses: [NATSMessageBus]
    private let isStopped = Mutex(false)

    init(node: Node, buses: [NATSMessageBus]) {
        self.node = node
        self.buses = buses
    }

    /// Ends in order; once.
    func stop() async {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        guard isFirst else { return }
        await node.stop()
        for bus in buses { await bus.close() }
    }

    /// Why it ended by itself; nil if it did not within a bounded time.
    func failure() async throws -> String? {
        let watch = EndWatch()
        let node = node
        let waiting = Task {
            do throws(NodeFailure) {
                try await node.waitForEnd()
                watch.code.withLock { $0 = "asked to" }
            } catch {
                watch.code.withLock { $0 = error.code }
            }
        }
        guard try await eventually({ watch.code.withLock { $0 != nil } }) else { return nil }
        await waiting.value
        return watch.code.withLock { $0 }
    }

    private final class EndWatch: Sendable {
        let code = Mutex<String?>(nil)
    }

    func waitUntilApplied(_ sequence: UInt64) async throws {
        let isApplied = try await eventually { node.appliedSequence.rawValue >= sequence }
        if !isApplied { throw StageError("applied \(node.appliedSequence) of \(sequence)") }
    }

    /// The records of one kind: their sequences and what they say.
    func records(_ type: EventType) throws -> [EventRecord] {
        var records: [EventRecord] = []
        var cursor = try node.reader.frames()
        while let batch = try cursor.nextBatch() {
            for frame in batch where frame.eventType == type.rawValue { records.append(EventRecord(frame)) }
        }
        return records
    }

    /// The digest of each machine and the position, as one line.
    func digest() async -> String {
        let answer = await node.digests()
        return "\(answer.asOf.sequence) "
            + answer.machines.map { "\($0.machine)=\($0.digest)" }.joined(separator: " ")
    }
}

extension JetStreamSource.Options {
    /// Notices within a second what a server in production is given half a minute for.
    static var quick: Self {
        var options = Self()
        options.expiry = .milliseconds(500)
        return options
    }
}

extension NodeClock {
    static let system = NodeClock { PosixStorage().now() }
}

/// What the nodes of a stage have said to their operator.
final class LogWords: Sendable {
    private let lines = Mutex<[String]>([])

    func contain(_ text: String) -> Bool { count(of: text) > 0 }
    func count(of text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }
    func forget() { lines.withLock { $0 = [] } }

    var handler: any LogHandler { Handler(words: self) }

    private struct Handler: LogHandler {
        let words: LogWords
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            words.lines.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
        }
    }
}
