// The segments a reader may read, and how far: the one thing writer and readers share.

import EventModel
import Synchronization

/// A segment as readers see it.
struct CatalogSegment {
    var path: String
    var header: SegmentHeader
    var figures: SegmentFigures
    /// The byte at which the readable frames end.
    var framesEnd: UInt64
    /// The size of the file.
    var fileByteCount: UInt64
    /// Nil while the segment is being written.
    var summary: SegmentSummary?
    /// The index of a segment that is being written; a sealed one's lies in its file.
    var index: [IndexEntry] = []

    var isSealed: Bool { summary != nil }
    var firstSequence: SequenceNumber { header.firstSequence }
}

/// The segments in ascending order. The writer publishes into it what has become readable; readers only look.
final class SegmentCatalog: Sendable {
    struct State {
        /// Nil only before the log is opened.
        var logID: LogID?
        var segments: [CatalogSegment] = []
        var lastDropped = SequenceNumber.origin
        var durableSequence = SequenceNumber.origin
    }

    private let state: Mutex<State>

    init(_ state: State) { self.state = Mutex(state) }

    /// Changes the catalogue; the closure must do nothing else.
    func update<Result: Sendable>(_ change: (inout State) -> Result) -> Result {
        state.withLock { change(&$0) }
    }

    /// The last record a reader may see.
    var lastSequence: SequenceNumber {
        state.withLock { $0.segments.last?.figures.lastSequence ?? $0.lastDropped }
    }

    /// The first record there is, or would be.
    var firstRetained: SequenceNumber {
        state.withLock { $0.segments.first?.firstSequence ?? $0.lastDropped.next }
    }

    /// The last record known to be durable.
    var durableSequence: SequenceNumber { state.withLock { $0.durableSequence } }

    /// Throws `.gone` if the record is behind the horizon.
    func requireRetained(_ sequence: SequenceNumber) throws(EventStoreError) {
        let firstRetained: SequenceNumber? = state.withLock { state in
            guard sequence <= state.lastDropped, sequence > .origin else { return nil }
            return state.segments.first?.firstSequence ?? state.lastDropped.next
        }
        if let firstRetained { throw EventStoreError(.gone(firstRetained: firstRetained)) }
    }

    /// The segment that holds the first record at or after `sequence`; nil if there is no such record.
    func segment(holding sequence: SequenceNumber) -> CatalogSegment? {
        first { $0.figures.lastSequence >= sequence && $0.figures.frameCount > 0 }
    }

    /// The first segment whose last record is not older than `time`, by running maximum.
    func segment(reaching time: Timestamp) -> CatalogSegment? {
        first { $0.figures.runningMaximum >= time && $0.figures.frameCount > 0 }
    }

    /// All segments. Copies the list.
    var segments: [CatalogSegment] { state.withLock { $0.segments } }

    /// The first segment for which a predicate holds that is false, then true, along the log.
    private func first(where predicate: @Sendable (CatalogSegment) -> Bool) -> CatalogSegment? {
        state.withLock { state in
            var low = 0
            var high = state.segments.count
            while low < high {
                let middle = (low + high) / 2
                if predicate(state.segments[middle]) { high = middle } else { low = middle + 1 }
            }
            return low < state.segments.count ? state.segments[low] : nil
        }
    }
}
