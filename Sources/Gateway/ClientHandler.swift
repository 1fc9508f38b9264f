// The last handler of a client's connection (HTTP/1) or stream (HTTP/2): one exchange after the other.

import EventModel
import NIOCore
import NIOHTTP1

/// Reads requests, begins exchanges, writes answers, and holds back what is too fast.
final class ClientHandler: ChannelDuplexHandler, ExchangeClient, Client, Watched, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    var watchIndex = -1
    let isTLS: Bool
    let isHTTP2: Bool
    private let loop: LoopContext
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
    private var hasUnflushed = false
    private(set) var isAnswerWritable = true
    private var lastActivity = NIODeadline.now()
    /// When the bytes of a head began that is not complete yet.
    private var headBegan: NIODeadline?
    private var stalledSince: NIODeadline?
    /// Done when the last answer has left.
    private var lastEnd: EventLoopFuture<Void>?
    private(set) var remoteAddress = ""

    init(_ loop: LoopContext, isHTTP2: Bool, isTLS: Bool) {
        self.loop = loop
        self.isHTTP2 = isHTTP2
        self.isTLS = isTLS
        headBegan = isHTTP2 ? nil : lastActivity
    }

    var closesAfterAnswer: Bool { !isHTTP2 && (!keepsAlive || isDraining) }

    // MARK: Coming and going

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let channel = isHTTP2 ? context.channel.parent : context.channel
        remoteAddress = channel?.remoteAddress?.ipAddress ?? "unknown"
        guard loop.admit(self) else {
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
        loop.unwatch(self)
        loop.left(self)
        let exchange = exchange
        self.exchange = nil
        exchange?.cancel()
        ahead.removeAll()
        context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isTunnel { return context.fireErrorCaught(error) }
        if error is HTTPParserError, exchange == nil {
            let isOverflow = (error as? HTTPParserError) == .headerOverflow
            refuse(
                isOverflow
                    ? Refusal(.requestHeaderFieldsTooLarge, "header_too_large") : Refusal(.badRequest, "not_http"))
        } else {
            context.close(promise: nil)
        }
    }

    func drain() {
        isDraining = true
        if isTunnel { context?.close(promise: nil) } else if exchange == nil { close() }
    }

    // MARK: Reading

    /// Bytes came in, before anybody knows what they are.
    func bytesCame() {
        lastActivity = .now()
        if exchange == nil, headBegan == nil { headBegan = lastActivity }
    }

    func read(context: ChannelHandlerContext) {
        if isTunnel || mayRead { context.read() } else { isReadHeld = true }
    }

    private var mayRead: Bool { !isDeaf && ahead.isEmpty && (wantsBody || !isRequestOpen) }

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
            if exchange == nil { readAgain() }
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        let now = NIODeadline.now()
        let judged: JudgedHead
        do throws(Refusal) {
            judged = try RequestJudge.judge(head, isHTTP2: isHTTP2)
            if let length = judged.contentLength, length > loop.shared.settings.limits.bodyBytes {
                throw Refusal(.payloadTooLarge, "body_too_large")
            }
        } catch {
            return refuse(error)
        }
        keepsAlive = judged.isKeptAlive
        guard let route = loop.route(host: judged.host, path: judged.target) else {
            return answerAlone(.notFound, "no_route", judged)
        }
        guard loop.admitRequest() else { return answerAlone(.serviceUnavailable, "overloaded", judged, retryAfter: 1) }
        if judged.expectsContinue, judged.hasBody || isHTTP2 {
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
            return close()
        }
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

    /// A refusal after which the connection can not be trusted to be understood alike on both sides.
    private func refuse(_ refusal: Refusal) {
        loop.shared.figures.refused(refusal.reason)
        keepsAlive = false
        ahead.removeAll()
        sendAlone(refusal.status, refusal.reason)
        close()
    }

    /// An answer without any exchange; the request's body is not wanted.
    private func answerAlone(
        _ status: HTTPResponseStatus, _ reason: String, _ judged: JudgedHead, retryAfter: Int? = nil
    ) {
        loop.shared.figures.refused(reason)
        if judged.hasBody { keepsAlive = false }
        sendAlone(status, reason, retryAfter: retryAfter)
        if closesAfterAnswer || judged.hasBody { close() }
    }

    private func sendAlone(_ status: HTTPResponseStatus, _ reason: String, retryAfter: Int? = nil) {
        let (head, body) = OwnAnswer.make(status, reason, retryAfter: retryAfter, closes: closesAfterAnswer)
        send(head)
        if let body { send(body) }
        sendEnd(nil)
        flushAnswer()
    }

    /// Closes when the last answer has left: what a slow client has not taken yet would be lost with the connection. One
    /// that takes nothing any more is closed by ``look(at:)``. Nothing is begun meanwhile.
    private func close() {
        isDeaf = true
        flushAnswer()
        guard let lastEnd else { return closeNow() }
        let handler = NIOLoopBound(self, eventLoop: lastEnd.eventLoop)
        lastEnd.whenComplete { _ in handler.value.closeNow() }
    }

    private func closeNow() { context?.close(promise: nil) }

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
                refuse(Refusal(.requestTimeout, "head_too_slow"))
            }
        } else if !isHTTP2, now > lastActivity + .nanoseconds(limits.idleTimeout.rawValue) {
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
