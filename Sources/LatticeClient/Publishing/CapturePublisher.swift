// Captures requests that a service has answered, for its traffic mirrors.

public import EventModel
internal import MeshRules

/// A request with its answer, as a service saw them.
public struct CapturedExchange: Sendable, Hashable {
    /// What tells it from all others; a repeat is captured once.
    public var requestID: String
    /// Nil: of no trace.
    public var traceID: TraceID?
    /// What the request is about, as mirrors filter by it: `checkout.pay`.
    public var intent = ""
    /// In upper case.
    public var method = "GET"
    /// Path and query.
    public var target = "/"
    /// Of the request.
    public var requestHeaders: [HeaderField] = []
    /// Of the request.
    public var requestBody: [UInt8] = []
    /// 100 to 599.
    public var status: UInt32 = 200
    /// Of the answer.
    public var responseHeaders: [HeaderField] = []
    /// Of the answer.
    public var responseBody: [UInt8] = []
    /// How long the answer took.
    public var latency = Nanoseconds.zero
    /// What samples are drawn by, so that one user is always or never in them; empty: the request's id.
    public var sampleSeed = ""

    /// A `GET /` that was answered 200 with nothing.
    public init(requestID: String) { self.requestID = requestID }
}

/// Redacts what was exchanged, cuts it to size and publishes it.
///
/// Secrets are taken out before anything leaves the process: of headers only those on the list are kept, and the values of
/// `authorization`, `cookie` and their like, of query parameters and of JSON members such as `password` and `token` become
/// `[redacted]`. Which mirrors take the capture is decided where they are known, in the node.
public struct CapturePublisher: Sendable {
    private let publisher: EventPublisher
    private let service: String
    private let payloadLimit: Int
    private let rules: RedactionRules

    /// Captures requests of a service.
    ///
    /// - Parameters:
    ///   - publisher: runs elsewhere.
    ///   - payloadLimit: bytes of a body that are kept; longer ones are cut, and a cut one is not sent to a shadow.
    ///   - keptHeaders: headers to keep beyond the list.
    ///   - secretMembers: names of JSON members and query parameters, or JSON Pointers with `*`, that are secrets too.
    /// - Throws: `invalidArgument` where a rule cannot be one.
    public init(
        _ publisher: EventPublisher, service: String, payloadLimit: Int = 16_384, keptHeaders: [String] = [],
        secretMembers: [String] = []
    ) throws(MeshError) {
        self.publisher = publisher
        self.service = service
        self.payloadLimit = payloadLimit
        do throws(InvalidField) {
            rules = try RedactionRules(keptHeaders: keptHeaders, secretMembers: secretMembers)
        } catch {
            throw MeshError(.invalidArgument, "\(error)")
        }
    }

    /// Captures a request; false: the queue was full, and the capture is lost.
    @discardableResult
    public func capture(_ exchange: CapturedExchange) -> Bool {
        let request = ObservedRequest(
            requestID: exchange.requestID, traceID: exchange.traceID?.bytes ?? [], intent: exchange.intent,
            method: exchange.method, target: exchange.target, headers: exchange.requestHeaders,
            body: exchange.requestBody, sampleSeed: exchange.sampleSeed, occurredAt: WallClock.now)
        let response = ObservedResponse(
            status: exchange.status, headers: exchange.responseHeaders, body: exchange.responseBody,
            bodyLength: exchange.responseBody.count)
        let capture = makeCapture(
            request, response: response, latency: exchange.latency, payloadLimit: payloadLimit, rules: rules)
        return publisher.publish(capture, of: service)
    }
}
