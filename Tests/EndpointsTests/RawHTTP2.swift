// A client of HTTP/2 that sends whatever bytes a test wants, and reads the frames that come back.

import Foundation
import NIOCore
import NIOHPACK
import NIOPosix
import NIOSSL
import Synchronization
import TestKit

/// Bytes of HTTP/2, right or wrong.
enum HTTP2Bytes {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let endStream: UInt8 = 1
    static let endHeaders: UInt8 = 4

    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    static func frame(_ kind: UInt8, flags: UInt8 = 0, stream: Int = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let count = payload.count
        let id = UInt32(truncatingIfNeeded: stream)
        let head = [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), kind, flags]
        return head + (0..<4).map { UInt8(truncatingIfNeeded: id >> UInt32(24 - 8 * $0)) } + payload
    }

    /// Fields as literals that no table keeps (RFC 7541, 6.2.2).
    static func block(_ fields: [(String, [UInt8])]) -> [UInt8] {
        fields.flatMap { name, value in [0] + string(Array(name.utf8)) + string(value) }
    }

    private static func string(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.count < 127 { return [UInt8(bytes.count)] + bytes }
        var rest = bytes.count - 127
        var result: [UInt8] = [127]
        while rest >= 128 {
            result.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return result + [UInt8(rest)] + bytes
    }

    /// A message of gRPC: whether it is packed, its length, itself.
    static func message(_ bytes: [UInt8], flag: UInt8 = 0, length: Int? = nil) -> [UInt8] {
        let count = UInt32(length ?? bytes.count)
        return [flag] + (0..<4).map { UInt8(truncatingIfNeeded: count >> UInt32(24 - 8 * $0)) } + bytes
    }

    static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

    /// The fields of a good call with some replaced, added, or (nil) left out.
    static func fields(_ changes: [(String, String?)] = []) -> [(String, [UInt8])] {
        var fields: [(String, String)] = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]
        for (name, value) in changes {
            let index = fields.firstIndex { $0.0 == name }
            if let index, let value { fields[index].1 = value }
            if let index, value == nil { fields.remove(at: index) }
            if index == nil, let value { fields.append((name, value)) }
        }
        return fields.map { ($0.0, Array($0.1.utf8)) }
    }

    static func headers(_ stream: Int, _ fields: [(String, [UInt8])], ends: Bool = false) -> [UInt8] {
        frame(Kind.headers, flags: endHeaders | (ends ? endStream : 0), stream: stream, block(fields))
    }

    static func data(_ stream: Int, _ bytes: [UInt8], ends: Bool = false) -> [UInt8] {
        frame(Kind.data, flags: ends ? endStream : 0, stream: stream, bytes)
    }
}

/// What came on one stream.
struct RawAnswer: Sendable {
    /// Each block of header fields, in order.
    var blocks: [HPACKHeaders] = []
    var data: [UInt8] = []
    var isEnded = false
    /// The code of a RST_STREAM.
    var reset: UInt32?

    func field(_ name: String) -> String? { blocks.compactMap { $0.first(name: name) }.last }

    var httpStatus: String? { field(":status") }
    var status: Int? { field("grpc-status").flatMap { Int($0) } }
    var message: String { field("grpc-message").flatMap { $0.removingPercentEncoding } ?? "" }
    var acceptEncoding: String? { field("grpc-accept-encoding") }
    var details: [UInt8]? {
        guard let text = field("grpc-status-details-bin") else { return nil }
        let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: padded).map { Array($0) }
    }
}

/// One connection.
final class RawHTTP2Client: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var decoder = HPACKDecoder(allocator: ByteBufferAllocator())
        var answers: [Int: RawAnswer] = [:]
        var goAways: [UInt32] = []
        var settingsCount = 0
        var acknowledgedPings = 0
        var isClosed = false

        mutating func take(_ more: [UInt8]) {
            bytes += more
            while bytes.count >= 9 {
                let length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
                guard bytes.count >= 9 + length else { return }
                let id = bytes[5..<9].reduce(0) { $0 << 8 | Int($1) } & 0x7FFF_FFFF
                take(bytes[3], bytes[4], id, Array(bytes[9..<9 + length]))
                bytes.removeFirst(9 + length)
            }
        }

        private mutating func take(_ kind: UInt8, _ flags: UInt8, _ id: Int, _ payload: [UInt8]) {
            switch kind {
            case HTTP2Bytes.Kind.headers:
                var buffer = ByteBuffer(bytes: payload)
                if let block = try? decoder.decodeHeaders(from: &buffer) {
                    answers[id, default: .init()].blocks.append(block)
                }
            case HTTP2Bytes.Kind.data: answers[id, default: .init()].data += payload
            case HTTP2Bytes.Kind.reset: answers[id, default: .init()].reset = Self.number(payload)
            case HTTP2Bytes.Kind.settings where flags == 0: settingsCount += 1
            case HTTP2Bytes.Kind.ping where flags == 1: acknowledgedPings += 1
            case HTTP2Bytes.Kind.goAway: goAways.append(Self.number(payload.dropFirst(4)))
            default: break
            }
            if kind < 2, flags & HTTP2Bytes.endStream != 0 { answers[id, default: .init()].isEnded = true }
        }

        private static func number(_ bytes: some Sequence<UInt8>) -> UInt32 {
            bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    private final class Ear: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Array(Self.unwrapInboundIn(data).readableBytesView)
            state.withLock { $0.take(bytes) }
        }

        func channelInactive(context: ChannelHandlerContext) { state.withLock { $0.isClosed = true } }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let ear: Ear

    private init(_ channel: any Channel, _ ear: Ear) {
        self.channel = channel
        self.ear = ear
    }

    /// - Parameter authority: whom TLS trusts (PEM); nil: without TLS.
    static func connect(_ port: Int, trusting authority: String? = nil) async throws -> RawHTTP2Client {
        let ear = Ear()
        var tls: NIOSSLContext?
        if let authority {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .file(authority)
            configuration.applicationProtocols = ["h2"]
            tls = try NIOSSLContext(configuration: configuration)
        }
        let context = tls
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context {
                        try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    }
                    try pipeline.addHandler(ear)
                }
            }.connect(host: "127.0.0.1", port: port).get()
        return RawHTTP2Client(channel, ear)
    }

    /// Connects, and says what a client says first; `settings` are pairs of an identifier and a value.
    static func greeting(
        _ port: Int, settings: [(UInt16, UInt32)] = [], trusting authority: String? = nil
    ) async throws -> RawHTTP2Client {
        let client = try await connect(port, trusting: authority)
        var payload: [UInt8] = []
        for (identifier, value) in settings {
            payload += [UInt8(identifier >> 8), UInt8(identifier & 255)]
            payload += (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
        }
        await client.send(HTTP2Bytes.preface + HTTP2Bytes.frame(HTTP2Bytes.Kind.settings, payload))
        return client
    }

    /// What cannot be written any more is of no interest.
    func send(_ bytes: [UInt8]) async { try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    func stopReading() async { try? await channel.setOption(.autoRead, value: false).get() }

    func close() async { try? await channel.close().get() }

    var isClosed: Bool { ear.state.withLock { $0.isClosed } }
    var goAways: [UInt32] { ear.state.withLock { $0.goAways } }
    var settingsCount: Int { ear.state.withLock { $0.settingsCount } }
    var acknowledgedPings: Int { ear.state.withLock { $0.acknowledgedPings } }

    /// What has come on a stream so far.
    func soFar(_ stream: Int) -> RawAnswer { ear.state.withLock { $0.answers[stream] ?? RawAnswer() } }

    /// Waits until a stream is ended or reset, or the connection closed.
    func answer(_ stream: Int = 1) async throws -> RawAnswer {
        try await waitFor("an answer on stream \(stream)") {
            let answer = soFar(stream)
            return answer.isEnded || answer.reset != nil || isClosed
        }
        return soFar(stream)
    }

    /// Sends one whole call and waits for what comes of it.
    func call(
        _ stream: Int = 1, _ fields: [(String, [UInt8])] = HTTP2Bytes.fields(), body: [UInt8]
    ) async throws -> RawAnswer {
        await send(HTTP2Bytes.headers(stream, fields) + HTTP2Bytes.data(stream, body, ends: true))
        return try await answer(stream)
    }

    func closed() async throws {
        try await waitFor("the connection is closed") { isClosed }
    }
}
