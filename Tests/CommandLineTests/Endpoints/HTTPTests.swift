// The administration of a running node over HTTP, asked as any client would.

import Foundation
import FoundationNetworking
import TestKit
import Testing

/// An answer over HTTP.
private struct Answer {
    var status: Int
    var type: String
    var body: String

    var isJSONObject: Bool { type.hasPrefix("application/json") && (try? JSONObject.members(of: body)) != nil }
}

@Suite struct `The HTTP face` {
    private static let token = "0123456789abcdef0123456789abcdef"

    private func start(token: String? = Self.token, _ options: [String] = []) async throws -> RunningNode {
        let scratch = try Scratch()
        let file = try token.map { ["--http-token-file", try scratch.write("token", $0 + "\n")] } ?? []
        return try await RunningNode(scratch, ["--http", "127.0.0.1:0"] + file + options)
    }

    private func ask(
        _ node: RunningNode, _ path: String, post body: Data? = nil, token: String? = nil, type: String? = nil,
        id: String? = nil
    ) async throws -> Answer {
        var request = URLRequest(url: try #require(URL(string: node.httpURL + path)), timeoutInterval: 15)
        if let body {
            request.httpMethod = "POST"
            request.httpBody = body
            request.setValue(type ?? "application/json", forHTTPHeaderField: "Content-Type")
        }
        if let id { request.setValue(id, forHTTPHeaderField: "Nats-Msg-Id") }
        if let token { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        let (data, response) = try await URLSession.shared.data(for: request)
        let http = try #require(response as? HTTPURLResponse)
        return Answer(
            status: http.statusCode, type: http.value(forHTTPHeaderField: "Content-Type") ?? "",
            body: String(decoding: data, as: UTF8.self))
    }

    private static let registration = Data(
        #"{"service_name":"checkout","events":[{"instance_id":"checkout-1","endpoint":"10.0.0.1:8080"}]}"#.utf8)
    private static let path = "/v1/events/registry/checkout/registered"

    private func register(_ node: RunningNode) async throws -> Answer {
        try await ask(node, Self.path, post: Self.registration, token: Self.token)
    }

    @Test func `says that it lives and is ready`() async throws {
        let node = try await start()
        #expect(try await ask(node, "/healthz").status == 200)
        let isReady = try await eventually { try await ask(node, "/readyz").status == 200 }
        #expect(isReady)
    }

    @Test func `takes an event from whoever has the token`() async throws {
        let node = try await start()
        let accepted = try await register(node)
        #expect(accepted.status == 200 && accepted.body.contains(#""outcome":"accepted""#), "\(accepted)")
        let resolved = try await ask(node, "/v1/queries/registry/resolve?service_name=checkout")
        #expect(resolved.status == 200 && resolved.body.contains("checkout-1"), "\(resolved)")
    }

    @Test func `takes no event from anybody else`() async throws {
        let node = try await start()
        #expect(try await ask(node, Self.path, post: Self.registration).status == 401)
        #expect(try await ask(node, Self.path, post: Self.registration, token: Self.token + "0").status == 401)
        #expect(try await ask(node, Self.path, post: Self.registration, token: "0").status == 401)
        let resolved = try await ask(node, "/v1/queries/registry/resolve?service_name=checkout")
        #expect(!resolved.body.contains("checkout-1"))
    }

    @Test func `takes no event at all without a token of its own`() async throws {
        let node = try await start(token: nil)
        let answer = try await register(node)
        #expect(answer.status == 403 && answer.body.contains("--http-token-file"), "\(answer)")
    }

    @Test func `does not start with a token that is easily guessed`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("token", "secret\n")
        let ended = try await LatticeProcess.run(
            ["serve", "--http", "127.0.0.1:0", "--http-token-file", file], in: scratch)
        #expect(ended.status == 1 && ended.errors.contains("shorter") && !ended.errors.contains("secret"), "\(ended)")
    }

    @Test func `tells a refusal from a rejection`() async throws {
        let node = try await start()
        let heartbeat = Data(#"{"service_name":"checkout","events":[{"instance_id":"nobody"}]}"#.utf8)
        let refused = try await ask(node, "/v1/events/registry/checkout/heartbeat", post: heartbeat, token: Self.token)
        #expect(refused.status == 409 && refused.body.contains("unknown_instance"), "\(refused)")
        let rejected = try await ask(node, "/v1/events/registry/payments/heartbeat", post: heartbeat, token: Self.token)
        #expect(rejected.status == 400 && rejected.body.contains("wrong_owner"), "\(rejected)")
    }

    @Test func `takes protobuf, and tells its refusal too`() async throws {
        let node = try await start()
        // service_name "checkout", one heartbeat of "nobody".
        let bytes = Data([0x0A, 8] + Array("checkout".utf8) + [0x12, 8, 0x0A, 6] + Array("nobody".utf8))
        let refused = try await ask(
            node, "/v1/events/registry/checkout/heartbeat", post: bytes, token: Self.token,
            type: "application/protobuf")
        #expect(refused.status == 409 && refused.isJSONObject, "\(refused)")
    }

    @Test func `waits for the outcome over a stream too`() async throws {
        let node = try await start(["--stream", "LATTICE"])
        let leads = try await eventually(within: .seconds(15)) {
            try await ask(node, "/v1/queries/node/status").body.contains(#""leader":true"#)
        }
        try #require(leads)
        let accepted = try await register(node)
        #expect(accepted.status == 200 && accepted.body.contains(#""outcome":"accepted""#), "\(accepted)")
        // The stream swallows the second, so that no node hears of it.
        var answers: [Answer] = []
        for _ in 0..<2 {
            answers.append(try await ask(node, Self.path, post: Self.registration, token: Self.token, id: "once"))
        }
        #expect(answers.map(\.status) == [200, 200])
        #expect(answers[1].isJSONObject && answers[1].body.contains(#""outcome":"duplicate""#), "\(answers)")
    }

    @Test func `answers queries with the node's own errors`() async throws {
        let node = try await start()
        let senseless = try await ask(node, "/v1/queries/registry/resolve", post: Data(#"{"no":1}"#.utf8))
        #expect(senseless.status == 400 && senseless.isJSONObject, "\(senseless)")
        let unknown = try await ask(node, "/v1/queries/registry/nonsense")
        #expect(unknown.status == 404 && unknown.isJSONObject, "\(unknown)")
        let future = try await ask(node, "/v1/queries/registry/services?at_sequence=999999")
        #expect(future.status == 425 && future.isJSONObject, "\(future)")
        let status = try await ask(node, "/v1/queries/node/status")
        #expect(status.status == 200 && status.body.contains("node_id"), "\(status)")
    }

    @Test func `answers an unknown route and a large body in JSON`() async throws {
        let node = try await start()
        let unknown = try await ask(node, "/nowhere")
        #expect(unknown.status == 404 && unknown.isJSONObject, "\(unknown)")
        let large = try await ask(
            node, "/v1/queries/registry/resolve", post: Data(repeating: 0x20, count: (1 << 20) + 1))
        #expect(large.status == 413 && large.isJSONObject, "\(large)")
    }

    @Test func `lists healthy instances for Prometheus, and an empty list where there are none`() async throws {
        let node = try await start()
        #expect(try await ask(node, "/sd/prometheus").body == "[]")
        _ = try await register(node)
        let listed = try await ask(node, "/sd/prometheus").body
        #expect(listed.contains(#""targets":["10.0.0.1:8080"]"#) && listed.contains("checkout"), "\(listed)")
    }

    @Test func `shows metrics that Prometheus can read`() async throws {
        let node = try await start()
        _ = try await register(node)
        var text = ""
        let hasCounted = try await eventually {
            text = try await ask(node, "/metrics").body
            return text.contains("\nlattice_events_accepted_total ")
        }
        #expect(hasCounted, "\(text)")
        var typed: Set<String> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") { typed.insert(String(line.split(separator: " ")[2])) }
            if line.hasPrefix("#") { continue }
            let match = try line.wholeMatch(of: Regex(#"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)"#))
            let name = String(try #require(match?.output[1].substring, "\(line)"))
            #expect(Double(match?.output[3].substring ?? "") != nil, "\(line)")
            let bases = ["", "_bucket", "_sum", "_count"].filter(name.hasSuffix).map { String(name.dropLast($0.count)) }
            #expect(bases.contains(where: typed.contains), "\(line)")
        }
        #expect(!typed.isEmpty)
    }
}
