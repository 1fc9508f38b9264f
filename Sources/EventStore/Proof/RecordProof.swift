// What ties a state on disk to the records that it was made of.

package import EventModel

/// Names one record of one log, so that no record of another history can be taken for it.
///
/// The hash is the SHA-256 of the header of the record's segment (which has the log's identity, the segment's place and the
/// moment of its creation), of the byte at which the record begins in it, and of the record's bytes. A segment only grows,
/// or is cut: so whoever finds the same record at the same byte of the same segment finds the same records before it. A
/// log that was cut and went on, one that was repaired, imported or refilled, has other bytes there.
package struct RecordProof: Hashable, Sendable {
    /// The log that the record is in.
    package var logID: LogID
    /// The SHA-256 described above.
    package var hash: SegmentHash
}

/// Whether a state on disk was made of the records that a log has.
package enum StateFit: Hashable, Sendable {
    case fits
    /// The log ends before the record that the state is true for: records are missing.
    case ahead
    /// It was made of other records; one clause that says how that is known.
    case foreign(String)
    /// It names no record (version 1), and the log has all of them: the state is folded anew.
    case unproven
    /// The log was trimmed beyond its record: nothing can be folded from it.
    case behind
}

extension LogReader {
    /// The proof of the record with this sequence; nil if there is none. Reads one stride of the sparse index.
    package func proof(of sequence: SequenceNumber) throws(EventStoreError) -> RecordProof? {
        guard let segment = catalog.segment(holding: sequence), sequence >= segment.firstSequence else { return nil }
        let file = try storage.open(segment.path, .read)
        let entry = try segment.loadIndex(file).last { $0.sequence <= sequence }
        var walker = SegmentWalker(
            file, from: entry?.offset ?? UInt64(SegmentHeader.byteCount), to: segment.framesEnd,
            after: entry.map { SequenceNumber($0.sequence.rawValue - 1) } ?? segment.header.previousSequence)
        walker.chunkByteCount = EventLogOptions().indexStrideBytes
        while let (batch, position) = try walker.next() {
            let place = batch.firstPosition(from: sequence)
            guard place < batch.count else { continue }
            guard batch.sequence(at: place) == sequence else { return nil }
            return RecordProof(
                segment.header, offset: position + UInt64(batch.offsets[place]), Array(batch[place].encoded))
        }
        if walker.stop == .damage { throw walker.holeError(segment.path) }
        return nil
    }

    /// Makes the record with this sequence and all before it durable, whatever the writer's settings say. For any thread.
    package func synchronize(through sequence: SequenceNumber) throws(EventStoreError) {
        if catalog.durableSequence >= sequence { return }
        // Sealed segments are durable, and fdatasync is for the file, whichever descriptor asks for it.
        guard let segment = catalog.segment(holding: sequence), !segment.isSealed else { return }
        try storage.open(segment.path, .readWrite).synchronize()
    }

    /// Whether a state was made of this log's records. Reads the state's header and one record, never the whole log.
    package func fit(of checkpoint: Checkpoint) throws(EventStoreError) -> StateFit {
        let (id, lastDropped) = catalog.update { ($0.logID, $0.lastDropped) }
        let last = lastSequence
        // Whoever finds a state and no record has lost the log, whichever it was.
        if last == .origin { return .ahead }
        if let proof = checkpoint.proof, proof.logID != id {
            return .foreign("it belongs to the log \(proof.logID)")
        }
        if checkpoint.sequence > last { return .ahead }
        if checkpoint.sequence < lastDropped { return .behind }
        // Its record went with the last segment that was dropped; only the identity is left to compare.
        if checkpoint.sequence == lastDropped { return .fits }
        guard let proof = checkpoint.proof else {
            if lastDropped == .origin { return .unproven }
            return try fit(checkpoint.sequence, checkpoint.recordedAt)
        }
        if try self.proof(of: checkpoint.sequence) == proof { return .fits }
        return .foreign("record \(checkpoint.sequence) of this log is another one")
    }

    /// Whether digests that name a record by its place and its time are of this log.
    package func fit(of rung: LadderRung) throws(EventStoreError) -> StateFit {
        if rung.sequence > lastSequence { return .ahead }
        if rung.sequence <= catalog.update({ $0.lastDropped }) { return .behind }
        return try fit(rung.sequence, rung.recordedAt)
    }

    private func fit(_ sequence: SequenceNumber, _ recordedAt: Timestamp) throws(EventStoreError) -> StateFit {
        if try frame(at: sequence)?.recordedAt == recordedAt { return .fits }
        return .foreign("record \(sequence) of this log is another one")
    }
}

extension RecordProof {
    private static let domain = Array("latticeforge-record-1".utf8)

    fileprivate init(_ header: SegmentHeader, offset: UInt64, _ frame: [UInt8]) {
        var content = ByteWriter()
        content.put(Self.domain)
        content.put(header.encoded())
        content.put(offset)
        var hash = RunningHash()
        hash.update(content.bytes.span)
        hash.update(frame.span)
        self.init(logID: header.logID, hash: hash.finish())
    }
}
