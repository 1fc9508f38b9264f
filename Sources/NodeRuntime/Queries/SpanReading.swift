// Reads spans back from the log by their positions: what the collector does not keep in memory.

import EventModel
import EventStore
import StateMachines

/// Spans by their positions, for one question; a record is read and judged once.
struct SpanReader {
    private static let batchesKept = 256
    private let reader: LogReader
    private var batches: [SequenceNumber: SpanBatch?] = [:]
    /// Records that were read so far.
    private(set) var recordCount = 0

    init(_ reader: LogReader) { self.reader = reader }

    /// The span at a position; nil where its record is no longer in the log.
    mutating func span(at position: EventPosition) throws(QueryError) -> TraceSpan? {
        try batch(position.sequence)?.span(at: Int(position.index))
    }

    private mutating func batch(_ sequence: SequenceNumber) throws(QueryError) -> SpanBatch? {
        if let known = batches[sequence] { return known }
        recordCount += 1
        let found = try read(sequence)
        if batches.count == Self.batchesKept { batches.removeAll(keepingCapacity: true) }
        batches[sequence] = .some(found)
        return found
    }

    private func read(_ sequence: SequenceNumber) throws(QueryError) -> SpanBatch? {
        do throws(EventStoreError) {
            guard let frame = try reader.frame(at: sequence) else { return nil }
            guard case .trace(.spansReceived(let batch)) = EventRecord(frame).event else { return nil }
            return batch
        } catch {
            if case .gone = error.code { return nil }
            throw TimeTraveller.queryError(error)
        }
    }
}
