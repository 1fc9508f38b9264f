// What the traffic mirror answers: immutable values with the position they are true for (mirror_queries.proto).

/// One reason for which requests were not copied, or copies not carried out, with its count.
public struct LedgerEntry: Sendable, Hashable {
    public var reason: String
    public var count: UInt64

    public init(reason: String, count: UInt64) {
        self.reason = reason
        self.count = count
    }
}

/// A mirror with what is known of it.
public struct MirrorState: Sendable, Hashable {
    public var configuration: MirrorConfiguration
    /// Its shadow is not on the allow-list any more: nothing is sent.
    public var isShadowRefused = false
    public var pendingCount: UInt64 = 0
    public var pendingBytes: UInt64 = 0
    public var awaitingComparisonCount: UInt64 = 0
    /// Copies that became directives.
    public var mirrored: UInt64 = 0
    public var succeeded: UInt64 = 0
    /// Sent a second time, because a node was lost that may have sent them.
    public var redispatched: UInt64 = 0
    public var equal: UInt64 = 0
    public var different: UInt64 = 0
    public var undecided: UInt64 = 0
    /// Comparisons between two answers of production's version.
    public var baselines: UInt64 = 0
    public var latencyTotal = Nanoseconds.zero
    public var latencyMaximum = Nanoseconds.zero
    public var ledger: [LedgerEntry] = []

    public init(configuration: MirrorConfiguration) { self.configuration = configuration }
}

/// Answer of `mirrors` and `stats`.
public struct MirrorsAnswer: Sendable, Hashable {
    public var asOf: AsOf
    /// In order of mirror id.
    public var mirrors: [MirrorState]
    /// `mirrors` of one source: where they may send to.
    public var allowedShadows: [String] = []
    public var allowLoopback = false
    /// What `limit` left out.
    public var omitted: UInt32 = 0
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, mirrors: [MirrorState]) {
        self.asOf = asOf
        self.mirrors = mirrors
    }
}

/// Answer of `ledger`.
public struct MirrorLedgerAnswer: Sendable, Hashable {
    /// The reasons of one mirror; without an id: of mirrors that are gone.
    public struct Row: Sendable, Hashable {
        public var mirrorID: String
        public var entries: [LedgerEntry]

        public init(mirrorID: String, entries: [LedgerEntry]) {
            self.mirrorID = mirrorID
            self.entries = entries
        }
    }

    public var asOf: AsOf
    public var rows: [Row]
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, rows: [Row]) {
        self.asOf = asOf
        self.rows = rows
    }
}

/// Answer of `pending`.
public struct MirrorPendingAnswer: Sendable, Hashable {
    /// A copy that is owed to a shadow.
    public struct Copy: Sendable, Hashable {
        public var directive: DirectiveID
        public var shadowEndpoint: String
        public var isRedispatch: Bool

        public init(directive: DirectiveID, shadowEndpoint: String, isRedispatch: Bool) {
            self.directive = directive
            self.shadowEndpoint = shadowEndpoint
            self.isRedispatch = isRedispatch
        }
    }

    public var asOf: AsOf
    public var pendingCount: UInt64
    /// The oldest first.
    public var copies: [Copy]
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, pendingCount: UInt64, copies: [Copy]) {
        self.asOf = asOf
        self.pendingCount = pendingCount
        self.copies = copies
    }
}

/// Answer of `diffs`.
public struct MirrorDiffsAnswer: Sendable, Hashable {
    /// How often one kind of difference was seen at one place.
    public struct Path: Sendable, Hashable {
        public var path: DifferingPath
        /// Pairs of production and shadow.
        public var raw: UInt64
        /// Pairs of two answers of production's version.
        public var noise: UInt64
        /// Of 10,000 compared.
        public var basisPoints: UInt32
        /// `regression`, `noise` or `not enough data`.
        public var verdict: String
        /// The last `compared` event in which it was seen.
        public var latest: EventPosition

        public init(
            path: DifferingPath, raw: UInt64, noise: UInt64, basisPoints: UInt32, verdict: String,
            latest: EventPosition
        ) {
            self.path = path
            self.raw = raw
            self.noise = noise
            self.basisPoints = basisPoints
            self.verdict = verdict
            self.latest = latest
        }
    }

    public var asOf: AsOf
    public var mirrorID: String
    public var compared: UInt64 = 0
    public var differing: UInt64 = 0
    public var failed: UInt64 = 0
    public var basisPoints: UInt32 = 0
    public var thresholdBasisPoints: UInt32 = 0
    /// No more than the threshold differ, and something was compared.
    public var passes = false
    /// Regressions first, then the most frequent.
    public var paths: [Path] = []
    /// What `limit` left out.
    public var omitted: UInt32 = 0
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, mirrorID: String) {
        self.asOf = asOf
        self.mirrorID = mirrorID
    }
}

/// Answer of `comparison`: one pair of answers, read back from the log.
public struct MirrorComparisonAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var sourceService: String
    public var shadowEndpoint = ""
    public var comparison: ShadowComparison
    public var differences = ComparedContent()
    /// Nil: the capture is before the horizon.
    public var capture: RequestCapture?
    public var content = CapturedContent()
    public var isErased = false

    public init(asOf: AsOf, sourceService: String, comparison: ShadowComparison) {
        self.asOf = asOf
        self.sourceService = sourceService
        self.comparison = comparison
    }
}

/// Answer of `should_mirror`.
public struct MirrorDecisionsAnswer: Sendable, Hashable {
    /// What a mirror says of a request.
    public struct Decision: Sendable, Hashable {
        public var mirrorID: String
        public var isMirrored: Bool
        /// Why not; empty where it is.
        public var reason: String

        public init(mirrorID: String, isMirrored: Bool, reason: String) {
            self.mirrorID = mirrorID
            self.isMirrored = isMirrored
            self.reason = reason
        }
    }

    public var asOf: AsOf
    public var decisions: [Decision]
    /// The request's place among 10,000.
    public var sampleBucket: UInt32

    public init(asOf: AsOf, decisions: [Decision], sampleBucket: UInt32) {
        self.asOf = asOf
        self.decisions = decisions
        self.sampleBucket = sampleBucket
    }
}

/// One captured request, read back from the log.
public struct RecordedCapture: Sendable, Hashable {
    public var position: EventPosition
    public var recordedAt: Timestamp
    public var capture: RequestCapture
    public var content: CapturedContent
    public var isErased: Bool

    public init(
        position: EventPosition, recordedAt: Timestamp, capture: RequestCapture, content: CapturedContent,
        isErased: Bool
    ) {
        self.position = position
        self.recordedAt = recordedAt
        self.capture = capture
        self.content = content
        self.isErased = isErased
    }
}

/// Answer of `captures`.
public struct CapturesAnswer: Sendable, Hashable {
    public var asOf: AsOf
    /// In the order of the log.
    public var captures: [RecordedCapture] = []
    /// Where to go on; origin: there is no more.
    public var nextSequence = SequenceNumber.origin

    public init(asOf: AsOf) { self.asOf = asOf }
}
