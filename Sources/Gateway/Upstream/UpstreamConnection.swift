// One connection to an instance: at most one exchange at a time, with back-pressure both ways.

import NIOCore
import NIOHTTP1
import NIOSSL

/// What an exchange hears from its instance.
protocol AnswerReceiver: AnyObject {
    func answered(_ head: HTTPResponseHead)
    func answerBody(_ bytes: ByteBuffer)
    func answerEnded(_ trailers: HTTPHeaders?)
    /// What was heard so far is all that came at once.
    func answerPaused()
    func upstreamWritabilityChanged(_ isWritable: Bool)
    /// The connection is gone before the answer's end.
    func upstreamLost()
}

/// The last handler of a connection to an instance.
final class UpstreamConnection: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    var pool: UpstreamPool?
    var idleSince = NIODeadline.uptimeNanoseconds(0)
    /// Exchanges that were begun on it.
    private(set) var useCount = 0
    private var receiver: (any AnswerReceiver)?
    private var context: ChannelHandlerContext?
    private var isReadPaused = false
    private var isReadHeld = false
    private var mayBeKept = true
    private var isAnswerComplete = true
    /// Something went wrong with the connection: where its end is an answer's end, that answer is not whole.
    private(set) var isBroken = false
    /// Parts of an answer are being handed on; more may stand behind it.
    private var isInRead = false
    private var isReleasing = false
    private(set) var isTunnel = false
    private(set) var isWritable = true

    static let encoderName = "lattice.upstream.encoder"
    static let decoderName = "lattice.upstream.decoder"

    /// Puts the handlers into a new channel.
    static func configure(_ channel: any Channel, tls: UpstreamTLS?, host: String) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls {
            let name = tls.serverName ?? host
            let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
            try pipeline.addHandler(NIOSSLClientHandler(context: tls.context, serverHostname: isAddress ? nil : name))
        }
        var encoder = HTTPRequestEncoder.Configuration()
        encoder.automaticallySetFramingHeaders = false
        try pipeline.addHandler(HTTPRequestEncoder(configuration: encoder), name: encoderName)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = 131_072
        limits.maxHeaderFieldSize = 65_536
        try pipeline.addHandler(
            ByteToMessageHandler(
                HTTPResponseDecoder(
                    leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
                    limitConfiguration: limits)), name: decoderName)
        try pipeline.addHandler(UpstreamConnection())
    }

    // MARK: For its exchange

    /// Whether another exchange can begin.
    var isUsable: Bool { receiver == nil && mayBeKept && isAnswerComplete && context?.channel.isActive == true }

    var channel: (any Channel)? { context?.channel }

    func begin(_ receiver: any AnswerReceiver) {
        self.receiver = receiver
        useCount += 1
        isAnswerComplete = false
    }

    func write(_ part: HTTPClientRequestPart) {
        context?.write(Self.wrapOutboundOut(part), promise: nil)
    }

    func flush() { context?.flush() }

    /// Ends the exchange; the connection goes back to the pool if both sides have said all, and not before all was looked at
    /// that came with the answer: bytes behind it would be the next one's.
    func end(isRequestComplete: Bool) {
        receiver = nil
        resumeReading()
        guard isRequestComplete && isAnswerComplete && mayBeKept, let pool else { return close() }
        if isInRead { isReleasing = true } else { pool.release(self) }
    }

    func close() {
        receiver = nil
        mayBeKept = false
        context?.close(promise: nil)
    }

    func pauseReading() { isReadPaused = true }

    func resumeReading() {
        guard isReadPaused else { return }
        isReadPaused = false
        if isReadHeld {
            isReadHeld = false
            context?.read()
        }
    }

    /// From now on bytes go by it, and no exchange hears of them.
    func becomeTunnel() {
        isTunnel = true
        receiver = nil
        resumeReading()
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func read(context: ChannelHandlerContext) {
        if isReadPaused { isReadHeld = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isTunnel { return context.fireChannelRead(data) }
        isInRead = true
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            if !head.isKeepAlive { mayBeKept = false }
            // An answer that nobody asked for: the connection cannot be trusted any more.
            guard let receiver else { return close() }
            receiver.answered(head)
        case .body(let bytes): receiver?.answerBody(bytes)
        case .end(let trailers):
            isAnswerComplete = true
            receiver?.answerEnded(trailers)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isTunnel { return context.fireChannelReadComplete() }
        isInRead = false
        receiver?.answerPaused()
        guard isReleasing else { return }
        isReleasing = false
        if mayBeKept, let pool { pool.release(self) } else { close() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        receiver?.upstreamWritabilityChanged(isWritable)
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        lost()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        mayBeKept = false
        isBroken = true
        context.close(promise: nil)
    }

    private func lost() {
        mayBeKept = false
        let pool = pool
        self.pool = nil
        let receiver = receiver
        self.receiver = nil
        pool?.closed(self)
        receiver?.upstreamLost()
    }
}
