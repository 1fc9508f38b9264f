// What the node answers: outcomes, digests, status, errors.

/// Why an event was refused, by its index in the message.
public struct Refusal: Sendable, Hashable {
    public var index: UInt32
    public var reason: RefusalReason

    public init(index: UInt32, reason: RefusalReason) {
        self.index = index
        self.reason = reason
    }
}

/// The reasons for which a state machine refuses an event: a word each, part of the interface.
public enum RefusalReason: UInt8, Sendable, Hashable, CaseIterable {
    case unknownInstance = 1
    case wrongService = 2
    case staleIncarnation = 3
    case incarnationMismatch = 4
    case stale = 5
    case weightOutOfRange = 6
    case timeAhead = 7
    case negativeLatency = 8
    case invalidEndpoint = 9
    case tooManyServices = 10
    case notAttempted = 11
    case staleEpoch = 12
    case unsupportedSemantics = 13
    case invalidSetting = 14
    case unknownService = 15
    case tooManyReporters = 16
    case unknownMirror = 32
    case unknownDirective = 33
    case shadowNotAllowed = 34
    case tooManyMirrors = 35
    case duplicateRequest = 36
    case invalidTraceID = 19
    case invalidSpanID = 20
    case missingOperationName = 21
    case missingStatus = 22
    case missingTime = 23
    case endBeforeStart = 24
    case tooManySpans = 25
    case tooManyTraces = 26
    case tooLate = 27
    case endpointOutsideNetworks = 48
    case notSkippable = 52

    /// The word in replies.
    public var name: String {
        switch self {
        case .unknownInstance: "unknown_instance"
        case .wrongService: "wrong_service"
        case .staleIncarnation: "stale_incarnation"
        case .incarnationMismatch: "incarnation_mismatch"
        case .stale: "stale"
        case .weightOutOfRange: "weight_out_of_range"
        case .timeAhead: "time_ahead"
        case .negativeLatency: "negative_latency"
        case .invalidEndpoint: "invalid_endpoint"
        case .tooManyServices: "too_many_services"
        case .notAttempted: "not_attempted"
        case .staleEpoch: "stale_epoch"
        case .unsupportedSemantics: "unsupported_semantics"
        case .invalidSetting: "invalid_setting"
        case .unknownService: "unknown_service"
        case .tooManyReporters: "too_many_reporters"
        case .unknownMirror: "unknown_mirror"
        case .unknownDirective: "unknown_directive"
        case .shadowNotAllowed: "shadow_not_allowed"
        case .tooManyMirrors: "too_many_mirrors"
        case .duplicateRequest: "duplicate_request"
        case .invalidTraceID: "invalid_trace_id"
        case .invalidSpanID: "invalid_span_id"
        case .missingOperationName: "missing_operation_name"
        case .missingStatus: "missing_status"
        case .missingTime: "missing_time"
        case .endBeforeStart: "end_before_start"
        case .tooManySpans: "too_many_spans"
        case .tooManyTraces: "too_many_traces"
        case .tooLate: "too_late"
        case .endpointOutsideNetworks: "endpoint_outside_networks"
        case .notSkippable: "not_skippable"
        }
    }
}

/// What became of a record.
public struct OutcomeAnswer: Sendable, Hashable {
    /// The verdict on the whole message.
    public enum Verdict: String, Sendable, Hashable {
        /// At least one event was taken.
        case accepted
        /// Every event was refused.
        case refused
        /// The message id was seen before.
        case duplicate
        /// In the log, not understood by this version.
        case opaque
    }

    public var sequence: SequenceNumber
    public var recordedAt: Timestamp
    public var verdict: Verdict
    public var accepted: UInt32
    public var refused: [Refusal]
    /// `duplicate`: the sequence that had the id first.
    public var firstSequence: SequenceNumber
    public var consequences: [Removal]
    /// Registrations that replaced an earlier one, by index.
    public var replaced: [UInt32]
    /// Asked for by sequence: what stands behind `<prefix>.events.` in the record's subject.
    public var subject = ""

    public init(
        sequence: SequenceNumber, recordedAt: Timestamp, verdict: Verdict, accepted: UInt32 = 0,
        refused: [Refusal] = [], firstSequence: SequenceNumber = .origin, consequences: [Removal] = [],
        replaced: [UInt32] = []
    ) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.verdict = verdict
        self.accepted = accepted
        self.refused = refused
        self.firstSequence = firstSequence
        self.consequences = consequences
        self.replaced = replaced
    }
}

/// The digest of one machine.
public struct MachineDigest: Sendable, Hashable {
    public var machine: String
    public var digest: Digest

    public init(machine: String, digest: Digest) {
        self.machine = machine
        self.digest = digest
    }
}

/// The digests of every machine at one position.
public struct DigestAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var machines: [MachineDigest]

    public init(asOf: AsOf, machines: [MachineDigest]) {
        self.asOf = asOf
        self.machines = machines
    }
}

/// Why a query was not answered.
public struct QueryError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure a caller can tell apart.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        case invalidArgument = "invalid_argument"
        case notFound = "not_found"
        /// Before the first retained sequence.
        case gone
        /// After the last applied sequence.
        case notYet = "not_yet"
        case timeout
        case overloaded
        case unknownQuery = "unknown_query"
        case unauthorized
        /// The log says that a later version goes on from here.
        case unsupportedSemantics = "unsupported_semantics"
        case `internal`

        /// The code in `Nats-Service-Error-Code`, as HTTP numbers it.
        public var number: Int {
            switch self {
            case .invalidArgument: 400
            case .unauthorized: 401
            case .notFound: 404
            case .unknownQuery: 404
            case .timeout: 408
            case .gone: 410
            case .notYet: 425
            case .overloaded: 429
            case .internal: 500
            case .unsupportedSemantics: 501
            }
        }
    }

    public var code: Code
    public var message: String
    /// `gone`: the first retained sequence; `not_yet`: the last applied one.
    public var sequence: SequenceNumber

    public init(_ code: Code, _ message: String, sequence: SequenceNumber = .origin) {
        self.code = code
        self.message = message
        self.sequence = sequence
    }

    /// `code: message`.
    public var description: String { "\(code.rawValue): \(message)" }
}

/// How a node is doing: the fields of `NodeStatus`.
public struct NodeStatus: Sendable, Hashable {
    public var asOf: AsOf
    public var nodeID = ""
    public var version = ""
    public var mode = ""
    public var syncPolicy = ""
    public var firstSequence = SequenceNumber.origin
    public var durableSequence = SequenceNumber.origin
    public var logBytes: UInt64 = 0
    public var segments: UInt32 = 0
    public var checkpointSequence = SequenceNumber.origin
    public var semanticsVersion: UInt32 = 1
    public var isLeader = false
    public var leaderID = ""
    public var leaderEpoch: UInt64 = 0
    public var acceptedMessages: UInt64 = 0
    public var acceptedEvents: UInt64 = 0
    public var refusedEvents: UInt64 = 0
    public var rejectedMessages: UInt64 = 0
    public var duplicateMessages: UInt64 = 0
    public var gaps: UInt64 = 0
    public var backwardClockSteps: UInt64 = 0
    public var isEvictionSuspended = false
    /// `ok`, or why the node takes no events.
    public var intake = "ok"
    public var startedAt = Timestamp.zero
    public var diskFreeBytes: UInt64 = 0
    /// Estimated; −1: unknown.
    public var retentionDaysLeft: Double = -1
    public var machines: [MachineDigest] = []
    public var diskTotalBytes: UInt64 = 0
    /// What the room on the disk no longer permits: `none`, `captures`, `spans`, `all_but_registry`; refused in core
    /// mode, only reported over a stream.
    public var diskPressure = ""
    /// The last sequence that a published anchor stands for; `.origin`: none since the start.
    public var anchoredSequence = SequenceNumber.origin
    /// The data was restored, and nobody has said yet that what its log owes may be sent.
    public var areDirectivesFenced = false
    /// The newest semantics that this node has; 0: a node before 0.2.0, which has version 1.
    public var semanticsSupported: UInt32 = 0
    /// Services that the eviction guard holds: at most `guardsListed`, silent for longest first.
    public var guards: [GuardedService] = []
    /// How many there are in all.
    public var guardedServices: UInt32 = 0
    /// Services with at least one instance.
    public var services: UInt32 = 0
    /// Healthy, unhealthy, stale and protected ones add up to these.
    public var instances: UInt32 = 0
    public var healthyInstances: UInt32 = 0
    public var unhealthyInstances: UInt32 = 0
    public var staleInstances: UInt32 = 0
    /// Silent instances that the guard holds; nobody knows whether they live.
    public var protectedInstances: UInt32 = 0
    /// Since the start of this node.
    public var evictions: UInt64 = 0
    /// The newest that the registry remembers, newest first: at most `evictionsListed`.
    public var recentEvictions: [Removal] = []
    /// When the newest checkpoint was written, or the time of its state if an earlier run wrote it; nil: none.
    public var checkpointAt: Timestamp?
    /// How far the applied state is behind the clock, beyond one tick.
    public var intakeLag = Nanoseconds.zero
    /// The age of the oldest copy that is owed to a shadow, and how many are.
    public var outboxOldestAge = Nanoseconds.zero
    public var outboxWaiting: UInt64 = 0
    /// Why the node is not ready, gravest first; empty where it is.
    public var unreadyReasons: [String] = []
    /// The slowest hundredth of the fdatasync calls.
    public var syncP99 = Nanoseconds.zero

    /// The most services in `guards`.
    public static let guardsListed = 20
    /// The most removals in `recentEvictions`.
    public static let evictionsListed = 5

    public init(asOf: AsOf) { self.asOf = asOf }
}

/// A service that the eviction guard holds.
public struct GuardedService: Sendable, Hashable {
    public var serviceName: String
    public var instances: UInt32
    /// Silent instances that it holds.
    public var protectedInstances: UInt32
    /// The earliest last sign of life among them.
    public var silentSince: Timestamp?

    public init(serviceName: String, instances: UInt32, protectedInstances: UInt32, silentSince: Timestamp?) {
        self.serviceName = serviceName
        self.instances = instances
        self.protectedInstances = protectedInstances
        self.silentSince = silentSince
    }
}
