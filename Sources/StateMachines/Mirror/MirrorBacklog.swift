// How much is owed to shadows, in numbers.

package import EventModel

/// What waits in the outbox at a position.
package struct MirrorBacklog: Sendable, Hashable {
    /// Copies that are owed, or answered and not compared yet.
    package var count = 0
    /// The age of the oldest, in expiry time; zero where nothing waits.
    package var oldestAge = Nanoseconds.zero
}

extension TrafficMirror {
    /// Over all mirrors; costs one step for each.
    package var backlog: MirrorBacklog {
        var backlog = MirrorBacklog()
        for mirror in mirrors {
            backlog.count += mirror.pending.count
            guard let oldest = mirror.pending.first else { continue }
            backlog.oldestAge = max(
                backlog.oldestAge, Nanoseconds(moment.expiryTime.rawValue - oldest.since.rawValue))
        }
        return backlog
    }
}
