// The time of day as a test sets it, and what tests of several tables share.

import EventModel
import LatticeCore
import Synchronization
import Testing

/// A clock that stands still until it is moved.
final class SetClock: Sendable {
    private let time = Mutex(Timestamp(nanoseconds: 1_750_000_000_000_000_000))

    var now: Timestamp { time.withLock { $0 } }

    func pass(_ seconds: Int64) { time.withLock { $0 = $0 + .seconds(seconds) } }

    /// What registries, mirrors and collectors are given.
    var reading: @Sendable () -> Timestamp { { self.now } }
}

/// Fails unless the work is refused for exactly this reason.
func expectRefusal(
    _ reason: RefusalReason, at location: SourceLocation = #_sourceLocation, _ work: () throws -> Void
) {
    #expect(throws: LocalError.refused(reason), sourceLocation: location) { try work() }
}

/// Fails unless the work breaks the rules of the log's format in this field.
func expectMalformed(_ field: String, at location: SourceLocation = #_sourceLocation, _ work: () throws -> Void) {
    do {
        try work()
        Issue.record("nothing was thrown", sourceLocation: location)
    } catch LocalError.malformed(let error) {
        #expect(error.field.hasSuffix(field), sourceLocation: location)
    } catch {
        Issue.record("\(error)", sourceLocation: location)
    }
}
