// The numbers of the log, each a type of its own, so that a sequence, a time and a duration cannot add up.

/// A record's place in the log: strictly increasing, not necessarily dense. Never compute with its distance.
public struct SequenceNumber: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 0 is "before the first record"; records begin at 1.
    public let rawValue: UInt64

    /// Wraps a number as given by the log or the stream.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Wraps a number as given by the log or the stream.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The position before the first record.
    public static let origin = SequenceNumber(0)
    /// After every record there can be.
    public static let end = SequenceNumber(.max)

    /// The smallest position after this one.
    public var next: SequenceNumber { SequenceNumber(rawValue + 1) }

    /// The decimal digits.
    public var description: String { String(rawValue) }

    /// Log order.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A moment, in nanoseconds since 1970-01-01T00:00:00Z (UTC, without leap seconds).
public struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable {
    /// Nanoseconds since the Unix epoch; the format spans the years 1677 to 2262.
    public let rawValue: Int64

    /// Wraps nanoseconds since the Unix epoch.
    public init(rawValue: Int64) { self.rawValue = rawValue }

    /// Wraps nanoseconds since the Unix epoch.
    public init(nanoseconds: Int64) { rawValue = nanoseconds }

    /// The Unix epoch, also "no time known".
    public static let zero = Timestamp(nanoseconds: 0)

    /// Log order of time.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The distance, saturating at the ends of the format.
    public static func - (left: Self, right: Self) -> Nanoseconds {
        let (value, overflow) = left.rawValue.subtractingReportingOverflow(right.rawValue)
        return Nanoseconds(overflow ? (left.rawValue < 0 ? .min : .max) : value)
    }

    /// A later moment, saturating at the ends of the format.
    public static func + (left: Self, right: Nanoseconds) -> Timestamp {
        let (value, overflow) = left.rawValue.addingReportingOverflow(right.rawValue)
        return Timestamp(nanoseconds: overflow ? (right.rawValue < 0 ? .min : .max) : value)
    }
}

/// A length of time in nanoseconds (folded state knows no floating point).
public struct Nanoseconds: RawRepresentable, Hashable, Comparable, Sendable {
    /// Nanoseconds; may be negative.
    public let rawValue: Int64

    /// Wraps a count of nanoseconds.
    public init(rawValue: Int64) { self.rawValue = rawValue }

    /// Wraps a count of nanoseconds.
    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// No time at all.
    public static let zero = Nanoseconds(0)

    /// Whole seconds as nanoseconds.
    public static func seconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count * 1_000_000_000) }

    /// Whole milliseconds as nanoseconds.
    public static func milliseconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count * 1_000_000) }

    /// Shorter before longer.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The sum, saturating.
    public static func + (left: Self, right: Self) -> Nanoseconds {
        let (value, overflow) = left.rawValue.addingReportingOverflow(right.rawValue)
        return Nanoseconds(overflow ? (right.rawValue < 0 ? .min : .max) : value)
    }
}

/// The fingerprint of a state or of some bytes: 128 bits, the same in every process and on every machine.
///
/// A state's digest is the wrapping sum of the digests of its entities, so that it does not depend on their order and
/// can be kept up to date by difference (decision 12).
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// The high and the low half.
    public var high: UInt64
    /// The low half.
    public var low: UInt64

    /// Puts the halves together.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The digest of nothing.
    public static let zero = Digest(high: 0, low: 0)

    /// The wrapping 128-bit sum.
    public static func &+ (left: Self, right: Self) -> Digest {
        let (low, carry) = left.low.addingReportingOverflow(right.low)
        return Digest(high: left.high &+ right.high &+ (carry ? 1 : 0), low: low)
    }

    /// The wrapping 128-bit difference.
    public static func &- (left: Self, right: Self) -> Digest {
        let (low, borrow) = left.low.subtractingReportingOverflow(right.low)
        return Digest(high: left.high &- right.high &- (borrow ? 1 : 0), low: low)
    }

    /// 32 hexadecimal digits, lower case.
    public var description: String { Self.hexadecimal(high) + Self.hexadecimal(low) }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
