// Questions about traces, typed.

public import EventModel

/// What traces a search finds: those with one span that has all of this.
public struct TraceSearch: Sendable, Hashable {
    /// Empty: any.
    public var service = ""
    /// Empty: any.
    public var operation = ""
    /// All of them on that span, or on its process; at most 16.
    public var tags: [TagFilter] = []
    /// Of the whole trace.
    public var minimumDuration = Nanoseconds.zero
    /// Zero: none.
    public var maximumDuration = Nanoseconds.zero
    /// Only with a failed span, or only without; nil: both.
    public var failed: Bool?
    /// By the earliest start; zero: no bound.
    public var startedAfter = Timestamp.zero
    /// By the earliest start; zero: no bound.
    public var startedBefore = Timestamp.zero
    /// The most traces, the latest ones.
    public var limit = 20

    /// Finds the latest traces, whatever they are.
    public init() {}
}

/// Asks the trace collector.
public struct TraceQueries: Sendable {
    /// Of one trace, so that no answer takes all memory.
    private static let spansMaximum = 100_000
    private static let pagesMaximum = 1_000

    private let connection: MeshConnection

    init(_ connection: MeshConnection) { self.connection = connection }

    /// A whole trace; the pages of its spans are put together.
    ///
    /// - Parameter raw: times as they were sent, not corrected for the skew of clocks.
    /// - Throws: `notFound` where no span of it has come, or its time to live is over.
    public func trace(
        _ id: TraceID, raw: Bool = false, at position: ReadPosition = .now
    ) async throws(MeshError) -> CollectedTrace {
        var query = TraceQuery()
        query.traceID = id
        query.raw = raw
        query.limit = 2_000
        query.position = position
        var whole = try await connection.ask(.trace(.trace), query.encode(), decode: TraceAnswerReader.trace)
        while !whole.nextPageToken.isEmpty && whole.trace.spans.count < Self.spansMaximum {
            query.pageToken = whole.nextPageToken
            let page = try await connection.ask(.trace(.trace), query.encode(), decode: TraceAnswerReader.trace)
            whole.trace.spans += page.trace.spans
            whole.trace.parents += page.trace.parents
            whole.nextPageToken = page.nextPageToken
        }
        return whole.trace
    }

    /// The traces that a search finds, the latest first.
    public func search(
        _ search: TraceSearch, at position: ReadPosition = .now
    ) async throws(MeshError) -> [TraceSummary] {
        var query = TraceQuery()
        query.serviceName = search.service
        query.operationName = search.operation
        query.tags = search.tags
        query.minimumDuration = search.minimumDuration
        query.maximumDuration = search.maximumDuration
        query.error = search.failed
        query.startTimeMinimum = search.startedAfter
        query.startTimeMaximum = search.startedBefore
        query.position = position
        var found: [TraceSummary] = []
        // A page may be short, even empty, and not be the last.
        for _ in 0..<Self.pagesMaximum where found.count < search.limit {
            query.limit = UInt32(clamping: min(search.limit - found.count, 500))
            let page = try await connection.ask(.trace(.search), query.encode(), decode: TraceAnswerReader.summaries)
            found += page.traces
            query.pageToken = page.nextPageToken
            if page.nextPageToken.isEmpty { break }
        }
        return found
    }

    /// What the end of a trace waited for, from its end to its start.
    public func criticalPath(
        _ id: TraceID, at position: ReadPosition = .now
    ) async throws(MeshError) -> [CriticalSection] {
        var query = TraceQuery()
        query.traceID = id
        query.position = position
        return try await connection.ask(.trace(.criticalPath), query.encode(), decode: TraceAnswerReader.sections)
    }

    /// Calls between services, by name.
    ///
    /// - Parameters:
    ///   - start: zero: no bound. Counted are the windows of five minutes that touch the range.
    ///   - end: zero: no bound.
    public func dependencies(
        from start: Timestamp = .zero, to end: Timestamp = .zero, at position: ReadPosition = .now
    ) async throws(MeshError) -> [ServiceDependency] {
        var query = TraceQuery()
        query.startTimeMinimum = start
        query.startTimeMaximum = end
        query.position = position
        return try await connection.ask(.trace(.dependencies), query.encode(), decode: TraceAnswerReader.dependencies)
    }
}
