// The running figures and the sparse index of a segment, kept while it is written or scanned.

import EventModel

/// Takes note of frames in order.
struct SegmentTracker {
    private(set) var figures = SegmentFigures()
    private(set) var index: [IndexEntry] = []
    private let indexStride: UInt64
    private var nextIndexedOffset: UInt64 = 0

    init(after header: SegmentHeader, indexStride: Int) {
        figures.runningMaximum = header.runningMaximumBefore
        figures.lastSequence = header.previousSequence
        self.indexStride = UInt64(indexStride)
    }

    /// Takes note of a batch whose memory begins at this byte of the segment.
    mutating func note(_ batch: FrameBatch, position: UInt64) {
        guard !batch.isEmpty else { return }
        var runningMaximum = figures.runningMaximum
        for frame in 0..<batch.count {
            runningMaximum = max(runningMaximum, batch.recordedAt(at: frame))
            let offset = position + UInt64(batch.offsets[frame])
            if offset >= nextIndexedOffset {
                index.append(
                    IndexEntry(sequence: batch.sequence(at: frame), runningMaximum: runningMaximum, offset: offset))
                nextIndexedOffset = (offset / indexStride + 1) * indexStride
            }
        }
        let last = batch.count - 1
        if figures.frameCount == 0 {
            figures.firstSequence = batch.sequence(at: 0)
            figures.firstRecordedAt = batch.recordedAt(at: 0)
        }
        figures.lastSequence = batch.sequence(at: last)
        figures.lastRecordedAt = batch.recordedAt(at: last)
        figures.lastSourceHash = batch[last].sourceHash
        figures.runningMaximum = runningMaximum
        figures.frameCount += UInt64(batch.count)
        figures.frameByteCount += UInt64(batch.byteCount)
    }
}
