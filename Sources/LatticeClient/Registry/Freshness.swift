// Whether a copy of the registry is up to date, and why not.

public import EventModel

/// How far a copy can be relied upon.
public enum Freshness: Sendable, Hashable, CustomStringConvertible {
    /// Nothing is known yet, and why.
    case unknown(reason: String)
    /// The node answered when it was last asked, and nothing was missed since as far as can be told.
    case current(asOf: SequenceNumber)
    /// The last known state; `since`: when the registry last confirmed it.
    case stale(since: Timestamp, asOf: SequenceNumber, reason: String)

    /// Whether the registry stands behind it.
    public var isCurrent: Bool {
        if case .current = self { return true }
        return false
    }

    /// `current at 17`, `stale at 17, confirmed last at 2026-11-28T12:00:00Z: …`, `unknown: …`.
    public var description: String {
        switch self {
        case .unknown(let reason): "unknown: \(reason)"
        case .current(let asOf): "current at \(asOf)"
        case .stale(let since, let asOf, let reason):
            "stale at \(asOf), confirmed last at \(RFC3339.text(since)): \(reason)"
        }
    }
}
