// Framing as a property: whatever a client says, an instance reads exactly the requests that were sent, and nobody gets an
// answer to what somebody else has asked.

import EventModel
import Synchronization
import TestKit
import Testing

@testable import Gateway

/// A request in one of the shapes that its body can have.
private struct Shaped: CustomStringConvertible {
    enum Shape: String, CaseIterable {
        case nothing, zeroLength, length, noLength, emptyNoLength, trailers, late

        var hasBody: Bool { [.length, .noLength, .trailers, .late].contains(self) }
    }

    var isHTTP2: Bool
    var isPooled: Bool
    var method: String
    var shape: Shape
    var id: String

    /// What would be a request of its own, if anybody read it as one.
    static let body = "GET /smuggled HTTP/1.1\r\nhost: shop\r\nx-id: smuggled\r\nx-lattice-tenant: root\r\n\r\n"

    var description: String { "\(isHTTP2 ? "h2" : "h1") \(isPooled ? "pooled" : "fresh") \(method) \(shape)" }

    /// Parts of HTTP/1.1, each sent when the one before it has been taken.
    var parts: [String] {
        let head = "\(method) /\(id) HTTP/1.1\r\nhost: shop\r\nx-id: \(id)\r\n"
        let length = Self.body.utf8.count
        let chunks = "\(String(length, radix: 16))\r\n\(Self.body)\r\n0\r\n"
        return switch shape {
        case .nothing: [head + "\r\n"]
        case .zeroLength: [head + "content-length: 0\r\n\r\n"]
        case .length: [head + "content-length: \(length)\r\n\r\n" + Self.body]
        case .noLength: [head + "transfer-encoding: chunked\r\n\r\n" + chunks + "\r\n"]
        case .emptyNoLength: [head + "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"]
        case .trailers:
            [head + "transfer-encoding: chunked\r\n\r\n" + chunks + "x-behind: 1\r\nx-lattice-tenant: root\r\n\r\n"]
        case .late: [head + "content-length: \(length)\r\n\r\n", Self.body]
        }
    }

    /// The same in frames.
    func frames(_ stream: UInt32) -> [[UInt8]] {
        let head = FrameClient.head(method, "/\(id)", [("x-id", id)])
        let open = FrameClient.headers(stream, head, ends: false)
        let length = [("content-length", "\(Self.body.utf8.count)")]
        return switch shape {
        case .nothing: [FrameClient.headers(stream, head, ends: true)]
        case .zeroLength:
            [
                FrameClient.headers(stream, head + [("content-length", "0")], ends: false)
                    + FrameClient.data(stream, "", ends: true)
            ]
        case .length:
            [
                FrameClient.headers(stream, head + length, ends: false)
                    + FrameClient.data(stream, Self.body, ends: true)
            ]
        case .noLength: [open + FrameClient.data(stream, Self.body, ends: true)]
        case .emptyNoLength: [open + FrameClient.data(stream, "", ends: true)]
        case .trailers:
            [
                open + FrameClient.data(stream, Self.body, ends: false)
                    + FrameClient.headers(stream, [("x-behind", "1")], ends: true)
            ]
        case .late: [open, FrameClient.data(stream, Self.body, ends: true)]
        }
    }

    /// How it must stand on the instance's wire.
    var framing: StrictRequest.Framing {
        let length = Self.body.utf8.count
        return switch shape {
        case .nothing: .none
        case .zeroLength: .length(0)
        case .length: .length(length)
        case .noLength, .emptyNoLength, .trailers: .chunks
        case .late: isHTTP2 ? .chunks : .length(length)
        }
    }

    static func all(_ isHTTP2: Bool) -> [Shaped] {
        // HTTP/1.1's decoder knows a list of methods; HTTP/2 has any token.
        let methods = ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", isHTTP2 ? "FROB" : "REPORT"]
        var result: [Shaped] = []
        for isPooled in [false, true] {
            for method in methods {
                for shape in Shape.allCases {
                    let id = "\(isHTTP2 ? "h2" : "h1")-\(result.count)"
                    result.append(Shaped(isHTTP2: isHTTP2, isPooled: isPooled, method: method, shape: shape, id: id))
                }
            }
        }
        return result
    }
}

@Suite struct `Framing of requests` {
    /// Leaves an idle connection to the instance, or none.
    private func prepare(_ edge: Edge, _ service: StrictService, isPooled: Bool) async throws {
        let answer = try await edge.get("/prepare", isPooled ? "x-id: prepare\r\n" : "x-id: prepare\r\nx-do: close\r\n")
        #expect(answer.status == 200)
    }

    private func ask(
        _ shaped: Shaped, _ edge: Edge, _ service: StrictService, _ client: FrameClient
    ) async throws -> (status: Int, body: String) {
        if shaped.isHTTP2 {
            let stream = client.newStream()
            for frames in shaped.frames(stream) {
                await client.send(frames)
                if shaped.shape == .late { try await waitFor { service.hasBegun(shaped.id) } }
            }
            let answer = try await client.over(stream)
            #expect(answer.reset == nil || answer.reset == 0, "\(shaped): \(answer)")
            return (answer.status, answer.body)
        }
        let client = try await RawClient.connect(edge.port)
        let parts = shaped.parts
        for part in parts.dropLast() {
            await client.send(part)
            try await waitFor { service.hasBegun(shaped.id) }
        }
        let answer = try await client.ask(parts.last ?? "", until: shaped.method == "HEAD" ? "\r\n\r\n" : nil)
        await client.close()
        return (answer.status, answer.answerBody)
    }

    /// Asks again and again, and says what it got that was not its own.
    private func victim(_ name: String, _ edge: Edge, until isDone: Flag) async throws -> [String] {
        let client = try await RawClient.connect(edge.port)
        var (wrong, number) = ([String](), 0)
        while !isDone.isSet {
            number += 1
            let id = "\(name)-\(number)"
            let answer = try await client.ask("GET /\(id) HTTP/1.1\r\nhost: shop\r\nx-id: \(id)\r\n\r\n")
            if answer.status != 200 || answer.answerBody != "id=\(id);" { wrong.append("\(id): \(answer)") }
        }
        await client.close()
        return wrong
    }

    @Test(arguments: [false, true], [0, 2])
    func `an instance reads exactly what was asked, and everybody gets the own answer`(
        isHTTP2: Bool, victims: Int
    ) async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        let isDone = Flag()
        let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
            for number in 0..<victims {
                group.addTask { try await self.victim("victim-\(isHTTP2)-\(number)", edge, until: isDone) }
            }
            defer { isDone.set() }
            for shaped in Shaped.all(isHTTP2) {
                try await prepare(edge, service, isPooled: shaped.isPooled)
                let answer = try await ask(shaped, edge, service, client)
                #expect(answer.status == 200, "\(shaped)")
                #expect(answer.body == (shaped.method == "HEAD" ? "" : "id=\(shaped.id);"), "\(shaped)")
                let heard = service.requests(shaped.id)
                #expect(heard.count == 1, "\(shaped)")
                guard let request = heard.first else { continue }
                #expect(request.method == shaped.method && request.target == "/\(shaped.id)", "\(shaped)")
                #expect(request.framing == shaped.framing, "\(shaped): \(request.framing)")
                #expect(request.body == (shaped.shape.hasBody ? Shaped.body : ""), "\(shaped)")
                #expect(request.field("x-behind") == nil && request.field("x-lattice-tenant") == nil, "\(shaped)")
            }
            isDone.set()
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(wrong.isEmpty)
        #expect(service.faults == [])
        #expect(service.requests("smuggled").isEmpty)
        await client.close()
        await edge.close()
        await service.stop()
    }

    @Test func `a length that the body does not have is an error of that stream alone`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        for (told, said, isPooled) in [
            ("5", "123", false), ("5", "123", true), ("3", "12345", false), ("0", "1", true),
        ] {
            try await prepare(edge, service, isPooled: isPooled)
            let (bad, good) = (client.newStream(), client.newStream())
            await client.send(
                FrameClient.headers(
                    bad, FrameClient.head("POST", "/bad", [("x-id", "bad-\(told)"), ("content-length", told)]),
                    ends: false)
                    + FrameClient.data(bad, said, ends: true)
                    + FrameClient.headers(good, FrameClient.head("GET", "/good", [("x-id", "good")]), ends: true))
            #expect(try await client.over(good).body == "id=good;")
            let answer = try await client.over(bad)
            #expect(answer.status != 200 && (answer.reset == 1 || answer.status == 400), "\(told): \(answer)")
        }
        #expect(client.goAway == nil && !client.isClosed)
        // What says that it has no body is whole with its head; what comes behind it goes nowhere.
        #expect(
            service.requests.filter { $0.target == "/bad" }.allSatisfy { $0.framing == .length(0) && $0.body.isEmpty })
        #expect(service.faults == [])
        await client.close()
        await edge.close()
        await service.stop()
    }

    /// A client that gives up within a body: what the instance has of it must never become the begin of another request.
    @Test(arguments: [false, true])
    func `an upload that is not whole ends its connection to the instance`(isHTTP2: Bool) async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        for isPooled in [false, true] {
            try await prepare(edge, service, isPooled: isPooled)
            let before = service.cut.count
            let id = "gone-\(isPooled)"
            if isHTTP2 {
                let client = try await FrameClient.connect(edge.port)
                let stream = client.newStream()
                await client.send(
                    FrameClient.headers(stream, FrameClient.head("POST", "/gone", [("x-id", id)]), ends: false)
                        + FrameClient.data(stream, "begin", ends: false))
                try await waitFor { service.hasBegun(id) }
                await client.reset(stream)
                try await waitFor("the instance sees the end") { service.cut.count == before + 1 }
                #expect(try await client.get("/", [("x-id", "after")]).body == "id=after;")
                await client.close()
            } else {
                let client = try await RawClient.connect(edge.port)
                await client.send("POST /gone HTTP/1.1\r\nhost: shop\r\nx-id: \(id)\r\ncontent-length: 99\r\n\r\nbegin")
                try await waitFor { service.hasBegun(id) }
                await client.close()
                try await waitFor("the instance sees the end") { service.cut.count == before + 1 }
            }
            #expect(try await edge.get("/", "x-id: next\r\n").answerBody == "id=next;")
        }
        #expect(service.faults == [] && !service.requests.contains { $0.target == "/gone" })
        await edge.close()
        await service.stop()
    }

    @Test func `an instance that closes within a body is no other request's trouble`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await RawClient.connect(edge.port)
        await client.send(
            "POST / HTTP/1.1\r\nhost: shop\r\nx-id: a\r\nx-do: hang-up\r\ncontent-length: 9000\r\n\r\n" + "begin")
        try await waitFor { client.text.status != 0 || client.isClosed }
        #expect(client.text.status == 502)
        try await waitFor { client.isClosed }
        for number in 0..<5 {
            #expect(try await edge.get("/", "x-id: n\(number)\r\n").answerBody == "id=n\(number);")
        }
        #expect(service.faults == [])
        await edge.close()
        await service.stop()
    }

    @Test func `an early answer arrives, and its connection carries no other request`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        for isPooled in [false, true] {
            try await prepare(edge, service, isPooled: isPooled)
            let old = try await RawClient.connect(edge.port)
            let early = "x-id: early\r\nx-do: early\r\n"
            await old.send("POST / HTTP/1.1\r\nhost: shop\r\n\(early)content-length: 900000\r\n\r\nbegin")
            // It goes on sending, as long as it can.
            for _ in 0..<20 { await old.send(String(repeating: "x", count: 30_000)) }
            try await waitFor { old.isClosed }
            #expect(old.text.status == 200 && old.text.answerBody == "id=early;")
            let client = try await FrameClient.connect(edge.port)
            let stream = client.newStream()
            await client.send(
                FrameClient.headers(
                    stream, FrameClient.head("POST", "/", [("x-id", "early"), ("x-do", "early")]), ends: false)
                    + FrameClient.data(stream, "begin", ends: false))
            let answer = try await client.over(stream)
            for _ in 0..<3 { await client.send(FrameClient.data(stream, "more", ends: false)) }
            #expect(answer.status == 200 && answer.body == "id=early;" && answer.isEnded)
            try await waitFor { client.answer(stream).reset != nil }
            #expect(client.answer(stream).reset == 0, "no error (RFC 9113, 8.1)")
            #expect(try await client.get("/", [("x-id", "next")]).body == "id=next;")
            await client.close()
        }
        let cut = service.cut
        #expect(cut.count == 4)
        #expect(
            !service.requests.contains { after in
                cut.contains { $0.connection == after.connection && $0.place < after.place }
            })
        #expect(service.faults == [])
        await edge.close()
        await service.stop()
    }

    @Test func `what is still on its way for many streams that are over ends no connection`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await FrameClient.connect(edge.port)
        let streams = (0..<100).map { _ in client.newStream() }
        for stream in streams {
            let head = FrameClient.head("POST", "/", [("x-id", "early"), ("x-do", "early")])
            await client.send(FrameClient.headers(stream, head, ends: false))
        }
        for stream in streams { try await waitFor { client.answer(stream).reset == 0 } }
        for stream in streams {
            #expect(client.answer(stream).status == 200 && client.answer(stream).isEnded)
            await client.send(FrameClient.data(stream, "x", ends: true))
        }
        #expect(try await client.get("/", [("x-id", "after")]).body == "id=after;")
        #expect(client.goAway == nil && !client.isClosed && service.faults == [])
        await client.close()
        await edge.close()
        await service.stop()
    }

    @Test func `who expects it is told to go on, and the instance gets the body`() async throws {
        let service = try await StrictService.start()
        let edge = try await Edge.open(strict: service)
        let client = try await RawClient.connect(edge.port)
        await client.send(
            "POST / HTTP/1.1\r\nhost: shop\r\nx-id: c\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        try await waitFor { client.text.hasPrefix("HTTP/1.1 100 ") }
        await client.send("hello")
        try await waitFor { client.text.contains("id=c;") }
        let heard = try #require(service.requests("c").first)
        #expect(heard.body == "hello" && heard.framing == .length(5))
        let old = try await RawClient.connect(edge.port)
        await old.send("POST / HTTP/1.0\r\nx-id: d\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello")
        try await waitFor { old.isClosed }
        #expect(old.text.status == 200, "HTTP/1.0 knows no 100")
        await edge.close()
        await service.stop()
    }
}

/// Something that has happened.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

extension Edge {
    static func open(strict service: StrictService, _ change: (inout GatewaySettings) -> Void = { _ in }) async throws
        -> Edge
    {
        var rule = RouteRule(service: "shop")
        rule.endpoints = [service.endpoint]
        return try await open(rules: [rule], change)
    }
}
