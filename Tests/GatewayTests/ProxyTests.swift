// What goes through a gateway, and what does not.

import Foundation
import TestKit
import Testing

@testable import Gateway

@Suite struct `A gateway between client and service` {
    @Test func `an answer comes back with its status, fields and body`() async throws {
        let service = try await HTTPService.start("a")
        let edge = try await Edge.open([service])
        let answer = try await edge.get("/item?x=1")
        #expect(answer.status == 200)
        #expect(answer.answerBody == "a")
        #expect(answer.lowercased().contains("x-instance: a"))
        let heard = try #require(service.heard.first)
        #expect(heard.target == "/item?x=1")
        #expect(heard.header("host") == "shop")
        await edge.close()
        await service.stop()
    }

    @Test func `hop by hop fields end here, those that Connection names too`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        let answer = try await edge.get(
            "/",
            "connection: keep-alive, x-secret-hop\r\nx-secret-hop: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n"
                + "proxy-authorization: Basic eA==\r\nx-stays: 1\r\n")
        let heard = try #require(service.heard.first)
        for name in ["connection", "x-secret-hop", "keep-alive", "te", "proxy-authorization"] {
            #expect(heard.header(name) == nil, "\(name)")
        }
        #expect(heard.header("x-stays") == "1")
        #expect(!answer.lowercased().contains("connection: keep-alive"))
        await edge.close()
        await service.stop()
    }

    @Test func `the service is told who asked, and clients can not say what only the mesh may say`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        _ = try await edge.get(
            "/",
            "x-lattice-shadow: 1.abc\r\nX-Lattice-Anything: 1\r\nx-forwarded-for: 10.9.8.7\r\n"
                + "x-forwarded-proto: https\r\nx-request-id: r-77\r\n")
        let heard = try #require(service.heard.first)
        #expect(!heard.headers.contains { $0.0.lowercased().hasPrefix("x-lattice-") })
        #expect(heard.header("x-forwarded-for") == "10.9.8.7, 127.0.0.1")
        #expect(heard.header("x-forwarded-proto") == "http")
        #expect(heard.header("x-forwarded-host") == "shop")
        #expect(heard.header("x-request-id") == "r-77")
        #expect(heard.header("via") == "1.1 lattice")
        #expect(heard.count(of: "x-forwarded-proto") == 1)
        await edge.close()
        await service.stop()
    }

    @Test func `one connection carries many requests, also when they are sent ahead`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        let requests = (0..<20).map { "GET /\($0) HTTP/1.1\r\nhost: shop\r\n\r\n" }.joined()
        await client.send(requests)
        try await waitFor { client.text.components(separatedBy: "HTTP/1.1 200").count == 21 }
        #expect(service.heard.map(\.target) == (0..<20).map { "/\($0)" })
        #expect(!client.isClosed)
        await client.close()
        await edge.close()
        await service.stop()
    }

    @Test func `bodies go both ways, with a length and in chunks`() async throws {
        let service = try await HTTPService.start("a", .echo)
        let edge = try await Edge.open([service])
        #expect(try await edge.get("/", method: "POST", body: "hello").answerBody == "hello")
        let client = try await RawClient.connect(edge.port)
        let answer = try await client.ask(
            "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        #expect(answer.answerBody == "hello world")
        service.temper = .chunks
        let chunked = try await edge.get()
        #expect(chunked.lowercased().contains("transfer-encoding: chunked"))
        #expect(chunked.contains("three"))
        await client.close()
        await edge.close()
        await service.stop()
    }

    /// Among these sizes is one of which the gateway has taken all while the system's buffers hold less.
    @Test func `a slow client gets all of an answer before the connection is closed`() async throws {
        let service = try await HTTPService.start("a", .bytes(0))
        let edge = try await Edge.open([service])
        for size in stride(from: 200_000, through: 6_000_000, by: 100_000) {
            service.temper = .bytes(size)
            let client = try await RawClient.connect(edge.port)
            await client.stopReading()
            await client.send("GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
            try await Task.sleep(for: .milliseconds(40))
            await client.startReading()
            try await waitFor { client.isClosed }
            #expect((size..<size + 1_000).contains(client.byteCount), "of \(size)")
        }
        await edge.close()
        await service.stop()
    }

    @Test func `a large body is not kept in memory but held back where nobody reads it`() async throws {
        let service = try await HTTPService.start("a", .bytes(20_000_000))
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        await client.send("GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
        try await waitFor { client.isClosed }
        #expect((20_000_000..<20_001_000).contains(client.byteCount))
        await edge.close()
        await service.stop()
    }

    @Test func `HEAD has no body and an old client gets one answer and the end`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        await client.send("GET / HTTP/1.0\r\nhost: shop\r\n\r\n")
        try await waitFor { client.isClosed }
        #expect(client.text.status == 200)
        #expect(client.text.lowercased().contains("connection: close"))
        await edge.close()
        await service.stop()
    }

    @Test func `a web socket is a tunnel of bytes after the upgrade`() async throws {
        let service = try await HTTPService.start("a", .upgrades)
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        let head = try await client.ask(
            "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n", until: "\r\n\r\n")
        #expect(head.status == 101)
        #expect(head.lowercased().contains("upgrade: websocket"))
        for number in 0..<50 {
            let frame = "\u{1}frame-\(number)\u{2}"
            let echoed = try await client.ask(frame, until: frame)
            #expect(echoed.contains(frame))
        }
        await client.close()
        await edge.close()
        await service.stop()
    }

    @Test func `a route decides by host, then by the longest prefix of whole segments`() async throws {
        let services = [
            try await HTTPService.start("root"), try await HTTPService.start("api"), try await HTTPService.start("eu"),
        ]
        var rules = services.map { service in
            var rule = RouteRule(service: service.name)
            rule.endpoints = [service.endpoint]
            return rule
        }
        rules[1].path = "/api"
        rules[1].stripsPrefix = true
        rules[2].host = "*.eu.example"
        let edge = try await Edge.open(rules: rules)
        #expect(try await edge.get("/apis").answerBody == "root")
        #expect(try await edge.get("/api/v1?q=2").answerBody == "api")
        #expect(services[1].heard.first?.target == "/v1?q=2")
        let client = try await RawClient.connect(edge.port)
        let answer = try await client.ask("GET /api HTTP/1.1\r\nhost: Shop.EU.example:80\r\n\r\n")
        #expect(answer.answerBody == "eu")
        await client.close()
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `new routes are taken while requests run, and none is dropped`() async throws {
        let (old, new) = (try await HTTPService.start("old"), try await HTTPService.start("new"))
        var rule = RouteRule(service: "shop")
        rule.endpoints = [old.endpoint]
        let edge = try await Edge.open(rules: [rule])
        let failures = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var failures = 0
                    for _ in 0..<100 where (try? await edge.get().status) != 200 { failures += 1 }
                    return failures
                }
            }
            for turn in 0..<20 {
                rule.endpoints = [turn % 2 == 0 ? new.endpoint : old.endpoint]
                edge.gateway.replaceRoutes([rule])
                try? await Task.sleep(for: .milliseconds(5))
            }
            return await group.reduce(0, +)
        }
        #expect(failures == 0)
        #expect(!old.heard.isEmpty && !new.heard.isEmpty)
        await edge.close()
        await old.stop()
        await new.stop()
    }
}
