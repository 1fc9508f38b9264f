// The receivers of a running node, used as exporters and reporters use them.

import Foundation
import TestKit
import Testing

@Suite struct `Receivers of spans` {
    private static let traces = "/v1/traces"

    @Test func `OTLP in JSON is answered when it can be queried`() async throws {
        let node = try await ReceiverNode()
        let answer = try await node.post("otlp_http", Self.traces, OTLPExample.request())
        #expect(answer.status == 200 && answer.text == "{}", "\(answer)")
        #expect(answer.headers["content-type"] == "application/json")
        let spans = try await node.spans(of: OTLPExample.trace)
        #expect(spans.count == 2)
        #expect(spans[0]["operation_name"] as? String == "GET /")
        #expect(spans[0]["status"] as? String == "error")
        #expect(spans[0]["status_message"] as? String == "boom")
        #expect(spans[1]["parent_span_id"] as? String == spans[0]["span_id"] as? String)
    }

    @Test func `what is refused is counted in partialSuccess, and nothing else`() async throws {
        let node = try await ReceiverNode()
        let request = try OTLPExample.request(change: ["endTimeUnixNano": "1"])
        let answer = try await node.post("otlp_http", Self.traces, request)
        #expect(answer.status == 200)
        let partial = try #require(answer.json["partialSuccess"] as? [String: Any])
        #expect(partial["rejectedSpans"] as? String == "1")
        #expect(partial["errorMessage"] as? String == "1 × end_before_start: end_time")
        #expect(try await node.spans(of: OTLPExample.trace).count == 1)
    }

    @Test func `bad input is 400 with a status in the content type of the request`() async throws {
        let node = try await ReceiverNode()
        let json = try await node.post("otlp_http", Self.traces, Data("{".utf8))
        #expect(json.status == 400 && json.headers["content-type"] == "application/json", "\(json)")
        #expect(try json.json["code"] as? Int == 3)
        let binary = try await node.post("otlp_http", Self.traces, Data([0xFF]), type: "application/x-protobuf")
        #expect(binary.status == 400 && binary.headers["content-type"] == "application/x-protobuf", "\(binary)")
        #expect(binary.body.starts(with: [0x08, 0x03, 0x12]))
        #expect(try await node.post("otlp_http", Self.traces, Data("x".utf8), type: "text/plain").status == 415)
        #expect(try await node.post("zipkin", "/api/v2/spans", Data("{}".utf8)).status == 400)
        let packed = ["Content-Encoding": "gzip"]
        #expect(try await node.post("otlp_http", Self.traces, Data("no".utf8), headers: packed).status == 400)
    }

    @Test func `bodies over the limits are 413, packed ones by what they unpack to`() async throws {
        let node = try await ReceiverNode()
        let large = Data(repeating: 0x20, count: 4_194_305)
        #expect(try await node.post("otlp_http", Self.traces, large).status == 413)
        #expect(try await node.post("zipkin", "/api/v2/spans", large).status == 413)
        let packed = try Gzip.pack(Data(repeating: 0x20, count: 22_000_000), scratch: node.node.scratch)
        #expect(packed.count < 100_000)
        let answer = try await node.post(
            "otlp_http", Self.traces, packed, headers: ["Content-Encoding": "gzip"])
        #expect(answer.status == 413, "\(answer)")
    }

    @Test func `a packed request is taken like a plain one`() async throws {
        let node = try await ReceiverNode()
        let packed = try Gzip.pack(OTLPExample.request(), scratch: node.node.scratch)
        let answer = try await node.post("otlp_http", Self.traces, packed, headers: ["Content-Encoding": "gzip"])
        #expect(answer.status == 200, "\(answer)")
        #expect(try await node.spans(of: OTLPExample.trace).count == 2)
        let cut = try await node.post(
            "otlp_http", Self.traces, packed.dropLast(9), headers: ["Content-Encoding": "gzip"])
        #expect(cut.status == 400, "\(cut)")
    }

    @Test func `a service above its rate is told to come again`() async throws {
        let node = try await ReceiverNode(["--bytes-per-second", "1000"])
        let note = String(repeating: "x", count: 4_000)
        let answer = try await node.post("otlp_http", Self.traces, OTLPExample.request(note: note))
        #expect(answer.status == 429 && answer.headers["retry-after"] == "1", "\(answer)")
        #expect(try answer.json["message"] as? String == "rate_limited")
        let other = try await node.post("otlp_http", Self.traces, OTLPExample.request(service: "small"))
        #expect(other.status == 200, "\(other)")
    }

    @Test func `a service with more spans than its rate is told to come again`() async throws {
        let node = try await ReceiverNode(["--spans-per-second", "1"])
        let spans = (1...200).map { id in
            #"{"traceId":"463ac35c9f6413ad48485a3953bb6125","id":"\#(String(id, radix: 16))","name":"get","#
                + #""timestamp":\#(OTLPExample.seconds)000000,"localEndpoint":{"serviceName":"web"}}"#
        }
        let body = Data("[\(spans.joined(separator: ","))]".utf8)
        #expect(try await node.post("zipkin", "/api/v2/spans", body).status == 202, "it may burst once")
        let again = try await node.post("zipkin", "/api/v2/spans", body)
        #expect(again.status == 429 && again.headers["retry-after"] == "1", "\(again)")
        let other = try await node.post("otlp_http", Self.traces, OTLPExample.request(service: "small"))
        #expect(other.status == 200, "\(other)")
    }

    @Test func `Zipkin's spans are taken with 202`() async throws {
        let node = try await ReceiverNode()
        let spans = """
            [{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"1","kind":"CLIENT","name":"get","timestamp":\(OTLPExample.seconds)000000,
              "duration":5000,"localEndpoint":{"serviceName":"web"},"tags":{"error":"timeout","password":"p"}},
             {"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"1","kind":"SERVER","name":"get","timestamp":\(OTLPExample.seconds)001000,
              "duration":3000,"localEndpoint":{"serviceName":"api"},"shared":true}]
            """
        let answer = try await node.post("zipkin", "/api/v2/spans", Data(spans.utf8))
        #expect(answer.status == 202 && answer.body.isEmpty, "\(answer)")
        let found = try await node.spans(of: "463ac35c9f6413ad48485a3953bb6124")
        #expect(found.count == 2)
        #expect(!"\(found)".contains("\"p\"") && "\(found)".contains("[redacted]"))
        let dependencies = try await node.query("dependencies")
        let links = try #require(dependencies["links"] as? [[String: Any]])
        #expect(links.count == 1 && links[0]["parent"] as? String == "web" && links[0]["child"] as? String == "api")
    }

    @Test func `with a token nobody else may send`() async throws {
        let scratch = try Scratch()
        let token = "0123456789abcdef0123456789abcdef"
        let file = try scratch.write("token", token)
        let node = try await ReceiverNode(["--receiver-token-file", file], scratch: scratch)
        let body = try OTLPExample.request()
        #expect(try await node.post("otlp_http", Self.traces, body).status == 401)
        #expect(try await node.post("zipkin", "/api/v2/spans", Data("[]".utf8)).status == 401)
        let headers = ["Authorization": "Bearer \(token)"]
        #expect(try await node.post("otlp_http", Self.traces, body, headers: headers).status == 200)
    }

    @Test func `a listener that others can reach has to be asked for twice`() async throws {
        let scratch = try Scratch()
        for option in ["--otlp-http", "--otlp-grpc", "--zipkin"] {
            let refused = try await LatticeProcess.run(["serve", option, "0.0.0.0:0", "--data", "d"], in: scratch)
            #expect(refused.status == 2 && refused.errors.contains("--insecure"), "\(refused)")
        }
    }

    @Test func `a port that was asked for and is taken is an error, a default one is done without`() async throws {
        let node = try await ReceiverNode()
        let taken = try #require(URL(string: try node.url("otlp_http"))?.port)
        let second = try await LatticeProcess.run(
            ["serve", "--data", "second", "--http", "none", "--otlp-http", "127.0.0.1:\(taken)"], in: node.node.scratch)
        #expect(second.status != 0 && second.errors.contains("--otlp-http 127.0.0.1:\(taken)"), "\(second)")
        let first = try await RunningNode(try Scratch())
        let other = try await RunningNode(try Scratch())
        #expect(try first.facts["otlp_http"] as? String == nil || other.facts["otlp_http"] as? String == nil)
    }
}

/// Packs with the gzip of the system.
enum Gzip {
    static func pack(_ data: Data, scratch: Scratch) throws -> Data {
        let path = scratch.path(UUID().uuidString)
        try data.write(to: URL(fileURLWithPath: path))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/gzip")
        process.arguments = [path]
        try process.run()
        process.waitUntilExit()
        return try Data(contentsOf: URL(fileURLWithPath: path + ".gz"))
    }
}
