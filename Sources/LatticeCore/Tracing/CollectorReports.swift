// What a collector says of traces and services, as values for whoever calls its functions.

public import EventModel
import StateMachines

/// A trace that was judged to be out of the ordinary.
public struct JudgedTrace: Sendable, Hashable {
    /// Which trace.
    public var traceID: TraceID
    /// The service of its root.
    public var serviceName: String
    /// The operation of its root.
    public var operationName: String
    /// The earliest start of its spans.
    public var startTime: Timestamp
    /// To the latest end of its spans.
    public var duration: Nanoseconds
    /// How many spans are held, at least 1.
    public var spanCount: Int
    /// How many of them did not end well.
    public var errorCount: Int
    /// The root took longer than its operation's baseline allows.
    public var isSlow: Bool
    /// The root took longer than the absolute threshold.
    public var isOverThreshold: Bool
    /// A span did not end well.
    public var hasError: Bool
    /// What the baseline allowed the root; zero: there were too few samples.
    public var limit: Nanoseconds
    /// The median of the root's operation; zero: there were too few samples.
    public var median: Nanoseconds

    init(_ found: FoundTrace) {
        traceID = found.traceID
        serviceName = found.root.serviceName
        operationName = found.root.operationName
        startTime = found.startTime
        duration = found.duration
        spanCount = found.spanCount
        errorCount = found.errorCount
        isSlow = found.verdict?.isSlow ?? false
        isOverThreshold = found.verdict?.isOverThreshold ?? false
        hasError = found.verdict?.hasError ?? false
        limit = found.verdict?.limit ?? .zero
        median = found.verdict?.median ?? .zero
    }

    /// Milliseconds, for people.
    public var durationMs: Double { Double(duration.rawValue) / 1_000_000 }
}

/// How one service keeps its objective.
public struct ComplianceReport: Sendable, Hashable {
    private var row: ServiceCompliance

    init(_ row: ServiceCompliance) { self.row = row }

    /// Which service.
    public var serviceName: String { row.serviceName }
    /// What it promises.
    public var objective: ServiceObjective { row.objective }
    /// How many requests there were.
    public var requestCount: UInt64 { row.requestCount }
    /// How many of them did not end well.
    public var errorCount: UInt64 { row.errorCount }
    /// Ended well, but later than the objective allows.
    public var slowCount: UInt64 { row.slowCount }
    /// Ended well and in time.
    public var goodCount: UInt64 { row.goodCount }
    /// The share of the good ones, 0 to 1; 1 where there was no request.
    public var compliance: Double { row.compliance }
    /// Whether as many are good as the objective asks for; true where there was no request.
    public var isCompliant: Bool { row.isCompliant }
    /// How many times faster than allowed the error budget is spent: 1 spends exactly all of it; infinite where the
    /// objective allows no error and there was one.
    public var burnRate: Double { row.burnRate }
    /// The share of the error budget that is left, 1 to minus infinity.
    public var errorBudgetLeft: Double { row.errorBudgetLeft }
}

/// Who calls whom.
public struct CallGraph: Sendable, Hashable {
    /// Calls from one service to another, by name.
    public var edges: [CallEdge]
    /// Services that call themselves, by name.
    public var selfEdges: [CallEdge]
    /// Sides of calls whose other side is not known.
    public var unpairedCount: UInt64

    init(_ graph: DependencyGraph) {
        edges = graph.edges.map { CallEdge($0) }
        selfEdges = graph.selfEdges.map { CallEdge($0) }
        unpairedCount = graph.unpairedCount
    }
}

/// Calls from one service to another.
public struct CallEdge: Sendable, Hashable {
    private var edge: DependencyEdge

    init(_ edge: DependencyEdge) { self.edge = edge }

    /// Who calls.
    public var parent: String { edge.parent }
    /// Who is called.
    public var child: String { edge.child }
    /// Who calls sends no spans itself.
    public var isParentVirtual: Bool { edge.isParentVirtual }
    /// Who is called sends no spans itself: a database, a broker, a service outside.
    public var isChildVirtual: Bool { edge.isChildVirtual }
    /// How many calls there were.
    public var callCount: UInt64 { edge.callCount }
    /// How many of them did not end well.
    public var errorCount: UInt64 { edge.errorCount }

    /// A percentile of the calls' latencies, at most 0.1 % too large, never too small; nil where there was no call.
    ///
    /// - Parameter basisPoints: 0 to 10000; 5000 is the median.
    public func latency(basisPoints: UInt32) -> Nanoseconds? { edge.latency.percentile(basisPoints: basisPoints) }
}

/// A trace as flame graph: spans with the same way from the root are one frame.
public struct FlameGraphText: Sendable, Hashable {
    /// Lines of `service: operation;service: operation nanoseconds`, the self time of each stack (Brendan Gregg's format).
    public var folded: String
    /// `{"name":…,"value":…,"children":[…]}`, values in nanoseconds with those of all that is called (d3-flame-graph).
    public var json: String
}
