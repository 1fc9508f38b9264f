// The specification's functions on a trace collector, over one in the caller's own process.

public import EventModel
import StateMachines

/// Creates a collector (`create_collector`).
///
/// - Parameters:
///   - configuration: what differs from the defaults in Limits.md.
///   - clock: the time of day; simulations give their own.
/// - Throws: `refused(.invalidSetting)` where a value is out of its range.
public func createCollector(
    _ configuration: TracesConfiguration = TracesConfiguration(),
    clock: @escaping @Sendable () -> Timestamp = LocalTime.wallClock
) throws(LocalError) -> LocalCollector { try LocalCollector(configuration, clock: clock) }

/// How services keep their objectives, by name (`slo_compliance_report`). Requests are a service's spans of kind server and
/// consumer; of a service without any, all its spans.
///
/// - Parameter sloByService: nil: the objectives that the collector holds, which are `SERVICE_SLO` unless configured.
public func sloComplianceReport(
    _ collector: LocalCollector, _ sloByService: [String: ServiceObjective]? = nil
) -> [ComplianceReport] {
    let rows: [ServiceCompliance] = StateMachines.sloComplianceReport(collector.machine, sloByService)
    return rows.map { ComplianceReport($0) }
}

/// Who calls whom, by name (`dependency_graph`).
public func dependencyGraph(_ collector: LocalCollector) -> CallGraph {
    CallGraph(StateMachines.dependencyGraph(collector.machine))
}

/// Spans that took longer than a threshold, the longest first (`slow_span_analysis`).
///
/// - Parameters:
///   - threshold: a span of exactly this length is not slow.
///   - limit: at most so many, 0 to 1,000,000; what lies outside counts as the nearer end.
public func slowSpanAnalysis(
    _ collector: LocalCollector, threshold: Nanoseconds, limit: Int = 20
) -> [TraceSpan] { collector.slowSpans(threshold, limit) }

/// A trace for tools that draw flame graphs (`trace_to_flamegraph`).
public func traceToFlamegraph(_ trace: TraceTree) -> FlameGraphText {
    let (folded, json) = StateMachines.traceToFlamegraph(trace)
    return FlameGraphText(folded: folded, json: json)
}
