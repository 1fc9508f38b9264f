// Connections that do nothing, or only what costs: bounded and timed, whatever they speak.

import EventModel
import TestKit
import Testing

@testable import Gateway

@Suite struct `Bounds of connections` {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    @Test func `a connection of HTTP2 without a stream ends`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service) {
            $0.limits.headTimeout = .milliseconds(300)
            $0.limits.idleTimeout = .milliseconds(600)
        }
        let begin = try await FrameClient.connect(edge.port, sendsPreface: false)
        await begin.send(Array(Self.preface.prefix(10)))
        let prefaceOnly = try await FrameClient.connect(edge.port, sendsPreface: false)
        await prefaceOnly.send(Self.preface)
        let settings = try await FrameClient.connect(edge.port)
        let openBlock = try await FrameClient.connect(edge.port)
        await openBlock.send(FrameClient.frame(FrameClient.Kind.headers, flags: 1, stream: 1, [0, 1, 65]))
        let used = try await FrameClient.connect(edge.port)
        #expect(try await used.get("/", [("x-id", "a")]).status == 200)
        let busy = try await FrameClient.connect(edge.port)
        let stream = busy.newStream()
        await busy.send(FrameClient.headers(stream, FrameClient.head("POST", "/", [("x-id", "b")]), ends: false))
        for (name, client) in [
            ("half a preface", begin), ("a preface", prefaceOnly), ("settings", settings), ("a block", openBlock),
            ("idle", used), ("a body that does not come", busy),
        ] {
            try await waitFor(name) { client.isClosed }
        }
        #expect(used.goAway == 0)
        #expect(busy.answer(stream).status == 408)
        #expect(await edge.gateway.connectionCount == 0)
        await edge.close()
        await service.stop()
    }

    @Test func `streams that nobody reads end, and their connection with them`() async throws {
        let service = try await HTTPService.start("a", .bytes(1_000_000))
        let edge = try await Edge.open([service]) { $0.limits.idleTimeout = .milliseconds(500) }
        // A window of nothing: SETTINGS_INITIAL_WINDOW_SIZE = 0.
        let client = try await FrameClient.connect(edge.port, settings: [0, 4, 0, 0, 0, 0])
        let streams = (0..<5).map { _ in client.newStream() }
        for stream in streams {
            await client.send(FrameClient.headers(stream, FrameClient.head("GET", "/"), ends: true))
        }
        service.temper = .answers
        let small = client.newStream()
        await client.send(FrameClient.headers(small, FrameClient.head("GET", "/small"), ends: true))
        for stream in streams + [small] {
            try await waitFor { client.answer(stream).reset != nil || client.isClosed }
        }
        try await waitFor { client.isClosed }
        #expect(await edge.gateway.connectionCount == 0)
        await edge.close()
        await service.stop()
    }

    @Test func `connections are counted whatever they speak, and not by their streams`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service) { $0.limits.connections = 4 }
        let silent = try await RawClient.connect(edge.port)
        let old = try await RawClient.connect(edge.port)
        #expect(try await old.ask("GET / HTTP/1.1\r\nhost: shop\r\nx-id: a\r\n\r\n").status == 200)
        let new = [try await FrameClient.connect(edge.port), try await FrameClient.connect(edge.port)]
        for client in new {
            let streams = (0..<10).map { _ in client.newStream() }
            for stream in streams {
                let head = FrameClient.head("POST", "/", [("x-id", "s")])
                await client.send(FrameClient.headers(stream, head, ends: false))
            }
            for stream in streams { await client.send(FrameClient.data(stream, "x", ends: true)) }
            for stream in streams { #expect(try await client.over(stream).status == 200) }
        }
        let beyond = try await RawClient.connect(edge.port)
        try await waitFor { beyond.isClosed }
        await silent.close()
        try await waitFor { (try? await edge.get("/", "x-id: b\r\n").status) == 200 }
        await edge.close()
        await service.stop()
    }

    @Test func `a gateway that stops tells it, and lets streams end`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let (idle, busy) = (try await FrameClient.connect(edge.port), try await FrameClient.connect(edge.port))
        let silent = try await RawClient.connect(edge.port)
        #expect(try await idle.get("/", [("x-id", "a")]).status == 200)
        let stream = busy.newStream()
        await busy.send(FrameClient.headers(stream, FrameClient.head("POST", "/", [("x-id", "b")]), ends: false))
        try await waitFor { service.hasBegun("b") }
        async let stopping: Void = edge.gateway.stop(patience: .seconds(20))
        try await waitFor { idle.isClosed && silent.isClosed && busy.goAway != nil }
        #expect(idle.goAway == 0 && busy.goAway == 0 && !busy.isClosed)
        await busy.send(FrameClient.data(stream, "the rest", ends: true))
        #expect(try await busy.over(stream).body == "id=b;")
        try await waitFor { busy.isClosed }
        await stopping
        await service.stop()
    }

    @Test func `behind an upgrade that is declined the connection goes on`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await RawClient.connect(edge.port)
        let upgrades = [
            "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
            "connection: keep-alive, Upgrade\r\nupgrade: TLS/1.0\r\n",
            "upgrade: h2c\r\n",
        ]
        for (number, upgrade) in upgrades.enumerated() {
            for body in ["", "content-length: 2\r\n"] {
                let id = "\(number)-\(body.isEmpty)"
                let answer = try await client.ask(
                    "POST /u HTTP/1.1\r\nhost: shop\r\nx-id: \(id)\r\n\(upgrade)\(body)\r\n"
                        + (body.isEmpty ? "" : "hi"))
                #expect(answer.answerBody == "id=\(id);", "\(upgrade)")
            }
            let answer = try await client.ask("GET /u HTTP/1.1\r\nhost: shop\r\nx-id: g\(number)\r\n\(upgrade)\r\n")
            #expect(answer.answerBody == "id=g\(number);", "\(upgrade)")
        }
        // What was sent ahead behind it is read too, and an own answer makes nobody deaf.
        let ahead = upgrades[0]
        let begin = client.text.count
        await client.send(
            "GET / HTTP/1.1\r\nhost: shop\r\nx-id: p1\r\n\(ahead)\r\nGET / HTTP/1.1\r\nhost: shop\r\nx-id: p2\r\n\r\n")
        try await waitFor { client.text.dropFirst(begin).contains("id=p2;") }
        #expect(client.text.dropFirst(begin).contains("id=p1;"))
        #expect(service.requests.allSatisfy { $0.field("upgrade") == nil || $0.field("upgrade") == "websocket" })
        #expect(service.requests.allSatisfy { $0.field("http2-settings") == nil } && service.faults == [])
        await client.close()
        await edge.close()
        await service.stop()
    }
}
