// What became of a message, and why a question was not answered, from protobuf (queries.proto).

/// One event of a message that a state machine refused.
package struct EventRefusal: Sendable, Hashable {
    /// Which event of the message.
    package var index: UInt32
    /// The reason's word; a later version may know more of them than this one.
    package var reason: String

    package init(index: UInt32, reason: String) {
        self.index = index
        self.reason = reason
    }
}

/// The outcome of a message as its publisher reads it: a word that may also be `rejected`, which never entered the log.
package struct OutcomeNotice: Sendable, Hashable {
    /// `accepted`, `refused`, `duplicate`, `opaque` or `rejected`.
    package var word = ""
    /// The record; origin: there is none.
    package var sequence = SequenceNumber.origin
    package var recordedAt = Timestamp.zero
    package var acceptedCount: UInt32 = 0
    /// Refused events.
    package var refusals: [EventRefusal] = []
    /// `refused` and `rejected`: why.
    package var reason = ""
    /// `duplicate`: the sequence that had the id first.
    package var firstSequence = SequenceNumber.origin
    /// Asked for by sequence: what stands behind `<prefix>.events.` in the record's subject.
    package var subject = ""

    /// Whether the log holds what was published, now or from before.
    package var isRecorded: Bool { word == "accepted" || word == "duplicate" || word == "opaque" }

    /// Reads an `OutcomeAnswer`.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> OutcomeNotice {
        var result = OutcomeNotice()
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            case 2: result.recordedAt = try FieldRules.time(field, "recorded_at")
            case 3: result.word = try AnswerParts.text(bytes, field, "outcome")
            case 4: result.acceptedCount = try FieldRules.small(field, "accepted")
            case 5: try result.readRefusal(bytes, field)
            case 6: result.reason = try AnswerParts.text(bytes, field, "reason")
            case 12: result.subject = try AnswerParts.text(bytes, field, "subject")
            case 7: result.firstSequence = SequenceNumber(try FieldRules.number(field, "first_sequence"))
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        try FieldRules.require(result.word, "outcome")
        return result
    }

    private mutating func readRefusal(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "refused") }
        var (index, reason): (UInt32, String) = (0, "")
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: index = try FieldRules.small(part, "refused.index")
            case 2: reason = try AnswerParts.text(bytes, part, "refused.reason")
            default: break
            }
        }
        try FieldRules.finish(inner, "refused")
        refusals.append(EventRefusal(index: index, reason: reason))
    }
}

extension QueryError {
    /// Reads an answer that is an error; a code that is not known reads as `internal`.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> QueryError {
        var result = QueryError(.internal, "")
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1:
                result.code = Code(rawValue: try AnswerParts.text(bytes, field, "code")) ?? .internal
            case 2: result.message = try AnswerParts.text(bytes, field, "message")
            case 3: result.sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        return result
    }
}
