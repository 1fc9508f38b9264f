// Where the log can be anchored: bytes of it that are durable and will never change.

package import EventModel

/// The beginning of a segment up to a record, whole or not.
package struct AnchorPoint: Hashable, Sendable {
    package var logID: LogID
    /// The segment's file.
    package var path: String
    package var firstSequence: SequenceNumber
    /// The last record before the point.
    package var sequence: SequenceNumber
    /// Bytes from the file's beginning.
    package var byteCount: UInt64
    package var predecessorHash: SegmentHash
    package var isSealed: Bool

    /// The head to be signed. Reads the bytes: takes time proportional to them.
    package func head(_ storage: any LogStorage = PosixStorage()) throws(EventStoreError) -> SegmentHead {
        var head = SegmentHead()
        head.logID = logID.description
        head.firstSequence = firstSequence
        head.sequence = sequence
        head.byteCount = byteCount
        head.hash = try SegmentHash.of(try storage.open(path, .read), upTo: byteCount).description
        head.predecessorHash = predecessorHash.description
        head.isSealed = isSealed
        return head
    }
}

extension EventLog {
    /// The point behind everything appended so far, which becomes durable; nil while the log has no record.
    package func anchorPoint() throws(EventStoreError) -> AnchorPoint? {
        try synchronize()
        let predecessor = try newestSealedHash()
        guard let active, !active.isEmpty else { return nil }
        return AnchorPoint(
            logID: id, path: active.path, firstSequence: active.header.firstSequence, sequence: lastSequence,
            byteCount: active.synchronizedEnd, predecessorHash: predecessor, isSealed: false)
    }
}
