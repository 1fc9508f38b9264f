// Logs of older versions stay readable.

import EventModel
@testable import EventStore
import Testing

@Suite struct `Files of format version 1` {
    private func makeDisk() throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: 1)
        let files = [
            "00000000000000000001.log": GoldenFilesVersion1.sealedSegment,
            "00000000000000000004.log": GoldenFilesVersion1.unsealedSegment,
            "MANIFEST": GoldenFilesVersion1.manifest,
            "checkpoint-00000000000000000004.ckpt": GoldenFilesVersion1.checkpoint,
        ]
        for (name, text) in files { disk.install(logDirectory + "/" + name, try #require(Hexadecimal.bytes(text))) }
        return disk
    }

    @Test func `are read, verified and continued`() throws {
        let disk = try makeDisk()
        #expect(try EventLog.verify(directory: logDirectory, storage: disk).frameCount == 5)
        let (log, report) = try EventLog.openSmall(disk)
        #expect(report.tornTail == nil && log.lastFrame?.sourceHash == 5 ^ 0xff)
        #expect(
            log.source
                == .jetStream(
                    name: "EVENTS", createdAt: Timestamp(nanoseconds: 1_700_000_000_000_000_000)))
        var cursor = try log.reader.frames()
        var next: UInt64 = 1
        while let batch = try cursor.nextBatch() {
            for (found, wanted) in zip(batch, try FrameBatch.frames(next..<next + UInt64(batch.count))) {
                #expect(found.encoded == wanted.encoded)
            }
            next += UInt64(batch.count)
        }
        #expect(next == 6)
        try log.write(6...9)
        #expect(try log.reader.sequences() == Array(1...9))
    }

    @Test func `hold checkpoints that are read`() throws {
        let store = CheckpointStore(directory: logDirectory, storage: try makeDisk())
        let found = try #require(try store.newest(of: nil).checkpoint)
        #expect(found.sequence.rawValue == 4 && found.codecVersion == 3 && found.sections.first?.name == "registry")
    }

    @Test func `of a version from the future are refused by number`() throws {
        let disk = try makeDisk()
        var bytes = disk.content(of: disk.segmentPaths[0])
        bytes[8] = 2
        let checksum = Checksum.crc32c(bytes.span.extracting(0..<SegmentHeader.byteCount - 4))
        for byte in 0..<4 {
            bytes[SegmentHeader.byteCount - 4 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte))
        }
        disk.install(disk.segmentPaths[0], bytes)
        let error = #expect(throws: EventStoreError.self) { try EventLog.openSmall(disk) }
        #expect(error?.code == .formatUnknown(version: 2))
    }
}
