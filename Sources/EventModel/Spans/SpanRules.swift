// What a span may be in the log: the frozen structural rules of `SpansReceived` (decision 2).

/// Judges spans where they lie; nothing is built.
package enum SpanRules {
    /// The fields that only somebody who reads the span as a value looks at.
    static func checkRest(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ logs: inout Int, _ links: inout Int
    ) throws(DecodeError) {
        switch field.number {
        case 10: try checkLog(bytes, field, &logs)
        case 11: try checkLink(bytes, field, &links)
        case 13: try checkText(bytes, field, "status_message", Limits.valueBytes)
        case 14: try checkText(bytes, field, "trace_state", Limits.valueBytes)
        case 15: try checkText(bytes, field, "scope_name")
        case 16: try checkText(bytes, field, "scope_version")
        default: break
        }
    }

    /// One more tag: counted, its key and value judged.
    package static func checkTag(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ name: StaticString, _ count: inout Int
    ) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "\(name)") }
        guard count < Limits.tagsPerSpan else { throw DecodeError("too_many", "\(name)") }
        count += 1
        if isShortText(bytes, field.range) { return }
        var cursor = WireCursor(field.range)
        while let part = cursor.next(in: bytes) {
            switch part.number {
            case 1: try checkText(bytes, part, "key")
            case 2: try checkText(bytes, part, "string_value", Limits.valueBytes)
            case 3, 4: guard part.isVarint else { throw DecodeError("malformed", "value") }
            case 5: try fixed(part, "double_value")
            case 6:
                guard part.isBytes else { throw DecodeError("malformed", "bytes_value") }
                guard part.range.count <= Limits.valueBytes else { throw DecodeError("too_long", "bytes_value") }
            case 7: try checkText(bytes, part, "json_value", Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, name)
    }

    /// Whether a tag is as most are, and so within all rules: a key and a text, both of ASCII and of fewer than 128 bytes.
    private static func isShortText(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        let (start, end) = (range.lowerBound, range.upperBound)
        guard range.count >= 4, bytes[start] == 0x0A else { return false }
        let value = start + 2 + Int(bytes[start + 1])
        return end - value >= 2 && bytes[value] == 0x12 && value + 2 + Int(bytes[value + 1]) == end
            && bytes.isASCII(range)
    }

    private static func checkLog(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ count: inout Int
    ) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "logs") }
        guard count < Limits.tagsPerSpan else { throw DecodeError("too_many", "logs") }
        count += 1
        var fields = 0
        var cursor = WireCursor(field.range)
        while let part = cursor.next(in: bytes) {
            switch part.number {
            case 1: try fixed(part, "time")
            case 2: try checkText(bytes, part, "name")
            case 3: try checkTag(bytes, part, "fields", &fields)
            default: break
            }
        }
        try FieldRules.finish(cursor, "logs")
    }

    private static func checkLink(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ count: inout Int
    ) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "links") }
        guard count < Limits.tagsPerSpan else { throw DecodeError("too_many", "links") }
        count += 1
        var tags = 0
        var (hasTrace, hasSpan) = (false, false)
        var cursor = WireCursor(field.range)
        while let part = cursor.next(in: bytes) {
            switch part.number {
            case 1: hasTrace = try checkBytes(part, "links.trace_id", 16)
            case 2: hasSpan = try checkBytes(part, "links.span_id", 8)
            case 3: try checkText(bytes, part, "trace_state", Limits.valueBytes)
            case 4: try checkTag(bytes, part, "tags", &tags)
            default: break
            }
        }
        try FieldRules.finish(cursor, "links")
        guard hasTrace && hasSpan else { throw DecodeError("missing", "links") }
    }

    // MARK: Fields

    /// Bytes of one length. False for an empty field, which is as good as none.
    static func checkBytes(_ field: WireField, _ name: StaticString, _ count: Int) throws(DecodeError) -> Bool {
        guard field.isBytes, field.range.isEmpty || field.range.count == count else {
            throw DecodeError("malformed", "\(name)")
        }
        return !field.range.isEmpty
    }

    /// Eight bytes.
    @discardableResult
    static func fixed(_ field: WireField, _ name: StaticString) throws(DecodeError) -> Int64 {
        guard field.kind == .fixed64 else { throw DecodeError("malformed", "\(name)") }
        return field.signed
    }

    /// A value of an enumeration.
    static func choice(_ field: WireField, _ name: StaticString, _ last: UInt32) throws(DecodeError) -> UInt32 {
        let value = try FieldRules.small(field, name)
        guard value <= last else { throw DecodeError("unknown_enum_value", "\(name)") }
        return value
    }

    static func checkText(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ name: StaticString,
        _ limit: Int = Limits.identifierBytes
    ) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "\(name)") }
        guard field.range.count <= limit else { throw DecodeError("too_long", "\(name)") }
        guard bytes.isASCII(field.range) || (try? UTF8Span(validating: bytes.extracting(field.range))) != nil else {
            throw DecodeError("invalid_utf8", "\(name)")
        }
    }
}
