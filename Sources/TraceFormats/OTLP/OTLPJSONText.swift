// Attributes that are lists or objects, as the JSON text that the log keeps of them.

import EventModel
import FoundationEssentials
import MeshRules

/// Writes an `AnyValue` as JSON: bytes in base64, fractions that JSON does not know as text.
struct OTLPJSONText {
    private let bytes: [UInt8]
    private(set) var text: [UInt8] = []

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: `refused` below the depth that JSON may have.
    mutating func write(_ value: OTLPValue, depth: Int) throws(OTLPProblem) {
        guard depth < Limits.jsonDepth else { throw .refused("too_deep: attributes") }
        switch value {
        case .none: text += "null".utf8
        case .string(let range): quote(range)
        case .bool(let bits): text += (bits == 0 ? "false" : "true").utf8
        case .int(let bits): text += String(Int64(bitPattern: bits)).utf8
        case .double(let bits): text += Self.number(Double(bitPattern: bits)).utf8
        case .bytes(let range): text += "\"\(Data(bytes[range]).base64EncodedString())\"".utf8
        case .array(let range): try array(range, depth)
        case .object(let range): try object(range, depth)
        }
    }

    private mutating func array(_ range: Range<Int>, _ depth: Int) throws(OTLPProblem) {
        text.append(UInt8(ascii: "["))
        var isFirst = true
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            guard field.number == 1 else { continue }
            if !isFirst { text.append(UInt8(ascii: ",")) }
            isFirst = false
            try write(OTLPFields.value(bytes, OTLPFields.content(field, "values")), depth: depth + 1)
        }
        try OTLPFields.finish(cursor, "array_value")
        text.append(UInt8(ascii: "]"))
    }

    private mutating func object(_ range: Range<Int>, _ depth: Int) throws(OTLPProblem) {
        text.append(UInt8(ascii: "{"))
        var isFirst = true
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            guard field.number == 1 else { continue }
            if !isFirst { text.append(UInt8(ascii: ",")) }
            isFirst = false
            let (key, value) = try OTLPFields.keyValue(bytes, OTLPFields.content(field, "values"))
            quote(key)
            text.append(UInt8(ascii: ":"))
            if SpanSecrets.kind(bytes.span, key) == .secret {
                text += "\"\(SecretNames.mark)\"".utf8
            } else {
                try write(value, depth: depth + 1)
            }
        }
        try OTLPFields.finish(cursor, "kvlist_value")
        text.append(UInt8(ascii: "}"))
    }

    private mutating func quote(_ range: Range<Int>) {
        text += JSONWriting.quoted(String(decoding: bytes[range], as: UTF8.self)).utf8
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "\"NaN\"" }
        if value.isInfinite { return value < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
        return String(value)
    }
}
