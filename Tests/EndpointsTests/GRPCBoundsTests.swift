// What peers of the listener for OTLP over gRPC may cost: bytes, streams, connections, time.

import EventModel
import Foundation
@testable import Endpoints
import TestKit
import Testing

@Suite struct `Bounds of the listener for OTLP over gRPC` {
    private static let good = HTTP2Bytes.message(OTLPBytes.request())

    @Test func `unfinished messages of all connections stay within the budget, and are paid back`() async throws {
        let budget = 1_048_576
        try await GRPCStage.with(budget: budget) { stage in
            var clients: [RawHTTP2Client] = []
            for _ in 0..<2 { clients.append(try await RawHTTP2Client.greeting(stage.port)) }
            for client in clients {
                for stream in stride(from: 1, to: 81, by: 2) {
                    await client.send(HTTP2Bytes.headers(stream, HTTP2Bytes.fields()))
                    let part = HTTP2Bytes.message([UInt8](repeating: 1, count: 16_000), length: 4_000_000)
                    await client.send(HTTP2Bytes.data(stream, part))
                    #expect(stage.budget.usedBytes <= budget)
                }
                // The last stream is refused as one that may come again, because nothing is left.
                let refused = try await client.answer(79)
                #expect(refused.status == 8 && refused.details != nil, "\(refused)")
            }
            #expect(stage.budget.usedBytes <= budget && stage.budget.usedBytes > budget / 2)
            for client in clients { await client.close() }
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
            #expect(try await stage.answersGoodCall())
        }
    }

    @Test func `one connection does not have all of the budget`() async throws {
        var limits = GRPCStage.limits
        limits.connectionBytes = 300_000
        try await GRPCStage.with(limits: limits) { stage in
            let greedy = try await RawHTTP2Client.greeting(stage.port)
            for stream in stride(from: 1, to: 21, by: 2) {
                await greedy.send(HTTP2Bytes.headers(stream, HTTP2Bytes.fields()))
                await greedy.send(HTTP2Bytes.data(stream, HTTP2Bytes.message([1], length: 4_000_000)))
            }
            #expect(try await greedy.answer(19).status == 8)
            #expect(stage.budget.usedBytes <= 300_000)
            #expect(try await stage.answersGoodCall())
        }
    }

    @Test func `a stream that is reset gives its bytes back at once`() async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            await client.send(HTTP2Bytes.headers(1, HTTP2Bytes.fields()))
            await client.send(HTTP2Bytes.data(1, HTTP2Bytes.message([1, 2, 3], length: 50_000)))
            try await waitFor("bytes are kept") { stage.budget.usedBytes > 50_000 }
            await client.send(HTTP2Bytes.frame(HTTP2Bytes.Kind.reset, stream: 1, [0, 0, 0, 8]))
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
            #expect(try await client.call(3, body: Self.good).status == 0)
        }
    }

    @Test func `a packed message is paid for by what it comes to, and refused beyond the limits`() async throws {
        // Stored blocks of deflate, as zlib frames them: nothing is really packed.
        func zlib(_ content: [UInt8]) -> [UInt8] {
            let count = UInt16(content.count)
            let length = [UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8)]
            var (low, high) = (1 as UInt32, 0 as UInt32)
            for byte in content {
                low = (low + UInt32(byte)) % 65_521
                high = (high + low) % 65_521
            }
            let sum = high << 16 | low
            return [0x78, 1, 1] + length + content
                + (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) }
        }
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let fields = HTTP2Bytes.fields([("grpc-encoding", "deflate")])
            let packed = HTTP2Bytes.message(zlib(OTLPBytes.request(noteBytes: 3_000)), flag: 1)
            #expect(try await client.call(1, fields, body: packed).status == 0)
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
        try await GRPCStage.with(budget: 40_000) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let fields = HTTP2Bytes.fields([("grpc-encoding", "deflate")])
            let packed = HTTP2Bytes.message(zlib(OTLPBytes.request(noteBytes: 3_000)), flag: 1)
            let answer = try await client.call(1, fields, body: packed)
            #expect(answer.status == 8 && answer.details != nil, "unpacked it would not fit: \(answer)")
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }

    @Test func `connections above the maximum are closed, and counted until they end`() async throws {
        var limits = GRPCStage.limits
        limits.connections = 2
        try await GRPCStage.with(limits: limits) { stage in
            let first = try await RawHTTP2Client.greeting(stage.port)
            let second = try await RawHTTP2Client.greeting(stage.port)
            try await waitFor("both are greeted") { first.settingsCount == 1 && second.settingsCount == 1 }
            let third = try await RawHTTP2Client.greeting(stage.port)
            try await third.closed()
            #expect(third.settingsCount == 0)
            await first.close()
            try await waitFor("another one is let in") {
                let next = try await RawHTTP2Client.greeting(stage.port)
                let isAnswered = try await next.call(body: Self.good).status == 0
                await next.close()
                return isAnswered
            }
            #expect(try await second.call(body: Self.good).status == 0)
        }
    }

    @Test(arguments: [[], HTTP2Bytes.preface, Array(HTTP2Bytes.preface.prefix(7)), [0x16, 3, 1]] as [[UInt8]])
    func `who does not finish a greeting is closed`(bytes: [UInt8]) async throws {
        var limits = GRPCStage.limits
        limits.handshakeTimeout = .milliseconds(100)
        try await GRPCStage.with(limits: limits) { stage in
            let client = try await RawHTTP2Client.connect(stage.port)
            await client.send(bytes)
            try await client.closed()
            #expect(try await stage.answersGoodCall())
        }
    }

    @Test(
        arguments: [
            [], HTTP2Bytes.frame(HTTP2Bytes.Kind.headers, stream: 1, HTTP2Bytes.block(HTTP2Bytes.fields())),
            [0, 0, 9, 1],
        ] as [[UInt8]])
    func `a connection without a call is told to go and closed, an open header block or not`(bytes: [UInt8])
        async throws
    {
        var limits = GRPCStage.limits
        limits.idleTimeout = .milliseconds(100)
        limits.farewellTimeout = .milliseconds(100)
        try await GRPCStage.with(limits: limits) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            await client.send(bytes)
            try await client.closed()
            #expect(client.goAways == [0, 0], "\(client.goAways)")
        }
    }

    @Test func `a message that does not come is not waited for`() async throws {
        var limits = GRPCStage.limits
        limits.bodyTimeout = .milliseconds(100)
        try await GRPCStage.with(limits: limits) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            await client.send(HTTP2Bytes.headers(1, HTTP2Bytes.fields()))
            await client.send(HTTP2Bytes.data(1, HTTP2Bytes.message([1], length: 5)))
            let answer = try await client.answer()
            #expect(answer.status == 4, "\(answer)")
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
            #expect(try await client.call(3, body: Self.good).status == 0)
        }
    }

    @Test func `an answer that is not taken is not kept`() async throws {
        var limits = GRPCStage.limits
        limits.answerTimeout = .milliseconds(100)
        try await GRPCStage.with(limits: limits) { stage in
            // A window of 0: messages of answers have to wait, and nothing ever opens it.
            let client = try await RawHTTP2Client.greeting(stage.port, settings: [(4, 0)])
            for stream in [1, 3, 5] {
                await client.send(HTTP2Bytes.headers(stream, HTTP2Bytes.fields()))
                await client.send(HTTP2Bytes.data(stream, Self.good, ends: true))
            }
            for stream in [1, 3, 5] { #expect(try await client.answer(stream).reset == 8) }
            #expect(!client.isClosed)
        }
    }

    @Test func `more calls at once than agreed do not reach the node`() async throws {
        var limits = GRPCStage.limits
        limits.streams = 4
        try await GRPCStage.with(.waits, limits: limits) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            // Each is given up and another one begun: streams are free, the work is not.
            for stream in stride(from: 1, to: 41, by: 2) {
                await client.send(HTTP2Bytes.headers(stream, HTTP2Bytes.fields()))
                await client.send(HTTP2Bytes.data(stream, Self.good, ends: true))
                await client.send(HTTP2Bytes.frame(HTTP2Bytes.Kind.reset, stream: stream, [0, 0, 0, 8]))
            }
            await client.send(HTTP2Bytes.headers(41, HTTP2Bytes.fields()))
            #expect(try await client.answer(41).reset == 7)
            #expect(stage.askedCount <= 4)
            stage.release()
            #expect(try await stage.answersGoodCall())
        }
    }
}
