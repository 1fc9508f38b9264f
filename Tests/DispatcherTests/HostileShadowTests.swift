// Shadows that answer with anything: each copy has one outcome, in its time, and the process lives.

import EventModel
import Foundation
import Synchronization
import Testing

@testable import Dispatcher

@Suite struct `A hostile shadow` {
    /// Bytes, whether the connection ends behind them, and what becomes of the copy.
    struct Attack: Sendable, CustomTestStringConvertible {
        var bytes: [UInt8]
        var closes: Bool
        var reason: String
        var testDescription: String { "\(String(decoding: bytes.prefix(70), as: UTF8.self).debugDescription)" }

        init(_ text: String, closes: Bool = false, _ reason: String = "malformed_answer") {
            bytes = Array(text.utf8)
            self.closes = closes
            self.reason = reason
        }
    }

    private static let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    private static let statuses: [Attack] = ["000", "001", "099", "1000", "-1", "text", "", "\u{0}"].flatMap { status in
        [
            Attack("HTTP/1.1 \(status) \r\nContent-Length: 5\r\n\r\nhello"),
            Attack("HTTP/1.1 \(status)\r\n\r\nhello", closes: true),
        ]
    }

    private static let others: [Attack] = [
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        Attack("\(chunked)ffffffffffffffffff\r\n"), Attack("\(chunked)-5\r\nhello"), Attack("\(chunked)zz\r\n"),
        Attack("\(chunked)7fffffffffffffff\r\n", "too_large"),
        Attack("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        Attack("<html>HTTP/0.9</html>", closes: true), Attack("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Attack("\u{0}\u{0}\u{12}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}"), Attack("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"),
        Attack("HTTP/1.1 200 OK\r\nA: \(String(repeating: "a", count: 70_000))", "head_too_large"),
        Attack("HTTP/1.1 200 OK\r\n\(String(repeating: "A: b\r\n", count: 12_000))", "head_too_large"),
        Attack(String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 20)),
        Attack("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "switched_protocols"),
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n", "too_large"),
        Attack("HTTP/1.1 200 OK\r\n\r\n\(String(repeating: "x", count: 1_100_000))", "too_large"),
        Attack("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "malformed_encoding"),
        Attack("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 5\r\n\r\nhello", "malformed_encoding"),
        Attack("", closes: true, "connection_closed"), Attack("HTTP", closes: true, "broken_off"),
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", closes: true, "broken_off"),
    ]

    static let attacks = statuses + others

    @Test(arguments: attacks) func `ends as one failure, and the next shadow is served`(_ attack: Attack) async throws {
        let shadow = try await RawShadow { _ in attack.closes ? [.send(attack.bytes), .close] : [.send(attack.bytes)] }
        let good = try await RawShadow.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        try await withSender { sender in
            let answer = await sender.send(ShadowRequest(to: shadow.endpoint))
            #expect(answer.outcome == .failed && answer.reason == attack.reason, "\(answer)")
            #expect(answer.body.isEmpty)
            let next = await sender.send(ShadowRequest(to: good.endpoint))
            #expect(next.outcome == .succeeded && next.body == Array("ok".utf8))
        }
        // It was not asked a second time: no connection had been used before.
        #expect(shadow.received.count == 1)
        await shadow.end()
        await good.end()
    }

    @Test func `that says nothing, or speaks slowly, or its head has no end, has the copy's time and no more`()
        async throws
    {
        let endless = Array("HTTP/1.1 200 OK\r\n".utf8) + Array(repeating: UInt8(ascii: "a"), count: 60_000)
        for steps in [
            [], [RawShadow.Step.drip(endless)], [.send(Array(endless))], [.text("HTTP/1.1 100 Continue\r\n\r\n")],
        ] {
            let shadow = try await RawShadow { _ in steps }
            try await withSender { sender in
                var request = ShadowRequest(to: shadow.endpoint)
                request.timeout = .milliseconds(150)
                let answer = await sender.send(request)
                #expect(answer.outcome == .timedOut && answer.reason == "timed_out")
            }
            await shadow.end()
        }
    }

    @Test func `that ends at each byte gives the whole answer or none`() async throws {
        let whole = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8)
        for cut in 0...whole.count {
            for end in [RawShadow.Step.close, .reset] {
                let shadow = try await RawShadow { _ in [.send(Array(whole[..<cut])), end] }
                try await withSender { sender in
                    let answer = await sender.send(ShadowRequest(to: shadow.endpoint))
                    // A reset may overtake what was sent before it.
                    if answer.outcome == .succeeded {
                        #expect(cut == whole.count && answer.body == Array("abc".utf8), "\(cut)")
                    } else {
                        #expect(["connection_closed", "broken_off"].contains(answer.reason), "\(cut) \(answer)")
                    }
                }
                await shadow.end()
            }
        }
    }

    @Test func `whose answers are random has one outcome each`() async throws {
        let seeds = Atomic<UInt64>(1)
        let shadow = try await RawShadow { _ in
            var state = seeds.wrappingAdd(1, ordering: .relaxed).newValue &* 0x9E37_79B9_7F4A_7C15
            let model = Array("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: a/b\r\n\r\nabc".utf8)
            let bytes = model.map { byte -> UInt8 in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return state >> 58 == 0 ? UInt8(truncatingIfNeeded: state >> 40) : byte
            }
            return [.send(bytes), .close]
        }
        try await withSender(hasBreaker: false) { sender in
            for _ in 0..<300 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint))
                #expect([.succeeded, .failed].contains(answer.outcome), "\(answer)")
                #expect(answer.outcome == .succeeded || !answer.reason.isEmpty)
            }
        }
        await shadow.end()
    }

    @Test func `whose answers are too large is an answering one: its breaker stays closed`() async throws {
        let shadow = try await RawShadow.answering("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n")
        try await withSender { sender in
            for _ in 0..<8 {
                let answer = await sender.send(ShadowRequest(to: shadow.endpoint))
                #expect(answer.reason == "too_large" && answer.status == 200)
            }
        }
        await shadow.end()
    }

    @Test func `a sender without a breaker leaves nobody alone`() async throws {
        let shadow = try await RawShadow { _ in [.close] }
        try await withSender(hasBreaker: false) { sender in
            for _ in 0..<8 {
                #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).reason == "connection_closed")
            }
        }
        #expect(shadow.received.count == 8)
        await shadow.end()
    }

    @Test func `a name that cannot be resolved in time holds up nobody else`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let resolver = ShadowResolver { host, _ in
            if host.hasPrefix("hanging") { gate.wait() }
            return "127.0.0.1"
        }
        let shadow = try await RawShadow.answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        try await withSender(hasBreaker: false, resolver: resolver) { sender in
            await withTaskGroup(of: ShadowAnswer.self) { group in
                for number in 0..<24 {
                    var request = ShadowRequest(to: "hanging-\(number % 3):\(shadow.port)")
                    request.timeout = .milliseconds(100)
                    group.addTask { [request] in await sender.send(request) }
                }
                for await answer in group { #expect(answer.outcome == .timedOut) }
            }
            #expect(await sender.send(ShadowRequest(to: "other.name:\(shadow.port)")).outcome == .succeeded)
            #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).outcome == .succeeded)
        }
        for _ in 0..<3 { gate.signal() }
        await shadow.end()
    }

    @Test func `what is under way ends with the sender, or with the task that sends it`() async throws {
        let shadow = try await RawShadow { _ in [] }
        try await withSender { sender in
            async let pending = sender.send(ShadowRequest(to: shadow.endpoint))
            while shadow.received.isEmpty { await Task.yield() }
            let task = Task { await sender.send(ShadowRequest(to: shadow.endpoint)) }
            while shadow.received.count < 2 { await Task.yield() }
            task.cancel()
            #expect(await task.value.reason == "cancelled")
            await sender.shutdown()
            #expect(await pending.reason == "cancelled")
            #expect(await sender.send(ShadowRequest(to: shadow.endpoint)).reason == "cancelled")
        }
        await shadow.end()
    }
}
