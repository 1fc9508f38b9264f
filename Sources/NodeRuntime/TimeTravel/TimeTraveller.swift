// Read-only forks of the past: the nearest checkpoint, and the records behind it.

package import EventModel
package import EventStore
package import StateMachines

/// Folds a log up to a position. Offline tools use it on a directory, the node for `at_sequence` and `at_time`.
package struct TimeTraveller: Sendable {
    let reader: LogReader
    private let checkpoints: CheckpointStore
    private let indexKey: UInt64

    package init(reader: LogReader, checkpoints: CheckpointStore, indexKey: UInt64 = 0) {
        self.reader = reader
        self.checkpoints = checkpoints
        self.indexKey = indexKey
    }

    /// The sequence a question is asked at: the record itself, or the last one not later than a time.
    package func sequence(for position: ReadPosition) throws(QueryError) -> SequenceNumber {
        if let sequence = position.atSequence { return sequence }
        guard let time = position.atTime else { return reader.lastSequence }
        let found = try Self.reading { () throws(EventStoreError) in try reader.lastSequence(atOrBefore: time) }
        guard let sequence = found else {
            throw Self.queryError(EventStoreError(.gone(firstRetained: reader.firstRetained)))
        }
        return sequence
    }

    /// The state after the record with this sequence, or after the last one before it.
    ///
    /// `progress` is told the last record folded; when it answers false, the journey ends with a time-out.
    package func state(
        at sequence: SequenceNumber, fromZero: Bool = false, progress: (SequenceNumber) -> Bool = { _ in true }
    ) throws(QueryError) -> MeshState {
        var state = MeshState(indexKey: indexKey)
        if !fromZero, let found = try newestState(notAfter: sequence) { state = found }
        switch try Self.reading({ () throws(EventStoreError) in try fold(&state, through: sequence, progress) }) {
        case .complete: return state
        case .tooLong:
            throw QueryError(.timeout, "the journey to \(sequence) took too long; ask offline with `lattice replay`")
        case .unsupported(let version, let place):
            throw Self.unsupported(version, at: place)
        }
    }

    /// What ends a journey at an activation that this version lacks.
    package static func unsupported(_ version: UInt32, at place: SequenceNumber) -> QueryError {
        QueryError(
            .unsupportedSemantics,
            "semantics \(version) was activated at \(place), and this version has \(RecordFilter.supportedSemantics)",
            sequence: place)
    }

    private func newestState(notAfter sequence: SequenceNumber) throws(QueryError) -> MeshState? {
        try Self.reading { () throws(EventStoreError) in
            try checkpoints.newestState(of: reader, notAfter: sequence, indexKey: indexKey).state
        }
    }

    /// How a fold ended.
    private enum FoldEnd {
        case complete
        case tooLong
        /// A record says that what comes after it means something that this version does not know.
        case unsupported(version: UInt32, at: SequenceNumber)
    }

    private func fold(
        _ state: inout MeshState, through sequence: SequenceNumber, _ progress: (SequenceNumber) -> Bool
    ) throws(EventStoreError) -> FoldEnd {
        let start = state.moment.sequence
        // A log that was trimmed can be folded from a checkpoint only.
        var cursor = try reader.frames(from: start.next, through: sequence)
        while let batch = try cursor.nextBatch() {
            for frame in batch {
                if case .unsupportedSemantics(let version) = state.apply(try reader.record(of: frame)).verdict {
                    return .unsupported(version: version, at: frame.sequence)
                }
            }
            if let last = batch.lastSequence, !progress(last) { return .tooLong }
        }
        return .complete
    }

    /// What became of a record, worked out anew.
    package func outcome(of sequence: SequenceNumber) throws(QueryError) -> OutcomeAnswer {
        let found = try Self.reading { () throws(EventStoreError) in try reader.frame(at: sequence) }
        guard let frame = found else { throw QueryError(.notFound, "there is no record \(sequence)") }
        var state = try state(at: SequenceNumber(sequence.rawValue - 1))
        let record = try Self.reading { () throws(EventStoreError) in try reader.record(of: frame) }
        var outcome = state.apply(record).outcome
        outcome.subject = String(decoding: frame.subject, as: UTF8.self)
        return outcome
    }

    /// What a record's subject says behind `<prefix>.events.`; empty where there is none.
    func subject(of sequence: SequenceNumber) throws(QueryError) -> String {
        let frame = try Self.reading { () throws(EventStoreError) in try reader.frame(at: sequence) }
        return frame.map { String(decoding: $0.subject, as: UTF8.self) } ?? ""
    }

    /// A page of the audit trail.
    package func trail(_ query: AuditQuery, asOf: AsOf) throws(QueryError) -> AuditAnswer {
        try Self.reading { () throws(EventStoreError) in try AuditTrail(reader: reader).answer(query, asOf: asOf) }
    }

    /// What an answer is true for that is read from the log through a record: the last one that is not later.
    package func asOf(_ sequence: SequenceNumber) throws(QueryError) -> AsOf {
        try Self.reading { () throws(EventStoreError) in
            if let frame = try reader.frame(at: sequence) {
                return AsOf(sequence: frame.sequence, recordedAt: frame.recordedAt)
            }
            // A stream has gaps; the last record before this one is near.
            var found = AsOf(sequence: .origin, recordedAt: .zero)
            let start = SequenceNumber(sequence.rawValue - min(sequence.rawValue, 4_096))
            var cursor = try reader.frames(from: max(start, reader.firstRetained), through: sequence)
            while let batch = try cursor.nextBatch() {
                for frame in batch { found = AsOf(sequence: frame.sequence, recordedAt: frame.recordedAt) }
            }
            return found
        }
    }

    private static func reading<Value>(_ body: () throws(EventStoreError) -> Value) throws(QueryError) -> Value {
        do throws(EventStoreError) {
            return try body()
        } catch {
            throw queryError(error)
        }
    }

    /// The same failure in the words of a query.
    package static func queryError(_ error: EventStoreError) -> QueryError {
        switch error.code {
        case .gone(let first):
            QueryError(.gone, "that is before the first retained record \(first)", sequence: first)
        case .notFound: QueryError(.notFound, "\(error)")
        default: QueryError(.internal, "\(error)")
        }
    }
}
