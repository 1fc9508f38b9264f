// From a frame back to a record: what recovery, replay and time travel read.

package import EventModel
package import EventStore

extension EventRecord {
    /// The record of a frame. What this version does not understand is opaque, as it was when it was logged by one that
    /// did not either.
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
