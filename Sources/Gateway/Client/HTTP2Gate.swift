// The frames of a client's HTTP/2 connection as they pass, by their heads alone: what is between the socket and HTTP/2.

import NIOCore

/// Two things that HTTP/2's own handler does not say or do.
///
/// It takes bounds of ours that are wider than the protocol's defaults only when the client has acknowledged them, which is
/// after its first requests: a large head in one of those would end the connection with everything on it. So the
/// acknowledgement is taken for given as soon as the client has sent its own settings, and the client's is swallowed.
///
/// And it reports what was wrong with one stream and what was wrong with the connection alike: only in the second case it has
/// sent a GOAWAY with a reason.
final class HTTP2Gate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private static let prefaceLength = 24
    private static let headLength = 9
    private static let settingsKind: UInt8 = 4
    private static let goAwayKind: UInt8 = 7
    private static let acknowledgement: [UInt8] = [0, 0, 0, settingsKind, 1, 0, 0, 0, 0]

    /// What the client has done wrong concerns the connection as a whole, and it was told so.
    private(set) var isBroken = false
    private var context: ChannelHandlerContext?
    /// The begin of a frame's head that has not come as a whole.
    private var held: ByteBuffer?
    /// Bytes to come before the next frame's head.
    private var rest = HTTP2Gate.prefaceLength
    private var hasSettings = false
    private var owesAcknowledgement = false
    private var isSettled = false
    /// Of a frame that is being written.
    private var outboundRest = 0

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isSettled { return context.fireChannelRead(data) }
        var bytes = Self.unwrapInboundIn(data)
        if var held {
            self.held = nil
            held.writeBuffer(&bytes)
            bytes = held
        }
        while bytes.readableBytes > 0, !isSettled {
            if rest > 0 {
                passRest(&bytes, context)
            } else if bytes.readableBytes < Self.headLength {
                held = bytes
                return
            } else {
                takeHead(&bytes)
            }
        }
        if bytes.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(bytes)) }
    }

    private func passRest(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) {
        guard let part = bytes.readSlice(length: min(rest, bytes.readableBytes)) else { return }
        rest -= part.readableBytes
        context.fireChannelRead(Self.wrapInboundOut(part))
        guard rest == 0, owesAcknowledgement else { return }
        owesAcknowledgement = false
        context.fireChannelRead(Self.wrapInboundOut(ByteBuffer(bytes: Self.acknowledgement)))
    }

    /// Looks at a frame's head, which stays unless it is the client's acknowledgement.
    private func takeHead(_ bytes: inout ByteBuffer) {
        let start = bytes.readerIndex
        guard let length = Self.length(bytes, at: start), let kind: UInt8 = bytes.getInteger(at: start + 3),
            let flags: UInt8 = bytes.getInteger(at: start + 4)
        else { return }
        rest = Self.headLength + length
        guard kind == Self.settingsKind else { return }
        if flags & 1 == 0 {
            owesAcknowledgement = !hasSettings
            hasSettings = true
        } else if hasSettings, length == 0 {
            bytes.moveReaderIndex(forwardBy: Self.headLength)
            rest = 0
            isSettled = true
        }
    }

    private static func length(_ bytes: ByteBuffer, at index: Int) -> Int? {
        guard let word: UInt32 = bytes.getInteger(at: index) else { return nil }
        return Int(word >> 8)
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if !isBroken, case .byteBuffer(let bytes) = Self.unwrapOutboundIn(data) { watch(bytes) }
        context.write(data, promise: promise)
    }

    /// A frame's head begins a buffer; the payload of DATA comes in one of its own.
    private func watch(_ bytes: ByteBuffer) {
        if outboundRest > 0 {
            outboundRest = max(0, outboundRest - bytes.readableBytes)
            return
        }
        let start = bytes.readerIndex
        guard bytes.readableBytes >= Self.headLength, let length = Self.length(bytes, at: start),
            let kind: UInt8 = bytes.getInteger(at: start + 3)
        else { return }
        outboundRest = max(0, Self.headLength + length - bytes.readableBytes)
        guard kind == Self.goAwayKind, let reason: UInt32 = bytes.getInteger(at: start + Self.headLength + 4)
        else { return }
        isBroken = reason != 0
    }

    /// Closes when all that was written has left.
    func closeAfterWrites() {
        guard let context else { return }
        let channel = context.channel
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(Self.wrapOutboundOut(.byteBuffer(ByteBuffer())), promise: promise)
    }
}
