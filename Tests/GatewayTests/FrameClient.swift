// A client of HTTP/2 that sends frames as they are, good or bad, and keeps what comes back.

import NIOCore
import NIOHPACK
import NIOPosix
import Synchronization
import TestKit

/// What came on one stream.
struct StreamAnswer: Sendable {
    var heads: [[String: String]] = []
    var body = ""
    var isEnded = false
    /// The reason of an RST_STREAM.
    var reset: UInt32?

    /// Of the last head that is one; 0: none came.
    var status: Int { heads.compactMap { Int($0[":status"] ?? "") }.last ?? 0 }
    var isOver: Bool { isEnded || reset != nil }
}

/// One connection.
final class FrameClient: Sendable {
    enum Kind {
        static let data: UInt8 = 0, headers: UInt8 = 1, reset: UInt8 = 3, settings: UInt8 = 4, ping: UInt8 = 6
        static let goAway: UInt8 = 7, window: UInt8 = 8
    }

    private struct State {
        var streams: [UInt32: StreamAnswer] = [:]
        var goAway: UInt32?
        var isClosed = false
    }

    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let state: Shared
        private var bytes = ByteBuffer()
        private var decoder = HPACKDecoder(allocator: ByteBufferAllocator())

        init(_ state: Shared) { self.state = state }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var new = Self.unwrapInboundIn(data)
            bytes.writeBuffer(&new)
            while bytes.readableBytes >= 9, let word: UInt32 = bytes.getInteger(at: bytes.readerIndex) {
                let length = Int(word >> 8)
                guard bytes.readableBytes >= 9 + length, let kind: UInt8 = bytes.getInteger(at: bytes.readerIndex + 3),
                    let flags: UInt8 = bytes.getInteger(at: bytes.readerIndex + 4),
                    let stream: UInt32 = bytes.getInteger(at: bytes.readerIndex + 5)
                else { return }
                bytes.moveReaderIndex(forwardBy: 9)
                guard let payload = bytes.readSlice(length: length) else { return }
                take(kind, flags, stream, payload, context)
            }
        }

        private func take(
            _ kind: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: ByteBuffer, _ context: ChannelHandlerContext
        ) {
            var payload = payload
            switch kind {
            case Kind.headers:
                let fields = (try? decoder.decodeHeaders(from: &payload)) ?? HPACKHeaders()
                let head = Dictionary(fields.map { ($0.name, $0.value) }) { "\($0), \($1)" }
                state.change(stream) {
                    $0.heads.append(head)
                    if flags & 1 != 0 { $0.isEnded = true }
                }
            case Kind.data:
                state.change(stream) {
                    $0.body += String(buffer: payload)
                    if flags & 1 != 0 { $0.isEnded = true }
                }
            case Kind.reset: state.change(stream) { $0.reset = payload.getInteger(at: payload.readerIndex) }
            case Kind.goAway: state.goAway(payload.getInteger(at: payload.readerIndex + 4) ?? .max)
            case Kind.settings where flags & 1 == 0:
                let answer = FrameClient.frame(Kind.settings, flags: 1, stream: 0, [])
                context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: answer)), promise: nil)
            default: break
            }
        }

        func channelInactive(context: ChannelHandlerContext) { state.close() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private final class Shared: Sendable {
        let state = Mutex(State())
        func change(_ stream: UInt32, _ body: (inout StreamAnswer) -> Void) {
            state.withLock { body(&$0.streams[stream, default: StreamAnswer()]) }
        }
        func goAway(_ reason: UInt32) { state.withLock { $0.goAway = reason } }
        func close() { state.withLock { $0.isClosed = true } }
    }

    private let channel: any Channel
    private let shared: Shared
    private let lastStream = Atomic<UInt32>(0)

    static func connect(
        _ port: Int, settings: [UInt8] = [], sendsPreface: Bool = true
    ) async throws -> FrameClient {
        let shared = Shared()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Ear(shared))
                }
            }.connect(host: "127.0.0.1", port: port).get()
        let client = FrameClient(channel, shared)
        if sendsPreface {
            await client.send(
                Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(Kind.settings, flags: 0, stream: 0, settings))
        }
        return client
    }

    private init(_ channel: any Channel, _ shared: Shared) {
        self.channel = channel
        self.shared = shared
    }

    // MARK: Out

    static func frame(_ kind: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        let head = [UInt8(length >> 16 & 0xFF), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF), kind, flags]
        return head + (0..<4).map { UInt8(stream >> (24 - 8 * UInt32($0)) & 0xFF) } + payload
    }

    /// Literal fields that nobody remembers.
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + text($0.0) + text($0.1) }
    }

    private static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        var (length, result) = (bytes.count, [UInt8]())
        if length < 127 { return [UInt8(length)] + bytes }
        length -= 127
        result.append(127)
        while length >= 128 {
            result.append(UInt8(length % 128 + 128))
            length /= 128
        }
        return result + [UInt8(length)] + bytes
    }

    /// The next number a stream can have.
    func newStream() -> UInt32 {
        lastStream.add(lastStream.load(ordering: .relaxed) == 0 ? 1 : 2, ordering: .relaxed).newValue
    }

    static func head(_ method: String, _ path: String, _ more: [(String, String)] = []) -> [(String, String)] {
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "shop")] + more
    }

    func send(_ bytes: [UInt8]) async { try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    /// HEADERS, and CONTINUATION behind it where they are long.
    static func headers(_ stream: UInt32, _ fields: [(String, String)], ends: Bool) -> [UInt8] {
        var rest = block(fields)[...]
        var (result, isFirst): ([UInt8], Bool) = ([], true)
        repeat {
            let part = Array(rest.prefix(16_384))
            rest = rest.dropFirst(part.count)
            let flags: UInt8 = (rest.isEmpty ? 4 : 0) | (isFirst && ends ? 1 : 0)
            result += frame(isFirst ? Kind.headers : 9, flags: flags, stream: stream, part)
            isFirst = false
        } while !rest.isEmpty
        return result
    }

    static func data(_ stream: UInt32, _ text: String, ends: Bool) -> [UInt8] {
        frame(Kind.data, flags: ends ? 1 : 0, stream: stream, Array(text.utf8))
    }

    func reset(_ stream: UInt32) async { await send(Self.frame(Kind.reset, flags: 0, stream: stream, [0, 0, 0, 8])) }

    // MARK: In

    func answer(_ stream: UInt32) -> StreamAnswer { shared.state.withLock { $0.streams[stream] ?? StreamAnswer() } }
    var goAway: UInt32? { shared.state.withLock { $0.goAway } }
    var isClosed: Bool { shared.state.withLock { $0.isClosed } }

    /// Waits until a stream is over.
    @discardableResult
    func over(_ stream: UInt32) async throws -> StreamAnswer {
        try await waitFor("stream \(stream) ends") { answer(stream).isOver || isClosed }
        return answer(stream)
    }

    /// A request without a body.
    func get(_ path: String = "/", method: String = "GET", _ more: [(String, String)] = []) async throws -> StreamAnswer
    {
        let stream = newStream()
        await send(Self.headers(stream, Self.head(method, path, more), ends: true))
        return try await over(stream)
    }

    func stopReading() async { try? await channel.setOption(.autoRead, value: false).get() }

    func close() async { try? await channel.close().get() }
}
