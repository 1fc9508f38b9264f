// Why a request was not copied, or a copy not carried out: each reason with its count (Mirroring.md).

import EventModel

/// What can happen to a request instead of reaching a shadow.
package enum MirrorLedgerReason: UInt8, Sendable, Hashable, CaseIterable {
    case disabled = 1, shadowMarked, methodNotAllowed, notSampled, notIncluded, replayOnly, truncated, tooLarge
    case shadowNotAllowed
    /// Dropped because the buffer was full; the oldest goes first.
    case overflow
    /// Dropped because it waited too long.
    case expired
    /// Answered, but no comparison came in time.
    case notCompared
    /// Taken out by an operator.
    case drained
    /// Twice a node was lost that may have sent it.
    case lost
    /// Its mirror was removed.
    case removed
    case dispatchFailed, dispatchTimedOut, dispatchRejected, dispatchSkipped
    /// The second primary gave no answer to learn noise from; the shadow's copy is another matter.
    case baselineUnanswered

    /// The word in answers.
    package var name: String {
        switch self {
        case .disabled: "disabled"
        case .shadowMarked: "shadow_marked"
        case .methodNotAllowed: "method_not_allowed"
        case .notSampled: "not_sampled"
        case .notIncluded: "not_included"
        case .replayOnly: "replay_only"
        case .truncated: "truncated"
        case .tooLarge: "too_large"
        case .shadowNotAllowed: "shadow_not_allowed"
        case .overflow: "overflow"
        case .expired: "expired"
        case .notCompared: "not_compared"
        case .drained: "drained"
        case .lost: "lost"
        case .removed: "removed"
        case .dispatchFailed: "dispatch_failed"
        case .dispatchTimedOut: "dispatch_timed_out"
        case .dispatchRejected: "dispatch_rejected"
        case .dispatchSkipped: "dispatch_skipped"
        case .baselineUnanswered: "baseline_unanswered"
        }
    }
}

/// Counts by reason.
package struct MirrorLedger: Sendable, Hashable {
    private var counts: [UInt64] = Array(repeating: 0, count: MirrorLedgerReason.allCases.count + 1)

    package init() {}

    package subscript(_ reason: MirrorLedgerReason) -> UInt64 { counts[Int(reason.rawValue)] }

    mutating func count(_ reason: MirrorLedgerReason, _ number: UInt64 = 1) {
        counts[Int(reason.rawValue)] &+= number
    }

    /// The reasons that occurred, in the order of their numbers.
    package var entries: [(reason: MirrorLedgerReason, count: UInt64)] {
        MirrorLedgerReason.allCases.filter { self[$0] > 0 }.map { ($0, self[$0]) }
    }

    func write(_ number: Int, _ writer: inout WireWriter) {
        for (reason, count) in entries {
            writer.message(number) { inner in
                inner.field(1, UInt32(reason.rawValue))
                inner.field(2, count)
            }
        }
    }

    /// Takes one entry of a checkpoint; false where it is none.
    mutating func restore(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var (reason, number) = (UInt64(0), UInt64(0))
        while let field = reader.next() {
            if field.number == 1 { reason = field.value } else { number = field.value }
        }
        guard reader.isComplete, let known = MirrorLedgerReason(rawValue: UInt8(truncatingIfNeeded: reason)),
            self[known] == 0, number > 0
        else { return false }
        count(known, number)
        return true
    }
}
