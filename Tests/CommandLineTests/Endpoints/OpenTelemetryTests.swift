// OpenTelemetry's own SDK for Python exports to a running node; what it sent is what the queries return.

import Foundation
import TestKit
import Testing

@Suite(
    .enabled(
        if: PythonEnvironment.openTelemetry != nil,
        "no python3 with opentelemetry-sdk and its OTLP exporters here, and PyPI can not be reached"))
struct `The OpenTelemetry SDK` {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("export.py").path

    @Test(arguments: [("http", "otlp_http"), ("grpc", "otlp_grpc")])
    func `sends what the queries return, to the attribute`(kind: String, listener: String) async throws {
        let node = try await ReceiverNode()
        let endpoint = try node.url(listener).replacingOccurrences(of: "grpc://", with: "")
        let python = try #require(PythonEnvironment.openTelemetry)
        let exported = python.run(script: Self.script, [kind, endpoint])
        try #require(exported.status == 0, "\(exported.output)")
        // Whatever Python warns of stands between the spans.
        let lines = exported.output.split(separator: "\n").filter { $0.hasPrefix("{") }
        let sent = try lines.map { try JSONObject.members(of: String($0)) }
        #expect(sent.count == 22)
        let context = try #require(sent[0]["context"] as? [String: Any])
        let trace = try #require(context["trace_id"] as? String).dropFirst(2)
        let answer = try await node.query("trace", ["trace_id": String(trace), "raw": true, "limit": 1_000])
        let resources = try #require(answer["resources"] as? [[String: Any]])
        let found = try #require(answer["spans"] as? [[String: Any]]).compactMap { $0["span"] as? [String: Any] }
        try #require(found.count == sent.count)
        #expect(resources.count == 1 && resources[0]["service_name"] as? String == "python-shop")
        #expect(Tags(resources[0]["tags"]) == Tags(members: (sent[0]["resource"] as? [String: Any])?["attributes"]))
        for span in sent { try compare(span, found) }
    }

    private func compare(_ sent: [String: Any], _ found: [[String: Any]]) throws {
        let context = try #require(sent["context"] as? [String: Any])
        let id = try #require(context["span_id"] as? String).dropFirst(2)
        let span = try #require(found.first { $0["span_id"] as? String == String(id) })
        #expect(span["operation_name"] as? String == sent["name"] as? String)
        let kind = try #require(sent["kind"] as? String).split(separator: ".")[1].lowercased()
        #expect(span["kind"] as? String == kind)
        let parent = (sent["parent_id"] as? String).map { String($0.dropFirst(2)) }
        #expect(span["parent_span_id"] as? String == parent ?? "")
        #expect(Tags(span["tags"]) == Tags(members: sent["attributes"]))
        #expect(span["scope_name"] as? String == "shop.orders" && span["scope_version"] as? String == "1.2.3")
        let status = try #require(sent["status"] as? [String: Any])
        #expect((span["status"] as? String == "error") == (status["status_code"] as? String == "ERROR"))
        #expect(span["status_message"] as? String == status["description"] as? String ?? "")
        let events = sent["events"] as? [[String: Any]] ?? []
        let logs = span["logs"] as? [[String: Any]] ?? []
        try #require(events.count == logs.count)
        for (event, log) in zip(events, logs) {
            #expect(event["name"] as? String == log["name"] as? String)
            #expect(Tags(log["fields"]) == Tags(members: event["attributes"]))
        }
        let links = span["links"] as? [[String: Any]] ?? []
        #expect((sent["links"] as? [Any] ?? []).count == links.count)
        for link in links {
            #expect(link["trace_id"] as? String == String(repeating: "0", count: 30) + "11")
            #expect(Tags(link["tags"]) == Tags(members: ["why": "retry"]))
        }
    }
}

/// Attributes with their types, comparable whichever form they came in.
private struct Tags: Equatable {
    private var values: [String: String] = [:]

    /// The SDK's form: an object.
    init(members: Any?) {
        for (key, value) in members as? [String: Any] ?? [:] { values[key] = Self.text(value) }
    }

    /// The queries' form: a list of key and typed value.
    init(_ list: Any?) {
        for tag in list as? [[String: Any]] ?? [] {
            guard let key = tag["key"] as? String else { continue }
            if let text = tag["string_value"] as? String { values[key] = Self.text(text) }
            if let bit = tag["bool_value"] as? Bool { values[key] = "bool \(bit)" }
            if let number = tag["int_value"] as? String { values[key] = "number \(number)" }
            if let number = tag["double_value"] as? NSNumber { values[key] = "number \(number)" }
            if let json = tag["json_value"] as? String,
                let value = try? JSONSerialization.jsonObject(with: Data(json.utf8))
            {
                values[key] = Self.text(value)
            }
        }
    }

    private static func text(_ value: Any) -> String {
        if let text = value as? String { return "text \(text)" }
        if let list = value as? [Any] { return "list \(list.map { text($0) })" }
        if let number = value as? NSNumber {
            return CFBooleanLike.isBool(number) ? "bool \(number.boolValue)" : "number \(number)"
        }
        return "other \(value)"
    }
}

/// Whether a number of JSON was `true` or `false`.
private enum CFBooleanLike {
    static func isBool(_ number: NSNumber) -> Bool { unsafe String(cString: number.objCType) == "c" }
}
