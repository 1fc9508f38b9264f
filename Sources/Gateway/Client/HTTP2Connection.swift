// A client's HTTP/2 connection as a whole: how many streams it has, how long it has had none, and what ends it.

import EventModel
import NIOCore
import NIOHTTP2

/// The last handler of a connection of HTTP/2; its streams have handlers of their own.
final class HTTP2Connection: ChannelInboundHandler, Client, Watched {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    var watchIndex = -1
    let loop: LoopContext
    let isTLS: Bool
    private let gate: HTTP2Gate
    private var context: ChannelHandlerContext?
    private var streamCount = 0
    private var hadStream = false
    private var isDraining = false
    /// Since when there is no stream.
    private var idleSince = NIODeadline.now()

    init(_ loop: LoopContext, _ gate: HTTP2Gate, isTLS: Bool) {
        self.loop = loop
        self.gate = gate
        self.isTLS = isTLS
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard loop.join(self) else {
            context.close(promise: nil)
            return
        }
        loop.watch(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { gone() }

    func channelInactive(context: ChannelHandlerContext) { gone() }

    private func gone() {
        loop.unwatch(self)
        loop.left(self)
        context = nil
    }

    /// Frames of the connection itself are of no interest here.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    /// What is wrong with one stream has ended that stream; others on the connection go on.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if gate.isBroken || !(error is any NIOHTTP2Error) { context.close(promise: nil) }
    }

    // MARK: Streams

    func streamBegan() {
        streamCount += 1
        hadStream = true
    }

    func streamEnded() {
        streamCount -= 1
        guard streamCount == 0 else { return }
        idleSince = .now()
        if isDraining { gate.closeAfterWrites() }
    }

    // MARK: Ends

    /// Lets the streams end that there are, and takes no more (RFC 9113, 6.8).
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        sayGoodbye()
        if streamCount == 0 { gate.closeAfterWrites() }
    }

    /// A preface alone, a block of fields that is never complete, frames that begin no stream: all are a connection without
    /// a stream, whatever else comes.
    func look(at now: NIODeadline) {
        guard streamCount == 0 else { return }
        let limits = loop.shared.settings.limits
        let patience = hadStream ? limits.idleTimeout : limits.headTimeout
        guard now > idleSince + .nanoseconds(patience.rawValue) else { return }
        loop.unwatch(self)
        sayGoodbye()
        // Not after the writes: who reads nothing would keep it.
        context?.close(promise: nil)
    }

    private func sayGoodbye() {
        let frame = HTTP2Frame(
            streamID: .rootStream, payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil))
        context?.writeAndFlush(Self.wrapOutboundOut(frame), promise: nil)
    }
}
