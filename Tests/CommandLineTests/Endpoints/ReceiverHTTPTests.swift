// What clients of HTTP/1.1 expect of the receivers beside good requests: methods, encodings, 100 Continue.

import Foundation
import TestKit
import Testing

@Suite struct `HTTP of the receivers` {
    private static let traces = "/v1/traces"

    @Test func `another method is not allowed, and the answer says which is`() async throws {
        let node = try await ReceiverNode()
        for (listener, path, methods, allowed) in [
            ("otlp_http", Self.traces, ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"], ["POST"]),
            ("zipkin", "/api/v2/spans", ["PUT", "DELETE", "PATCH", "OPTIONS"], ["GET", "POST"]),
        ] {
            for method in methods {
                let answer = try await ReceiverNode.ask(method, try node.url(listener) + path)
                let said = Set((answer.headers["allow"] ?? "").components(separatedBy: ", "))
                #expect(answer.status == 405 && said.subtracting(["HEAD"]) == Set(allowed), "\(method): \(answer)")
            }
        }
        let names = try await ReceiverNode.get(try node.url("zipkin") + "/api/v2/spans?serviceName=x")
        #expect(names.status == 200, "\(names)")
    }

    @Test func `x-gzip is gzip, and an unknown encoding is told which are known`() async throws {
        let node = try await ReceiverNode()
        let packed = try Gzip.pack(OTLPExample.request(), scratch: node.node.scratch)
        for name in ["x-gzip", "GZIP", " gzip"] {
            let answer = try await node.post("otlp_http", Self.traces, packed, headers: ["Content-Encoding": name])
            #expect(answer.status == 200, "\(name): \(answer)")
        }
        for (listener, path) in [("otlp_http", Self.traces), ("zipkin", "/api/v2/spans")] {
            let answer = try await node.post(listener, path, packed, headers: ["Content-Encoding": "br"])
            #expect(answer.status == 415 && answer.headers["accept-encoding"] == "gzip, deflate, identity", "\(answer)")
        }
    }

    @Test(.enabled(if: Strangers.program("curl") != nil, "no curl here"))
    func `an encoding without a name is none`() async throws {
        let node = try await ReceiverNode()
        let answer = try curl(
            "-H", "Content-Encoding;", "-H", "Content-Type: application/json", "-d", "{}",
            try node.url("otlp_http") + Self.traces)
        #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
    }

    @Test(.enabled(if: Strangers.program("curl") != nil, "no curl here"))
    func `who waits with a body is told to send it`() async throws {
        let node = try await ReceiverNode()
        let url = try node.url("otlp_http") + Self.traces
        // Without the word curl would wait for longer than it may take at all.
        let waits = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "-H", "Content-Type: application/json"]
        let answer = try curl(waits + ["-d", "{}", url])
        #expect(answer.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "\(answer)")
        let twice = try curl(waits + ["-d", "{}", url, url])
        #expect(twice.components(separatedBy: "HTTP/1.1 100 Continue").count == 3, "\(twice)")
    }

    private func curl(_ arguments: String...) throws -> String { try curl(arguments) }

    private func curl(_ arguments: [String]) throws -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: try #require(Strangers.program("curl")))
        process.arguments = ["-s", "-i", "-m", "20"] + arguments
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
