// The settings of a log and what opening it has to report.

package import EventModel

/// How a log is written. Nothing of this is needed to read it.
package struct EventLogOptions: Sendable {
    /// When `commit()` makes records durable.
    package enum Durability: Hashable, Sendable {
        /// At every commit.
        case always
        /// At a commit when so much time has passed since the last; a crash of the machine may lose the rest.
        case interval(Nanoseconds)
        /// When a segment is sealed and when the log is closed.
        case never
    }

    /// A segment is sealed before it would exceed this size in bytes.
    package var segmentByteLimit: UInt64 = 64 << 20
    /// A segment is sealed before a record that is so much later than its first one; nil: never.
    package var segmentAgeLimit: Nanoseconds?
    /// When `commit()` makes records durable.
    package var durability = Durability.always
    /// A frame about every so many bytes is in the sparse index.
    package var indexStrideBytes = 64 << 10
    /// Whether sealed segments are hashed on a thread of their own; otherwise when the hash is needed.
    package var hashesInBackground = true
    /// The identity of a log that is made new; nil: chance.
    package var newLogID: LogID?
    /// Whether it is the repair itself that opens the log.
    var isRepair = false

    package init() {}
}

/// What recovery cut off an unsealed segment.
package struct TornTail: Hashable, Sendable {
    package var path: String
    /// The segment's byte from which on it was cut.
    package var offset: UInt64
    /// Bytes cut off.
    package var byteCount: UInt64
    /// Whole frames among them: written after the last completed fdatasync, behind something lost.
    package var discardedFrameCount: UInt64
}

/// What opening a log found and did.
package struct RecoveryReport: Hashable, Sendable {
    /// Whether the log was made by this opening.
    package var isNew = false
    /// What was cut off, if anything.
    package var tornTail: TornTail?
    /// Files that an interrupted operation had left and that were removed.
    package var removedFiles: [String] = []
    /// Bytes of the unsealed segment that had to be scanned.
    package var scannedByteCount: UInt64 = 0
    /// The last record after recovery.
    package var lastSequence = SequenceNumber.origin
}

/// What a stream's message must look like to be the last one of the log.
package struct LastFrame: Hashable, Sendable {
    package var sequence: SequenceNumber
    package var recordedAt: Timestamp
    package var sourceHash: UInt64
}
