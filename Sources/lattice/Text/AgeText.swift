// How long ago something was, as people say it.

import EventModel

/// `45s`, `11m`, `3h`, `2d`; rounded down, so that nothing is told older than it is.
enum AgeText {
    static func of(_ age: Nanoseconds) -> String {
        let seconds = max(0, age.rawValue) / 1_000_000_000
        switch seconds {
        case 0..<60: return "\(seconds)s"
        case 60..<3_600: return "\(seconds / 60)m"
        case 3_600..<(2 * 86_400): return "\(seconds / 3_600)h"
        default: return "\(seconds / 86_400)d"
        }
    }

    /// The age of a moment, by its nanoseconds; nil for 0, which is how an absent moment is written.
    static func since(_ nanoseconds: Int64, asOf now: Int64) -> String? {
        nanoseconds == 0 ? nil : of(Timestamp(nanoseconds: now) - Timestamp(nanoseconds: nanoseconds))
    }
}

/// Sizes as people say them.
enum SizeText {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    static func of(_ bytes: UInt64) -> String {
        var unit = 0
        while unit < units.count - 1, bytes >> (10 * UInt64(unit + 1)) > 0 { unit += 1 }
        // In integers: a Double rounds the largest sizes up to the next unit's.
        let shift = 10 * UInt64(unit)
        let (whole, rest) = (bytes >> shift, bytes & ((1 << shift) - 1))
        if unit == 0 || whole >= 100 { return "\(whole) \(units[unit])" }
        return "\(whole).\((rest * 10) >> shift) \(units[unit])"
    }
}

/// What to do where the reason of a refusal does not say it by itself.
enum RefusalAdvice {
    static func of(_ reason: String) -> String? {
        switch reason {
        case "disk_pressure":
            "the disk of the node is too full to take this kind of event; the registry is served on. `lattice status` "
                + "says how full it is; make room there, lower --retention-bytes, or set --disk-pressure"
        default: nil
        }
    }
}
