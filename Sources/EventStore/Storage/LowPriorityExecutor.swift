// Where tasks run that must not take the processor from those that somebody waits for.

import Dispatch
import Synchronization

/// Runs the jobs of tasks that prefer it (`withTaskExecutorPreference`) on one thread of lower priority.
///
/// The thread is there while there is work, and a second longer. Actors without an executor of their own that such a task
/// calls run there too, for that call (SE-0417).
package final class LowPriorityExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isRunning = false
        var isWaiting = false
    }

    private let niceness: Int32
    private let state = Mutex(State())
    private let wakeup = DispatchSemaphore(value: 0)

    /// - Parameter niceness: 0 is ordinary, 19 the least (setpriority(2)).
    package init(niceness: Int32) { self.niceness = niceness }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (rings, starts) = state.withLock { state -> (Bool, Bool) in
            state.jobs.append(job)
            defer { (state.isWaiting, state.isRunning) = (false, true) }
            return (state.isWaiting, !state.isRunning)
        }
        if rings { wakeup.signal() }
        if starts { LowPriorityThread.run(niceness: niceness) { self.work() } }
    }

    private func work() {
        while true {
            let jobs = takeAll()
            for job in jobs { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
            if jobs.isEmpty, wakeup.wait(timeout: .now() + .seconds(1)) == .timedOut, isAtEnd() { return }
        }
    }

    private func takeAll() -> [UnownedJob] {
        state.withLock { state in
            defer { state.jobs.removeAll() }
            state.isWaiting = state.jobs.isEmpty
            return state.jobs
        }
    }

    /// Nothing came within the second; what comes now starts another thread.
    private func isAtEnd() -> Bool {
        state.withLock { state in
            guard state.jobs.isEmpty else { return false }
            (state.isWaiting, state.isRunning) = (false, false)
            return true
        }
    }
}
