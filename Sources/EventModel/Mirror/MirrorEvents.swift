// The facts of the traffic mirror as values (schemas/lattice/v1/mirror_events.proto).

/// A batch of one kind for one source service: what one message carries.
public enum MirrorEvent: Sendable, Hashable {
    case added(Batch<MirrorConfiguration>)
    case removed(Batch<MirrorChange>)
    case enabled(Batch<MirrorChange>)
    case disabled(Batch<MirrorChange>)
    case shadowsAllowed(ShadowsAllowed)
    case captured(Batch<RequestCapture>)
    case dispatched(Batch<ShadowDispatch>)
    case compared(Batch<ShadowComparison>)
    case drained(MirrorDrained)
    case contentsErased(ContentsErased)

    /// Whose mirrors these are; equals the subject's token.
    public var sourceService: String {
        switch self {
        case .added(let batch): batch.serviceName
        case .removed(let batch), .enabled(let batch), .disabled(let batch): batch.serviceName
        case .shadowsAllowed(let event): event.sourceService
        case .captured(let batch): batch.serviceName
        case .dispatched(let batch): batch.serviceName
        case .compared(let batch): batch.serviceName
        case .drained(let event): event.sourceService
        case .contentsErased(let event): event.sourceService
        }
    }

    /// How many events the message carries.
    public var count: Int {
        switch self {
        case .added(let batch): batch.events.count
        case .removed(let batch), .enabled(let batch), .disabled(let batch): batch.events.count
        case .captured(let batch): batch.events.count
        case .dispatched(let batch): batch.events.count
        case .compared(let batch): batch.events.count
        case .shadowsAllowed, .drained, .contentsErased: 1
        }
    }
}

/// A mirror that is removed, enabled or disabled.
public struct MirrorChange: Sendable, Hashable {
    public var mirrorID: String
    public var reason: String

    public init(mirrorID: String, reason: String = "") {
        self.mirrorID = mirrorID
        self.reason = reason
    }
}

/// Where the mirrors of a source may send to; replaces the earlier list.
public struct ShadowsAllowed: Sendable, Hashable {
    public var sourceService: String
    /// `host:port`, `*.suffix:port`, `a.b.c.d/bits:port`; the port may be `*`.
    public var endpoints: [String]
    public var allowLoopback: Bool
    public var reason: String

    public init(sourceService: String, endpoints: [String], allowLoopback: Bool = false, reason: String = "") {
        self.sourceService = sourceService
        self.endpoints = endpoints
        self.allowLoopback = allowLoopback
        self.reason = reason
    }
}

/// A request with production's answer, without their contents.
public struct RequestCapture: Sendable, Hashable {
    public var requestID: String
    /// 16 bytes, or empty.
    public var traceID: [UInt8]
    public var intent: String
    public var method: String
    /// A stable hash of the redacted target; 0: not known.
    public var pathHash: UInt64
    /// What the sample is drawn by; empty: the request id.
    public var sampleSeed: String
    public var occurredAt: Timestamp
    /// Bytes of the request's body…
    public var payloadLength: UInt64
    /// …and how many of them are kept.
    public var payloadKept: UInt64
    public var status: UInt32
    public var responseLength: UInt64
    public var responseKept: UInt64
    public var latency: Nanoseconds
    /// Never mirrored again.
    public var hasShadowMark: Bool

    public init(
        requestID: String, traceID: [UInt8] = [], intent: String = "", method: String = "GET", pathHash: UInt64 = 0,
        sampleSeed: String = "", occurredAt: Timestamp = .zero, payloadLength: UInt64 = 0, payloadKept: UInt64 = 0,
        status: UInt32 = 200, responseLength: UInt64 = 0, responseKept: UInt64 = 0, latency: Nanoseconds = .zero,
        hasShadowMark: Bool = false
    ) {
        self.requestID = requestID
        self.traceID = traceID
        self.intent = intent
        self.method = method
        self.pathHash = pathHash
        self.sampleSeed = sampleSeed
        self.occurredAt = occurredAt
        self.payloadLength = payloadLength
        self.payloadKept = payloadKept
        self.status = status
        self.responseLength = responseLength
        self.responseKept = responseKept
        self.latency = latency
        self.hasShadowMark = hasShadowMark
    }

    /// The seed of its sample.
    public var seed: String { sampleSeed.isEmpty ? requestID : sampleSeed }
}

/// What names a directive: the capture's position and the mirror (decision 7).
public struct DirectiveID: Sendable, Hashable {
    /// The capture's record.
    public var causeSequence: SequenceNumber
    /// Which event of it.
    public var causeIndex: UInt32
    public var mirrorID: String

    public init(causeSequence: SequenceNumber, causeIndex: UInt32, mirrorID: String) {
        self.causeSequence = causeSequence
        self.causeIndex = causeIndex
        self.mirrorID = mirrorID
    }
}

/// What became of a directive in the world.
public enum DispatchOutcome: UInt8, Sendable, Hashable, CaseIterable {
    /// The shadow answered, whatever it said.
    case succeeded = 1
    /// No answer: not connected, broken off, too large.
    case failed = 2
    case timedOut = 3
    /// The breaker was open, or all places were taken.
    case rejected = 4
    /// Never sent: cut, or no credentials.
    case skipped = 5

    /// The word on the wire.
    public var name: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .timedOut: "timed_out"
        case .rejected: "rejected"
        case .skipped: "skipped"
        }
    }

    /// Reads the word on the wire.
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

/// A directive that was carried out, or was not.
public struct ShadowDispatch: Sendable, Hashable {
    public var directive: DirectiveID
    public var outcome: DispatchOutcome
    /// 0: there was no response.
    public var status: UInt32
    public var latency: Nanoseconds
    public var reason: String
    /// Sent a second time after a node was lost.
    public var isRedispatched: Bool
    /// Of the copy for the second primary, which had no answer; the shadow's copy is not settled by it.
    public var isBaseline: Bool

    public init(
        directive: DirectiveID, outcome: DispatchOutcome, status: UInt32 = 0, latency: Nanoseconds = .zero,
        reason: String = "", isRedispatched: Bool = false, isBaseline: Bool = false
    ) {
        self.directive = directive
        self.outcome = outcome
        self.status = status
        self.latency = latency
        self.reason = reason
        self.isRedispatched = isRedispatched
        self.isBaseline = isBaseline
    }
}

/// What the comparison of two answers found, without their contents.
public struct ShadowComparison: Sendable, Hashable {
    public var directive: DirectiveID
    public var verdict: ComparisonVerdict
    public var differenceCount: UInt32
    /// Each place once.
    public var paths: [DifferingPath]
    /// Two answers of production's own version: what differs is noise.
    public var isBaseline: Bool

    public init(
        directive: DirectiveID, verdict: ComparisonVerdict, differenceCount: UInt32 = 0, paths: [DifferingPath] = [],
        isBaseline: Bool = false
    ) {
        self.directive = directive
        self.verdict = verdict
        self.differenceCount = differenceCount
        self.paths = paths
        self.isBaseline = isBaseline
    }
}

/// Whoever waits longest is taken out of a mirror's buffer.
public struct MirrorDrained: Sendable, Hashable {
    public var sourceService: String
    public var mirrorID: String
    /// At most so many; 0: all.
    public var limit: UInt32
    public var reason: String

    public init(sourceService: String, mirrorID: String, limit: UInt32 = 0, reason: String = "") {
        self.sourceService = sourceService
        self.mirrorID = mirrorID
        self.limit = limit
        self.reason = reason
    }
}

/// What was captured of a source on one day cannot be read any more: every node destroys the keys.
public struct ContentsErased: Sendable, Hashable {
    public var sourceService: String
    /// Days since 1970-01-01 in UTC, by the records' time.
    public var day: Int64
    public var reason: String

    public init(sourceService: String, day: Int64, reason: String = "") {
        self.sourceService = sourceService
        self.day = day
        self.reason = reason
    }
}
