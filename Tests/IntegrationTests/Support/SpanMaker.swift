// Traces as publishers send them, for questions about them.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Testing

/// Spans as a publisher writes them, around a moment that is near enough to the machine's clock.
struct SpanMaker {
    /// Start of the traces, a minute ago.
    let start = Int64(Date().timeIntervalSince1970) * 1_000_000_000 - 60_000_000_000

    /// The id of a trace, as the answers write it.
    static func trace(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    static func span(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// One span; times in milliseconds from the start.
    func span(
        _ id: Int, in parent: Int? = nil, _ from: Int, _ to: Int, trace: Int = 1, operation: String = "o",
        kind: String = "server", status: String = "ok", tags: [String: String] = [:], more: String = ""
    ) -> String {
        let parent = parent.map { #""parent_span_id":"\#(Self.span($0))","# } ?? ""
        let list = tags.sorted { $0.key < $1.key }.map { #"{"key":"\#($0.key)","string_value":"\#($0.value)"}"# }
        return #"{"trace_id":"\#(Self.trace(trace))","span_id":"\#(Self.span(id))",\#(parent)"#
            + #""operation_name":"\#(operation)","kind":"\#(kind)","status":"\#(status)","#
            + #""start_time":"\#(start + Int64(from) * 1_000_000)","end_time":"\#(start + Int64(to) * 1_000_000)","#
            + #""tags":[\#(list.joined(separator: ","))]\#(more)}"#
    }

    static func batch(_ service: String, _ spans: [String], host: String = "") -> String {
        let resource = host.isEmpty ? "" : #","resource":[{"key":"host.name","string_value":"\#(host)"}]"#
        return #"{"service_name":"\#(service)","spans":[\#(spans.joined(separator: ","))]\#(resource)}"#
    }
}

extension Client {
    /// Publishes spans of a service and returns the outcome.
    @discardableResult
    func trace(_ service: String, _ spans: [String], host: String = "") async throws -> JSON {
        try await tell(.spansReceived, service, SpanMaker.batch(service, spans, host: host))
    }

    /// web calls cart, which asks mysql; the outcome of the last batch.
    @discardableResult
    func call(_ maker: SpanMaker, trace: Int = 1, at start: Int = 0, status: String = "ok") async throws -> JSON {
        try await self.trace(
            "web",
            [
                maker.span(1, start, start + 100, trace: trace, operation: "GET /", tags: ["http.route": "/"]),
                maker.span(2, in: 1, start + 10, start + 80, trace: trace, kind: "client"),
            ], host: "web-1")
        return try await self.trace(
            "cart",
            [
                maker.span(
                    3, in: 2, start + 20, start + 70, trace: trace, operation: "add", status: status,
                    tags: ["user": "u\(trace)"],
                    more: #","logs":[{"time":"\#(maker.start)","name":"retry"}],"status_message":"m""#),
                maker.span(
                    4, in: 3, start + 30, start + 60, trace: trace, kind: "client", tags: ["db.system": "mysql"]),
            ], host: "cart-1")
    }
}
