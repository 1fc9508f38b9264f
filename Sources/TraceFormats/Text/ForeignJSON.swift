// JSON that others wrote: bounded in depth, its values of any type.

import EventModel
import FoundationEssentials

/// What all JSON formats need.
enum ForeignJSON {
    /// Refuses JSON that nests deeper than Limits.md allows, before anything recursive reads it.
    static func checkDepth(_ json: [UInt8]) throws(MalformedInput) {
        var depth = 0
        var isText = false
        var isEscaped = false
        for byte in json {
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isText = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth > Limits.jsonDepth { throw MalformedInput("nested deeper than \(Limits.jsonDepth)") }
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
    }

    /// Decodes a document.
    ///
    /// - Throws: the path of what was not as expected, without the content.
    static func decode<Value: Decodable>(
        _ type: Value.Type, _ json: [UInt8], _ format: String
    ) throws(MalformedInput) -> Value {
        try checkDepth(json)
        do {
            return try JSONDecoder().decode(type, from: Data(json))
        } catch let error as DecodingError {
            throw MalformedInput("not \(format): \(path(error))")
        } catch {
            throw MalformedInput("not \(format)")
        }
    }

    private static func path(_ error: DecodingError) -> String {
        switch error {
        case .typeMismatch(_, let context): "wrong type at \(path(context.codingPath))"
        case .valueNotFound(_, let context): "no value at \(path(context.codingPath))"
        case .keyNotFound(let key, let context): "no \(key.stringValue) at \(path(context.codingPath))"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty: "malformed at \(path(context.codingPath))"
        default: "malformed JSON"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.isEmpty
            ? "the top" : keys.prefix(8).map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
}

/// A value of whatever type.
struct ForeignValue: Decodable {
    var value: JSONValue

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            value = .string(text)
        } else if container.decodeNil() {
            value = .null
        } else if let bit = try? container.decode(Bool.self) {
            value = .bool(bit)
        } else if let number = try? container.decode(Int64.self) {
            value = .int(number)
        } else if let number = try? container.decode(Double.self) {
            value = .double(number)
        } else if let elements = try? container.decode([ForeignValue].self) {
            value = .array(elements.map(\.value))
        } else {
            value = .object(try container.decode([String: ForeignValue].self).mapValues(\.value))
        }
    }

    /// The value as a tag's, by its own type.
    var tagValue: TagValue {
        switch value {
        case .null: .json("null")
        case .bool(let bit): .bool(bit)
        case .int(let number): .int(number)
        case .double(let number): .double(number)
        case .string(let text): .string(text)
        case .array, .object: .json(JSONWriting.of(value))
        }
    }
}

/// Microseconds as a number, whole or not, or as text; Zipkin's and Jaeger's unit.
struct Microseconds: Decodable {
    /// Saturating.
    var nanoseconds: Int64

    init(from decoder: any Decoder) throws {
        switch try ForeignValue(from: decoder).value {
        case .int(let number): nanoseconds = Self.saturated(number)
        case .double(let number) where number.magnitude < 9e15: nanoseconds = Int64(number * 1_000)
        case .string(let text):
            guard let number = Int64(text) else { throw Self.wrong(decoder) }
            nanoseconds = Self.saturated(number)
        default: throw Self.wrong(decoder)
        }
    }

    private static func saturated(_ number: Int64) -> Int64 {
        let (product, overflow) = number.multipliedReportingOverflow(by: 1_000)
        return overflow ? (number < 0 ? .min : .max) : product
    }

    private static func wrong(_ decoder: any Decoder) -> DecodingError {
        .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no microseconds"))
    }
}

/// Ids as Zipkin and Jaeger write them: zeros on the left may be missing.
enum ForeignID {
    static func trace(_ text: String) -> TraceID? {
        TraceID(hexadecimal: padded(text, text.utf8.count > 16 ? 32 : 16))
    }

    static func span(_ text: String) -> SpanID? { SpanID(hexadecimal: padded(text, 16)) }

    private static func padded(_ text: String, _ count: Int) -> String {
        text.isEmpty ? text : String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
}
