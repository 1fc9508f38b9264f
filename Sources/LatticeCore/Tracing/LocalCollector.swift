// The trace collector in the caller's own process: the fold that a node runs, with the spans themselves in memory.

public import EventModel
import StateMachines

/// Collects spans into traces and says what they tell of services (`TraceCollector` of the specification).
///
/// A value: a copy is a fork. Rules, refusals and answers are those of a node (Tracing.md): a span that comes twice counts
/// once, traces are judged once nothing has come for ten seconds, and leave an hour after their first span. Answers are
/// true for the time that the clock shows.
public struct LocalCollector: Sendable {
    private static let batchesMinimum = 64
    private static let slowSpansMaximum = 1_000_000

    private var log: LocalLog<TraceCollector>
    /// The spans as they came, by the record; some of them nobody asks for any more.
    private var batches: [SequenceNumber: SpanBatch] = [:]
    /// When to look through them.
    private var batchesMaximum = Self.batchesMinimum

    /// Without spans.
    ///
    /// - Parameters:
    ///   - configuration: what differs from the defaults in Limits.md.
    ///   - clock: the time of day, asked at each change and each question. Simulations give their own.
    /// - Throws: `LocalError.refused(.invalidSetting)` where a value is out of its range.
    public init(
        _ configuration: TracesConfiguration = TracesConfiguration(),
        clock: @escaping @Sendable () -> Timestamp = LocalTime.wallClock
    ) throws(LocalError) {
        log = LocalLog(TraceCollector(), clock: clock)
        if !configuration.isEmpty { try configure(configuration) }
    }

    /// The last record of the log, ticks included.
    public var asOf: AsOf { log.asOf }

    /// How many traces are held now.
    public var traceCount: Int { log.now.machine.traceCount }

    /// How many spans are held now.
    public var spanCount: Int { log.now.machine.spanCount }

    // MARK: Changing

    /// Changes settings; nil leaves a value as it is.
    ///
    /// - Throws: `refused(.invalidSetting)` where a value is out of its range.
    public mutating func configure(_ change: TracesConfiguration) throws(LocalError) {
        try log.append(one: .policy(.tracesConfigured(change)))
    }

    /// Takes a span (`ingest`). One that came before is accepted and counts once.
    ///
    /// - Throws: `refused`: `invalidTraceID`, `invalidSpanID`, `missingOperationName`, `missingTime`, `endBeforeStart`,
    ///   `timeAhead` for one that begins or ends more than five minutes from now, `tooManySpans` of one trace,
    ///   `notAttempted` where it breaks the rules of the log's format (too long, too many tags).
    @discardableResult
    public mutating func ingest(_ span: TraceSpan) throws(LocalError) -> OutcomeAnswer {
        let answer = ingestBatch([span])
        if let refusal = answer.refused.first { throw .refused(refusal.reason) }
        return answer
    }

    /// Takes spans of any services and traces, in any order (`ingest_batch`).
    ///
    /// - Returns: how many were accepted, and which were refused and why, by their places in the list.
    @discardableResult
    public mutating func ingestBatch(_ spans: [TraceSpan]) -> OutcomeAnswer {
        var sum = OutcomeSum(asOf)
        for (service, places) in Self.processes(spans) {
            func message(_ part: ArraySlice<Int>) -> SpanBatch? {
                SpanBatch(serviceName: service, spans: part.map { spans[$0] })
            }
            let pieces = LocalLog<TraceCollector>.pieces(places[...]) { part in
                message(part).map { Event.trace(.spansReceived($0)) }
            }
            for piece in pieces {
                guard let batch = message(piece), let answer = try? log.append(.trace(.spansReceived(batch))) else {
                    sum.refuse(piece, .notAttempted)
                    continue
                }
                if answer.accepted > 0 { batches[answer.sequence] = batch }
                sum.add(answer, at: piece)
            }
        }
        forget()
        return sum.answer
    }

    /// Places of the spans of each process, since a message carries what one process says of itself; in order of the first
    /// span.
    private static func processes(_ spans: [TraceSpan]) -> [(service: String, places: [Int])] {
        struct Process: Hashable {
            var service: ByteName
            var resource: [SpanTag]
        }
        var order: [Process: Int] = [:]
        var result: [(service: String, places: [Int])] = []
        for (place, span) in spans.enumerated() {
            let process = Process(service: ByteName(span.serviceName), resource: span.resource)
            if let known = order[process] {
                result[known].places.append(place)
            } else {
                order[process] = result.count
                result.append((span.serviceName, [place]))
            }
        }
        return result
    }

    /// Drops the spans of traces that are gone, where many may be so.
    private mutating func forget() {
        if batches.count <= batchesMaximum { return }
        batches = batches.filter { batch in
            batch.value.views.contains { log.machine.holds($0.traceID) }
        }
        batchesMaximum = max(Self.batchesMinimum, 2 * batches.count)
    }

    /// Removes the traces whose time to live is over, and judges those that have settled (`prune_expired`). Changes and
    /// questions do so by themselves, second by second.
    ///
    /// - Returns: how many traces were removed.
    @discardableResult
    public mutating func pruneExpired() -> Int {
        let before = log.machine.traceCount
        log.tick()
        batchesMaximum = Self.batchesMinimum
        forget()
        return before - log.machine.traceCount
    }

    /// Lets time pass now: what has settled is judged, what is too old leaves. Changes and questions do so by themselves.
    public mutating func advance() { log.advance() }

    // MARK: One trace

    /// The span with all that was sent; nil where its trace is not held.
    private func whole(_ facts: SpanFacts) -> TraceSpan {
        batches[facts.position.sequence]?.span(at: Int(facts.position.index)) ?? facts.span
    }

    /// A trace, assembled (`assemble`); nil where no span of it is held. Times are as they were sent.
    public func assemble(_ traceID: TraceID) -> TraceTree? {
        let current = log.now
        guard let facts = current.machine.facts(of: traceID) else { return nil }
        return TraceAnalysis.assemble(traceID, facts.spans.map(whole), asOf: current.asOf)
    }

    /// A span (`get_span`); of two halves with one id the client's. Nil where it is not held.
    public func getSpan(_ traceID: TraceID, _ spanID: SpanID) -> TraceSpan? {
        log.now.machine.span(traceID, spanID).first.map(whole)
    }

    /// The children of a span, by start (`children`).
    public func children(_ traceID: TraceID, _ parentSpanID: SpanID) -> [TraceSpan] {
        log.now.machine.children(traceID, parentSpanID).map(whole)
    }

    /// What each service contributes to a trace, the largest self time first (`latency_breakdown`); nothing where the trace
    /// is not held.
    public func latencyBreakdown(_ traceID: TraceID) -> [LatencyBreakdown] {
        log.now.machine.latencyBreakdown(traceID)
    }

    /// The longest sequential chain of a trace (`critical_path`); nil where it has no root. Spans are named by their places
    /// in the tree that `assemble` answers.
    public func criticalPath(_ traceID: TraceID) -> CriticalPath? { log.now.machine.criticalPath(traceID) }

    // MARK: Many traces

    /// Traces that were judged to be out of the ordinary: slow by their operation's baseline or by the absolute threshold,
    /// or with an error; the furthest over its limit first (`anomalous_traces`).
    ///
    /// - Parameter limit: at most so many; none below 1.
    public func anomalousTraces(limit: Int = 20) -> [JudgedTrace] {
        log.now.machine.anomalousTraces(limit: max(0, limit)).map { JudgedTrace($0) }
    }

    /// Latency percentiles of a service's spans (`service_latency_percentiles`), each at most 0.1 % too large, never too
    /// small; none where it has no spans.
    ///
    /// - Parameter percentiles: in basis points: 5000 is the median, 10000 the maximum.
    public func serviceLatencyPercentiles(
        _ serviceName: String, _ percentiles: [UInt32] = [5_000, 9_500, 9_900]
    ) -> [UInt32: Nanoseconds] {
        log.now.machine.serviceLatencyPercentiles(serviceName, percentiles)
    }

    /// Traces that have spans and no root, the latest first (`incomplete_traces`).
    public func incompleteTraces() -> [TraceID] {
        log.now.machine.incompleteTraces(limit: .max).map(\.traceID)
    }

    /// The fingerprint of the state at the last record: a node whose log has the same records has the same.
    public var digest: Digest {
        var machine = log.machine
        return machine.digest()
    }

    /// The machine at the time that the clock shows.
    var machine: TraceCollector { log.now.machine }

    func slowSpans(_ threshold: Nanoseconds, _ limit: Int) -> [TraceSpan] {
        slowSpanAnalysis(machine, threshold: threshold, limit: min(max(0, limit), Self.slowSpansMaximum)).map(whole)
    }
}
