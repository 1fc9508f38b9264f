// The time of day, which a log in the caller's own process stamps its records with unless it is given another clock.

public import EventModel
import FoundationEssentials

/// Clocks for registries, mirrors and collectors in the caller's own process.
public enum LocalTime {
    /// The clock of this machine: nanoseconds since 1970-01-01T00:00:00Z, exact to about a microsecond.
    @Sendable public static func wallClock() -> Timestamp {
        Timestamp(nanoseconds: Int64(Date().timeIntervalSince1970 * 1_000_000_000))
    }
}
