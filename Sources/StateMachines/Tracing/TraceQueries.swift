// Questions about single traces to one part of the collector. Texts and tags are read back from the log by the host.

package import EventModel

/// What the collector itself knows of a span.
package struct SpanFacts: Sendable, Hashable {
    package var traceID: TraceID
    package var key: SpanKey
    package var parentSpanID: SpanID?
    package var serviceName: String
    package var operationName: String
    package var kind: SpanKind
    package var status: SpanStatus
    package var startTime: Timestamp
    package var duration: Nanoseconds
    /// Where all of it stands.
    package var position: EventPosition
}

/// One line of a list of traces.
package struct TraceSummary: Sendable, Hashable {
    package var traceID: TraceID
    /// The root where there is one, else the span that starts first.
    package var root: SpanFacts
    package var hasRoot: Bool
    package var spanCount: Int
    package var errorCount: Int
    /// Nil: not settled yet.
    package var verdict: TraceVerdict?
}

/// What a search looks for; nil and zero ask for nothing.
package struct TraceSearch: Sendable, Hashable {
    package var serviceName: String?
    package var operationName: String?
    package var minimumDuration = Nanoseconds.zero
    package var maximumDuration: Nanoseconds?
    package var hasError: Bool?
    /// By the start of the trace's root.
    package var from: Timestamp?
    package var to: Timestamp?
    /// The last trace of the page before.
    package var after: Place?
    package var limit = 20

    /// A trace's place in the order of answers: latest start first, then by id.
    package struct Place: Sendable, Hashable {
        package var start: Timestamp
        package var traceID: TraceID

        package init(start: Timestamp, traceID: TraceID) {
            self.start = start
            self.traceID = traceID
        }
    }

    package init() {}
}

extension TraceSummary {
    /// Where the next page begins.
    package var place: TraceSearch.Place { TraceSearch.Place(start: root.startTime, traceID: traceID) }

    /// Order of answers; merges the lists of several parts.
    package static func precedes(_ left: TraceSummary, _ right: TraceSummary) -> Bool {
        TraceCollector.precedes(left.place, right.place)
    }
}

extension TraceCollector {
    static func precedes(_ left: TraceSearch.Place, _ right: TraceSearch.Place) -> Bool {
        left.start != right.start ? left.start > right.start : left.traceID < right.traceID
    }

    /// Traces that are resident in this part.
    package var traceCount: Int { partitions.reduce(0) { $0 + $1.slotByID.count } }
    /// Spans that are resident in this part.
    package var spanCount: Int { partitions.reduce(0) { $0 + $1.spanCount } }
    /// Spans whose service, operation or peer was counted under `__other__`.
    package var overflowedNames: UInt64 { names.overflowCount }

    /// The series of this part. Windows are numbered from the epoch, five minutes each; nil: all that are kept.
    package func series(windows: ClosedRange<Int64>? = nil) -> TraceSeries { TraceSeries(series, names, windows) }

    private func facts(_ row: SpanRow, _ traceID: TraceID) -> SpanFacts {
        SpanFacts(
            traceID: traceID, key: SpanKey(spanID: SpanID(row.spanID), isServerHalf: row.isServerHalf),
            parentSpanID: row.parentID == 0 ? nil : SpanID(row.parentID), serviceName: names.nodes[Int(row.service)],
            operationName: names.operations[Int(row.operation)].name, kind: row.spanKind, status: row.spanStatus,
            startTime: Timestamp(nanoseconds: row.start), duration: Nanoseconds(row.duration),
            position: EventPosition(sequence: SequenceNumber(row.sequence), index: row.index))
    }

    /// Every span of a trace, by start and id; empty where it is not resident or in another part.
    package func spans(of traceID: TraceID) -> [SpanFacts] {
        (trace(traceID)?.rows ?? []).map { facts($0, traceID) }.sorted { left, right in
            left.startTime != right.startTime ? left.startTime < right.startTime : left.key < right.key
        }
    }

    /// Both halves of a span (Task 3, `get_span`).
    package func span(_ traceID: TraceID, _ spanID: SpanID) -> [SpanFacts] {
        spans(of: traceID).filter { $0.key.spanID == spanID }
    }

    /// The spans that name this one as their parent (Task 3, `children`), by start.
    package func children(_ traceID: TraceID, _ parent: SpanID) -> [SpanFacts] {
        spans(of: traceID).filter { $0.parentSpanID == parent }
    }

    private func summary(_ row: TraceRow) -> TraceSummary? {
        let root = row.root
        let first = row.rows.indices.min { left, right in
            (row.rows[left].start, row.rows[left].spanID) < (row.rows[right].start, row.rows[right].spanID)
        }
        guard let shown = root ?? first else { return nil }
        return TraceSummary(
            traceID: row.id, root: facts(row.rows[shown], row.id), hasRoot: root != nil, spanCount: row.rows.count,
            errorCount: row.rows.count { $0.isError }, verdict: row.verdict)
    }

    /// One line about a trace.
    package func summary(of traceID: TraceID) -> TraceSummary? { trace(traceID).flatMap(summary) }

    private func summaries(_ limit: Int, where accepts: (TraceRow) -> Bool) -> [TraceSummary] {
        var result: [TraceSummary] = []
        for partition in partitions {
            for case let row? in partition.traces where accepts(row) {
                if let summary = summary(row) { result.append(summary) }
            }
        }
        return Array(result.sorted(by: TraceSummary.precedes).prefix(limit))
    }

    /// Traces that have spans but no root (Task 3, `incomplete_traces`), the latest first.
    package func incompleteTraces(limit: Int = 1_000) -> [TraceSummary] {
        summaries(limit) { $0.root == nil }
    }

    /// Traces that were judged to be out of the ordinary (Task 3, `anomalous_traces`), the furthest over its limit first.
    package func anomalousTraces(limit: Int) -> [TraceSummary] {
        let all = summaries(.max) { $0.verdict?.isAnomalous ?? false }
        return Array(
            all.sorted { left, right in
                let (one, other) = (left.verdict?.excess ?? .zero, right.verdict?.excess ?? .zero)
                return one != other ? one > other : TraceSummary.precedes(left, right)
            }.prefix(limit))
    }

    /// Traces with a span that fits service, operation and error, and a root that fits durations and times; the latest
    /// first. The next page begins behind the last one's `place`, so that nothing is skipped or repeated.
    package func search(_ search: TraceSearch) -> [TraceSummary] {
        summaries(search.limit) { row in
            guard let root = row.root ?? row.rows.indices.min(by: { row.rows[$0].start < row.rows[$1].start }) else {
                return false
            }
            let span = row.rows[root]
            let place = TraceSearch.Place(start: Timestamp(nanoseconds: span.start), traceID: row.id)
            if let after = search.after, !Self.precedes(after, place) { return false }
            if let from = search.from, place.start < from { return false }
            if let to = search.to, place.start > to { return false }
            if span.duration < search.minimumDuration.rawValue { return false }
            if let maximum = search.maximumDuration, span.duration > maximum.rawValue { return false }
            if let hasError = search.hasError, row.rows.contains(where: \.isError) != hasError { return false }
            if search.serviceName == nil && search.operationName == nil { return true }
            return row.rows.contains { fits($0, search) }
        }
    }

    private func fits(_ row: SpanRow, _ search: TraceSearch) -> Bool {
        if let service = search.serviceName, !names.nodes[Int(row.service)].equalsInBytes(service) { return false }
        guard let operation = search.operationName else { return true }
        return names.operations[Int(row.operation)].name.equalsInBytes(operation)
    }

    /// Spans that took longer than the threshold (Task 3, `slow_span_analysis`), the longest first.
    package func slowSpans(threshold: Nanoseconds, limit: Int) -> [SpanFacts] {
        var result: [SpanFacts] = []
        for partition in partitions {
            for case let trace? in partition.traces {
                for row in trace.rows where row.duration > threshold.rawValue { result.append(facts(row, trace.id)) }
            }
        }
        return Array(
            result.sorted { left, right in
                if left.duration != right.duration { return left.duration > right.duration }
                return left.traceID != right.traceID ? left.traceID < right.traceID : left.key < right.key
            }.prefix(limit))
    }
}
