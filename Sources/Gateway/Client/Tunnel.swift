// Two connections that have become one: bytes go through both ways, unread and with back-pressure.

import NIOCore
import NIOHTTP1

/// Joins a client's connection and an instance's after a 101.
enum Tunnel {
    static let serverEncoderName = "lattice.client.encoder"
    static let serverDecoderName = "lattice.client.decoder"

    /// Both are of one event loop. What came behind the heads goes along.
    static func join(_ client: any Channel, _ connection: UpstreamConnection) {
        guard let upstream = connection.channel else {
            client.close(promise: nil)
            return
        }
        connection.becomeTunnel()
        let (near, far) = (TunnelEnd(), TunnelEnd())
        near.other = far
        far.other = near
        do {
            try client.pipeline.syncOperations.addHandler(near)
            try upstream.pipeline.syncOperations.addHandler(far)
        } catch {
            client.close(promise: nil)
            upstream.close(promise: nil)
            return
        }
        // Encoders first, so that nothing is written as HTTP; decoders last, which hands their left-over bytes on.
        remove(serverEncoderName, from: client)
        remove(UpstreamConnection.encoderName, from: upstream)
        remove(UpstreamConnection.decoderName, from: upstream)
        remove(serverDecoderName, from: client)
        near.readAgain()
        far.readAgain()
    }

    private static func remove(_ name: String, from channel: any Channel) {
        let operations = channel.pipeline.syncOperations
        guard let context = try? operations.context(name: name) else { return }
        operations.removeHandler(context: context, promise: nil)
    }
}

/// One end of a tunnel.
final class TunnelEnd: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var other: TunnelEnd?
    private var context: ChannelHandlerContext?
    private var isReadHeld = false

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { other?.write(Self.unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) { other?.context?.flush() }

    private func write(_ bytes: ByteBuffer) { context?.write(Self.wrapOutboundOut(bytes), promise: nil) }

    func read(context: ChannelHandlerContext) {
        if other?.context?.channel.isWritable ?? true { context.read() } else { isReadHeld = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { other?.readIfHeld() }
    }

    func readAgain() { context?.read() }

    private func readIfHeld() {
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let other = other
        self.other = nil
        other?.end()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func end() {
        other = nil
        context?.flush()
        context?.close(promise: nil)
    }
}
