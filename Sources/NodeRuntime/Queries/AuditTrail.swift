// The audit trail, read back from the log: a page at a time, beside the writer or without a node.

package import EventModel
package import EventStore

/// Finds administrative events in a log.
package struct AuditTrail: Sendable {
    private let reader: LogReader
    /// Entries of one page, where the asker names no limit.
    private static let entriesStandard = 1_000
    private static let entriesMaximum = 10_000
    /// Bytes of one page, about: less than a message may have.
    private static let bytesMaximum = 512 << 10
    /// Records that one page looks at. Not a time: the same question has the same answer on every machine.
    private static let recordsMaximum: UInt64 = 4_000_000

    package init(reader: LogReader) { self.reader = reader }

    /// One page of the trail as it is after a record.
    ///
    /// - Throws: `.gone` where the question begins before the first record that is kept.
    package func answer(_ query: AuditQuery, asOf: AsOf) throws(EventStoreError) -> AuditAnswer {
        var page = Page(answer: AuditAnswer(asOf: asOf), query: query)
        page.limit = query.limit == 0 ? Self.entriesStandard : Int(min(query.limit, UInt32(Self.entriesMaximum)))
        let last = query.lastSequence == .origin ? asOf.sequence : min(query.lastSequence, asOf.sequence)
        guard let first = try firstSequence(query), first <= last else { return page.answer }
        var seen: UInt64 = 0
        var cursor = try reader.frames(from: first, through: last)
        while let batch = try cursor.nextBatch() {
            for frame in batch where EventType(rawValue: frame.eventType)?.isAdministrative == true {
                if !page.take(EventRecord(frame)) { return page.answer }
            }
            seen += UInt64(batch.count)
            if seen >= Self.recordsMaximum, let end = batch.lastSequence, end < last {
                page.answer.nextSequence = end.next
                return page.answer
            }
        }
        return page.answer
    }

    /// Where the search begins; nil: nothing is as late as that.
    private func firstSequence(_ query: AuditQuery) throws(EventStoreError) -> SequenceNumber? {
        var first = query.sequence == .origin ? reader.firstRetained : query.sequence
        if query.startTime != .zero {
            guard let reached = try reader.firstSequence(atOrAfter: query.startTime) else { return nil }
            first = max(first, reached)
        }
        return first
    }

    private struct Page {
        var answer: AuditAnswer
        let query: AuditQuery
        var limit = 0
        private var byteCount = 0

        init(answer: AuditAnswer, query: AuditQuery) {
            self.answer = answer
            self.query = query
        }

        /// Takes what a record has; false where the page is full, which then says where to go on.
        mutating func take(_ record: EventRecord) -> Bool {
            for entry in record.auditEntries where query.admits(entry) {
                if entry.sequence == query.sequence && entry.index < query.index { continue }
                if answer.entries.count >= limit || byteCount + entry.byteCount > AuditTrail.bytesMaximum {
                    answer.nextSequence = entry.sequence
                    answer.nextIndex = entry.index
                    return false
                }
                answer.entries.append(entry)
                byteCount += entry.byteCount
            }
            return true
        }
    }
}
