// Small logs for tests.

import EventModel
import EventStore

/// The directory of every log on a simulated disk.
let logDirectory = "/log"

extension EventLogOptions {
    /// Settings that make segments of a few frames, without threads and without chance.
    static func small(segmentByteLimit: UInt64 = 1000) -> EventLogOptions {
        var options = EventLogOptions()
        options.segmentByteLimit = segmentByteLimit
        options.indexStrideBytes = 128
        options.hashesInBackground = false
        options.newLogID = LogID(bytes: Array(1...16))
        return options
    }
}

extension FrameBatch {
    /// Frames with these sequences, each recorded at a thousand times its sequence, with 20 bytes of facts.
    static func frames(_ sequences: some Sequence<UInt64>) throws -> FrameBatch {
        var batch = FrameBatch()
        for sequence in sequences { try batch.appendFrame(sequence, at: Int64(sequence) * 1000) }
        return batch
    }

    mutating func appendFrame(_ sequence: UInt64, at time: Int64) throws {
        try append(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time), sourceHash: sequence ^ 0xff,
            eventType: 5, schemaVersion: 2, flags: [.opaque], messageID: Array("id".utf8),
            subject: Array("s".utf8), facts: [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: 20),
            attachment: [1, 2, 3])
    }
}

extension EventLog {
    static func openSmall(
        _ disk: SimulatedDisk, segmentByteLimit: UInt64 = 1000
    ) throws -> (log: EventLog, report: RecoveryReport) {
        try open(directory: logDirectory, options: .small(segmentByteLimit: segmentByteLimit), storage: disk)
    }

    /// Appends and commits frames one group at a time.
    func write(_ sequences: ClosedRange<UInt64>, groupsOf count: UInt64 = 4) throws {
        var first = sequences.lowerBound
        while first <= sequences.upperBound {
            try append(try .frames(first...min(sequences.upperBound, first + count - 1)))
            try commit()
            first += count
        }
    }
}

extension LogReader {
    /// All sequences from one on.
    func sequences(from first: SequenceNumber = .origin) throws -> [UInt64] {
        var cursor = try frames(from: first)
        var found: [UInt64] = []
        while let batch = try cursor.nextBatch() { found += batch.map(\.sequence.rawValue) }
        return found
    }
}

extension SimulatedDisk {
    /// The segment files, in order.
    var segmentPaths: [String] {
        let names = (try? fileNames(in: logDirectory)) ?? []
        return names.filter { $0.hasSuffix(".log") }.sorted().map { logDirectory + "/" + $0 }
    }
}
