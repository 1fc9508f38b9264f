// Reads a segment's frames from one byte to another, in pieces of bounded size.

import EventModel

/// A walk through the frames of one segment file, each checked by its CRC.
struct SegmentWalker {
    static let chunkByteCount = 1 << 20

    /// Why a walk ended.
    enum Stop: Equatable {
        /// At the limit, with everything intact.
        case limit
        /// At the marker behind the frames of a sealed segment.
        case footer
        /// At bytes that are neither a frame nor a mark, or that end too early.
        case damage
    }

    let file: any LogFile
    /// How much is read at once, unless a frame is larger.
    var chunkByteCount = Self.chunkByteCount
    /// The next byte to read.
    private(set) var offset: UInt64
    /// The byte to stop at.
    var limit: UInt64
    /// The last frame's sequence.
    private(set) var lastSequence: SequenceNumber
    /// The furthest byte and record a mark proves durable.
    private(set) var durableOffset: UInt64 = 0
    private(set) var durableSequence: SequenceNumber?
    /// Set when `next` has returned nil, and until `limit` is raised after `.limit`.
    private(set) var stop: Stop?

    init(_ file: any LogFile, from offset: UInt64, to limit: UInt64, after previous: SequenceNumber) {
        self.file = file
        self.offset = offset
        self.limit = limit
        lastSequence = previous
    }

    /// The next frames, and the segment's byte at which the batch's memory begins. Nil at the end: see `stop`.
    mutating func next() throws(EventStoreError) -> (batch: FrameBatch, position: UInt64)? {
        if stop == .limit, offset < limit { stop = nil }
        var wanted = chunkByteCount
        while stop == nil {
            let count = Int(min(UInt64(wanted), limit - offset))
            guard count > 0 else {
                stop = .limit
                return nil
            }
            let position = offset
            let bytes = try file.read(at: position, count: count)
            let isWhole = bytes.count < count || position + UInt64(count) == limit
            var batch = FrameBatch(adopting: bytes)
            let result = batch.parse(from: 0, after: lastSequence, position: position)
            offset += UInt64(result.endOffset)
            if let mark = result.durableOffset { durableOffset = mark }
            if let mark = result.durableSequence { durableSequence = mark }
            switch result.end {
            case .complete: if bytes.isEmpty { stop = .damage }
            case .footer: stop = .footer
            case .invalid: stop = .damage
            case .incomplete(let needed):
                if isWhole { stop = .damage }
                wanted = max(chunkByteCount, needed)
            }
            if let last = batch.lastSequence {
                lastSequence = last
                return (batch, position)
            }
        }
        return nil
    }

    /// The error for a walk that met damage where there may be none.
    func holeError(_ path: String) -> EventStoreError {
        EventStoreError(
            .hole, path: path, operation: "read", offset: offset, afterSequence: lastSequence,
            detail: "damaged bytes where an intact record was written")
    }
}
