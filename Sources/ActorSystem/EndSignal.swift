// One value, set once on a thread, awaited by one task.

import Synchronization

/// How the writer's thread ended, handed to whoever waits.
final class EndSignal: Sendable {
    private enum State {
        case running
        case awaited(CheckedContinuation<NodeFailure?, Never>)
        case ended(NodeFailure?)
    }

    private let state = Mutex(State.running)

    func set(_ failure: NodeFailure?) {
        let continuation = state.withLock { state -> CheckedContinuation<NodeFailure?, Never>? in
            defer { state = .ended(failure) }
            if case .awaited(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume(returning: failure)
    }

    func value() async -> NodeFailure? {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state -> NodeFailure?? in
                if case .ended(let failure) = state { return .some(failure) }
                state = .awaited(continuation)
                return nil
            }
            if let ended { continuation.resume(returning: ended) }
        }
    }
}
