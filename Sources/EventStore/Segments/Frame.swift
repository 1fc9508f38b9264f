// One record as bytes, lying in a batch.

package import EventModel

/// A record in its encoded form. Fields are read where they lie; slices share the batch's memory.
package struct Frame: Sendable {
    let bytes: [UInt8]
    let start: Int

    /// The frame's whole size in bytes.
    package var byteCount: Int { FrameFormat.prefixByteCount + Int(field(0, UInt32.self)) }
    /// The record's place in the log.
    package var sequence: SequenceNumber { SequenceNumber(field(8, UInt64.self)) }
    /// When it got that place.
    package var recordedAt: Timestamp { Timestamp(nanoseconds: field(16, Int64.self)) }
    /// The fingerprint of the message as it arrived; 0 in core mode.
    package var sourceHash: UInt64 { field(24, UInt64.self) }
    /// The number of the event's type.
    package var eventType: UInt16 { field(32, UInt16.self) }
    /// The version of the event type's schema.
    package var schemaVersion: UInt8 { field(34, UInt8.self) }
    /// What the frame says of itself.
    package var flags: FrameFlags { FrameFlags(rawValue: field(35, UInt8.self)) }

    /// `Nats-Msg-Id` as it arrived; empty if there was none.
    package var messageID: ArraySlice<UInt8> { slice(0, messageIDCount) }
    /// The subject as it arrived.
    package var subject: ArraySlice<UInt8> { slice(messageIDCount, subjectCount) }
    /// What the state machines apply.
    package var facts: ArraySlice<UInt8> { slice(messageIDCount + subjectCount, factsCount) }
    /// What is kept for reading only; ciphertext if sealed.
    package var attachment: ArraySlice<UInt8> {
        slice(messageIDCount + subjectCount + factsCount, Int(field(44, UInt32.self)))
    }

    /// The whole frame as it lies in the segment.
    package var encoded: ArraySlice<UInt8> { bytes[start..<start + byteCount] }

    private var messageIDCount: Int { Int(field(36, UInt16.self)) }
    private var subjectCount: Int { Int(field(38, UInt16.self)) }
    private var factsCount: Int { Int(field(40, UInt32.self)) }

    private func slice(_ offset: Int, _ count: Int) -> ArraySlice<UInt8> {
        let begin = start + FrameFormat.headerByteCount + offset
        return bytes[begin..<begin + count]
    }
}
