// The one error type of the store: what went wrong, doing what, where.

package import EventModel

/// An operating failure of the log: never a bug (those trap), never a refusal (those are values).
package struct EventStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong.
    package enum Code: Hashable, Sendable {
        /// No room on the device or in the quota. The log is unharmed and goes on when there is room.
        case diskFull
        /// A call of the operating system failed.
        case inputOutput
        /// A file that had to be there is not.
        case notFound
        /// Damage in data that was durable: never repaired silently, `EventLog.repair` decides.
        case hole
        /// Another process (nil: unknown) writes to this directory.
        case locked(processID: Int32?)
        /// The log was fed from another source; only export and import change it (decision 3).
        case sourceMismatch
        /// An earlier fsync or truncation failed, so nobody knows what is on disk; open the log anew.
        case poisoned
        /// `close()` was called before.
        case closed
        /// The records asked for are behind the retention horizon.
        case gone(firstRetained: SequenceNumber)
        /// The batch does not come after the last record of the log.
        case notAscending(last: SequenceNumber)
        /// A field or a frame is larger than the format permits.
        case frameTooLarge
        /// Written by a newer version of the format.
        case formatUnknown(version: UInt32)
        /// The manifest cannot be read; `EventLog.repair` makes it anew from the segments.
        case manifestDamaged
        /// A checkpoint cannot be trusted.
        case checkpointDamaged
        /// A checkpoint was made of other records than those of this log.
        case checkpointForeign
        /// The log ends before a record that something else proves: durable records are gone.
        case recordsMissing(through: SequenceNumber)
        /// The directory, its lock or the open segment is no longer the one that this process writes to.
        case removed
        /// The log belongs to another prefix: it is another mesh's.
        case prefixMismatch
        /// A directory has the name of a file of the log, or a file that of a directory.
        case wrongKindOfFile
        /// An exported file cannot be trusted.
        case exportDamaged
        /// The directory to import into has something in it.
        case notEmpty
    }

    /// What went wrong.
    package var code: Code
    /// The file or directory concerned.
    package var path: String?
    /// The operation that failed, as an engineer calls it: "write", "fdatasync".
    package var operation: String?
    /// The number the operating system gave.
    package var errno: Int32?
    /// The byte in the file where the damage begins.
    package var offset: UInt64?
    /// The last intact record before the damage.
    package var afterSequence: SequenceNumber?
    /// One clause for the reader of a log line.
    package var detail: String?

    package init(
        _ code: Code, path: String? = nil, operation: String? = nil, errno: Int32? = nil, offset: UInt64? = nil,
        afterSequence: SequenceNumber? = nil, detail: String? = nil
    ) {
        self.code = code
        self.path = path
        self.operation = operation
        self.errno = errno
        self.offset = offset
        self.afterSequence = afterSequence
        self.detail = detail
    }

    /// One line: the code first, then everything known.
    package var description: String {
        var text = "\(code)"
        if let detail { text += ": \(detail)" }
        if let operation { text += ", operation \(operation)" }
        if let path { text += ", path \(path)" }
        if let errno { text += ", errno \(errno)" }
        if let offset { text += ", offset \(offset)" }
        if let afterSequence { text += ", after sequence \(afterSequence)" }
        return text
    }
}
