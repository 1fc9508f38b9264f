// Whether a log that was walked through is the one that heads kept elsewhere were made of.

package import EventModel

/// What a walk through the log knows of one segment.
package struct VerifiedSegment: Hashable, Sendable {
    package var path: String
    package var firstSequence: SequenceNumber
    package var byteCount: UInt64
    /// Of the whole file; nil while it is not sealed.
    package var hash: SegmentHash?
    /// Of the segment before.
    package var predecessorHash: SegmentHash
}

/// What heads kept elsewhere say of a log.
package struct AnchorReport: Hashable, Sendable {
    /// A head that the log contradicts.
    package struct Contradiction: Hashable, Sendable {
        package var sequence: SequenceNumber
        /// One clause for the operator.
        package var detail: String
    }

    /// Heads that the log agrees with.
    package var confirmed: [SegmentHead] = []
    /// Heads of records that retention has dropped.
    package var behindHorizon = 0
    /// Heads of other logs.
    package var foreign = 0
    package var contradictions: [Contradiction] = []

    /// The last sequence that is surely what it was; nil: none is.
    package var anchoredSequence: SequenceNumber? {
        contradictions.isEmpty ? confirmed.map(\.sequence).max() : nil
    }
}

extension VerificationReport {
    /// Holds the log against heads whose signatures were checked before. Reads unsealed heads' bytes anew.
    package func check(
        _ heads: [SegmentHead], _ storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) -> AnchorReport {
        var report = AnchorReport()
        for head in heads {
            guard head.logID == logID.description else {
                report.foreign += 1
                continue
            }
            // Of the last segment that was dropped the whole file's hash is known, and nothing else.
            if let dropped = lastDropped, head.sequence < dropped || (head.sequence == dropped && !head.isSealed) {
                report.behindHorizon += 1
            } else if let detail = try contradiction(head, storage) {
                report.contradictions.append(.init(sequence: head.sequence, detail: detail))
            } else {
                report.confirmed.append(head)
            }
        }
        return report
    }

    /// Nil: the log agrees.
    private func contradiction(
        _ head: SegmentHead, _ storage: any LogStorage
    ) throws(EventStoreError) -> String? {
        if let lastDropped, let horizonHash, head.sequence == lastDropped {
            return head.hash == horizonHash.description
                ? nil : "the segment that retention dropped last had another hash"
        }
        guard let lastSequence, head.sequence <= lastSequence else {
            return "the log ends at \(lastSequence ?? .origin): records are missing"
        }
        guard let segment = segments.first(where: { $0.firstSequence == head.firstSequence }) else {
            return "no segment begins at \(head.firstSequence): the log was written anew"
        }
        guard segment.predecessorHash.description == head.predecessorHash else {
            return "what comes before the segment at \(head.firstSequence) is not what it was"
        }
        guard try hash(of: segment, upTo: head.byteCount, storage)?.description == head.hash else {
            return "the segment at \(head.firstSequence) is not what it was"
        }
        return nil
    }

    private func hash(
        of segment: VerifiedSegment, upTo byteCount: UInt64, _ storage: any LogStorage
    ) throws(EventStoreError) -> SegmentHash? {
        if byteCount == segment.byteCount, let hash = segment.hash { return hash }
        guard byteCount <= segment.byteCount else { return nil }
        return try SegmentHash.of(try storage.open(segment.path, .read), upTo: byteCount)
    }
}
