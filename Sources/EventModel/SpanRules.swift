// What a span may be in the log: the frozen structural rules of `SpansReceived` (decision 2).

/// Judges spans where they lie; nothing is built.
package enum SpanRules {
    /// One span, without its service and process.
    package static func checkSpan(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) throws(DecodeError) {
        var counts = (tags: 0, logs: 0, links: 0)
        var (hasTrace, hasSpan) = (false, false)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes) {
            switch field.number {
            case 1: hasTrace = try checkBytes(field, "trace_id", 16)
            case 2: hasSpan = try checkBytes(field, "span_id", 8)
            case 3: _ = try checkBytes(field, "parent_span_id", 8)
            case 4: try checkText(bytes, field, "operation_name")
            case 5: try checkChoice(field, "kind", 5)
            case 6: try checkChoice(field, "status", 4)
            case 7: try checkFixed(field, "start_time")
            case 8: try checkFixed(field, "end_time")
            case 9: try checkTag(bytes, field, "tags", &counts.tags)
            case 10: try checkLog(bytes, field, &counts.logs)
            case 11: try checkLink(bytes, field, &counts.links)
            case 12: try checkText(bytes, field, "peer_service")
            case 13: try checkText(bytes, field, "status_message", Limits.valueBytes)
            case 14: try checkText(bytes, field, "trace_state", Limits.valueBytes)
            case 15: try checkText(bytes, field, "scope_name")
            case 16: try checkText(bytes, field, "scope_version")
            default: break
            }
        }
        try FieldRules.finish(cursor, "span")
        if !hasTrace { throw DecodeError("missing", "trace_id") }
        if !hasSpan { throw DecodeError("missing", "span_id") }
    }

    /// One more tag: counted, its key and value judged.
    package static func checkTag(
        _ bytes: borrowing Span<UInt8>, _ field: WireField, _ name: StaticString, _ count: inout Int
    ) throws(DecodeError) {
        guard field.isBytes else { throw DecodeError("malformed", "\(name)") }
        guard count < Limits.tagsPerSpan else { throw DecodeError("too_many", "\(name)") }
        count += 1
        var cursor = WireCursor(field.range)
        while let part = cursor.next(in: bytes) {
            switch part.number {
            case 1: try checkText(bytes, part, "key")
            case 2: try checkText(bytes, part, "string_value", Limits.valueBytes)
            case 3, 4: guard part.isVarint else { throw DecodeError("malformed", "value") }
            case 5: try checkFixed(part, "double_value")
            case 6:
                guard part.isBytes else { throw DecodeError("malformed", "bytes_value") }
                guard part.range.count <= Limits.valueBytes else { throw DecodeError("too_long", "bytes_value") }
            case 7: try checkText(bytes, part, "json_value", Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, name)
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
            case 1: try checkFixed(part, "time")
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

    /// False for an empty field, which is as good as none.
    private static func checkBytes(_ field: WireField, _ name: StaticString, _ count: Int) throws(DecodeError) -> Bool {
        guard field.isBytes, field.range.isEmpty || field.range.count == count else {
            throw DecodeError("malformed", "\(name)")
        }
        return !field.range.isEmpty
    }

    private static func checkFixed(_ field: WireField, _ name: StaticString) throws(DecodeError) {
        guard field.kind == .fixed64 else { throw DecodeError("malformed", "\(name)") }
    }

    private static func checkChoice(_ field: WireField, _ name: StaticString, _ last: UInt32) throws(DecodeError) {
        guard try FieldRules.small(field, name) <= last else { throw DecodeError("unknown_enum_value", "\(name)") }
    }

    private static func checkText(
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
