// One request on its way: chosen instances, attempts, both bodies, and what became of it.

import EventModel
import LatticeClient
import NIOCore
import NIOHTTP1

/// The course of one request.
final class Exchange: AnswerReceiver, ConnectionTaker {
    let loop: LoopContext
    let route: Route
    let cluster: LoopCluster
    let request: HTTPRequestHead
    let judged: ValidatedHead
    unowned let client: any ExchangeClient
    let started: NIODeadline
    var record: ExchangeRecord

    private var target: Target?
    private var tried: [InstanceStanding] = []
    private var connection: UpstreamConnection?
    private var isConnecting = false
    private var attemptEnds: NIODeadline
    private var answerDue: NIODeadline
    private var lastProgress: NIODeadline
    private var hasReplayed = false

    /// The request's body as far as it was read, for as long as it may have to be sent (again).
    private var kept: [ByteBuffer] = []
    private var keptBytes = 0
    private var isReplayable = true
    private var bodyBytes = 0
    private var isRequestComplete: Bool
    private var isRequestSent = false
    private var hasAnswerBegun = false
    /// A 101 whose end has not been read yet; behind it bytes are no HTTP.
    private var switching: HTTPResponseHead?
    private var isOver = false
    private var isAnswerChunked = false
    /// The answer has neither length nor chunks: it is whole where the connection ends well.
    private var isFramedByEnd = false

    init(
        _ loop: LoopContext, _ route: Route, _ request: HTTPRequestHead, _ judged: ValidatedHead,
        client: any ExchangeClient, record: ExchangeRecord, at now: NIODeadline
    ) {
        self.loop = loop
        self.route = route
        self.request = request
        self.judged = judged
        self.client = client
        self.record = record
        cluster = loop.cluster(route.cluster)
        started = now
        lastProgress = now
        answerDue = now + .nanoseconds(route.rule.policy.timeout.rawValue)
        attemptEnds = answerDue
        isRequestComplete = !judged.hasBody
    }

    // MARK: Attempts

    func start() {
        route.cluster.budget.count(at: started)
        guard let chosen = chooseTarget() else { return fail(.serviceUnavailable, "no_instance", retryAfter: 1) }
        attempt(chosen, at: started)
    }

    private func chooseTarget() -> LoopCluster.Chosen? {
        cluster.choose(route, excluding: tried, recordsCandidates: record.isSampled)
    }

    private func attempt(_ chosen: LoopCluster.Chosen, at now: NIODeadline) {
        let target = chosen.target
        tried.append(target.standing)
        self.target = target
        target.standing.connectionOpened()
        record.attemptBegan(self, chosen, at: now)
        attemptEnds = min(answerDue, now + .nanoseconds(route.rule.policy.attemptTimeout.rawValue))
        isConnecting = true
        isRequestSent = false
        cluster.pool(target, route).acquire(for: self)
    }

    func take(_ connection: UpstreamConnection) -> Bool {
        guard isConnecting, !isOver else { return false }
        isConnecting = false
        self.connection = connection
        connection.begin(self)
        connection.write(.head(record.upstreamHead(self)))
        for bytes in kept { connection.write(.body(.byteBuffer(bytes))) }
        if isRequestComplete { sendRequestEnd() }
        connection.flush()
        if !isReplayable { forgetBody() }
        client.wantRequestBody(connection.isWritable)
        return true
    }

    func noConnection(_ failure: ConnectFailure) {
        guard isConnecting, !isOver else { return }
        isConnecting = false
        switch failure {
        case .failed: attemptFailed(.badGateway, "connect_failed", isSafe: true)
        case .timedOut: attemptFailed(.gatewayTimeout, "connect_timeout", isSafe: true)
        case .overloaded:
            let now = NIODeadline.now()
            leaveTarget(.overloaded, at: now)
            guard let next = retryTarget(isSafe: true) else {
                return fail(.serviceUnavailable, "instance_overloaded", retryAfter: 1)
            }
            attempt(next, at: now)
        }
    }

    /// Ends an attempt that brought nothing, and begins another one if that is allowed.
    ///
    /// - Parameter isSafe: nothing of the request has reached the instance.
    private func attemptFailed(_ status: HTTPResponseStatus, _ reason: String, isSafe: Bool, isStale: Bool = false) {
        let now = NIODeadline.now()
        // Only what the instance did is its failure: not what happened while the client had still to say something, and not
        // the end of a connection that was idle.
        let isItsFailure = isSafe || (isRequestSent && (!isStale || hasReplayed))
        if let target, isItsFailure { loop.shared.outliers.failed(target, in: route.cluster, because: reason, at: now) }
        leaveTarget(.failed(reason), at: now)
        guard now < answerDue, let next = retryTarget(isSafe: isSafe, isStale: isStale) else {
            return fail(status, reason)
        }
        attempt(next, at: now)
    }

    /// Where the request may be sent once more; nil: nowhere, or it must not be.
    ///
    /// - Parameter isStale: a connection that had been used before ended without a byte of an answer, as servers end
    ///   idle ones; that costs nothing of the budget, once.
    private func retryTarget(isSafe: Bool, isStale: Bool = false) -> LoopCluster.Chosen? {
        guard !hasAnswerBegun, !isOver, isReplayable, isSafe || Self.isIdempotent(request.method),
            record.attemptCount <= route.rule.policy.retries, let next = chooseTarget()
        else { return nil }
        if isSafe {
            // No instance has seen anything, and a request's attempts are bounded: that is no storm.
        } else if isStale, !hasReplayed {
            hasReplayed = true
        } else if !route.cluster.budget.take(at: .now()) {
            loop.shared.figures.budgetExhausted()
            return nil
        }
        loop.shared.figures.retried()
        return next
    }

    /// RFC 9110, 9.2.2.
    static func isIdempotent(_ method: HTTPMethod) -> Bool {
        switch method {
        case .GET, .HEAD, .OPTIONS, .PUT, .DELETE: true
        default: false
        }
    }

    /// - Parameter now: the next attempt begins at the same moment: one after the other, both are on the critical path.
    private func leaveTarget(_ outcome: AttemptOutcome, at now: NIODeadline = .now()) {
        guard let target else { return }
        target.standing.connectionClosed()
        record.attemptEnded(outcome, at: now)
        if case .failed = outcome { loop.shared.figures.attemptFailed() }
        self.target = nil
    }

    // MARK: The request's body

    func requestBody(_ bytes: ByteBuffer) {
        guard !isOver else { return }
        bodyBytes += bytes.readableBytes
        lastProgress = .now()
        // Whoever counted for us: more than was said must never reach the instance, where it would be another request.
        guard judged.isChunked || bodyBytes <= judged.contentLength ?? 0 else {
            return fail(.badRequest, "content_length")
        }
        guard bodyBytes <= loop.shared.settings.limits.bodyBytes else {
            return fail(.payloadTooLarge, "body_too_large")
        }
        record.requestBody(bytes)
        if keptBytes + bytes.readableBytes <= loop.shared.settings.limits.replayBytes || connection == nil {
            kept.append(bytes)
            keptBytes += bytes.readableBytes
            if keptBytes > loop.shared.settings.limits.replayBytes { isReplayable = false }
        } else if isReplayable {
            isReplayable = false
            forgetBody()
        }
        guard let connection else { return client.wantRequestBody(keptBytes < 65_536) }
        connection.write(.body(.byteBuffer(bytes)))
        if !connection.isWritable { client.wantRequestBody(false) }
    }

    /// The client has said all. What had no body was complete at its head.
    func requestEnded() {
        guard !isRequestComplete else { return }
        guard judged.isChunked || bodyBytes == judged.contentLength ?? 0 else {
            return fail(.badRequest, "content_length")
        }
        isRequestComplete = true
        guard !isOver else { return }
        let (now, policy) = (NIODeadline.now(), route.rule.policy)
        answerDue = now + .nanoseconds(policy.timeout.rawValue)
        attemptEnds = min(answerDue, now + .nanoseconds(policy.attemptTimeout.rawValue))
        guard connection != nil else { return }
        sendRequestEnd()
        connection?.flush()
    }

    /// What was read at once is sent at once.
    func requestPaused() { if !isRequestComplete { connection?.flush() } }

    private func sendRequestEnd() {
        connection?.write(.end(nil))
        isRequestSent = true
    }

    private func forgetBody() {
        kept = []
        keptBytes = 0
    }

    // MARK: The answer

    func answered(_ head: HTTPResponseHead) {
        lastProgress = .now()
        if head.status == .switchingProtocols {
            switching = head
            return
        }
        guard head.status.code >= 200, AnswerFraming.isKnown(head.headers) else {
            dropConnection()
            return attemptFailed(.badGateway, "bad_answer", isSafe: false)
        }
        let isGatewayError = [502, 503, 504].contains(head.status.code)
        if let target {
            if isGatewayError {
                loop.shared.outliers.failed(
                    target, in: route.cluster, because: "status \(head.status.code)", at: lastProgress)
            } else {
                loop.shared.outliers.succeeded(target)
            }
        }
        if isGatewayError, lastProgress < answerDue, let next = retryTarget(isSafe: false) {
            dropConnection()
            leaveTarget(.answered(head.status.code), at: lastProgress)
            return attempt(next, at: lastProgress)
        }
        hasAnswerBegun = true
        forgetBody()
        record.answerBegan(head, at: lastProgress)
        let hasBody = request.method != .HEAD && head.status.mayHaveResponseBody
        isAnswerChunked = hasBody && !head.headers.contains(name: "content-length")
        isFramedByEnd = isAnswerChunked && !head.headers.contains(name: "transfer-encoding")
        let isChunkedForClient = isAnswerChunked && request.version == .http1_1
        var forwarded = HTTPResponseHead(version: .http1_1, status: head.status)
        forwarded.headers = ResponseFields.forwarded(
            head, isChunked: isChunkedForClient, closes: client.closesAfterAnswer, via: loop.shared.via)
        client.send(forwarded)
    }

    func answerBody(_ bytes: ByteBuffer) {
        guard hasAnswerBegun, !isOver else { return }
        record.answerBody(bytes)
        client.send(bytes)
        if client.isAnswerWritable { return }
        // Flushing may make room at once, and then nobody would say so again.
        client.flushAnswer()
        if !client.isAnswerWritable { connection?.pauseReading() }
    }

    func answerEnded(_ trailers: HTTPHeaders?) {
        if let switching { return switchProtocols(switching) }
        guard hasAnswerBegun, !isOver else { return }
        // Of a connection that broke, or whose other side was still being written to, the end says nothing.
        if isFramedByEnd, !isRequestSent || connection?.isBroken ?? true { return upstreamLost() }
        client.sendEnd(ResponseFields.trailers(trailers))
        finish(isCut: false)
    }

    func answerPaused() {
        lastProgress = .now()
        if hasAnswerBegun, !isOver { client.flushAnswer() }
    }

    func answerWritabilityChanged(_ isWritable: Bool) {
        lastProgress = .now()
        if isWritable { connection?.resumeReading() } else { connection?.pauseReading() }
    }

    func upstreamWritabilityChanged(_ isWritable: Bool) {
        lastProgress = .now()
        client.wantRequestBody(isWritable)
    }

    func upstreamLost() {
        guard !isOver, let connection else { return }
        let isStale = connection.useCount > 1
        self.connection = nil
        if hasAnswerBegun {
            if let target { loop.shared.outliers.failed(target, in: route.cluster, because: "answer_cut", at: .now()) }
            record.answerCut()
            return finish(isCut: true)
        }
        attemptFailed(.badGateway, "no_answer", isSafe: false, isStale: isStale)
    }

    private func switchProtocols(_ head: HTTPResponseHead) {
        guard let connection, judged.upgrade != nil else {
            dropConnection()
            return attemptFailed(.badGateway, "unasked_upgrade", isSafe: false)
        }
        self.connection = nil
        record.answerBegan(head, at: lastProgress)
        hasAnswerBegun = true
        client.switchProtocols(head, to: connection)
        over()
    }

    // MARK: Ends

    /// Answers in the gateway's own name, or cuts the answer where it was begun.
    func fail(_ status: HTTPResponseStatus, _ reason: String, retryAfter: Int? = nil) {
        guard !isOver else { return }
        dropConnection()
        leaveTarget(.failed(reason))
        record.refused(status, reason)
        guard !hasAnswerBegun else { return finish(isCut: true) }
        let (head, body) = LocalReply.make(
            status, reason, retryAfter: retryAfter, closes: client.closesAfterAnswer || !isRequestComplete,
            isHead: request.method == .HEAD)
        client.send(head)
        if let body { client.send(body) }
        client.sendEnd(nil)
        finish(isCut: false)
    }

    /// The client is gone.
    func cancel() {
        guard !isOver else { return }
        record.cancelled()
        dropConnection()
        over()
    }

    private func dropConnection() {
        isConnecting = false
        connection?.close()
        connection = nil
    }

    private func finish(isCut: Bool) {
        if let connection {
            self.connection = nil
            connection.end(isRequestComplete: isRequestSent)
        }
        over()
        client.flushAnswer()
        client.exchangeEnded(isCut: isCut || !isRequestComplete)
    }

    private func over() {
        isOver = true
        leaveTarget(.done)
        forgetBody()
        loop.requestEnded()
        record.ended(self)
    }

    /// Ends what takes too long.
    func look(at now: NIODeadline) {
        if hasAnswerBegun {
            if now > lastProgress + .nanoseconds(route.rule.policy.idleTimeout.rawValue) {
                fail(.gatewayTimeout, "answer_stalled")
            }
        } else if !isRequestComplete {
            // A slow client is the client handler's; this is an instance that does not read.
            if now > lastProgress + .nanoseconds(route.rule.policy.idleTimeout.rawValue) {
                fail(.gatewayTimeout, "request_stalled")
            }
        } else if now > answerDue {
            fail(.gatewayTimeout, "timeout")
        } else if now > attemptEnds {
            connection?.close()
            connection = nil
            isConnecting = false
            attemptFailed(.gatewayTimeout, "attempt_timeout", isSafe: false)
        }
    }
}
