// Bytes that nobody sends in good faith, to the listener for OTLP over gRPC: it answers the next one who does.

import EventModel
import Foundation
@testable import Endpoints
import TestKit
import Testing

@Suite struct `Hostile peers of the listener for OTLP over gRPC` {
    private typealias Kind = HTTP2Bytes.Kind
    private static let good = HTTP2Bytes.message(OTLPBytes.request())

    private static let names = [
        "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type", "content-type", "content-length",
        "authorization", "te", "user-agent", "grpc-status", "grpc-trace-bin", ":path", ":method", ":scheme",
        ":authority",
        "connection", "transfer-encoding", "x", "X-Upper", "", "a b", "\u{0}", ":unknown",
    ]
    private static let values: [[UInt8]] =
        [
            "", "-1S", "1", "99999999999999999999H", "1X", "S", "-", "+1S", "0S", "1n", "00000000S",
            "9223372036854775808n",
            "1S, 2S", "gzip", "br", "identity,gzip", "application/grpc", "application/grpc;", "Bearer", "Bearer ",
            "-1", "18446744073709551616", "9223372036854775807", "0x10", "%", "%zz", "trailers", "POST", "/", "*",
            "http://x/y",
        ].map { Array($0.utf8) } + [
            [0], Array("1".utf8) + [0] + Array("S".utf8), [0x0D, 0x0A], Array("a\r\nb: c".utf8), [0x7F], [0xFF, 0xFE],
            [0xC3, 0x28], [0x20, 0x31, 0x53], [UInt8](repeating: 0x39, count: 15_000),
            [UInt8](repeating: 0x39, count: 300) + [0x53],
        ]

    /// A call whose field of that name has that value, or one more of that name.
    private static func call(_ stream: Int, _ name: String, _ value: [UInt8], isAdded: Bool) -> [UInt8] {
        var fields = HTTP2Bytes.fields()
        if let index = fields.firstIndex(where: { $0.0 == name }), !isAdded {
            fields[index].1 = value
        } else {
            fields.append((name, value))
        }
        // A block above 16 KiB would be one that is open.
        return HTTP2Bytes.headers(stream, fields) + HTTP2Bytes.data(stream, good, ends: true)
    }

    @Test(arguments: names)
    func `no value of a header field ends more than its connection`(name: String) async throws {
        try await GRPCStage.with { stage in
            for value in Self.values {
                for isAdded in [false, true] {
                    let client = try await RawHTTP2Client.greeting(stage.port)
                    await client.send(Self.call(1, name, value, isAdded: isAdded))
                    let answer = try await client.answer()
                    let isSaid = answer.status != nil || answer.reset != nil || client.isClosed
                    #expect(isSaid, "\(name): \(value.prefix(30)): \(answer)")
                    await client.close()
                }
            }
            #expect(try await stage.answersGoodCall())
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }

    @Test(arguments: [
        "", "-1S", "1", "99999999999999999999H", "1X", "1s", "S", "0x1S", "1\u{7F}S", "99999999H", "00000001S",
    ])
    func `spans are not lost for a timeout that is none`(timeout: String) async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            let answer = try await client.call(1, HTTP2Bytes.fields([("grpc-timeout", timeout)]), body: Self.good)
            #expect(answer.status == 0 || answer.reset != nil, "\(answer)")
            #expect(try await client.call(3, body: Self.good).status == 0 || client.isClosed)
        }
    }

    /// Name, what is sent, whether the connection has to end for it.
    private static let floods: [(String, @Sendable () -> [UInt8], Bool)] = [
        ("SETTINGS", { many(9_000) { _ in HTTP2Bytes.frame(Kind.settings) } }, true),
        ("PING", { many(9_000) { _ in HTTP2Bytes.frame(Kind.ping, [UInt8](repeating: 1, count: 8)) } }, true),
        ("PRIORITY", { many(9_000) { HTTP2Bytes.frame(Kind.priority, stream: 2 * $0 + 1, [0, 0, 0, 0, 1]) } }, true),
        ("WINDOW_UPDATE", { many(9_000) { _ in HTTP2Bytes.frame(Kind.windowUpdate, [0, 0, 0, 1]) } }, false),
        (
            "a window too wide", { many(3) { _ in HTTP2Bytes.frame(Kind.windowUpdate, [0x7F, 0xFF, 0xFF, 0xFF]) } },
            true
        ),
        (
            "rapid reset",
            {
                many(2_000) {
                    HTTP2Bytes.headers(2 * $0 + 1, HTTP2Bytes.fields())
                        + HTTP2Bytes.frame(Kind.reset, stream: 2 * $0 + 1, [0, 0, 0, 8])
                }
            }, true
        ),
        (
            "windows that make the listener reset",
            {
                many(2_000) {
                    HTTP2Bytes.headers(2 * $0 + 1, HTTP2Bytes.fields())
                        + HTTP2Bytes.frame(Kind.windowUpdate, stream: 2 * $0 + 1, [0, 0, 0, 0])
                }
            }, true
        ),
        (
            "CONTINUATION",
            {
                HTTP2Bytes.frame(Kind.headers, stream: 1, HTTP2Bytes.block(HTTP2Bytes.fields()))
                    + many(2_000) { _ in HTTP2Bytes.frame(Kind.continuation, stream: 1) }
            }, true
        ),
        (
            "empty DATA",
            { HTTP2Bytes.headers(1, HTTP2Bytes.fields()) + many(2_000) { _ in HTTP2Bytes.data(1, []) } }, true
        ),
        (
            "header fields above 16 KiB",
            {
                let fields = HTTP2Bytes.fields() + [("x", [UInt8](repeating: 0x61, count: 12_000))]
                let block = HTTP2Bytes.block(fields + [("y", [UInt8](repeating: 0x61, count: 12_000))])
                return HTTP2Bytes.frame(Kind.headers, stream: 1, Array(block.prefix(16_000)))
                    + HTTP2Bytes.frame(Kind.continuation, flags: 4, stream: 1, Array(block.dropFirst(16_000)))
            }, true
        ),
        ("streams without end", { many(2_000) { HTTP2Bytes.headers(2 * $0 + 1, HTTP2Bytes.fields()) } }, true),
        (
            "unknown methods, each another one",
            {
                many(150) {
                    HTTP2Bytes.headers(2 * $0 + 1, HTTP2Bytes.fields([(":path", "/a/\($0)")]), ends: true)
                }
            }, false
        ),
        (
            "a window that is overrun",
            {
                HTTP2Bytes.headers(1, HTTP2Bytes.fields())
                    + many(400) { _ in
                        HTTP2Bytes.data(1, [UInt8](repeating: 0, count: 16_384))
                    }
            }, false
        ),
        ("another frame first", { HTTP2Bytes.frame(Kind.data, stream: 1, [1]) }, true),
        ("a push", { HTTP2Bytes.frame(5, flags: 4, stream: 1, [0, 0, 0, 2]) }, true),
        (
            "a frame that is too long",
            { HTTP2Bytes.frame(Kind.data, stream: 1, [UInt8](repeating: 0, count: 70_000)) }, true
        ),
        ("an even stream", { HTTP2Bytes.headers(2, HTTP2Bytes.fields()) }, true),
        ("an unknown frame", { many(9) { _ in HTTP2Bytes.frame(0xBE, [1, 2, 3]) } }, false),
        ("ALTSVC and ORIGIN", { HTTP2Bytes.frame(0xA, [0, 0, 1]) + HTTP2Bytes.frame(0xC, [0, 1, 2]) }, false),
    ]

    private static func many(_ count: Int, _ make: (Int) -> [UInt8]) -> [UInt8] { (0..<count).flatMap(make) }

    @Test(arguments: floods.indices)
    func `a flood ends at most its connection`(index: Int) async throws {
        let (name, bytes, ends) = Self.floods[index]
        try await GRPCStage.with(budget: 4_194_304) { stage in
            let client = try await RawHTTP2Client.greeting(stage.port, settings: [(1, 0xFFFF_FFFF)])
            await client.send(bytes())
            #expect(stage.budget.usedBytes <= 4_194_304, "\(name)")
            if ends { try await client.closed() }
            #expect(try await stage.answersGoodCall(), "\(name)")
            await client.close()
            try await waitFor("nothing is kept of \(name)") { stage.budget.usedBytes == 0 }
        }
    }

    @Test func `a client may measure with a PING for each answer`() async throws {
        try await GRPCStage.with { stage in
            let client = try await RawHTTP2Client.greeting(stage.port)
            for stream in stride(from: 1, to: 601, by: 2) {
                await client.send(HTTP2Bytes.frame(Kind.ping, [UInt8](repeating: 2, count: 8)))
                #expect(try await client.call(stream, body: Self.good).status == 0)
            }
            try await waitFor("all are answered") { client.acknowledgedPings == 300 }
            #expect(!client.isClosed)
        }
    }

    private static let isNightly = ProcessInfo.processInfo.environment["LATTICE_NIGHTLY"] != nil
    private static let seed = ProcessInfo.processInfo.environment["LATTICE_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1

    @Test func `whatever bytes come, the next good call is answered`() async throws {
        let rounds = Self.isNightly ? 20_000 : 300
        try await GRPCStage.with { stage in
            for round in 0..<rounds {
                let seed = Self.seed &+ UInt64(round)
                var noise = GRPCNoise(seed: seed)
                let client = try await RawHTTP2Client.connect(stage.port)
                for piece in noise.connection(good: Self.good) { await client.send(piece) }
                if round % 50 == 49 {
                    #expect(try await stage.answersGoodCall(), "LATTICE_FUZZ_SEED=\(seed) or one of the 49 before it")
                }
                await client.close()
            }
            #expect(try await stage.answersGoodCall())
            try await waitFor("nothing is kept") { stage.budget.usedBytes == 0 }
        }
    }
}

/// Connections that are right for a while and then are not.
struct GRPCNoise {
    private var numbers: SeededGenerator

    init(seed: UInt64) { numbers = SeededGenerator(seed: seed) }

    /// What is sent, in pieces.
    mutating func connection(good: [UInt8]) -> [[UInt8]] {
        var bytes = chance(20) ? noise(60) : HTTP2Bytes.preface + HTTP2Bytes.frame(HTTP2Bytes.Kind.settings, settings())
        for _ in 0..<below(12) {
            switch below(6) {
            case 0: bytes += frame()
            case 1: bytes += call(good)
            case 2: bytes += noise(80)
            case 3: bytes += HTTP2Bytes.headers(stream(), fields(), ends: chance(3))
            case 4: bytes += HTTP2Bytes.data(stream(), chance(2) ? noise(100) : good, ends: chance(2))
            default: bytes += HTTP2Bytes.frame(HTTP2Bytes.Kind.reset, stream: stream(), noise(4))
            }
        }
        if chance(2) { damage(&bytes) }
        return pieces(bytes)
    }

    private mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &numbers) }
    private mutating func chance(_ oneIn: Int) -> Bool { below(oneIn) == 0 }
    private mutating func stream() -> Int { chance(8) ? below(1 << 31) : below(8) }
    private mutating func noise(_ limit: Int) -> [UInt8] {
        (0..<below(limit + 1)).map { _ in UInt8.random(in: .min ... .max, using: &numbers) }
    }

    private mutating func settings() -> [UInt8] {
        (0..<below(4)).flatMap { _ in [0, UInt8(below(10))] + (0..<4).map { _ in UInt8(chance(2) ? 0 : below(256)) } }
    }

    private mutating func frame() -> [UInt8] {
        HTTP2Bytes.frame(UInt8(below(16)), flags: UInt8(below(256)), stream: stream(), noise(40))
    }

    private mutating func call(_ good: [UInt8]) -> [UInt8] {
        let stream = stream()
        return HTTP2Bytes.headers(stream, fields()) + HTTP2Bytes.data(stream, good, ends: true)
    }

    private mutating func fields() -> [(String, [UInt8])] {
        var fields = HTTP2Bytes.fields()
        for _ in 0..<below(3) {
            let name = ["grpc-timeout", "grpc-encoding", "content-type", "content-length", "x", ":path"][below(6)]
            fields.append((name, noise(24)))
        }
        if chance(3) { fields.remove(at: below(fields.count)) }
        if chance(3) { fields[below(fields.count)].1 = noise(24) }
        if chance(4) { fields.swapAt(below(fields.count), below(fields.count)) }
        return fields
    }

    private mutating func damage(_ bytes: inout [UInt8]) {
        for _ in 0...below(6) where !bytes.isEmpty {
            let place = below(bytes.count)
            switch below(3) {
            case 0: bytes[place] ^= 1 << UInt8(below(8))
            case 1: bytes.remove(at: place)
            default: bytes.insert(UInt8(below(256)), at: place)
            }
        }
    }

    private mutating func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        var rest = bytes[...]
        var pieces: [[UInt8]] = []
        while !rest.isEmpty, pieces.count < 6 {
            let count = pieces.count == 5 ? rest.count : 1 + below(rest.count)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }
}
