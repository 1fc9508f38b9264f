// What mirrors are made of: configurations, captured requests and what came of sending them.

/// Which of a service's requests a mirror copies.
public enum MirrorMode: UInt32, Sendable, Hashable, CaseIterable {
    /// All of them.
    case full = 1
    /// A share of them, sticky by the sample seed.
    case sampled = 2
    /// Those whose intent is included and not excluded.
    case filtered = 3
    /// None that are live: it is fed from the log.
    case replay = 4

    /// The word on the wire.
    public var name: String {
        switch self {
        case .full: "full"
        case .sampled: "sampled"
        case .filtered: "filtered"
        case .replay: "replay"
        }
    }

    /// Reads the word on the wire.
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

/// A traffic mirror: whose requests go where, which of them, and how the answers are compared.
public struct MirrorConfiguration: Sendable, Hashable {
    public var mirrorID: String
    public var sourceService: String
    /// `host:port`; must be on the source's allow-list.
    public var shadowEndpoint: String
    public var mode: MirrorMode
    /// `sampled`: so many of 10,000 requests.
    public var sampleRateBasisPoints: UInt32
    /// `filtered`: globs with `*`; none: every intent.
    public var includeIntents: [String]
    /// `filtered`: globs with `*`, stronger than the included ones.
    public var excludeIntents: [String]
    /// The whole time that the shadow has for its answer.
    public var timeout: Nanoseconds
    public var enabled: Bool
    /// When it was added, in log time; given by the log.
    public var createdAt: Timestamp
    /// Whether requests are copied that are neither GET nor HEAD.
    public var allowWrites: Bool
    /// Bytes of a body that are kept; longer ones are cut and not dispatched.
    public var payloadLimit: UInt32
    /// Requests that may wait…
    public var bufferRequests: UInt32
    /// …and their bytes.
    public var bufferBytes: UInt64
    /// The name of the file with the shadow's own credentials; never their content.
    public var shadowAuthentication: String
    /// Names, or JSON Pointers with `*`, that a comparison passes over.
    public var ignoreFields: [String]
    /// Pointers to arrays whose order does not matter.
    public var unorderedArrays: [String]
    /// Headers that must be equal.
    public var comparedHeaders: [String]
    /// `host:port` of a second instance of production's own version: where its answers differ is noise (decision 22);
    /// empty: noise is learned from production's answers to equal requests. Must be on the allow-list too.
    public var baselineEndpoint: String
    /// The name of the file with its credentials.
    public var baselineAuthentication: String

    public init(
        mirrorID: String, sourceService: String, shadowEndpoint: String, mode: MirrorMode = .sampled,
        sampleRateBasisPoints: UInt32 = 100, includeIntents: [String] = [], excludeIntents: [String] = [],
        timeout: Nanoseconds = .seconds(1), enabled: Bool = true, createdAt: Timestamp = .zero,
        allowWrites: Bool = false, payloadLimit: UInt32 = 16_384, bufferRequests: UInt32 = 1_000,
        bufferBytes: UInt64 = 67_108_864, shadowAuthentication: String = "", ignoreFields: [String] = [],
        unorderedArrays: [String] = [], comparedHeaders: [String] = [], baselineEndpoint: String = "",
        baselineAuthentication: String = ""
    ) {
        self.mirrorID = mirrorID
        self.sourceService = sourceService
        self.shadowEndpoint = shadowEndpoint
        self.mode = mode
        self.sampleRateBasisPoints = sampleRateBasisPoints
        self.includeIntents = includeIntents
        self.excludeIntents = excludeIntents
        self.timeout = timeout
        self.enabled = enabled
        self.createdAt = createdAt
        self.allowWrites = allowWrites
        self.payloadLimit = payloadLimit
        self.bufferRequests = bufferRequests
        self.bufferBytes = bufferBytes
        self.shadowAuthentication = shadowAuthentication
        self.ignoreFields = ignoreFields
        self.unorderedArrays = unorderedArrays
        self.comparedHeaders = comparedHeaders
        self.baselineEndpoint = baselineEndpoint
        self.baselineAuthentication = baselineAuthentication
    }
}

/// A request that is captured for mirroring; as it is handed out, after redaction.
public struct MirroredRequest: Sendable, Hashable {
    /// Names it among those of its source; a repeat is refused.
    public var requestID: String
    /// 16 bytes, or empty.
    public var traceID: [UInt8]
    /// Whose request it is.
    public var sourceService: String
    /// What it is for, for instance `orders.read`; filters look at it.
    public var intent: String
    /// What was kept of the body.
    public var payload: [UInt8]
    /// In order; handed out, only those that may leave the process, secret ones without their values.
    public var headers: [HeaderField]
    /// When it was captured, in log time; given by the log.
    public var mirroredAt: Timestamp
    /// In capitals; what is neither GET nor HEAD is mirrored where writes are allowed only.
    public var method: String
    /// Path and query; handed out, without the values of secret parameters.
    public var target: String

    public init(
        requestID: String, traceID: [UInt8] = [], sourceService: String, intent: String, payload: [UInt8] = [],
        headers: [HeaderField] = [], mirroredAt: Timestamp = .zero, method: String = "GET", target: String = "/"
    ) {
        self.requestID = requestID
        self.traceID = traceID
        self.sourceService = sourceService
        self.intent = intent
        self.payload = payload
        self.headers = headers
        self.mirroredAt = mirroredAt
        self.method = method
        self.target = target
    }
}

/// What came of one mirrored request.
public struct MirrorResult: Sendable, Hashable {
    /// Of which request.
    public var requestID: String
    /// Where it went.
    public var shadowEndpoint: String
    /// The shadow answered, whatever it said.
    public var success: Bool
    /// Until the whole answer was there, or until it was given up.
    public var latency: Nanoseconds
    /// 0: there was no response.
    public var responseCode: UInt32
    /// The answers differ by the mirror's rules.
    public var diffDetected: Bool
    /// What differs, for people; empty where nothing does.
    public var diffSummary: String
    /// Where it differs; each place once.
    public var differences: [DifferingPath]

    /// Milliseconds, as the specification writes it.
    public var latencyMs: Double { Double(latency.rawValue) / 1_000_000 }

    public init(
        requestID: String, shadowEndpoint: String, success: Bool, latency: Nanoseconds = .zero,
        responseCode: UInt32 = 0, diffDetected: Bool = false, diffSummary: String = "",
        differences: [DifferingPath] = []
    ) {
        self.requestID = requestID
        self.shadowEndpoint = shadowEndpoint
        self.success = success
        self.latency = latency
        self.responseCode = responseCode
        self.diffDetected = diffDetected
        self.diffSummary = diffSummary
        self.differences = differences
    }
}

/// How the two sides differ at one place. The other way round, missing is unexpected.
public enum DifferenceKind: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    /// Production has it, the shadow does not.
    case missing = 1
    /// The shadow has it, production does not.
    case unexpected = 2
    /// Both have it, of different types.
    case type = 3
    /// Both have it, with different values.
    case value = 4

    /// The word on the wire.
    public var name: String {
        switch self {
        case .missing: "missing"
        case .unexpected: "unexpected"
        case .type: "type"
        case .value: "value"
        }
    }

    /// Reads the word on the wire.
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// In the order of the numbers.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Which part of a response a difference is in.
public enum ResponsePart: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    case status = 1
    case header = 2
    case body = 3

    /// The word on the wire.
    public var name: String {
        switch self {
        case .status: "status"
        case .header: "header"
        case .body: "body"
        }
    }

    /// Reads the word on the wire.
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// In the order of the numbers.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A kind of difference at a place, whatever the values: what differences are counted by.
public struct DifferingPath: Sendable, Hashable {
    public var part: ResponsePart
    /// A JSON Pointer with `*` for each element of an array, the name of a header, or empty.
    public var pattern: String
    public var kind: DifferenceKind

    public init(part: ResponsePart, pattern: String, kind: DifferenceKind) {
        self.part = part
        self.pattern = pattern
        self.kind = kind
    }
}

/// What a comparison comes to.
public enum ComparisonVerdict: UInt8, Sendable, Hashable, CaseIterable {
    case equal = 1
    case different = 2
    /// Nothing differs in what was kept, but not all was kept.
    case undecided = 3

    /// The word on the wire.
    public var name: String {
        switch self {
        case .equal: "equal"
        case .different: "different"
        case .undecided: "undecided"
        }
    }

    /// Reads the word on the wire.
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

/// Bounds on mirrors, frozen with the log format (decision 2).
public enum MirrorLimits {
    /// Globs, ignore rules or headers of one list in a configuration.
    public static let rules = 64
    /// Entries of one allow-list.
    public static let allowedShadows = 256
    /// Differing places told of one comparison.
    public static let differingPaths = 64
    /// Bytes of a path in a comparison.
    public static let pathBytes = 1_024
}
