// What is known of a request beside its bytes: its trace, its attempts, its figures, its capture.

import EventModel
import LatticeClient
import MeshRules
import NIOCore
import NIOHTTP1

/// Follows one exchange from its head to its end.
struct ExchangeRecord {
    private let trace: TracePart
    private let began: NIODeadline
    private let hasShadowMark: Bool
    private let requestID: String
    private var attempts: [AttemptRecord] = []
    private var status: UInt = 0
    private var failure: String?
    private var capture: CaptureDraft?

    init(_ loop: LoopContext, _ judged: ValidatedHead, _ method: HTTPMethod, at now: NIODeadline) {
        let shared = loop.shared
        began = now
        trace = TracePart(judged.traceFields, shared.settings.tracing, &loop.dice) { loop.forceSample(at: now) }
        hasShadowMark =
            judged.shadowMark.map {
                shared.mark?.isValid($0, method: method.rawValue, target: judged.target, at: loop.time(now)) ?? false
            } ?? false
        requestID = judged.requestID.flatMap { Self.isRequestID($0) ? $0 : nil } ?? trace.serverSpan.description
    }

    /// Whether its spans are published whatever becomes of it.
    var isSampled: Bool { trace.isSampled }

    /// How many attempts were begun.
    var attemptCount: UInt32 { UInt32(attempts.count) }

    /// Short, printable and without blanks: it goes into events and to services.
    private static func isRequestID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 }
    }

    // MARK: On the way

    mutating func attemptBegan(_ exchange: Exchange, _ chosen: LoopCluster.Chosen, at now: NIODeadline) {
        let loop = exchange.loop
        if attempts.isEmpty, capture == nil {
            capture = loop.mirrors.draft(exchange, requestID: requestID, trace: trace.traceID, isMarked: hasShadowMark)
        }
        attempts.append(AttemptRecord(span: TracePart.spanID(&loop.dice), target: chosen.target, began: now))
        if trace.isSampled {
            loop.shared.learned.selected(
                LearnedSelection(
                    service: exchange.route.rule.service, selection: chosen.choice.selection(traceID: trace.traceID)))
        }
    }

    mutating func attemptEnded(_ outcome: AttemptOutcome, at now: NIODeadline) {
        guard !attempts.isEmpty else { return }
        attempts[attempts.count - 1].ended = now
        attempts[attempts.count - 1].outcome = outcome
    }

    /// The request's head as the instance gets it. How its body is framed follows from the client's head alone, never from
    /// what has been read of the body by now (RFC 9112, 6.3).
    func upstreamHead(_ exchange: Exchange) -> HTTPRequestHead {
        let (judged, rule) = (exchange.judged, exchange.route.rule)
        let client = exchange.client
        var fields: [(String, String)] = []
        fields.reserveCapacity(judged.fields.count + 12)
        let host = judged.authority.isEmpty ? rule.service : judged.authority
        fields.append(("host", rule.hostRewrite.isEmpty ? host : rule.hostRewrite))
        fields += judged.fields
        if let length = judged.contentLength {
            fields.append(("content-length", String(length)))
        } else if judged.isChunked {
            fields.append(("transfer-encoding", "chunked"))
        }
        if let upgrade = judged.upgrade { fields += [("connection", "upgrade"), ("upgrade", upgrade)] }
        let via = client.isHTTP2 ? "2 \(GatewayShared.name)" : exchange.loop.shared.via
        fields.append(("via", judged.via.map { "\($0), \(via)" } ?? via))
        let address = client.remoteAddress
        fields.append(("x-forwarded-for", judged.forwardedFor.map { "\($0), \(address)" } ?? address))
        fields.append(("x-forwarded-proto", client.isTLS ? "https" : "http"))
        if !judged.authority.isEmpty { fields.append(("x-forwarded-host", judged.authority)) }
        fields.append(("x-request-id", requestID))
        if let span = attempts.last?.span { trace.add(to: &fields, attempt: span) }
        return HTTPRequestHead(
            version: .http1_1, method: exchange.request.method, uri: exchange.route.target(for: judged.target),
            headers: HTTPHeaders(fields))
    }

    mutating func requestBody(_ bytes: ByteBuffer) { capture?.requestBody(bytes) }

    mutating func answerBegan(_ head: HTTPResponseHead, at now: NIODeadline) {
        status = head.status.code
        if !attempts.isEmpty { attempts[attempts.count - 1].status = status }
        capture?.answerBegan(head)
    }

    mutating func answerBody(_ bytes: ByteBuffer) { capture?.answerBody(bytes) }

    /// The gateway answered in its own name.
    mutating func refused(_ status: HTTPResponseStatus, _ reason: String) {
        self.status = status.code
        failure = reason
    }

    mutating func answerCut() { failure = "answer_cut" }

    mutating func cancelled() {
        failure = "client_gone"
        capture = nil
    }

    // MARK: At the end

    mutating func ended(_ exchange: Exchange) {
        let (loop, now) = (exchange.loop, NIODeadline.now())
        loop.shared.figures.ended(status: status, took: now - began)
        if failure == nil, let capture { loop.mirrors.take(capture, latency: now - began) }
        if trace.isSampled || status >= 500 || (failure != nil && failure != "client_gone") {
            publish(exchange, at: now)
        }
    }

    private func publish(_ exchange: Exchange, at now: NIODeadline) {
        let loop = exchange.loop
        let sink = loop.shared.spans
        for span in attemptSpans(exchange) { sink.publish(span) }
        var tags = SpanTags.request(exchange)
        if status != 0 { tags.append(SpanTag(key: "http.response.status_code", value: .int(Int64(status)))) }
        if let failure { tags.append(SpanTag("error.type", failure)) }
        var span = TraceSpan(
            spanID: trace.serverSpan, traceID: trace.traceID, parentSpanID: trace.parent,
            serviceName: loop.shared.settings.serviceName,
            operationName: "\(exchange.request.method.rawValue) \(exchange.route.rule.path)", kind: .server,
            startTime: loop.time(began), endTime: loop.time(now), tags: tags)
        span.status = spanStatus
        span.traceState = trace.traceState
        if let link = trace.link { span.links = [link] }
        sink.publish(span)
    }

    private var spanStatus: SpanStatus {
        switch failure {
        case "client_gone": .cancelled
        case "timeout", "attempt_timeout", "connect_timeout", "answer_stalled", "request_stalled": .timeout
        default: status >= 500 || failure != nil ? .error : .ok
        }
    }

    private func attemptSpans(_ exchange: Exchange) -> [TraceSpan] {
        let loop = exchange.loop
        return attempts.enumerated().map { index, attempt in
            var tags = [
                SpanTag("http.request.method", exchange.request.method.rawValue),
                SpanTag("lattice.instance_id", attempt.target.instance.id),
                SpanTag("server.address", attempt.target.instance.endpoint),
            ]
            if index > 0 { tags.append(SpanTag(key: "http.request.resend_count", value: .int(Int64(index)))) }
            if let status = attempt.status {
                tags.append(SpanTag(key: "http.response.status_code", value: .int(Int64(status))))
            }
            let error = attempt.outcome?.error
            if let error { tags.append(SpanTag("error.type", error)) }
            var span = TraceSpan(
                spanID: attempt.span, traceID: trace.traceID, parentSpanID: trace.serverSpan,
                serviceName: loop.shared.settings.serviceName, operationName: exchange.request.method.rawValue,
                kind: .client, startTime: loop.time(attempt.began),
                endTime: loop.time(attempt.ended ?? attempt.began), tags: tags)
            span.peerService = exchange.route.rule.service
            if error != nil || (attempt.status ?? 0) >= 500 {
                span.status = error?.hasSuffix("timeout") == true ? .timeout : .error
            }
            span.traceState = trace.traceState
            return span
        }
    }
}

/// Tags by the names of OpenTelemetry's conventions for HTTP.
enum SpanTags {
    static func request(_ exchange: Exchange) -> [SpanTag] {
        let judged = exchange.judged
        let target = RedactionRules.standard.redact(target: judged.target)
        return [
            SpanTag("http.request.method", exchange.request.method.rawValue),
            SpanTag("url.path", String(target.prefix { $0 != "?" }.prefix(1_024))),
            SpanTag("server.address", judged.host),
            SpanTag("client.address", exchange.client.remoteAddress),
            SpanTag("http.route", exchange.route.rule.path),
            SpanTag("lattice.service", exchange.route.rule.service),
        ]
    }
}
