// Lists of traces and of spans from one part of the collector; those of several parts merge by the same order.

package import EventModel

/// One line of a list of traces.
package struct FoundTrace: Sendable, Hashable {
    /// What one service has in a trace.
    package struct Share: Sendable, Hashable {
        package var serviceName: String
        package var spanCount: UInt32 = 0
        package var errorCount: UInt32 = 0
    }

    package var traceID: TraceID
    /// The root where there is one, else the span that starts first.
    package var root: SpanFacts
    package var hasRoot: Bool
    /// The earliest start of its spans.
    package var startTime: Timestamp
    /// To the latest end.
    package var duration: Nanoseconds
    package var spanCount: Int
    package var errorCount: Int
    /// By name.
    package var services: [Share]
    /// Nil: not settled yet.
    package var verdict: TraceVerdict?
    /// Spans that fit the service and the operation of a search, by start; for whoever looks at their tags.
    package var fitting: [SpanFacts] = []

    /// Its place in the order of answers: where the next page begins.
    package var place: TraceCriteria.Place { TraceCriteria.Place(start: startTime, traceID: traceID) }

    /// Order of answers; merges the lists of several parts.
    package static func precedes(_ left: FoundTrace, _ right: FoundTrace) -> Bool {
        TraceCriteria.Place.precedes(left.place, right.place)
    }

    /// Order of `anomalies`: the furthest over its limit first.
    package static func isMoreAnomalous(_ left: FoundTrace, _ right: FoundTrace) -> Bool {
        let (one, other) = (left.verdict?.excess ?? .zero, right.verdict?.excess ?? .zero)
        return one != other ? one > other : precedes(left, right)
    }
}

/// What a search looks for; nil and zero ask for nothing.
package struct TraceCriteria: Sendable, Hashable {
    /// Of one span…
    package var serviceName: String?
    /// …and of the same span.
    package var operationName: String?
    /// …and of that span, too.
    package var spanKind: SpanKind?
    package var peerName: String?
    package var minimumSpanDuration = Nanoseconds.zero
    package var maximumSpanDuration: Nanoseconds?
    /// Of the whole trace.
    package var minimumDuration = Nanoseconds.zero
    package var maximumDuration: Nanoseconds?
    package var hasError: Bool?
    /// By the trace's earliest start; both included.
    package var from: Timestamp?
    package var to: Timestamp?
    /// The last trace of the page before.
    package var after: Place?
    package var limit = 20
    /// Name the spans that fit.
    package var wantsFitting = false

    /// A trace's place in the order of answers: latest start first, then by id.
    package struct Place: Sendable, Hashable {
        package var start: Timestamp
        package var traceID: TraceID

        package init(start: Timestamp, traceID: TraceID) {
            self.start = start
            self.traceID = traceID
        }

        static func precedes(_ left: Place, _ right: Place) -> Bool {
            left.start != right.start ? left.start > right.start : left.traceID < right.traceID
        }
    }

    package init() {}
}

/// The first so many places of those that were offered.
private struct FirstPlaces {
    private let limit: Int
    private(set) var places: [TraceCriteria.Place] = []

    init(limit: Int) { self.limit = limit }

    func accepts(_ place: TraceCriteria.Place) -> Bool {
        guard places.count == limit, let last = places.last else { return limit > 0 }
        return TraceCriteria.Place.precedes(place, last)
    }

    mutating func add(_ place: TraceCriteria.Place) {
        var (low, high) = (0, places.count)
        while low < high {
            let middle = (low + high) / 2
            if TraceCriteria.Place.precedes(places[middle], place) { low = middle + 1 } else { high = middle }
        }
        places.insert(place, at: low)
        if places.count > limit { places.removeLast() }
    }
}

extension TraceCollector {
    /// Traces with a span that fits service and operation, and that as a whole fit durations, errors and times; the
    /// latest first. The next page begins behind the last one's `place`, so that nothing is skipped or repeated.
    ///
    /// - Complexity: O(traces), and O(spans) where a service or an operation is asked for.
    package func search(_ search: TraceCriteria) -> [FoundTrace] {
        guard let names = SearchNames(search, names) else { return [] }
        return first(search.limit) { row in Self.fits(row, search) && names.fit(row) }.map { row in
            var summary = summary(row)
            if search.wantsFitting {
                summary.fitting = row.rows.filter(names.fits).sorted { $0.start < $1.start }.map { facts($0, row.id) }
            }
            return summary
        }
    }

    private static func fits(_ row: TraceRow, _ search: TraceCriteria) -> Bool {
        if let after = search.after, !TraceCriteria.Place.precedes(after, row.place) { return false }
        if let from = search.from, row.start < from.rawValue { return false }
        if let to = search.to, row.start > to.rawValue { return false }
        if row.duration < search.minimumDuration.rawValue { return false }
        if let maximum = search.maximumDuration, row.duration > maximum.rawValue { return false }
        if let hasError = search.hasError, (row.errorCount > 0) != hasError { return false }
        return true
    }

    /// The first traces of those that are accepted, in the order of answers.
    private func first(_ limit: Int, where accepts: (TraceRow) -> Bool) -> [TraceRow] {
        var first = FirstPlaces(limit: limit)
        for partition in partitions {
            for case let row? in partition.traces where first.accepts(row.place) && accepts(row) {
                first.add(row.place)
            }
        }
        return first.places.compactMap { trace($0.traceID) }
    }

    func summary(_ row: TraceRow) -> FoundTrace {
        let root = row.root
        let first = row.rows.indices.min { left, right in
            (row.rows[left].start, row.rows[left].spanID) < (row.rows[right].start, row.rows[right].spanID)
        }
        let shown = row.rows[root ?? first ?? 0]
        return FoundTrace(
            traceID: row.id, root: facts(shown, row.id), hasRoot: root != nil,
            startTime: Timestamp(nanoseconds: row.start), duration: Nanoseconds(row.duration),
            spanCount: row.rows.count, errorCount: Int(row.errorCount), services: shares(row), verdict: row.verdict)
    }

    private func shares(_ row: TraceRow) -> [FoundTrace.Share] {
        var shares: [UInt16: FoundTrace.Share] = [:]
        for span in row.rows {
            let empty = FoundTrace.Share(serviceName: names.nodes[Int(span.service)])
            shares[span.service, default: empty].spanCount += 1
            shares[span.service, default: empty].errorCount += span.isError ? 1 : 0
        }
        return shares.values.sorted { $0.serviceName.precedesInBytes($1.serviceName) }
    }

    /// One line about a trace.
    package func summary(of traceID: TraceID) -> FoundTrace? { trace(traceID).map(summary) }

    /// Traces that have spans but no root (`incomplete_traces`), the latest first.
    package func incompleteTraces(limit: Int = 1_000, after: TraceCriteria.Place? = nil) -> [FoundTrace] {
        first(limit) { row in
            if let after, !TraceCriteria.Place.precedes(after, row.place) { return false }
            return row.root == nil
        }.map(summary)
    }

    /// Traces that were judged to be out of the ordinary (`anomalous_traces`), the furthest over its limit first.
    package func anomalousTraces(limit: Int) -> [FoundTrace] {
        var found: [TraceRow] = []
        for partition in partitions {
            for case let row? in partition.traces where row.verdict?.isAnomalous ?? false { found.append(row) }
        }
        found.sort { left, right in
            let (one, other) = (left.verdict?.excess ?? .zero, right.verdict?.excess ?? .zero)
            return one != other ? one > other : TraceCriteria.Place.precedes(left.place, right.place)
        }
        return found.prefix(limit).map(summary)
    }

    /// Spans that took longer than the threshold (`slow_span_analysis`), the longest first.
    package func slowSpans(
        threshold: Nanoseconds, serviceName: String? = nil, operationName: String? = nil, limit: Int
    ) -> [SpanFacts] {
        var search = TraceCriteria()
        (search.serviceName, search.operationName) = (serviceName, operationName)
        guard let names = SearchNames(search, names) else { return [] }
        var found: [(row: SpanRow, traceID: TraceID)] = []
        for partition in partitions {
            for case let trace? in partition.traces {
                for row in trace.rows where row.duration > threshold.rawValue && names.fits(row) {
                    found.append((row, trace.id))
                }
            }
            if found.count > 4 * limit + 1_024 { found = Array(found.sorted(by: Self.isSlower).prefix(limit)) }
        }
        return found.sorted(by: Self.isSlower).prefix(limit).map { facts($0.row, $0.traceID) }
    }

    private static func isSlower(_ left: (row: SpanRow, traceID: TraceID), _ right: (row: SpanRow, traceID: TraceID))
        -> Bool
    {
        if left.row.duration != right.row.duration { return left.row.duration > right.row.duration }
        if left.traceID != right.traceID { return left.traceID < right.traceID }
        if left.row.spanID != right.row.spanID { return left.row.spanID < right.row.spanID }
        return !left.row.isServerHalf && right.row.isServerHalf
    }
}

extension SpanFacts {
    /// Order of `slow_spans`; merges the lists of several parts.
    package static func isSlower(_ left: SpanFacts, _ right: SpanFacts) -> Bool {
        if left.duration != right.duration { return left.duration > right.duration }
        return left.traceID != right.traceID ? left.traceID < right.traceID : left.key < right.key
    }
}

extension TraceRow {
    /// Its place in the order of answers.
    var place: TraceCriteria.Place { TraceCriteria.Place(start: Timestamp(nanoseconds: start), traceID: id) }
    /// From the earliest start to the latest end.
    var duration: Int64 { end.subtractingReportingOverflow(start).overflow ? .max : end - start }
}

/// What a search asks of one span, names as numbers.
private struct SearchNames {
    private var service: UInt16?
    private var operations: Set<UInt32>?
    /// As rows have it: plus one.
    private var peer: UInt16?
    private var kind: UInt8?
    private var durations = 0...Int64.max

    /// Nil: nothing can fit.
    init?(_ search: TraceCriteria, _ names: NameTable) {
        if let name = search.serviceName {
            guard let node = names.node(named: name) else { return nil }
            service = node
        }
        if let name = search.operationName {
            let fitting = names.operations.indices.filter { index in
                names.operations[index].name.equalsInBytes(name)
                    && (service.map { names.operations[index].node == $0 } ?? true)
            }
            if fitting.isEmpty { return nil }
            operations = Set(fitting.map { UInt32($0) })
        }
        if let name = search.peerName {
            guard let node = names.node(named: name) else { return nil }
            peer = node + 1
        }
        kind = search.spanKind.map { UInt8($0.rawValue) }
        let minimum = search.minimumSpanDuration.rawValue
        guard minimum <= search.maximumSpanDuration?.rawValue ?? .max else { return nil }
        durations = minimum...(search.maximumSpanDuration?.rawValue ?? .max)
    }

    private var asksNothing: Bool {
        service == nil && operations == nil && peer == nil && kind == nil && durations == 0...Int64.max
    }

    func fit(_ trace: TraceRow) -> Bool { asksNothing || trace.rows.contains(where: fits) }

    func fits(_ row: SpanRow) -> Bool {
        if let service, row.service != service { return false }
        if let kind, row.kind != kind { return false }
        if let peer, row.peer != peer { return false }
        if !durations.contains(row.duration) { return false }
        return operations?.contains(row.operation) ?? true
    }
}
