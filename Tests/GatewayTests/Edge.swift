// A gateway in the test's process, before services whose endpoints it is told.

import EventModel
import Foundation
import Logging
import Synchronization

@testable import Gateway

/// Keeps what a gateway hands over.
final class Notebook: SpanSink, CaptureSink, LearningSink {
    private struct State {
        var spans: [TraceSpan] = []
        var captures: [CapturedPair] = []
        var selections: [LearnedSelection] = []
        var changes: [HealthChange] = []
    }

    private let state = Mutex(State())

    func publish(_ span: TraceSpan) { state.withLock { $0.spans.append(span) } }

    func take(_ pair: CapturedPair) -> Bool {
        state.withLock { $0.captures.append(pair) }
        return true
    }

    func selected(_ selection: LearnedSelection) { state.withLock { $0.selections.append(selection) } }
    func changed(_ change: HealthChange) { state.withLock { $0.changes.append(change) } }

    var spans: [TraceSpan] { state.withLock { $0.spans } }
    var captures: [CapturedPair] { state.withLock { $0.captures } }
    var selections: [LearnedSelection] { state.withLock { $0.selections } }
    var changes: [HealthChange] { state.withLock { $0.changes } }
}

/// The gateway and what it hands over.
struct Edge: Sendable {
    let gateway: Gateway
    let notebook: Notebook
    let mirrors: MirrorBook

    static var quiet: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    static var now: @Sendable () -> Timestamp {
        { Timestamp(nanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000) * 1_000) }
    }

    static func settings(_ change: (inout GatewaySettings) -> Void = { _ in }) -> GatewaySettings {
        var settings = GatewaySettings(host: "127.0.0.1", port: 0, threadCount: 1, gatewayID: "edge-1")
        settings.tracing.sampleBasisPoints = 10_000
        change(&settings)
        return settings
    }

    /// A gateway that sends everything to these endpoints.
    static func open(
        _ services: [HTTPService], policy: RoutePolicy = RoutePolicy(), outliers: OutlierSettings = OutlierSettings(),
        _ change: (inout GatewaySettings) -> Void = { _ in }
    ) async throws -> Edge {
        var rule = RouteRule(service: "shop")
        rule.endpoints = services.map(\.endpoint)
        rule.policy = policy
        return try await open(rules: [rule], outliers: outliers, change)
    }

    static func open(
        rules: [RouteRule], outliers: OutlierSettings = OutlierSettings(),
        _ change: (inout GatewaySettings) -> Void = { _ in }
    ) async throws -> Edge {
        let notebook = Notebook()
        let mirrors = MirrorBook()
        let sinks = GatewaySinks(spans: notebook, captures: notebook, learned: notebook, mirrors: mirrors)
        let gateway = try await Gateway.start(
            settings(change), routes: rules, outliers: outliers, sinks: sinks, now: now, logger: quiet)
        return Edge(gateway: gateway, notebook: notebook, mirrors: mirrors)
    }

    var port: Int { gateway.port }

    func close() async { await gateway.stop(patience: .milliseconds(100)) }

    /// One request on a connection of its own; the answer as it came.
    func get(_ target: String = "/", _ headers: String = "", method: String = "GET", body: String = "") async throws
        -> String
    {
        let client = try await RawClient.connect(port)
        let length = body.isEmpty ? "" : "content-length: \(body.utf8.count)\r\n"
        let answer = try await client.ask(
            "\(method) \(target) HTTP/1.1\r\nhost: shop\r\n\(length)\(headers)\r\n\(body)")
        await client.close()
        return answer
    }
}

extension String {
    /// The status of an answer; 0: there is none.
    var status: Int { Int(dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0 }

    /// What stands behind the head.
    var answerBody: String { firstRange(of: "\r\n\r\n").map { String(self[$0.upperBound...]) } ?? "" }
}
