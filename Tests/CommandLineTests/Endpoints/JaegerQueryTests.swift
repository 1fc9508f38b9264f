// Jaeger's query API of a running node, asked as its UI and Grafana ask.

import Foundation
import Testing

@Suite struct `Jaeger's query API` {
    private func node() async throws -> ReceiverNode {
        let node = try await ReceiverNode(["--jaeger", "127.0.0.1:0"])
        let answer = try await node.post("otlp_http", "/v1/traces", OTLPExample.request(note: "a/b"))
        try #require(answer.status == 200, "\(answer)")
        return node
    }

    private func get(_ node: ReceiverNode, _ path: String) async throws -> HTTPAnswer {
        try await ReceiverNode.get(try node.url("jaeger") + path)
    }

    /// `data` of an answer.
    private func data<Content>(_ node: ReceiverNode, _ path: String) async throws -> [Content] {
        let answer = try await get(node, path)
        try #require(answer.status == 200, "\(answer)")
        let members = try answer.json
        #expect(members["errors"] is NSNull)
        return try #require(members["data"] as? [Content])
    }

    @Test func `services and operations are those of the spans`() async throws {
        let node = try await node()
        #expect(try await data(node, "/api/services") == ["shop"])
        #expect(try await Set(data(node, "/api/services/shop/operations") as [String]) == ["GET /", "query"])
        let operations: [[String: String]] = try await data(node, "/api/operations?service=shop&spanKind=server")
        #expect(operations == [["name": "GET /", "spanKind": "server"]])
    }

    @Test func `a trace has spans, processes, references and microseconds`() async throws {
        let node = try await node()
        let traces: [[String: Any]] = try await data(node, "/api/traces/\(OTLPExample.trace)")
        let trace = try #require(traces.first)
        #expect(trace["traceID"] as? String == OTLPExample.trace)
        let spans = try #require(trace["spans"] as? [[String: Any]])
        let root = try #require(spans.first { $0["operationName"] as? String == "GET /" })
        let child = try #require(spans.first { $0["operationName"] as? String == "query" })
        #expect(root["startTime"] as? Int == OTLPExample.seconds * 1_000_000 && root["duration"] as? Int == 300_000)
        let references = try #require(child["references"] as? [[String: String]])
        #expect(references == [["refType": "CHILD_OF", "traceID": OTLPExample.trace, "spanID": "eee19b7ec3c1b173"]])
        let tags = try #require(root["tags"] as? [[String: Any]])
        func tag(_ key: String) -> String {
            tags.first { $0["key"] as? String == key }.map { "\($0["value"] ?? "")" } ?? ""
        }
        #expect(tag("note") == "a/b" && tag("span.kind") == "server" && tag("otel.status_description") == "boom")
        #expect(tag("otel.status_code") == "ERROR")
        let processes = try #require(trace["processes"] as? [String: [String: Any]])
        let process = try #require(processes[root["processID"] as? String ?? ""])
        #expect(process["serviceName"] as? String == "shop")
    }

    @Test func `a search finds by service, operation, tags, duration and time`() async throws {
        let node = try await node()
        let found = [
            "service=shop", "service=shop&operation=GET%20%2F", "service=shop&tags=%7B%22note%22%3A%22a%2Fb%22%7D",
            "service=shop&tag=note:a/b&limit=5", "service=shop&minDuration=100ms&maxDuration=1.5s",
            "service=shop&start=\(OTLPExample.seconds - 1)000000&end=\(OTLPExample.seconds + 1)000000",
            "service=shop&tags=%7B%22error%22%3A%22true%22%7D",
            "service=shop&tags=%7B%22span.kind%22%3A%22client%22%7D", "traceID=\(OTLPExample.trace)",
        ]
        for query in found {
            let traces: [[String: Any]] = try await data(node, "/api/traces?" + query)
            #expect(traces.count == 1, "\(query)")
        }
        let missed = [
            "service=other", "service=shop&operation=nothing", "service=shop&tag=note:c", "service=shop&minDuration=1s",
            "service=shop&start=\(OTLPExample.seconds + 1)000000",
            "service=shop&tags=%7B%22span.kind%22%3A%22producer%22%7D",
        ]
        for query in missed {
            let traces: [[String: Any]] = try await data(node, "/api/traces?" + query)
            #expect(traces.isEmpty, "\(query)")
        }
    }

    @Test func `a kind is asked for before the limit cuts`() async throws {
        let node = try await node()
        // A later trace of the service without a client's span.
        let later = """
            [{"traceId":"b1","id":"1","kind":"SERVER","name":"late","timestamp":\(OTLPExample.seconds + 2)000000,
              "duration":5,"localEndpoint":{"serviceName":"shop"}}]
            """
        #expect(try await node.post("zipkin", "/api/v2/spans", Data(later.utf8)).status == 202)
        let newest: [[String: Any]] = try await data(node, "/api/traces?service=shop&limit=1")
        #expect(newest.map { $0["traceID"] as? String } == ["000000000000000000000000000000b1"])
        let client: [[String: Any]] = try await data(
            node, "/api/traces?service=shop&limit=1&tags=%7B%22span.kind%22%3A%22client%22%7D")
        #expect(client.map { $0["traceID"] as? String } == [OTLPExample.trace])
        let nonsense = try await get(node, "/api/traces?service=shop&tags=%7B%22span.kind%22%3A%22sideways%22%7D")
        #expect(nonsense.status == 400, "\(nonsense)")
    }

    @Test func `what makes no sense is 400 and what is not there 404, each with a message`() async throws {
        let node = try await node()
        for path in ["/api/traces", "/api/traces?service=shop&minDuration=soon", "/api/traces/xyz", "/api/operations"] {
            let answer = try await get(node, path)
            #expect(answer.status == 400, "\(path): \(answer)")
            let errors = try #require(answer.json["errors"] as? [[String: Any]])
            #expect(errors[0]["code"] as? Int == 400 && errors[0]["msg"] is String)
        }
        let absent = try await get(node, "/api/traces/00000000000000000000000000000001")
        #expect(absent.status == 404, "\(absent)")
        #expect(try await get(node, "/api/v3/traces/00000000000000000000000000000001").status == 404)
    }

    @Test func `dependencies are calls between services`() async throws {
        let node = try await node()
        let spans = """
            [{"traceId":"a1","id":"1","kind":"CLIENT","name":"get","timestamp":\(OTLPExample.seconds)000000,"duration":5,
              "localEndpoint":{"serviceName":"web"}},
             {"traceId":"a1","id":"1","kind":"SERVER","name":"get","timestamp":\(OTLPExample.seconds)000001,"duration":3,
              "localEndpoint":{"serviceName":"api"},"shared":true}]
            """
        #expect(try await node.post("zipkin", "/api/v2/spans", Data(spans.utf8)).status == 202)
        let links: [[String: Any]] = try await data(
            node, "/api/dependencies?endTs=\(OTLPExample.seconds + 300)000&lookback=3600000")
        let link = try #require(links.first { $0["parent"] as? String == "web" })
        #expect(link["child"] as? String == "api" && link["callCount"] as? Int == 1)
    }

    @Test func `version 3 answers with OTLP`() async throws {
        let node = try await node()
        #expect(try await get(node, "/api/v3/services").json["services"] as? [String] == ["shop"])
        let operations = try await get(node, "/api/v3/operations?service=shop&span_kind=client").json
        #expect(operations["operations"] as? [[String: String]] == [["name": "query", "spanKind": "client"]])
        let search =
            "/api/v3/traces?query.service_name=shop&query.start_time_min=2026-01-01T00:00:00Z"
            + "&query.start_time_max=2027-01-01T00:00:00Z&query.duration_min=1ms&query.search_depth=5"
        for path in [search, "/api/v3/traces/\(OTLPExample.trace)"] {
            let answer = try await get(node, path)
            let result = try #require(answer.json["result"] as? [String: Any], "\(answer)")
            let resource = try #require((result["resourceSpans"] as? [[String: Any]])?.first)
            let scope = try #require((resource["scopeSpans"] as? [[String: Any]])?.first)
            let spans = try #require(scope["spans"] as? [[String: Any]])
            #expect(spans.count == 2 && spans[0]["traceId"] as? String == OTLPExample.trace)
            #expect(
                spans[0]["startTimeUnixNano"] as? String == "\(OTLPExample.seconds)000000000"
                    && spans[0]["kind"] as? Int == 2)
            // What version 3 answers is OTLP: sent again, it is the same trace.
            let body = try JSONSerialization.data(withJSONObject: result)
            #expect(try await node.post("otlp_http", "/v1/traces", body).text == "{}")
            #expect(try await node.spans(of: OTLPExample.trace).count == 2)
        }
    }
}
