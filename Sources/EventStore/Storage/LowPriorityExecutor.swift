// Where tasks run that must not take the processor from those that somebody waits for.

import DequeModule
import Dispatch
import Synchronization

/// Runs the jobs of tasks that prefer it (`withTaskExecutorPreference`) on one thread of lower priority.
///
/// The thread is there while there is work, and a second longer. Actors are not affected.
package final class LowPriorityExecutor: TaskExecutor {
    private struct State {
        var jobs: Deque<UnownedJob> = []
        var isRunning = false
        var isWaiting = false
    }

    private let niceness: Int32
    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)

    /// - Parameter niceness: 0 is ordinary, 19 the least (setpriority(2)).
    package init(niceness: Int32) { self.niceness = niceness }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (rings, starts) = state.withLock { state -> (Bool, Bool) in
            state.jobs.append(job)
            defer { (state.isWaiting, state.isRunning) = (false, true) }
            return (state.isWaiting, !state.isRunning)
        }
        if rings { bell.signal() }
        if starts { LowPriorityThread.run(niceness: niceness) { self.work() } }
    }

    private func work() {
        while true {
            if let job = next() {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            } else if bell.wait(timeout: .now() + .seconds(1)) == .timedOut, isAtEnd() {
                return
            }
        }
    }

    private func next() -> UnownedJob? {
        state.withLock { state in
            let job = state.jobs.popFirst()
            state.isWaiting = job == nil
            return job
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
