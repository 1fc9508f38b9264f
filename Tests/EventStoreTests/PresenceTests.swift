// What somebody does to the files of a running log is noticed before anything more is acknowledged.

import EventModel
import Foundation
import Testing

@testable import EventStore

@Suite struct `Files of a log that is being written` {
    /// What somebody may do to them.
    enum Deed: String, CaseIterable, Sendable {
        case renamesDirectory, removesDirectory, replacesDirectoryByItsCopy, unlinksSegment, replacesSegment,
            unlinksLock
        case replacesLock
    }

    private let directory = NSTemporaryDirectory() + "lattice-presence-\(UUID().uuidString)"

    private func cleanUp() {
        for suffix in ["", ".moved", ".copy"] { try? FileManager.default.removeItem(atPath: directory + suffix) }
    }

    private func replace(_ path: String) throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try FileManager.default.removeItem(atPath: path)
        // Something else takes the number of the file that has gone.
        try Data().write(to: URL(fileURLWithPath: directory + "/something"))
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    private func perform(_ deed: Deed) throws {
        let files = FileManager.default
        let segment = directory + "/" + FileName.segment(SequenceNumber(1))
        let lock = directory + "/" + FileName.lock
        switch deed {
        case .renamesDirectory: try files.moveItem(atPath: directory, toPath: directory + ".moved")
        case .removesDirectory: try files.removeItem(atPath: directory)
        case .replacesDirectoryByItsCopy:
            try files.copyItem(atPath: directory, toPath: directory + ".copy")
            try files.moveItem(atPath: directory, toPath: directory + ".moved")
            try files.moveItem(atPath: directory + ".copy", toPath: directory)
        case .unlinksSegment: try files.removeItem(atPath: segment)
        case .replacesSegment: try replace(segment)
        case .unlinksLock: try files.removeItem(atPath: lock)
        case .replacesLock: try replace(lock)
        }
    }

    @Test(arguments: Deed.allCases)
    func `are missed when somebody`(_ deed: Deed) throws {
        defer { cleanUp() }
        let log = try EventLog.open(directory: directory).log
        try log.requirePresence()
        try log.write(1...10)
        try log.requirePresence()
        try perform(deed)
        let error = #expect(throws: EventStoreError.self) { try log.requirePresence() }
        #expect(error?.code == .removed && error?.path?.hasPrefix(directory) == true, "\(deed)")
        // From then on nothing is taken.
        #expect(throws: EventStoreError.self) { try log.append(try .frames([11])) }
        #expect(throws: EventStoreError.self) { try log.commit() }
    }

    @Test func `are not missed when what they do is ordinary`() throws {
        defer { cleanUp() }
        let log = try EventLog.open(directory: directory, options: .small()).log
        for first in stride(from: UInt64(1), to: 200, by: 10) {
            try log.write(first...first + 9)
            try log.requirePresence()
        }
        try log.applyRetention(RetentionLimits(byteCount: 3_000), now: .zero, checkpointSequence: SequenceNumber(199))
        try log.requirePresence()
        // A copy beside it, a link to it, other files in it.
        try FileManager.default.copyItem(atPath: directory, toPath: directory + ".copy")
        try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/note"))
        try log.requirePresence()
    }
}

@Suite struct `Directories named like files of a log` {
    private let directory = NSTemporaryDirectory() + "lattice-kinds-\(UUID().uuidString)"

    private func make(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: directory + "/" + name, withIntermediateDirectories: true)
    }

    @Test(arguments: [
        FileName.manifest, FileName.lock, FileName.segment(SequenceNumber(1)), FileName.manifest + ".tmp",
    ])
    func `are told by their names`(_ name: String) throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try make(name)
        let error = #expect(throws: EventStoreError.self) {
            let log = try EventLog.open(directory: directory).log
            try log.write(1...3)
        }
        #expect(
            error?.code == .wrongKindOfFile || error?.code == .manifestDamaged, "\(name): \(String(describing: error))")
        #expect(error?.path?.hasPrefix(directory) == true)
    }

    @Test func `are no checkpoints and no digests, and are set aside`() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let log = try EventLog.open(directory: directory).log
        try log.write(1...3)
        let folder = CheckpointStore.folder
        try make(folder + "/" + FileName.checkpoint(SequenceNumber(2)))
        try make(folder + "/" + DigestLadder.fileName)
        var audit = try StateAudit(of: directory, log.reader)
        try audit.setAside()
        #expect(audit.unfit.map(\.kind) == [.damaged, .damaged])
        #expect(try CheckpointStore(directory: directory + "/" + folder).newest(of: log.reader).checkpoint == nil)
        #expect(try CheckpointStore(directory: directory + "/" + folder).list().isEmpty)
    }

    @Test func `stay where they only look like leftovers, and leftovers go`() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try make("mine.tmp")
        for name in ["MANIFEST.tmp", "checkpoint-00000000000000000007.ckpt.tmp"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/" + name))
        }
        let (_, report) = try EventLog.open(directory: directory)
        #expect(report.removedFiles.count == 2)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        #expect(names.filter { $0.hasSuffix(".tmp") } == ["mine.tmp"])
    }

    @Test func `a file in the place of the directory is told, too`() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Data("x".utf8).write(to: URL(fileURLWithPath: directory))
        let error = #expect(throws: EventStoreError.self) { try EventLog.open(directory: directory) }
        #expect(error?.code == .wrongKindOfFile && error?.path?.hasPrefix(directory) == true)
    }
}
