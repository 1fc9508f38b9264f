// A random life of a log with states beside it: whatever becomes of the files, a start finds the state of the records.

import EventModel
import Synchronization
import Testing

@testable import EventStore

/// What the records of a log amount to, as simply as can be: every byte of every record counts, in order.
private struct Folded: Equatable {
    var sequence = SequenceNumber.origin
    var digest = Digest.zero

    mutating func apply(_ frame: Frame) {
        sequence = frame.sequence
        digest = Digest.of(Array("\(digest)".utf8) + frame.encoded)
    }
}

/// One log, one disk, one seed.
struct StateWorkload {
    private let disk: SimulatedDisk
    private var random: SeededGenerator
    private var options = EventLogOptions()
    private var directory = "/log"
    private var log: EventLog?
    private var clock: Int64 = 0
    private var copies = 0
    /// Files of an earlier moment, by their paths.
    private var olderCopy: [String: [UInt8]]?
    /// The furthest record that a state was made of, until somebody has said that it is gone.
    private var proven = SequenceNumber.origin
    /// How often records were gone and somebody said so.
    private(set) var noticedCount = 0
    /// How often a start began with a state of the disk.
    private(set) var restoredCount = 0

    init(seed: UInt64) {
        disk = SimulatedDisk(seed: seed)
        random = SeededGenerator(seed: seed ^ 0x7777)
        options.segmentByteLimit = UInt64([800, 3_000, 20_000].randomElement(using: &random)!)
        options.indexStrideBytes = 256
        options.hashesInBackground = false
        options.durability = [.always, .never, .interval(.seconds(3_600))].randomElement(using: &random)!
    }

    private var states: CheckpointStore {
        CheckpointStore(directory: directory + "/" + CheckpointStore.folder, keptCount: 3, storage: disk)
    }

    /// Runs a life of so many steps and looks at what each start finds.
    mutating func run(steps: Int) throws {
        try start()
        for _ in 0..<steps {
            do {
                try step()
            } catch let error as EventStoreError {
                try #require(disk.isDown, "\(error)")
                crash()
            }
            if log == nil { try start() }
        }
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40: try append()
        case 40..<55: try log!.commit()
        case 55..<70: try saveState()
        case 70..<75: crash()
        case 75..<79: disk.state.withLock { $0.changesUntilCrash = Int.random(in: 0..<30, using: &random) }
        case 79..<82: try end()
        case 82..<87: try damage()
        case 87..<91: try truncate()
        case 91..<94: try copy()
        case 94..<97: try restoreCopy()
        default: try moveByImport()
        }
    }

    private mutating func append() throws {
        var batch = FrameBatch()
        var sequence = log!.lastSequence.rawValue
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            sequence += 1
            clock += Int64.random(in: 1...100, using: &random)
            let facts = (0..<Int.random(in: 0..<90, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            try batch.append(
                sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: clock), eventType: 3,
                schemaVersion: 1, subject: [3], facts: facts)
        }
        try log!.append(batch)
    }

    private func fold(_ reader: LogReader, from start: Folded = Folded(), through last: SequenceNumber) throws -> Folded
    {
        var folded = start
        var cursor = try reader.frames(from: start.sequence.next, through: last)
        while let batch = try cursor.nextBatch() { for frame in batch { folded.apply(frame) } }
        return folded
    }

    private mutating func saveState() throws {
        let reader = log!.reader
        let last = reader.lastSequence
        guard let frame = try reader.frame(at: last) else { return }
        let folded = try fold(reader, through: last)
        let head = Checkpoint(
            sequence: last, recordedAt: frame.recordedAt, semanticsVersion: 1, codecVersion: 1, createdAt: .zero,
            sections: [.init(name: "machine", digest: folded.digest, bytes: Array("\(folded.digest)".utf8))])
        try states.save(head, of: reader)
        proven = max(proven, last)
        try states.prune()
        try DigestLadder.append(
            LadderRung(
                sequence: last, recordedAt: frame.recordedAt,
                machines: [MachineDigest(machine: "machine", digest: folded.digest)]), in: states.directory,
            storage: disk)
    }

    // MARK: What becomes of the files

    private mutating func crash() {
        disk.crash()
        log = nil
    }

    private mutating func end() throws {
        let ending = log
        log = nil
        try ending?.close()
    }

    private var segments: [String] {
        ((try? disk.fileNames(in: directory)) ?? []).filter { $0.hasSuffix(".log") }.sorted().map {
            directory + "/" + $0
        }
    }

    private mutating func damage() throws {
        try end()
        guard let path = segments.randomElement(using: &random) else { return }
        let size = disk.content(of: path).count
        if size == 0 { return }
        disk.flipBit(
            of: path, at: Int.random(in: 0..<size, using: &random), bit: Int.random(in: 0..<8, using: &random))
    }

    private mutating func truncate() throws {
        try end()
        guard let path = segments.last else { return }
        let bytes = disk.content(of: path)
        disk.install(path, Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))))
    }

    private mutating func copy() throws {
        try end()
        var files: [String: [UInt8]] = [:]
        for name in try disk.fileNames(in: directory) {
            files[directory + "/" + name] = disk.content(of: directory + "/" + name)
        }
        olderCopy = files
    }

    /// The log of an earlier moment comes back, with what lay beside it then or with what lies beside it now.
    private mutating func restoreCopy() throws {
        guard let files = olderCopy, files.keys.allSatisfy({ $0.hasPrefix(directory + "/") }) else { return }
        try end()
        let isWhole = random.chance(50)
        for name in try disk.fileNames(in: directory) where isWhole || !name.contains("/") {
            try disk.remove(directory + "/" + name)
        }
        for (path, bytes) in files where isWhole || !path.contains("/" + CheckpointStore.folder + "/") {
            disk.install(path, bytes)
        }
        try disk.synchronizeDirectory(directory)
        // Nothing is left that could know.
        if isWhole { proven = .origin }
    }

    /// Into a new log by export and import; somebody takes the states along.
    private mutating func moveByImport() throws {
        let reader = log!.reader
        guard reader.lastSequence > .origin else { return }
        copies += 1
        let (file, old) = ("/export-\(copies)", directory)
        _ = try reader.export(to: file, id: log!.id)
        try end()
        directory = "/log-\(copies)"
        (olderCopy, proven) = (nil, .origin)
        _ = try EventLog.importLog(from: file, into: directory, options: options, storage: disk)
        for name in try disk.fileNames(in: old) where name.contains("/") {
            disk.install(directory + "/" + name, disk.content(of: old + "/" + name))
        }
    }

    // MARK: A start

    private mutating func start() throws {
        for _ in 0..<50 where log == nil {
            do {
                try attempt()
            } catch let error as EventStoreError {
                if disk.isDown {
                    crash()
                } else {
                    try #require([.hole, .manifestDamaged].contains(error.code), "\(error)")
                    notice()
                    disk.killProcess()
                    try repair()
                }
            }
        }
        try #require(log != nil, "no start in fifty")
    }

    private mutating func notice() {
        if proven > .origin { noticedCount += 1 }
        proven = .origin
    }

    private mutating func repair() throws {
        do {
            let choice = [nil, RepairChoice.beforeHole, .everythingIntact].randomElement(using: &random)!
            _ = try EventLog.repair(directory: directory, keep: choice, options: options, storage: disk)
        } catch {
            try #require(disk.isDown, "\(error)")
            crash()
        }
    }

    /// What a node does: opens, looks, refuses or sets aside, restores, folds on.
    private mutating func attempt() throws {
        let opened = try EventLog.open(directory: directory, options: options, storage: disk).log
        _ = try EventLog.verify(directory: directory, storage: disk)
        let reader = opened.reader
        var audit = try StateAudit(of: directory, reader, storage: disk)
        try #require(
            audit.missingThrough != nil || proven <= reader.lastSequence, "records are gone, and nobody says so")
        if audit.missingThrough != nil {
            notice()
            if random.chance(50) {
                try opened.close()
                return try repair()
            }
        }
        try audit.setAside()
        let found = try states.newest(notAfter: reader.lastSequence, of: reader).checkpoint
        if let found {
            restoredCount += 1
            try check(found, reader)
        }
        try check(states.list(of: reader), reader)
        log = opened
    }

    private func check(_ checkpoint: Checkpoint, _ reader: LogReader) throws {
        let start = Folded(sequence: checkpoint.sequence, digest: checkpoint.sections[0].digest)
        let end = try fold(reader, from: start, through: reader.lastSequence)
        let whole = try fold(reader, through: reader.lastSequence)
        try #require(end == whole, "not the state of the records")
    }

    /// So does everything else that a journey into the past would begin with, and every digest that is kept.
    private func check(_ sequences: [SequenceNumber], _ reader: LogReader) throws {
        for sequence in sequences {
            let checkpoint = try states.load(sequence)
            let folded = try fold(reader, through: sequence)
            try #require(checkpoint.sections[0].digest == folded.digest)
        }
        let path = states.directory + "/" + DigestLadder.fileName
        for rung in (try? DigestLadder.read(path, storage: disk)) ?? [] {
            let folded = try fold(reader, through: rung.sequence)
            try #require(rung.machines[0].digest == folded.digest, "\(rung.sequence)")
        }
    }
}

@Suite struct `A state on disk` {
    @Test(arguments: 0..<8)
    func `becomes the state of a start only where the log has the records it was made of`(shard: Int) throws {
        var (noticed, restored) = (0, 0)
        for seed in 0..<25 {
            var workload = StateWorkload(seed: UInt64(shard * 100 + seed))
            do {
                try workload.run(steps: 60)
            } catch {
                Issue.record("seed \(shard * 100 + seed): \(error)")
            }
            noticed += workload.noticedCount
            restored += workload.restoredCount
        }
        // The lives are eventful enough to mean something.
        #expect(noticed > 5 && restored > 50, "\(noticed) losses, \(restored) states")
    }
}
