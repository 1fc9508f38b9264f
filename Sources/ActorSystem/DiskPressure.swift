// How full the file system of the log is, and what is refused because of it (operations.md, Defaults).

package import EventModel

/// What the room on the disk no longer permits. Each level includes those before it.
package enum DiskPressureLevel: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    /// Everything is taken.
    case none
    /// No captured requests.
    case captures
    /// No spans either.
    case spans
    /// The registry and policy only.
    case registryOnly

    /// The word in `status`.
    package var name: String {
        switch self {
        case .none: "none"
        case .captures: "captures"
        case .spans: "spans"
        case .registryOnly: "all_but_registry"
        }
    }

    /// Whether a message of this kind is refused. What the node itself records is never asked about.
    package func refuses(_ type: EventType) -> Bool {
        switch type.family {
        // What was read must be told, or it is not read.
        case .registry, .policy, .audit: false
        case .trace: self >= .spans
        case .mirror: self >= (type == .requestCaptured ? .captures : .registryOnly)
        case .clock: self >= .registryOnly
        }
    }

    /// By weight.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Used shares of the file system, in basis points, at which the levels begin.
package struct DiskPressureThresholds: Sendable, Hashable {
    package var captures: UInt64 = 8_000
    package var spans: UInt64 = 9_000
    package var registryOnly: UInt64 = 9_700
    /// A level ends only when so much less is used than where it began: retention works in steps, and a level that
    /// flaps tells publishers nothing.
    package var margin: UInt64 = 200

    package init() {}

    /// Nil unless 0 < captures ≤ spans ≤ registryOnly ≤ 10,000.
    package init?(captures: UInt64, spans: UInt64, registryOnly: UInt64) {
        guard captures > 0, captures <= spans, spans <= registryOnly, registryOnly <= 10_000 else { return nil }
        self.captures = captures
        self.spans = spans
        self.registryOnly = registryOnly
    }

    /// The level that a used share amounts to, each threshold lowered by `slack`.
    fileprivate func level(usedBasisPoints used: UInt64, slack: UInt64) -> DiskPressureLevel {
        let used = used + slack
        if used >= registryOnly { return .registryOnly }
        if used >= spans { return .spans }
        return used >= captures ? .captures : .none
    }
}

/// The level as measurements come in.
package struct DiskPressure: Sendable, Hashable {
    package private(set) var level = DiskPressureLevel.none
    private let thresholds: DiskPressureThresholds?

    /// Nil: there is no pressure, ever.
    package init(_ thresholds: DiskPressureThresholds?) { self.thresholds = thresholds }

    /// Takes one measurement; true if it changes the level. Rises at a threshold, falls `margin` below it.
    package mutating func note(usedBasisPoints used: UInt64) -> Bool {
        guard let thresholds else { return false }
        let before = level
        let held = min(level, thresholds.level(usedBasisPoints: used, slack: thresholds.margin))
        level = max(held, thresholds.level(usedBasisPoints: used, slack: 0))
        return level != before
    }
}
