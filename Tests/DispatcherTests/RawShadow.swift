// A shadow that speaks bytes: it keeps every byte that it receives and answers with whatever a test wants.

import EventModel
import Glibc
import NIOCore
import NIOPosix
import Synchronization

@testable import Dispatcher

/// A listener on loopback.
final class RawShadow: Sendable {
    /// What is done when a request has come as a whole.
    enum Step: Sendable {
        case send([UInt8])
        /// Byte by byte, with pauses.
        case drip([UInt8])
        /// A clean end.
        case close
        /// A reset.
        case reset

        static func text(_ text: String) -> Step { .send(Array(text.utf8)) }
    }

    /// Which connection, and which request of it, both from 0.
    struct Place: Sendable, Hashable {
        var connection: Int
        var request: Int
    }

    private let book: Book
    private let channel: any Channel
    let port: Int

    static func answering(_ text: String) async throws -> RawShadow { try await RawShadow { _ in [.text(text)] } }

    init(_ steps: @escaping @Sendable (Place) -> [Step]) async throws {
        let book = Book()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RawHandler(book, steps))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.channel = channel
        self.book = book
        port = channel.localAddress?.port ?? 0
    }

    var endpoint: String { "127.0.0.1:\(port)" }

    /// What came, connection by connection.
    var received: [[UInt8]] { book.connections.withLock { $0 } }

    /// All that came.
    var text: String { String(decoding: received.flatMap(\.self), as: UTF8.self) }

    func end() async { try? await channel.close() }
}

/// What came, connection by connection.
final class Book: Sendable {
    let connections = Mutex<[[UInt8]]>([])

    func open() -> Int {
        connections.withLock { connections in
            connections.append([])
            return connections.count - 1
        }
    }

    func add(_ bytes: [UInt8], to connection: Int) { connections.withLock { $0[connection] += bytes } }
}

private final class RawHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let book: Book
    private let steps: @Sendable (RawShadow.Place) -> [RawShadow.Step]
    private var connection = 0
    private var requestCount = 0
    private var waiting: [UInt8] = []

    init(_ book: Book, _ steps: @escaping @Sendable (RawShadow.Place) -> [RawShadow.Step]) {
        self.book = book
        self.steps = steps
    }

    func channelActive(context: ChannelHandlerContext) { connection = book.open() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(Self.unwrapInboundIn(data).readableBytesView)
        book.add(bytes, to: connection)
        waiting += bytes
        while let length = Self.requestLength(waiting) {
            waiting.removeFirst(length)
            let place = RawShadow.Place(connection: connection, request: requestCount)
            requestCount += 1
            for step in steps(place) { perform(step, context) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func perform(_ step: RawShadow.Step, _ context: ChannelHandlerContext) {
        switch step {
        case .send(let bytes): context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        case .drip(let bytes): drip(bytes[...], context)
        case .close: context.close(promise: nil)
        case .reset:
            let channel = context.channel
            let provider = channel as? any SocketOptionProvider
            provider?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
        }
    }

    private func drip(_ bytes: ArraySlice<UInt8>, _ context: ChannelHandlerContext) {
        guard let first = bytes.first, context.channel.isActive else { return }
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: [first])), promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(5)) {
            self.drip(bytes.dropFirst(), context)
        }
    }

    /// Bytes of the first whole request; nil: it has not come.
    private static func requestLength(_ bytes: [UInt8]) -> Int? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
        let field = head.split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
        let length = end.upperBound + (field.flatMap { Int($0.dropFirst(16)) } ?? 0)
        return bytes.count >= length ? length : nil
    }
}

extension ShadowRequest {
    /// A request of a test to a shadow on loopback.
    init(to endpoint: String, _ method: String = "GET", _ target: String = "/", body: [UInt8] = []) {
        self.init(
            sourceService: "s", requestID: "r", endpoint: endpoint, method: method, target: target, body: body,
            timeout: .seconds(5), allowWrites: true, allowLoopback: true)
    }
}

/// A sender of a test, shut down in the end.
func withSender(
    hasBreaker: Bool = true, credentials: String = "/nonexistent", resolver: ShadowResolver = .shared,
    _ story: (HTTPShadowSender) async throws -> Void
) async throws {
    var configuration = ShadowSenderConfiguration(
        credentialsDirectory: credentials, markKey: Array("0123456789abcdef".utf8),
        now: { Timestamp(nanoseconds: 1_795_000_000_000_000_000) })
    configuration.hasBreaker = hasBreaker
    let sender = HTTPShadowSender(configuration, resolver: resolver)
    do {
        try await story(sender)
    } catch {
        await sender.shutdown()
        throw error
    }
    await sender.shutdown()
}
