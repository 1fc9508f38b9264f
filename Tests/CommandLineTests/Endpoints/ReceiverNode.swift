// A node that takes spans, and what tests send it and ask it.

import Foundation
import FoundationNetworking
import TestKit
import Testing

/// An answer over HTTP.
struct HTTPAnswer: CustomStringConvertible {
    var status: Int
    var headers: [String: String]
    var body: Data

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(status) \(headers) \(text)" }
    var json: [String: Any] { get throws { try JSONObject.members(of: text) } }
}

/// `lattice serve` with all listeners on free ports.
struct ReceiverNode {
    static let listeners = [
        "--http", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--zipkin", "127.0.0.1:0",
    ]
    let node: RunningNode

    init(_ options: [String] = [], scratch: Scratch? = nil) async throws {
        node = try await RunningNode(try scratch ?? Scratch(), Self.listeners + options)
    }

    func url(_ listener: String) throws -> String { try #require(node.facts[listener] as? String) }

    /// Sends a body and waits for the answer.
    func post(
        _ listener: String, _ path: String, _ body: Data, type: String = "application/json",
        headers: [String: String] = [:]
    ) async throws -> HTTPAnswer {
        var request = URLRequest(url: try #require(URL(string: try url(listener) + path)), timeoutInterval: 20)
        request.httpMethod = "POST"
        request.httpBody = body
        request.setValue(type, forHTTPHeaderField: "Content-Type")
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        return try await Self.send(request)
    }

    static func get(_ url: String, token: String? = nil) async throws -> HTTPAnswer {
        var request = URLRequest(url: try #require(URL(string: url)), timeoutInterval: 20)
        if let token { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        return try await send(request)
    }

    /// Asks with a method, without a body.
    static func ask(_ method: String, _ url: String) async throws -> HTTPAnswer {
        var request = URLRequest(url: try #require(URL(string: url)), timeoutInterval: 20)
        request.httpMethod = method
        return try await send(request)
    }

    private static func send(_ request: URLRequest) async throws -> HTTPAnswer {
        let (data, response) = try await URLSession.shared.data(for: request)
        let http = try #require(response as? HTTPURLResponse)
        let headers = http.allHeaderFields.map { ("\($0.key)".lowercased(), "\($0.value)") }
        return HTTPAnswer(
            status: http.statusCode, headers: Dictionary(headers) { first, _ in first }, body: data)
    }

    /// A query over the node's own HTTP.
    func query(_ name: String, _ fields: [String: Any] = [:]) async throws -> [String: Any] {
        let body = try JSONSerialization.data(withJSONObject: fields)
        let answer = try await post("http", "/v1/queries/trace/\(name)", body)
        try #require(answer.status == 200, "\(answer)")
        return try answer.json
    }

    /// The spans of a trace as the node tells them.
    func spans(of trace: String) async throws -> [[String: Any]] {
        let answer = try await query("trace", ["trace_id": trace])
        return try #require(answer["spans"] as? [[String: Any]]).compactMap { $0["span"] as? [String: Any] }
    }
}

/// Spans as OTLP's JSON.
enum OTLPExample {
    static let trace = "5b8efff798038103d269b633813fc60c"
    /// When it began, Unix seconds: services and dependencies are told of the last hour.
    static let seconds = Int(Date().timeIntervalSince1970) - 5

    /// - Parameter change: replaces members of the second span.
    static func request(service: String = "shop", note: String = "n", change: [String: Any] = [:]) throws -> Data {
        var second: [String: Any] = [
            "traceId": trace, "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173", "name": "query",
            "kind": 3, "startTimeUnixNano": "\(OTLPExample.seconds)100000000",
            "endTimeUnixNano": "\(OTLPExample.seconds)200000000",
        ]
        for (key, value) in change { second[key] = value }
        let first: [String: Any] = [
            "traceId": trace, "spanId": "eee19b7ec3c1b173", "name": "GET /", "kind": 2,
            "startTimeUnixNano": "\(OTLPExample.seconds)000000000",
            "endTimeUnixNano": "\(OTLPExample.seconds)300000000",
            "attributes": [["key": "note", "value": ["stringValue": note]]], "status": ["code": 2, "message": "boom"],
        ]
        let resource = ["attributes": [["key": "service.name", "value": ["stringValue": service]]]]
        return try JSONSerialization.data(
            withJSONObject: ["resourceSpans": [["resource": resource, "scopeSpans": [["spans": [first, second]]]]]])
    }
}
