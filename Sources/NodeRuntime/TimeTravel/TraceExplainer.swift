// Explains a trace from a log: finds its records and its window, and folds what happened there.

package import EventModel
import EventStore
package import StateMachines

/// Reads a log for the explanation of one trace; writes nothing.
package struct TraceExplainer: Sendable {
    /// How far around a trace is looked.
    package struct Reach: Sendable, Hashable {
        /// Before its start…
        package var before = Nanoseconds.seconds(900)
        /// …and behind its end: answers come late, and an eviction may follow.
        package var behind = Nanoseconds.seconds(60)

        package init() {}
    }

    /// Clocks of spans that are further from the log's are not trusted to lie on it.
    private static let clockMaximum = Nanoseconds.seconds(3_600)

    private let timeline: Timeline

    package init(_ timeline: Timeline) { self.timeline = timeline }

    /// Explains a trace as of a record, from the spans that had come by then.
    ///
    /// A trace that had been forgotten by then is asked for at its own last record.
    /// - Parameters:
    ///   - healthy: hold it against this trace; nil: by the rule that the answer names.
    ///   - everyService: facts of services, too, that the trace did not touch.
    package func explanation(
        of id: TraceID, at point: SequenceNumber, _ reach: Reach = Reach(), healthy: TraceID? = nil,
        everyService: Bool = false, progress: (SequenceNumber) -> Void = { _ in }
    ) throws(QueryError) -> TraceExplanation {
        let (state, facts) = try state(with: id, at: point)
        if let healthy, state.tracing.facts(of: healthy) == nil {
            throw QueryError(
                .notFound, "trace \(healthy), to hold it against, is not resident at record \(state.moment.sequence)")
        }
        let (start, end, isShifted) = try placed(facts)
        let first = try Self.reading { () throws(EventStoreError) in
            try timeline.reader.lastSequence(atOrBefore: start + Nanoseconds(-reach.before.rawValue))
        }
        let begin = try timeline.state(at: max(first ?? .origin, timeline.oldest))
        let behind = try Self.reading { () throws(EventStoreError) in
            try timeline.reader.lastSequence(atOrBefore: end + reach.behind)
        }
        let firstRecord = facts.spans.map(\.position.sequence).min() ?? .origin
        let last = min(state.moment.sequence, max(behind ?? .origin, firstRecord))
        let choices = try choices(for: id, from: begin.moment.sequence, through: last, progress)
        let lastTime = try frame(last)?.recordedAt ?? end
        let window = TraceExplanation.Window(
            from: begin.moment.asOf, through: AsOf(sequence: last, recordedAt: lastTime), traceStart: start,
            traceEnd: end, isShifted: isShifted)
        var fold = ExplanationFold(facts, window, choices: choices, everyService: everyService, from: begin)
        var walker = begin
        try timeline.advance(&walker, through: last) { _, record, state in
            fold.take(record, state)
            if record.sequence.rawValue % 4_096 == 0 { progress(record.sequence) }
            return true
        }
        guard let explanation = fold.explanation(in: state, healthy: healthy) else { throw Self.unknown(id, point) }
        return explanation
    }

    private static func unknown(_ id: TraceID, _ point: SequenceNumber) -> QueryError {
        QueryError(.notFound, "no span of trace \(id) is in the log up to record \(point)")
    }

    /// The state at the point, or at the trace's last record where it is no longer resident at the point.
    private func state(
        with id: TraceID, at point: SequenceNumber
    ) throws(QueryError) -> (MeshState, TraceFacts) {
        let state = try timeline.state(at: point)
        if let facts = state.tracing.facts(of: id) { return (state, facts) }
        var last: SequenceNumber?
        try visit(from: timeline.oldest, through: point, .spansReceived) { record in
            guard case .trace(.spansReceived(let batch)) = record.event else { return }
            if batch.views.contains(where: { $0.traceID == id }) { last = record.sequence }
        }
        guard let last else { throw Self.unknown(id, point) }
        let earlier = try timeline.state(at: last)
        guard let facts = earlier.tracing.facts(of: id) else { throw Self.unknown(id, point) }
        return (earlier, facts)
    }

    /// Where the trace lies on the log's clock.
    private func placed(
        _ facts: TraceFacts
    ) throws(QueryError) -> (start: Timestamp, end: Timestamp, isShifted: Bool) {
        let start = facts.spans.map(\.startTime).min() ?? .zero
        let end = facts.spans.map { $0.startTime + $0.duration }.max() ?? start
        let position = facts.spans.map(\.position).min() ?? EventPosition(sequence: .origin)
        guard let frame = try frame(position.sequence) else { return (start, end, false) }
        let (late, early) = (frame.recordedAt - end, start - frame.recordedAt)
        if late <= Self.clockMaximum && early <= Limits.timeAhead { return (start, end, false) }
        return (frame.recordedAt + Nanoseconds(-(end - start).rawValue), frame.recordedAt, true)
    }

    private func frame(_ sequence: SequenceNumber) throws(QueryError) -> Frame? {
        try Self.reading { () throws(EventStoreError) in try timeline.reader.frame(at: sequence) }
    }

    /// The selections that were recorded for the trace, in log order.
    private func choices(
        for id: TraceID, from first: SequenceNumber, through last: SequenceNumber,
        _ progress: (SequenceNumber) -> Void
    ) throws(QueryError) -> [TraceExplanation.Choice] {
        var found: [TraceExplanation.Choice] = []
        try visit(from: first.next, through: last, .instanceSelected) { record in
            guard case .registry(.instanceSelected(let batch)) = record.event else { return }
            for (index, selection) in batch.events.enumerated() where TraceID(bytes: selection.traceID) == id {
                found.append(
                    TraceExplanation.Choice(
                        position: EventPosition(sequence: record.sequence, index: UInt32(index)),
                        recordedAt: record.recordedAt, serviceName: batch.serviceName, selection: selection))
            }
        }
        return found
    }

    /// Reads the records of one kind without folding any.
    private func visit(
        from first: SequenceNumber, through last: SequenceNumber, _ type: EventType, _ body: (EventRecord) -> Void
    ) throws(QueryError) {
        try Self.reading { () throws(EventStoreError) in
            var cursor = try timeline.reader.frames(from: max(first, timeline.reader.firstRetained), through: last)
            while let batch = try cursor.nextBatch() {
                for frame in batch where frame.eventType == type.rawValue { body(EventRecord(frame)) }
            }
        }
    }

    private static func reading<Value>(_ body: () throws(EventStoreError) -> Value) throws(QueryError) -> Value {
        do throws(EventStoreError) {
            return try body()
        } catch {
            throw TimeTraveller.queryError(error)
        }
    }
}
