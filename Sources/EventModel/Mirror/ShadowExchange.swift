// What passes between the node and whoever speaks HTTP for it: a copy for a shadow, and what came back.

/// A captured request on its way to a shadow.
public struct ShadowRequest: Sendable, Hashable {
    public var sourceService: String
    public var requestID: String
    /// `host:port`.
    public var endpoint: String
    public var method: String
    /// Path and query.
    public var target: String
    public var headers: [HeaderField]
    public var body: [UInt8]
    /// For everything: resolving, connecting, sending, and the whole answer.
    public var timeout: Nanoseconds
    /// The name of the file with the shadow's own credentials; empty: none.
    public var authentication: String
    /// Whether requests are sent that are neither GET nor HEAD.
    public var allowWrites: Bool
    /// Whether the shadow may be on this machine.
    public var allowLoopback: Bool

    public init(
        sourceService: String, requestID: String, endpoint: String, method: String = "GET", target: String = "/",
        headers: [HeaderField] = [], body: [UInt8] = [], timeout: Nanoseconds = .seconds(1),
        authentication: String = "", allowWrites: Bool = false, allowLoopback: Bool = false
    ) {
        self.sourceService = sourceService
        self.requestID = requestID
        self.endpoint = endpoint
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.authentication = authentication
        self.allowWrites = allowWrites
        self.allowLoopback = allowLoopback
    }
}

/// What came back from a shadow.
public struct ShadowAnswer: Sendable, Hashable {
    public var outcome: DispatchOutcome
    /// 0: there was no response.
    public var status: UInt32
    public var headers: [HeaderField]
    public var body: [UInt8]
    public var latency: Nanoseconds
    /// Why it did not succeed; empty where it did.
    public var reason: String

    public init(
        _ outcome: DispatchOutcome, status: UInt32 = 0, headers: [HeaderField] = [], body: [UInt8] = [],
        latency: Nanoseconds = .zero, reason: String = ""
    ) {
        self.outcome = outcome
        self.status = status
        self.headers = headers
        self.body = body
        self.latency = latency
        self.reason = reason
    }
}

/// Sends copies to shadows; whoever wires a node hands it one.
public protocol ShadowSender: Sendable {
    /// Sends one copy; whatever happens is an answer, within the request's time.
    func send(_ request: ShadowRequest) async -> ShadowAnswer
}
