// Pulls records out of the log, segment after segment.

import EventModel

/// Pulls records in batches of about 1 MiB, in order.
package struct FrameCursor: Sendable {
    private let catalog: SegmentCatalog
    private let storage: any LogStorage
    private var next: SequenceNumber
    private let last: SequenceNumber
    private var walker: SegmentWalker?
    private var segment: CatalogSegment?

    init(catalog: SegmentCatalog, storage: any LogStorage, from first: SequenceNumber, through last: SequenceNumber) {
        self.catalog = catalog
        self.storage = storage
        next = first
        self.last = last
    }

    /// The next records; nil when there is none (any more, or yet: asking again later finds what has been committed
    /// since). Throws `.hole` at damage and `.gone` if retention was faster.
    package mutating func nextBatch() throws(EventStoreError) -> FrameBatch? {
        while next <= last {
            if try !advance() { return nil }
            guard let found = try walker?.next() else {
                guard let stop = walker?.stop, stop == .limit, let segment else {
                    throw walker!.holeError(segment?.path ?? "")
                }
                if segment.isSealed, walker!.lastSequence < segment.figures.lastSequence {
                    throw walker!.holeError(segment.path)
                }
                if !segment.isSealed { return nil }
                walker = nil
                next = max(next, segment.figures.lastSequence.next)
                continue
            }
            let batch = found.batch
            let begin = batch.firstPosition(from: next)
            let end = last == .end ? batch.count : batch.firstPosition(from: last.next)
            if let sequence = batch.lastSequence { next = max(next, sequence == .end ? .end : sequence.next) }
            if begin < end { return batch.selecting(begin..<end) }
        }
        return nil
    }

    /// Opens the segment that holds the next record, or looks how far the open one may be read. False: no record yet.
    private mutating func advance() throws(EventStoreError) -> Bool {
        if walker != nil, let current = segment {
            if current.isSealed { return true }
            guard let fresh = catalog.segment(at: current.firstSequence) else { return true }
            segment = fresh
            walker?.limit = fresh.framesEnd
            return true
        }
        try catalog.requireRetained(next)
        guard let found = catalog.segment(holding: next) else { return false }
        let file: any LogFile
        do throws(EventStoreError) {
            file = try storage.open(found.path, .read)
        } catch {
            try catalog.requireRetained(next)
            throw error
        }
        let entry = try found.loadIndex(file).last { $0.sequence <= next }
        segment = found
        walker = SegmentWalker(
            file, from: entry?.offset ?? UInt64(SegmentHeader.byteCount), to: found.framesEnd,
            after: entry.map { SequenceNumber($0.sequence.rawValue - 1) } ?? found.header.previousSequence)
        // One record lies within one stride of the index.
        if next == last { walker?.chunkByteCount = EventLogOptions().indexStrideBytes }
        return true
    }
}

extension CatalogSegment {
    /// The sparse index: a sealed segment's is read from its file and checked.
    func loadIndex(_ file: any LogFile) throws(EventStoreError) -> [IndexEntry] {
        guard let summary else { return index }
        let size = SegmentIndex.byteCount(entryCount: summary.indexEntryCount)
        guard let entries = SegmentIndex.decode(try file.read(at: summary.framesEnd, count: size)) else {
            throw EventStoreError(
                .hole, path: path, offset: summary.framesEnd, afterSequence: summary.figures.lastSequence,
                detail: "the segment's index is damaged")
        }
        return entries
    }
}

extension SegmentCatalog {
    /// The segment with this first sequence.
    func segment(at first: SequenceNumber) -> CatalogSegment? {
        update { state in state.segments.last { $0.firstSequence == first } }
    }
}
