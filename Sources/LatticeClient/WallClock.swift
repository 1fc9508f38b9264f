// The time of day, for what is stamped before it leaves the process.

internal import EventModel
internal import Tracing

/// Reads the clock of this machine; data only, since order comes from the log.
enum WallClock {
    /// Nanoseconds since 1970.
    static var now: Timestamp {
        Timestamp(nanoseconds: Int64(clamping: DefaultTracerClock.now.nanosecondsSinceEpoch))
    }
}
