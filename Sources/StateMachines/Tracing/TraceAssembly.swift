// Spans of one trace into a tree: each counted once, parents found, what is missing named.

package import EventModel

/// Questions about the spans of one trace; every function is pure.
package enum TraceAnalysis {
    /// A tree of the spans that belong to a trace, with times as sent.
    ///
    /// Of two spans with the same key the winner has more tags, then the larger content hash (decision 18), so that
    /// neither order nor repetition of the spans changes the answer.
    /// - Complexity: O(n log n) in the number of spans.
    package static func assemble(_ traceID: TraceID, _ spans: [TraceSpan], asOf: AsOf) -> TraceTree {
        let own = spans.filter { $0.traceID == traceID }
        let distinct = distinctSpans(own)
        let forest = TraceForest(nodes(of: distinct))
        var tree = TraceTree(
            traceID: traceID, spans: distinct, structure: forest.structure, rootIndex: forest.rootIndex,
            totalDuration: .zero, serviceCount: Set(distinct.map { ByteName($0.serviceName) }).count,
            errorCount: distinct.count { $0.isError }, assembledAt: asOf, isRaw: true, warnings: [],
            duplicateCount: own.count - distinct.count)
        tree.totalDuration = extent(distinct)
        tree.warnings = structureWarnings(tree)
        return tree
    }

    /// From the earliest start to the latest end.
    static func extent(_ spans: [TraceSpan]) -> Nanoseconds {
        guard let start = spans.map(\.startTime).min(), let end = spans.map(\.endTime).max() else { return .zero }
        return end - start
    }

    /// Each key once, by start and id.
    private static func distinctSpans(_ spans: [TraceSpan]) -> [TraceSpan] {
        var places = [SpanKey: Int](minimumCapacity: spans.count)
        var result: [TraceSpan] = []
        result.reserveCapacity(spans.count)
        for span in spans {
            guard let place = places[span.key] else {
                places[span.key] = result.count
                result.append(span)
                continue
            }
            if wins(span, over: result[place]) { result[place] = span }
        }
        result.sort { left, right in
            left.startTime != right.startTime ? left.startTime < right.startTime : left.key < right.key
        }
        return result
    }

    private static func wins(_ span: TraceSpan, over other: TraceSpan) -> Bool {
        if span.tags.count != other.tags.count { return span.tags.count > other.tags.count }
        return span.contentHash > other.contentHash
    }

    private static func structureWarnings(_ tree: TraceTree) -> [SpanWarning] {
        let orphans = tree.structure.orphans.map { index in
            let parent = tree.spans[index].parentSpanID.map(\.description) ?? ""
            let text = "parent span ID=\(parent) is not in the trace; skipping clock skew adjustment"
            return SpanWarning(span: index, text: text)
        }
        let cuts = tree.structure.cuts.map {
            SpanWarning(span: $0, text: "its parents form a cycle, which was cut above this span")
        }
        return orphans + cuts
    }

    /// What the structure depends on; services by number.
    static func nodes(of spans: [TraceSpan]) -> [SpanNode] {
        var services: [ByteName: Int] = [:]
        return spans.map { span in
            let next = services.count
            let service = services[ByteName(span.serviceName), default: next]
            if service == next { services[ByteName(span.serviceName)] = next }
            return SpanNode(
                key: span.key, parentID: span.parentSpanID, kind: span.kind, service: service,
                start: span.startTime.rawValue, end: span.endTime.rawValue)
        }
    }
}
