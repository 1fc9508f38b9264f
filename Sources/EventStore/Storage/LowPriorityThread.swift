// A thread for work that may take long and must not take the processor from anybody.

import Dispatch
import Glibc

/// Runs work on a thread of its own with the lowest priority (nice 19), which ends with it.
package enum LowPriorityThread {
    /// What the thread is given.
    private final class Work: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Begins the work. Where there is no thread to be had, it runs on a queue, at ordinary priority.
    package static func run(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { unsafe _ = pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(Work(body))
        let status = unsafe pthread_create(
            &thread, &attributes,
            { context in
                // On Linux this is the priority of the calling thread alone.
                setpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0, 19)
                unsafe Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().body()
                return nil
            }, context.toOpaque())
        if status == 0 { return }
        unsafe context.release()
        DispatchQueue.global(qos: .utility).async(execute: body)
    }
}
