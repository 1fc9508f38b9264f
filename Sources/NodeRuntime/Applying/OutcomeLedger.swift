// What became of the last records, for those who ask afterwards.

import DequeModule
import EventModel

/// The outcomes of a bounded number of records, newest kept.
struct OutcomeLedger: Sendable {
    /// Older ones are worked out anew from the log.
    static let capacity = 16_384
    private var outcomes: Deque<OutcomeAnswer> = []

    mutating func remember(_ outcome: OutcomeAnswer) {
        if outcomes.count == Self.capacity { outcomes.removeFirst() }
        outcomes.append(outcome)
    }

    /// The first sequence that is surely covered; nil while nothing is.
    var first: SequenceNumber? { outcomes.first?.sequence }

    func outcome(of sequence: SequenceNumber) -> OutcomeAnswer? {
        var low = 0
        var high = outcomes.count
        while low < high {
            let middle = (low + high) / 2
            if outcomes[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        guard low < outcomes.count, outcomes[low].sequence == sequence else { return nil }
        return outcomes[low]
    }
}
