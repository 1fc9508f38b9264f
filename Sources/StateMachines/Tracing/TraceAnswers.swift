// Answers about traces into protobuf (trace_queries.proto).

package import EventModel

/// A span with what a view of its trace adds.
package struct CollectedSpan: Sendable, Hashable {
    package var span: TraceSpan
    /// Its parent's place among all spans of the trace; nil: a top, or not looked at.
    package var parentIndex: Int?
    package var selfTime: Nanoseconds
    package var warnings: [String]
    package var position: EventPosition

    package init(
        _ span: TraceSpan, at position: EventPosition, parentIndex: Int? = nil, selfTime: Nanoseconds = .zero,
        warnings: [String] = []
    ) {
        self.span = span
        self.position = position
        self.parentIndex = parentIndex
        self.selfTime = selfTime
        self.warnings = warnings
    }
}

/// What is answered to a question about traces.
package enum TraceReply: Sendable {
    case trace(TracePage)
    case spans([CollectedSpan], omitted: Int)
    /// A page of summaries and the token of the next one; empty: it was the last.
    case traces([FoundTrace], nextPageToken: String)
    case operations([OperationSummary], older: OlderSpans = OlderSpans())
    case percentiles(PercentileReport, older: OlderSpans = OlderSpans())
    case latencyBreakdown(TraceID, [LatencyBreakdown])
    case criticalPath(CriticalPathPage)
    case dependencies(DependencyGraph, older: OlderSpans = OlderSpans())
    case compliance([ServiceCompliance], older: OlderSpans = OlderSpans())
    case flamegraph(TraceID, folded: String, json: String)
    case comparison(TraceComparison)
    case stats(CollectorStats)

    /// The answer as bytes, true for this position.
    package func encode(asOf: AsOf) -> [UInt8] {
        var writer = WireWriter(capacity: 1_024)
        writer.message(1) { inner in
            inner.field(1, asOf.sequence)
            inner.field(2, asOf.recordedAt)
        }
        switch self {
        case .trace(let page): page.write(&writer)
        case .spans(let spans, let omitted): Self.write(spans, omitted, &writer)
        case .traces(let traces, let token):
            for trace in traces { writer.message(2) { inner in trace.write(&inner) } }
            writer.field(3, token)
        case .operations(let rows, let older):
            for row in rows { writer.message(2) { inner in row.write(&inner) } }
            older.write(3, &writer)
        case .percentiles(let report, let older):
            report.write(&writer)
            older.write(7, &writer)
        case .latencyBreakdown(let id, let rows): Self.write(id, rows, &writer)
        case .criticalPath(let page): page.write(&writer)
        case .dependencies(let graph, let older):
            graph.write(&writer)
            older.write(5, &writer)
        case .compliance(let rows, let older):
            for row in rows { writer.message(2) { inner in row.write(&inner) } }
            older.write(3, &writer)
        case .flamegraph(let id, let folded, let json):
            writer.field(2, id.bytes)
            writer.field(3, folded)
            writer.field(4, json)
        case .comparison(let comparison): comparison.write(&writer)
        case .stats(let stats): stats.write(&writer)
        }
        return writer.bytes
    }

    private static func write(_ spans: [CollectedSpan], _ omitted: Int, _ writer: inout WireWriter) {
        let resources = ResourceTable(spans)
        for span in spans { span.write(2, resources, &writer) }
        resources.write(3, &writer)
        writer.field(4, UInt32(clamping: omitted))
    }

    private static func write(_ id: TraceID, _ rows: [LatencyBreakdown], _ writer: inout WireWriter) {
        writer.field(2, id.bytes)
        for row in rows {
            writer.message(3) { inner in
                inner.field(1, row.serviceName)
                inner.field(2, row.total)
                inner.field(3, row.selfTime)
                inner.field(4, UInt32(clamping: row.spanCount))
                inner.field(5, UInt32(clamping: row.errorCount))
                inner.field(6, row.errorRate)
            }
        }
    }
}

/// The processes of some spans, each once, in the order in which they first occur.
private struct ResourceTable {
    private struct Entry: Hashable {
        var serviceName: ByteName
        var tags: [SpanTag]
    }

    private var entries: [Entry] = []
    private var indexByEntry: [Entry: Int] = [:]

    init(_ spans: [CollectedSpan]) {
        for span in spans {
            let entry = Entry(serviceName: ByteName(span.span.serviceName), tags: span.span.resource)
            if indexByEntry[entry] != nil { continue }
            indexByEntry[entry] = entries.count
            entries.append(entry)
        }
    }

    func index(of span: TraceSpan) -> Int {
        indexByEntry[Entry(serviceName: ByteName(span.serviceName), tags: span.resource)] ?? 0
    }

    func write(_ number: Int, _ writer: inout WireWriter) {
        for entry in entries {
            writer.message(number) { inner in
                inner.field(1, entry.serviceName.text)
                for tag in entry.tags { tag.write(2, &inner) }
            }
        }
    }
}

extension CollectedSpan {
    fileprivate func write(_ number: Int, _ resources: ResourceTable, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.message(1) { body in body.append(span.encoded) }
            inner.field(2, UInt32(resources.index(of: span)))
            inner.optionalField(3, parentIndex.map { UInt64($0) })
            inner.field(4, selfTime)
            for warning in warnings { inner.element(5, warning) }
            inner.field(6, position.sequence)
            inner.field(7, position.index)
        }
    }
}

/// An assembled trace, or a stretch of its spans.
package struct TracePage: Sendable {
    package var tree: TraceTree
    /// Spans of this page, each at its place in the tree.
    package var spans: [CollectedSpan]
    package var offset: Int
    package var nextPageToken: String
    package var verdict: TraceVerdict?

    package init(
        tree: TraceTree, spans: [CollectedSpan], offset: Int, nextPageToken: String, verdict: TraceVerdict?
    ) {
        self.tree = tree
        self.spans = spans
        self.offset = offset
        self.nextPageToken = nextPageToken
        self.verdict = verdict
    }

    fileprivate func write(_ writer: inout WireWriter) {
        let resources = ResourceTable(spans)
        writer.field(2, tree.traceID.bytes)
        for span in spans { span.write(3, resources, &writer) }
        resources.write(4, &writer)
        writer.field(5, UInt32(clamping: offset))
        writer.field(6, nextPageToken)
        writer.optionalField(7, tree.rootIndex.map { UInt64($0) })
        writer.field(8, tree.totalDuration)
        writer.field(9, UInt32(clamping: tree.spans.count))
        writer.field(10, UInt32(clamping: tree.serviceCount))
        writer.field(11, UInt32(clamping: tree.errorCount))
        writer.packed(12, tree.structure.roots.map { UInt32($0) })
        writer.packed(13, tree.structure.orphans.map { UInt32($0) })
        writer.packed(14, tree.structure.cuts.map { UInt32($0) })
        writer.field(15, tree.structure.isComplete)
        writer.field(16, tree.isRaw)
        if let verdict { writer.message(17) { inner in verdict.write(&inner) } }
    }
}

extension FoundTrace {
    fileprivate func write(_ writer: inout WireWriter) {
        writer.field(1, traceID.bytes)
        writer.field(2, root.key.spanID.bytes)
        writer.field(3, root.serviceName)
        writer.field(4, root.operationName)
        writer.field(5, startTime)
        writer.field(6, duration)
        writer.field(7, UInt32(clamping: spanCount))
        writer.field(8, UInt32(clamping: errorCount))
        writer.field(9, hasRoot)
        if let verdict { writer.message(10) { inner in verdict.write(&inner) } }
        for share in services {
            writer.message(11) { inner in
                inner.field(1, share.serviceName)
                inner.field(2, share.spanCount)
                inner.field(3, share.errorCount)
            }
        }
    }
}

extension TraceComparison {
    fileprivate func write(_ writer: inout WireWriter) {
        writer.field(2, durationBefore)
        writer.field(3, durationAfter)
        for row in operations {
            writer.message(4) { inner in
                inner.field(1, row.serviceName)
                inner.field(2, row.operationName)
                inner.field(3, UInt32(clamping: row.countBefore))
                inner.field(4, UInt32(clamping: row.countAfter))
                inner.field(5, UInt32(clamping: row.errorsBefore))
                inner.field(6, UInt32(clamping: row.errorsAfter))
                inner.field(7, row.selfBefore)
                inner.field(8, row.selfAfter)
                inner.field(9, row.durationBefore)
                inner.field(10, row.durationAfter)
            }
        }
        for path in paths {
            writer.message(5) { inner in
                for step in path.path { inner.element(1, step) }
                inner.field(2, UInt32(clamping: path.countBefore))
                inner.field(3, UInt32(clamping: path.countAfter))
            }
        }
    }
}
