// A random life of a log on a simulated disk, checked against a list of what was promised.

import EventModel
import EventStore
import Synchronization
import Testing

/// A record as a test remembers it.
struct ModelFrame: Equatable {
    var sequence: UInt64
    var encoded: [UInt8]
}

/// One log, one disk, one seed.
struct LogWorkload {
    static let directory = "/log"

    let disk: SimulatedDisk
    var random: SeededGenerator
    var options = EventLogOptions()
    var log: EventLog?
    /// Everything appended that has not been taken back by a crash.
    var appended: [ModelFrame] = []
    /// How many of those were promised to last.
    var promisedCount = 0
    /// A batch whose append did not return: its frames may or may not appear.
    var uncertain: [ModelFrame] = []
    var checkpoint = SequenceNumber.origin
    var savedCheckpoints: [SequenceNumber: Checkpoint] = [:]
    var clock: Int64 = 0
    let seed: UInt64

    init(seed: UInt64) {
        self.seed = seed
        disk = SimulatedDisk(seed: seed)
        random = SeededGenerator(seed: seed ^ 0x5555)
        options.segmentByteLimit = UInt64([600, 2000, 6000].randomElement(using: &random)!)
        options.indexStrideBytes = 256
        options.hashesInBackground = false
        options.newLogID = LogID(bytes: [UInt8](repeating: 7, count: 16))
        disk.state.withLock { $0.hasShortWrites = seed % 2 == 0 }
    }

    /// Runs a life of so many steps and checks it after each opening.
    mutating func run(steps: Int) throws {
        try openAndCheck()
        for _ in 0..<steps {
            do {
                try step()
            } catch let error as EventStoreError {
                try recover(from: error)
            }
        }
        if log == nil { try openAndCheck() }
        try checkReading()
        disk.state.withLock { $0.capacityBytes = nil }
        _ = try EventLog.verify(directory: Self.directory, storage: disk)
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: try append()
        case 50..<75: try commit()
        case 75..<79: try dropOld()
        case 79..<83: try saveCheckpoint()
        case 83..<86: crash()
        case 86..<88: killProcess()
        case 88..<91:
            let count = Int.random(in: 0..<12, using: &random)
            disk.state.withLock { $0.changesUntilCrash = count }
        case 91..<93: disk.state.withLock { $0.failsNextSync = true }
        case 93..<96:
            let room = Int.random(in: 0..<1500, using: &random)
            disk.state.withLock { $0.capacityBytes = $0.usedBytes + room }
        case 96..<98: try close()
        default: try checkReading()
        }
        if log == nil { try openAndCheck() }
    }

    private mutating func makeBatch() throws -> (FrameBatch, [ModelFrame]) {
        var batch = FrameBatch()
        var sequence = max(appended.last?.sequence ?? 0, log!.lastSequence.rawValue)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            sequence += random.chance(20) ? 3 : 1
            clock += Int64.random(in: -20...100, using: &random)
            let facts = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            try batch.append(
                sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: clock),
                sourceHash: random.next(), eventType: 3, schemaVersion: 1, messageID: [1, 2], subject: [3],
                facts: facts, attachment: [9])
        }
        return (batch, batch.map { ModelFrame(sequence: $0.sequence.rawValue, encoded: Array($0.encoded)) })
    }

    private mutating func append() throws {
        let (batch, frames) = try makeBatch()
        uncertain = frames
        do {
            try log!.append(batch)
        } catch {
            // Refused for good: not even a crash may bring it back.
            if error.code == .diskFull { uncertain = [] }
            throw error
        }
        appended += frames
        uncertain = []
        #expect(log!.lastSequence.rawValue == appended.last!.sequence)
    }

    private mutating func commit() throws {
        try log!.commit()
        promisedCount = appended.count
        #expect(log!.lastDurableSequence == log!.lastSequence)
    }

    private mutating func close() throws {
        let closing = log
        log = nil
        try closing?.close()
        promisedCount = appended.count
    }

    private mutating func crash() {
        disk.crash()
        log = nil
    }

    private mutating func killProcess() {
        disk.killProcess()
        log = nil
    }

    private mutating func dropOld() throws {
        let limit = UInt64.random(in: 0..<8000, using: &random)
        try log!.applyRetention(
            RetentionLimits(byteCount: limit), now: Timestamp(nanoseconds: clock), checkpointSequence: checkpoint)
    }

    private mutating func saveCheckpoint() throws {
        guard log!.lastDurableSequence > checkpoint else { return }
        let state = Checkpoint(
            sequence: log!.lastDurableSequence, recordedAt: .zero, semanticsVersion: 1,
            codecVersion: 1, createdAt: .zero,
            sections: [
                .init(
                    name: "registry", digest: Digest(high: 1, low: log!.lastDurableSequence.rawValue), bytes: [1, 2, 3])
            ])
        let store = CheckpointStore(directory: Self.directory, keptCount: 2, storage: disk)
        savedCheckpoints[state.sequence] = state
        do {
            try store.save(state, of: log!.reader)
            checkpoint = state.sequence
            try store.prune()
        } catch {
            // A checkpoint that could not be saved harms nothing but itself.
            if disk.isDown { throw error }
        }
    }

    /// After an error: the power went, the writer is poisoned, or the disk was full.
    private mutating func recover(from error: EventStoreError) throws {
        if disk.isDown {
            crash()
        } else if error.code == .diskFull, random.chance(60) {
            try continueAfterFullDisk()
            return
        } else if error.code == .diskFull {
            // What was refused must not come back, even if the power goes right now.
            crash()
        } else {
            if let log {
                #expect(throws: EventStoreError.self) { try log.commit() }
                #expect(throws: EventStoreError.self) { try log.append(try makeBatch().0) }
            }
            if random.chance(50) { crash() } else { killProcess() }
        }
        try openUntilUp()
    }

    private mutating func continueAfterFullDisk() throws {
        disk.state.withLock { $0.capacityBytes = nil }
        do {
            if log == nil { try openAndCheck() }
            try append()
            try commit()
        } catch let error as EventStoreError {
            try #require(disk.isDown || error.operation == "fdatasync" || error.code == .poisoned, "\(error)")
            crash()
            try openUntilUp()
        }
    }

    private mutating func openUntilUp() throws {
        disk.state.withLock { $0.capacityBytes = nil }
        do {
            try openAndCheck()
        } catch let error as EventStoreError {
            try #require(disk.isDown || error.operation == "fdatasync", "\(error)")
            crash()
            try openAndCheck()
        }
    }

    /// Opens the log and compares what it holds with what was promised.
    private mutating func openAndCheck() throws {
        let opened = try EventLog.open(directory: Self.directory, options: options, storage: disk)
        log = opened.log
        let found = try readAll(opened.log.reader)
        let attempted = appended + uncertain
        let first = found.first?.sequence ?? opened.log.reader.firstRetained.rawValue
        let begin = attempted.firstIndex { $0.sequence >= first } ?? attempted.count
        let kept = begin + found.count
        try #require(kept >= promisedCount, "promised records are gone")
        try #require(kept <= attempted.count, "records nobody appended")
        try #require(Array(attempted[begin..<kept]) == found, "not the records that were appended")
        let isBehindCheckpoint = begin == 0 || attempted[begin - 1].sequence <= checkpoint.rawValue
        try #require(isBehindCheckpoint, "records no checkpoint had behind it are gone")
        appended = Array(attempted[..<kept])
        uncertain = []
        promisedCount = kept
        try #require(opened.log.lastSequence.rawValue == appended.last?.sequence ?? 0)
        try #require(opened.log.lastFrame?.sequence.rawValue == appended.last?.sequence)
        try checkCheckpoints()
    }

    private func checkCheckpoints() throws {
        let finding = try CheckpointStore(directory: Self.directory, storage: disk).newest(of: log?.reader)
        guard var found = finding.checkpoint else {
            try #require(checkpoint == .origin, "a saved checkpoint is gone")
            return
        }
        found.proof = nil
        try #require(found == savedCheckpoints[found.sequence] && found.sequence >= checkpoint)
        try #require(finding.warnings.isEmpty)
    }

    private func readAll(_ reader: LogReader) throws -> [ModelFrame] {
        var frames: [ModelFrame] = []
        var cursor = try reader.frames()
        while let batch = try cursor.nextBatch() {
            frames += batch.map { ModelFrame(sequence: $0.sequence.rawValue, encoded: Array($0.encoded)) }
        }
        return frames
    }

    /// Reads from the middle, by time and one by one, and compares.
    private mutating func checkReading() throws {
        guard let reader = log?.reader else { return }
        let last = reader.lastSequence.rawValue
        let first = reader.firstRetained.rawValue
        let visible = appended.filter { $0.sequence >= first && $0.sequence <= last }
        guard let some = visible.randomElement(using: &random) else { return }
        let found = try #require(try reader.frame(at: SequenceNumber(some.sequence)))
        try #require(Array(found.encoded) == some.encoded)
        let other = SequenceNumber(some.sequence + UInt64.random(in: 0..<30, using: &random))
        var cursor = try reader.frames(from: SequenceNumber(some.sequence), through: other)
        var read: [UInt64] = []
        while let batch = try cursor.nextBatch() { read += batch.map(\.sequence.rawValue) }
        let expected = visible.map(\.sequence).filter { $0 >= some.sequence && $0 <= other.rawValue }
        try #require(read == expected)
        try checkTimes(reader, found.recordedAt)
    }

    private func checkTimes(_ reader: LogReader, _ time: Timestamp) throws {
        var batches: [Frame] = []
        var cursor = try reader.frames()
        while let batch = try cursor.nextBatch() { batches += batch }
        // Dropped records count for the running maximum too; with none dropped the model knows all of it.
        guard reader.firstRetained.rawValue == appended.first?.sequence else { return }
        var maximum = Int64.min
        var reached: SequenceNumber?
        var before: SequenceNumber?
        for frame in batches {
            maximum = max(maximum, frame.recordedAt.rawValue)
            if maximum <= time.rawValue { before = frame.sequence }
            if maximum >= time.rawValue, reached == nil { reached = frame.sequence }
        }
        try #require(try reader.firstSequence(atOrAfter: time) == reached)
        try #require(try reader.lastSequence(atOrBefore: time) == before)
    }
}
