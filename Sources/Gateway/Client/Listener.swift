// Where clients come in: HTTP/1.1, HTTP/2 by ALPN or prior knowledge, with or without TLS.

import EventModel
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS

/// Makes the pipelines of clients.
enum ClientPipeline {
    /// The first handlers of a new connection. Beyond the bound it is closed without a word.
    static func configure(_ channel: any Channel, _ loop: LoopContext, tls: NIOSSLContext?) throws {
        guard loop.admitConnection() else { return channel.close(promise: nil) }
        channel.closeFuture.assumeIsolated().whenComplete { _ in loop.connectionEnded() }
        let pipeline = channel.pipeline.syncOperations
        if let tls {
            try pipeline.addHandler(NIOSSLServerHandler(context: tls))
            try pipeline.addHandler(AgreedProtocol(loop))
        } else {
            try pipeline.addHandler(ProtocolByPreface(loop))
        }
    }

    static func addHTTP1(_ channel: any Channel, _ loop: LoopContext, isTLS: Bool) throws {
        let pipeline = channel.pipeline.syncOperations
        let client = ClientHandler(loop, stream: nil, isTLS: isTLS)
        var encoder = HTTPResponseEncoder.Configuration()
        encoder.automaticallySetFramingHeaders = false
        try pipeline.addHandler(ByteWatch(client))
        try pipeline.addHandler(HTTPResponseEncoder(configuration: encoder), name: Tunnel.serverEncoderName)
        try pipeline.addHandler(decoder(loop), name: Tunnel.serverDecoderName)
        try pipeline.addHandler(client)
    }

    private static func decoder(_ loop: LoopContext) -> ByteToMessageHandler<HTTPRequestDecoder> {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = loop.shared.settings.limits.headerBytes
        limits.maxHeaderFieldSize = loop.shared.settings.limits.headerBytes
        limits.maxHeaderFieldCount = loop.shared.settings.limits.headerCount
        return ByteToMessageHandler(
            HTTPRequestDecoder(
                leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop, limitConfiguration: limits))
    }

    /// Behind a request that asks for another protocol the decoder reads nothing more: it waits for the switch. Where there
    /// is none another decoder takes its place, and what has come meanwhile (RFC 9110, 7.8).
    static func renewDecoder(_ channel: any Channel, _ loop: LoopContext) {
        let pipeline = channel.pipeline.syncOperations
        guard let old = try? pipeline.context(name: Tunnel.serverDecoderName) else { return }
        do {
            try pipeline.addHandler(decoder(loop), name: Tunnel.serverDecoderName, position: .after(old.handler))
            pipeline.removeHandler(context: old, promise: nil)
        } catch {
            channel.close(promise: nil)
        }
    }

    static func addHTTP2(_ channel: any Channel, _ loop: LoopContext, isTLS: Bool) throws {
        let gate = HTTP2Gate()
        let connection = HTTP2Connection(loop, gate, isTLS: isTLS)
        // Of a head up to this the bounds of one request are judged, and it is answered; beyond it the connection ends.
        let blockBytes = max(262_144, 4 * loop.shared.settings.limits.headerBytes)
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 128),
            HTTP2Setting(parameter: .maxHeaderListSize, value: blockBytes),
        ]
        configuration.maximumSequentialContinuationFrames = blockBytes / 16_384 + 1
        // Frames for a stream that was reset are on their way for a while; of a forgotten one they would be the connection's end.
        configuration.maximumRecentlyResetStreams = 1_024
        let bound = NIOLoopBound(connection, eventLoop: channel.eventLoop)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(gate)
        _ = try pipeline.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: configuration, streamConfiguration: .init()
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let connection = bound.value
                let codec = StreamCodec(connection)
                try stream.pipeline.syncOperations.addHandler(codec)
                try stream.pipeline.syncOperations.addHandler(
                    ClientHandler(connection.loop, stream: codec, isTLS: connection.isTLS))
            }
        }
        try pipeline.addHandler(connection)
    }
}

/// What a connection is before anybody knows its protocol: it has a deadline, and the loop can end it.
private final class Newcomer: Client {
    private let loop: LoopContext
    private var channel: (any Channel)?
    private var slow: Scheduled<Void>?

    init(_ loop: LoopContext) { self.loop = loop }

    func came(_ context: ChannelHandlerContext) {
        let channel = context.channel
        self.channel = channel
        guard loop.join(self) else { return channel.close(promise: nil) }
        let timeout = TimeAmount.nanoseconds(loop.shared.settings.limits.headTimeout.rawValue)
        slow = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
    }

    func left() {
        slow?.cancel()
        slow = nil
        channel = nil
        loop.left(self)
    }

    func drain() { channel?.close(promise: nil) }
}

/// Looks at the first bytes: HTTP/2's preface, or anything else.
private final class ProtocolByPreface: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private let loop: LoopContext
    private let newcomer: Newcomer
    private var held: ByteBuffer?

    init(_ loop: LoopContext) {
        self.loop = loop
        newcomer = Newcomer(loop)
    }

    func handlerAdded(context: ChannelHandlerContext) { newcomer.came(context) }

    func handlerRemoved(context: ChannelHandlerContext) { newcomer.left() }

    func channelInactive(context: ChannelHandlerContext) {
        newcomer.left()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        if var held {
            held.writeBuffer(&bytes)
            bytes = held
        }
        let common = zip(bytes.readableBytesView, Self.preface).prefix { $0 == $1 }.count
        let isHTTP2 = common == Self.preface.count
        if !isHTTP2, common == bytes.readableBytes {
            held = bytes
            return
        }
        held = nil
        newcomer.left()
        do {
            let channel = context.channel
            if isHTTP2 {
                try ClientPipeline.addHTTP2(channel, loop, isTLS: false)
            } else {
                try ClientPipeline.addHTTP1(channel, loop, isTLS: false)
            }
        } catch {
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(Self.wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Waits for what TLS agrees on.
private final class AgreedProtocol: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let loop: LoopContext
    private let newcomer: Newcomer

    init(_ loop: LoopContext) {
        self.loop = loop
        newcomer = Newcomer(loop)
    }

    func handlerAdded(context: ChannelHandlerContext) { newcomer.came(context) }

    func handlerRemoved(context: ChannelHandlerContext) { newcomer.left() }

    func channelInactive(context: ChannelHandlerContext) {
        newcomer.left()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let agreed)? = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        newcomer.left()
        do {
            if agreed == "h2" {
                try ClientPipeline.addHTTP2(context.channel, loop, isTLS: true)
            } else {
                try ClientPipeline.addHTTP1(context.channel, loop, isTLS: true)
            }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
