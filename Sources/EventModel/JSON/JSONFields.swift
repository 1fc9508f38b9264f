// The members that LatticeForge writes differently from protobuf's own JSON: names of choices, trace ids, times.

import SwiftProtobuf

/// How a member's value differs from protobuf's JSON mapping.
///
/// Members are told by their name alone: the schemas have no maps and give one meaning to each of these names.
enum JSONField {
    /// An enum whose names are written in lower case.
    case choice(JSONChoice)
    /// A choice in one message, a number in another: names must be known, numbers are the decoder's to judge.
    case choiceOrNumber(JSONChoice)
    /// A choice in one message, plain text in another: what is no name of the choice stays as it is.
    case choiceOrText(JSONChoice)
    /// Bytes that are written as hexadecimal digits.
    case traceID
    /// Bytes that are written as 16 hexadecimal digits.
    case spanID
    /// Nanoseconds that may be given as RFC 3339.
    case time

    /// The kind of a member; nil: as protobuf has it.
    init?(_ name: ArraySlice<UInt8>) {
        // `occurred_at`, `recorded_at`, `checkpoint_at`, …
        if name.suffix(3).elementsEqual("_at".utf8) {
            self = .time
            return
        }
        switch name.count {
        case 4 where name.elementsEqual("time".utf8): self = .time
        case 4 where name.elementsEqual("kind".utf8): self = .choiceOrText(.spanKind)
        case 6 where name.elementsEqual("health".utf8): self = .choice(.health)
        case 6 where name.elementsEqual("status".utf8): self = .choiceOrNumber(.spanStatus)
        case 7 where name.elementsEqual("span_id".utf8): self = .spanID
        case 14 where name.elementsEqual("parent_span_id".utf8): self = .spanID
        case 14 where name.elementsEqual("other_trace_id".utf8): self = .traceID
        case 14 where name.elementsEqual("start_time_min".utf8) || name.elementsEqual("start_time_max".utf8):
            self = .time
        case 8 where name.elementsEqual("end_time".utf8): self = .time
        case 9 where name.elementsEqual("span_kind".utf8): self = .choice(.spanKind)
        case 10 where name.elementsEqual("start_time".utf8): self = .time
        case 8 where name.elementsEqual("strategy".utf8): self = .choice(.strategy)
        case 8 where name.elementsEqual("trace_id".utf8): self = .traceID
        case 7 where name.elementsEqual("at_time".utf8): self = .time
        case 10 where name.elementsEqual("last_check".utf8): self = .time
        case 11 where name.elementsEqual("incarnation".utf8): self = .time
        case 12 where name.elementsEqual("silent_since".utf8): self = .time
        case 14 where name.elementsEqual("last_heartbeat".utf8): self = .time
        default: return nil
        }
    }
}

/// The enums of the schemas by their names in the specification.
package enum JSONChoice: Sendable {
    case strategy, health, spanKind, spanStatus

    /// The choice that a generated enum is.
    init<Generated: SwiftProtobuf.Enum>(_ type: Generated.Type) {
        switch ObjectIdentifier(type) {
        case ObjectIdentifier(Lattice_V1_SelectionStrategy.self): self = .strategy
        case ObjectIdentifier(Lattice_V1_HealthState.self): self = .health
        case ObjectIdentifier(Lattice_V1_SpanKind.self): self = .spanKind
        case ObjectIdentifier(Lattice_V1_SpanStatus.self): self = .spanStatus
        default: preconditionFailure("\(type) has no names here")
        }
    }

    /// The name of a number; nil for one that has none.
    func name(of number: Int32) -> String? {
        names.indices.contains(Int(number)) ? names[Int(number)] : nil
    }

    /// The names in the order of their numbers; 0 is "unspecified" and has protobuf's name only.
    private var names: [String] {
        switch self {
        case .strategy:
            ["selection_strategy_unspecified", "weighted_random", "round_robin", "least_connections", "power_of_two"]
        case .health: ["health_state_unspecified", "healthy", "unhealthy", "stale"]
        case .spanKind: ["span_kind_unspecified", "server", "client", "producer", "consumer", "internal"]
        case .spanStatus: ["span_status_unspecified", "ok", "error", "timeout", "cancelled"]
        }
    }

    /// The name as protobuf's JSON has it; nil for a name that is neither all lower nor all upper case, or not known.
    func protobufName(_ text: [UInt8]) -> [UInt8]? {
        for name in names {
            let upper = name.utf8.map(JSONChoice.upper)
            if text.elementsEqual(name.utf8) || text == upper { return upper }
        }
        return nil
    }

    /// Whether a number stands for one of the names.
    func isKnown(_ digits: ArraySlice<UInt8>) -> Bool {
        guard digits.count == 1, let digit = digits.first, digit >= UInt8(ascii: "0") else { return false }
        return Int(digit - UInt8(ascii: "0")) < names.count
    }

    private static func upper(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte
    }

    /// A name as the specification spells it.
    static func lower(_ text: [UInt8]) -> [UInt8] {
        text.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 + 32 : $0 }
    }
}

/// Trace ids between hexadecimal digits and protobuf's base64 (RFC 4648, with padding).
enum JSONTraceID {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let digits = Array("0123456789abcdef".utf8)

    /// 32 hexadecimal digits, or 16 for the low half, as base64; an empty text stays empty. Nil for anything else and
    /// for the id that is all zeros (W3C Trace Context, 3.2.2.3).
    static func base64(hexadecimal text: [UInt8]) -> [UInt8]? {
        if text.isEmpty { return [] }
        guard text.count == 32 || text.count == 16 else { return nil }
        var bytes: [UInt8] = text.count == 16 ? Array(repeating: 0, count: 8) : []
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = value(text[index]), let low = value(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        if bytes.allSatisfy({ $0 == 0 }) { return nil }
        return base64(bytes)
    }

    /// 16 hexadecimal digits of a span id as base64; an empty text stays empty. Nil for anything else and for all zeros.
    static func base64(span text: [UInt8]) -> [UInt8]? {
        if text.isEmpty { return [] }
        return SpanID(hexadecimal: String(decoding: text, as: UTF8.self)).map { base64($0.bytes) }
    }

    /// Bytes as base64.
    static func base64(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
            for index in 0..<4 {
                let isPadding = index > count
                result.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(group >> UInt32(18 - 6 * index) & 63)])
            }
        }
        return result
    }

    /// Base64 as hexadecimal digits in lower case; nil where it is not base64.
    static func hexadecimal(base64 text: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for character in text where character != UInt8(ascii: "=") {
            guard let index = alphabet.firstIndex(of: character) else { return nil }
            group = group << 6 | UInt32(index)
            bits += 6
            if bits >= 8 {
                bits -= 8
                let byte = UInt8(truncatingIfNeeded: group >> bits)
                result += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return result
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
