// What is known of a node while it starts: the listener answers before the state is recovered.

import ActorSystem
import Synchronization

/// Holds the node once it runs, and announces it when the listener is there too.
final class NodeLaunch: Sendable {
    private struct State {
        var node: Node?
        /// Outer nil: not known yet. Inner nil: there is no listener.
        var httpURL: String??
        var announce: (@Sendable (Node, String?) -> Void)?
    }

    private let state = Mutex(State())

    /// The node; nil while it recovers.
    var node: Node? { state.withLock { $0.node } }

    /// Why the node is not ready; empty where it is.
    var unreadiness: [String] { node?.unreadiness ?? ["recovering"] }

    /// Says what is to be done once the node runs and the listener listens.
    func announceBy(_ announce: @escaping @Sendable (Node, String?) -> Void) {
        state.withLock { $0.announce = announce }
    }

    /// The node runs.
    func started(_ node: Node) { announceOnce { $0.node = node } }

    /// The listener listens, or there is none.
    func listens(httpURL: String?) { announceOnce { $0.httpURL = .some(httpURL) } }

    private func announceOnce(_ change: (inout State) -> Void) {
        let due = state.withLock { state -> (announce: @Sendable (Node, String?) -> Void, Node, String?)? in
            change(&state)
            guard let node = state.node, let httpURL = state.httpURL, let announce = state.announce else { return nil }
            state.announce = nil
            return (announce, node, httpURL)
        }
        if let due { due.announce(due.1, due.2) }
    }
}
