// The log's writer and reader, one promise at a time.

import EventModel
import EventStore
import Foundation
import Synchronization
import Testing

@Suite struct `The event log` {
    @Test func `gives back what was appended, also after reopening`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, report) = try EventLog.openSmall(disk)
        #expect(report.isNew && log.lastFrame == nil)
        try log.write(1...30)
        let frame = try #require(try log.reader.frame(at: SequenceNumber(17)))
        #expect(frame.recordedAt == Timestamp(nanoseconds: 17_000) && frame.sourceHash == 17 ^ 0xff)
        #expect(frame.eventType == 5 && frame.schemaVersion == 2 && frame.flags == .opaque)
        #expect(Array(frame.messageID) == Array("id".utf8) && Array(frame.subject) == Array("s".utf8))
        #expect(Array(frame.facts) == [UInt8](repeating: 17, count: 20) && Array(frame.attachment) == [1, 2, 3])
        try log.close()
        #expect(throws: EventStoreError.self) { try log.commit() }
        let (again, second) = try EventLog.openSmall(disk)
        #expect(second.tornTail == nil && second.lastSequence.rawValue == 30 && !second.isNew)
        #expect(
            again.lastFrame?.recordedAt == Timestamp(nanoseconds: 30_000) && again.lastFrame?.sourceHash == 30 ^ 0xff)
        #expect(try again.reader.sequences() == Array(1...30))
        #expect(disk.segmentPaths.count > 2)
    }

    @Test func `a frame keeps unknown flags and a batch shares its memory`() throws {
        var batch = FrameBatch()
        try batch.append(
            sequence: SequenceNumber(9), recordedAt: .zero, eventType: 1, schemaVersion: 1,
            flags: FrameFlags(rawValue: 0xf2), facts: [UInt8]())
        #expect(batch[0].flags.rawValue == 0xf2 && batch[0].flags.contains(.sealedAttachment))
        #expect(batch.count == 1 && batch.byteCount == 48)
    }

    @Test func `a field or frame that is too large is refused and leaves the batch as it was`() throws {
        var batch = try FrameBatch.frames([1])
        let before = batch.byteCount
        let error = #expect(throws: EventStoreError.self) {
            try batch.append(
                sequence: SequenceNumber(2), recordedAt: .zero, eventType: 1, schemaVersion: 1,
                facts: [UInt8](repeating: 0, count: 16 << 20))
        }
        #expect(error?.code == .frameTooLarge && batch.byteCount == before && batch.count == 1)
    }

    @Test func `a batch that does not come after the last record is refused, and the log goes on`() throws {
        let (log, _) = try EventLog.openSmall(SimulatedDisk(seed: 1))
        try log.write(1...5)
        let error = #expect(throws: EventStoreError.self) { try log.append(try .frames([5])) }
        #expect(error?.code == .notAscending(last: SequenceNumber(5)))
        try log.write(9...9)
        #expect(try log.reader.sequences() == [1, 2, 3, 4, 5, 9])
    }

    @Test func `a reader sees records when they are committed, not before`() throws {
        let (log, _) = try EventLog.openSmall(SimulatedDisk(seed: 1))
        let reader = log.reader
        var cursor = try reader.frames()
        try log.append(try .frames([1, 2]))
        #expect(try cursor.nextBatch() == nil && reader.lastSequence == .origin)
        try log.commit()
        #expect(try cursor.nextBatch()?.map(\.sequence.rawValue) == [1, 2])
        #expect(try cursor.nextBatch() == nil)
        try log.write(3...40)
        var rest: [UInt64] = []
        while let batch = try cursor.nextBatch() { rest += batch.map(\.sequence.rawValue) }
        #expect(rest == Array(3...40))
    }

    @Test func `another process reads beside the writer and finds more after a refresh`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...10)
        let reader = try LogReader.open(directory: logDirectory, storage: disk)
        #expect(try reader.sequences() == Array(1...10))
        try log.append(try .frames([11]))
        try reader.refresh()
        #expect(reader.lastSequence.rawValue == 11 && reader.lastDurableSequence.rawValue == 10)
        try log.write(12...40)
        try reader.refresh()
        #expect(try reader.sequences(from: SequenceNumber(9)) == Array(9...40))
    }

    @Test func `time is searched by the running maximum, for it may go back`() throws {
        let (log, _) = try EventLog.openSmall(SimulatedDisk(seed: 1), segmentByteLimit: 300)
        for (position, time) in [10, 30, 20, 40, 40, 35, 50].enumerated() {
            var batch = FrameBatch()
            try batch.appendFrame(UInt64(position + 1), at: Int64(time))
            try log.append(batch)
        }
        try log.commit()
        func reached(_ time: Int64) throws -> UInt64? {
            try log.reader.firstSequence(atOrAfter: Timestamp(nanoseconds: time))?.rawValue
        }
        func before(_ time: Int64) throws -> UInt64? {
            try log.reader.lastSequence(atOrBefore: Timestamp(nanoseconds: time))?.rawValue
        }
        #expect(
            try [reached(0), reached(15), reached(30), reached(31), reached(50), reached(51)] == [1, 2, 2, 4, 7, nil])
        #expect(try [before(9), before(10), before(30), before(40), before(49), before(99)] == [nil, 1, 3, 6, 6, 7])
    }

    @Test func `the source is set once`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        let source = LogSource.jetStream(name: "EVENTS ü", createdAt: Timestamp(nanoseconds: 5))
        try log.setSource(source)
        try log.setPrefix("mesh one")
        try log.close()
        let again = try EventLog.openSmall(disk).log
        #expect(again.source == source && again.prefix == "mesh one")
        try again.setSource(source)
        let error = #expect(throws: EventStoreError.self) { try again.setSource(.core) }
        #expect(error?.code == .sourceMismatch)
    }

    @Test func `a log belongs to one prefix from its first record on`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.setPrefix("typo")
        try log.setPrefix("mesh")
        try log.write(1...3)
        for change in [log.setPrefix, log.requirePrefix] {
            let error = #expect(throws: EventStoreError.self) { try change("another") }
            #expect(error?.code == .prefixMismatch && error?.detail?.contains("'mesh'") == true)
        }
        try log.close()
        let again = try EventLog.openSmall(disk).log
        try again.requirePrefix("mesh")
        #expect(throws: EventStoreError.self) { try again.requirePrefix("another") }
    }

    @Test func `a full disk refuses a batch whole and harms nothing`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...4)
        disk.state.withLock { $0.capacityBytes = $0.usedBytes + 100 }
        let error = #expect(throws: EventStoreError.self) { try log.append(try .frames(5...9)) }
        #expect(error?.code == .diskFull && error?.errno == 28 && error?.path == disk.segmentPaths[0])
        #expect(log.lastSequence.rawValue == 4)
        disk.state.withLock { $0.capacityBytes = nil }
        try log.write(5...9)
        #expect(try log.reader.sequences() == Array(1...9))
    }

    @Test func `a failed fsync poisons the writer for ever`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...4)
        try log.append(try .frames([5]))
        disk.state.withLock { $0.failsNextSync = true }
        #expect(throws: EventStoreError.self) { try log.commit() }
        for _ in 0..<2 {
            let error = #expect(throws: EventStoreError.self) { try log.commit() }
            #expect(error?.code == .poisoned)
        }
        #expect(log.lastDurableSequence.rawValue == 4)
    }

    @Test func `retention drops what is behind a checkpoint, and asking for it says gone`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...60)
        let limits = RetentionLimits(byteCount: 1500)
        let now = Timestamp(nanoseconds: 60_000)
        #expect(try log.applyRetention(limits, now: now, checkpointSequence: .origin) == 0)
        #expect(try log.applyRetention(limits, now: now, checkpointSequence: SequenceNumber(60)) > 1)
        let first = log.reader.firstRetained
        #expect(first.rawValue > 1)
        let error = #expect(throws: EventStoreError.self) { try log.reader.frames(from: SequenceNumber(1)) }
        #expect(error?.code == .gone(firstRetained: first))
        #expect(try log.reader.sequences() == Array(first.rawValue...60))
        try log.close()
        let again = try EventLog.openSmall(disk).log
        #expect(again.reader.firstRetained == first)
        try again.write(61...90)
        #expect(
            try again.applyRetention(
                RetentionLimits(age: Nanoseconds(1000)), now: Timestamp(nanoseconds: 1 << 40),
                checkpointSequence: .end) > 0)
        _ = try EventLog.verify(directory: logDirectory, storage: disk)
    }

    @Test func `an export is a whole log that can be imported, sequences and bytes unchanged`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...50)
        let exported = try log.reader.export(to: "/exported", id: log.id, from: SequenceNumber(11))
        #expect(exported.frameCount == 40)
        let imported = try EventLog.importLog(from: "/exported", into: "/other", options: .small(), storage: disk)
        #expect(imported.firstSequence?.rawValue == 11 && imported.lastSequence?.rawValue == 50)
        let reader = try LogReader.open(directory: "/other", storage: disk)
        #expect(try reader.sequences() == Array(11...50))
        disk.flipBit(of: "/exported", at: 700, bit: 1)
        let error = #expect(throws: EventStoreError.self) {
            try EventLog.importLog(from: "/exported", into: "/third", options: .small(), storage: disk)
        }
        #expect(error?.code == .exportDamaged)
    }
}

@Suite struct `The event log on a real disk` {
    @Test func `works with files, is private, hashes in the background, and refuses a second writer`() throws {
        let directory = FileManager.default.temporaryDirectory.path + "/lattice-log-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var options = EventLogOptions()
        options.segmentByteLimit = 20_000
        let (log, _) = try EventLog.open(directory: directory, options: options)
        try log.write(1...2000, groupsOf: 100)
        let error = #expect(throws: EventStoreError.self) { try EventLog.open(directory: directory) }
        #expect(error?.code == .locked(processID: ProcessInfo.processInfo.processIdentifier))
        let attributes = try FileManager.default.attributesOfItem(atPath: directory)
        #expect(attributes[.posixPermissions] as? Int == 0o700)
        #expect(try log.status().frameCount == 2000)
        try log.close()
        let (again, report) = try EventLog.open(directory: directory)
        #expect(report.lastSequence.rawValue == 2000 && report.scannedByteCount <= 20_000)
        #expect(try again.reader.sequences(from: SequenceNumber(1500)) == Array(1500...2000))
        #expect(try EventLog.verify(directory: directory).frameCount == 2000)
    }
}
