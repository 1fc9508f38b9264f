// What is known of a node while it starts: the listener answers before the state is recovered.

import NodeRuntime
import Synchronization

/// Holds the node once it runs, and announces it when the listener is there too.
final class NodeLaunch: Sendable {
    private struct State {
        var node: Node?
        /// What the start waits for.
        var awaited: String?
        /// Where it listens, by the listener's name; nil: not known yet.
        var listeners: [String: String]?
        var announce: (@Sendable (Node, [String: String]) -> Void)?
    }

    private let state = Mutex(State())

    /// The node; nil while it recovers.
    var node: Node? { state.withLock { $0.node } }

    /// The word for a start that waits for NATS.
    static let notConnected = "nats_not_connected"

    /// Why the node is not ready; empty where it is.
    var unreadiness: [String] {
        let (node, awaited) = state.withLock { ($0.node, $0.awaited) }
        return node?.unreadiness ?? [awaited ?? "recovering"]
    }

    /// The start waits for something, in a word for programs; nil: it goes on.
    func waits(for word: String?) { state.withLock { $0.awaited = word } }

    /// Says what is to be done once the node runs and the listeners listen.
    func announceBy(_ announce: @escaping @Sendable (Node, [String: String]) -> Void) {
        state.withLock { $0.announce = announce }
    }

    /// The node runs.
    func started(_ node: Node) { announceOnce { $0.node = node } }

    /// All listeners listen, or do without.
    func listens(_ listeners: [String: String]) { announceOnce { $0.listeners = listeners } }

    private func announceOnce(_ change: (inout State) -> Void) {
        let due = state.withLock {
            state -> (announce: @Sendable (Node, [String: String]) -> Void, Node, [String: String])? in
            change(&state)
            guard let node = state.node, let listeners = state.listeners, let announce = state.announce else {
                return nil
            }
            state.announce = nil
            return (announce, node, listeners)
        }
        if let due { due.announce(due.1, due.2) }
    }
}
