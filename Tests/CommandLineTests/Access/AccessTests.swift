// Who may ask and tell what over HTTP: every query of every family, with every kind of token, on loopback and beyond.

import EventModel
import Foundation
import Listeners
import TestKit
import Testing

/// Somebody who comes to the listener.
private enum Somebody: String, CaseIterable {
    case nobody, stranger, service, viewer, forensic, boss, single

    var token: String? { self == .nobody ? nil : "token-of-" + rawValue + String(repeating: "0", count: 24) }

    /// What the role may ask by name of the family.
    func mayAsk(_ family: String, _ query: String, isLoopback: Bool) -> Bool {
        let isViewed = ["registry", "trace", "node"].contains(family)
        switch self {
        case .nobody: return isLoopback && isViewed
        case .stranger: return false
        case .service: return isLoopback && isViewed || family == "registry" || query == "outcome"
        case .viewer: return isViewed
        case .forensic, .boss, .single: return true
        }
    }
}

@Suite(.serialized, .enabled(if: Curl.path != nil, "no curl here")) struct `Access over HTTP` {
    private static let tokens = """
        # who may what
        checkout  service   \(Somebody.service.token!)
        vera      viewer    \(Somebody.viewer.token!)

        frank     forensic  \(Somebody.forensic.token!)
        alice     operator  \(Somebody.boss.token!)
        """

    private static func start(_ listen: String = "127.0.0.1:0", _ options: [String] = []) async throws -> RunningNode {
        let scratch = try Scratch()
        let files = [
            "--http-tokens-file", try scratch.write("tokens", tokens), "--http-token-file",
            try scratch.write("token", Somebody.single.token! + "\n"),
        ]
        return try await RunningNode(scratch, ["--http", listen] + files + options)
    }

    private static func url(_ node: RunningNode) -> String { node.httpURL.replacing("0.0.0.0", with: "127.0.0.1") }

    @Test(arguments: [true, false]) func `every query is answered to its role and to nobody below it`(
        isLoopback: Bool
    ) async throws {
        let node = try await Self.start(isLoopback ? "127.0.0.1:0" : "0.0.0.0:0", isLoopback ? [] : ["--insecure"])
        var requests: [CurlRequest] = []
        var cases: [(Somebody, QueryName)] = []
        for somebody in Somebody.allCases {
            for query in QueryName.allCases {
                let path = "/v1/queries/\("\(query)".replacing(".", with: "/"))"
                requests.append(CurlRequest(url: Self.url(node) + path, token: somebody.token))
                requests.append(
                    CurlRequest(url: Self.url(node) + path, method: "POST", token: somebody.token, body: "{}"))
                cases += [(somebody, query), (somebody, query)]
            }
        }
        let statuses = try await Curl.statuses(requests, in: node.scratch)
        for ((somebody, query), status) in zip(cases, statuses) {
            let parts = "\(query)".split(separator: ".").map(String.init)
            if somebody.mayAsk(parts[0], parts[1], isLoopback: isLoopback) {
                #expect(![0, 401, 403].contains(status), "\(somebody) \(query) \(status)")
            } else {
                let refused = somebody == .nobody || somebody == .stranger ? 401 : 403
                #expect(status == refused, "\(somebody) \(query) \(status)")
            }
        }
    }

    @Test func `every query has a head, and takes no other method`() async throws {
        let node = try await Self.start()
        let token = Somebody.forensic.token
        func statuses(_ method: String) async throws -> [Int] {
            try await Curl.statuses(
                QueryName.allCases.map { query in
                    CurlRequest(
                        url: "\(node.httpURL)/v1/queries/\(query.family)/\(query.query)", method: method, token: token)
                }, in: node.scratch)
        }
        let got = try await statuses("GET")
        #expect(try await statuses("HEAD") == got && !got.contains(0))
        for method in ["PUT", "DELETE", "OPTIONS"] {
            #expect(try await statuses(method).allSatisfy { $0 == 405 }, "\(method)")
        }
        let refused = try await Curl.ask(
            CurlRequest(url: "\(node.httpURL)/v1/queries/mirror/stats", method: "PUT", token: token), in: node.scratch)
        #expect(refused.headers["allow"] == "GET, HEAD, POST")
    }

    @Test(arguments: [true, false]) func `every other route is open to its role and to nobody below it`(
        isLoopback: Bool
    ) async throws {
        let node = try await Self.start(isLoopback ? "127.0.0.1:0" : "0.0.0.0:0", isLoopback ? [] : ["--insecure"])
        let isReady = try await eventually {
            try await Curl.statuses([CurlRequest(url: Self.url(node) + "/readyz")], in: node.scratch) == [200]
        }
        #expect(isReady)
        for path in ["/healthz", "/readyz", "/metrics", "/sd/prometheus"] {
            let isOpen = path.hasSuffix("z")
            for method in ["GET", "HEAD"] {
                let statuses = try await Curl.statuses(
                    Somebody.allCases.map {
                        CurlRequest(url: Self.url(node) + path, method: method, token: $0.token)
                    }, in: node.scratch)
                for (somebody, status) in zip(Somebody.allCases, statuses) {
                    let expected =
                        switch somebody {
                        case .nobody: isOpen || isLoopback ? 200 : 401
                        case .stranger: isOpen ? 200 : 401
                        case .service: isOpen || isLoopback ? 200 : 403
                        case .viewer, .forensic, .boss, .single: 200
                        }
                    #expect(status == expected, "\(method) \(path) \(somebody)")
                }
            }
        }
    }

    @Test func `without any token loopback looks at registry and traces, and does nothing else`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "127.0.0.1:0"])
        func status(_ path: String, _ headers: [String] = []) async throws -> Int {
            try await Curl.statuses([CurlRequest(url: node.httpURL + path, headers: headers)], in: node.scratch)[0]
        }
        #expect(try await status("/v1/queries/registry/services") == 200)
        #expect(try await status("/v1/queries/trace/services") == 200)
        for path in ["mirror/mirrors", "mirror/captures", "mirror/comparison", "audit/trail"] {
            #expect(try await status("/v1/queries/\(path)") == 403)
            #expect(try await status("/v1/queries/\(path)?at_sequence=1") == 403)
        }
        // What is shown to a proxy in between is no token of ours.
        #expect(try await status("/metrics", ["Authorization: Basic dTpw"]) == 200)
    }

    @Test func `the scheme of a token is written in any case, and only the whole token is good`() async throws {
        let node = try await Self.start()
        let token = Somebody.forensic.token!
        let good = ["Bearer \(token)", "bearer \(token)", "BEARER \(token)", "bEaReR   \(token)"]
        let bad = [
            "Bearer", "Bearer \(token)0", "Bearer \(token.dropLast())", "Bearer\(token)", "Basic \(token)", token,
            "Bearer \(token.uppercased())", "Bearer \(token), Bearer \(token)", "Bearer \(token) \(token)",
        ]
        let statuses = try await Curl.statuses(
            (good + bad).map {
                CurlRequest(url: node.httpURL + "/v1/queries/audit/trail", headers: ["Authorization: \($0)"])
            }, in: node.scratch)
        #expect(statuses == good.map { _ in 200 } + bad.map { _ in 401 })
        let answer = try await Curl.ask(
            CurlRequest(url: node.httpURL + "/v1/queries/audit/trail", token: "wrong"), in: node.scratch)
        #expect(answer.headers["www-authenticate"] == #"Bearer error="invalid_token""#)
        #expect(try answer.json["code"] as? String == "unauthorized")
    }

    // MARK: Events

    private static let registration =
        #"{"service_name":"SERVICE","events":[{"instance_id":"i-1","endpoint":"10.0.0.1:8080"}]}"#

    /// Family and kind, whose it is, and who may tell it.
    private typealias Telling = (path: String, owner: String, may: Set<Somebody>)

    @Test func `each kind of event is taken from those who may tell it`() async throws {
        let node = try await Self.start()
        let cases: [Telling] = [
            ("registry/registered", "checkout", [.service, .boss, .single]),
            ("registry/heartbeat", "checkout", [.service, .boss, .single]),
            ("registry/load_reported", "checkout", [.service, .boss, .single]),
            ("registry/deregistered", "checkout", [.service, .boss, .single]),
            ("trace/spans", "checkout", [.service, .boss, .single]),
            ("registry/registered", "payments", [.boss, .single]), ("trace/spans", "payments", [.boss, .single]),
            ("registry/health_reported", "checkout", [.boss, .single]),
            ("registry/health_swept", "checkout", [.boss, .single]),
            ("registry/instance_selected", "checkout", [.boss, .single]),
            ("mirror/captured", "checkout", [.boss, .single]),
        ]
        let administration: [Telling] = [
            "added", "removed", "enabled", "disabled", "shadows_allowed", "drained", "contents_erased",
        ].map { ("mirror/\($0)", "checkout", [.boss, .single]) }
        let policies: [Telling] = [
            "semantics_activated", "registry_configured", "guard_released", "traces_configured", "directives_resumed",
            "record_skipped",
        ].flatMap { kind -> [Telling] in
            [
                ("policy/\(kind)", "alice", [.boss]), ("policy/\(kind)", "http-token", [.single]),
                ("policy/\(kind)", "mallory", []),
            ]
        }
        let own: [Telling] = [
            ("audit/exported", "frank", [.forensic]), ("audit/exported", "alice", [.boss]),
            ("audit/contents_read", "alice", []), ("clock/tick", "alice", []),
            ("clock/leadership_claimed", "alice", []), ("mirror/dispatched", "checkout", []),
            ("mirror/compared", "checkout", []),
        ]
        let all = cases + administration + policies + own
        // What is not JSON is refused by the node, behind who may: so nothing is recorded here.
        let requests = all.flatMap { one in
            Somebody.allCases.map { somebody in
                let parts = one.path.split(separator: "/")
                return CurlRequest(
                    url: node.httpURL + "/v1/events/\(parts[0])/\(one.owner)/\(parts[1])", method: "POST",
                    token: somebody.token, body: "no JSON")
            }
        }
        let statuses = try await Curl.statuses(requests, in: node.scratch)
        for (index, status) in statuses.enumerated() {
            let one = all[index / Somebody.allCases.count]
            let somebody = Somebody.allCases[index % Somebody.allCases.count]
            let expected = [.nobody, .stranger].contains(somebody) ? 401 : one.may.contains(somebody) ? 400 : 403
            #expect(status == expected, "\(somebody) \(one.path) \(one.owner) \(status)")
        }
        let known = Set(all.map { $0.path.replacing("/", with: ".") })
        let kinds = EventType.allCases.map { "\($0.family.rawValue).\($0.name)" }
        #expect(kinds.filter { !known.contains($0) } == ["clock.node_resumed", "clock.intake_gap"])
    }

    /// What the trail says of everybody but the node itself: who did what.
    private static func entries(_ node: RunningNode) async throws -> [String] {
        let trail = try await node.lattice("audit", "--json")
        return try trail.output.split(separator: "\n").map { line in
            let entry = try JSONObject.members(of: String(line))
            return "\(entry["actor"] ?? "") \(entry["action"] ?? "")"
        }.filter { !$0.hasPrefix("node-") }
    }

    @Test func `the audit trail has the name of the token, whatever URL and body say`() async throws {
        let node = try await Self.start()
        func post(_ path: String, _ somebody: Somebody, _ body: String) async throws -> Curl.Answer {
            try await Curl.ask(
                CurlRequest(
                    url: node.httpURL + "/v1/events/" + path, method: "POST", token: somebody.token, body: body),
                in: node.scratch)
        }
        let released = try await post("policy/alice/guard_released", .boss, #"{"reason":"INC-1"}"#)
        #expect(released.status == 200, "\(released)")
        let forged = try await post("policy/bob/guard_released", .boss, #"{"reason":"INC-2"}"#)
        #expect(forged.status == 403 && forged.body.contains("/v1/events/policy/alice/guard_released"), "\(forged)")
        let encoded = try await post("policy/%62ob/guard_released", .boss, "{}")
        #expect(encoded.status == 403, "\(encoded)")
        let single = try await post("policy/http-token/guard_released", .single, "{}")
        #expect(single.status == 200, "\(single)")
        let registration = Self.registration.replacing("SERVICE", with: "checkout")
        #expect(try await post("registry/checkout/registered", .service, registration).status == 200)
        let gone = #"{"service_name":"checkout","events":[{"instance_id":"i-1","actor":"bob"}]}"#
        #expect(try await post("registry/checkout/deregistered", .boss, gone).status == 200)
        let allowed = #"{"source_service":"checkout","endpoints":["10.0.0.0/8:*"]}"#
        let shadows = try await post("mirror/checkout/shadows_allowed", .single, allowed)
        #expect(shadows.status == 200, "\(shadows)")
        let entries = try await Self.entries(node)
        #expect(
            entries == [
                "alice policy.guard_released", "http-token policy.guard_released", "alice registry.deregistered",
                "http-token mirror.shadows_allowed",
            ])
    }

    @Test func `a service's token speaks for that service, also where its name is escaped`() async throws {
        let scratch = try Scratch()
        let token = String(repeating: "s", count: 32)
        let file = try scratch.write("tokens", "pay.eu service \(token)\n")
        let node = try await RunningNode(scratch, ["--http", "127.0.0.1:0", "--http-tokens-file", file])
        func register(_ path: String, _ service: String) async throws -> Int {
            try await Curl.ask(
                CurlRequest(
                    url: node.httpURL + "/v1/events/registry/\(path)/registered", method: "POST", token: token,
                    body: Self.registration.replacing("SERVICE", with: service)), in: scratch
            ).status
        }
        #expect(try await register("pay.eu", "pay.eu") == 200)
        #expect(try await register("pay%2Eeu", "pay.eu") == 200)
        #expect(try await register("pay.eu", "payments") == 400)
        #expect(try await register("payments", "payments") == 403)
        #expect(try await register("pay%2eeu.x", "pay.eu") == 403)
    }

    private static let traffic =
        "1 111111111111111111111111 1700000000000000001\nGET /cart/1 HTTP/1.1\r\nHost: shop\r\n\r\n\n🐵🙈🙉\n"
        + "2 111111111111111111111111 1700000000000000009 4000000\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\n🐵🙈🙉\n"

    @Test func `contents are read in the name of the token, and that is recorded`() async throws {
        let node = try await Self.start()
        let traffic = try node.scratch.write("traffic.gor", Self.traffic)
        try #require(try await node.lattice("mirror", "import", traffic, "--service", "checkout").status == 0)
        for somebody in [Somebody.viewer, .forensic, .boss] {
            let answer = try await Curl.ask(
                CurlRequest(
                    url: node.httpURL + "/v1/queries/mirror/captures", method: "POST", token: somebody.token,
                    body: #"{"source_service":"checkout","sequence":"1","last_sequence":"99","actor":"bob"}"#),
                in: node.scratch)
            #expect(answer.status == (somebody == .viewer ? 403 : 200), "\(answer)")
            #expect(answer.body.contains("/cart/1") == (somebody != .viewer), "\(answer)")
        }
        #expect(try await Self.entries(node) == ["frank audit.contents_read", "alice audit.contents_read"])
    }
}
