// Pages of other origins: none may send or read, unless their origin is named, and then as browsers ask (CORS).

import Foundation
import TestKit
import Testing

@Suite(.serialized, .enabled(if: Curl.path != nil, "no curl here")) struct `Pages of other origins` {
    private static let page = "https://shop.example"

    private static func start(_ options: [String] = []) async throws -> (node: RunningNode, otlp: String) {
        let scratch = try Scratch()
        let token = try scratch.write("token", String(repeating: "t", count: 32))
        let node = try await RunningNode(
            scratch,
            ReceiverNode.listeners + ["--jaeger", "127.0.0.1:0", "--http-token-file", token] + options)
        return (node, try #require(try node.facts["otlp_http"] as? String))
    }

    private static func preflight(_ url: String, _ method: String, origin: String = page) -> CurlRequest {
        CurlRequest(
            url: url, method: "OPTIONS",
            headers: [
                "Origin: \(origin)", "Access-Control-Request-Method: \(method)",
                "Access-Control-Request-Headers: authorization, content-type, x-tenant",
            ])
    }

    @Test func `are told nothing where nobody named them`() async throws {
        let (node, otlp) = try await Self.start()
        for (url, method) in [(otlp + "/v1/traces", "POST"), (node.httpURL + "/v1/queries/registry/services", "GET")] {
            let asked = try await Curl.ask(Self.preflight(url, method), in: node.scratch)
            #expect([403, 405].contains(asked.status), "\(url) \(asked)")
            #expect(!asked.headers.keys.contains { $0.hasPrefix("access-control") }, "\(url) \(asked)")
        }
        let sent = try await Curl.ask(
            CurlRequest(url: otlp + "/v1/traces", method: "POST", headers: ["Origin: \(Self.page)"], body: "{}"),
            in: node.scratch)
        #expect(sent.status == 403, "\(sent)")
    }

    @Test func `send spans and read answers where they are named, as a browser does`() async throws {
        let (node, otlp) = try await Self.start(["--http-allow-origin", Self.page])
        let services = node.httpURL + "/v1/queries/registry/services"
        for (url, method, methods) in [(otlp + "/v1/traces", "POST", "POST"), (services, "GET", "GET, HEAD, POST")] {
            let asked = try await Curl.ask(Self.preflight(url, method), in: node.scratch)
            #expect(asked.status == 204 && asked.body.isEmpty, "\(url) \(asked)")
            #expect(asked.headers["access-control-allow-origin"] == Self.page && asked.headers["vary"] == "Origin")
            #expect(asked.headers["access-control-allow-methods"] == methods, "\(asked)")
            #expect(asked.headers["access-control-allow-headers"] == "authorization, content-type, x-tenant")
            #expect(asked.headers["access-control-allow-credentials"] == nil)
            let stranger = try await Curl.ask(
                Self.preflight(url, method, origin: "https://evil.example"), in: node.scratch)
            #expect([403, 405].contains(stranger.status), "\(url) \(stranger)")
            #expect(stranger.headers["access-control-allow-origin"] == nil && stranger.headers["vary"] == "Origin")
        }
        let sent = try await Curl.ask(
            CurlRequest(url: otlp + "/v1/traces", method: "POST", headers: ["Origin: \(Self.page)"], body: "{}"),
            in: node.scratch)
        #expect(sent.status == 200 && sent.headers["access-control-allow-origin"] == Self.page, "\(sent)")
        let read = try await Curl.ask(CurlRequest(url: services, headers: ["Origin: \(Self.page)"]), in: node.scratch)
        #expect(read.status == 200 && read.headers["access-control-allow-origin"] == Self.page, "\(read)")
        // A page learns why it was refused, and a name that is not served is not served to it either.
        let refused = try await Curl.ask(
            CurlRequest(url: node.httpURL + "/v1/queries/audit/trail", headers: ["Origin: \(Self.page)"]),
            in: node.scratch)
        #expect(refused.status == 401 && refused.headers["access-control-allow-origin"] == Self.page, "\(refused)")
        let rebound = try await Curl.ask(
            CurlRequest(url: services, headers: ["Origin: \(Self.page)", "Host: shop.example"]), in: node.scratch)
        #expect(rebound.status == 421, "\(rebound)")
        // Where browsers do not send, nothing has changed.
        let jaeger = try #require(try node.facts["jaeger"] as? String)
        let foreign = try await Curl.ask(Self.preflight(jaeger + "/api/services", "GET"), in: node.scratch)
        #expect([403, 405].contains(foreign.status) && foreign.headers["access-control-allow-origin"] == nil)
    }

    @Test func `are all served with a star, and a text that is no origin is refused`() async throws {
        let (node, otlp) = try await Self.start(["--http-allow-origin", "*"])
        let sent = try await Curl.ask(
            CurlRequest(url: otlp + "/v1/traces", method: "POST", headers: ["Origin: http://any.example"], body: "{}"),
            in: node.scratch)
        #expect(sent.status == 200 && sent.headers["access-control-allow-origin"] == "*", "\(sent)")
        for origin in ["shop.example", "https://", "https://shop.example/path", "ftp://shop.example"] {
            let ended = try await LatticeProcess.run(
                ["serve", "--print-config", "--http-allow-origin", origin], in: node.scratch)
            #expect(ended.status == 2 && ended.errors.contains("no origin"), "\(origin) \(ended)")
        }
    }

    @Test func `what sends to OTLP over HTTP with another method is told the right one`() async throws {
        let (node, otlp) = try await Self.start()
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = try await Curl.ask(CurlRequest(url: otlp + "/v1/traces", method: method), in: node.scratch)
            #expect(answer.status == 405 && answer.headers["allow"] == "POST", "\(method) \(answer)")
        }
    }
}
