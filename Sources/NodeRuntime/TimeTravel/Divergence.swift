// Where two logs, two nodes or two versions part: by comparing digests, O(log n) of them.

package import EventModel
package import EventStore
import StateMachines

/// Digests to hold one's own against.
package protocol DigestReference: Sendable {
    /// The last position it knows.
    var lastSequence: SequenceNumber { get }
    /// The only positions it knows; nil: every one.
    var rungs: [SequenceNumber]? { get }
    /// The digests at a position.
    func digests(at sequence: SequenceNumber) async throws(QueryError) -> [MachineDigest]
}

/// What a comparison found.
package struct Divergence: Sendable {
    /// The last position at which both are equal; `.origin`: none.
    package var lastEqual: SequenceNumber
    /// The first position at which they differ; nil: they are equal at the last one both have.
    package var firstDifferent: SequenceNumber?
    /// Whether nothing lies between the two.
    package var isExact: Bool
    /// The machines that differ there, each with both digests.
    package var machines: [Difference] = []
    package var comparisonCount = 0

    /// One machine.
    package struct Difference: Sendable, Hashable {
        package var machine: String
        package var own: Digest
        package var other: Digest
    }
}

/// Holds a log against a reference.
package struct DivergenceSearch: Sendable {
    private let timeline: Timeline
    private let reference: any DigestReference
    private var comparisonCount = 0
    /// The newest state that was equal; later ones are folded from it.
    private var low = MeshState()

    package init(_ timeline: Timeline, _ reference: any DigestReference) {
        self.timeline = timeline
        self.reference = reference
    }

    /// Bisects. States that have parted are taken to stay apart: where they come together again by chance, one of the
    /// partings is found.
    package mutating func run(progress: (SequenceNumber) -> Void = { _ in }) async throws(QueryError) -> Divergence {
        let last = min(timeline.reader.lastSequence, reference.lastSequence)
        let positions = reference.rungs?.filter { $0 <= last && isReachable($0) }
        guard let final = positions.map(\.last) ?? last, final > .origin else {
            throw QueryError(.notFound, "there is no position that both have")
        }
        var differing = try await differences(at: final)
        if differing.isEmpty {
            return Divergence(
                lastEqual: final, firstDifferent: nil, isExact: true, comparisonCount: comparisonCount)
        }
        var (equal, different) = (SequenceNumber.origin, final)
        if let positions {
            var (from, to) = (0, positions.count - 1)
            while from < to {
                let middle = (from + to) / 2
                progress(positions[middle])
                let found = try await differences(at: positions[middle])
                if found.isEmpty { from = middle + 1 } else { (to, differing) = (middle, found) }
            }
            different = positions[to]
            equal = to == 0 ? .origin : positions[to - 1]
        } else {
            equal = timeline.reader.firstRetained <= SequenceNumber(1) ? .origin : timeline.reader.firstRetained
            while different.rawValue - equal.rawValue > 1 {
                let middle = SequenceNumber(equal.rawValue + (different.rawValue - equal.rawValue) / 2)
                progress(middle)
                let found = try await differences(at: middle)
                if found.isEmpty { equal = middle } else { (different, differing) = (middle, found) }
            }
        }
        return Divergence(
            lastEqual: equal, firstDifferent: different,
            isExact: positions == nil || different.rawValue - equal.rawValue == 1, machines: differing,
            comparisonCount: comparisonCount)
    }

    private func isReachable(_ sequence: SequenceNumber) -> Bool {
        if timeline.reader.firstRetained <= SequenceNumber(1) { return true }
        let oldest = ((try? timeline.checkpoints.list()) ?? []).first ?? timeline.reader.lastSequence
        return sequence >= oldest
    }

    private mutating func differences(at sequence: SequenceNumber) async throws(QueryError) -> [Divergence.Difference] {
        comparisonCount += 1
        let others = try await reference.digests(at: sequence)
        var state = try stateToCompare(at: sequence)
        var found: [Divergence.Difference] = []
        for own in state.digests() {
            guard let other = others.first(where: { $0.machine == own.machine }), other.digest != own.digest else {
                continue
            }
            found.append(Divergence.Difference(machine: own.machine, own: own.digest, other: other.digest))
        }
        if found.isEmpty { low = state }
        return found
    }

    /// From the newest equal state, unless a checkpoint is nearer.
    private func stateToCompare(at sequence: SequenceNumber) throws(QueryError) -> MeshState {
        let start = low.moment.sequence
        let checkpoints = (try? timeline.checkpoints.list()) ?? []
        let isNearer = checkpoints.contains { $0 > start && $0 <= sequence }
        if start == .origin || start > sequence || isNearer { return try timeline.state(at: sequence) }
        var state = low
        try timeline.advance(&state, through: sequence)
        return state
    }
}

/// The digests of a log on disk, folded when they are asked for.
package struct LogReference: DigestReference {
    private let timeline: Timeline

    package init(_ timeline: Timeline) { self.timeline = timeline }

    package var lastSequence: SequenceNumber { timeline.reader.lastSequence }
    package var rungs: [SequenceNumber]? { nil }

    package func digests(at sequence: SequenceNumber) async throws(QueryError) -> [MachineDigest] {
        var state = try timeline.state(at: sequence)
        return state.digests()
    }
}

/// The digests of a ladder that was kept.
package struct LadderReference: DigestReference {
    private let rungsBySequence: [SequenceNumber: LadderRung]
    private let sequences: [SequenceNumber]

    package init(_ rungs: [LadderRung]) {
        rungsBySequence = Dictionary(rungs.map { ($0.sequence, $0) }) { _, last in last }
        sequences = rungs.map(\.sequence)
    }

    package var lastSequence: SequenceNumber { sequences.last ?? .origin }
    package var rungs: [SequenceNumber]? { sequences }

    package func digests(at sequence: SequenceNumber) async throws(QueryError) -> [MachineDigest] {
        guard let rung = rungsBySequence[sequence] else {
            throw QueryError(.notFound, "the ladder has no rung at \(sequence)")
        }
        return rung.machines
    }
}
