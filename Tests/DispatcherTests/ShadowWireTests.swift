// Copies on a real wire: the bytes that a shadow receives, connections that are used again, and strangers as shadows.

import EventModel
import Foundation
import MeshRules
import Synchronization
import TestKit
import Testing

@testable import Dispatcher

@Suite struct `Copies on the wire` {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test func `every byte of target, fields and body arrives as it was captured`() async throws {
        let shadow = try await RawShadow.answering(Self.ok)
        let body = (0...255).map { UInt8($0) }
        try await withSender { sender in
            for target in `The bytes of a copy`.targets {
                for method in ["GET", "DELETE"] {
                    #expect(await sender.send(ShadowRequest(to: shadow.endpoint, method, target)).outcome == .succeeded)
                }
            }
            var request = ShadowRequest(to: shadow.endpoint, "PUT", "/M%FCller?a=%5B", body: body)
            request.headers = [
                HeaderField(name: "X-Name", value: "J\u{F6}rg \u{65E5}\u{672C}"),
                HeaderField(name: "accept", value: "a"),
            ]
            #expect(await sender.send(request).outcome == .succeeded)
        }
        let lines = shadow.received.flatMap { $0.split(separator: UInt8(ascii: "\n")) }
        let requestLines = lines.map { String(decoding: $0, as: UTF8.self) }.filter { $0.hasSuffix(" HTTP/1.1\r") }
        let expected = `The bytes of a copy`.targets.flatMap { ["GET \($0) HTTP/1.1\r", "DELETE \($0) HTTP/1.1\r"] }
        // Reads and writes go over different connections.
        #expect(Set(requestLines).isSuperset(of: expected) && requestLines.count == expected.count + 1)
        let put = try #require(
            shadow.received.first { $0.starts(with: Array("PUT /M%FCller?a=%5B HTTP/1.1\r\n".utf8)) })
        #expect(put.suffix(256).elementsEqual(body))
        let head = String(decoding: put.dropLast(256), as: UTF8.self)
        #expect(head.contains("\r\nX-Name: J\u{F6}rg \u{65E5}\u{672C}\r\naccept: a\r\nx-lattice-shadow: "))
        #expect(head.hasSuffix("\r\ncontent-length: 256\r\n\r\n"))
        await shadow.end()
    }

    @Test func `what cannot be sent as it was is skipped, and no byte of it is sent`() async throws {
        let shadow = try await RawShadow.answering(Self.ok)
        try await withSender { sender in
            for (method, target) in [
                ("OPTIONS", "*"), ("GET", "http://a/"), ("CONNECT", "a:1"), ("GET", "/?code=[redacted]"),
            ] {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint, method, target))
                #expect(answer.outcome == .skipped && !answer.reason.isEmpty)
            }
            var request = ShadowRequest(to: shadow.endpoint, "POST", "/")
            request.allowWrites = false
            #expect(await sender.send(request).reason == "method_not_allowed")
        }
        #expect(shadow.received.isEmpty)
        await shadow.end()
    }

    @Test func `the mark is valid for what arrives`() async throws {
        let shadow = try await RawShadow.answering(Self.ok)
        try await withSender { sender in
            _ = await sender.send(ShadowRequest(to: shadow.endpoint, "GET", "/a%20b?x[y]=|"))
        }
        let field = try #require(shadow.text.split(separator: "\r\n").first { $0.hasPrefix("x-lattice-shadow: ") })
        let mark = try #require(ShadowMark(key: Array("0123456789abcdef".utf8)))
        let now = Timestamp(nanoseconds: 1_795_000_000_000_000_000)
        #expect(mark.isValid(String(field.dropFirst(18)), method: "GET", target: "/a%20b?x[y]=|", at: now))
        await shadow.end()
    }

    @Test func `credentials replace what was captured, and may name the host`() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/lattice-credentials-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "Authorization: Bearer own\nHost: shop.example\nContent-Length: 7\n".write(
            toFile: folder + "/real", atomically: true, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: folder + "/staging", withDestinationPath: "real")
        let shadow = try await RawShadow.answering(Self.ok)
        try await withSender(credentials: folder) { sender in
            var request = ShadowRequest(to: shadow.endpoint)
            request.authentication = "staging"
            request.headers = [HeaderField(name: "authorization", value: "captured")]
            #expect(await sender.send(request).outcome == .succeeded)
        }
        #expect(shadow.text.hasPrefix("GET / HTTP/1.1\r\nhost: shop.example\r\nauthorization: Bearer own\r\nx-lattice"))
        #expect(!shadow.text.contains("content-length") && !shadow.text.contains("captured"))
        await shadow.end()
    }

    @Test func `a file of credentials that never ends is none`() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/lattice-credentials-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let maker = try Process.run(URL(fileURLWithPath: "/usr/bin/env"), arguments: ["mkfifo", folder + "/pipe"])
        maker.waitUntilExit()
        try FileManager.default.createSymbolicLink(atPath: folder + "/zero", withDestinationPath: "/dev/zero")
        try FileManager.default.createSymbolicLink(atPath: folder + "/loop", withDestinationPath: "loop")
        for name in ["pipe", "zero", "loop"] { #expect(ShadowCredentials(directory: folder).headers(name) == nil) }
    }
}

@Suite struct `Connections to a shadow` {
    private static let ok = RawShadow.Step.text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    @Test func `are used again`() async throws {
        let shadow = try await RawShadow { _ in [Self.ok] }
        try await withSender { sender in
            for _ in 0..<20 { #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).outcome == .succeeded) }
        }
        #expect(shadow.received.count == 1)
        await shadow.end()
    }

    @Test(arguments: ["Connection: close\r\n", "X: y\r\n"])
    func `that the shadow ends after each answer, said or not, cost no copy`(_ field: String) async throws {
        let shadow = try await RawShadow { _ in
            [.text("HTTP/1.1 200 OK\r\n\(field)Content-Length: 2\r\n\r\nok"), .close]
        }
        try await withSender { sender in
            for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"] {
                for _ in 0..<25 {
                    let answer = await sender.send(ShadowRequest(to: shadow.endpoint, method, "/\(method)"))
                    #expect(answer.outcome == .succeeded, "\(method) \(answer)")
                }
            }
        }
        // What writes came once each.
        for method in ["POST", "PUT", "DELETE"] {
            #expect(shadow.text.split(separator: "\(method) /\(method) HTTP/1.1").count == 26, "\(method)")
        }
        await shadow.end()
    }

    @Test(arguments: [RawShadow.Step.close, .reset])
    func `that end where the next request arrives cost a repetition of what is safe, once`(
        _ end: RawShadow.Step
    ) async throws {
        let shadow = try await RawShadow { $0.request == 0 ? [Self.ok] : [end] }
        try await withSender { sender in
            for number in 0..<30 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint, number % 3 == 0 ? "HEAD" : "GET"))
                #expect(answer.outcome == .succeeded, "\(answer)")
            }
            for number in 0..<10 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint, "POST", "/\(number)"))
                #expect(answer.outcome == .succeeded, "\(answer)")
            }
        }
        for number in 0..<10 { #expect(shadow.text.split(separator: "POST /\(number) ").count == 2) }
        await shadow.end()
    }

    @Test func `that end before any answer are not tried for ever`() async throws {
        let shadow = try await RawShadow { $0.connection == 0 && $0.request == 0 ? [Self.ok] : [.close] }
        try await withSender { sender in
            #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).outcome == .succeeded)
            #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).reason == "connection_closed")
        }
        #expect(shadow.text.split(separator: "GET /").count == 3)
        await shadow.end()
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\nmore", "HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nmore",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
    ])
    func `with bytes behind an answer are not used again`(_ text: String) async throws {
        let shadow = try await RawShadow.answering(text)
        try await withSender { sender in
            for _ in 0..<5 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint))
                #expect(answer.outcome == .succeeded && answer.status < 500)
            }
        }
        #expect(shadow.received.count == 5)
        await shadow.end()
    }

    @Test func `a body behind the answer to a HEAD is the answer to nothing`() async throws {
        let shadow = try await RawShadow.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nHTTP/1.1 500 No\r\n\r\n")
        try await withSender { sender in
            for _ in 0..<5 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint, "HEAD"))
                #expect(answer.outcome == .succeeded && answer.status == 200 && answer.body.isEmpty)
            }
        }
        await shadow.end()
    }

    @Test func `are no more than there are places, and those at once work`() async throws {
        let shadow = try await RawShadow { _ in [Self.ok] }
        try await withSender { sender in
            for _ in 0..<5 {
                await withTaskGroup(of: ShadowAnswer.self) { group in
                    for _ in 0..<32 { group.addTask { await sender.send(ShadowRequest(to: shadow.endpoint)) } }
                    for await answer in group { #expect(answer.outcome == .succeeded, "\(answer)") }
                }
            }
        }
        #expect(shadow.received.count <= 32)
        await shadow.end()
    }

    @Test func `that cannot be made fail all that wait for one`() async throws {
        let shadow = try await RawShadow { _ in [] }
        await shadow.end()
        try await withSender(hasBreaker: false) { sender in
            await withTaskGroup(of: ShadowAnswer.self) { group in
                for number in 0..<32 {
                    let method = number % 2 == 0 ? "GET" : "POST"
                    group.addTask { await sender.send(ShadowRequest(to: shadow.endpoint, method)) }
                }
                for await answer in group { #expect(answer.reason == "not_connected") }
            }
        }
    }
}

@Suite struct `Answers that are packed` {
    /// `{"a":1}` by gzip(1) and by zlib, in hexadecimal.
    private static let gzip = "1f8b0800000000000203ab564a54b232ac0500afac1b5607000000"
    private static let zlib = "789cab564a54b232ac0500082a0209"

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        stride(from: 0, to: hexadecimal.count, by: 2).compactMap {
            UInt8(hexadecimal.dropFirst($0).prefix(2), radix: 16)
        }
    }

    private static func answer(_ coding: String, _ body: [UInt8], _ method: String = "GET") async throws -> ShadowAnswer
    {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: \(coding)\r\nContent-Length: \(body.count)\r\n\r\n"
        let shadow = try await RawShadow { _ in [.send(Array(head.utf8) + (method == "HEAD" ? [] : body))] }
        let answers = Mutex<ShadowAnswer?>(nil)
        try await withSender { sender in
            let answer = await sender.send(ShadowRequest(to: shadow.endpoint, method))
            answers.withLock { $0 = answer }
        }
        await shadow.end()
        return try #require(answers.withLock { $0 })
    }

    @Test func `are unpacked, and keep the field that says what they were`() async throws {
        for (coding, body) in [
            ("gzip", Self.gzip), ("X-GZIP", Self.gzip), ("deflate", Self.zlib), ("identity, gzip", Self.gzip),
        ] {
            let answer = try await Self.answer(coding, Self.bytes(body))
            #expect(answer.outcome == .succeeded && answer.body == Array(#"{"a":1}"#.utf8), "\(coding) \(answer)")
            #expect(answer.headers.first == HeaderField(name: "Content-Encoding", value: coding))
        }
    }

    @Test func `by a coding that is not known stay as they came`() async throws {
        for coding in ["br", "zstd", "gzip, gzip", "gzip, br", ""] {
            let answer = try await Self.answer(coding, Self.bytes(Self.gzip))
            #expect(answer.outcome == .succeeded && answer.body == Self.bytes(Self.gzip), "\(coding) \(answer)")
        }
    }

    @Test func `without a body need no unpacking`() async throws {
        for method in ["GET", "HEAD"] {
            let answer = try await Self.answer("gzip", [], method)
            #expect(answer.outcome == .succeeded && answer.body.isEmpty)
        }
        #expect(try await Self.answer("gzip", Self.bytes(Self.gzip), "HEAD").outcome == .succeeded)
    }

    @Test func `and are not what they claim fail, whatever is wrong`() async throws {
        let whole = Self.bytes(Self.gzip)
        for cut in 1..<whole.count {
            #expect(try await Self.answer("gzip", Array(whole[..<cut])).reason == "malformed_encoding", "\(cut)")
        }
        #expect(try await Self.answer("gzip", whole + [0]).reason == "malformed_encoding")
        #expect(try await Self.answer("deflate", [0, 1, 2]).reason == "malformed_encoding")
    }
}
