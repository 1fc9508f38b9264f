// A scan of the one segment that is not sealed.

import EventModel

/// What a scan of an unsealed segment finds.
struct SegmentScan {
    var tracker: SegmentTracker
    /// The first byte that belongs to nothing intact.
    var end: UInt64
    /// The bytes that marks prove durable.
    var durableOffset: UInt64
    var durableSequence: SequenceNumber?

    static func run(
        _ file: any LogFile, _ header: SegmentHeader, _ indexStride: Int
    ) throws(EventStoreError) -> SegmentScan {
        var tracker = SegmentTracker(after: header, indexStride: indexStride)
        var walker = SegmentWalker(
            file, from: UInt64(SegmentHeader.byteCount), to: try file.byteCount(), after: header.previousSequence)
        while let (batch, position) = try walker.next() { tracker.note(batch, position: position) }
        return SegmentScan(
            tracker: tracker, end: walker.offset, durableOffset: walker.durableOffset,
            durableSequence: walker.durableSequence)
    }

    /// Scans a segment to which another process may be writing. Throws `.hole` for damage that had been durable.
    ///
    /// What looks like damage may be a group that was being written just then, so a suspicion is looked at again.
    static func runBesideWriter(
        _ found: FoundSegment, _ header: SegmentHeader
    ) throws(EventStoreError) -> (scan: SegmentScan, tail: TailExamination) {
        var suspectedOffset: UInt64?
        while true {
            let scan = try run(found.file, header, EventLogOptions().indexStrideBytes)
            let last = scan.tracker.figures.lastSequence
            let summary = try SegmentSummary.read(from: found.file)
            if let summary, summary.framesEnd == scan.end { return (scan, TailExamination()) }
            let tail = try TailExamination.examine(found.file, damageAt: scan.end, after: last)
            if !tail.isHole { return (scan, tail) }
            if suspectedOffset == scan.end {
                throw EventStoreError(
                    .hole, path: found.path, operation: "read", offset: scan.end, afterSequence: last,
                    detail: "damaged bytes that had been durable")
            }
            suspectedOffset = scan.end
        }
    }
}

extension SegmentSummary {
    /// The summary at the end of a file; nil if there is no intact one.
    static func read(from file: any LogFile) throws(EventStoreError) -> SegmentSummary? {
        let size = try file.byteCount()
        guard size >= UInt64(byteCount) else { return nil }
        return decode(try file.read(at: size - UInt64(byteCount), count: byteCount), fileByteCount: size)
    }
}
