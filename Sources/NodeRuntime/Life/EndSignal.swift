// One value, set once on a thread, awaited by any number of tasks.

import Synchronization

/// How the writer's thread ended, handed to whoever waits.
final class EndSignal: Sendable {
    private enum State {
        case running([CheckedContinuation<NodeFailure?, Never>])
        case ended(NodeFailure?)
    }

    private let state = Mutex(State.running([]))

    /// Only the first call counts.
    func set(_ failure: NodeFailure?) {
        let waiting = state.withLock { state -> [CheckedContinuation<NodeFailure?, Never>] in
            guard case .running(let waiting) = state else { return [] }
            state = .ended(failure)
            return waiting
        }
        for continuation in waiting { continuation.resume(returning: failure) }
    }

    func value() async -> NodeFailure? {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state -> NodeFailure?? in
                switch state {
                case .ended(let failure): return .some(failure)
                case .running(let waiting):
                    state = .running(waiting + [continuation])
                    return nil
                }
            }
            if let ended { continuation.resume(returning: ended) }
        }
    }
}
