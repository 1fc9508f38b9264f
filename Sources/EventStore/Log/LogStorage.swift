// The port to the disk: small enough that a simulated disk can take its place.

package import EventModel

/// How a file is opened.
package enum LogFileMode: Hashable, Sendable {
    /// For reading; the file must exist.
    case read
    /// For reading and writing; the file must exist.
    case readWrite
    /// For reading and writing; an existing file is emptied.
    case create
}

/// An open file; closed when the last reference goes.
package protocol LogFile: AnyObject, Sendable {
    /// The size in bytes.
    func byteCount() throws(EventStoreError) -> UInt64
    /// Up to `count` bytes beginning at `offset`; fewer only at the end of the file.
    func read(at offset: UInt64, count: Int) throws(EventStoreError) -> [UInt8]
    /// Writes some of the bytes at `offset` and returns how many; may be fewer than given.
    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(EventStoreError) -> Int
    /// Sets the size.
    func truncate(to byteCount: UInt64) throws(EventStoreError)
    /// Returns when all bytes and the size are durable (fdatasync).
    func synchronize() throws(EventStoreError)
    /// Whether the path leads to this very file. True where the storage cannot tell.
    func isAt(_ path: String) throws(EventStoreError) -> Bool
}

/// Held while one process writes to a directory; given back by `release()` or when the last reference goes.
package protocol LogLock: AnyObject, Sendable {
    /// Gives the lock back.
    func release()
    /// Whether the path leads to this very lock. True where the storage cannot tell.
    func isAt(_ path: String) throws(EventStoreError) -> Bool
}

extension LogLock {
    package func isAt(_ path: String) throws(EventStoreError) -> Bool { true }
}

/// The room on a device.
package struct DiskSpace: Hashable, Sendable {
    /// Bytes an unprivileged process may still write.
    package var freeBytes: UInt64
    /// The size of the file system in bytes.
    package var totalBytes: UInt64

    package init(freeBytes: UInt64, totalBytes: UInt64) {
        self.freeBytes = freeBytes
        self.totalBytes = totalBytes
    }

    /// The used share in basis points, 0 … 10,000.
    package var usedBasisPoints: UInt64 {
        if totalBytes == 0 { return 10_000 }
        let usedBytes = totalBytes - min(freeBytes, totalBytes)
        return totalBytes.dividingFullWidth(usedBytes.multipliedFullWidth(by: 10_000)).quotient
    }
}

/// What the store needs of an operating system.
package protocol LogStorage: Sendable {
    /// Opens a file; `.notFound` if it must exist and does not. New files are readable by their owner only.
    func open(_ path: String, _ mode: LogFileMode) throws(EventStoreError) -> any LogFile
    /// The names in a directory in no order; empty if there is no such directory.
    func fileNames(in directory: String) throws(EventStoreError) -> [String]
    /// Makes a directory for its owner only, and its parents; no error if it exists.
    func createDirectory(_ path: String) throws(EventStoreError)
    /// Gives a file another name, replacing what had that name.
    func rename(_ path: String, to newPath: String) throws(EventStoreError)
    /// Removes a file.
    func remove(_ path: String) throws(EventStoreError)
    /// Returns when creations, renames and removals in the directory are durable.
    func synchronizeDirectory(_ path: String) throws(EventStoreError)
    /// Takes the lock file, or throws `.locked`.
    func lock(_ path: String) throws(EventStoreError) -> any LogLock
    /// The room on the device that holds the directory.
    func diskSpace(at directory: String) throws(EventStoreError) -> DiskSpace
    /// The directory itself, so that it can be told from another one of its name later; nil where there is no such thing.
    func hold(_ directory: String) throws(EventStoreError) -> (any LogFile)?
    /// The wall clock.
    func now() -> Timestamp
    /// A clock that never goes back, for measuring.
    func monotonicNanoseconds() -> UInt64
}

extension LogFile {
    package func isAt(_ path: String) throws(EventStoreError) -> Bool { true }

    /// Writes all bytes, going on after short writes.
    func writeAll(_ bytes: Span<UInt8>, at offset: UInt64) throws(EventStoreError) {
        var written = 0
        while written < bytes.count {
            let count = try write(bytes.extracting(droppingFirst: written), at: offset + UInt64(written))
            precondition(count > 0, "a write that writes nothing must throw")
            written += count
        }
    }

    /// The whole content.
    func readAll() throws(EventStoreError) -> [UInt8] {
        try read(at: 0, count: Int(try byteCount()))
    }
}

extension LogStorage {
    package func hold(_ directory: String) throws(EventStoreError) -> (any LogFile)? { nil }

    /// Removes what interrupted replacements have left in a directory, and returns the paths. What is not a file stays.
    package func removeTemporaries(in directory: String) throws(EventStoreError) -> [String] {
        var removed: [String] = []
        for name in try fileNames(in: directory) where name.hasSuffix(FileName.temporarySuffix) {
            let path = directory + "/" + name
            do throws(EventStoreError) {
                try remove(path)
                removed.append(path)
            } catch {
                guard error.code == .wrongKindOfFile || error.code == .notFound else { throw error }
            }
        }
        return removed
    }

    /// Gives a file a name that nothing reads (`<name>.damaged`, or `<name>.2.damaged`), and returns the new path.
    /// Durable after the next `synchronizeDirectory`.
    func moveAside(_ path: String, in directory: String, suffix: String) throws(EventStoreError) -> String {
        let name = try asidePath(path, in: directory, suffix: suffix)
        try rename(path, to: name)
        return name
    }

    /// A path that nothing reads and nobody has.
    func asidePath(_ path: String, in directory: String, suffix: String) throws(EventStoreError) -> String {
        let taken = Set(try fileNames(in: directory).map { directory + "/" + $0 })
        var name = path + suffix
        var number = 1
        while taken.contains(name) {
            number += 1
            name = "\(path).\(number)\(suffix)"
        }
        return name
    }

    /// Replaces a file so that after a crash either the old or the new content is there, whole.
    func replaceAtomically(_ path: String, in directory: String, with bytes: [UInt8]) throws(EventStoreError) {
        var isWritten = false
        try replaceAtomically(path, in: directory) {
            defer { isWritten = true }
            return isWritten ? nil : bytes
        }
    }

    /// The same with content that is made piece by piece, so that it never stands in memory whole; nil: that was all.
    func replaceAtomically(
        _ path: String, in directory: String, with next: () -> [UInt8]?
    ) throws(EventStoreError) {
        let temporary = path + FileName.temporarySuffix
        do throws(EventStoreError) {
            let file = try open(temporary, .create)
            var offset: UInt64 = 0
            while let bytes = next() {
                try file.writeAll(bytes.span, at: offset)
                offset += UInt64(bytes.count)
            }
            try file.synchronize()
        } catch {
            try? remove(temporary)
            throw error
        }
        try rename(temporary, to: path)
        try synchronizeDirectory(directory)
    }
}
