// What an engineer may decide about a log that does not open: nothing is deleted, damage is moved aside.

package import EventModel

/// What to keep of a log with a hole.
package enum RepairChoice: Hashable, Sendable {
    /// The records before the first damage. The log is a true, shorter log.
    case beforeHole
    /// Every record that is intact: what the damage took is missing in between, and is all that is lost.
    case everythingIntact
}

/// What a repair did.
package struct RepairReport: Hashable, Sendable {
    /// What was kept.
    package var choice = RepairChoice.beforeHole
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
    /// Checkpoints and digests that do not go with the log as it is now, under their new names.
    package var unfit: [UnfitState] = []
    /// The furthest record that something was made of and the log did not have; nil: there was none.
    package var missingThrough: SequenceNumber?
}

extension EventLog {
    /// Makes a damaged log usable again. The log must not be open. Without a choice what loses less is done.
    ///
    /// The damaged segment and all later ones get names that end in `.damaged`. Of the damaged segment a copy of what lies
    /// before the damage takes its place, bit for bit; what the choice keeps of the rest is appended again, and so sealed
    /// and chained anew. Needs room for those records. Checkpoints and digests that do not go with the log as it is
    /// afterwards are set aside, also where the log was whole.
    package static func repair(
        directory: String, keep choice: RepairChoice?, options: EventLogOptions = EventLogOptions(),
        storage: any LogStorage = PosixStorage(), progress: (VerificationProgress) -> Void = { _ in }
    ) throws(EventStoreError) -> RepairReport {
        let lock = try storage.lock(directory + "/" + FileName.lock)
        var repair = LogRepair(directory: directory, storage: storage)
        let isDamaged: Bool
        do throws(EventStoreError) {
            if try RepairJournal.isThere(directory, storage) {
                try RepairJournal.read(directory, storage).undo(directory, storage)
            }
            try repair.rebuildManifestIfDamaged()
            isDamaged = try repair.moveDamageAside(progress)
            if !isDamaged { try repair.setStatesAside() }
        } catch {
            lock.release()
            throw error
        }
        lock.release()
        if !isDamaged { return repair.report }
        var repairing = options
        repairing.isRepair = true
        let log = try open(directory: directory, options: repairing, storage: storage).log
        try repair.salvage(into: log, choice, progress)
        try log.synchronize()
        try RepairJournal.remove(directory, storage)
        try repair.setStatesAside()
        try log.close()
        return repair.report
    }
}

/// A repair under way.
struct LogRepair {
    let directory: String
    let storage: any LogStorage
    private(set) var report = RepairReport()
    private var survey: DamageSurvey?
    private var movedSegments: [SurveyedFile] = []

    init(directory: String, storage: any LogStorage) {
        self.directory = directory
        self.storage = storage
    }

    private func path(_ first: SequenceNumber) -> String { directory + "/" + FileName.segment(first) }

    private func foundSegments() throws(EventStoreError) -> [SequenceNumber] {
        try storage.fileNames(in: directory).compactMap { FileName.segmentSequence($0) }.sorted()
    }

    /// Makes a manifest from the first readable header if the one there is cannot be read.
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
        let survey = try DamageSurvey(directory, manifest, storage)
        self.survey = survey
        report.lastSequenceBefore = survey.lastSequenceBefore
        try setStatesAside(behind: lastUnchanged(survey))
        var moves: [(from: String, to: String)] = []
        for file in survey.files {
            let aside = try storage.asidePath(file.path, in: directory, suffix: FileName.damagedSuffix)
            moves.append((file.path, aside))
        }
        // From here on whatever interrupts the repair leaves a directory that is no log until it is taken back.
        try RepairJournal(
            manifest: try storage.open(manifestPath, .read).readAll(),
            moves: moves.map { RepairJournal.Move(name: name($0.from), aside: name($0.to)) }
        ).write(directory, storage)
        manifest.sealed.removeAll { $0.lastSequence > survey.lastSound }
        manifest.active = nil
        try storage.replaceAtomically(manifestPath, in: directory, with: manifest.encoded())
        for (index, move) in moves.enumerated() {
            try storage.rename(move.from, to: move.to)
            report.movedFiles.append(move.to)
            movedSegments.append(survey.files[index])
            movedSegments[index].path = move.to
        }
        if let end = survey.prefixEnd, let first = moves.first {
            try copyPrefix(of: first.to, upTo: end, to: first.from)
        }
        try storage.synchronizeDirectory(directory)
        return true
    }

    private func name(_ path: String) -> String { String(path.dropFirst(directory.count + 1)) }

    /// What lies before the damage stays where it was, under the name it had: what was made of it goes on being true.
    private func copyPrefix(of moved: String, upTo end: UInt64, to path: String) throws(EventStoreError) {
        let file = try storage.open(moved, .read)
        var offset: UInt64 = 0
        var failure: EventStoreError?
        try storage.replaceAtomically(path, in: directory) {
            guard offset < end, failure == nil else { return nil }
            do throws(EventStoreError) {
                let bytes = try file.read(at: offset, count: Int(min(1 << 20, end - offset)))
                offset += UInt64(bytes.count)
                return bytes.isEmpty ? nil : bytes
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
    }

    @discardableResult
    private mutating func moveAside(_ path: String) throws(EventStoreError) -> String {
        let name = try storage.moveAside(path, in: directory, suffix: FileName.damagedSuffix)
        report.movedFiles.append(name)
        return name
    }

    /// Appends again what the choice keeps of the files moved aside, in order.
    mutating func salvage(
        into log: EventLog, _ wanted: RepairChoice?, _ progress: (VerificationProgress) -> Void
    ) throws(EventStoreError) {
        guard let survey else { return }
        let choice = if let wanted { wanted } else { try cheaper(survey) }
        report.choice = choice
        var total: UInt64 = 0
        for file in movedSegments {
            let size = try storage.open(file.path, .read).byteCount()
            total += size - min(size, file.begin)
        }
        var (salvaged, dropped, done) = (UInt64(0), UInt64(0), UInt64(0))
        try survey.walk(movedSegments) { batch, isBehindDamage throws(EventStoreError) in
            if !isBehindDamage || choice == .everythingIntact {
                try log.append(batch)
                try log.commit()
                salvaged += UInt64(batch.count)
            } else {
                dropped += UInt64(batch.count)
            }
            done += UInt64(batch.byteCount)
            progress(VerificationProgress(bytesDone: done, bytesTotal: total))
        }
        report.salvagedFrameCount = salvaged
        report.droppedFrameCount = dropped
        if choice == .beforeHole { report.lastSequenceBefore = log.lastSequence }
    }

    private func cheaper(_ survey: DamageSurvey) throws(EventStoreError) -> RepairChoice {
        var hasRecordsBehind = false
        try survey.walk(movedSegments) { _, isBehindDamage in if isBehindDamage { hasRecordsBehind = true } }
        return hasRecordsBehind ? .everythingIntact : .beforeHole
    }

    /// Sets aside what was made of records that are not, or no longer, those of the log.
    mutating func setStatesAside() throws(EventStoreError) {
        let reader = try LogReader.open(directory: directory, storage: storage)
        var audit = try StateAudit(of: directory, reader, storage: storage)
        report.missingThrough = audit.missingThrough
        try audit.setAside()
        report.unfit += audit.unfit
    }

    /// First of all, so that whatever interrupts the repair, nothing is taken for the state of records that are gone.
    private mutating func setStatesAside(behind limit: SequenceNumber) throws(EventStoreError) {
        var audit = try StateAudit(of: directory, behind: limit, storage: storage)
        try audit.setAside()
        report.unfit += audit.unfit
    }

    /// The last record before which the log is beyond doubt what it was.
    ///
    /// Where the damage is not a broken record but a seal or the chain, nobody knows which byte of the segment has changed.
    /// What was made of a trimmed log is kept even so: there is nothing else to begin with.
    private func lastUnchanged(_ survey: DamageSurvey) -> SequenceNumber {
        let isTrimmed = survey.manifest.horizon != nil
        return survey.endsAtFrame || isTrimmed ? survey.lastSequenceBefore : survey.lastSound
    }
}
