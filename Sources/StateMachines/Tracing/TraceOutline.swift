// A trace as rows and numbers: what a question about its times needs, without a value for each span.

package import EventModel

/// A trace as a part of the collector holds it, shared and not copied.
package struct TraceRows: Sendable {
    package let traceID: TraceID
    fileprivate let rows: [SpanRow]
    fileprivate let names: NameTable
}

extension TraceCollector {
    /// A trace for an outline; nil where it is not resident or in another part.
    package func rows(of traceID: TraceID) -> TraceRows? {
        trace(traceID).map { TraceRows(traceID: traceID, rows: $0.rows, names: names) }
    }
}

/// The assembled trace; a span is named by its place among all in order of start and id, as in `TraceTree`.
package struct TraceOutline: Sendable {
    package let traceID: TraceID
    private let rows: [SpanRow]
    private let names: NameTable
    /// At the times that are shown.
    private let forest: TraceForest
    private let rootIndex: Int?

    /// Assembles a trace.
    ///
    /// - Parameter maximumSkew: larger corrections of clocks are not made; nil: times as they were sent.
    /// - Complexity: O(n log n) in the number of spans.
    package init(_ trace: TraceRows, maximumSkew: Nanoseconds?) {
        traceID = trace.traceID
        names = trace.names
        rows = trace.rows.sorted(by: SpanRow.precedes)
        let raw = TraceForest(rows.map(\.traceNode))
        rootIndex = raw.rootIndex
        guard let maximumSkew else {
            forest = raw
            return
        }
        let correction = SkewCorrection(raw, hosts: rows.map { Int($0.host) }, maximum: maximumSkew)
        forest = correction.isEmpty ? raw : TraceForest(correction.nodes)
    }

    /// The critical path from the root, the first `limit` sections and slacks of it; nil where there is no root.
    package func criticalPath(limit: Int) -> CriticalPathPage? {
        guard let rootIndex else { return nil }
        let path = TraceAnalysis.criticalPath(forest, from: rootIndex) { names.nodes[Int(rows[$0].service)] }
        let root = forest.nodes[rootIndex]
        return CriticalPathPage(
            traceID: traceID, path,
            duration: Timestamp(nanoseconds: root.end) - Timestamp(nanoseconds: root.start), limit: limit
        ) { index in
            CriticalPathPage.Place(
                index: index, spanID: SpanID(rows[index].spanID), serviceName: names.nodes[Int(rows[index].service)],
                operationName: names.operations[Int(rows[index].operation)].name)
        }
    }
}

extension SpanRow {
    /// By start, then by id, the client's half first.
    static func precedes(_ left: SpanRow, _ right: SpanRow) -> Bool {
        if left.start != right.start { return left.start < right.start }
        if left.spanID != right.spanID { return left.spanID < right.spanID }
        return !left.isServerHalf && right.isServerHalf
    }

    fileprivate var traceNode: SpanNode {
        SpanNode(
            key: SpanKey(spanID: SpanID(spanID), isServerHalf: isServerHalf),
            parentID: parentID == 0 ? nil : SpanID(parentID), kind: spanKind, service: Int(service), start: start,
            end: end)
    }
}
