// The log's single writer.

package import EventModel

/// An append-only, group-committed, hash-chained log of records in one directory.
///
/// Used from one thread or actor at a time; `reader` may be handed to any number of others. `append` writes, `commit`
/// makes durable as the settings demand and shows the records to readers: acknowledge after `commit` only.
///
/// After an error other than `.diskFull`, `.notAscending`, `.frameTooLarge` and `.sourceMismatch` the writer is
/// poisoned: every later call throws, and the log must be opened anew.
package final class EventLog {
    /// The directory.
    package let directory: String
    let storage: any LogStorage
    let options: EventLogOptions
    let catalog: SegmentCatalog
    private let lock: any LogLock
    private let heldDirectory: (any LogFile)?
    var manifest: Manifest
    var manifestIsStale = false
    var active: SegmentWriter?
    /// How far readers have been shown the active segment's index.
    private var publishedIndexCount = 0
    private var sealedHash: SealedHash
    /// The segment that was sealed last, until somebody takes it.
    private var sealedPoint: AnchorPoint?
    private var health: EventStoreError.Code?
    private var lastSynchronizedAt: UInt64
    private(set) var lastFrameOrNil: LastFrame?
    var syncLatency = LatencyFigures()

    /// The last sequence appended; `.origin` if there is none.
    package private(set) var lastSequence: SequenceNumber
    /// The last sequence known to be durable.
    package private(set) var lastDurableSequence: SequenceNumber
    /// The largest `recordedAt` of the log.
    private var runningMaximum: Timestamp

    init(_ start: EventLogStart) {
        directory = start.directory
        storage = start.storage
        options = start.options
        lock = start.lock
        heldDirectory = start.heldDirectory
        manifest = start.manifest
        active = start.active
        catalog = SegmentCatalog(start.catalog)
        publishedIndexCount = start.active?.tracker.index.count ?? 0
        sealedHash = start.sealedHash
        let figures = start.catalog.segments.last?.figures
        lastSequence = figures?.lastSequence ?? start.catalog.lastDropped
        lastDurableSequence = lastSequence
        runningMaximum = figures?.runningMaximum ?? Timestamp(nanoseconds: .min)
        lastFrameOrNil = figures.map {
            LastFrame(sequence: $0.lastSequence, recordedAt: $0.lastRecordedAt, sourceHash: $0.lastSourceHash)
        }
        lastSynchronizedAt = start.storage.monotonicNanoseconds()
    }

    /// The last record's place, time and fingerprint; nil if the log is empty. Known after reopening too.
    package var lastFrame: LastFrame? { lastFrameOrNil }

    /// Reads what has been committed, from any thread, while this writer goes on.
    package var reader: LogReader { LogReader(catalog: catalog, storage: storage) }

    /// Appends a batch, whole or not at all. Throws `.diskFull` (the log can be used on), `.notAscending`, or what
    /// poisons the writer.
    package func append(_ batch: FrameBatch) throws(EventStoreError) {
        try requireHealth()
        guard let first = batch.firstSequence, let last = batch.lastSequence else { return }
        guard first > lastSequence else { throw EventStoreError(.notAscending(last: lastSequence), path: directory) }
        if !batch.isContiguous { return try append(batch.compacted()) }
        let time = batch.recordedAt(at: batch.count - 1)
        let sourceHash = batch[batch.count - 1].sourceHash
        try poisoning { () throws(EventStoreError) in
            try prepareSegment(first: first, at: batch.recordedAt(at: 0), byteCount: UInt64(batch.byteCount))
            try active?.append(batch)
        }
        lastSequence = last
        lastFrameOrNil = LastFrame(sequence: last, recordedAt: time, sourceHash: sourceHash)
        runningMaximum = active?.figures.runningMaximum ?? runningMaximum
    }

    /// Ends a group: makes it durable if the settings say so, and shows it to readers.
    package func commit() throws(EventStoreError) {
        try requireHealth()
        switch options.durability {
        case .always: return try synchronize()
        case .interval(let interval):
            let elapsed = storage.monotonicNanoseconds() &- lastSynchronizedAt
            if elapsed >= UInt64(max(0, interval.rawValue)) { return try synchronize() }
        case .never: break
        }
        publish()
    }

    /// Makes everything appended durable, whatever the settings say, and shows it to readers.
    package func synchronize() throws(EventStoreError) {
        try requireHealth()
        if let active, !active.isDurable {
            let start = storage.monotonicNanoseconds()
            try poisoning { () throws(EventStoreError) in try self.active?.synchronize() }
            syncLatency.note(storage.monotonicNanoseconds() &- start)
        }
        lastSynchronizedAt = storage.monotonicNanoseconds()
        lastDurableSequence = lastSequence
        publish()
    }

    /// Makes everything durable and gives the directory back. The log cannot be used afterwards.
    package func close() throws(EventStoreError) {
        if health == .closed { return }
        defer {
            health = .closed
            lock.release()
        }
        guard health == nil else { return }
        try synchronize()
        // The last mark has to be durable too, so that damage to the last group cannot pass for a torn tail.
        if let active { try active.file.synchronize() }
    }

    /// Where the records come from; nil until set.
    package var source: LogSource? { manifest.source }

    /// Sets the source once. Throws `.sourceMismatch` for another than the one set.
    package func setSource(_ source: LogSource) throws(EventStoreError) {
        try requireHealth()
        if manifest.source == source { return }
        guard manifest.source == nil else {
            throw EventStoreError(
                .sourceMismatch, path: directory, detail: "the log comes from \(manifest.source!), not from \(source)")
        }
        try changeManifest { $0.source = source }
    }

    /// The subject prefix the log belongs to; nil until set.
    package var prefix: String? { manifest.prefix }

    /// Sets the prefix for good; a log without records may change it. Throws `.prefixMismatch` for another than the one
    /// set.
    package func setPrefix(_ prefix: String) throws(EventStoreError) {
        try requireHealth()
        if manifest.prefix == prefix { return }
        try requirePrefix(prefix)
        try changeManifest { $0.prefix = prefix }
    }

    /// Throws `.prefixMismatch` if the log's records are those of another prefix.
    package func requirePrefix(_ prefix: String) throws(EventStoreError) {
        guard let own = manifest.prefix, own != prefix, lastSequence > .origin else { return }
        throw EventStoreError(
            .prefixMismatch, path: directory, detail: "the log is the one of the prefix '\(own)', not of '\(prefix)'")
    }

    /// The identity of this log.
    package var id: LogID { manifest.logID }

    /// Throws `.removed` if the directory, its lock or the open segment is no longer found where this writer opened it:
    /// what it would acknowledge from now on would be lost. A few calls of stat(2).
    package func requirePresence() throws(EventStoreError) {
        try requireHealth()
        var gone: String?
        let lockPath = directory + "/" + FileName.lock
        if let heldDirectory, try !heldDirectory.isAt(directory) { gone = directory }
        if gone == nil, try !lock.isAt(lockPath) { gone = lockPath }
        if gone == nil, let active, try !active.file.isAt(active.path) { gone = active.path }
        guard let gone else { return }
        health = .removed
        throw EventStoreError(
            .removed, path: gone, operation: "stat",
            detail: "it is no longer what this process has open: what is acknowledged from now on would be lost")
    }

    func requireHealth() throws(EventStoreError) {
        if let health { throw EventStoreError(health, path: directory) }
    }

    /// Runs an operation; an error that leaves the disk's content in doubt poisons the writer.
    func poisoning(_ operation: () throws(EventStoreError) -> Void) throws(EventStoreError) {
        do throws(EventStoreError) {
            try operation()
        } catch {
            if error.code != .diskFull { health = .poisoned }
            throw error
        }
    }

    /// Changes the manifest on disk, or not at all.
    func changeManifest(_ change: (inout Manifest) -> Void) throws(EventStoreError) {
        var changed = manifest
        change(&changed)
        try poisoning { () throws(EventStoreError) in try writeManifest(changed) }
        manifest = changed
    }

    private func writeManifest(_ manifest: Manifest) throws(EventStoreError) {
        try storage.replaceAtomically(
            directory + "/" + FileName.manifest, in: directory, with: manifest.encoded())
        manifestIsStale = false
    }

    // MARK: Segments

    /// Seals the active segment if the batch does not belong into it, and creates one if there is none.
    private func prepareSegment(first: SequenceNumber, at time: Timestamp, byteCount: UInt64) throws(EventStoreError) {
        if let active, !active.isEmpty {
            let isFull = active.end + byteCount > options.segmentByteLimit
            let age = time - active.figures.firstRecordedAt
            let isOld = options.segmentAgeLimit.map { age >= $0 } ?? false
            if isFull || isOld { try seal() }
        }
        if let active, active.isEmpty, active.header.firstSequence != first { try discardEmptySegment() }
        if active == nil { try createSegment(first) }
        if manifestIsStale { try writeManifest(manifest) }
    }

    private func seal() throws(EventStoreError) {
        guard var writer = active else { return }
        let predecessorHash = try sealedHash.wait()
        let summary: SegmentSummary
        do throws(EventStoreError) {
            summary = try writer.seal(predecessorHash: predecessorHash)
        } catch {
            active = writer
            throw error
        }
        active = nil
        publishedIndexCount = 0
        manifestIsStale = true
        lastDurableSequence = lastSequence
        lastSynchronizedAt = storage.monotonicNanoseconds()
        if !manifest.sealed.isEmpty { manifest.sealed[manifest.sealed.count - 1].hash = predecessorHash }
        manifest.sealed.append(
            SealedSegment(
                firstSequence: summary.figures.firstSequence, lastSequence: summary.figures.lastSequence,
                fileByteCount: writer.end, hash: nil))
        manifest.active = nil
        sealedHash = SealedHash(hashing: writer.file, inBackground: options.hashesInBackground)
        sealedPoint = AnchorPoint(
            logID: manifest.logID, path: writer.path, firstSequence: summary.figures.firstSequence,
            sequence: summary.figures.lastSequence, byteCount: writer.end, predecessorHash: predecessorHash,
            isSealed: true)
        show(writer, summary)
    }

    /// The end of the segment that was sealed since the last call, if one was.
    package func takeSealedPoint() -> AnchorPoint? {
        defer { sealedPoint = nil }
        return sealedPoint
    }

    private func createSegment(_ first: SequenceNumber) throws(EventStoreError) {
        let header = SegmentHeader(
            logID: manifest.logID, firstSequence: first, createdAt: storage.now(), previousSequence: lastSequence,
            runningMaximumBefore: runningMaximum)
        let writer = try SegmentWriter.create(header, in: directory, storage, indexStride: options.indexStrideBytes)
        active = writer
        manifest.active = first
        manifestIsStale = true
        // The file's name must be durable before the manifest, which says that a missing file is a loss.
        try storage.synchronizeDirectory(directory)
    }

    /// Gives up a segment that a failed append had left without a frame.
    private func discardEmptySegment() throws(EventStoreError) {
        guard let writer = active else { return }
        var changed = manifest
        changed.active = nil
        try writeManifest(changed)
        manifest = changed
        active = nil
        try storage.remove(writer.path)
    }

    // MARK: Readers

    /// Shows readers everything appended so far.
    private func publish() {
        if let active, !active.isEmpty { show(active, nil) }
    }

    private func show(_ writer: SegmentWriter, _ summary: SegmentSummary?) {
        let newEntries = summary == nil ? Array(writer.tracker.index[publishedIndexCount...]) : []
        if summary == nil { publishedIndexCount = writer.tracker.index.count }
        let durable = lastDurableSequence
        let segment = CatalogSegment(
            path: writer.path, header: writer.header, figures: writer.figures,
            framesEnd: summary?.framesEnd ?? writer.end, fileByteCount: writer.end, summary: summary, index: newEntries)
        catalog.update { state in
            state.durableSequence = durable
            if let last = state.segments.indices.last, state.segments[last].firstSequence == segment.firstSequence {
                state.segments[last].figures = segment.figures
                state.segments[last].framesEnd = segment.framesEnd
                state.segments[last].fileByteCount = segment.fileByteCount
                state.segments[last].summary = summary
                if summary == nil { state.segments[last].index += newEntries } else { state.segments[last].index = [] }
            } else {
                state.segments.append(segment)
            }
        }
    }

    /// The hash of the newest sealed segment, or of what the horizon cut off. Waits until it is known.
    func newestSealedHash() throws(EventStoreError) -> SegmentHash { try sealedHash.wait() }
}

/// The hash the next sealed segment will name: known, or being computed.
enum SealedHash {
    case known(SegmentHash)
    case background(BackgroundHash)
    case onDemand(any LogFile)

    init(hashing file: any LogFile, inBackground: Bool) {
        self = inBackground ? .background(BackgroundHash(file)) : .onDemand(file)
    }

    /// Waits until the hash is known, or computes it.
    mutating func wait() throws(EventStoreError) -> SegmentHash {
        let hash: SegmentHash
        switch self {
        case .known(let known): return known
        case .background(let work): hash = try work.wait()
        case .onDemand(let file): hash = try SegmentHash.of(file)
        }
        self = .known(hash)
        return hash
    }
}
