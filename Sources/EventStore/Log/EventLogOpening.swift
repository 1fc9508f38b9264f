// Opening a log: lock, inventory, recovery of the one segment that was being written.

import EventModel

/// What a writer begins with.
struct EventLogStart {
    var directory: String
    var storage: any LogStorage
    var options: EventLogOptions
    var lock: any LogLock
    var manifest: Manifest
    var active: SegmentWriter?
    var catalog: SegmentCatalog.State
    var sealedHash: SealedHash
    /// The directory itself, where the storage can hold one.
    var heldDirectory: (any LogFile)?
}

extension EventLog {
    /// Opens the log of a directory for writing, or makes a new one if the directory is empty or missing.
    ///
    /// Takes time for the unsealed segment only. Throws `.locked`, `.hole`, `.manifestDamaged`, `.formatUnknown` or
    /// an operating failure.
    package static func open(
        directory: String, options: EventLogOptions = EventLogOptions(), storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) -> (log: EventLog, report: RecoveryReport) {
        try storage.createDirectory(directory)
        let lock = try storage.lock(directory + "/" + FileName.lock)
        do throws(EventStoreError) {
            var recovery = LogRecovery(directory: directory, storage: storage, options: options, lock: lock)
            var start = try recovery.run()
            start.heldDirectory = try storage.hold(directory)
            return (EventLog(start), recovery.report)
        } catch {
            lock.release()
            throw error
        }
    }
}

/// Brings a directory into a state a writer can go on from.
struct LogRecovery {
    let directory: String
    let storage: any LogStorage
    let options: EventLogOptions
    let lock: any LogLock
    private(set) var report = RecoveryReport()

    init(directory: String, storage: any LogStorage, options: EventLogOptions, lock: any LogLock) {
        self.directory = directory
        self.storage = storage
        self.options = options
        self.lock = lock
    }

    mutating func run() throws(EventStoreError) -> EventLogStart {
        if !options.isRepair { try RepairJournal.requireNone(directory, storage) }
        try removeTemporaries()
        guard let inventory = try SegmentInventory.take(directory, storage) else { return try makeNew() }
        for path in inventory.leftovers { try remove(path) }
        // What an earlier process did to the directory may not be durable yet.
        try storage.synchronizeDirectory(directory)
        var start = try makeStart(inventory)
        try recoverLast(inventory.segments.last, &start)
        try bringManifestUpToDate(inventory, &start)
        report.lastSequence = start.catalog.segments.last?.figures.lastSequence ?? start.catalog.lastDropped
        start.catalog.durableSequence = report.lastSequence
        return start
    }

    private mutating func removeTemporaries() throws(EventStoreError) {
        report.removedFiles += try storage.removeTemporaries(in: directory)
    }

    private mutating func remove(_ path: String) throws(EventStoreError) {
        try storage.remove(path)
        report.removedFiles.append(path)
    }

    private mutating func makeNew() throws(EventStoreError) -> EventLogStart {
        let manifest = Manifest(logID: options.newLogID ?? LogID.random())
        try writeManifest(manifest)
        report.isNew = true
        return EventLogStart(
            directory: directory, storage: storage, options: options, lock: lock, manifest: manifest, active: nil,
            catalog: SegmentCatalog.State(logID: manifest.logID), sealedHash: .known(.zero))
    }

    private func writeManifest(_ manifest: Manifest) throws(EventStoreError) {
        try storage.replaceAtomically(directory + "/" + FileName.manifest, in: directory, with: manifest.encoded())
    }

    private func makeStart(_ inventory: SegmentInventory) throws(EventStoreError) -> EventLogStart {
        var state = SegmentCatalog.State(logID: inventory.manifest.logID)
        state.lastDropped = inventory.manifest.horizon?.lastDropped ?? .origin
        for segment in inventory.segments {
            if let sealed = CatalogSegment(sealed: segment) { state.segments.append(sealed) }
        }
        return EventLogStart(
            directory: directory, storage: storage, options: options, lock: lock, manifest: inventory.manifest,
            active: nil, catalog: state, sealedHash: try sealedHash(inventory))
    }

    private func sealedHash(_ inventory: SegmentInventory) throws(EventStoreError) -> SealedHash {
        guard let newest = inventory.segments.last(where: { $0.summary != nil }) else {
            return .known(inventory.manifest.horizon?.chainHash ?? .zero)
        }
        return SealedHash(hashing: newest.file, inBackground: options.hashesInBackground)
    }

    /// Scans the last segment if it is not sealed, cuts off a torn tail, and makes what is left durable.
    private mutating func recoverLast(_ found: FoundSegment?, _ start: inout EventLogStart) throws(EventStoreError) {
        guard let found else { return }
        let file = try storage.open(found.path, .readWrite)
        if let summary = found.summary {
            // A seal the manifest does not know may never have reached the disk.
            let isListed = start.manifest.sealed.contains { $0.firstSequence == found.firstSequence }
            if !isListed { try rewrite(file, from: summary.framesEnd, to: found.fileByteCount) }
            return
        }
        let previous = start.catalog.segments.last?.figures.lastSequence ?? start.catalog.lastDropped
        guard let header = found.header else {
            return try giveUp(found, file, damageAt: 0, after: previous, &start)
        }
        let scan = try SegmentScan.run(file, header, options.indexStrideBytes)
        report.scannedByteCount = scan.end
        guard scan.tracker.figures.frameCount > 0 else {
            return try giveUp(found, file, damageAt: scan.end, after: previous, &start)
        }
        let last = scan.tracker.figures.lastSequence
        if scan.end < found.fileByteCount { try cut(found, file, at: scan.end, after: last) }
        try rewrite(file, from: scan.durableOffset, to: scan.end)
        var writer = SegmentWriter(
            resuming: found.path, file, header, scan.tracker, end: scan.end, indexStride: options.indexStrideBytes)
        if scan.durableOffset < scan.end { try writer.mark() }
        start.active = writer
        start.catalog.segments.append(
            CatalogSegment(
                path: found.path, header: header, figures: scan.tracker.figures, framesEnd: writer.end,
                fileByteCount: writer.end, summary: nil, index: scan.tracker.index))
    }

    /// Cuts off what a crash has left; throws `.hole` if it was durable.
    private mutating func cut(
        _ found: FoundSegment, _ file: any LogFile, at offset: UInt64, after last: SequenceNumber
    ) throws(EventStoreError) {
        let tail = try TailExamination.examine(file, damageAt: offset, after: last)
        if tail.isHole {
            throw EventStoreError(
                .hole, path: found.path, offset: offset, afterSequence: last,
                detail: "damaged bytes that had been durable")
        }
        try file.truncate(to: offset)
        report.tornTail = TornTail(
            path: found.path, offset: offset, byteCount: tail.byteCount, discardedFrameCount: tail.intactFrameCount)
    }

    /// Removes a segment that a crash has left without an intact frame.
    private mutating func giveUp(
        _ found: FoundSegment, _ file: any LogFile, damageAt offset: UInt64, after last: SequenceNumber,
        _ start: inout EventLogStart
    ) throws(EventStoreError) {
        if offset < found.fileByteCount { try cut(found, file, at: offset, after: last) }
        start.manifest.active = nil
        // First the manifest, which says that a missing file is a loss; then the file.
        try writeManifest(start.manifest)
        try remove(found.path)
        try storage.synchronizeDirectory(directory)
    }

    /// Writes bytes again that no mark proves durable, and waits for them.
    ///
    /// After a failed fdatasync the kernel may hold pages as clean that never reached the disk; an fdatasync of today
    /// would say nothing of them.
    private func rewrite(_ file: any LogFile, from start: UInt64, to end: UInt64) throws(EventStoreError) {
        var offset = start
        while offset < end {
            let bytes = try file.read(at: offset, count: Int(min(UInt64(SegmentWalker.chunkByteCount), end - offset)))
            try file.writeAll(bytes.span, at: offset)
            offset += UInt64(bytes.count)
        }
        try file.synchronize()
    }

    private func bringManifestUpToDate(
        _ inventory: SegmentInventory, _ start: inout EventLogStart
    ) throws(EventStoreError) {
        var manifest = start.manifest
        for (position, segment) in inventory.segments.enumerated() {
            guard let summary = segment.summary else { continue }
            if position > 0 { manifest.sealed[position - 1].hash = summary.predecessorHash }
            if position < manifest.sealed.count { continue }
            manifest.sealed.append(
                SealedSegment(
                    firstSequence: summary.figures.firstSequence, lastSequence: summary.figures.lastSequence,
                    fileByteCount: segment.fileByteCount, hash: nil))
        }
        manifest.active = start.active?.header.firstSequence
        guard manifest != start.manifest else { return }
        try writeManifest(manifest)
        start.manifest = manifest
    }
}

extension CatalogSegment {
    /// Nil if the segment is not sealed.
    init?(sealed found: FoundSegment) {
        guard let header = found.header, let summary = found.summary else { return nil }
        self.init(
            path: found.path, header: header, figures: summary.figures, framesEnd: summary.framesEnd,
            fileByteCount: found.fileByteCount, summary: summary)
    }
}
