// What is said about one trace: the assembled tree, time per service, the critical path, a comparison.

/// How the spans of a trace hang together; spans are named by their index in the tree.
public struct TraceStructure: Sendable, Hashable {
    /// The parent of each span; nil for tops: roots, orphans, and where a cycle was cut.
    public var parents: [Int?]
    /// Spans that name no parent, by start.
    public var roots: [Int]
    /// Spans whose parent is not there, by start; they hang under no root.
    public var orphans: [Int]
    /// Spans with the earliest start of a cycle, which was cut above them.
    public var cuts: [Int]

    public init(parents: [Int?], roots: [Int], orphans: [Int], cuts: [Int]) {
        self.parents = parents
        self.roots = roots
        self.orphans = orphans
        self.cuts = cuts
    }

    /// One root and nothing missing.
    public var isComplete: Bool { roots.count == 1 && orphans.isEmpty && cuts.isEmpty }
}

/// Something that is odd about a span.
public struct SpanWarning: Sendable, Hashable {
    /// Which span of the tree.
    public var span: Int
    public var text: String

    public init(span: Int, text: String) {
        self.span = span
        self.text = text
    }
}

/// A trace assembled from its spans.
public struct TraceTree: Sendable, Hashable {
    public var traceID: TraceID
    /// By start, then by id.
    public var spans: [TraceSpan]
    public var structure: TraceStructure
    /// The root that starts first, or the top of a cycle where there is none; nil: no root has come yet.
    public var rootIndex: Int?
    /// From the earliest start to the latest end.
    public var totalDuration: Nanoseconds
    public var serviceCount: Int
    /// Spans that did not end well.
    public var errorCount: Int
    /// The position of the log that the answer is true for (decision 23).
    public var assembledAt: AsOf
    /// Times are as sent; false: moved to correct the clocks' skew.
    public var isRaw: Bool
    /// Missing parents, cycles, and skews that were not corrected.
    public var warnings: [SpanWarning]
    /// Spans that came more than once and were counted once.
    public var duplicateCount: Int

    public init(
        traceID: TraceID, spans: [TraceSpan], structure: TraceStructure, rootIndex: Int?, totalDuration: Nanoseconds,
        serviceCount: Int, errorCount: Int, assembledAt: AsOf, isRaw: Bool, warnings: [SpanWarning],
        duplicateCount: Int
    ) {
        self.traceID = traceID
        self.spans = spans
        self.structure = structure
        self.rootIndex = rootIndex
        self.totalDuration = totalDuration
        self.serviceCount = serviceCount
        self.errorCount = errorCount
        self.assembledAt = assembledAt
        self.isRaw = isRaw
        self.warnings = warnings
        self.duplicateCount = duplicateCount
    }

    /// The root span.
    public var rootSpan: TraceSpan? { rootIndex.map { spans[$0] } }

    /// Milliseconds, for people.
    public var totalDurationMs: Double { Double(totalDuration.rawValue) / 1_000_000 }

    /// The children of a span by its id, either half, in order of start.
    public func children(of spanID: SpanID) -> [TraceSpan] {
        let owners = Set(spans.indices.filter { spans[$0].spanID == spanID })
        return zip(spans, structure.parents).filter { $0.1.map(owners.contains) ?? false }.map(\.0)
    }
}

/// What one service contributes to the latency of a trace.
public struct LatencyBreakdown: Sendable, Hashable {
    public var serviceName: String
    /// Sum of the spans' durations.
    public var total: Nanoseconds
    /// Sum of the spans' durations without the time in which children ran.
    public var selfTime: Nanoseconds
    public var spanCount: Int
    public var errorCount: Int

    public init(serviceName: String, total: Nanoseconds, selfTime: Nanoseconds, spanCount: Int, errorCount: Int) {
        self.serviceName = serviceName
        self.total = total
        self.selfTime = selfTime
        self.spanCount = spanCount
        self.errorCount = errorCount
    }

    /// Milliseconds, for people.
    public var totalMs: Double { Double(total.rawValue) / 1_000_000 }
    /// Milliseconds, for people.
    public var selfMs: Double { Double(selfTime.rawValue) / 1_000_000 }
    /// 0 to 1.
    public var errorRate: Double { spanCount == 0 ? 0 : Double(errorCount) / Double(spanCount) }
}

/// A stretch of time that one span is answerable for.
public struct PathSection: Sendable, Hashable {
    /// Which span of the tree.
    public var span: Int
    public var start: Timestamp
    public var end: Timestamp

    public init(span: Int, start: Timestamp, end: Timestamp) {
        self.span = span
        self.start = start
        self.end = end
    }

    /// How long it lasts.
    public var duration: Nanoseconds { end - start }
}

/// The part of a total that one service has.
public struct ServiceShare: Sendable, Hashable {
    public var serviceName: String
    public var duration: Nanoseconds

    public init(serviceName: String, duration: Nanoseconds) {
        self.serviceName = serviceName
        self.duration = duration
    }
}

/// The longest sequential chain of a trace (Meanings.md, Critical path).
public struct CriticalPath: Sendable, Hashable {
    /// The span whose duration is tiled.
    public var root: Int
    /// From the end to the start; without gaps and overlaps.
    public var sections: [PathSection]
    /// How much longer each span could take without moving the root's end; nil: nothing waits for it.
    public var slack: [Nanoseconds?]
    /// Largest first.
    public var shares: [ServiceShare]

    public init(root: Int, sections: [PathSection], slack: [Nanoseconds?], shares: [ServiceShare]) {
        self.root = root
        self.sections = sections
        self.slack = slack
        self.shares = shares
    }
}
