// The names of the files in a log's directory.

import EventModel

/// How files are called; a segment by its first sequence, a checkpoint by the sequence it is true for.
enum FileName {
    static let manifest = "MANIFEST"
    static let lock = "LOCK"
    static let segmentSuffix = ".log"
    static let temporarySuffix = ".tmp"
    static let damagedSuffix = ".damaged"
    static let foreignSuffix = ".foreign"
    static let checkpointPrefix = "checkpoint-"
    static let checkpointSuffix = ".ckpt"

    static func segment(_ first: SequenceNumber) -> String { padded(first) + segmentSuffix }

    static func checkpoint(_ sequence: SequenceNumber) -> String {
        checkpointPrefix + padded(sequence) + checkpointSuffix
    }

    /// The first sequence a segment's name tells, nil for other files.
    static func segmentSequence(_ name: String) -> SequenceNumber? { sequence(name, "", segmentSuffix) }

    /// The sequence a checkpoint's name tells, nil for other files.
    static func checkpointSequence(_ name: String) -> SequenceNumber? {
        sequence(name, checkpointPrefix, checkpointSuffix)
    }

    private static func sequence(_ name: String, _ prefix: String, _ suffix: String) -> SequenceNumber? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
        guard digits.count == 20, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return UInt64(digits).map { SequenceNumber($0) }
    }

    private static func padded(_ sequence: SequenceNumber) -> String {
        let digits = String(sequence.rawValue)
        return String(repeating: "0", count: 20 - digits.count) + digits
    }
}
