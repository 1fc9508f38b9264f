// Trace and span ids: 16 and 8 bytes, hexadecimal for people, never all zeros (W3C Trace Context, 3.2.2).

/// The id of a trace: 16 bytes.
public struct TraceID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first eight bytes, big-endian.
    public var high: UInt64
    /// The last eight bytes, big-endian.
    public var low: UInt64

    /// Puts the halves together.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads 16 bytes; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Reads 32 hexadecimal digits of either case, or 16 to 31, which are padded with zeros on the left; nil for
    /// anything else and for the id that is all zeros.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard (16...32).contains(digits.count), let low = HexadecimalDigits.number(digits.suffix(16)),
            let high = HexadecimalDigits.number(digits.dropLast(16)), high | low != 0
        else { return nil }
        self.init(high: high, low: low)
    }

    /// False for the id that is all zeros, which stands for "no trace".
    public var isValid: Bool { high | low != 0 }

    /// The 16 bytes.
    public var bytes: [UInt8] { HexadecimalDigits.bytes(high) + HexadecimalDigits.bytes(low) }

    /// 32 hexadecimal digits, lower case.
    public var description: String { HexadecimalDigits.text(high) + HexadecimalDigits.text(low) }

    /// Order of the bytes.
    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

/// The id of a span within its trace: 8 bytes.
public struct SpanID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The eight bytes, big-endian.
    public let rawValue: UInt64

    /// Wraps the eight bytes, big-endian.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Wraps the eight bytes, big-endian.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Reads 8 bytes; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 8 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Reads 16 hexadecimal digits of either case; nil for anything else and for the id that is all zeros.
    public init?(hexadecimal text: some StringProtocol) {
        let digits = Array(text.utf8)
        guard digits.count == 16, let value = HexadecimalDigits.number(digits[...]), value != 0 else { return nil }
        rawValue = value
    }

    /// False for the id that is all zeros, which stands for "no span".
    public var isValid: Bool { rawValue != 0 }

    /// The 8 bytes.
    public var bytes: [UInt8] { HexadecimalDigits.bytes(rawValue) }

    /// 16 hexadecimal digits, lower case.
    public var description: String { HexadecimalDigits.text(rawValue) }

    /// Order of the bytes.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Numbers as hexadecimal digits without Foundation.
enum HexadecimalDigits {
    private static let digits = Array("0123456789abcdef".utf8)

    /// At most 16 digits of either case as a number; nil where one is none.
    static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
        var result: UInt64 = 0
        for byte in text {
            guard let digit = value(byte) else { return nil }
            result = result << 4 | UInt64(digit)
        }
        return result
    }

    static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    static func isLower(_ text: ArraySlice<UInt8>) -> Bool {
        text.allSatisfy { value($0) != nil && !(UInt8(ascii: "A")...UInt8(ascii: "F")).contains($0) }
    }

    static func bytes(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
    }

    static func text(_ value: UInt64) -> String {
        let text = bytes(value).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}
