// The collector under the names of Specification.md, for programs that have spans in hand and no log.

package import EventModel

extension TraceCollector {
    /// Ingests a span as the next record of a log (`ingest`).
    @discardableResult
    package mutating func ingest(_ span: TraceSpan, at recordedAt: Timestamp) -> Outcome {
        ingestBatch([span], at: recordedAt)
    }

    /// Ingests spans, one record for each service in the order in which they first occur (`ingest_batch`). Indices of
    /// refusals are those of the list; spans that break the frozen rules of the log are `not_attempted`.
    @discardableResult
    package mutating func ingestBatch(_ spans: [TraceSpan], at recordedAt: Timestamp) -> Outcome {
        var places: [ByteName: [Int]] = [:]
        var services: [ByteName] = []
        for (index, span) in spans.enumerated() {
            let name = ByteName(span.serviceName)
            if places[name] == nil { services.append(name) }
            places[name, default: []].append(index)
        }
        var outcome = Outcome()
        for service in services {
            let own = places[service] ?? []
            guard let batch = SpanBatch(serviceName: service.text, spans: own.map { spans[$0] }) else {
                for index in own { outcome.refuse(index, .notAttempted) }
                continue
            }
            let part = append(.trace(.spansReceived(batch)), at: recordedAt)
            outcome.accepted += part.accepted
            for refusal in part.refused { outcome.refuse(own[Int(refusal.index)], refusal.reason) }
        }
        outcome.refused.sort { $0.index < $1.index }
        return outcome
    }

    /// Removes the traces whose time is over by then, and judges those that have settled (`prune_expired`).
    package mutating func pruneExpired(at recordedAt: Timestamp) { _ = append(.clock(.tick(slot: 0)), at: recordedAt) }

    private mutating func append(_ event: Event, at recordedAt: Timestamp) -> Outcome {
        let next = Moment(
            sequence: moment.sequence.next, recordedAt: recordedAt, logTime: max(moment.logTime, recordedAt),
            expiryTime: moment.expiryTime)
        let record = EventRecord(sequence: next.sequence, recordedAt: recordedAt, event: event)
        return apply(AdmittedRecord(record: record, moment: next))
    }

    /// A trace, assembled (`assemble`); nil where it is not resident.
    package func assemble(_ traceID: TraceID) -> TraceTree? { facts(of: traceID)?.tree(asOf: moment.asOf) }

    /// A span without what stands in the log only; of two halves the client's (`get_span`).
    package func getSpan(_ traceID: TraceID, _ spanID: SpanID) -> TraceSpan? { span(traceID, spanID).first?.span }

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
