// Reads the log by sequence and by time, beside the writer or without one.

package import EventModel

/// Any number of readers, in any process; they take no lock and never see a record that was not committed by the
/// writer of their own process. In another process they see what was written when they were opened or refreshed.
package struct LogReader: Sendable {
    let catalog: SegmentCatalog
    let storage: any LogStorage
    private let directory: String?

    init(catalog: SegmentCatalog, storage: any LogStorage) {
        self.catalog = catalog
        self.storage = storage
        directory = nil
    }

    private init(catalog: SegmentCatalog, storage: any LogStorage, directory: String) {
        self.catalog = catalog
        self.storage = storage
        self.directory = directory
    }

    /// Opens the log of a directory for reading. Sealed segments are not scanned. Throws `.notFound` without a log.
    package static func open(
        directory: String, storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) -> LogReader {
        LogReader(
            catalog: SegmentCatalog(try look(directory, storage)), storage: storage, directory: directory)
    }

    /// Looks for records that a writer in another process has written since. Scans the unsealed segment.
    package func refresh() throws(EventStoreError) {
        guard let directory else { return }
        let state = try Self.look(directory, storage)
        catalog.update { $0 = state }
    }

    private static func look(
        _ directory: String, _ storage: any LogStorage
    ) throws(EventStoreError) -> SegmentCatalog.State {
        try RepairJournal.requireNone(directory, storage)
        guard let inventory = try SegmentInventory.take(directory, storage) else {
            throw EventStoreError(.notFound, path: directory, detail: "there is no log")
        }
        var state = SegmentCatalog.State()
        state.logID = inventory.manifest.logID
        state.lastDropped = inventory.manifest.horizon?.lastDropped ?? .origin
        state.durableSequence = state.lastDropped
        for found in inventory.segments {
            if let sealed = CatalogSegment(sealed: found) {
                state.segments.append(sealed)
                state.durableSequence = sealed.figures.lastSequence
            } else if let header = found.header {
                let scan = try SegmentScan.runBesideWriter(found, header).scan
                if let durable = scan.durableSequence { state.durableSequence = durable }
                if scan.tracker.figures.frameCount == 0 { continue }
                state.segments.append(
                    CatalogSegment(
                        path: found.path, header: header, figures: scan.tracker.figures, framesEnd: scan.end,
                        fileByteCount: scan.end, summary: nil, index: scan.tracker.index))
            } else {
                try requireTorn(found, after: state.segments.last?.figures.lastSequence ?? state.lastDropped)
            }
        }
        return state
    }

    /// A segment without an intact header has no record that was durable, or there is a hole.
    private static func requireTorn(_ found: FoundSegment, after last: SequenceNumber) throws(EventStoreError) {
        if try TailExamination.examine(found.file, damageAt: 0, after: last).isHole {
            throw found.hole("the segment's header is damaged")
        }
    }

    /// The first record there is, or would be.
    package var firstRetained: SequenceNumber { catalog.firstRetained }
    /// The last record that may be read; `.origin` if there is none.
    package var lastSequence: SequenceNumber { catalog.lastSequence }
    /// The last record known to be durable.
    package var lastDurableSequence: SequenceNumber { catalog.durableSequence }

    /// The records from one sequence through another, both included, as far as they exist.
    ///
    /// Throws `.gone` if `first` is behind the horizon; `.origin` means the first record there is.
    package func frames(
        from first: SequenceNumber = .origin, through last: SequenceNumber = .end
    ) throws(EventStoreError) -> FrameCursor {
        try catalog.requireRetained(first)
        return FrameCursor(catalog: catalog, storage: storage, from: first, through: last)
    }

    /// The record with this sequence; nil if there is none. Throws `.gone` behind the horizon.
    package func frame(at sequence: SequenceNumber) throws(EventStoreError) -> Frame? {
        var cursor = try frames(from: sequence, through: sequence)
        return try cursor.nextBatch()?.first
    }

    /// The first record at which the log had reached `time`: whose running maximum of `recordedAt`, its own included,
    /// is `time` or later. Nil if the log has not reached it. In core mode `recordedAt` may go back between records;
    /// the running maximum never does.
    package func firstSequence(atOrAfter time: Timestamp) throws(EventStoreError) -> SequenceNumber? {
        try search(time).reached
    }

    /// The last record before the log had passed `time`: whose running maximum of `recordedAt` is `time` or earlier.
    /// Nil if the first record there is came later.
    package func lastSequence(atOrBefore time: Timestamp) throws(EventStoreError) -> SequenceNumber? {
        if time.rawValue == .max { return lastSequence == .origin ? nil : lastSequence }
        return try search(Timestamp(nanoseconds: time.rawValue + 1)).before
    }

    /// The first record that reaches a time, and the one before it.
    private func search(
        _ time: Timestamp
    ) throws(EventStoreError) -> (before: SequenceNumber?, reached: SequenceNumber?) {
        guard let segment = catalog.segment(reaching: time) else {
            return (lastSequence > catalog.update { $0.lastDropped } ? lastSequence : nil, nil)
        }
        let file = try storage.open(segment.path, .read)
        let index = try segment.loadIndex(file)
        let entry = index.last { $0.runningMaximum < time }
        var before: SequenceNumber? = segment.header.previousSequence
        if before == .origin || segment.firstSequence == catalog.firstRetained { before = nil }
        var maximum = entry?.runningMaximum ?? segment.header.runningMaximumBefore
        var cursor = FrameCursor(
            catalog: catalog, storage: storage, from: entry?.sequence ?? segment.firstSequence,
            through: segment.figures.lastSequence)
        while let batch = try cursor.nextBatch() {
            for position in 0..<batch.count {
                maximum = max(maximum, batch.recordedAt(at: position))
                if maximum >= time { return (before, batch.sequence(at: position)) }
                before = batch.sequence(at: position)
            }
        }
        return (before, nil)
    }
}
