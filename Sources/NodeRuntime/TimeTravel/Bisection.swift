// Where in the log an expression becomes true: by checkpoints and forks, or record by record.

package import EventModel
package import EventStore
package import StateMachines

/// Walks a log offline, from the nearest checkpoint or from a state that it is given.
package struct Timeline: Sendable {
    package let reader: LogReader
    package let checkpoints: CheckpointStore
    private let traveller: TimeTraveller

    package init(reader: LogReader, checkpoints: CheckpointStore) {
        self.reader = reader
        self.checkpoints = checkpoints
        traveller = TimeTraveller(reader: reader, checkpoints: checkpoints)
    }

    /// The state after a record, or after the last one before it; `.origin` is before the first.
    package func state(at sequence: SequenceNumber) throws(QueryError) -> MeshState {
        sequence == .origin ? MeshState() : try traveller.state(at: sequence)
    }

    /// Nothing before this can be reconstructed; `.origin` where the log was never trimmed.
    package var oldest: SequenceNumber {
        let first = reader.firstRetained
        if first <= SequenceNumber(1) { return .origin }
        return ((try? checkpoints.list(of: reader)) ?? []).first { $0.next >= first } ?? first
    }

    /// Folds on through a sequence. `visit` sees each record with the state after it; false ends the walk.
    ///
    /// - Throws: `unsupportedSemantics` behind a record that activates what this version lacks.
    package func advance(
        _ state: inout MeshState, through last: SequenceNumber,
        _ visit: (Frame, EventRecord, MeshState) -> Bool = { _, _, _ in true }
    ) throws(QueryError) {
        var missing: (version: UInt32, place: SequenceNumber)?
        do throws(EventStoreError) {
            if state.moment.sequence >= last { return }
            var cursor = try reader.frames(from: state.moment.sequence.next, through: last)
            reading: while let batch = try cursor.nextBatch() {
                for frame in batch {
                    let record = try reader.record(of: frame)
                    if case .unsupportedSemantics(let version) = state.apply(record).verdict {
                        missing = (version, frame.sequence)
                        break reading
                    }
                    if !visit(frame, record, state) { return }
                }
            }
        } catch {
            throw TimeTraveller.queryError(error)
        }
        if let missing { throw TimeTraveller.unsupported(missing.version, at: missing.place) }
    }

    /// Folds on to the next record; nil at the log's end.
    package func step(_ state: inout MeshState) throws(QueryError) -> Frame? {
        var found: Frame?
        try advance(&state, through: .end) { frame, _, _ in
            found = frame
            return false
        }
        return found
    }

    /// Records around one: so many before it, itself, so many behind it.
    package func frames(around sequence: SequenceNumber, count: Int) throws(QueryError) -> [Frame] {
        do throws(EventStoreError) {
            // Sequences of a stream have gaps: a wider look finds as many.
            let back = UInt64(count) * 4
            let first = max(SequenceNumber(sequence.rawValue - min(sequence.rawValue, back)), reader.firstRetained)
            var (before, behind): ([Frame], [Frame]) = ([], [])
            var cursor = try reader.frames(from: first)
            while behind.count <= count, let batch = try cursor.nextBatch() {
                for frame in batch {
                    if frame.sequence < sequence { before.append(frame) } else { behind.append(frame) }
                    if behind.count > count { break }
                }
            }
            return before.suffix(count) + behind
        } catch {
            throw TimeTraveller.queryError(error)
        }
    }
}

/// Finds the first record after which an expression is true.
package struct Bisection: Sendable {
    /// What was found.
    package struct Finding: Sendable {
        /// The record after which the expression is true, while it was not before.
        package var sequence: SequenceNumber
        package var before: MeshState
        package var after: MeshState
        /// How often the expression was evaluated.
        package var evaluationCount: Int
        /// How many records were folded, those of the journeys to a state not counted.
        package var foldedCount: Int
    }

    /// Where the search ended.
    package enum Result: Sendable {
        case found(Finding)
        /// It is true already where the search begins.
        case trueAtStart
        /// It is not true where the search ends; in between it may have been.
        case falseAtEnd
        /// It never was, as every record says.
        case never
    }

    private let timeline: Timeline
    private let expression: MeshExpression
    /// Parts into which an interval is cut by one pass.
    private static let parts: UInt64 = 16
    private var evaluationCount = 0
    private var foldedCount = 0

    package init(_ timeline: Timeline, _ expression: MeshExpression) {
        self.timeline = timeline
        self.expression = expression
    }

    private mutating func isTrue(_ state: MeshState) -> Bool {
        evaluationCount += 1
        return expression.isTrue(in: state)
    }

    /// By bisection: right where the expression, once true, stays true; otherwise it finds one of the records at which
    /// it becomes true. Reconstructs O(log n) states from checkpoints, then folds what lies between two of them once,
    /// and a sixteenth of it, and so on.
    package mutating func bisect(
        from first: SequenceNumber, to last: SequenceNumber, progress: (SequenceNumber) -> Void = { _ in }
    ) throws(QueryError) -> Result {
        var low = try timeline.state(at: first)
        if isTrue(low) { return .trueAtStart }
        if try !isTrue(timeline.state(at: last)) { return .falseAtEnd }
        var high = last
        var candidates = ((try? timeline.checkpoints.list()) ?? []).filter { $0 > low.moment.sequence && $0 < high }
        while !candidates.isEmpty {
            let middle = candidates.count / 2
            let state = try timeline.state(at: candidates[middle])
            progress(candidates[middle])
            if isTrue(state) {
                high = candidates[middle]
                candidates.removeSubrange(middle...)
            } else {
                low = state
                candidates.removeSubrange(...middle)
            }
        }
        // The state after the last record that is not behind `number`.
        var number = low.moment.sequence
        while high.rawValue - number.rawValue > Self.parts {
            (number, high) = try narrow(&low, number, high)
            progress(high)
        }
        return try walk(low, through: high)
    }

    /// Folds from where it is false to where it is true, looking at the ends of sixteen parts. The parts are of numbers,
    /// not of records: a part in which a stream has none is cut off unseen.
    private mutating func narrow(
        _ low: inout MeshState, _ first: SequenceNumber, _ high: SequenceNumber
    ) throws(QueryError) -> (SequenceNumber, SequenceNumber) {
        let step = (high.rawValue - first.rawValue) / Self.parts
        var stop = first.rawValue
        var state = low
        while stop + step < high.rawValue {
            let before = state.moment.sequence
            try advance(&state, SequenceNumber(stop + step))
            if state.moment.sequence > before {
                if isTrue(state) { return (SequenceNumber(stop), state.moment.sequence) }
                low = state
            }
            stop += step
        }
        return (SequenceNumber(stop), high)
    }

    private mutating func advance(_ state: inout MeshState, _ last: SequenceNumber) throws(QueryError) {
        var count = 0
        try timeline.advance(&state, through: last) { _, _, _ in
            count += 1
            return true
        }
        foldedCount += count
    }

    /// Record by record from a state in which it is false.
    private mutating func walk(_ low: MeshState, through high: SequenceNumber) throws(QueryError) -> Result {
        var before = low
        while before.moment.sequence < high {
            var after = before
            guard try timeline.step(&after) != nil else { break }
            foldedCount += 1
            if isTrue(after) { return .found(finding(before, after)) }
            before = after
        }
        return .never
    }

    private func finding(_ before: MeshState, _ after: MeshState) -> Finding {
        Finding(
            sequence: after.moment.sequence, before: before, after: after, evaluationCount: evaluationCount,
            foldedCount: foldedCount)
    }

    /// Looks at every record that can change the expression; finds the first one, whatever comes later.
    package mutating func scan(
        from first: SequenceNumber, to last: SequenceNumber, progress: (SequenceNumber) -> Void = { _ in }
    ) throws(QueryError) -> Result {
        var low = try timeline.state(at: first)
        if isTrue(low) { return .trueAtStart }
        var state = low
        var found = false
        let expression = expression
        while !found && state.moment.sequence < last {
            // A fork every so often, from which the state before the record is folded again.
            low = state
            var (count, evaluations) = (0, 0)
            try timeline.advance(&state, through: last) { _, record, state in
                count += 1
                if expression.mayChange(with: record.event) {
                    evaluations += 1
                    found = expression.isTrue(in: state)
                }
                return !found && count < 16_384
            }
            foldedCount += count
            evaluationCount += evaluations
            progress(state.moment.sequence)
            if count == 0 { break }
        }
        if !found { return .never }
        var before = low
        try timeline.advance(&before, through: SequenceNumber(state.moment.sequence.rawValue - 1))
        return .found(finding(before, state))
    }
}
