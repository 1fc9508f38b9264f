// Pulls a subscription on a thread of its own, for whoever wants its messages without waiting for them.

import Dispatch
import Synchronization

/// Hands each batch of a subscription to a closure, in order, until it is ended or released.
package final class SubscriptionReader: Sendable {
    private let subscription: any MessageSubscription
    private let isEnded = Atomic(false)

    /// Begins to read.
    ///
    /// - Parameters:
    ///   - maximum: messages of one batch.
    ///   - take: called on the reader's thread, one batch after the other; it does not block for long.
    package init(
        _ subscription: any MessageSubscription, maximum: Int = 256, _ take: @escaping @Sendable ([Message]) -> Void
    ) {
        self.subscription = subscription
        DispatchQueue(label: "lattice.subscription").async { [weak self] in
            while let messages = try? subscription.receive(maximum: maximum, timeout: .milliseconds(500)) {
                guard let self, !self.isEnded.load(ordering: .acquiring) else { return subscription.drain() }
                if !messages.isEmpty { take(messages) }
            }
        }
    }

    /// How many messages the bus dropped because they were not taken in time.
    package var droppedCount: UInt64 { subscription.droppedCount }

    /// Ends the subscription; a batch that is being taken is taken to its end.
    package func end() {
        isEnded.store(true, ordering: .releasing)
        subscription.drain()
    }

    deinit { end() }
}
