// Where a log stops being what was written, and what there is behind: what a repair goes by, and what a preview shows.

package import EventModel

/// What a repair would cost, by either choice. Nothing was changed to find it out.
package struct RepairPreview: Hashable, Sendable {
    /// The first damage; nil: the log is whole.
    package var damage: EventStoreError?
    /// The last record before the damage, which both choices keep.
    package var lastSequenceBefore = SequenceNumber.origin
    /// Whole records behind the damage: what `beforeHole` gives up and `everythingIntact` keeps.
    package var intactBehind: UInt64 = 0
    /// Sequences behind the damage that no whole record has: lost by either choice. Over a stream an upper bound, since its
    /// sequences have gaps.
    package var lost: UInt64 = 0
    /// Checkpoints and digests that do not go with the log and would be set aside.
    package var unfit: [UnfitState] = []
    /// The furthest record that something was made of and the log does not have; nil: there is none.
    package var missingThrough: SequenceNumber?

    /// The choice that loses less; where both lose the same, the true, shorter log.
    package var cheaper: RepairChoice { intactBehind == 0 ? .beforeHole : .everythingIntact }

    /// Records that a choice loses.
    package func lost(by choice: RepairChoice) -> UInt64 {
        choice == .beforeHole ? lost + intactBehind : lost
    }
}

extension EventLog {
    /// What there is to repair, and what it would cost. Reads the whole log; changes nothing and takes no lock.
    package static func repairPreview(
        directory: String, storage: any LogStorage = PosixStorage(),
        progress: (VerificationProgress) -> Void = { _ in }
    ) throws(EventStoreError) -> RepairPreview {
        var preview = RepairPreview()
        do throws(EventStoreError) {
            _ = try verify(directory: directory, storage: storage, progress: progress)
        } catch {
            guard error.code == .hole || error.code == .manifestDamaged else { throw error }
            preview.damage = error
            // Without a manifest nothing is known of what should be there, and half a repair is no log.
            if error.code == .manifestDamaged { return preview }
            if try RepairJournal.isThere(directory, storage) { return preview }
            let manifestPath = directory + "/" + FileName.manifest
            let manifest = try Manifest.decode(try storage.open(manifestPath, .read).readAll(), path: manifestPath)
            let survey = try DamageSurvey(directory, manifest, storage)
            preview.lastSequenceBefore = survey.lastSequenceBefore
            var last = max(survey.lastSequenceBefore, manifest.sealed.last?.lastSequence ?? .origin)
            try survey.walk(survey.files) { batch, isBehind in
                let end = batch.lastSequence ?? last
                if isBehind { preview.intactBehind += UInt64(batch.count) } else { preview.lastSequenceBefore = end }
                last = max(last, end)
            }
            let behind = last.rawValue - preview.lastSequenceBefore.rawValue
            preview.lost = behind - min(behind, preview.intactBehind)
            return preview
        }
        let audit = try StateAudit(
            of: directory, try LogReader.open(directory: directory, storage: storage), storage: storage)
        (preview.unfit, preview.missingThrough) = (audit.unfit, audit.missingThrough)
        return preview
    }
}

/// A file that a repair takes records from.
struct SurveyedFile {
    var path: String
    /// The byte from which on they are taken.
    var begin: UInt64
    /// Whether what comes before `begin` stays as it is: then what follows may go on without a break.
    var hasPrefix: Bool
}

/// The end of the sound part of a damaged log.
struct DamageSurvey {
    let storage: any LogStorage
    let manifest: Manifest
    /// The last record of the last segment that stands every test.
    private(set) var lastSound: SequenceNumber
    /// The last record before the first damaged byte; the state of the log up to there is beyond doubt.
    private(set) var lastSequenceBefore: SequenceNumber
    /// The damaged segment and all later ones, as they are named now.
    private(set) var files: [SurveyedFile] = []
    /// The bytes of the first file that are intact and can stay; nil: none.
    private(set) var prefixEnd: UInt64?
    /// What was found wrong is a broken frame and not a seal, an index or the chain: what lies before it is what it was.
    private(set) var endsAtFrame = false

    init(_ directory: String, _ manifest: Manifest, _ storage: any LogStorage) throws(EventStoreError) {
        self.storage = storage
        self.manifest = manifest
        let horizon = manifest.horizon?.lastDropped ?? .origin
        lastSound = horizon
        lastSequenceBefore = horizon
        let found = try storage.fileNames(in: directory).compactMap { FileName.segmentSequence($0) }.sorted()
            .filter { $0 > horizon }
        func path(_ first: SequenceNumber) -> String { directory + "/" + FileName.segment(first) }
        var hash = manifest.horizon?.chainHash ?? .zero
        var rest = found[...]
        while let first = rest.first, let sound = try soundSegment(path(first), first, hash) {
            lastSound = sound.last
            hash = sound.hash
            rest = rest.dropFirst()
        }
        lastSequenceBefore = lastSound
        files = rest.map { SurveyedFile(path: path($0), begin: UInt64(SegmentHeader.byteCount), hasPrefix: false) }
        if let first = rest.first { try lookAtPrefix(first) }
    }

    /// The end and the hash of a sealed segment that is what it was; nil for any other.
    private func soundSegment(
        _ path: String, _ first: SequenceNumber, _ predecessor: SegmentHash
    ) throws(EventStoreError) -> (last: SequenceNumber, hash: SegmentHash)? {
        let file = try storage.open(path, .read)
        guard let header = try readHeader(file, first), let summary = try SegmentSummary.read(from: file),
            summary.predecessorHash == predecessor
        else { return nil }
        let scan = try SegmentScan.run(file, header, 1)
        guard scan.tracker.figures == summary.figures, scan.end == summary.framesEnd,
            try hasTrueIndex(file, summary, scan.tracker.index)
        else {
            return nil
        }
        let listed = manifest.sealed.first { $0.firstSequence == first }
        if let listed, listed.lastSequence != summary.figures.lastSequence { return nil }
        let hash = try SegmentHash.of(file)
        if let known = listed?.hash, known != hash { return nil }
        return (summary.figures.lastSequence, hash)
    }

    /// Whether the sparse index is whole, and each of its entries is a frame.
    private func hasTrueIndex(
        _ file: any LogFile, _ summary: SegmentSummary, _ frames: [IndexEntry]
    ) throws(EventStoreError) -> Bool {
        let size = SegmentIndex.byteCount(entryCount: summary.indexEntryCount)
        guard let entries = SegmentIndex.decode(try file.read(at: summary.framesEnd, count: size)) else { return false }
        return Set(frames).isSuperset(of: entries)
    }

    /// The header of a segment that follows the last sound one.
    private func readHeader(
        _ file: any LogFile, _ first: SequenceNumber
    ) throws(EventStoreError) -> SegmentHeader? {
        let bytes = try file.read(at: 0, count: SegmentHeader.byteCount)
        guard let header = try SegmentHeader.decode(bytes), header.logID == manifest.logID,
            header.firstSequence == first, header.previousSequence == lastSound
        else { return nil }
        return header
    }

    private mutating func lookAtPrefix(_ first: SequenceNumber) throws(EventStoreError) {
        let file = try storage.open(files[0].path, .read)
        guard let header = try readHeader(file, first) else { return }
        let scan = try SegmentScan.run(file, header, EventLogOptions().indexStrideBytes)
        guard scan.tracker.figures.frameCount > 0 else { return }
        prefixEnd = scan.end
        lastSequenceBefore = scan.tracker.figures.lastSequence
        files[0].begin = scan.end
        files[0].hasPrefix = true
        var walker = SegmentWalker(
            file, from: scan.end, to: try file.byteCount(), after: scan.tracker.figures.lastSequence)
        _ = try walker.next()
        endsAtFrame = walker.stop == .damage
    }

    /// Finds every whole record behind the prefix, in order, and says whether damage lies before it.
    ///
    /// Records of another log are none: a segment may have come here by mistake.
    func walk(
        _ files: [SurveyedFile], _ take: (FrameBatch, Bool) throws(EventStoreError) -> Void
    ) throws(EventStoreError) {
        var (isBehindDamage, last) = (false, lastSequenceBefore)
        for entry in files {
            let file = try storage.open(entry.path, .read)
            let header = try SegmentHeader.decode(try file.read(at: 0, count: SegmentHeader.byteCount))
            if let header, header.logID != manifest.logID {
                isBehindDamage = true
                continue
            }
            if !entry.hasPrefix, header?.previousSequence != last { isBehindDamage = true }
            var begin = entry.begin
            let size = try file.byteCount()
            while begin < size {
                var walker = SegmentWalker(file, from: begin, to: size, after: last)
                while let (batch, _) = try walker.next() {
                    try take(batch, isBehindDamage)
                    last = batch.lastSequence ?? last
                }
                if walker.stop != .damage { break }
                isBehindDamage = true
                guard let next = try intactOffset(file, after: walker.offset) else { break }
                begin = next
            }
        }
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
