// Checkpoints and digests name the records that they were made of, and are nobody else's.

import EventModel
import Synchronization
import Testing

@testable import EventStore

private let states = logDirectory + "/" + CheckpointStore.folder

private func checkpoint(_ sequence: UInt64, at time: Int64? = nil) -> Checkpoint {
    Checkpoint(
        sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time ?? Int64(sequence) * 1_000),
        semanticsVersion: 1, codecVersion: 1, createdAt: .zero,
        sections: [.init(name: "machine", digest: .zero, bytes: [1, 2, 3])])
}

private func rung(_ sequence: UInt64, at time: Int64? = nil) -> LadderRung {
    LadderRung(
        sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time ?? Int64(sequence) * 1_000),
        machines: [MachineDigest(machine: "machine", digest: .zero)])
}

@Suite struct `A checkpoint's record` {
    private let disk = SimulatedDisk(seed: 1)
    private var store: CheckpointStore { CheckpointStore(directory: states, storage: disk) }

    /// A log whose records are at the usual times, or so much later.
    private func write(_ sequences: ClosedRange<UInt64>, later: Int64 = 0, _ log: EventLog) throws {
        for sequence in sequences {
            var batch = FrameBatch()
            try batch.appendFrame(sequence, at: Int64(sequence) * 1_000 + later)
            try log.append(batch)
            try log.commit()
        }
    }

    private func newest(_ log: EventLog) throws -> UInt64? {
        try store.newest(of: log.reader).checkpoint?.sequence.rawValue
    }

    @Test func `is named by every checkpoint, in sealed segments and in the open one`() throws {
        let (log, _) = try EventLog.openSmall(disk)
        try write(1...60, log)
        let reader = log.reader
        let proofs = try (UInt64(1)...60).map { try #require(try reader.proof(of: SequenceNumber($0))) }
        #expect(Set(proofs).count == 60 && proofs.allSatisfy { $0.logID == log.id })
        #expect(try reader.proof(of: SequenceNumber(61)) == nil && reader.proof(of: .origin) == nil)
        let other = try LogReader.open(directory: logDirectory, storage: disk)
        for (index, proof) in proofs.enumerated() {
            #expect(try other.proof(of: SequenceNumber(UInt64(index) + 1)) == proof, "the same for whoever reads")
        }
        for sequence: UInt64 in [3, 30, 60] { try store.save(checkpoint(sequence), of: reader) }
        #expect(try store.list(of: reader).map(\.rawValue) == [3, 30, 60])
        let missing = #expect(throws: EventStoreError.self) { try store.save(checkpoint(61), of: reader) }
        #expect(missing?.code == .notFound)
    }

    @Test func `is durable before the checkpoint is, whatever the settings say`() throws {
        for seed in UInt64(0)..<50 {
            let disk = SimulatedDisk(seed: seed)
            var options = EventLogOptions.small(segmentByteLimit: 100_000)
            options.durability = .never
            let log = try EventLog.open(directory: logDirectory, options: options, storage: disk).log
            try log.write(1...20)
            #expect(log.lastDurableSequence == .origin)
            let store = CheckpointStore(directory: states, storage: disk)
            try store.save(checkpoint(17), of: log.reader)
            disk.crash()
            let again = try EventLog.openSmall(disk).log
            #expect(again.lastSequence >= SequenceNumber(17))
            #expect(try store.newest(of: again.reader).checkpoint != nil)
        }
    }

    @Test func `is another one once the log was cut and went on`() throws {
        let (log, _) = try EventLog.openSmall(disk, segmentByteLimit: 100_000)
        try write(1...40, log)
        for sequence: UInt64 in [10, 20, 40] { try store.save(checkpoint(sequence), of: log.reader) }
        try log.close()
        let path = disk.segmentPaths[0]
        let whole = disk.content(of: path)
        // A segment that ends behind its fifteenth record, as a disk may leave it.
        disk.install(path, Array(whole[..<(SegmentHeader.byteCount + 15 * (48 + 26 + FrameFormat.markByteCount))]))
        let cut = try EventLog.openSmall(disk, segmentByteLimit: 100_000).log
        #expect(cut.lastSequence == SequenceNumber(15))
        let audit = try StateAudit(of: logDirectory, cut.reader, storage: disk)
        #expect(audit.missingThrough == SequenceNumber(40) && audit.unfit.count == 2)
        #expect(audit.missing(cut.reader)?.code == .recordsMissing(through: SequenceNumber(40)))
        // Nobody looked, and the log went on beyond the checkpoints of the records that are gone.
        try write(16...50, later: 1, cut)
        #expect(try newest(cut) == 10)
        var later = try StateAudit(of: logDirectory, cut.reader, storage: disk)
        #expect(later.missingThrough == nil && later.unfit.map(\.kind) == [.foreign, .foreign])
        try later.setAside()
        #expect(try store.list().map(\.rawValue) == [10])
        let names = try disk.fileNames(in: states).sorted()
        #expect(names.count == 3 && names.filter { $0.hasSuffix(".ckpt.foreign") }.count == 2, "\(names)")
    }

    @Test func `is another one in the log that an import makes, though its content is the same`() throws {
        let (log, _) = try EventLog.openSmall(disk)
        try write(1...40, log)
        try store.save(checkpoint(40), of: log.reader)
        _ = try log.reader.export(to: "/file", id: log.id)
        try log.close()
        var options = EventLogOptions.small()
        options.newLogID = LogID(bytes: Array(101...116))
        _ = try EventLog.importLog(from: "/file", into: "/new", options: options, storage: disk)
        let reader = try LogReader.open(directory: "/new", storage: disk)
        let fit = try reader.fit(of: store.head(SequenceNumber(40)))
        guard case .foreign(let clause) = fit else {
            Issue.record("\(fit)")
            return
        }
        #expect(clause.contains(log.id.description))
    }

    @Test func `is missing where the whole log is`() throws {
        let (log, _) = try EventLog.openSmall(disk)
        try write(1...40, log)
        try store.save(checkpoint(40), of: log.reader)
        try DigestLadder.append(rung(40), in: states, storage: disk)
        try log.close()
        for path in disk.segmentPaths + [logDirectory + "/MANIFEST"] { try disk.remove(path) }
        let new = try EventLog.openSmall(disk).log
        let audit = try StateAudit(of: logDirectory, new.reader, storage: disk)
        #expect(audit.missingThrough == SequenceNumber(40) && audit.unfit.count == 2)
    }

    @Test func `is not named by version 1, which serves only where nothing else leads to a state`() throws {
        let (log, _) = try EventLog.openSmall(disk)
        try write(1...60, log)
        for sequence: UInt64 in [30, 50] { try store.save(checkpoint(sequence)) }
        try store.save(checkpoint(58, at: 7))
        #expect(try newest(log) == nil)
        #expect(
            try StateAudit(of: logDirectory, log.reader, storage: disk).unfit.map(\.kind) == [
                .unproven, .unproven, .unproven,
            ])
        try log.applyRetention(RetentionLimits(byteCount: 2_500), now: .zero, checkpointSequence: SequenceNumber(50))
        #expect(log.reader.firstRetained > SequenceNumber(30))
        #expect(try newest(log) == 50, "its record is there, at its time; that of 58 is of another time")
    }

    @Test func `stays when retention drops what is before it`() throws {
        let (log, _) = try EventLog.openSmall(disk)
        try write(1...60, log)
        let ends = log.catalog.segments.map(\.figures.lastSequence)
        try store.save(checkpoint(ends[2].rawValue), of: log.reader)
        let limits = RetentionLimits(byteCount: 1)
        try log.applyRetention(limits, now: .zero, checkpointSequence: ends[2])
        #expect(log.reader.firstRetained <= ends[2] && log.reader.firstRetained > ends[1])
        #expect(try newest(log) == ends[2].rawValue)
    }
}

@Suite struct `Kept digests` {
    private let disk = SimulatedDisk(seed: 1)
    private var path: String { states + "/" + DigestLadder.fileName }

    private func audit(_ rungs: [LadderRung], _ count: UInt64 = 40) throws -> (StateAudit, [LadderRung]) {
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...count)
        for rung in rungs { try DigestLadder.append(rung, in: states, storage: disk) }
        var audit = try StateAudit(of: logDirectory, log.reader, storage: disk)
        try audit.setAside()
        return (audit, (try? DigestLadder.read(path, storage: disk)) ?? [])
    }

    @Test func `of this log's records are kept`() throws {
        let (audit, rest) = try audit([rung(10), rung(40)])
        #expect(audit.unfit.isEmpty && rest.map(\.sequence.rawValue) == [10, 40])
    }

    @Test func `of other records are set aside from the first one on`() throws {
        let (audit, rest) = try audit([rung(10), rung(20), rung(30, at: 5), rung(40, at: 6)])
        #expect(audit.unfit.map(\.kind) == [.foreign] && rest.map(\.sequence.rawValue) == [10, 20])
        #expect(try DigestLadder.read(path + ".foreign", storage: disk).count == 4, "nothing is deleted")
    }

    @Test func `behind the log's end say that records are missing`() throws {
        let (audit, rest) = try audit([rung(10), rung(41)])
        #expect(audit.missingThrough == SequenceNumber(41) && rest.map(\.sequence.rawValue) == [10])
    }

    @Test func `are looked at by the end of their file alone, unless it does not go with the log`() throws {
        let many = (UInt64(1)...1_500).map { rung($0) }
        disk.install(path, DigestLadder.encode(many))
        let (log, _) = try EventLog.openSmall(disk, segmentByteLimit: 1 << 20)
        try log.write(1...1_500, groupsOf: 100)
        #expect(try DigestLadder.tail(path, storage: disk).count < 1_500)
        #expect(try StateAudit(of: logDirectory, log.reader, storage: disk).unfit.isEmpty)
        let parted = many.map { $0.sequence.rawValue <= 3 ? $0 : rung($0.sequence.rawValue, at: 1) }
        disk.install(path, DigestLadder.encode(parted))
        var audit = try StateAudit(of: logDirectory, log.reader, storage: disk)
        try audit.setAside()
        #expect(try DigestLadder.read(path, storage: disk).count == 3)
    }

    @Test func `that were edited are set aside as damaged`() throws {
        var bytes = DigestLadder.encode([rung(10), rung(20)])
        bytes[bytes.count - 30] ^= 1
        disk.install(path, bytes)
        let (audit, rest) = try audit([])
        #expect(audit.unfit.map(\.kind) == [.damaged] && rest.isEmpty)
        #expect(!disk.content(of: path + ".damaged").isEmpty)
    }
}

@Suite struct `A repair` {
    private func makeLog(_ seed: UInt64 = 1, withStates: Bool = true) throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: seed)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...60)
        let store = CheckpointStore(directory: states, storage: disk)
        for sequence in UInt64(1)...60 where withStates || sequence % 20 == 0 {
            try store.save(checkpoint(sequence), of: log.reader)
            try DigestLadder.append(rung(sequence), in: states, storage: disk)
        }
        try log.close()
        return disk
    }

    @Test(arguments: [nil, RepairChoice.beforeHole, .everythingIntact])
    func `keeps the states of what lies before the damage, and no other`(_ choice: RepairChoice?) throws {
        for offset in [200, 450, 700] {
            let disk = try makeLog()
            disk.flipBit(of: disk.segmentPaths[1], at: offset, bit: 0)
            let preview = try EventLog.repairPreview(directory: logDirectory, storage: disk)
            let report = try EventLog.repair(directory: logDirectory, keep: choice, options: .small(), storage: disk)
            let log = try EventLog.openSmall(disk).log
            let sequences = try log.reader.sequences()
            let before = preview.lastSequenceBefore.rawValue
            #expect(sequences.starts(with: 1...before))
            #expect(60 - UInt64(sequences.count) == preview.lost(by: report.choice), "the preview was right")
            #expect(report.choice == choice ?? .everythingIntact && preview.cheaper == .everythingIntact)
            #expect(preview.lost(by: .everythingIntact) == 1 && preview.lost(by: .beforeHole) == 60 - before)
            let store = CheckpointStore(directory: states, storage: disk)
            #expect(try store.list().map(\.rawValue) == Array(1...before))
            #expect(try store.list(of: log.reader).map(\.rawValue) == Array(1...before))
            let ladder = states + "/" + DigestLadder.fileName
            #expect(try DigestLadder.read(ladder, storage: disk).map(\.sequence.rawValue) == Array(1...before))
            #expect(try disk.fileNames(in: states).count { $0.hasSuffix(".ckpt.foreign") } == 60 - Int(before))
        }
    }

    @Test func `costs nothing, and its preview says so, where no record is damaged`() throws {
        let disk = try makeLog()
        let path = disk.segmentPaths[1]
        disk.flipBit(of: path, at: disk.content(of: path).count - 20, bit: 0)
        let preview = try EventLog.repairPreview(directory: logDirectory, storage: disk)
        #expect(preview.damage?.code == .hole && preview.lost(by: .beforeHole) == 0 && preview.cheaper == .beforeHole)
        let report = try EventLog.repair(directory: logDirectory, keep: nil, options: .small(), storage: disk)
        #expect(report.droppedFrameCount == 0)
        #expect(try EventLog.openSmall(disk).log.reader.sequences() == Array(1...60))
    }

    @Test func `counts no record of another log among those that are kept`() throws {
        let disk = try makeLog()
        let other = SimulatedDisk(seed: 2)
        var options = EventLogOptions.small()
        options.newLogID = LogID(bytes: Array(101...116))
        let foreign = try EventLog.open(directory: logDirectory, options: options, storage: other).log
        try foreign.write(1...60)
        let path = disk.segmentPaths[2]
        disk.install(path, other.content(of: path))
        let report = try EventLog.repair(directory: logDirectory, keep: nil, options: .small(), storage: disk)
        let log = try EventLog.openSmall(disk).log
        let ids = Set(log.catalog.segments.map(\.header.logID))
        #expect(ids == [log.id] && report.salvagedFrameCount > 0)
        #expect(try log.reader.sequences().count < 60)
        _ = try EventLog.verify(directory: logDirectory, storage: disk)
    }

    @Test(arguments: [RepairChoice.beforeHole, .everythingIntact])
    func `that is interrupted anywhere is begun again, and loses nothing more`(_ choice: RepairChoice) throws {
        var (interruptions, changes) = (0, 0)
        while true {
            let disk = try makeLog(UInt64(changes), withStates: false)
            disk.flipBit(of: disk.segmentPaths[1], at: 450, bit: 0)
            let preview = try EventLog.repairPreview(directory: logDirectory, storage: disk)
            disk.state.withLock { $0.changesUntilCrash = changes }
            let first = try? EventLog.repair(directory: logDirectory, keep: choice, options: .small(), storage: disk)
            let isDone = first != nil && !disk.isDown
            disk.crash()
            if !isDone {
                interruptions += 1
                let opened = try? EventLog.openSmall(disk)
                // It opens only if all was done, or if the damage is not where an opening looks.
                if opened == nil || (try? EventLog.verify(directory: logDirectory, storage: disk)) == nil {
                    disk.killProcess()
                    _ = try EventLog.repair(directory: logDirectory, keep: choice, options: .small(), storage: disk)
                } else {
                    disk.killProcess()
                }
            }
            let sequences = try EventLog.openSmall(disk).log.reader.sequences()
            #expect(UInt64(sequences.count) + preview.lost(by: choice) == 60, "after \(changes) changes")
            let names = try disk.fileNames(in: logDirectory)
            #expect(!names.contains(RepairJournal.fileName))
            if isDone { break }
            changes += 1
        }
        #expect(interruptions > 30)
    }

    @Test func `of a log that is whole sets aside what does not go with it`() throws {
        let disk = try makeLog()
        for path in disk.segmentPaths + [logDirectory + "/MANIFEST"] { try disk.remove(path) }
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...20)
        try log.close()
        let preview = try EventLog.repairPreview(directory: logDirectory, storage: disk)
        #expect(preview.damage == nil && preview.missingThrough == SequenceNumber(60))
        let report = try EventLog.repair(directory: logDirectory, keep: nil, options: .small(), storage: disk)
        #expect(report.damage == nil && report.missingThrough == SequenceNumber(60) && report.unfit.count >= 60)
        let again = try EventLog.repairPreview(directory: logDirectory, storage: disk)
        #expect(again == RepairPreview())
    }
}
