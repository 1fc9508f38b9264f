// Moves through a log in both directions at human speed, by forks of the states it has passed.

package import EventModel
package import EventStore
package import StateMachines

/// A position in a log with its state. Going back costs the fold from the nearest fork, not from a checkpoint.
///
/// On its way to a position it leaves forks behind: at distances of 1, 4, 16, … records before it, so that each step
/// back is short and the forks are few. What two forks have in common is in memory once.
package struct Stepper: Sendable {
    private let timeline: Timeline
    /// Ascending.
    private var forks: [MeshState] = []
    private static let forkMaximum = 40
    package private(set) var state: MeshState

    /// Begins after a record.
    package init(_ timeline: Timeline, at sequence: SequenceNumber) throws(QueryError) {
        self.timeline = timeline
        state = MeshState()
        try go(to: sequence)
    }

    package var sequence: SequenceNumber { state.moment.sequence }

    /// Goes to the state after a record, or after the last one before it.
    package mutating func go(to target: SequenceNumber) throws(QueryError) {
        forks.removeAll { $0.moment.sequence > target }
        var base = forks.last ?? MeshState()
        if state.moment.sequence <= target, state.moment.sequence >= base.moment.sequence { base = state }
        let checkpoints = (try? timeline.checkpoints.list()) ?? []
        let start = base.moment.sequence
        let isTrimmed = timeline.reader.firstRetained > start.next
        if isTrimmed || checkpoints.contains(where: { $0 > start && $0 <= target }) {
            let nearest = checkpoints.last { $0 <= target }
            base = try timeline.state(at: nearest ?? target)
        }
        try fold(&base, to: target)
        state = base
    }

    private mutating func fold(_ base: inout MeshState, to target: SequenceNumber) throws(QueryError) {
        keep(base)
        while base.moment.sequence < target {
            // The next place for a fork: the largest power of four that fits before the target.
            var distance: UInt64 = 1
            let rest = target.rawValue - base.moment.sequence.rawValue
            while distance * 4 < rest { distance *= 4 }
            let stop = rest == 1 ? target : SequenceNumber(target.rawValue - min(distance, rest - 1))
            let before = base.moment.sequence
            try timeline.advance(&base, through: stop)
            if stop == target { break }
            if base.moment.sequence == before {
                // A gap of a stream: nothing lies before the stop.
                try timeline.advance(&base, through: target)
                break
            }
            keep(base)
        }
    }

    private mutating func keep(_ fork: MeshState) {
        if forks.last?.moment.sequence == fork.moment.sequence { return }
        forks.append(fork)
        if forks.count > Self.forkMaximum { forks.removeFirst(forks.count - Self.forkMaximum) }
    }

    /// One record on; nil at the log's end.
    package mutating func forward() throws(QueryError) -> Frame? {
        keep(state)
        return try timeline.step(&state)
    }

    /// One record back; false before the first record that can be reconstructed.
    package mutating func back() throws(QueryError) -> Bool {
        guard sequence > .origin else { return false }
        let target = SequenceNumber(sequence.rawValue - 1)
        let isReachable =
            timeline.reader.firstRetained <= SequenceNumber(1)
            || ((try? timeline.checkpoints.list()) ?? []).contains { $0 <= target }
        guard isReachable else { return false }
        try go(to: target)
        return true
    }

    /// On to the next record that `wants` accepts; nil, and no move, where there is none.
    package mutating func forward(
        until wants: (Frame, EventRecord, MeshState) -> Bool
    ) throws(QueryError) -> Frame? {
        var next = state
        var found: Frame?
        try timeline.advance(&next, through: .end) { frame, record, state in
            guard wants(frame, record, state) else { return true }
            found = frame
            return false
        }
        guard found != nil else { return nil }
        keep(state)
        state = next
        return found
    }

    /// The record after which the state is; nil before the first.
    package func frame() throws(QueryError) -> Frame? {
        if sequence == .origin { return nil }
        do throws(EventStoreError) {
            return try timeline.reader.frame(at: sequence)
        } catch {
            throw TimeTraveller.queryError(error)
        }
    }
}
