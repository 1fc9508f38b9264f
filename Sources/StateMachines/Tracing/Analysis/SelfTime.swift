// Time that spans and services spend themselves, without their children.

package import EventModel

extension TraceAnalysis {
    /// The self time of each span: its duration minus the union of its children's intervals clipped to it.
    package static func selfTimes(_ forest: TraceForest) -> [Nanoseconds] {
        forest.nodes.indices.map { index in
            let node = forest.nodes[index]
            var covered: Int64 = 0
            var reached = node.start
            // Children come in order of start, so one pass merges their intervals.
            for child in forest.children(index) {
                let start = max(forest.nodes[child].start, reached)
                let end = min(forest.nodes[child].end, node.end)
                if end <= start { continue }
                covered &+= end &- start
                reached = end
            }
            return Nanoseconds(max(0, node.end &- node.start &- covered))
        }
    }

    /// What each service contributes, the largest self time first.
    package static func latencyBreakdown(_ tree: TraceTree) -> [LatencyBreakdown] {
        var rows: [ByteName: LatencyBreakdown] = [:]
        for (span, selfTime) in zip(tree.spans, selfTimes(tree.forest)) {
            let empty = LatencyBreakdown(
                serviceName: span.serviceName, total: .zero, selfTime: .zero, spanCount: 0, errorCount: 0)
            var row = rows[ByteName(span.serviceName)] ?? empty
            row.total = row.total + span.duration
            row.selfTime = row.selfTime + selfTime
            row.spanCount += 1
            row.errorCount += span.isError ? 1 : 0
            rows[ByteName(span.serviceName)] = row
        }
        return rows.values.sorted { left, right in
            if left.selfTime != right.selfTime { return left.selfTime > right.selfTime }
            return left.serviceName.precedesInBytes(right.serviceName)
        }
    }
}
