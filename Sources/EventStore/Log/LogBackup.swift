// A copy of a log and its checkpoints beside the writer: same identity, same segments, same chain of hashes.

package import EventModel

/// What a backup has copied.
package struct BackupReport: Hashable, Sendable {
    package var logID: LogID
    package var segmentCount = 0
    package var byteCount: UInt64 = 0
    /// The last record in the copy.
    package var lastSequence = SequenceNumber.origin
    package var checkpoints: [SequenceNumber] = []
}

/// Copies a directory that a node may be writing to.
package struct LogBackup {
    private let directory: String
    private let target: String
    private let storage: any LogStorage

    /// A backup of `directory` into `target`, which must be empty or missing.
    package init(of directory: String, into target: String, storage: any LogStorage = PosixStorage()) {
        self.directory = directory
        self.target = target
        self.storage = storage
    }

    /// Copies and makes durable. `progress` is told bytes done and bytes in all.
    ///
    /// The copy ends at a record that was whole when its segment was looked at; sealed segments are copied as they are,
    /// the unsealed one up to there. Retention may drop a segment meanwhile: then it begins anew, three times at most.
    /// Throws `.notEmpty`, `.notFound`, `.hole`, or what the disk says.
    package func run(progress: (UInt64, UInt64) -> Void = { _, _ in }) throws(EventStoreError) -> BackupReport {
        guard try storage.fileNames(in: target).isEmpty else { throw EventStoreError(.notEmpty, path: target) }
        try storage.createDirectory(target)
        try storage.createDirectory(target + "/checkpoints")
        var attempt = 0
        while true {
            do throws(EventStoreError) {
                return try attemptCopy(progress)
            } catch {
                attempt += 1
                guard error.code == .notFound || error.code == .hole, attempt < 3, try removeCopies() else {
                    throw error
                }
            }
        }
    }

    private func attemptCopy(_ progress: (UInt64, UInt64) -> Void) throws(EventStoreError) -> BackupReport {
        // Those that are there before the log is looked at are true for records that the copy will have.
        try copyCheckpoints(through: .end)
        try RepairJournal.requireNone(directory, storage)
        guard var inventory = try SegmentInventory.take(directory, storage) else {
            throw EventStoreError(.notFound, path: directory, detail: "there is no log")
        }
        let total = inventory.segments.reduce(0) { $0 + $1.fileByteCount }
        var report = BackupReport(logID: inventory.manifest.logID)
        report.lastSequence = inventory.manifest.horizon?.lastDropped ?? .origin
        for segment in inventory.segments {
            if let summary = segment.summary {
                try copy(segment.file, FileName.segment(segment.firstSequence), upTo: segment.fileByteCount)
                report.add(segment.fileByteCount, through: summary.figures.lastSequence)
            } else if let (end, last) = try wholeRecords(segment) {
                try copy(segment.file, FileName.segment(segment.firstSequence), upTo: end)
                report.add(end, through: last)
            } else {
                inventory.manifest.active = nil
            }
            progress(report.byteCount, total)
        }
        try storage.replaceAtomically(
            target + "/" + FileName.manifest, in: target, with: inventory.manifest.encoded())
        try copyCheckpoints(through: report.lastSequence)
        // One that is not of these records would only be set aside by whoever starts from the copy.
        let reader = try LogReader.open(directory: target, storage: storage)
        report.checkpoints = try copiedCheckpoints.list(of: reader)
        for sequence in try copiedCheckpoints.list() where !report.checkpoints.contains(sequence) {
            try storage.remove(copiedCheckpoints.directory + "/" + FileName.checkpoint(sequence))
        }
        if let horizon = inventory.manifest.horizon {
            let newest = try copiedCheckpoints.newest(notAfter: report.lastSequence, of: reader).checkpoint
            guard let newest, newest.sequence >= horizon.lastDropped else {
                throw EventStoreError(.notFound, path: directory, detail: "no checkpoint reaches the first kept record")
            }
        }
        // Whoever starts from the copy must not send again what the original sends.
        try DirectiveFence(directory: target, storage: storage).raise(after: report.lastSequence)
        try storage.synchronizeDirectory(target)
        return report
    }

    private var copiedCheckpoints: CheckpointStore {
        CheckpointStore(directory: target + "/" + CheckpointStore.folder, storage: storage)
    }

    /// Where the records of the unsealed segment end; nil where it has none.
    private func wholeRecords(
        _ segment: FoundSegment
    ) throws(EventStoreError) -> (end: UInt64, last: SequenceNumber)? {
        guard let header = segment.header else { return nil }
        let scan = try SegmentScan.runBesideWriter(segment, header).scan
        return scan.tracker.figures.frameCount == 0 ? nil : (scan.end, scan.tracker.figures.lastSequence)
    }

    private func copyCheckpoints(through last: SequenceNumber) throws(EventStoreError) {
        let source = CheckpointStore(directory: directory + "/" + CheckpointStore.folder, storage: storage)
        let known = try copiedCheckpoints.list()
        for sequence in try source.list() where sequence <= last && !known.contains(sequence) {
            do throws(EventStoreError) {
                try copiedCheckpoints.save(try source.load(sequence))
            } catch {
                // One that was removed meanwhile has newer ones; one that cannot be read is none.
                let isNone: [EventStoreError.Code] = [.notFound, .checkpointDamaged, .wrongKindOfFile]
                guard isNone.contains(error.code) else { throw error }
            }
        }
    }

    private func copy(_ file: any LogFile, _ name: String, upTo end: UInt64) throws(EventStoreError) {
        let copy = try storage.open(target + "/" + name, .create)
        var offset: UInt64 = 0
        while offset < end {
            let bytes = try file.read(at: offset, count: Int(min(1 << 20, end - offset)))
            guard !bytes.isEmpty else {
                throw EventStoreError(.hole, path: directory + "/" + name, offset: offset, detail: "it became shorter")
            }
            try copy.writeAll(bytes.span, at: offset)
            offset += UInt64(bytes.count)
        }
        try copy.synchronize()
    }

    /// Removes what an attempt has left.
    private func removeCopies() throws(EventStoreError) -> Bool {
        for folder in [target, target + "/checkpoints"] {
            for name in try storage.fileNames(in: folder) where name != "checkpoints" {
                try storage.remove(folder + "/" + name)
            }
        }
        return true
    }
}

extension BackupReport {
    fileprivate mutating func add(_ bytes: UInt64, through last: SequenceNumber) {
        segmentCount += 1
        byteCount += bytes
        lastSequence = last
    }
}
