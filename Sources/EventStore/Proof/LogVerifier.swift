// Walks the whole log and proves, or disproves, that it is what was written.

package import EventModel

/// What a walk through the whole log found intact.
package struct VerificationReport: Hashable, Sendable {
    package var logID: LogID
    /// All records.
    package var frameCount: UInt64 = 0
    /// Segments, the unsealed one included.
    package var segmentCount = 0
    package var firstSequence: SequenceNumber?
    package var lastSequence: SequenceNumber?
    /// The SHA-256 of the newest sealed segment, which stands for everything before its end; nil if none is sealed.
    package var headHash: SegmentHash?
    /// The last record the head hash stands for.
    package var headSequence: SequenceNumber?
    /// Records and bytes behind the head: checked by their CRC alone.
    package var unanchoredFrameCount: UInt64 = 0
    package var unanchoredByteCount: UInt64 = 0
    /// Bytes at the end of the unsealed segment that are no whole frame; opening the log cuts them off.
    package var tornByteCount: UInt64 = 0
    /// Sequences between the first and the last record that no record has: what a repair could not keep, or the gaps of a
    /// stream that the records once came from.
    package var missingSequences: UInt64 {
        guard let firstSequence, let lastSequence else { return 0 }
        return lastSequence.rawValue - firstSequence.rawValue + 1 - frameCount
    }
    /// The segments that were walked through, in order.
    package var segments: [VerifiedSegment] = []
    /// The last record that retention has dropped, and the hash of its segment; nil if nothing was dropped.
    package var lastDropped: SequenceNumber?
    package var horizonHash: SegmentHash?
}

/// How far a walk has come.
package struct VerificationProgress: Hashable, Sendable {
    package var bytesDone: UInt64
    package var bytesTotal: UInt64
}

extension EventLog {
    /// Checks every CRC, sequence, index, seal and hash of a log. Takes no lock: works beside a writer.
    ///
    /// Throws `.hole` at the first thing that is not as it was written. Without heads kept elsewhere
    /// (`VerificationReport.check`) this proves that nothing was damaged, not that nobody has written the log anew.
    package static func verify(
        directory: String, storage: any LogStorage = PosixStorage(),
        progress: (VerificationProgress) -> Void = { _ in }
    ) throws(EventStoreError) -> VerificationReport {
        try RepairJournal.requireNone(directory, storage)
        guard let inventory = try SegmentInventory.take(directory, storage) else {
            throw EventStoreError(.notFound, path: directory, detail: "there is no log")
        }
        var report = VerificationReport(logID: inventory.manifest.logID)
        var done = VerificationProgress(
            bytesDone: 0, bytesTotal: inventory.segments.reduce(0) { $0 + $1.fileByteCount })
        report.lastDropped = inventory.manifest.horizon?.lastDropped
        report.horizonHash = inventory.manifest.horizon?.chainHash
        var hash = inventory.manifest.horizon?.chainHash ?? .zero
        for (position, segment) in inventory.segments.enumerated() {
            report.note(segment, after: hash)
            if let summary = segment.summary {
                guard summary.predecessorHash == hash else { throw segment.hole("the chain of hashes is broken") }
                try verifySealed(segment, summary, &report)
                hash = try SegmentHash.of(segment.file)
                if let known = inventory.manifest.sealedHash(position), known != hash {
                    throw segment.hole("the segment is not the one the manifest knows")
                }
                report.headHash = hash
                report.segments[report.segments.count - 1].hash = hash
                report.headSequence = summary.figures.lastSequence
            } else {
                try verifyUnsealed(segment, &report)
            }
            done.bytesDone += segment.fileByteCount
            progress(done)
        }
        return report
    }

    private static func verifySealed(
        _ segment: FoundSegment, _ summary: SegmentSummary, _ report: inout VerificationReport
    ) throws(EventStoreError) {
        guard let header = segment.header, let catalogued = CatalogSegment(sealed: segment) else {
            throw segment.hole("the segment's header is damaged")
        }
        var tracker = SegmentTracker(after: header, indexStride: 1)
        var walker = SegmentWalker(
            segment.file, from: UInt64(SegmentHeader.byteCount), to: summary.framesEnd, after: header.previousSequence)
        while let (batch, position) = try walker.next() {
            tracker.note(batch, position: position)
        }
        guard walker.stop == .limit else { throw walker.holeError(segment.path) }
        guard tracker.figures == summary.figures else { throw segment.hole("the seal does not fit the records") }
        var frames = tracker.index.makeIterator()
        let isTrue = try catalogued.loadIndex(segment.file).allSatisfy { entry in
            while let frame = frames.next(), frame.offset <= entry.offset { if frame == entry { return true } }
            return false
        }
        guard isTrue else {
            throw segment.hole("the index does not fit the records")
        }
        report.add(tracker.figures)
    }

    private static func verifyUnsealed(
        _ segment: FoundSegment, _ report: inout VerificationReport
    ) throws(EventStoreError) {
        guard let header = segment.header else {
            let tail = try TailExamination.examine(segment.file, damageAt: 0, after: report.lastSequence ?? .origin)
            guard !tail.isHole else { throw segment.hole("the segment's header is damaged") }
            report.tornByteCount = tail.byteCount
            return
        }
        let (scan, tail) = try SegmentScan.runBesideWriter(segment, header)
        if scan.tracker.figures.frameCount > 0 { report.add(scan.tracker.figures) }
        report.unanchoredFrameCount = scan.tracker.figures.frameCount
        report.unanchoredByteCount = scan.tracker.figures.frameByteCount
        report.tornByteCount = tail.byteCount
    }
}

extension VerificationReport {
    fileprivate mutating func note(_ segment: FoundSegment, after predecessor: SegmentHash) {
        segments.append(
            VerifiedSegment(
                path: segment.path, firstSequence: segment.firstSequence, byteCount: segment.fileByteCount,
                predecessorHash: predecessor))
    }

    fileprivate mutating func add(_ figures: SegmentFigures) {
        segmentCount += 1
        frameCount += figures.frameCount
        firstSequence = firstSequence ?? figures.firstSequence
        lastSequence = figures.lastSequence
    }
}

extension Manifest {
    /// The hash of a sealed segment by its place; nil if not known yet.
    func sealedHash(_ position: Int) -> SegmentHash? {
        position < sealed.count ? sealed[position].hash : nil
    }
}

extension FoundSegment {
    func hole(_ detail: String) -> EventStoreError {
        EventStoreError(.hole, path: path, operation: "verify", offset: 0, detail: detail)
    }
}
