// What every state machine is: a value folded from the log and from nothing else.

package import EventModel

/// Where a record stands in time, worked out once for all machines (decision 6).
package struct Moment: Sendable, Hashable {
    package var sequence: SequenceNumber
    /// The record's own stamp.
    package var recordedAt: Timestamp
    /// The largest stamp so far: log time never runs backwards.
    package var logTime: Timestamp
    /// The sum of the clamped steps between records: what expiry counts, so that a paused machine or a clock that was
    /// set never makes anything old.
    package var expiryTime: Nanoseconds
    /// What the record means. A machine that comes from a checkpoint is told by `MeshState`.
    package var semantics = Semantics.first

    package init(sequence: SequenceNumber, recordedAt: Timestamp, logTime: Timestamp, expiryTime: Nanoseconds) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.logTime = logTime
        self.expiryTime = expiryTime
    }

    /// Before the first record.
    package static let origin = Moment(sequence: .origin, recordedAt: .zero, logTime: .zero, expiryTime: .zero)

    package var asOf: AsOf { AsOf(sequence: sequence, recordedAt: recordedAt) }
}

/// A record with its moment. One that was not admitted (a repeat, an opaque one) only moves time on.
package struct AdmittedRecord: Sendable {
    package var record: EventRecord
    package var moment: Moment

    package init(record: EventRecord, moment: Moment) {
        self.record = record
        self.moment = moment
    }

    /// The record as the machines see it after the verdict.
    package init(record: EventRecord, moment: Moment, verdict: RecordFilter.Verdict) {
        self.init(record: record, moment: moment)
        if verdict != .admitted { self.record.event = .opaque(reason: "not admitted") }
    }
}

/// What became of one record in one machine.
package struct Outcome: Sendable, Hashable {
    package var accepted: UInt32 = 0
    package var refused: [Refusal] = []
    /// What followed: evictions.
    package var consequences: [Removal] = []
    /// Registrations that replaced an earlier one, by index.
    package var replaced: [UInt32] = []
    /// Keys that watchers wait for (services), in order of name.
    package var changed: [String] = []

    package init() {}

    package mutating func refuse(_ index: Int, _ reason: RefusalReason) {
        refused.append(Refusal(index: UInt32(index), reason: reason))
    }
}

/// State computed from the log alone: no clock, no chance, no input or output, and `apply` never fails.
package protocol StateMachine: Sendable {
    /// The name in digests, checkpoints and metrics.
    static var name: String { get }

    init()

    /// Takes one record. Total and synchronous: what makes no sense is refused in the outcome.
    mutating func apply(_ admitted: AdmittedRecord) -> Outcome

    /// The last record that was taken.
    var moment: Moment { get }

    /// The fingerprint of the state; entities that were not touched since the last call are not hashed again.
    mutating func digest() -> Digest

    /// The whole state, in one order, for a checkpoint.
    func encodeCheckpoint() -> [UInt8]

    /// The state of a checkpoint; nil where the bytes are not one.
    init?(checkpoint: [UInt8])
}
