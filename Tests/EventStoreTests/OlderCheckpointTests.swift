// Which older checkpoints are kept for journeys into the past.

import EventModel
import Testing

@testable import EventStore

@Suite struct `Older checkpoints` {
    private func checkpoint(_ sequence: UInt64, bytes: Int = 10) -> Checkpoint {
        Checkpoint(
            sequence: SequenceNumber(sequence), recordedAt: .zero, semanticsVersion: 1, codecVersion: 1,
            createdAt: .zero,
            sections: [.init(name: "m", digest: .zero, bytes: [UInt8](repeating: 7, count: bytes))])
    }

    /// Saves one after the other and prunes each time, as a node does; what is left.
    private func kept(
        _ store: CheckpointStore, _ sequences: some Sequence<UInt64>, needed: UInt64? = nil
    ) throws -> [UInt64] {
        for sequence in sequences {
            try store.save(checkpoint(sequence))
            try store.prune(neededAtOrBefore: needed.map { SequenceNumber($0) })
        }
        return try store.list().map(\.rawValue)
    }

    @Test(arguments: [UInt64(20), 100, 1_000])
    func `are spread over the log, so that no way between two is long`(_ count: UInt64) throws {
        let store = CheckpointStore(
            directory: logDirectory, keptCount: 3, olderCount: 12, storage: SimulatedDisk(seed: 1))
        let kept = try kept(store, (1...count).map { $0 * 100 })
        #expect(kept.count == 15 && kept.suffix(3) == [(count - 2) * 100, (count - 1) * 100, count * 100])
        let gaps = zip([0] + kept, kept).map { $1 - $0 }
        // Twelve cut a log in thirteen; thinning as it grows leaves at most some three times that between two.
        #expect(gaps.max()! <= count * 100 / 13 * 3 + 100, "\(gaps)")
    }

    @Test func `are none where none are asked for`() throws {
        let store = CheckpointStore(directory: logDirectory, keptCount: 3, storage: SimulatedDisk(seed: 1))
        #expect(try kept(store, 1...20) == [18, 19, 20])
    }

    @Test func `go where the log was trimmed behind them`() throws {
        let store = CheckpointStore(
            directory: logDirectory, keptCount: 2, olderCount: 4, storage: SimulatedDisk(seed: 1))
        _ = try kept(store, 1...10)
        let rest = try kept(store, [11], needed: 7)
        // The newest at or before the first retained record stays; what lies before it cannot be folded on.
        #expect(rest.suffix(2) == [10, 11] && rest.count { $0 <= 7 } == 1, "\(rest)")
    }

    @Test func `are fewer where they are large`() throws {
        var store = CheckpointStore(
            directory: logDirectory, keptCount: 1, olderCount: 12, storage: SimulatedDisk(seed: 1))
        store.olderByteLimit = 1_000
        for sequence in UInt64(1)...12 {
            try store.save(checkpoint(sequence, bytes: 300))
            try store.prune()
        }
        let kept = try store.list().map(\.rawValue)
        #expect(kept.last == 12 && (2...4).contains(kept.count), "\(kept)")
    }
}
