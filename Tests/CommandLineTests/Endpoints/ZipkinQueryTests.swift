// Zipkin's query API of a running node, asked as Zipkin's UI asks.

import Foundation
import TestKit
import Testing

@Suite struct `Zipkin's query API` {
    private static let trace = "463ac35c9f6413ad48485a3953bb6124"
    private static let second = OTLPExample.seconds

    /// web calls api under one id, api asks mysql; another trace with an id of eight bytes.
    private static let spans = """
        [{"traceId":"\(trace)","id":"1","kind":"CLIENT","name":"get","timestamp":\(second)000000,"duration":9000,
          "localEndpoint":{"serviceName":"web","ipv4":"10.0.0.1"},"tags":{"http.method":"GET"}},
         {"traceId":"\(trace)","id":"1","kind":"SERVER","name":"get","timestamp":\(second)001000,"duration":7000,
          "localEndpoint":{"serviceName":"api","ipv4":"10.0.0.2","port":8080},"shared":true,"debug":true,
          "annotations":[{"timestamp":\(second)002000,"value":"cache miss"}]},
         {"traceId":"\(trace)","id":"3","parentId":"1","kind":"CLIENT","name":"query","timestamp":\(second)003000,
          "duration":4000,"localEndpoint":{"serviceName":"api","ipv4":"10.0.0.2"},
          "remoteEndpoint":{"serviceName":"mysql","ipv6":"2001:db8::1","port":3306},"tags":{"error":"deadlock"}},
         {"traceId":"00000000000000ab","id":"7","name":"cron","timestamp":\(second + 1)000000,
          "localEndpoint":{"serviceName":"api"}}]
        """

    private func node(_ options: [String] = []) async throws -> ReceiverNode {
        let node = try await ReceiverNode(options)
        try #require(try await node.post("zipkin", "/api/v2/spans", Data(Self.spans.utf8)).status == 202)
        return node
    }

    private func get(_ node: ReceiverNode, _ path: String) async throws -> HTTPAnswer {
        try await ReceiverNode.get(try node.url("zipkin") + path)
    }

    private func list<Element>(
        _ node: ReceiverNode, _ path: String, of type: Element.Type = Element.self
    ) async throws -> [Element] {
        let answer = try await get(node, path)
        try #require(answer.status == 200, "\(path): \(answer)")
        return try #require(try JSONSerialization.jsonObject(with: answer.body) as? [Element], "\(answer)")
    }

    @Test func `names of services, spans and remote services`() async throws {
        let node = try await node()
        #expect(try await list(node, "/api/v2/services") == ["api", "web"])
        #expect(try await list(node, "/api/v2/spans?serviceName=api") == ["cron", "get", "query"])
        #expect(try await list(node, "/api/v2/remoteServices?serviceName=api") == ["mysql"])
        #expect(try await list(node, "/api/v2/spans?serviceName=nobody", of: String.self).isEmpty)
        for path in ["/api/v2/spans", "/api/v2/remoteServices"] {
            let answer = try await get(node, path)
            #expect(answer.status == 400 && answer.text.contains("serviceName"), "\(answer)")
        }
    }

    @Test func `a trace has both halves of a shared id, microseconds, endpoints and annotations`() async throws {
        let node = try await node()
        let spans: [[String: Any]] = try await list(node, "/api/v2/trace/\(Self.trace)")
        try #require(spans.count == 3)
        #expect(spans.allSatisfy { $0["traceId"] as? String == Self.trace })
        let halves = spans.filter { $0["id"] as? String == "0000000000000001" }
        #expect(halves.map { $0["kind"] as? String } == ["CLIENT", "SERVER"])
        #expect(halves.map { $0["shared"] as? Bool } == [nil, true] && halves[1]["debug"] as? Bool == true)
        #expect(halves[0]["timestamp"] as? Int == Self.second * 1_000_000 && halves[0]["duration"] as? Int == 9_000)
        #expect(halves[0]["tags"] as? [String: String] == ["http.method": "GET"])
        let endpoint = try #require(halves[1]["localEndpoint"] as? [String: Any])
        #expect(endpoint["serviceName"] as? String == "api" && endpoint["ipv4"] as? String == "10.0.0.2")
        #expect(endpoint["port"] as? Int == 8080)
        let annotation = try #require((halves[1]["annotations"] as? [[String: Any]])?.first)
        #expect(annotation["value"] as? String == "cache miss")
        #expect(annotation["timestamp"] as? Int == Self.second * 1_000_000 + 2_000)
        let query = try #require(spans.first { $0["name"] as? String == "query" })
        #expect(query["parentId"] as? String == "0000000000000001")
        let remote = try #require(query["remoteEndpoint"] as? [String: Any])
        #expect(remote["serviceName"] as? String == "mysql" && remote["ipv6"] as? String == "2001:db8::1")
        #expect((query["tags"] as? [String: String])?["error"] == "deadlock")
    }

    @Test func `what was read can be sent again and is the same`() async throws {
        let node = try await node()
        let before = try await get(node, "/api/v2/trace/\(Self.trace)").body
        #expect(try await node.post("zipkin", "/api/v2/spans", before).status == 202)
        #expect(try await get(node, "/api/v2/trace/\(Self.trace)").body == before)
    }

    @Test func `an id of eight bytes is shown as it was sent, and a span of no time takes one microsecond`()
        async throws
    {
        let node = try await node()
        for id in ["00000000000000ab", "000000000000000000000000000000ab", "ab"] {
            let spans: [[String: Any]] = try await list(node, "/api/v2/trace/\(id)")
            #expect(spans.count == 1 && spans[0]["traceId"] as? String == "00000000000000ab")
            #expect(spans[0]["duration"] as? Int == 1 && spans[0]["kind"] == nil)
        }
    }

    @Test func `a search finds by everything that the UI offers`() async throws {
        let node = try await node()
        let end = "endTs=\(Self.second + 60)000&lookback=3600000"
        let found: [(String, Int)] = [
            (end, 2), (end + "&limit=1", 1), (end + "&serviceName=web", 1), (end + "&serviceName=api", 2),
            (end + "&serviceName=api&spanName=query", 1), (end + "&serviceName=api&spanName=all", 2),
            (end + "&remoteServiceName=mysql", 1), (end + "&serviceName=web&remoteServiceName=mysql", 0),
            (end + "&annotationQuery=http.method%3DGET", 1), (end + "&annotationQuery=http.method%3DPUT", 0),
            (end + "&annotationQuery=error", 1), (end + "&annotationQuery=cache%20miss", 1),
            (end + "&annotationQuery=error%20and%20http.method%3DGET", 0),
            (end + "&serviceName=api&minDuration=7000", 1), (end + "&serviceName=api&minDuration=7001", 0),
            (end + "&serviceName=web&minDuration=8000&maxDuration=9000", 1), (end + "&maxDuration=10", 1),
            ("endTs=\(Self.second - 60)000&lookback=3600000", 0), ("", 2),
        ]
        for (query, count) in found {
            let traces: [[[String: Any]]] = try await list(node, "/api/v2/traces?" + query)
            #expect(traces.count == count, "\(query)")
            #expect(traces.allSatisfy { !$0.isEmpty })
        }
    }

    @Test func `several traces are read at once, each once`() async throws {
        let node = try await node()
        let traces: [[[String: Any]]] = try await list(node, "/api/v2/traceMany?traceIds=ab,\(Self.trace),cd")
        #expect(traces.map(\.count) == [1, 3])
        for path in ["/api/v2/traceMany", "/api/v2/traceMany?traceIds=ab,00ab", "/api/v2/traceMany?traceIds=xyz"] {
            #expect(try await get(node, path).status == 400, "\(path)")
        }
    }

    @Test func `dependencies name callers, called, calls and errors`() async throws {
        let node = try await node()
        let links: [[String: Any]] = try await list(
            node, "/api/v2/dependencies?endTs=\(Self.second + 300)000&lookback=3600000")
        let web = try #require(links.first { $0["parent"] as? String == "web" })
        #expect(web["child"] as? String == "api" && web["callCount"] as? Int == 1 && web["errorCount"] == nil)
        let api = try #require(links.first { $0["parent"] as? String == "api" })
        #expect(api["child"] as? String == "mysql" && api["errorCount"] as? Int == 1)
        #expect(try await get(node, "/api/v2/dependencies").status == 400)
    }

    @Test func `keys and values of tags are those of the latest traces`() async throws {
        let node = try await node()
        let keys: [String] = try await list(node, "/api/v2/autocompleteKeys")
        #expect(keys.contains("http.method") && keys.contains("error") && !keys.contains("zipkin.shared"))
        #expect(try await list(node, "/api/v2/autocompleteValues?key=http.method") == ["GET"])
        #expect(try await list(node, "/api/v2/autocompleteValues?key=nothing", of: String.self).isEmpty)
        #expect(try await get(node, "/api/v2/autocompleteValues").status == 400)
    }

    @Test func `the UI is told its settings, below its own path, too`() async throws {
        let node = try await node()
        for path in ["/config.json", "/zipkin/config.json"] {
            let settings = try await get(node, path).json
            #expect(settings["searchEnabled"] as? Bool == true && settings["queryLimit"] as? Int == 10)
            #expect((settings["dependency"] as? [String: Any])?["enabled"] as? Bool == true)
        }
        #expect(try await list(node, "/zipkin/api/v2/services") == ["api", "web"])
    }

    @Test func `what is not there is 404 and what makes no sense 400`() async throws {
        let node = try await node()
        #expect(try await get(node, "/api/v2/trace/1234").status == 404)
        #expect(try await get(node, "/api/v2/trace/nonsense").status == 400)
        #expect(try await get(node, "/api/v2/traces?endTs=soon").status == 400)
        #expect(try await get(node, "/api/v2/traces?limit=none").status == 400)
    }

    @Test func `readers show their token, senders theirs`() async throws {
        let scratch = try Scratch()
        let readers = try scratch.write("readers", String(repeating: "r", count: 32))
        let senders = try scratch.write("senders", String(repeating: "s", count: 32))
        let node = try await ReceiverNode(
            ["--reader-token-file", readers, "--receiver-token-file", senders, "--jaeger", "127.0.0.1:0"],
            scratch: scratch)
        func ask(_ listener: String, _ path: String, _ token: String?) async throws -> HTTPAnswer {
            try await ReceiverNode.get(try node.url(listener) + path, token: token)
        }
        for (listener, path) in [
            ("zipkin", "/api/v2/services"), ("zipkin", "/config.json"), ("jaeger", "/api/services"),
        ] {
            let bare = try await ask(listener, path, nil)
            #expect(bare.status == 401 && bare.headers["www-authenticate"] == "Bearer", "\(bare)")
            #expect(try await ask(listener, path, String(repeating: "s", count: 32)).status == 401)
            #expect(try await ask(listener, path, String(repeating: "r", count: 32)).status == 200)
        }
        let bare = try await node.post("zipkin", "/api/v2/spans", Data(Self.spans.utf8))
        #expect(bare.status == 401)
        let token = ["Authorization": "Bearer " + String(repeating: "s", count: 32)]
        #expect(try await node.post("zipkin", "/api/v2/spans", Data(Self.spans.utf8), headers: token).status == 202)
    }
}
