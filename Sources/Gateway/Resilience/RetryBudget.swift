// How many requests may be sent again: a share of those of the last ten seconds (Limits.md, Gateway).

import NIOCore
import Synchronization

/// Counts requests and retries of one service in ten slots of a second; no locks.
final class RetryBudget: Sendable {
    /// Of a hundred requests so many may be repeated.
    static let percent = 20
    /// So many always may.
    static let minimum = 3
    private static let slotCount = 10

    /// The second of the slot, its requests and its retries.
    private struct Slot: ~Copyable, Sendable {
        let second = Atomic<Int64>(-1)
        let requests = Atomic<Int>(0)
        let retries = Atomic<Int>(0)
    }

    private final class Ring: Sendable {
        let slot = Slot()
    }

    private let ring = (0..<slotCount).map { _ in Ring() }

    /// The slot of a second, emptied if it was an older one's. Two loops that empty it at once lose a few counts.
    private func slot(at second: Int64) -> Ring {
        let entry = ring[Int(second % Int64(Self.slotCount))]
        let held = entry.slot.second.load(ordering: .relaxed)
        if held != second,
            entry.slot.second.compareExchange(expected: held, desired: second, ordering: .relaxed).exchanged
        {
            entry.slot.requests.store(0, ordering: .relaxed)
            entry.slot.retries.store(0, ordering: .relaxed)
        }
        return entry
    }

    private static func second(_ now: NIODeadline) -> Int64 { Int64(now.uptimeNanoseconds / 1_000_000_000) }

    /// Counts a request.
    func count(at now: NIODeadline) { slot(at: Self.second(now)).slot.requests.add(1, ordering: .relaxed) }

    /// Takes a retry, if there is one left.
    func take(at now: NIODeadline) -> Bool {
        let second = Self.second(now)
        let current = slot(at: second)
        var (requests, retries) = (0, 0)
        for entry in ring where entry.slot.second.load(ordering: .relaxed) > second - Int64(Self.slotCount) {
            requests += entry.slot.requests.load(ordering: .relaxed)
            retries += entry.slot.retries.load(ordering: .relaxed)
        }
        guard retries < max(Self.minimum, requests * Self.percent / 100) else { return false }
        current.slot.retries.add(1, ordering: .relaxed)
        return true
    }
}
