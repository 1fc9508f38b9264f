// JSON for people's tools: numbers as numbers, moments in RFC 3339, every field, also those that are zero, false or empty.
// The reader of the wire's own JSON takes it, too.

import SwiftProtobuf

extension JSONTranscoder {
    /// A message's bytes as JSON for people's tools, on one line.
    ///
    /// Which form a field has follows from the schema and never from its value. Numbers are numbers; those that may lie
    /// beyond 2^53 (`seed`, `cursor`, `path_hash`, `int_value`) are texts. Moments are RFC 3339 in UTC, and `null` where
    /// there is none; lengths of time are nanoseconds, with `_ns` in their names. Messages, optional fields and choices
    /// that are not set are `null`; of a `oneof` the member that is set is there. Trace ids are hexadecimal digits, other
    /// bytes base64.
    ///
    /// - Throws: `malformed`, `invalid_utf8` or `too_deep` where the bytes are no message of this kind.
    package static func people(fromBinary bytes: [UInt8], kind: MessageKind) throws(DecodeError) -> [UInt8] {
        try JSONRenderer.text(bytes, kind.message)
    }

    /// An event's bytes as JSON for people's tools.
    package static func people(fromBinary bytes: [UInt8], type: EventType) throws(DecodeError) -> [UInt8] {
        try JSONRenderer.text(bytes, type.message)
    }
}

/// Writes the bytes of a message as JSON for people.
struct JSONRenderer {
    private var output: [UInt8] = []

    static func text(_ bytes: [UInt8], _ type: any SwiftProtobuf.Message.Type) throws(DecodeError) -> [UInt8] {
        var renderer = JSONRenderer()
        renderer.output.reserveCapacity(bytes.count * 4)
        try renderer.message(bytes.span, 0..<bytes.count, JSONShape.of(type), depth: 0)
        return JSONVisible.escaped(renderer.output)
    }

    private mutating func message(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ shape: JSONShape, depth: Int
    ) throws(DecodeError) {
        guard depth < Limits.jsonDepth else { throw DecodeError("too_deep", "message") }
        var found: [WireField] = []
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes) { found.append(field) }
        guard cursor.isComplete else { throw DecodeError("malformed", "message") }
        var separator = UInt8(ascii: "{")
        for field in shape.fields {
            let value = found.last { $0.number == field.number }
            if case .choice = field.presence, value == nil { continue }
            output.append(separator)
            separator = UInt8(ascii: ",")
            output.append(UInt8(ascii: "\""))
            output += field.name.utf8
            output += "\":".utf8
            if case .repeated = field.presence {
                try list(bytes, field, value == nil ? [] : found.filter { $0.number == field.number }, depth)
            } else if let value {
                try self.value(bytes, field, value, depth)
            } else {
                absent(field)
            }
        }
        if separator == UInt8(ascii: "{") { output.append(separator) }
        output.append(UInt8(ascii: "}"))
    }

    private mutating func list(
        _ bytes: Span<UInt8>, _ field: JSONShape.Field, _ values: [WireField], _ depth: Int
    ) throws(DecodeError) {
        output.append(UInt8(ascii: "["))
        var isFirst = true
        for value in try unpacked(bytes, field, values) {
            if !isFirst { output.append(UInt8(ascii: ",")) }
            isFirst = false
            try self.value(bytes, field, value, depth)
        }
        output.append(UInt8(ascii: "]"))
    }

    /// The values of a repeated field; numbers stand together in one field of bytes, or each for itself.
    private func unpacked(
        _ bytes: Span<UInt8>, _ field: JSONShape.Field, _ values: [WireField]
    ) throws(DecodeError) -> [WireField] {
        switch field.kind {
        case .string, .bytes, .message: return values
        default: break
        }
        var result: [WireField] = []
        for value in values {
            guard value.isBytes else {
                result.append(value)
                continue
            }
            guard case .uint32 = field.kind else { throw DecodeError("malformed", field.name) }
            var index = value.start
            while index < value.end {
                var number: UInt64 = 0
                var shift: UInt64 = 0
                while index < value.end, bytes[index] >= 0x80, shift < 63 {
                    number |= UInt64(bytes[index] & 0x7F) << shift
                    (index, shift) = (index + 1, shift + 7)
                }
                guard index < value.end, bytes[index] < 0x80 else { throw DecodeError("malformed", field.name) }
                number |= UInt64(bytes[index]) << shift
                index += 1
                result.append(WireField(number: field.number, kind: .varint, value: number))
            }
        }
        return result
    }

    /// What stands for a field that is not on the wire.
    private mutating func absent(_ field: JSONShape.Field) {
        guard case .implied = field.presence, !field.isTime else {
            output += "null".utf8
            return
        }
        switch field.kind {
        case .bool: output += "false".utf8
        case .string, .bytes: output += "\"\"".utf8
        case .choice, .message, .unknown: output += "null".utf8
        case .int64 where field.isText, .uint64 where field.isText: output += "\"0\"".utf8
        default: output.append(UInt8(ascii: "0"))
        }
    }

    private mutating func value(
        _ bytes: Span<UInt8>, _ field: JSONShape.Field, _ value: WireField, _ depth: Int
    ) throws(DecodeError) {
        guard value.kind == field.kind.wire else { throw DecodeError("malformed", field.name) }
        switch field.kind {
        case .int32: number("\(Int32(truncatingIfNeeded: value.value))", field)
        case .uint32: number("\(UInt32(truncatingIfNeeded: value.value))", field)
        case .int64 where field.isTime, .sfixed64 where field.isTime: time(value.signed, field)
        case .int64, .sfixed64: number("\(value.signed)", field)
        case .uint64: number("\(value.value)", field)
        case .double: double(Double(bitPattern: value.value))
        case .bool: output += (value.value == 0 ? "false" : "true").utf8
        case .choice(let choice): name(value.value, choice)
        case .string: try string(bytes, value.range, field)
        case .bytes: hexadecimalOrBase64(bytes, value.range, field)
        case .message(let type): try message(bytes, value.range, JSONShape.of(type), depth: depth + 1)
        case .unknown: throw DecodeError("malformed", field.name)
        }
    }

    private mutating func number(_ digits: String, _ field: JSONShape.Field) {
        if field.isText { output.append(UInt8(ascii: "\"")) }
        output += digits.utf8
        if field.isText { output.append(UInt8(ascii: "\"")) }
    }

    private mutating func time(_ nanoseconds: Int64, _ field: JSONShape.Field) {
        if nanoseconds == 0, case .implied = field.presence {
            output += "null".utf8
        } else {
            output += "\"\(RFC3339.text(Timestamp(nanoseconds: nanoseconds)))\"".utf8
        }
    }

    /// As protobuf's JSON has what is no number.
    private mutating func double(_ value: Double) {
        guard value.isFinite else {
            output += (value.isNaN ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"").utf8
            return
        }
        let text = "\(value)"
        output += (text.hasSuffix(".0") && text != "-0.0" ? text.dropLast(2) : text[...]).utf8
    }

    private mutating func name(_ value: UInt64, _ choice: JSONChoice) {
        let number = Int32(truncatingIfNeeded: value)
        guard number != 0 else {
            output += "null".utf8
            return
        }
        guard let name = choice.name(of: number) else {
            output += "\(number)".utf8
            return
        }
        output += "\"\(name)\"".utf8
    }

    private mutating func string(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ field: JSONShape.Field
    ) throws(DecodeError) {
        let content = bytes.extracting(range)
        guard (try? UTF8Span(validating: content)) != nil else { throw DecodeError("invalid_utf8", field.name) }
        output.append(UInt8(ascii: "\""))
        for index in content.indices {
            switch content[index] {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), content[index]]
            case 0x0A: output += "\\n".utf8
            case 0x0D: output += "\\r".utf8
            case 0x09: output += "\\t".utf8
            case 0..<0x20:
                output += "\\u00\(content[index] < 0x10 ? "0" : "1")\(String(content[index] & 15, radix: 16))".utf8
            default: output.append(content[index])
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func hexadecimalOrBase64(_ bytes: Span<UInt8>, _ range: Range<Int>, _ field: JSONShape.Field) {
        var content: [UInt8] = []
        for index in range { content.append(bytes[index]) }
        let base64 = JSONTraceID.base64(content)
        output.append(UInt8(ascii: "\""))
        output += field.isIdentifier ? JSONTraceID.hexadecimal(base64: base64) ?? base64 : base64
        output.append(UInt8(ascii: "\""))
    }
}

extension JSONShape.Kind {
    /// How one value stands on the wire.
    fileprivate var wire: WireKind {
        switch self {
        case .int32, .uint32, .int64, .uint64, .bool, .choice: .varint
        case .sfixed64, .double: .fixed64
        case .string, .bytes, .message, .unknown: .bytes
        }
    }
}
