// A thread for work that may take long and must not take the processor from anybody.

import Dispatch
import Glibc

/// Runs work on a thread of its own with a lower priority, which ends with it.
package enum LowPriorityThread {
    /// What the thread is given.
    private final class Work: Sendable {
        let niceness: Int32
        let body: @Sendable () -> Void

        init(_ niceness: Int32, _ body: @escaping @Sendable () -> Void) {
            self.niceness = niceness
            self.body = body
        }
    }

    /// Begins the work. Where there is no thread to be had, it runs on a queue, at ordinary priority.
    ///
    /// - Parameter niceness: 0 is ordinary, 19 the least (setpriority(2)).
    package static func run(niceness: Int32 = 19, _ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { unsafe _ = pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(Work(niceness, body))
        let status = unsafe pthread_create(
            &thread, &attributes,
            { context in
                let work = unsafe Unmanaged<Work>.fromOpaque(context!).takeRetainedValue()
                // On Linux this is the priority of the calling thread alone.
                setpriority(Int32(bitPattern: PRIO_PROCESS.rawValue), 0, work.niceness)
                work.body()
                return nil
            }, context.toOpaque())
        if status == 0 { return }
        unsafe context.release()
        DispatchQueue.global(qos: .utility).async(execute: body)
    }
}
