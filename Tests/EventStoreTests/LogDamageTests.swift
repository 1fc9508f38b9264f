// Damage: what is cut off, what is reported, what repair does.

import EventModel
@testable import EventStore
import Testing

@Suite struct `A damaged log` {
    /// A closed log of several segments.
    private func makeLog(_ sequences: ClosedRange<UInt64> = 1...50, seed: UInt64 = 1) throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: seed)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(sequences)
        try log.close()
        return disk
    }

    private func appendGarbage(_ disk: SimulatedDisk, _ bytes: [UInt8]) throws {
        let file = try disk.open(disk.segmentPaths.last!, .readWrite)
        _ = try file.write(bytes.span, at: try file.byteCount())
    }

    @Test(arguments: [[UInt8](repeating: 0, count: 700), [1, 2, 3], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9]])
    func `a torn tail is cut off and reported`(garbage: [UInt8]) throws {
        let disk = try makeLog()
        try appendGarbage(disk, garbage)
        #expect(try EventLog.verify(directory: logDirectory, storage: disk).tornByteCount == UInt64(garbage.count))
        let (log, report) = try EventLog.openSmall(disk)
        #expect(report.tornTail?.byteCount == UInt64(garbage.count) && report.tornTail?.discardedFrameCount == 0)
        #expect(try log.reader.sequences() == Array(1...50))
        try log.write(51...60)
        #expect(try log.reader.sequences() == Array(1...60))
    }

    /// Found by seed 544 of the property test as it was on 2026-11-24.
    @Test func `a seal that was being written when the power went is not taken for a seal`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...4)
        let listed = disk.content(of: logDirectory + "/MANIFEST")
        try log.write(5...20)
        try log.close()
        let first = disk.segmentPaths[0]
        for path in disk.segmentPaths.dropFirst() { try disk.remove(path) }
        disk.install(logDirectory + "/MANIFEST", listed)
        let frames = try #require(
            SegmentSummary.decode(
                Array(disk.content(of: first).suffix(SegmentSummary.byteCount)),
                fileByteCount: UInt64(disk.content(of: first).count)))
        disk.flipBit(of: first, at: Int(frames.framesEnd) + 10, bit: 0)
        let (again, report) = try EventLog.openSmall(disk)
        #expect(report.tornTail?.offset == frames.framesEnd && again.lastSequence == frames.figures.lastSequence)
        #expect(again.lastSequence.rawValue > 4)
        try again.write(21...60)
        _ = try EventLog.verify(directory: logDirectory, storage: disk)
    }

    @Test func `frames behind damage that was never durable are cut off with it and counted`() throws {
        let disk = try makeLog(1...4)
        let frames = try FrameBatch.frames([6, 7])
        try appendGarbage(disk, [UInt8](repeating: 0, count: 90) + frames.bytes[..<frames.usedByteCount])
        let (log, report) = try EventLog.openSmall(disk)
        #expect(report.tornTail?.discardedFrameCount == 2 && log.lastSequence.rawValue == 4)
    }

    @Test func `damage to the last durable group is a hole, not a torn tail`() throws {
        let disk = try makeLog(1...4)
        disk.flipBit(of: disk.segmentPaths[0], at: SegmentHeader.byteCount + 70, bit: 3)
        let error = #expect(throws: EventStoreError.self) { try EventLog.openSmall(disk) }
        #expect(error?.code == .hole && error?.offset == UInt64(SegmentHeader.byteCount))
        #expect(error?.afterSequence == .origin && error?.path == disk.segmentPaths[0])
        #expect(throws: EventStoreError.self) { try LogReader.open(directory: logDirectory, storage: disk) }
    }

    @Test func `a missing segment is a hole`() throws {
        let disk = try makeLog()
        try disk.remove(disk.segmentPaths[1])
        let error = #expect(throws: EventStoreError.self) { try EventLog.openSmall(disk) }
        #expect(error?.code == .hole)
        try disk.remove(disk.segmentPaths.last!)
        #expect(throws: EventStoreError.self) { try EventLog.openSmall(disk) }
    }

    @Test func `a flipped bit anywhere is reported and never changes a record`() throws {
        for seed in 0..<250 {
            let disk = try makeLog(1...30, seed: UInt64(seed))
            var random = SeededGenerator(seed: UInt64(seed))
            let path = (disk.segmentPaths + [logDirectory + "/MANIFEST"]).randomElement(using: &random)!
            let offset = Int.random(in: 0..<disk.content(of: path).count, using: &random)
            disk.flipBit(of: path, at: offset, bit: Int.random(in: 0..<8, using: &random))
            // A damaged last mark, which proves nothing but durability, is a torn tail, and reported so.
            let verified = try? EventLog.verify(directory: logDirectory, storage: disk)
            let isVerified = verified?.tornByteCount == 0
            let reports = [
                reportsDamage(seed) { try LogReader.open(directory: logDirectory, storage: disk) },
                reportsDamage(seed) { try EventLog.openSmall(disk).log.reader },
            ]
            #expect(reports.contains(true) || !isVerified, "seed \(seed)")
        }
    }

    /// Reads everything; true if an error was thrown. Records an issue if a record is not as it was written.
    private func reportsDamage(_ seed: Int, _ open: () throws -> LogReader) -> Bool {
        do {
            let reader = try open()
            var cursor = try reader.frames()
            var next: UInt64 = 1
            while let batch = try cursor.nextBatch() {
                let expected = try FrameBatch.frames(next..<next + UInt64(batch.count))
                for (found, wanted) in zip(batch, expected) { #expect(found.encoded == wanted.encoded, "seed \(seed)") }
                next += UInt64(batch.count)
            }
            #expect(next == 31, "seed \(seed): records are missing and nobody said so")
            return false
        } catch {
            return true
        }
    }

    @Test func `repair keeps what is before the hole, or everything intact, and deletes nothing`() throws {
        for choice in [RepairChoice.beforeHole, .everythingIntact] {
            let disk = try makeLog()
            let paths = disk.segmentPaths
            let byteCount = paths.map { disk.content(of: $0).count }.reduce(0, +)
            disk.flipBit(of: paths[1], at: SegmentHeader.byteCount + 200, bit: 0)
            #expect(throws: EventStoreError.self) {
                try EventLog.verify(directory: logDirectory, storage: disk)
            }
            let report = try EventLog.repair(
                directory: logDirectory, keep: choice, options: .small(), storage: disk)
            #expect(report.damage?.code == .hole && report.movedFiles.count == paths.count - 1)
            let kept = try EventLog.openSmall(disk).log.reader.sequences()
            if choice == .beforeHole {
                #expect(kept == Array(1...report.lastSequenceBefore.rawValue) && kept.count < 40)
                #expect(report.droppedFrameCount + UInt64(kept.count) == 49)
            } else {
                #expect(kept.count == 49 && kept.last == 50)
            }
            let aside = report.movedFiles.map { disk.content(of: $0).count }.reduce(0, +)
            #expect(aside + disk.content(of: paths[0]).count == byteCount)
            _ = try EventLog.verify(directory: logDirectory, storage: disk)
        }
    }

    @Test func `repair makes a damaged manifest anew from the segments`() throws {
        let disk = try makeLog()
        disk.flipBit(of: logDirectory + "/MANIFEST", at: 30, bit: 2)
        let error = #expect(throws: EventStoreError.self) { try EventLog.openSmall(disk) }
        #expect(error?.code == .manifestDamaged)
        let report = try EventLog.repair(
            directory: logDirectory, keep: .beforeHole, options: .small(), storage: disk)
        #expect(report.manifestWasRebuilt && report.damage == nil)
        #expect(try EventLog.openSmall(disk).log.reader.sequences() == Array(1...50))
    }

    @Test func `the chain of hashes shows a segment that was written anew`() throws {
        let disk = try makeLog()
        let other = SimulatedDisk(seed: 9)
        let (log, _) = try EventLog.openSmall(other)
        let batch = try FrameBatch.frames([1])
        try log.append(batch)
        try log.write(2...50)
        disk.install(disk.segmentPaths[0], other.content(of: other.segmentPaths[0]))
        let error = #expect(throws: EventStoreError.self) {
            try EventLog.verify(directory: logDirectory, storage: disk)
        }
        #expect(error?.code == .hole)
    }

    @Test func `verify names the head of the chain and what is not anchored by it`() throws {
        let disk = try makeLog()
        let report = try EventLog.verify(directory: logDirectory, storage: disk)
        let head = try #require(report.headSequence)
        #expect(report.frameCount == 50 && report.unanchoredFrameCount == 50 - head.rawValue)
        let sealed = disk.segmentPaths[report.segmentCount - 2]
        #expect(try report.headHash == SegmentHash.of(try disk.open(sealed, .read)))
    }
}

@Suite struct `The checkpoint store` {
    private func checkpoint(_ sequence: UInt64, codec: UInt32 = 1) -> Checkpoint {
        Checkpoint(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: 5), semanticsVersion: 2,
            codecVersion: codec, createdAt: Timestamp(nanoseconds: 6),
            sections: [
                .init(name: "registry", digest: Digest(high: 1, low: 2), bytes: [1, 2, 3]),
                .init(name: "traces", digest: .zero, bytes: []),
            ])
    }

    @Test func `gives the newest checkpoint not after a sequence, and passes damaged ones over with a warning`() throws
    {
        let disk = SimulatedDisk(seed: 1)
        let store = CheckpointStore(directory: logDirectory, storage: disk)
        for sequence: UInt64 in [10, 20, 30] { try store.save(checkpoint(sequence)) }
        #expect(try store.newest(of: nil).checkpoint == checkpoint(30))
        #expect(try store.newest(notAfter: SequenceNumber(29), of: nil).checkpoint == checkpoint(20))
        for bit in 0..<8 {
            let path = logDirectory + "/checkpoint-00000000000000000030.ckpt"
            disk.flipBit(of: path, at: 11 * bit, bit: bit)
            let finding = try store.newest(of: nil)
            #expect(finding.checkpoint == checkpoint(20) && finding.warnings.count == 1)
            disk.flipBit(of: path, at: 11 * bit, bit: bit)
        }
        #expect(try store.newest(of: nil) { $0.codecVersion == 7 }.warnings.count == 3)
    }

    @Test func `keeps the newest few, and the one retention needs`() throws {
        let disk = SimulatedDisk(seed: 1)
        let store = CheckpointStore(directory: logDirectory, keptCount: 2, storage: disk)
        for sequence: UInt64 in [10, 20, 30, 40] { try store.save(checkpoint(sequence)) }
        let removed = try store.prune(neededAtOrBefore: SequenceNumber(25))
        #expect(removed.map(\.rawValue) == [10])
        #expect(try store.prune().map(\.rawValue) == [20])
        #expect(try store.list().map(\.rawValue) == [30, 40])
    }
}

@Suite struct `The checksum` {
    @Test func `is CRC32C, by instruction and by tables alike`() {
        let digits = Array("123456789".utf8)
        #expect(Checksum.crc32c(digits.span) == 0xe306_9283)
        var random = SeededGenerator(seed: 3)
        for count in 0..<300 {
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            #expect(Checksum.crc32c(bytes.span) == Checksum.crc32cPortable(bytes.span))
        }
    }
}
