// What the collector is asked under the names of Specification.md, of one whole collector in hand (LatticeCore asks so).

package import EventModel

extension TraceCollector {
    /// A trace, assembled (`assemble`); nil where it is not resident.
    package func assemble(_ traceID: TraceID) -> TraceTree? { facts(of: traceID)?.tree(asOf: moment.asOf) }

    /// Time by service, the largest self time first (`latency_breakdown`).
    package func latencyBreakdown(_ traceID: TraceID) -> [LatencyBreakdown] {
        assemble(traceID).map { TraceAnalysis.latencyBreakdown($0) } ?? []
    }

    /// The chain that the trace had to wait for (`critical_path`); nil where there is no root.
    package func criticalPath(_ traceID: TraceID) -> CriticalPath? {
        assemble(traceID).flatMap { TraceAnalysis.criticalPath($0) }
    }

    /// Percentiles of a service's spans in basis points (`service_latency_percentiles`).
    package func serviceLatencyPercentiles(_ service: String, _ basisPoints: [UInt32]) -> [UInt32: Nanoseconds] {
        seriesWithOlderSpans().latencyPercentiles(service: service, basisPoints: basisPoints)
    }
}

/// How services keep their objectives (`slo_compliance_report`); without any, those that the collector holds.
package func sloComplianceReport(
    _ collector: TraceCollector, _ sloByService: [String: ServiceObjective]? = nil
) -> [ServiceCompliance] {
    collector.seriesWithOlderSpans().complianceReport(
        sloByService.map { NamedObjectives($0) } ?? collector.settings.objectives)
}

/// Who calls whom (`dependency_graph`).
package func dependencyGraph(_ collector: TraceCollector) -> DependencyGraph {
    collector.seriesWithOlderSpans().dependencyGraph
}

/// Spans that took longer, the longest first (`slow_span_analysis`).
package func slowSpanAnalysis(_ collector: TraceCollector, threshold: Nanoseconds, limit: Int) -> [SpanFacts] {
    collector.slowSpans(threshold: threshold, limit: limit)
}

/// A trace as folded stacks and as nested JSON (`trace_to_flamegraph`).
package func traceToFlamegraph(_ trace: TraceTree) -> (folded: String, json: String) {
    let graph = FlameGraph(trace)
    return (graph.folded, graph.json)
}
