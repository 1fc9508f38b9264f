// Searches through Jaeger's and Zipkin's API of the release program, with any number of hits: the crash that no test saw.

import Foundation
import TestKit
import Testing

/// Each hit is fetched by a child of a task group; swiftc `-O` broke what the children handed back, and the node ended.
@Suite struct `Searches of many traces` {
    private static func id(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        // Zipkin tells ids whose first half is zero by their second half.
        return "5" + String(repeating: "0", count: 30 - digits.count) + digits + "1"
    }

    /// A node with `count` traces of one span each.
    private func node(with count: Int) async throws -> ReceiverNode {
        let node = try await ReceiverNode(["--jaeger", "127.0.0.1:0"])
        let spans = (1...count).map { number in
            #"{"traceId":"\#(Self.id(number))","id":"\#(number)","name":"work","kind":"SERVER","duration":1000,"#
                + #""timestamp":\#(OTLPExample.seconds)000000,"localEndpoint":{"serviceName":"many"}}"#
        }
        let answer = try await node.post("zipkin", "/api/v2/spans", Data("[\(spans.joined(separator: ","))]".utf8))
        try #require(answer.status == 202, "\(answer)")
        return node
    }

    private func jaeger(_ node: ReceiverNode, _ path: String) async throws -> Set<String> {
        let answer = try await ReceiverNode.get(try node.url("jaeger") + path)
        try #require(answer.status == 200, "\(path): \(answer)")
        let traces = try #require(answer.json["data"] as? [[String: Any]])
        return Set(try traces.map { try #require($0["traceID"] as? String) })
    }

    private func zipkin(_ node: ReceiverNode, _ path: String) async throws -> Set<String> {
        let answer = try await ReceiverNode.get(try node.url("zipkin") + path)
        try #require(answer.status == 200, "\(path): \(answer)")
        let traces = try #require(try JSONSerialization.jsonObject(with: answer.body) as? [[[String: Any]]])
        return Set(try traces.map { try #require($0.first?["traceId"] as? String) })
    }

    @Test(arguments: [1, 2, 3, 8, 9, 50])
    func `find each of them, again and again, and the node lives`(count: Int) async throws {
        let node = try await node(with: count)
        let all = Set((1...count).map(Self.id))
        for _ in 0..<20 {
            #expect(try await jaeger(node, "/api/traces?service=many&limit=100") == all)
            let ids = (1...count).map { "traceID=\(Self.id($0))" }.joined(separator: "&")
            #expect(try await jaeger(node, "/api/traces?\(ids)") == all)
            #expect(try await zipkin(node, "/api/v2/traces?serviceName=many&limit=100") == all)
            let list = (1...count).map(Self.id).joined(separator: ",")
            #expect(try await zipkin(node, "/api/v2/traceMany?traceIds=\(list)") == all)
            let found = try await ReceiverNode.get(
                try node.url("jaeger") + "/api/v3/traces?query.service_name=many&query.num_traces=100"
                    + "&query.start_time_min=2020-01-01T00:00:00Z&query.start_time_max=2100-01-01T00:00:00Z")
            #expect(found.status == 200, "\(found)")
        }
        _ = try await node.query("services")
    }
}

/// Twitter's and Yelp's instrumentation for Python, as it is.
@Suite(
    .enabled(
        if: Strangers.python(importing: "py_zipkin", "requests") != nil, "no py_zipkin here, and PyPI cannot be reached"
    ))
struct `py_zipkin` {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("zipkin_export.py").path

    @Test(arguments: ["json", "protobuf"])
    func `sends spans that are found by its trace id`(encoding: String) async throws {
        let node = try await ReceiverNode()
        let python = try #require(Strangers.python(importing: "py_zipkin", "requests"))
        let ended = try Subprocess.run(python, [Self.script, try node.url("zipkin"), encoding])
        // A sender of protobuf has to be told that it is not taken, and may not lose its spans in silence.
        if encoding == "protobuf" {
            #expect(ended.status == 0 && ended.output.contains("415"), "\(ended)")
            return
        }
        try #require(ended.status == 0, "\(ended)")
        let trace = try #require(ended.output.split(separator: "\n").last.map(String.init))
        let spans = try await node.spans(of: trace)
        #expect(Set(spans.compactMap { $0["operation_name"] as? String }) == ["checkout", "charge"])
        let answer = try await ReceiverNode.get(try node.url("zipkin") + "/api/v2/traces?serviceName=pyshop")
        #expect(answer.status == 200 && answer.text.contains(trace.suffix(16)), "\(answer)")
    }
}

/// A program that runs to its end.
enum Subprocess {
    static func run(
        _ program: String, _ arguments: [String]
    ) throws -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
