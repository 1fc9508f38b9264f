// Which hosts the listeners answer for, which methods their routes have, and what silent connections cost.

import Foundation
import Glibc
import Listeners
import NIOCore
import TestKit
import Testing

@Suite struct `Hosts of a listener` {
    private static func verdict(
        _ host: String?, bound: String = "0.0.0.0", further: [String] = [], local: String? = nil
    ) -> HostRule.Verdict {
        let local = local.flatMap { try? SocketAddress(ipAddress: $0, port: 8_501) }
        return HostRule(bound: bound, further: further).judge(host, local: local)
    }

    @Test(arguments: [
        "localhost", "LocalHost", "localhost.", "localhost:8501", "localhost:", "app.localhost:80", "127.0.0.1",
        "127.0.0.1:8501", "127.9.8.7:1", "[::1]", "[::1]:8501", "[0:0:0:0:0:0:0:1]:8501", "[::ffff:127.0.0.1]:80",
        "10.1.2.3:8501", "[::ffff:10.1.2.3]", "node.internal:8501", "NODE.internal.", "a.mesh.example",
        "b.a.mesh.example",
    ])
    func `loopback, the own address and the names that were allowed are served`(host: String) {
        #expect(
            Self.verdict(host, further: ["node.internal", ".mesh.example"], local: "10.1.2.3") == .served)
    }

    @Test(arguments: [
        "evil.example", "evil.example:8501", "localhost.evil.example", "evil.localhost.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:8501", "10.1.2.4:8501", "[fe80::1]", "0.0.0.1", "169.254.169.254", "2130706433", "0x7f.1",
        "127.1", "0177.0.0.1", "notlocalhost", "mesh.example", "xmesh.example", "node.internal.evil.example",
        "[::2]:8501",
    ])
    func `a name of somebody else is not`(host: String) {
        let verdict = Self.verdict(host, further: ["node.internal", ".mesh.example"], local: "10.1.2.3")
        guard case .foreign = verdict else {
            Issue.record("\(host) \(verdict)")
            return
        }
    }

    @Test(arguments: [
        nil, "", " ", ":", ":8501", "user@localhost", "localhost:port", "localhost:99999", "localhost:80:80", "[::1",
        "::1", "[localhost]", "[]", "[::1]8501", "local host", "localhost/", "localhost?x", "localhost#x", "a\u{0}b",
        "http://localhost", "localhost\t", "ÿ.example", "localhost:-1", "localhost:+80", ".",
        "127.0.0.1,evil.example:x",
    ])
    func `what is no host is malformed`(host: String?) {
        #expect(Self.verdict(host) == .malformed)
    }

    @Test func `pages of the own origin may write, and of hosts that were allowed`() {
        let rule = HostRule(bound: "127.0.0.1", further: ["ui.example"])
        func admits(_ origin: String, _ host: String?) -> Bool { rule.admits(origin: origin, host: host) }
        #expect(admits("http://localhost:8501", "localhost:8501"))
        #expect(admits("http://localhost", "localhost:80"))
        #expect(admits("https://node", "node"))
        #expect(admits("https://ui.example", "127.0.0.1:8501"))
        for origin in [
            "null", "", "http://localhost:3000", "http://evil.example", "https://localhost:8501.evil.example",
            "file://",
            "localhost:8501", "http://", "chrome-extension://abc", "http://127.0.0.1:8501",
            "http://ui.example.evil.example",
        ] {
            #expect(!admits(origin, "localhost:8501"), "\(origin)")
        }
    }

    @Test func `names of hosts are told from what is none`() {
        for name in ["node", "node.internal", ".mesh.example", "10.0.0.1", "::1"] { #expect(HostRule.isName(name)) }
        for name in ["", ".", "node:80", "http://node", "a b", "user@node", ".10.0.0.1", "node/"] {
            #expect(!HostRule.isName(name), "\(name)")
        }
    }
}

@Suite(.serialized, .enabled(if: Curl.path != nil, "no curl here")) struct `Requests to every listener` {
    private static let registration =
        #"{"service_name":"checkout","events":[{"instance_id":"i-1","endpoint":"10.0.0.1:8080"}]}"#

    /// A node with every listener, and a path that each of them has.
    private static func start(_ options: [String] = []) async throws -> (RunningNode, [(url: String, path: String)]) {
        let scratch = try Scratch()
        let token = try scratch.write("token", String(repeating: "t", count: 32))
        let node = try await RunningNode(
            scratch,
            ReceiverNode.listeners + ["--jaeger", "127.0.0.1:0", "--http-token-file", token] + options)
        let facts = try node.facts
        let listeners = [
            ("http", "/healthz"), ("http", "/v1/queries/registry/services"), ("jaeger", "/api/services"),
            ("zipkin", "/api/v2/services"),
        ]
        return (
            node, try listeners.map { (url: try #require(facts[$0.0] as? String), path: $0.1) }
        )
    }

    @Test func `no listener answers for the name of somebody else`() async throws {
        let (node, listeners) = try await Self.start(["--http-host", "node.internal"])
        let sender = try #require(try node.facts["otlp_http"] as? String)
        var requests = listeners.map { CurlRequest(url: $0.url + $0.path) }
        requests.append(CurlRequest(url: sender + "/v1/traces", method: "POST", body: "{}"))
        for (hosts, expected) in [
            (["localhost", "127.0.0.1:1", "node.internal:8501", "[::1]"], 200), (["evil.example", "10.0.0.1"], 421),
            (["", "a b", "user@localhost", "localhost:x"], 400),
        ] {
            for host in hosts {
                let asked = requests.map { request in
                    var request = request
                    request.headers = [host.isEmpty ? "Host;" : "Host: \(host)"]
                    return request
                }
                let statuses = try await Curl.statuses(asked, in: node.scratch)
                #expect(statuses == asked.map { _ in expected }, "\(host) \(statuses)")
            }
        }
        // None at all.
        let bare = requests.map { request in
            var request = request
            request.headers = ["Host:"]
            return request
        }
        #expect(try await Curl.statuses(bare, in: node.scratch) == bare.map { _ in 400 })
        let foreign = try await Curl.ask(
            CurlRequest(url: requests[0].url, headers: ["Host: evil.example"]), in: node.scratch)
        #expect(try foreign.json["code"] as? String == "misdirected_request" && foreign.body.contains("--http-host"))
    }

    @Test func `pages of others write nothing`() async throws {
        let (node, _) = try await Self.start()
        func post(_ origin: String) async throws -> Int {
            try await Curl.statuses(
                [
                    CurlRequest(
                        url: node.httpURL + "/v1/events/registry/checkout/registered", method: "POST",
                        token: String(repeating: "t", count: 32), headers: ["Origin: \(origin)"],
                        body: Self.registration)
                ], in: node.scratch)[0]
        }
        #expect(try await post("http://evil.example") == 403)
        #expect(try await post("null") == 403)
        #expect(try await post("http://127.0.0.1:3000") == 403)
        #expect(try await post(node.httpURL) == 200)
    }

    @Test func `what can be got has a head, and a wrong method is told the right ones`() async throws {
        let (node, listeners) = try await Self.start()
        for listener in listeners {
            let url = listener.url + listener.path
            let isReady = try await eventually {
                try await Curl.statuses([CurlRequest(url: url)], in: node.scratch) == [200]
            }
            #expect(isReady, "\(url)")
            let whole = try await Curl.ask(CurlRequest(url: url), in: node.scratch)
            let head = try await Curl.ask(CurlRequest(url: url, method: "HEAD"), in: node.scratch)
            #expect(head.status == 200 && head.body.isEmpty, "\(url) \(head)")
            #expect(head.headers["content-type"] == whole.headers["content-type"], "\(url)")
            for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
                let answer = try await Curl.ask(CurlRequest(url: url, method: method), in: node.scratch)
                #expect(answer.status == 405, "\(method) \(url) \(answer)")
                let allowed = answer.headers["allow"] ?? ""
                #expect(allowed.hasPrefix("GET, HEAD"), "\(method) \(url) \(allowed)")
                #expect(try answer.json["code"] as? String == "method_not_allowed")
            }
        }
        let events = node.httpURL + "/v1/events/registry/checkout/registered"
        let answer = try await Curl.ask(CurlRequest(url: events), in: node.scratch)
        #expect(answer.status == 405 && answer.headers["allow"] == "POST", "\(answer)")
        // The answer to a HEAD has no body, whatever it says: the next answer on the connection is whole.
        let second = try await Curl.statuses(
            [
                CurlRequest(url: node.httpURL + "/nowhere", method: "HEAD"),
                CurlRequest(url: node.httpURL + "/nowhere"), CurlRequest(url: node.httpURL + "/healthz"),
            ], in: node.scratch)
        #expect(second == [404, 404, 200])
    }

    @Test func `paths mean the same however their letters are encoded, and no encoding hides a route`() async throws {
        let (node, _) = try await Self.start()
        func status(_ path: String) async throws -> Int {
            try await Curl.statuses([CurlRequest(url: node.httpURL + path)], in: node.scratch)[0]
        }
        #expect(try await status("/v1/queries/registry/%73ervices") == 200)
        #expect(try await status("/%761/queries/%72egistry/services") == 200)
        for path in ["/v1/queries/mirror/%63aptures", "/v1/%71ueries/audit/tr%61il", "/v1//queries/audit/trail"] {
            #expect([401, 404].contains(try await status(path)), "\(path)")
        }
        for path in [
            "/v1/queries/mirror%2Fcaptures", "/v1/queries/registry/..%2Fmirror%2Fcaptures", "/v1/queries/audit/trail/",
        ] {
            #expect([401, 404].contains(try await status(path)), "\(path)")
        }
        for path in ["/%", "/%4", "/%zz", "/healthz%00", "/%0d%0a", "/%+1"] {
            #expect(try await status(path) == 400, "\(path)")
        }
    }

    @Test func `text of others stands in JSON without characters that are acted upon`() async throws {
        let (node, _) = try await Self.start()
        let name = "a\u{1B}[31m\u{9B}31m\u{202E}\u{2066}\u{2028}\u{7F}\u{200F}ü→🐵"
        let body = try JSONSerialization.data(withJSONObject: [
            "service_name": "checkout",
            "events": [
                ["instance_id": "i-1", "endpoint": "10.0.0.1:8080", "metadata": [["key": "k", "value": name]]]
            ],
        ])
        let told = try await Curl.ask(
            CurlRequest(
                url: node.httpURL + "/v1/events/registry/checkout/registered", method: "POST",
                token: String(repeating: "t", count: 32), body: String(decoding: body, as: UTF8.self)), in: node.scratch
        )
        try #require(told.status == 200, "\(told)")
        let overHTTP = try await Curl.ask(
            CurlRequest(url: node.httpURL + "/v1/queries/registry/resolve?service_name=checkout"), in: node.scratch)
        let byCommand = try await node.lattice("query", "resolve", "checkout", "--json")
        for text in [overHTTP.body, byCommand.output] {
            let raw = text.unicodeScalars.filter { scalar in
                (scalar.value < 0x20 && scalar != "\n") || (0x7F...0x9F).contains(scalar.value)
                    || (0x2028...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
            }
            #expect(raw.isEmpty, "\(raw)")
            let instance = try #require((try JSONObject.members(of: text)["instances"] as? [[String: Any]])?.first)
            let metadata = try #require(instance["metadata"] as? [[String: String]])
            #expect(metadata.first?["value"] == name)
        }
    }
}
