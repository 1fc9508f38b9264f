// From a frame back to a record: what recovery, replay and time travel read.

package import EventModel
package import EventStore
import StateMachines

extension EventRecord {
    /// The record of a frame by itself. What this version does not understand is opaque, as it was when it was logged by
    /// one that did not either. Whoever folds takes ``EventStore/LogReader/record(of:)``.
    package init(_ frame: Frame) {
        let event: Event
        if frame.flags.contains(.opaque) {
            event = .opaque(reason: "opaque")
        } else {
            do throws(DecodeError) {
                event = try EventCodec.decode(
                    type: frame.eventType, schemaVersion: frame.schemaVersion, facts: frame.facts)
            } catch {
                event = .opaque(reason: error.description)
            }
        }
        self.init(
            sequence: frame.sequence, recordedAt: frame.recordedAt, messageID: frame.messageID, subject: frame.subject,
            event: event)
    }
}

extension LogReader {
    /// The record of one of this log's frames, as every fold takes it: an activation of semantics that a record behind it
    /// skips is opaque (decision 149). That is looked for by reading ahead, at most to the sixty-first tick.
    package func record(of frame: Frame) throws(EventStoreError) -> EventRecord {
        var record = EventRecord(frame)
        if case .policy(.semanticsActivated) = record.event, case .skipped = try settling(of: record) {
            record.event = .opaque(reason: UnsettledActivations.reason)
        }
        return record
    }

    private static let settling: Set<UInt16> = [
        EventType.tick.rawValue, EventType.semanticsActivated.rawValue, EventType.recordSkipped.rawValue,
    ]

    /// What a later record may still do, or has done, to an activation.
    package enum Settling: Sendable {
        case skipped
        /// Nothing yet, and a `policy.record_skipped` behind the log's last record still can.
        case open
        /// It stands.
        case settled
    }

    /// Reads on behind an activation, as far as it matters.
    package func settling(of activation: EventRecord) throws(EventStoreError) -> Settling {
        var unsettled = UnsettledActivations()
        _ = unsettled.note(activation)
        guard unsettled.contains(activation.sequence) else { return .settled }
        var cursor = try frames(from: activation.sequence.next)
        while let batch = try cursor.nextBatch() {
            for frame in batch where Self.settling.contains(frame.eventType) {
                if unsettled.note(EventRecord(frame)) == activation.sequence { return .skipped }
                if !unsettled.contains(activation.sequence) { return .settled }
            }
        }
        return .open
    }
}
