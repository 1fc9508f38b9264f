// The last handler of a client's connection (HTTP/1) or stream (HTTP/2): one exchange after the other.

import EventModel
import NIOCore
import NIOHTTP1
import NIOHTTP2

/// Reads requests, begins exchanges, writes answers, and holds back what is too fast.
final class ClientHandler: ChannelDuplexHandler, ExchangeClient, Client, Watched, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    var watchIndex = -1
    let isTLS: Bool
    private let loop: LoopContext
    /// The stream of HTTP/2 that it is the end of; nil: a connection of HTTP/1.
    private let stream: StreamCodec?
    private var context: ChannelHandlerContext?
    private var exchange: Exchange?
    /// Parts of requests that came before the answer to the one before them (pipelining).
    private var ahead = CircularBuffer<HTTPServerRequestPart>()
    private var isTakingAhead = false
    private var wantsBody = true
    private var isReadHeld = false
    /// A refused request's rest, and everything behind it, is not read.
    private var isDeaf = false
    private var keepsAlive = true
    private var isDraining = false
    private(set) var isTunnel = false
    private var isRequestOpen = false
    /// The request that is answered is a HEAD: there is no body, whoever answers.
    private var isHead = false
    /// Its end makes the decoder deaf, unless another one takes its place.
    private var asksUpgrade = false
    /// The answer is out and the client still has something to say, which is read and thrown away for a while: a connection
    /// that is closed with bytes unread takes the answer away from the client.
    private var lingerEnds: NIODeadline?
    private var isRefused = false
    private static let lingerTime = TimeAmount.seconds(2)
    private var hasUnflushed = false
    private(set) var isAnswerWritable = true
    private var lastActivity = NIODeadline.now()
    /// When the bytes of a head began that is not complete yet.
    private var headBegan: NIODeadline?
    private var stalledSince: NIODeadline?
    /// Done when the last answer has left.
    private var lastEnd: EventLoopFuture<Void>?
    private(set) var remoteAddress = ""

    init(_ loop: LoopContext, stream: StreamCodec?, isTLS: Bool) {
        self.loop = loop
        self.stream = stream
        self.isTLS = isTLS
        headBegan = stream == nil ? lastActivity : nil
    }

    var isHTTP2: Bool { stream != nil }

    var closesAfterAnswer: Bool { !isHTTP2 && (!keepsAlive || isDraining) }

    // MARK: Coming and going

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let channel = isHTTP2 ? context.channel.parent : context.channel
        remoteAddress = channel?.remoteAddress?.ipAddress ?? "unknown"
        if let stream {
            stream.connection.streamBegan()
        } else if !loop.join(self) {
            context.close(promise: nil)
            return
        }
        loop.watch(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { gone() }

    func channelInactive(context: ChannelHandlerContext) {
        if isTunnel { context.fireChannelInactive() }
        gone()
    }

    private func gone() {
        guard context != nil else { return }
        loop.unwatch(self)
        if let stream { stream.connection.streamEnded() } else { loop.left(self) }
        let exchange = exchange
        self.exchange = nil
        exchange?.cancel()
        ahead.removeAll()
        context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isTunnel { return context.fireErrorCaught(error) }
        switch error {
        case let refusal as RequestRefusal:
            isHead = stream?.isRefusedHead ?? false
            refuse(refusal)
        case _ where stream == nil && isDeaf: break
        case let error as HTTPParserError: notHTTP(error)
        default: context.close(promise: nil)
        }
    }

    /// From here on nothing of the connection can be read.
    private func notHTTP(_ error: HTTPParserError) {
        if let exchange {
            if isRequestOpen { return exchange.fail(.badRequest, "not_http") }
            // Behind a request that is still answered.
            (keepsAlive, isDeaf) = (false, true)
            return
        }
        isHead = false
        refuse(
            error == .headerOverflow
                ? RequestRefusal(.requestHeaderFieldsTooLarge, "header_too_large")
                : RequestRefusal(.badRequest, "not_http"))
    }

    func drain() {
        isDraining = true
        if isTunnel { context?.close(promise: nil) } else if exchange == nil { close() }
    }

    // MARK: Reading

    /// Bytes came in, before anybody knows what they are.
    func bytesCame() {
        lastActivity = .now()
        if exchange == nil, headBegan == nil, !isDeaf { headBegan = lastActivity }
    }

    func read(context: ChannelHandlerContext) {
        if isTunnel || mayRead { context.read() } else { isReadHeld = true }
    }

    private var mayRead: Bool {
        if lingerEnds != nil { return true }
        if isDeaf || !ahead.isEmpty { return false }
        // Behind a request for another protocol bytes would gather in the decoder, until it is known whose they are.
        return isRequestOpen ? wantsBody : exchange == nil || !asksUpgrade
    }

    private func readAgain() {
        guard isReadHeld, mayRead, let context else { return }
        isReadHeld = false
        context.read()
    }

    func wantRequestBody(_ isWanted: Bool) {
        wantsBody = isWanted
        if isWanted { readAgain() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isTunnel { return context.fireChannelRead(data) }
        let part = Self.unwrapInboundIn(data)
        if isDeaf { return }
        if !ahead.isEmpty || (exchange != nil && !isRequestOpen) { ahead.append(part) } else { take(part) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isTunnel { return context.fireChannelReadComplete() }
        exchange?.requestPaused()
        flushAnswer()
    }

    private func take(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head):
            headBegan = nil
            isRequestOpen = true
            begin(head)
        case .body(let bytes):
            lastActivity = .now()
            exchange?.requestBody(bytes)
        case .end:
            isRequestOpen = false
            exchange?.requestEnded()
            guard exchange == nil else { return }
            renewDecoderIfAsked()
            readAgain()
        }
    }

    private func renewDecoderIfAsked() {
        guard asksUpgrade, !isDeaf, let context else { return }
        asksUpgrade = false
        ClientPipeline.renewDecoder(context.channel, loop)
    }

    private func begin(_ head: HTTPRequestHead) {
        let now = NIODeadline.now()
        let judged: ValidatedHead
        isHead = head.method == .HEAD
        do throws(RequestRefusal) {
            judged = try RequestValidator.judge(head)
            if let length = judged.contentLength, length > loop.shared.settings.limits.bodyBytes {
                throw RequestRefusal(.payloadTooLarge, "body_too_large")
            }
        } catch {
            return refuse(error)
        }
        keepsAlive = judged.isKeptAlive
        asksUpgrade = judged.asksUpgrade && !isHTTP2
        guard let route = loop.route(host: judged.host, path: judged.target) else {
            return answerAlone(.notFound, "no_route", judged)
        }
        guard loop.admitRequest() else { return answerAlone(.serviceUnavailable, "overloaded", judged, retryAfter: 1) }
        if judged.expectsContinue, judged.hasBody, head.version != .http1_0 {
            send(HTTPResponseHead(version: .http1_1, status: .continue))
            flushAnswer()
        }
        let record = ExchangeRecord(loop, judged, head.method, at: now)
        let exchange = Exchange(loop, route, head, judged, client: self, record: record, at: now)
        self.exchange = exchange
        wantsBody = true
        exchange.start()
    }

    // MARK: Answering

    func send(_ head: HTTPResponseHead) { write(.head(head)) }

    func send(_ bytes: ByteBuffer) { write(.body(.byteBuffer(bytes))) }

    func sendEnd(_ trailers: HTTPHeaders?) {
        let promise = context?.eventLoop.makePromise(of: Void.self)
        write(.end(trailers), promise)
        lastEnd = promise?.futureResult
    }

    private func write(_ part: HTTPServerResponsePart, _ promise: EventLoopPromise<Void>? = nil) {
        hasUnflushed = true
        context?.write(Self.wrapOutboundOut(part), promise: promise)
    }

    func flushAnswer() {
        guard hasUnflushed else { return }
        hasUnflushed = false
        context?.flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isAnswerWritable = context.channel.isWritable
        stalledSince = isAnswerWritable ? nil : .now()
        exchange?.answerWritabilityChanged(isAnswerWritable)
        context.fireChannelWritabilityChanged()
    }

    func exchangeEnded(isCut: Bool) {
        exchange = nil
        lastActivity = .now()
        if isCut || closesAfterAnswer {
            return close(isCut: isCut)
        }
        if !isRequestOpen { renewDecoderIfAsked() }
        takeAhead()
        readAgain()
    }

    /// The requests that wait: as many as are answered at once, then until the first that is not.
    private func takeAhead() {
        if isTakingAhead { return }
        isTakingAhead = true
        while !isDeaf, exchange == nil || isRequestOpen, let part = ahead.popFirst() { take(part) }
        isTakingAhead = false
    }

    /// A refusal after which the connection cannot be trusted to be understood alike on both sides.
    private func refuse(_ refusal: RequestRefusal) {
        loop.shared.figures.refused(refusal.reason)
        keepsAlive = false
        isRefused = true
        headBegan = nil
        ahead.removeAll()
        sendAlone(refusal.status, refusal.reason)
        close()
    }

    /// An answer without any exchange; the request's body is not wanted.
    private func answerAlone(
        _ status: HTTPResponseStatus, _ reason: String, _ judged: ValidatedHead, retryAfter: Int? = nil
    ) {
        loop.shared.figures.refused(reason)
        if judged.hasBody { keepsAlive = false }
        sendAlone(status, reason, retryAfter: retryAfter)
        if closesAfterAnswer || judged.hasBody { close() }
    }

    private func sendAlone(_ status: HTTPResponseStatus, _ reason: String, retryAfter: Int? = nil) {
        let (head, body) = LocalReply.make(
            status, reason, retryAfter: retryAfter, closes: closesAfterAnswer, isHead: isHead)
        send(head)
        if let body { send(body) }
        sendEnd(nil)
        flushAnswer()
    }

    /// Closes when the last answer has left: what a slow client has not taken yet would be lost with the connection. One
    /// that takes nothing any more is closed by ``look(at:)``. Nothing is begun meanwhile.
    ///
    /// - Parameter isCut: an answer was begun and cannot be ended, or the rest of the request is not wanted.
    private func close(isCut: Bool = false) {
        isDeaf = true
        flushAnswer()
        if isCut, lastEnd == nil, let stream { return stream.reset(.internalError) }
        guard let lastEnd else { return closeNow() }
        let handler = NIOLoopBound(self, eventLoop: lastEnd.eventLoop)
        lastEnd.whenComplete { _ in handler.value.closeNow() }
    }

    private func closeNow() {
        guard let context else { return }
        if let stream {
            // A stream of which both sides have said all is over.
            if stream.isRequestComplete { return }
        } else if lastEnd == nil || !isRefused && !isRequestOpen {
            return context.close(promise: nil)
        } else {
            context.close(mode: .output, promise: nil)
        }
        lingerEnds = .now() + Self.lingerTime
        readAgain()
    }

    /// What the client sends now nobody wants (RFC 9113, 8.1: no error).
    private func endLingering() {
        if let stream { stream.reset(.noError) } else { context?.close(promise: nil) }
    }

    // MARK: Tunnels

    func switchProtocols(_ head: HTTPResponseHead, to connection: UpstreamConnection) {
        exchange = nil
        guard let context else { return connection.close() }
        var answer = HTTPResponseHead(version: .http1_1, status: .switchingProtocols)
        var fields = ResponseFields.forwarded(head, isChunked: false, closes: false, via: loop.shared.via)
        fields.replaceOrAdd(name: "connection", value: "upgrade")
        fields.replaceOrAdd(name: "upgrade", value: head.headers.first(name: "upgrade") ?? "websocket")
        answer.headers = fields
        send(answer)
        flushAnswer()
        isTunnel = true
        Tunnel.join(context.channel, connection)
    }

    // MARK: Deadlines

    func look(at now: NIODeadline) {
        if isTunnel { return }
        let limits = loop.shared.settings.limits
        if let lingerEnds {
            if now > lingerEnds { endLingering() }
            return
        }
        if let stalledSince, now > stalledSince + .nanoseconds(limits.idleTimeout.rawValue) {
            context?.close(promise: nil)
            return
        }
        if let exchange {
            if isRequestOpen, wantsBody, now > lastActivity + .nanoseconds(limits.idleTimeout.rawValue) {
                exchange.fail(.requestTimeout, "body_too_slow")
            } else {
                exchange.look(at: now)
            }
        } else if let headBegan {
            if now > headBegan + .nanoseconds(limits.headTimeout.rawValue) {
                refuse(RequestRefusal(.requestTimeout, "head_too_slow"))
            }
        } else if now > lastActivity + .nanoseconds(limits.idleTimeout.rawValue) {
            // Between requests; or, of a stream, with an answer that the client does not take.
            context?.close(promise: nil)
        }
    }
}

/// In front of the decoder: sees bytes before they are a head.
final class ByteWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    private let client: ClientHandler

    init(_ client: ClientHandler) { self.client = client }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client.bytesCame()
        context.fireChannelRead(data)
    }
}
