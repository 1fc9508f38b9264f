// The SHA-256 of a sealed segment, computed on a thread of its own while the writer goes on.

import Glibc

/// One thread that hashes one file and ends.
final class BackgroundHash {
    /// What the thread and its starter share.
    // Safe because the thread alone writes `result`, and it is read only after the thread was joined.
    private final class Work: @unchecked Sendable {
        let file: any LogFile
        var result: Result<SegmentHash, EventStoreError>?

        init(_ file: any LogFile) { self.file = file }

        func run() {
            do throws(EventStoreError) {
                result = .success(try SegmentHash.of(file))
            } catch {
                result = .failure(error)
            }
        }
    }

    private let work: Work
    private var thread: pthread_t?

    /// Starts hashing. If there is no thread to be had, `wait` does the work itself.
    init(_ file: any LogFile) {
        work = Work(file)
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(work)
        let status = unsafe pthread_create(
            &thread, nil,
            { context in
                unsafe Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if status == 0 { self.thread = thread } else { unsafe context.release() }
    }

    deinit { join() }

    /// Waits for the hash.
    func wait() throws(EventStoreError) -> SegmentHash {
        join()
        if work.result == nil { work.run() }
        guard let result = work.result else { preconditionFailure("hashing ends with a result") }
        return try result.get()
    }

    private func join() {
        if let thread { pthread_join(thread, nil) }
        thread = nil
    }
}
