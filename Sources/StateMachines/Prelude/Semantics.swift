// What the events of a log mean: the one place where versions of semantics are told apart (decisions 2 and 148).

package import EventModel

/// The meaning of events under one version. A fold asks for a property by its name and never compares numbers, so that
/// what a version changed can be read here, with the decision that changed it.
///
/// A log begins with version 1 unless its first record activates another; `policy.semantics_activated` changes it from
/// that record on. What a version means never changes once it was released; the newest one is open until then.
package struct Semantics: Sendable, Hashable {
    package let version: UInt32

    package init(version: UInt32) { self.version = version }

    /// What records mean before any activation.
    package static let first = Semantics(version: 1)
    /// The newest that this code has; new logs begin with it.
    package static let newest = Semantics(version: 2)

    /// Whether message ids count within the family and the owner of their subject (decision 150). Before, an id was one
    /// in the whole mesh, so that a service could take another's.
    package var scopesMessageIDs: Bool { version >= 2 }

    /// Whether what an event claims about moments, slots and incarnations is bounded by the stamp of its own record
    /// (decision 151). Before, by log time, which a clock that was once ahead keeps ahead, or by nothing.
    package var boundsClaims: Bool { version >= 2 }

    /// Whether a name is its bytes in the objectives of traces, too, as it is everywhere else (decision 152). Before, an
    /// objective of a service took the place of another's whose name Unicode deems equal.
    package var namesAreBytes: Bool { version >= 2 }
}

extension Moment {
    /// Whether an event claims a moment that its record cannot know of: more than five minutes ahead of it.
    @inline(__always)
    func isAhead(_ claim: Timestamp) -> Bool {
        claim - (semantics.boundsClaims ? recordedAt : logTime) > Limits.timeAhead
    }

    /// The same of a claim that semantics 1 did not look at.
    @inline(__always)
    func isBoundedAndAhead(_ claim: Timestamp) -> Bool {
        semantics.boundsClaims && claim - recordedAt > Limits.timeAhead
    }

    /// Whether somebody claims to have waited for an answer for longer than anybody does.
    @inline(__always)
    func isBoundedAndTooLong(_ claim: Nanoseconds) -> Bool { semantics.boundsClaims && claim > Limits.timeAhead }
}

/// Activations that a `policy.record_skipped` may still undo (decision 149).
///
/// The rule is one over raw records, so that whoever reads ahead in a log and whoever follows it live decide alike: a
/// skip names an activation before it that is not the log's first record, and at most sixty ticks lie between the two.
/// Where all nodes stopped nobody ticks, so there is time without end; where one went on, it has a minute.
package struct UnsettledActivations: Sendable {
    private struct Entry: Sendable {
        var sequence: SequenceNumber
        var ticks = 0
        /// Activations after it; they bound how many are remembered.
        var followers = 0
    }

    /// What a record that was skipped is opaque for.
    package static let reason = "skipped"
    package static let ticksMaximum = 60
    private static let followersMaximum = 64

    private var entries: [Entry] = []

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    package func contains(_ sequence: SequenceNumber) -> Bool { entries.contains { $0.sequence == sequence } }

    /// Looks at the next record; answers the activation that it skips.
    package mutating func note(_ record: EventRecord) -> SequenceNumber? {
        switch record.event {
        case .clock(.tick):
            if entries.isEmpty { return nil }
            for index in entries.indices { entries[index].ticks += 1 }
            entries.removeAll { $0.ticks > Self.ticksMaximum }
        case .policy(.semanticsActivated):
            follow()
            if record.sequence > SequenceNumber(1) { entries.append(Entry(sequence: record.sequence)) }
        case .policy(.recordSkipped(let sequence, _)):
            guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else { return nil }
            entries.remove(at: index)
            return sequence
        case .opaque(Self.reason): follow()
        case .clock, .policy, .registry, .mirror, .trace, .audit, .opaque: break
        }
        return nil
    }

    private mutating func follow() {
        for index in entries.indices { entries[index].followers += 1 }
        entries.removeAll { $0.followers > Self.followersMaximum }
    }
}
