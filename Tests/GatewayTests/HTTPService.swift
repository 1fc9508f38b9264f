// A real HTTP server in the test's process: it answers as it is told and keeps what it was asked.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// What a server got.
struct Heard: Sendable {
    var method: String
    var target: String
    var headers: [(String, String)]
    var body: String

    func header(_ name: String) -> String? { headers.first { $0.0.lowercased() == name }?.1 }

    func count(of name: String) -> Int { headers.count { $0.0.lowercased() == name } }
}

/// One instance of a service.
final class HTTPService: Sendable {
    /// What it does with a request.
    enum Temper: Sendable {
        /// 200 with its name.
        case answers
        case status(UInt)
        /// Reads the request and closes.
        case hangsUp
        /// Never answers.
        case silent
        /// Begins an answer of 100 bytes and closes after ten.
        case cuts
        /// So many bytes.
        case bytes(Int)
        /// The request's body.
        case echo
        /// In chunks, with a trailer.
        case chunks
        /// Agrees to any upgrade and sends back what comes.
        case upgrades
    }

    private struct State {
        var temper: Temper
        var heard: [Heard] = []
        var received = 0
    }

    let name: String
    private let state: Mutex<State>
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel = Mutex<(any Channel)?>(nil)
    private let children = Mutex<[ObjectIdentifier: any Channel]>([:])
    let port = Atomic<Int>(0)

    static func start(_ name: String = "a", _ temper: Temper = .answers) async throws -> HTTPService {
        let service = HTTPService(name, temper)
        try await service.listen(on: 0)
        return service
    }

    private init(_ name: String, _ temper: Temper) {
        self.name = name
        state = Mutex(State(temper: temper))
    }

    private func listen(on wanted: Int) async throws {
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    self.children.withLock { $0[ObjectIdentifier(channel)] = channel }
                    channel.closeFuture.whenComplete { _ in
                        self.children.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) }
                    }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTPResponseEncoder(), name: "encoder")
                    try pipeline.addHandler(
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)), name: "decoder")
                    try pipeline.addHandler(ServiceHandler(self))
                }
            }.bind(host: "127.0.0.1", port: wanted).get()
        port.store(listener.localAddress?.port ?? 0, ordering: .relaxed)
        channel.withLock { $0 = listener }
    }

    var endpoint: String { "127.0.0.1:\(port.load(ordering: .relaxed))" }
    var temper: Temper {
        get { state.withLock { $0.temper } }
        set { state.withLock { $0.temper = newValue } }
    }
    var heard: [Heard] { state.withLock { $0.heard } }
    /// Bytes of bodies so far.
    var received: Int { state.withLock { $0.received } }

    func hear(_ request: Heard) { state.withLock { $0.heard.append(request) } }
    func receive(_ count: Int) { state.withLock { $0.received += count } }

    /// As a killed process: connections end, new ones are refused.
    func kill() async {
        let listener = channel.withLock { channel in
            defer { channel = nil }
            return channel
        }
        try? await listener?.close().get()
        for child in children.withLock({ Array($0.values) }) {
            try? await child.close().get()
        }
    }

    /// Listens again on the same port.
    func comeBack() async throws { try await listen(on: port.load(ordering: .relaxed)) }

    func stop() async {
        await kill()
        try? await group.shutdownGracefully()
    }
}

/// Answers on one connection.
private final class ServiceHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let service: HTTPService
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ service: HTTPService) { self.service = service }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let new):
            head = new
            body.clear()
        case .body(var bytes):
            service.receive(bytes.readableBytes)
            if body.readableBytes < 1 << 20 { body.writeBuffer(&bytes) }
        case .end:
            guard let head else { return }
            service.hear(
                Heard(
                    method: head.method.rawValue, target: head.uri, headers: head.headers.map { ($0.name, $0.value) },
                    body: String(buffer: body)))
            answer(context, head)
        }
    }

    private func answer(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        switch service.temper {
        case .answers: send(context, 200, ByteBuffer(string: service.name))
        case .status(let status): send(context, status, ByteBuffer(string: "\(status)"))
        case .hangsUp: context.close(promise: nil)
        case .silent: break
        case .cuts: sendCut(context)
        case .bytes(let count): send(context, 200, ByteBuffer(repeating: UInt8(ascii: "x"), count: count))
        case .echo: send(context, 200, body)
        case .chunks: sendChunks(context)
        case .upgrades: upgrade(context, head)
        }
    }

    private func send(_ context: ChannelHandlerContext, _ status: UInt, _ bytes: ByteBuffer) {
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: Int(status)),
            headers: [
                "content-length": "\(bytes.readableBytes)", "x-instance": service.name, "connection": "keep-alive",
            ])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func sendCut(_ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "100"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        let (channel, bytes) = (context.channel, ByteBuffer(string: "0123456789"))
        context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(bytes)))).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    private func sendChunks(_ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["transfer-encoding": "chunked"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        for part in ["one ", "two ", "three"] {
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: part)))), promise: nil)
        }
        context.writeAndFlush(Self.wrapOutboundOut(.end(["x-checksum": "6"])), promise: nil)
    }

    private func upgrade(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        let answer = HTTPResponseHead(
            version: .http1_1, status: .switchingProtocols,
            headers: ["connection": "upgrade", "upgrade": head.headers.first(name: "upgrade") ?? ""])
        context.writeAndFlush(Self.wrapOutboundOut(.head(answer)), promise: nil)
        let operations = context.pipeline.syncOperations
        guard let encoder = try? operations.context(name: "encoder"),
            let decoder = try? operations.context(name: "decoder")
        else { return }
        try? operations.addHandler(EchoHandler())
        operations.removeHandler(self, promise: nil)
        operations.removeHandler(context: encoder, promise: nil)
        operations.removeHandler(context: decoder, promise: nil)
    }
}

/// Sends bytes back.
private final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.writeAndFlush(Self.wrapOutboundOut(Self.unwrapInboundIn(data)), promise: nil)
    }
}
