// The real disk: POSIX files, one descriptor each.

package import EventModel
import Glibc

/// Files of the operating system. Calls interrupted by signals are repeated.
package struct PosixStorage: LogStorage {
    package init() {}

    package func open(_ path: String, _ mode: LogFileMode) throws(EventStoreError) -> any LogFile {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_TRUNC
            }
        let descriptor = repeatingInterrupted { unsafe Glibc.open(path, flags | O_CLOEXEC, mode_t(0o600)) }
        guard descriptor >= 0 else { throw failure("open", path) }
        return PosixFile(adopting: Int32(descriptor), path: path)
    }

    package func fileNames(in directory: String) throws(EventStoreError) -> [String] {
        guard let stream = unsafe opendir(directory) else {
            if errno == ENOENT { return [] }
            throw failure("opendir", directory)
        }
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw failure("readdir", directory) }
        return names
    }

    package func createDirectory(_ path: String) throws(EventStoreError) {
        if unsafe mkdir(path, 0o700) == 0 { return }
        if errno == EEXIST { return }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try createDirectory(String(path[..<slash]))
            if unsafe mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        }
        throw failure("mkdir", path)
    }

    package func rename(_ path: String, to newPath: String) throws(EventStoreError) {
        guard unsafe Glibc.rename(path, newPath) == 0 else { throw failure("rename", path) }
    }

    package func remove(_ path: String) throws(EventStoreError) {
        guard unsafe unlink(path) == 0 else { throw failure("unlink", path) }
    }

    package func synchronizeDirectory(_ path: String) throws(EventStoreError) {
        let descriptor = repeatingInterrupted { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw failure("open", path) }
        let directory = PosixFile(adopting: Int32(descriptor), path: path)
        try directory.synchronizeAll()
    }

    package func lock(_ path: String) throws(EventStoreError) -> any LogLock {
        let descriptor = repeatingInterrupted { unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_t(0o600)) }
        guard descriptor >= 0 else { throw failure("open", path) }
        let file = PosixFile(adopting: Int32(descriptor), path: path)
        guard file.tryLock() else {
            guard errno == EWOULDBLOCK else { throw failure("flock", path) }
            let text = String(decoding: try file.read(at: 0, count: 20), as: UTF8.self)
            throw EventStoreError(
                .locked(processID: Int32(text.prefix { $0.isNumber })), path: path, operation: "flock",
                detail: "another process writes to this log")
        }
        let text = Array("\(getpid())\n".utf8)
        try file.truncate(to: 0)
        try file.writeAll(text.span, at: 0)
        return file
    }

    package func diskSpace(at directory: String) throws(EventStoreError) -> DiskSpace {
        var information = statvfs()
        guard unsafe statvfs(directory, &information) == 0 else { throw failure("statvfs", directory) }
        let unit = UInt64(information.f_frsize)
        return DiskSpace(
            freeBytes: UInt64(information.f_bavail) * unit, totalBytes: UInt64(information.f_blocks) * unit)
    }

    package func hold(_ directory: String) throws(EventStoreError) -> (any LogFile)? {
        let descriptor = repeatingInterrupted { unsafe Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw failure("open", directory) }
        return PosixFile(adopting: Int32(descriptor), path: directory)
    }

    package func now() -> Timestamp { Timestamp(nanoseconds: Int64(nanoseconds(CLOCK_REALTIME))) }

    package func monotonicNanoseconds() -> UInt64 { nanoseconds(CLOCK_MONOTONIC) }

    private func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// One descriptor, closed when the last reference goes.
final class PosixFile: LogFile, LogLock {
    private let descriptor: Int32
    private let path: String

    init(adopting descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func byteCount() throws(EventStoreError) -> UInt64 {
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { throw failure("fstat", path) }
        return UInt64(information.st_size)
    }

    func read(at offset: UInt64, count: Int) throws(EventStoreError) -> [UInt8] {
        var error: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            while initializedCount < count {
                let got = repeatingInterrupted {
                    unsafe pread(
                        descriptor, buffer.baseAddress! + initializedCount, count - initializedCount,
                        off_t(offset) + off_t(initializedCount))
                }
                if got < 0 { error = errno }
                if got <= 0 { return }
                initializedCount += got
            }
        }
        guard error == 0 else { throw failure("pread", path, error) }
        return bytes
    }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(EventStoreError) -> Int {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            repeatingInterrupted { unsafe pwrite(descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
        }
        guard count > 0 || bytes.count == 0 else { throw failure("pwrite", path, count == 0 ? ENOSPC : errno) }
        return count
    }

    func truncate(to byteCount: UInt64) throws(EventStoreError) {
        guard repeatingInterrupted({ Int(ftruncate(descriptor, off_t(byteCount))) }) == 0 else {
            throw failure("ftruncate", path)
        }
    }

    func synchronize() throws(EventStoreError) {
        // An interrupted fdatasync is repeated; a failed one never is: the kernel may have dropped the pages.
        guard repeatingInterrupted({ Int(fdatasync(descriptor)) }) == 0 else { throw failure("fdatasync", path) }
    }

    func synchronizeAll() throws(EventStoreError) {
        guard repeatingInterrupted({ Int(fsync(descriptor)) }) == 0 else { throw failure("fsync", path) }
    }

    func isAt(_ path: String) throws(EventStoreError) -> Bool {
        var (own, found) = (stat(), stat())
        guard unsafe fstat(descriptor, &own) == 0 else { throw failure("fstat", self.path) }
        guard unsafe stat(path, &found) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return false }
            throw failure("stat", path)
        }
        return own.st_nlink > 0 && own.st_dev == found.st_dev && own.st_ino == found.st_ino
    }

    func tryLock() -> Bool { repeatingInterrupted { Int(flock(descriptor, LOCK_EX | LOCK_NB)) } == 0 }

    func release() { _ = flock(descriptor, LOCK_UN) }
}

private func repeatingInterrupted(_ call: () -> some BinaryInteger) -> Int {
    while true {
        let result = Int(call())
        if result != -1 || errno != EINTR { return result }
    }
}

private func failure(_ operation: String, _ path: String, _ number: Int32 = errno) -> EventStoreError {
    let code: EventStoreError.Code =
        switch number {
        case ENOSPC, EDQUOT: .diskFull
        case ENOENT: .notFound
        case EISDIR, ENOTDIR: .wrongKindOfFile
        default: .inputOutput
        }
    let detail: String? =
        switch number {
        case EISDIR: "a directory has the name of a file"
        case ENOTDIR: "a file has the name of a directory"
        default: nil
        }
    return EventStoreError(code, path: path, operation: operation, errno: number, detail: detail)
}
