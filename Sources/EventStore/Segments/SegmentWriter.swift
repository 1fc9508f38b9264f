// The one segment that is being written.

import EventModel

/// Appends to an unsealed segment, so that whatever fails, the file ends with whole frames.
struct SegmentWriter {
    let path: String
    let file: any LogFile
    let header: SegmentHeader
    private(set) var tracker: SegmentTracker
    /// Where the next byte goes.
    private(set) var end: UInt64
    /// The bytes known to be durable.
    private(set) var durableEnd: UInt64
    /// The bytes that no crash and no recovery changes any more; a mark written since may be torn.
    private(set) var synchronizedEnd: UInt64
    private let indexStride: Int

    /// Creates the file and writes its header; removes it again if that fails.
    static func create(
        _ header: SegmentHeader, in directory: String, _ storage: any LogStorage, indexStride: Int
    ) throws(EventStoreError) -> SegmentWriter {
        let path = directory + "/" + FileName.segment(header.firstSequence)
        do throws(EventStoreError) {
            let file = try storage.open(path, .create)
            try file.writeAll(header.encoded().span, at: 0)
            return SegmentWriter(
                path: path, file: file, header: header, end: UInt64(SegmentHeader.byteCount), indexStride: indexStride)
        } catch {
            try? storage.remove(path)
            throw error
        }
    }

    private init(path: String, file: any LogFile, header: SegmentHeader, end: UInt64, indexStride: Int) {
        self.path = path
        self.file = file
        self.header = header
        self.end = end
        self.indexStride = indexStride
        durableEnd = 0
        synchronizedEnd = 0
        tracker = SegmentTracker(after: header, indexStride: indexStride)
    }

    /// Goes on with a segment found by recovery, which ends at `end` and is durable.
    init(
        resuming path: String, _ file: any LogFile, _ header: SegmentHeader, _ tracker: SegmentTracker, end: UInt64,
        indexStride: Int
    ) {
        self.path = path
        self.file = file
        self.header = header
        self.tracker = tracker
        self.end = end
        self.indexStride = indexStride
        durableEnd = end
        synchronizedEnd = end
    }

    var figures: SegmentFigures { tracker.figures }
    var isEmpty: Bool { tracker.figures.frameCount == 0 }
    var isDurable: Bool { durableEnd == end }

    /// Writes a contiguous batch behind the last one.
    mutating func append(_ batch: FrameBatch) throws(EventStoreError) {
        guard !batch.isEmpty else { return }
        let start = Int(batch.offsets[0])
        let size = batch.byteCount
        try write(batch.bytes.span.extracting(start..<start + size))
        tracker.note(batch, position: end - UInt64(size) - UInt64(start))
    }

    /// Makes everything written durable, and says so in the file by a mark, which becomes durable with the next group.
    mutating func synchronize() throws(EventStoreError) {
        guard !isDurable else { return }
        try file.synchronize()
        durableEnd = end
        synchronizedEnd = end
        try mark()
    }

    /// Writes into the file that all of it is durable.
    mutating func mark() throws(EventStoreError) {
        let mark = FrameParser.mark(durableOffset: end, durableSequence: figures.lastSequence)
        do throws(EventStoreError) {
            try write(mark.span)
            durableEnd = end
        } catch {
            // The mark is a help to recovery, and full disks are no reason to fail a commit that has succeeded.
            if error.code != .diskFull { throw error }
        }
    }

    /// Makes the segment immutable: index and summary are appended, and all of it is durable.
    mutating func seal(predecessorHash: SegmentHash) throws(EventStoreError) -> SegmentSummary {
        try file.synchronize()
        durableEnd = end
        let summary = SegmentSummary(
            logID: header.logID, framesEnd: end, figures: figures, predecessorHash: predecessorHash,
            indexEntryCount: tracker.index.count)
        let footer = SegmentIndex.encode(tracker.index) + summary.encoded()
        try write(footer.span)
        try file.synchronize()
        durableEnd = end
        return summary
    }

    /// Writes all bytes at the end, or none: what was written of them is cut off again.
    private mutating func write(_ bytes: Span<UInt8>) throws(EventStoreError) {
        do throws(EventStoreError) {
            try file.writeAll(bytes, at: end)
        } catch {
            try rollBack(after: error)
            throw error
        }
        end += UInt64(bytes.count)
    }

    private mutating func rollBack(after cause: EventStoreError) throws(EventStoreError) {
        do throws(EventStoreError) {
            try file.truncate(to: end)
            // Durable at once: otherwise a crash could bring back frames whose append was refused.
            try file.synchronize()
        } catch {
            var poison = error
            poison.code = .poisoned
            poison.detail = "could not cut off what a failed write had left (\(cause))"
            throw poison
        }
    }
}
