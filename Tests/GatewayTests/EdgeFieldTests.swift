// Which fields pass an edge, in every spelling of their names, and which hosts are hosts.

import NIOHTTP1
import TestKit
import Testing

@testable import Gateway

@Suite struct `Fields at the edge` {
    /// The same name as others write it.
    private func spellings(_ name: String) -> [String] {
        let capitals = name.split(separator: "-", omittingEmptySubsequences: false).map {
            $0.prefix(1).uppercased() + $0.dropFirst()
        }.joined(
            separator: "-")
        return [name, name.uppercased(), capitals, name.replacing("-", with: "_"), capitals.replacing("-", with: "_")]
    }

    private static let taken = [
        "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-original-url",
        "x-original-uri", "x-original-host", "x-rewrite-url", "x-forwarded-client-cert", "x-forwarded-port",
        "x-forwarded-prefix", "x-forwarded-anything", "x-envoy-internal", "x-envoy-external-address", "client-cert",
        "client-cert-chain", "x-ssl-client-verify", "ssl-client-cert", "x-lattice-", "x-lattice-a", "x-lattice-shadow",
        "x-lattice-a-name-that-is-long",
    ]

    @Test func `what a proxy says to a service no client says`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        for (number, name) in Self.taken.enumerated() {
            for spelling in spellings(name) {
                let kind = FieldNames.kind(spelling)
                #expect(kind == .edge || kind == .own, "\(spelling)")
                #expect(try await edge.get("/", "x-id: a\(number)\r\n\(spelling): forged\r\n").status == 200)
            }
            #expect(try await client.get("/", [("x-id", "b\(number)"), (name, "forged")]).status == 200)
        }
        // What is written anew is there once, and not the client's.
        _ = try await edge.get(
            "/", "x-id: c\r\nX_Forwarded_Proto: forged\r\nx-forwarded-host: forged\r\nCONTENT_LENGTH: 5\r\n")
        #expect(!service.requests.contains { $0.fields.contains { $0.value == "forged" } })
        #expect(!service.requests.contains { $0.fields.contains { $0.name == "content_length" } })
        for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
            #expect(service.requests("c").first?.fields.count { $0.name == name } == 1, "\(name)")
        }
        for name in [
            "x-forward", "x-latticed", "client-certs", "x-real-ips", "content-type", "xx-lattice-a", "forwards",
        ] {
            #expect(FieldNames.kind(name) == .plain, "\(name)")
        }
        #expect(service.faults == [])
        await edge.close()
        await service.stop()
    }

    @Test func `a host is a name or an address, with a port or without`() {
        for good in [
            "shop", "shop.example", "shop.example.", "Shop:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b", "shop:",
        ] {
            #expect(RequestValidator.isAuthority(good), "\(good)")
        }
        for bad in [
            "", ":80", ":", "::", "shop:80:90", "shop:a", "shop:123456", "[::1", "::1]", "[]", "[shop]", "[::1]x",
            "a b",
            "a@b", "a/b", "a?b", "a#b", "a\u{7F}", "ä", "a,b", "[::1]:80:", "a%b",
        ] {
            #expect(!RequestValidator.isAuthority(bad), "\(bad)")
        }
    }

    @Test func `the server as a whole, a complete name, an old client, and a ring of gateways`() async throws {
        let service = try await HTTPService.start("a")
        var rule = RouteRule(service: "shop")
        (rule.endpoints, rule.host) = ([service.endpoint], "shop.example")
        var rest = rule
        rest.host = ""
        let edge = try await Edge.open(rules: [rule, rest])
        let client = try await RawClient.connect(edge.port)
        #expect(try await client.ask("OPTIONS * HTTP/1.1\r\nhost: shop.example\r\n\r\n").status == 200)
        #expect(service.heard.last?.target == "*" && service.heard.last?.method == "OPTIONS")
        #expect(try await client.ask("GET * HTTP/1.1\r\nhost: shop.example\r\n\r\n").status == 400)
        #expect(
            edge.gateway.shared.currentRoutes().0.route(host: "shop.example", path: "/")?.rule.host == "shop.example")
        let judged = try RequestValidator.judge(
            HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["host": "Shop.Example.:80"]))
        #expect(judged.host == "Shop.Example")
        let old = try await RawClient.connect(edge.port)
        await old.send("GET /health HTTP/1.0\r\n\r\n")
        try await waitFor { old.isClosed }
        #expect(old.text.status == 200 && service.heard.last?.header("host") == "shop")
        let via = (0..<10).map { _ in "1.1 lattice" }.joined(separator: ", ")
        #expect(try await edge.get("/", "via: \(via)\r\n").status == 508)
        #expect(try await edge.get("/", "via: \(via.dropFirst(13))\r\n").status == 200)
        await edge.close()
        await service.stop()
    }

    @Test func `a method that is not allowed says which are`() async throws {
        let service = try await HTTPService.start("a")
        let edge = try await Edge.open([service])
        let answer = try await edge.get("/", method: "TRACE")
        #expect(answer.status == 405 && answer.lowercased().contains("allow: get, head"))
        await edge.close()
        await service.stop()
    }
}
