// Clients that mean no good, or know no better: refused, bounded, and others do not notice.

import EventModel
import Foundation
import TestKit
import Testing

@testable import Gateway

@Suite struct `Hostile clients` {
    /// What two readers could understand in two ways.
    private static let smuggling: [(String, String)] = [
        ("two lengths", "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        (
            "the same length twice",
            "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello"
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 5, 5\r\n\r\nhello"),
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        ("signed length", "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: +5\r\n\r\nhello"),
        ("length in hexadecimal", "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 0x5\r\n\r\nhello"),
        (
            "bad chunk size",
            "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"
        ),
        (
            "a chunk size beyond every bound",
            "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n0\r\n\r\n"
        ),
        ("unknown encoding", "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("two encodings", "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (
            "encoding twice",
            "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        ("chunks of an old client", "POST / HTTP/1.0\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("blank before the colon", "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("folded field", "GET / HTTP/1.1\r\nhost: shop\r\nx-a: 1\r\n  folded\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nhost: shop\r\nx-a: a\u{0}b\r\n\r\n"),
        ("bare CR in a value", "GET / HTTP/1.1\r\nhost: shop\r\nx-a: a\rb: c\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nx-a: 1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nhost: shop\r\nhost: other\r\n\r\n"),
        ("a host with a user", "GET / HTTP/1.1\r\nhost: a@shop\r\n\r\n"),
        ("another authority", "GET http://other/ HTTP/1.1\r\nhost: shop\r\n\r\n"),
        ("another scheme", "GET ftp://shop/ HTTP/1.1\r\nhost: shop\r\n\r\n"),
        ("dot segments", "GET /public/../admin HTTP/1.1\r\nhost: shop\r\n\r\n"),
        ("escaped dot segments", "GET /public/%2e%2E/admin HTTP/1.1\r\nhost: shop\r\n\r\n"),
        (
            "a length named by Connection",
            "POST / HTTP/1.1\r\nhost: shop\r\nconnection: content-length\r\ncontent-length: 5\r\n\r\nhello"
        ),
        ("no HTTP", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
    ]

    @Test func `what can be understood in two ways is refused, and the connection ends`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        for (name, request) in Self.smuggling {
            let client = try await RawClient.connect(edge.port)
            await client.send(request + "GET /smuggled HTTP/1.1\r\nhost: shop\r\n\r\n")
            try await waitFor(name) { client.isClosed }
            #expect(client.text.isEmpty || client.text.status == 400, "\(name): \(client.text.prefix(60))")
            #expect(client.text.components(separatedBy: "HTTP/1.1").count <= 2, "\(name)")
            // Another client's request goes through meanwhile.
            #expect(try await edge.get("/fine").status == 200, "\(name)")
        }
        #expect(!service.heard.contains { $0.target == "/smuggled" })
        #expect(!service.heard.contains { $0.target.contains("admin") })
        await edge.close()
        await service.stop()
    }

    @Test func `methods that would make a tunnel or a mirror of the head are refused`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        #expect(try await edge.get("/", method: "TRACE").status == 405)
        await edge.close()
        await service.stop()
    }

    @Test func `a head that is too large is answered with 431`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        let field = "x-a: " + String(repeating: "a", count: 40_000) + "\r\n"
        #expect(try await edge.get("/", field).status == 431)
        let many = (0..<200).map { "x-\($0): 1\r\n" }.joined()
        #expect(try await edge.get("/", many).status == 431)
        #expect(service.heard.isEmpty)
        await edge.close()
        await service.stop()
    }

    @Test func `a body beyond the bound is answered with 413, whether it says so before or not`() async throws {
        let service = try await HTTPService.start("a", .echo)
        let edge = try await Edge.open([service]) { $0.limits.bodyBytes = 1_000 }
        let client = try await RawClient.connect(edge.port)
        let told = try await client.ask("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1001\r\n\r\n")
        #expect(told.status == 413)
        let other = try await RawClient.connect(edge.port)
        await other.send("POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n")
        await other.send("7d0\r\n" + String(repeating: "a", count: 2_000) + "\r\n")
        try await waitFor { other.isClosed }
        #expect(other.text.status == 413)
        #expect(try await edge.get("/", method: "POST", body: String(repeating: "a", count: 1_000)).status == 200)
        await edge.close()
        await service.stop()
    }

    @Test func `who is too slow with a head loses the connection`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service]) { $0.limits.headTimeout = .milliseconds(300) }
        let (silent, slow) = (try await RawClient.connect(edge.port), try await RawClient.connect(edge.port))
        await slow.send("GET / HTTP/1.1\r\nhost: sh")
        try await waitFor { silent.isClosed && slow.isClosed }
        #expect(slow.text.status == 408)
        #expect(try await edge.get().status == 200)
        await edge.close()
        await service.stop()
    }

    @Test func `who does not read slows only the own request`() async throws {
        let service = try await HTTPService.start("a", .bytes(30_000_000))
        let edge = try await Edge.open([service])
        let deaf = try await RawClient.connect(edge.port)
        await deaf.stopReading()
        await deaf.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        try await waitFor { service.heard.count == 1 }
        service.temper = .answers
        for _ in 0..<5 { #expect(try await edge.get().status == 200) }
        await deaf.close()
        await edge.close()
        await service.stop()
    }

    @Test func `beyond its bound of requests a gateway says when to come again`() async throws {
        let service = try await HTTPService.start("a", .silent)
        let edge = try await Edge.open([service]) { $0.limits.concurrentRequests = 2 }
        let waiting = [try await RawClient.connect(edge.port), try await RawClient.connect(edge.port)]
        for client in waiting { await client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n") }
        try await waitFor { service.heard.count == 2 }
        let answer = try await edge.get()
        #expect(answer.status == 503)
        #expect(answer.lowercased().contains("retry-after: 1"))
        for client in waiting { await client.close() }
        service.temper = .answers
        try await waitFor { try await edge.get().status == 200 }
        await edge.close()
        await service.stop()
    }
}
