// Encoded frames in one piece of memory: what the writer appends and what the reader yields.

package import EventModel

/// Whole frames in ascending sequence, contiguous in memory.
///
/// Live records and replayed ones have this one shape. Frames share the batch's memory; reading one copies nothing.
package struct FrameBatch: Sendable {
    /// The memory; only `bytes[..<usedByteCount]` has meaning. Kept larger than used, so that a batch that is emptied
    /// and filled again does not pay for clearing.
    var bytes: [UInt8]
    /// Bytes in use.
    var usedByteCount: Int
    /// Where each frame begins.
    var offsets: [UInt32]
    /// Bytes of the frames alone; less than the distance between their ends if durable marks lie between them.
    var frameByteCount: Int

    /// An empty batch with room for so many bytes.
    package init(reservingBytes byteCount: Int = 0) {
        bytes = byteCount == 0 ? [] : [UInt8](repeating: 0, count: byteCount)
        usedByteCount = 0
        offsets = []
        frameByteCount = 0
    }

    /// Takes bytes read from a segment; frames are found by `parse`.
    init(adopting bytes: [UInt8]) {
        self.bytes = bytes
        usedByteCount = 0
        offsets = []
        frameByteCount = 0
    }

    /// How many frames there are.
    package var count: Int { offsets.count }
    /// Whether there is no frame.
    package var isEmpty: Bool { offsets.isEmpty }
    /// The size of all frames in bytes.
    package var byteCount: Int { frameByteCount }

    /// The first frame's sequence, nil if empty.
    package var firstSequence: SequenceNumber? { isEmpty ? nil : sequence(at: 0) }
    /// The last frame's sequence, nil if empty.
    package var lastSequence: SequenceNumber? { isEmpty ? nil : sequence(at: count - 1) }

    /// Forgets the frames and keeps the memory.
    package mutating func removeAll() {
        usedByteCount = 0
        frameByteCount = 0
        offsets.removeAll(keepingCapacity: true)
    }

    /// Appends a frame whose fields are arrays; see the form that takes spans.
    package mutating func append(
        sequence: SequenceNumber, recordedAt: Timestamp, sourceHash: UInt64 = 0, eventType: UInt16,
        schemaVersion: UInt8, flags: FrameFlags = [], messageID: [UInt8] = [], subject: [UInt8] = [],
        facts: ArraySlice<UInt8>, attachment: ArraySlice<UInt8> = []
    ) throws(EventStoreError) {
        try append(
            sequence: sequence, recordedAt: recordedAt, sourceHash: sourceHash, eventType: eventType,
            schemaVersion: schemaVersion, flags: flags, messageID: messageID.span, subject: subject.span,
            facts: facts.span, attachment: attachment.span)
    }

    /// Appends a frame whose fields are arrays; see the form that takes spans.
    package mutating func append(
        sequence: SequenceNumber, recordedAt: Timestamp, sourceHash: UInt64 = 0, eventType: UInt16,
        schemaVersion: UInt8, flags: FrameFlags = [], messageID: [UInt8] = [], subject: [UInt8] = [],
        facts: [UInt8], attachment: [UInt8] = []
    ) throws(EventStoreError) {
        try append(
            sequence: sequence, recordedAt: recordedAt, sourceHash: sourceHash, eventType: eventType,
            schemaVersion: schemaVersion, flags: flags, messageID: messageID.span, subject: subject.span,
            facts: facts.span, attachment: attachment.span)
    }

    /// Appends a frame of this or another batch, bit for bit.
    package mutating func append(_ frame: Frame) { appendEncoded(frame) }

    /// The frame at a position of this batch.
    package subscript(position: Int) -> Frame {
        Frame(bytes: bytes, start: Int(offsets[position]))
    }

    /// Where the frame at a position ends.
    func end(at position: Int) -> Int {
        let start = Int(offsets[position])
        return start + byteCount(ofFrameAt: start)
    }

    /// Whether nothing but frames lies between the first frame's beginning and the last one's end.
    var isContiguous: Bool { isEmpty || end(at: count - 1) - Int(offsets[0]) == frameByteCount }

    /// The same frames without anything between them.
    func compacted() -> FrameBatch {
        var batch = FrameBatch(reservingBytes: frameByteCount)
        for frame in self { batch.append(frame) }
        return batch
    }

    /// The frames at these positions, sharing the memory.
    func selecting(_ positions: Range<Int>) -> FrameBatch {
        if positions == 0..<count { return self }
        var batch = self
        batch.offsets = Array(offsets[positions])
        batch.frameByteCount = positions.reduce(0) { $0 + byteCount(ofFrameAt: Int(offsets[$1])) }
        return batch
    }

    /// The first position whose frame's sequence is `sequence` or larger; `count` if there is none.
    func firstPosition(from sequence: SequenceNumber) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self.sequence(at: middle) < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension FrameBatch: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { offsets.count }
}
