// Says the same thing once, and then once a minute for as long as it is so.

internal import Synchronization

/// Whether something is to be said now.
package final class RepeatedComplaint: Sendable {
    private static let pause = Duration.seconds(60)
    private let lastSaid = Mutex<ContinuousClock.Instant?>(nil)

    package init() {}

    /// True the first time, and a minute after the last time that it was true.
    package func isDue() -> Bool {
        lastSaid.withLock { lastSaid in
            if let lastSaid, lastSaid.duration(to: .now) < Self.pause { return false }
            lastSaid = .now
            return true
        }
    }

    /// What was complained of has passed. The next time is a first time again; true if anything was said.
    @discardableResult
    package func isOver() -> Bool {
        lastSaid.withLock { lastSaid in
            defer { lastSaid = nil }
            return lastSaid != nil
        }
    }
}
