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
    /// The first handlers of a new connection.
    static func configure(_ channel: any Channel, _ loop: LoopContext, tls: NIOSSLContext?) throws {
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
        let client = ClientHandler(loop, isHTTP2: false, isTLS: isTLS)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = loop.shared.settings.limits.headerBytes
        limits.maxHeaderFieldSize = loop.shared.settings.limits.headerBytes
        limits.maxHeaderFieldCount = loop.shared.settings.limits.headerCount
        var encoder = HTTPResponseEncoder.Configuration()
        encoder.automaticallySetFramingHeaders = false
        try pipeline.addHandler(ByteWatch(client))
        try pipeline.addHandler(HTTPResponseEncoder(configuration: encoder), name: Tunnel.serverEncoderName)
        try pipeline.addHandler(
            ByteToMessageHandler(
                HTTPRequestDecoder(
                    leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
                    limitConfiguration: limits)), name: Tunnel.serverDecoderName)
        try pipeline.addHandler(client)
    }

    static func addHTTP2(_ channel: any Channel, _ loop: LoopContext, isTLS: Bool) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 128),
            HTTP2Setting(parameter: .maxHeaderListSize, value: loop.shared.settings.limits.headerBytes),
        ]
        let bound = NIOLoopBound(loop, eventLoop: channel.eventLoop)
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: .init()
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let pipeline = stream.pipeline.syncOperations
                try pipeline.addHandler(HTTP2FramePayloadToHTTP1ServerCodec())
                try pipeline.addHandler(ClientHandler(bound.value, isHTTP2: true, isTLS: isTLS))
            }
        }
        try channel.pipeline.syncOperations.addHandler(ConnectionEnd())
    }
}

/// Closes a connection of HTTP/2 whose peer breaks the rules.
private final class ConnectionEnd: ChannelInboundHandler {
    typealias InboundIn = Never

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Looks at the first bytes: HTTP/2's preface, or anything else.
private final class ProtocolByPreface: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private let loop: LoopContext
    private var held: ByteBuffer?
    private var slow: Scheduled<Void>?

    init(_ loop: LoopContext) { self.loop = loop }

    func handlerAdded(context: ChannelHandlerContext) {
        let timeout = TimeAmount.nanoseconds(loop.shared.settings.limits.headTimeout.rawValue)
        let channel = context.channel
        slow = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        slow?.cancel()
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
        slow?.cancel()
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
    private var slow: Scheduled<Void>?

    init(_ loop: LoopContext) { self.loop = loop }

    func handlerAdded(context: ChannelHandlerContext) {
        let timeout = TimeAmount.nanoseconds(loop.shared.settings.limits.headTimeout.rawValue)
        let channel = context.channel
        slow = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        slow?.cancel()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let agreed)? = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        slow?.cancel()
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
