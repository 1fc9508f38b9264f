// From what a gateway saw to what may leave it: redacted, cut, facts apart from contents; and from a comparison to its
// event. Pure, so that every publisher does it alike.

package import EventModel

/// A request as the gateway saw it, before redaction.
package struct ObservedRequest: Sendable, Hashable {
    package var requestID: String
    /// 16 bytes, or empty.
    package var traceID: [UInt8]
    package var intent: String
    package var method: String
    /// Path and query.
    package var target: String
    package var headers: [HeaderField]
    package var body: [UInt8]
    /// Bytes of the whole body, of which `body` may be the beginning; nil: `body` is all of it.
    package var bodyLength: Int?
    /// What the sample is drawn by; empty: the request id.
    package var sampleSeed: String
    package var occurredAt: Timestamp
    /// It came with a valid shadow mark.
    package var hasShadowMark: Bool

    package init(
        requestID: String, traceID: [UInt8] = [], intent: String = "", method: String = "GET", target: String = "/",
        headers: [HeaderField] = [], body: [UInt8] = [], sampleSeed: String = "", occurredAt: Timestamp = .zero,
        hasShadowMark: Bool = false
    ) {
        self.requestID = requestID
        self.traceID = traceID
        self.intent = intent
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.sampleSeed = sampleSeed
        self.occurredAt = occurredAt
        self.hasShadowMark = hasShadowMark
    }
}

/// One captured request: the fact, and what goes into the attachment.
package struct MadeCapture: Sendable, Hashable {
    package var fact: RequestCapture
    package var content: CapturedContent

    package init(fact: RequestCapture, content: CapturedContent) {
        self.fact = fact
        self.content = content
    }
}

/// Makes a capture: redacts first, then cuts to `payloadLimit` bytes.
///
/// Lengths are those after redaction, so that a body that was only redacted is whole. Of a withheld body nothing is
/// kept and its length is told, so that it counts as cut and is never dispatched or judged.
package func makeCapture(
    _ request: ObservedRequest, response: ObservedResponse, latency: Nanoseconds = .zero, payloadLimit: Int = 16_384,
    rules: RedactionRules = .standard
) -> MadeCapture {
    let target = rules.redact(target: request.target)
    let asked = KeptBody(
        request.body, fullLength: request.bodyLength ?? request.body.count, request.headers, payloadLimit, rules)
    let answered = KeptBody(response.body, fullLength: response.bodyLength, response.headers, payloadLimit, rules)
    let fact = RequestCapture(
        requestID: request.requestID, traceID: request.traceID, intent: request.intent, method: request.method,
        pathHash: Digest.of(Array(target.utf8)).low, sampleSeed: request.sampleSeed, occurredAt: request.occurredAt,
        payloadLength: UInt64(asked.length), payloadKept: UInt64(asked.bytes.count), status: response.status,
        responseLength: UInt64(answered.length), responseKept: UInt64(answered.bytes.count), latency: latency,
        hasShadowMark: request.hasShadowMark)
    let content = CapturedContent(
        target: target, requestHeaders: rules.redact(headers: request.headers), requestBody: asked.bytes,
        responseHeaders: rules.redact(headers: response.headers), responseBody: answered.bytes)
    return MadeCapture(fact: fact, content: content)
}

/// What is kept of a body.
private struct KeptBody {
    let bytes: [UInt8]
    let length: Int

    init(_ body: [UInt8], fullLength: Int, _ headers: [HeaderField], _ limit: Int, _ rules: RedactionRules) {
        switch rules.redact(body: body, headers: headers) {
        case .withheld:
            bytes = []
            length = fullLength
        case .kept(let redacted):
            bytes = Array(redacted.prefix(limit))
            length = fullLength > body.count ? fullLength : redacted.count
        }
    }
}

extension CapturedContent {
    /// Production's answer, to be compared with the shadow's.
    package func response(_ fact: RequestCapture) -> ObservedResponse {
        ObservedResponse(
            status: fact.status, headers: responseHeaders, body: responseBody,
            bodyLength: Int(clamping: fact.responseLength))
    }
}

extension ResponseComparison {
    /// The fact: where it differs, without what is there.
    package func event(for directive: DirectiveID, isBaseline: Bool = false) -> ShadowComparison {
        let paths = differingPaths.prefix(MirrorLimits.differingPaths).map { path in
            var cut = path
            cut.pattern = Self.cut(path.pattern, MirrorLimits.pathBytes)
            return cut
        }
        return ShadowComparison(
            directive: directive, verdict: verdict, differenceCount: UInt32(clamping: differenceCount), paths: paths,
            isBaseline: isBaseline)
    }

    /// What goes into the attachment.
    package var content: ComparedContent {
        ComparedContent(
            sides: differences.map { .init(path: $0.path, production: $0.production, shadow: $0.shadow) },
            notes: notes.map(\.text))
    }

    private static func cut(_ text: String, _ limit: Int) -> String {
        if text.utf8.count <= limit { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end > text.startIndex, UTF8.isContinuation(text.utf8[end]) { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}

extension MirrorResult {
    /// The result of one directive, from what its events say.
    package init(
        requestID: String, shadowEndpoint: String, dispatch: ShadowDispatch, comparison: ResponseComparison? = nil
    ) {
        self.init(
            requestID: requestID, shadowEndpoint: shadowEndpoint, success: dispatch.outcome == .succeeded,
            latency: dispatch.latency, responseCode: dispatch.status,
            diffDetected: comparison?.verdict == .different,
            diffSummary: comparison.map { $0.verdict == .different ? $0.summary : "" } ?? "",
            differences: comparison?.differingPaths ?? [])
    }
}

/// Captures of one source as a `captured` message's payload: what a producer publishes.
package func captureMessage(_ captures: [MadeCapture], of sourceService: String) -> [UInt8] {
    MirrorAttachment.message(
        .captured(Batch(serviceName: sourceService, events: captures.map(\.fact))),
        contents: MirrorAttachment.encode(captures.map(\.content))
    ).payload
}
