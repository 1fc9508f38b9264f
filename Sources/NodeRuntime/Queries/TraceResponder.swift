// Answers questions about traces: what the collector folded, joined with what the log says of the spans.

import EventModel
import EventStore
import StateMachines

/// Makes the answers of `<prefix>.queries.trace.>`.
struct TraceResponder: Sendable {
    /// Rows of one page.
    static let rowsDefault = 20
    static let rowsMaximum = 1_000
    /// Bytes of spans on one page of a trace; the rest of a message is for what goes with them.
    static let pageBytes = 700_000
    private static let sectionsDefault = 4_000

    private let reader: LogReader

    init(reader: LogReader) { self.reader = reader }

    /// The answer with the position that it is true for.
    func reply(
        _ name: TraceQueryName, _ query: TraceQuery, from source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        switch name {
        case .criticalPath: try await criticalPath(query, source)
        case .trace, .span, .children, .latencyBreakdown, .flamegraph, .compare:
            try await replyAboutOne(name, query, source)
        case .search: try await search(query, source)
        case .anomalies, .incomplete, .slowSpans: try await list(name, query, source)
        case .services, .operations, .percentiles, .dependencies, .slo: try await project(name, query, source)
        case .stats: await stats(source)
        }
    }

    // MARK: One trace

    private func replyAboutOne(
        _ name: TraceQueryName, _ query: TraceQuery, _ source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        guard let id = query.traceID else { throw QueryError(.invalidArgument, "trace_id is missing") }
        let other = query.otherTraceID
        if name == .compare && other == nil { throw QueryError(.invalidArgument, "other_trace_id is missing") }
        let (asOf, parts) = await source.read { part in
            [part.facts(of: id), name == .compare ? part.facts(of: other ?? id) : nil]
        }
        guard let facts = parts.compactMap({ $0[0] }).first else { throw Self.unknown(id) }
        switch name {
        case .span, .children: return (asOf, try family(name, query, facts))
        case .compare:
            guard let after = parts.compactMap({ $0[1] }).first else { throw Self.unknown(other ?? id) }
            return (asOf, .comparison(TraceComparison(view(facts, query, asOf), view(after, query, asOf))))
        default: return (asOf, try view(name, query, facts, asOf))
        }
    }

    private static func unknown(_ id: TraceID) -> QueryError {
        QueryError(.notFound, "trace \(id) is not resident: it never came, or its time to live is over")
    }

    /// The tree as it is asked for: adjusted, or raw.
    private func view(_ facts: TraceFacts, _ query: TraceQuery, _ asOf: AsOf) -> TraceTree {
        let tree = facts.tree(asOf: asOf)
        if query.raw { return tree }
        return TraceAnalysis.adjusted(tree, maximum: query.maximumClockSkew ?? TraceAnalysis.maximumSkewDefault)
    }

    private func view(
        _ name: TraceQueryName, _ query: TraceQuery, _ facts: TraceFacts, _ asOf: AsOf
    ) throws(QueryError) -> TraceReply {
        let tree = view(facts, query, asOf)
        switch name {
        case .latencyBreakdown: return .latencyBreakdown(facts.traceID, TraceAnalysis.latencyBreakdown(tree))
        case .flamegraph:
            let graph = FlameGraph(tree)
            switch query.format {
            case "", "folded": return .flamegraph(facts.traceID, folded: graph.folded, json: "")
            case "json": return .flamegraph(facts.traceID, folded: "", json: graph.json)
            default: throw QueryError(.invalidArgument, "format is `folded` or `json`")
            }
        default: return .trace(try page(tree, facts, query))
        }
    }

    private func criticalPath(
        _ query: TraceQuery, _ source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        guard let id = query.traceID else { throw QueryError(.invalidArgument, "trace_id is missing") }
        let (asOf, parts) = await source.read { $0.rows(of: id) }
        guard let rows = parts.compactMap({ $0 }).first else { throw Self.unknown(id) }
        let maximum = query.maximumClockSkew ?? TraceAnalysis.maximumSkewDefault
        let outline = TraceOutline(rows, maximumSkew: query.raw ? nil : maximum)
        guard let page = outline.criticalPath(limit: query.limit == 0 ? Self.sectionsDefault : Int(query.limit)) else {
            throw QueryError(.notFound, "trace \(id) has no root yet")
        }
        return (asOf, .criticalPath(page))
    }

    /// One page of an assembled trace: the spans as the log has them, at the times of the view.
    private func page(_ tree: TraceTree, _ facts: TraceFacts, _ query: TraceQuery) throws(QueryError) -> TracePage {
        guard let offset = query.pageToken.isEmpty ? 0 : Int(query.pageToken), (0...tree.spans.count).contains(offset)
        else {
            throw QueryError(.invalidArgument, "page_token is none of this trace")
        }
        let selfTimes = TraceAnalysis.selfTimes(tree.forest)
        let warnings = Dictionary(grouping: tree.warnings, by: \.span)
        var spans = SpanReader(reader)
        var found: [CollectedSpan] = []
        var bytes = 0
        let last = query.limit == 0 ? tree.spans.count : min(tree.spans.count, offset + Int(query.limit))
        for index in offset..<max(offset, last) {
            let row = try collected(facts.spans[index], at: tree.spans[index], &spans)
            bytes += row.span.encoded.count + 64
            if bytes > Self.pageBytes && !found.isEmpty { break }
            var span = row
            span.parentIndex = tree.structure.parents[index]
            span.selfTime = selfTimes[index]
            span.warnings = (warnings[index] ?? []).map(\.text) + row.warnings
            found.append(span)
        }
        let next = offset + found.count
        return TracePage(
            tree: tree, spans: found, offset: offset, nextPageToken: next < tree.spans.count ? String(next) : "",
            verdict: facts.verdict)
    }

    /// A span as the log has it, moved to where a view shows it.
    private func collected(
        _ facts: SpanFacts, at shown: TraceSpan, _ spans: inout SpanReader
    ) throws(QueryError) -> CollectedSpan {
        guard var span = try spans.span(at: facts.position) else {
            return CollectedSpan(
                shown, at: facts.position, warnings: ["its record is no longer in the log: tags and logs are missing"])
        }
        let shift = shown.startTime - span.startTime
        (span.startTime, span.endTime) = (shown.startTime, shown.endTime)
        if shift != .zero {
            for index in span.logs.indices { span.logs[index].time = span.logs[index].time + shift }
        }
        return CollectedSpan(span, at: facts.position)
    }

    private func collected(_ facts: [SpanFacts]) throws(QueryError) -> [CollectedSpan] {
        var spans = SpanReader(reader)
        var result: [CollectedSpan] = []
        for one in facts { result.append(try collected(one, at: one.span, &spans)) }
        return result
    }

    /// Both halves of a span, or its children, as they were sent.
    private func family(
        _ name: TraceQueryName, _ query: TraceQuery, _ facts: TraceFacts
    ) throws(QueryError) -> TraceReply {
        guard let id = query.spanID else { throw QueryError(.invalidArgument, "span_id is missing") }
        let found = name == .span ? facts.span(id) : facts.children(of: id)
        if name == .span && found.isEmpty {
            throw QueryError(.notFound, "trace \(facts.traceID) has no span \(id)")
        }
        let limit = query.limit == 0 ? Self.rowsMaximum : Self.rows(query)
        return .spans(try collected(Array(found.prefix(limit))), omitted: max(0, found.count - limit))
    }

    // MARK: Lists

    static func rows(_ query: TraceQuery) -> Int {
        query.limit == 0 ? rowsDefault : min(Int(query.limit), rowsMaximum)
    }

    private func list(
        _ name: TraceQueryName, _ query: TraceQuery, _ source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        let rows = Self.rows(query)
        switch name {
        case .anomalies:
            let (asOf, parts) = await source.read { $0.anomalousTraces(limit: rows) }
            let sorted = parts.joined().sorted(by: FoundTrace.isMoreAnomalous)
            return (asOf, .traces(Array(sorted.prefix(rows)), nextPageToken: ""))
        case .incomplete:
            let after = try PageToken.place(query.pageToken)
            let (asOf, parts) = await source.read { $0.incompleteTraces(limit: rows + 1, after: after) }
            let sorted = parts.joined().sorted(by: FoundTrace.precedes)
            return (asOf, PageToken.page(sorted, rows))
        default:
            let (service, operation) = (Self.name(query.serviceName), Self.name(query.operationName))
            let threshold = query.threshold
            let (asOf, parts) = await source.read {
                $0.slowSpans(threshold: threshold, serviceName: service, operationName: operation, limit: rows)
            }
            let sorted = parts.joined().sorted(by: SpanFacts.isSlower)
            return (asOf, .spans(try collected(Array(sorted.prefix(rows))), omitted: 0))
        }
    }

    static func name(_ text: String) -> String? { text.isEmpty ? nil : text }

    /// The search for tags, which are in the log, looks at the spans of at most so many records for one page.
    private static let recordsMaximum = 2_048

    private func search(
        _ query: TraceQuery, _ source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        let rows = Self.rows(query)
        var search = TraceCriteria(query)
        search.after = try PageToken.place(query.pageToken)
        search.limit = query.tags.isEmpty ? rows + 1 : Self.rowsMaximum
        search.wantsFitting = !query.tags.isEmpty
        let question = search
        let (asOf, parts) = await source.read { $0.search(question) }
        let sorted = Array(parts.joined().sorted(by: FoundTrace.precedes).prefix(search.limit))
        if query.tags.isEmpty { return (asOf, PageToken.page(sorted, rows)) }
        return (asOf, try filter(sorted, by: query.tags, rows, isCut: sorted.count == search.limit))
    }

    /// Keeps the traces with a span that has all of the tags.
    private func filter(
        _ traces: [FoundTrace], by tags: [TagFilter], _ rows: Int, isCut: Bool
    ) throws(QueryError) -> TraceReply {
        var spans = SpanReader(reader)
        var found: [FoundTrace] = []
        for (index, trace) in traces.enumerated() {
            for facts in trace.fitting {
                guard let span = try spans.span(at: facts.position), span.has(tags) else { continue }
                found.append(trace)
                break
            }
            let isEnough = found.count == rows || spans.recordCount >= Self.recordsMaximum
            if isEnough && (index < traces.count - 1 || isCut) {
                return .traces(found, nextPageToken: PageToken.text(trace.place))
            }
        }
        return .traces(found, nextPageToken: isCut ? traces.last.map { PageToken.text($0.place) } ?? "" : "")
    }

    // MARK: Projections

    private func project(
        _ name: TraceQueryName, _ query: TraceQuery, _ source: TraceSource
    ) async throws(QueryError) -> (asOf: AsOf, reply: TraceReply) {
        let windows = TraceSeries.windows(from: query.startTimeMinimum, to: query.startTimeMaximum)
        if name == .percentiles && query.serviceName.isEmpty {
            throw QueryError(.invalidArgument, "service_name is missing")
        }
        let (asOf, parts) = await source.read { ($0.seriesWithOlderSpans(windows: windows), $0.settings.objectives) }
        var series = parts[0].0
        for part in parts.dropFirst() { series.merge(part.0) }
        switch name {
        case .services: return (asOf, .operations(series.services, older: series.older))
        case .operations:
            let operations = series.operations(of: Self.name(query.serviceName))
            return (asOf, .operations(operations, older: series.older))
        case .dependencies: return (asOf, .dependencies(series.dependencyGraph, older: series.older))
        case .slo:
            let report = series.complianceReport(Self.objectives(query) ?? parts[0].1)
            return (asOf, .compliance(report, older: series.older))
        default:
            let points = query.percentileBasisPoints
            let report = series.percentiles(
                service: query.serviceName, operation: Self.name(query.operationName),
                basisPoints: points.isEmpty ? [5_000, 9_000, 9_500, 9_900] : points)
            guard let report else {
                throw QueryError(.notFound, "no span of `\(query.serviceName)` is in these windows")
            }
            return (asOf, .percentiles(report, older: series.older))
        }
    }

    /// Nil: the query names none.
    private static func objectives(_ query: TraceQuery) -> NamedObjectives? {
        query.objectives.isEmpty ? nil : NamedObjectives(query.objectives)
    }

    private func stats(_ source: TraceSource) async -> (asOf: AsOf, reply: TraceReply) {
        let (asOf, parts) = await source.read { $0.stats }
        var stats = parts[0]
        for part in parts.dropFirst() { stats.merge(part) }
        return (asOf, .stats(stats))
    }
}

/// Where the next page of a list begins, as text: start and id in hexadecimal digits.
private enum PageToken {
    static func text(_ place: TraceCriteria.Place) -> String {
        String(UInt64(bitPattern: place.start.rawValue), radix: 16) + "." + place.traceID.description
    }

    static func place(_ token: String) throws(QueryError) -> TraceCriteria.Place? {
        if token.isEmpty { return nil }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = UInt64(parts[0], radix: 16), let id = TraceID(hexadecimal: parts[1]) else {
            throw QueryError(.invalidArgument, "page_token is none of this query")
        }
        return TraceCriteria.Place(start: Timestamp(nanoseconds: Int64(bitPattern: start)), traceID: id)
    }

    /// The first rows of a sorted list that has one more where there is a next page.
    static func page(_ sorted: [FoundTrace], _ rows: Int) -> TraceReply {
        let page = Array(sorted.prefix(rows))
        return .traces(page, nextPageToken: sorted.count > rows ? page.last.map { text($0.place) } ?? "" : "")
    }
}

extension TraceCriteria {
    /// What a question asks for, but for tags and pages.
    fileprivate init(_ query: TraceQuery) {
        self.init()
        serviceName = TraceResponder.name(query.serviceName)
        operationName = TraceResponder.name(query.operationName)
        minimumDuration = query.minimumDuration
        maximumDuration = query.maximumDuration == .zero ? nil : query.maximumDuration
        hasError = query.error
        spanKind = query.spanKind
        peerName = TraceResponder.name(query.peerName)
        minimumSpanDuration = query.minimumSpanDuration
        maximumSpanDuration = query.maximumSpanDuration == .zero ? nil : query.maximumSpanDuration
        from = query.startTimeMinimum == .zero ? nil : query.startTimeMinimum
        to = query.startTimeMaximum == .zero ? nil : query.startTimeMaximum
    }
}

extension TraceSpan {
    /// Whether it, or its process, has all of these tags. `error` = `true` fits a span that failed, as in Jaeger.
    fileprivate func has(_ filters: [TagFilter]) -> Bool {
        filters.allSatisfy { filter in
            let isSame = { (name: String) in name.utf8.elementsEqual(filter.key.utf8) }
            if filter.key == "error" && (filter.value == "true" || filter.anyValue) && isError { return true }
            if filter.anyValue {
                return (tags + resource).contains { isSame($0.key) } || logs.contains { isSame($0.name) }
            }
            return (tags + resource).contains {
                isSame($0.key) && $0.value.description.utf8.elementsEqual(filter.value.utf8)
            }
        }
    }
}
