// What is wrong with one stream of HTTP/2 is that stream's trouble; what HTTP/2 says otherwise than HTTP/1.1 arrives as such.

import EventModel
import NIOHTTP1
import TestKit
import Testing

@testable import Gateway

@Suite struct `Streams of HTTP2` {
    /// Something else goes on on the connection meanwhile, and afterwards.
    private func others(
        _ client: FrameClient, _ name: String, _ body: () async throws -> Void
    ) async throws {
        let waiting = client.newStream()
        await client.send(
            FrameClient.headers(waiting, FrameClient.head("POST", "/wait", [("x-id", "wait")]), ends: false))
        try await body()
        await client.send(FrameClient.data(waiting, "now", ends: true))
        #expect(try await client.over(waiting).body == "id=wait;", "\(name): the one that went on")
        #expect(try await client.get("/", [("x-id", "next")]).body == "id=next;", "\(name): the one behind it")
        #expect(client.goAway == nil && !client.isClosed, "\(name)")
    }

    @Test func `the gateway's own answers end no connection, and one to HEAD has no body`() async throws {
        let service = try await StrictService.start()
        var rule = RouteRule(service: "shop")
        (rule.endpoints, rule.host) = ([service.endpoint], "shop")
        let edge = try await Edge.open(rules: [rule]) { $0.limits.bodyBytes = 100 }
        let client = try await FrameClient.connect(edge.port)
        for method in ["HEAD", "GET", "POST", "TRACE"] {
            try await others(client, method) {
                let stream = client.newStream()
                let head = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "nowhere")]
                await client.send(FrameClient.headers(stream, head, ends: true))
                let answer = try await client.over(stream)
                #expect(answer.status == (method == "TRACE" ? 405 : 404) && answer.isEnded)
                #expect(answer.body.isEmpty == (method == "HEAD"))
            }
        }
        try await others(client, "a body that is too large") {
            let stream = client.newStream()
            await client.send(
                FrameClient.headers(stream, FrameClient.head("POST", "/"), ends: false)
                    + FrameClient.data(stream, String(repeating: "x", count: 200), ends: false))
            try await waitFor { client.answer(stream).reset != nil }
            #expect(client.answer(stream).status == 413 && client.answer(stream).isEnded)
            #expect(client.answer(stream).reset == 0)
        }
        let old = try await RawClient.connect(edge.port)
        let answers = try await old.ask("HEAD / HTTP/1.1\r\nhost: nowhere\r\n\r\n", until: "\r\n\r\n")
        #expect(answers.status == 404 && answers.answerBody.isEmpty)
        #expect(try await old.ask("GET / HTTP/1.1\r\nhost: shop\r\nx-id: b\r\n\r\n").answerBody == "id=b;")
        await edge.close()
        await service.stop()
    }

    @Test func `heads beyond a bound are answered with 431, the first of a connection too`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        for size in [20_000, 32_000, 33_000, 60_000, 200_000] {
            let client = try await FrameClient.connect(edge.port)
            let field = ("x-large", String(repeating: "a", count: size))
            let answer = try await client.get("/", [("x-id", "large"), field])
            #expect(answer.status == (size < 32_500 ? 200 : 431), "\(size): \(answer)")
            try await others(client, "\(size)") {}
            await client.close()
        }
        let client = try await FrameClient.connect(edge.port)
        let many = (0..<300).map { ("x-\($0)", "1") }
        try await others(client, "many fields") {
            let (answer, headAnswer) = (
                try await client.get("/", many), try await client.get("/", method: "HEAD", many)
            )
            #expect(answer.status == 431 && headAnswer.status == 431 && headAnswer.body.isEmpty)
        }
        await edge.close()
        await service.stop()
    }

    /// Malformed requests (RFC 9113, 8.1.1): an answer or a reset, and never a word of them to the instance.
    private static let malformed: [(String, [(String, String)])] = [
        ("another host", FrameClient.head("GET", "/", [("host", "other")])),
        ("two hosts", FrameClient.head("GET", "/", [("host", "shop"), ("host", "shop")])),
        ("no host at all", [(":method", "GET"), (":scheme", "http"), (":path", "/")]),
        ("an empty method", FrameClient.head("", "/")),
        ("a method with a blank", FrameClient.head("GET /x", "/")),
        ("a method with a colon", FrameClient.head("GET:", "/")),
        ("a strange scheme", [(":method", "GET"), (":scheme", "file"), (":path", "/"), (":authority", "shop")]),
        ("a path without a slash", FrameClient.head("GET", "x")),
        ("a blank before a value", FrameClient.head("GET", "/", [("x-a", " b")])),
        ("a tab behind a value", FrameClient.head("GET", "/", [("x-a", "b\t")])),
        ("a vertical tab", FrameClient.head("GET", "/", [("x-a", "b\u{B}c")])),
        ("a DEL", FrameClient.head("GET", "/", [("x-a", "b\u{7F}c")])),
        ("an escape", FrameClient.head("GET", "/", [("cookie", "b\u{1B}c")])),
        ("a CR", FrameClient.head("GET", "/", [("x-a", "b\r")])),
        ("an LF", FrameClient.head("GET", "/", [("x-a", "b\nx-lattice-a: 1")])),
        ("connection", FrameClient.head("GET", "/", [("connection", "close")])),
        ("chunked", FrameClient.head("POST", "/", [("transfer-encoding", "chunked")])),
        ("an upgrade", FrameClient.head("GET", "/", [("upgrade", "websocket")])),
        ("upper case", FrameClient.head("GET", "/", [("X-A", "b")])),
        ("two lengths", FrameClient.head("POST", "/", [("content-length", "1"), ("content-length", "2")])),
        ("a signed length", FrameClient.head("POST", "/", [("content-length", "+0")])),
        ("a pseudo-field behind a field", [("x-a", "b")] + FrameClient.head("GET", "/")),
        ("an unknown pseudo-field", FrameClient.head("GET", "/") + [(":unknown", "b")]),
        ("dots", FrameClient.head("GET", "/a/../b")),
    ]

    @Test func `what is malformed is refused alone`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        for (name, head) in Self.malformed {
            try await others(client, name) {
                let stream = client.newStream()
                await client.send(FrameClient.headers(stream, head + [("x-id", "malformed")], ends: true))
                let answer = try await client.over(stream)
                #expect(answer.status == 400 || answer.reset == 1, "\(name): \(answer)")
            }
        }
        #expect(service.requests("malformed").isEmpty && service.faults == [])
        await edge.close()
        await service.stop()
    }

    /// Answers that are none, or none that HTTP/2 can bear: of the one who asked.
    @Test func `an instance's odd answers end no connection`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        let answers: [(String, String, Int?)] = [
            ("status 000", "HTTP/1.1 000 None\r\ncontent-length: 2\r\n\r\nhi", 502),
            ("status 099", "HTTP/1.1 099 None\r\ncontent-length: 2\r\n\r\nhi", 502),
            ("a 204 with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204),
            ("a 204 with a body", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", 204),
            ("a 304 with a length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304),
            ("an unasked 101", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 502),
            ("an encoding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502),
            ("no HTTP", "hello\r\n\r\n", 502),
            (
                "bytes behind",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", 200
            ),
            ("chunks that are none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", nil),
            ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi", nil),
            (
                "fields of a connection",
                "HTTP/1.1 200 OK\r\nkeep-alive: 5\r\nX-UPPER: 1\r\ncontent-length: 2\r\n\r\nhi", 200
            ),
        ]
        for (name, bytes, status) in answers {
            for method in ["GET", "HEAD"] {
                try await others(client, "\(name) \(method)") {
                    let hexadecimal = bytes.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                    let fields = [("x-id", "odd"), ("x-do", "raw"), ("x-raw", hexadecimal)]
                    let answer = try await client.get("/", method: method, fields)
                    if let status { #expect(answer.status == status || method == "HEAD", "\(name): \(answer)") }
                    #expect(answer.isOver && !answer.body.contains("evil"), "\(name): \(answer)")
                }
            }
        }
        await edge.close()
        await service.stop()
    }

    @Test func `crumbs of cookies arrive as one field, and the host is the authority`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        _ = try await client.get("/a", [("x-id", "a"), ("cookie", "a=1"), ("x-b", "2"), ("cookie", "c=3; d=4")])
        let heard = try #require(service.requests("a").first)
        #expect(heard.fields.filter { $0.name == "cookie" }.map(\.value) == ["a=1; c=3; d=4"])
        #expect(heard.field("host") == "shop" && heard.field("x-b") == "2")
        let stream = client.newStream()
        let hostOnly = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "shop"), ("x-id", "b")]
        await client.send(FrameClient.headers(stream, hostOnly, ends: true))
        #expect(try await client.over(stream).body == "id=b;")
        #expect(try await client.get("/", [("x-id", "c"), ("host", "SHOP")]).body == "id=c;")
        await edge.close()
        await service.stop()
    }

    @Test func `an answer without a length is whole only where its connection ends well`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        let whole = try await client.get("/", [("x-id", "a"), ("x-do", "end-framed")])
        #expect(whole.body == "id=a;" && whole.isEnded && whole.reset == nil)
        let cut = try await client.get("/", [("x-id", "b"), ("x-do", "reset")])
        #expect(!cut.isEnded && cut.reset != nil, "\(cut)")
        let old = try await RawClient.connect(edge.port)
        await old.send("GET / HTTP/1.1\r\nhost: shop\r\nx-id: c\r\nx-do: reset\r\n\r\n")
        try await waitFor { old.isClosed }
        #expect(!old.text.hasSuffix("0\r\n\r\n"), "chunks without their end: \(old.text)")
        #expect(client.goAway == nil)
        await edge.close()
        await service.stop()
    }
}
