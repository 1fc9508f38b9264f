// A copy made beside the writer is the log it was, up to a record.

import EventModel
import EventStore
import Testing

@Suite struct `A hot backup` {
    private func backUp(_ disk: SimulatedDisk) throws -> BackupReport {
        try LogBackup(of: logDirectory, into: "/copy", storage: disk).run()
    }

    private func checkpoint(_ sequence: UInt64) -> Checkpoint {
        Checkpoint(
            sequence: SequenceNumber(sequence), recordedAt: .zero, semanticsVersion: 1, codecVersion: 1,
            createdAt: .zero, sections: [.init(name: "machine", digest: .zero, bytes: [1, 2, 3])])
    }

    @Test func `has every committed record, the same segments and identity, while the writer goes on`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...50)
        try CheckpointStore(directory: logDirectory + "/checkpoints", storage: disk)
            .save(checkpoint(40), of: log.reader)
        let report = try backUp(disk)
        #expect(report.lastSequence == SequenceNumber(50) && report.checkpoints == [SequenceNumber(40)])
        try log.write(51...60)
        let (original, copy) = (
            try EventLog.verify(directory: logDirectory, storage: disk),
            try EventLog.verify(directory: "/copy", storage: disk)
        )
        #expect(copy.frameCount == 50 && copy.logID == original.logID)
        let sealed = copy.segments.compactMap(\.hash)
        #expect(!sealed.isEmpty && sealed == Array(original.segments.compactMap(\.hash).prefix(sealed.count)))
        let (restored, found) = try EventLog.open(directory: "/copy", options: .small(), storage: disk)
        #expect(found.tornTail == nil && restored.lastSequence == SequenceNumber(50))
        try restored.write(51...70)
        #expect(try restored.reader.sequences() == Array(1...70))
    }

    @Test func `of a trimmed log has the checkpoint it needs, or is none`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...60)
        let dropped = try log.applyRetention(
            RetentionLimits(byteCount: 2_500), now: .zero, checkpointSequence: SequenceNumber(60))
        #expect(dropped > 0)
        let error = #expect(throws: EventStoreError.self) { try backUp(disk) }
        #expect(error?.code == .notFound)
        let another = SimulatedDisk(seed: 2)
        let (second, _) = try EventLog.openSmall(another)
        try second.write(1...60)
        try CheckpointStore(directory: logDirectory + "/checkpoints", storage: another)
            .save(checkpoint(58), of: second.reader)
        try second.applyRetention(
            RetentionLimits(byteCount: 2_500), now: .zero, checkpointSequence: SequenceNumber(58))
        let report = try backUp(another)
        #expect(report.checkpoints == [SequenceNumber(58)] && report.lastSequence == SequenceNumber(60))
        let copy = try EventLog.verify(directory: "/copy", storage: another)
        #expect(copy.lastDropped != nil && copy.lastSequence == SequenceNumber(60))
    }

    @Test func `does not touch a directory that has something in it`() throws {
        let disk = SimulatedDisk(seed: 1)
        let (log, _) = try EventLog.openSmall(disk)
        try log.write(1...5)
        let error = #expect(throws: EventStoreError.self) {
            try LogBackup(of: logDirectory, into: logDirectory, storage: disk).run()
        }
        #expect(error?.code == .notEmpty)
        #expect(try log.reader.sequences() == [1, 2, 3, 4, 5])
    }
}
