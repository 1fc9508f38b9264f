// How full the file system of the log is, and what is refused because of it (Limits.md, The node).

package import EventModel
package import EventStore
import Logging

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

    /// Tells the operator that this is the level now.
    func tell(_ logger: Logger, _ space: DiskSpace, isStream: Bool) {
        let metadata: Logger.Metadata = [
            "level": "\(name)", "used_percent": "\(space.usedBasisPoints / 100)", "free_bytes": "\(space.freeBytes)",
        ]
        // Over a stream nothing is refused.
        let isRefusing = isStream ? "would be refused" : "are refused"
        switch self {
        case .none: logger.notice("disk pressure is over: everything is taken", metadata: metadata)
        case .captures: logger.warning("disk pressure: captures \(isRefusing)", metadata: metadata)
        case .spans: logger.warning("disk pressure: captures and spans \(isRefusing)", metadata: metadata)
        case .registryOnly:
            logger.error("disk pressure: all but registry and policy \(isRefusing)", metadata: metadata)
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

/// Where one level begins: so large a share of the file system in use, and so little room left. A share alone would call
/// a disk of 2 TB full that has 400 GB free, room alone a small one that is half empty.
package struct DiskPressureThreshold: Sendable, Hashable {
    /// Basis points of the file system.
    package var usedShare: UInt64
    /// Bytes; nil: the share alone decides.
    package var freeBytes: UInt64?

    package init(usedShare: UInt64, freeBytes: UInt64? = nil) {
        self.usedShare = usedShare
        self.freeBytes = freeBytes
    }

    /// Whether both are passed; `isHeld`: whether they still are, with a margin in which a level does not end.
    fileprivate func isPassed(by space: DiskSpace, isHeld: Bool) -> Bool {
        guard space.usedBasisPoints + (isHeld ? DiskPressureThresholds.margin : 0) >= usedShare else { return false }
        guard let freeBytes else { return true }
        let room = min(freeBytes, .max / 2)
        return space.freeBytes < (isHeld ? room + room / 10 : room)
    }
}

/// Where the levels begin.
package struct DiskPressureThresholds: Sendable, Hashable {
    package private(set) var captures = DiskPressureThreshold(usedShare: 8_000, freeBytes: 20 << 30)
    package private(set) var spans = DiskPressureThreshold(usedShare: 9_000, freeBytes: 10 << 30)
    package private(set) var registryOnly = DiskPressureThreshold(usedShare: 9_700, freeBytes: 3 << 30)
    /// A level ends only when so many basis points less are used than where it began, or a tenth more is free: retention
    /// works in steps, and a level that flaps tells publishers nothing.
    package static let margin: UInt64 = 200

    package init() {}

    /// Nil unless 0 < captures ≤ spans ≤ registryOnly ≤ 10,000 by share, and the room of each is at most that of the one
    /// before: a graver level never begins first.
    package init?(
        captures: DiskPressureThreshold, spans: DiskPressureThreshold, registryOnly: DiskPressureThreshold
    ) {
        let levels = [captures, spans, registryOnly]
        guard captures.usedShare > 0, registryOnly.usedShare <= 10_000,
            zip(levels, levels.dropFirst()).allSatisfy({ earlier, later in
                earlier.usedShare <= later.usedShare
                    && later.freeBytes ?? .max <= earlier.freeBytes ?? .max
            })
        else { return nil }
        self.captures = captures
        self.spans = spans
        self.registryOnly = registryOnly
    }

    /// The level that this much room amounts to.
    fileprivate func level(_ space: DiskSpace, isHeld: Bool) -> DiskPressureLevel {
        if registryOnly.isPassed(by: space, isHeld: isHeld) { return .registryOnly }
        if spans.isPassed(by: space, isHeld: isHeld) { return .spans }
        return captures.isPassed(by: space, isHeld: isHeld) ? .captures : .none
    }
}

/// The level as measurements come in.
package struct DiskPressure: Sendable, Hashable {
    package private(set) var level = DiskPressureLevel.none
    private let thresholds: DiskPressureThresholds?

    /// Nil: there is no pressure, ever.
    package init(_ thresholds: DiskPressureThresholds?) { self.thresholds = thresholds }

    /// Takes one measurement; true if it changes the level. Rises at a threshold, falls a margin behind it.
    package mutating func note(_ space: DiskSpace) -> Bool {
        guard let thresholds else { return false }
        let before = level
        let held = min(level, thresholds.level(space, isHeld: true))
        level = max(held, thresholds.level(space, isHeld: false))
        return level != before
    }
}
