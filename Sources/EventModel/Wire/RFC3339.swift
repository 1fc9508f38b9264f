// Moments as text.

/// Moments as people and tools read them (RFC 3339, UTC).
package enum RFC3339 {
    /// `2026-11-24T06:54:05.123456789Z`; the fraction is left out when it is zero.
    package static func text(_ time: Timestamp) -> String {
        let (seconds, nanoseconds) = floored(time.rawValue, 1_000_000_000)
        let (days, inDay) = floored(seconds, 86_400)
        let (year, month, day) = civil(days)
        let clock = "\(two(inDay / 3_600)):\(two(inDay / 60 % 60)):\(two(inDay % 60))"
        let digits = String(nanoseconds)
        let fraction = nanoseconds == 0 ? "" : "." + String(repeating: "0", count: 9 - digits.count) + digits
        return "\(year)-\(two(month))-\(two(day))T\(clock)\(fraction)Z"
    }

    private static func floored(_ value: Int64, _ divisor: Int64) -> (Int64, Int64) {
        let rest = value % divisor
        return rest < 0 ? (value / divisor - 1, rest + divisor) : (value / divisor, rest)
    }

    private static func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// Days since 1970-01-01 as a date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = floored(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}
