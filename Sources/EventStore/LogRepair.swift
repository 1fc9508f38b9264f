// What an engineer may decide about a log that does not open: nothing is deleted, damage is moved aside.

package import EventModel

/// What to keep of a log with a hole.
package enum RepairChoice: Hashable, Sendable {
    /// The records before the first damage. The log is a true, shorter log.
    case beforeHole
    /// Every record that is intact. The log has a hole, and nobody will see it later: only for salvage.
    case everythingIntact
}

/// What a repair did.
package struct RepairReport: Hashable, Sendable {
    /// The first damage: the file and the byte; nil if there was none.
    package var damage: EventStoreError?
    /// The last record before the damage.
    package var lastSequenceBefore = SequenceNumber.origin
    /// Records written again from the files moved aside.
    package var salvagedFrameCount: UInt64 = 0
    /// Intact records behind the damage that only lie in the files moved aside.
    package var droppedFrameCount: UInt64 = 0
    /// The new names of the files moved aside.
    package var movedFiles: [String] = []
    /// Whether the manifest had to be made anew: the source must be set again.
    package var manifestWasRebuilt = false
}

extension EventLog {
    /// Makes a damaged log usable again. The log must not be open.
    ///
    /// The damaged segment and all later ones get names that end in `.damaged`; what the choice keeps of their records
    /// is appended again, and so sealed and chained anew. Needs room for those records.
    package static func repair(
        directory: String, keep choice: RepairChoice, options: EventLogOptions = EventLogOptions(),
        storage: any LogStorage = PosixStorage(), progress: (VerificationProgress) -> Void = { _ in }
    ) throws(EventStoreError) -> RepairReport {
        let lock = try storage.lock(directory + "/" + FileName.lock)
        var repair = LogRepair(directory: directory, storage: storage)
        do throws(EventStoreError) {
            try repair.rebuildManifestIfDamaged()
            guard try repair.moveDamageAside(progress) else {
                lock.release()
                return repair.report
            }
        } catch {
            lock.release()
            throw error
        }
        lock.release()
        let log = try open(directory: directory, options: options, storage: storage).log
        try repair.salvage(into: log, choice, progress)
        try log.close()
        return repair.report
    }
}

/// A repair under way.
struct LogRepair {
    let directory: String
    let storage: any LogStorage
    private(set) var report = RepairReport()
    private var movedSegments: [String] = []

    init(directory: String, storage: any LogStorage) {
        self.directory = directory
        self.storage = storage
    }

    private func path(_ first: SequenceNumber) -> String { directory + "/" + FileName.segment(first) }

    private func foundSegments() throws(EventStoreError) -> [SequenceNumber] {
        try storage.fileNames(in: directory).compactMap { FileName.segmentSequence($0) }.sorted()
    }

    /// Makes a manifest from the first readable header if the one there is can not be read.
    mutating func rebuildManifestIfDamaged() throws(EventStoreError) {
        let manifestPath = directory + "/" + FileName.manifest
        do throws(EventStoreError) {
            _ = try Manifest.decode(try storage.open(manifestPath, .read).readAll(), path: manifestPath)
            return
        } catch {
            guard error.code == .manifestDamaged || error.code == .notFound else { throw error }
        }
        var rebuilt: Manifest?
        for first in try foundSegments() where rebuilt == nil {
            let file = try storage.open(path(first), .read)
            guard let header = try SegmentHeader.decode(try file.read(at: 0, count: SegmentHeader.byteCount)) else {
                continue
            }
            var manifest = Manifest(logID: header.logID)
            if header.previousSequence > .origin {
                let summary = try SegmentSummary.read(from: file)
                manifest.horizon = RetentionHorizon(
                    lastDropped: header.previousSequence, chainHash: summary?.predecessorHash ?? .zero)
            }
            rebuilt = manifest
        }
        guard let rebuilt else { throw EventStoreError(.manifestDamaged, path: manifestPath) }
        if try storage.fileNames(in: directory).contains(FileName.manifest) {
            try moveAside(manifestPath)
        }
        try storage.replaceAtomically(manifestPath, in: directory, with: rebuilt.encoded())
        report.manifestWasRebuilt = true
    }

    /// Finds the first damage and moves its segment and all later ones aside. False if there is no damage.
    mutating func moveDamageAside(
        _ progress: (VerificationProgress) -> Void
    ) throws(EventStoreError) -> Bool {
        let manifestPath = directory + "/" + FileName.manifest
        var manifest = try Manifest.decode(try storage.open(manifestPath, .read).readAll(), path: manifestPath)
        do throws(EventStoreError) {
            _ = try EventLog.verify(directory: directory, storage: storage, progress: progress)
            return false
        } catch {
            guard error.code == .hole else { throw error }
            report.damage = error
        }
        try walkSoundSegments(manifest)
        let lastSound = report.lastSequenceBefore
        // The manifest forgets the others first: a crash before they are moved leaves a log that repair can go on with.
        manifest.sealed.removeAll { $0.lastSequence > lastSound }
        manifest.active = nil
        try storage.replaceAtomically(manifestPath, in: directory, with: manifest.encoded())
        for first in try foundSegments() where first > lastSound { movedSegments.append(try moveAside(path(first))) }
        try storage.synchronizeDirectory(directory)
        return true
    }

    /// Notes the last record of the last segment that stands the test after sound ones.
    private mutating func walkSoundSegments(_ manifest: Manifest) throws(EventStoreError) {
        let horizon = manifest.horizon?.lastDropped ?? .origin
        var hash = manifest.horizon?.chainHash ?? .zero
        report.lastSequenceBefore = horizon
        for first in try foundSegments() where first > horizon {
            let file = try storage.open(path(first), .read)
            guard let sound = try soundFigures(file, first, hash, manifest.logID) else { return }
            let listed = manifest.sealed.first { $0.firstSequence == first }
            if let listed, listed.lastSequence != sound.lastSequence { return }
            hash = try SegmentHash.of(file)
            if let known = listed?.hash, known != hash { return }
            report.lastSequenceBefore = sound.lastSequence
        }
    }

    private func soundFigures(
        _ file: any LogFile, _ first: SequenceNumber, _ hash: SegmentHash, _ id: LogID
    ) throws(EventStoreError) -> SegmentFigures? {
        guard let header = try SegmentHeader.decode(try file.read(at: 0, count: SegmentHeader.byteCount)),
            let summary = try SegmentSummary.read(from: file),
            header.logID == id, header.firstSequence == first, header.previousSequence == report.lastSequenceBefore,
            summary.predecessorHash == hash
        else { return nil }
        let scan = try SegmentScan.run(file, header, EventLogOptions().indexStrideBytes)
        return scan.tracker.figures == summary.figures ? scan.tracker.figures : nil
    }

    @discardableResult
    private mutating func moveAside(_ path: String) throws(EventStoreError) -> String {
        let taken = Set(try storage.fileNames(in: directory).map { directory + "/" + $0 })
        var name = path + FileName.damagedSuffix
        var number = 1
        while taken.contains(name) {
            number += 1
            name = "\(path).\(number)\(FileName.damagedSuffix)"
        }
        try storage.rename(path, to: name)
        report.movedFiles.append(name)
        return name
    }

    /// Appends again what the choice keeps of the files moved aside, in order.
    mutating func salvage(
        into log: EventLog, _ choice: RepairChoice, _ progress: (VerificationProgress) -> Void
    ) throws(EventStoreError) {
        var isBehindDamage = false
        for path in movedSegments {
            let file = try storage.open(path, .read)
            let header = try SegmentHeader.decode(try file.read(at: 0, count: SegmentHeader.byteCount))
            if header?.previousSequence != log.lastSequence { isBehindDamage = true }
            var begin = UInt64(SegmentHeader.byteCount)
            let size = try file.byteCount()
            while begin < size {
                let keeps = !isBehindDamage || choice == .everythingIntact
                var walker = SegmentWalker(file, from: begin, to: size, after: log.lastSequence)
                while let (batch, _) = try walker.next() {
                    try take(batch, into: log, keeps)
                    progress(VerificationProgress(bytesDone: walker.offset, bytesTotal: size))
                }
                if walker.stop != .damage { break }
                isBehindDamage = true
                guard let next = try intactOffset(file, after: walker.offset) else { break }
                begin = next
            }
        }
        if choice == .beforeHole { report.lastSequenceBefore = log.lastSequence }
    }

    private mutating func take(_ batch: FrameBatch, into log: EventLog, _ keeps: Bool) throws(EventStoreError) {
        guard keeps else {
            report.droppedFrameCount += UInt64(batch.count)
            return
        }
        try log.append(batch)
        try log.commit()
        report.salvagedFrameCount += UInt64(batch.count)
    }

    /// The next byte behind damage at which a frame or a mark is intact.
    private func intactOffset(_ file: any LogFile, after offset: UInt64) throws(EventStoreError) -> UInt64? {
        let start = offset + 1
        let size = try file.byteCount()
        guard start < size else { return nil }
        let rest = try file.read(at: start, count: Int(size - start))
        return FrameParser.search(rest.span).first.map { start + UInt64($0.offset) }
    }
}
