// The listener for OTLP over gRPC, with somebody behind it who answers like a node.

import EventModel
import Foundation
import Listeners
import Logging
import Messaging
@testable import Endpoints
import ServiceLifecycle
import Synchronization
import TestKit

/// What a node says of spans.
enum NodeMood: Sendable {
    case accepts
    case refusesSpans
    case isBusy
    case isAbsent
    /// Says nothing until ``GRPCStage/release()``.
    case waits
}

/// A listener that runs.
final class GRPCStage: Sendable {
    let budget: ReceiverBudget
    let port: Int
    private let group: ServiceGroup
    private let running: Task<Void, any Error>
    private let gate: Gate

    /// The usual bounds, but for a short end: clients of tests do not say that they heard of it.
    static let limits: ListenerLimits = {
        var limits = ListenerLimits()
        limits.farewellTimeout = .milliseconds(50)
        limits.drainTimeout = .seconds(1)
        return limits
    }()

    /// Holds those who wait.
    private final class Gate: Sendable {
        private struct State {
            var isOpen = false
            var waiting: [CheckedContinuation<Void, Never>] = []
            var count = 0
        }
        private let state = Mutex(State())

        var count: Int { state.withLock { $0.count } }

        func pass() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    state.count += 1
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                state.isOpen = true
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }

    private init(
        _ budget: ReceiverBudget, _ port: Int, _ group: ServiceGroup, _ running: Task<Void, any Error>, _ gate: Gate
    ) {
        self.budget = budget
        self.port = port
        self.group = group
        self.running = running
        self.gate = gate
    }

    /// Runs a story with a listener, and ends it.
    static func with(
        _ mood: NodeMood = .accepts, token: String? = nil, tls: ListenerTLS? = nil, budget: Int = 268_435_456,
        limits: ListenerLimits = limits, _ story: (GRPCStage) async throws -> Void
    ) async throws {
        let stage = try await start(mood, token: token, tls: tls, budget: budget, limits: limits)
        do {
            try await story(stage)
        } catch {
            try? await stage.stop()
            throw error
        }
        try await stage.stop()
    }

    private static func start(
        _ mood: NodeMood, token: String?, tls: ListenerTLS?, budget bytes: Int, limits: ListenerLimits
    ) async throws -> GRPCStage {
        let gate = Gate()
        let delivery = SpanDelivery(prefix: "lattice") { message, _ throws(BusError) in
            switch mood {
            case .accepts: break
            case .refusesSpans: return Message(subject: "", payload: outcome("refused", refused: ["too_old"]))
            case .isBusy: return Message(subject: "", payload: outcome("rejected", reason: "rate_limited"))
            case .isAbsent: throw BusError(.timeout, "nobody")
            case .waits: await gate.pass()
            }
            return Message(subject: "", payload: outcome("accepted"))
        }
        let budget = ReceiverBudget(bytes: bytes)
        var configuration = ReceiverConfiguration(host: "127.0.0.1", port: 0, token: token, tls: tls)
        configuration.limits = limits
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let face = OTLPGRPCEndpoint(configuration, delivery: delivery, budget: budget)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let service = try face.service(logger: logger) { port.yield($0) }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: service, successTerminationBehavior: .ignore)], logger: logger))
        let running = Task { try await group.run() }
        for await number in ports { return GRPCStage(budget, number, group, running, gate) }
        throw NotInTime(description: "it listens nowhere")
    }

    private static func outcome(_ word: String, reason: String = "", refused: [String] = []) -> [UInt8] {
        var writer = WireWriter()
        writer.field(3, word)
        for reason in refused { writer.message(5) { $0.field(2, reason) } }
        writer.field(6, reason)
        return writer.bytes
    }

    /// Calls that the node was asked for, where it waits.
    var askedCount: Int { gate.count }

    /// Lets the node answer.
    func release() { gate.open() }

    /// Asks the listener to end, and goes on.
    func beginToStop() async { await group.triggerGracefulShutdown() }

    func stop() async throws {
        release()
        await group.triggerGracefulShutdown()
        try await running.value
    }

    /// Whether somebody else who does everything right is answered.
    func answersGoodCall(token: String? = nil, trusting authority: String? = nil) async throws -> Bool {
        let client = try await RawHTTP2Client.greeting(port, trusting: authority)
        let fields = HTTP2Bytes.fields(token.map { [("authorization", "Bearer \($0)")] } ?? [])
        let answer = try await client.call(1, fields, body: HTTP2Bytes.message(OTLPBytes.request()))
        await client.close()
        return answer.status == 0 && answer.data == [0, 0, 0, 0, 0]
    }
}

/// Requests of OTLP in protobuf.
enum OTLPBytes {
    /// - Parameter noteBytes: of an attribute.
    static func request(service: String = "shop", noteBytes: Int = 3) -> [UInt8] {
        let now = UInt64(Date().timeIntervalSince1970) * 1_000_000_000
        var span = WireWriter()
        span.field(1, [UInt8](repeating: 7, count: 16))
        span.field(2, [UInt8](repeating: 9, count: 8))
        span.field(5, "GET /")
        span.field(6, 2 as UInt32)
        span.fixed64(7, now)
        span.fixed64(8, now + 5)
        span.message(9) { attribute("note", String(repeating: "x", count: noteBytes), &$0) }
        let bytes = span.bytes
        var request = WireWriter()
        request.message(1) { resourceSpans in
            resourceSpans.message(1) { $0.message(1) { attribute("service.name", service, &$0) } }
            resourceSpans.message(2) { $0.field(2, bytes) }
        }
        return request.bytes
    }

    private static func attribute(_ key: String, _ value: String, _ writer: inout WireWriter) {
        writer.field(1, key)
        writer.message(2) { $0.field(1, value) }
    }
}
