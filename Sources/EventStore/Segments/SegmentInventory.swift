// What a directory holds, found without scanning sealed segments, and checked against the manifest and itself.

import EventModel

/// A segment file as found.
struct FoundSegment {
    var path: String
    var file: any LogFile
    /// The name's sequence.
    var firstSequence: SequenceNumber
    var fileByteCount: UInt64
    /// Nil if the header is damaged; then this is the last segment.
    var header: SegmentHeader?
    /// Nil if the segment is not sealed; then it is the last one.
    var summary: SegmentSummary?
}

/// Manifest and segments of a directory.
struct SegmentInventory {
    var manifest: Manifest
    var segments: [FoundSegment]
    /// Files before the horizon that a crash kept from being removed.
    var leftovers: [String]

    /// Reads the directory. Nil if there is no log in it.
    static func take(_ directory: String, _ storage: any LogStorage) throws(EventStoreError) -> SegmentInventory? {
        var attempt = 0
        while true {
            let before = try readManifest(directory, storage)
            do throws(EventStoreError) {
                return try take(directory, storage, before)
            } catch {
                // A writer in another process may have dropped or sealed a segment while this one looked.
                attempt += 1
                if attempt > 3 { throw error }
                if try readManifest(directory, storage) == before { throw error }
            }
        }
    }

    private static func readManifest(
        _ directory: String, _ storage: any LogStorage
    ) throws(EventStoreError) -> Manifest? {
        let path = directory + "/" + FileName.manifest
        do throws(EventStoreError) {
            return try Manifest.decode(try storage.open(path, .read).readAll(), path: path)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    private static func take(
        _ directory: String, _ storage: any LogStorage, _ manifest: Manifest?
    ) throws(EventStoreError) -> SegmentInventory? {
        let found = try storage.fileNames(in: directory).compactMap { FileName.segmentSequence($0) }.sorted()
        guard let manifest else {
            if found.isEmpty { return nil }
            throw EventStoreError(.manifestDamaged, path: directory, detail: "there are segments and no manifest")
        }
        let horizon = manifest.horizon?.lastDropped ?? .origin
        let leftovers = found.filter { $0 <= horizon }.map { directory + "/" + FileName.segment($0) }
        let kept = found.filter { $0 > horizon }
        try requireListed(manifest, kept, directory)
        var inventory = SegmentInventory(manifest: manifest, segments: [], leftovers: leftovers)
        for (position, first) in kept.enumerated() {
            try inventory.add(first, isLast: position == kept.count - 1, directory, storage)
        }
        return inventory
    }

    /// Every listed segment must be there, and nothing between them.
    private static func requireListed(
        _ manifest: Manifest, _ found: [SequenceNumber], _ directory: String
    ) throws(EventStoreError) {
        let listed = manifest.sealed.map(\.firstSequence) + (manifest.active.map { [$0] } ?? [])
        var after = manifest.horizon?.lastDropped ?? .origin
        for (position, first) in listed.enumerated() {
            guard position < found.count, found[position] <= first else {
                throw EventStoreError(
                    .hole, path: directory + "/" + FileName.segment(first), afterSequence: after,
                    detail: "a segment is missing")
            }
            guard found[position] == first else {
                throw EventStoreError(
                    .hole, path: directory + "/" + FileName.segment(found[position]), afterSequence: after,
                    detail: "a segment the manifest does not know")
            }
            after = position < manifest.sealed.count ? manifest.sealed[position].lastSequence : after
        }
    }

    private mutating func add(
        _ first: SequenceNumber, isLast: Bool, _ directory: String, _ storage: any LogStorage
    ) throws(EventStoreError) {
        let path = directory + "/" + FileName.segment(first)
        let file = try storage.open(path, .read)
        var segment = FoundSegment(path: path, file: file, firstSequence: first, fileByteCount: try file.byteCount())
        segment.header = try SegmentHeader.decode(try file.read(at: 0, count: SegmentHeader.byteCount))
        segment.summary = try SegmentSummary.read(from: file)
        if isLast, segments.count >= manifest.sealed.count, let summary = segment.summary {
            // The seal was being written when the process ended: it counts only if all of it is there.
            let size = SegmentIndex.byteCount(entryCount: summary.indexEntryCount)
            let index = SegmentIndex.decode(try file.read(at: summary.framesEnd, count: size))
            if index == nil { segment.summary = nil }
        }
        try requireChained(segment, isLast: isLast)
        segments.append(segment)
    }

    /// Checks a segment against the manifest and its predecessor.
    private func requireChained(_ segment: FoundSegment, isLast: Bool) throws(EventStoreError) {
        let previous = segments.last?.summary?.figures.lastSequence ?? manifest.horizon?.lastDropped ?? .origin
        func hole(_ detail: String, _ offset: UInt64 = 0) -> EventStoreError {
            EventStoreError(.hole, path: segment.path, offset: offset, afterSequence: previous, detail: detail)
        }
        let listed = segments.count < manifest.sealed.count ? manifest.sealed[segments.count] : nil
        guard segment.summary != nil || (isLast && listed == nil) else {
            throw hole("the segment's seal is damaged", segment.fileByteCount)
        }
        if let header = segment.header {
            guard header.logID == manifest.logID else { throw hole("the segment belongs to another log") }
            guard header.firstSequence == segment.firstSequence, header.previousSequence == previous else {
                throw hole("the segment does not follow its predecessor")
            }
        } else if segment.summary != nil {
            throw hole("the segment's header is damaged")
        }
        guard let summary = segment.summary else { return }
        guard summary.logID == manifest.logID, summary.figures.firstSequence == segment.firstSequence else {
            throw hole("the seal belongs to another segment")
        }
        if let listed {
            guard listed.lastSequence == summary.figures.lastSequence, listed.fileByteCount == segment.fileByteCount
            else { throw hole("the segment is not the one the manifest knows") }
        }
        if let expected = expectedPredecessorHash, expected != summary.predecessorHash {
            throw hole("the chain of hashes is broken")
        }
    }

    /// What the next segment must name as its predecessor; nil if not known yet.
    private var expectedPredecessorHash: SegmentHash? {
        if segments.isEmpty { return manifest.horizon?.chainHash ?? .zero }
        return segments.count <= manifest.sealed.count ? manifest.sealed[segments.count - 1].hash : nil
    }
}
