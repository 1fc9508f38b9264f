// What kinds of events there are, by number in the log and by name on the wire.

/// The kind of an event: the number in a frame, and the last tokens of the subject.
public enum EventType: UInt16, Sendable, Hashable, CaseIterable {
    case registered = 1
    case deregistered = 2
    case heartbeat = 3
    case healthReported = 4
    case loadReported = 5
    case healthSwept = 6
    case instanceSelected = 7

    case tick = 16
    case nodeResumed = 17
    case intakeGap = 18
    case leadershipClaimed = 19

    case semanticsActivated = 32
    case registryConfigured = 33
    case guardReleased = 34
    case tracesConfigured = 35
    case directivesResumed = 36
    case recordSkipped = 37

    case mirrorAdded = 64
    case mirrorRemoved = 65
    case mirrorEnabled = 66
    case mirrorDisabled = 67
    case shadowsAllowed = 68
    case requestCaptured = 69
    case requestDispatched = 70
    case responseCompared = 71
    case mirrorDrained = 72
    case contentsErased = 73
    case spansReceived = 96

    case contentsRead = 112
    case exported = 113

    /// The version of the payload that this code writes.
    public static let currentSchemaVersion: UInt8 = 1

    /// The family that owns the event: the token behind `events.`.
    public var family: EventFamily {
        switch self {
        case .registered, .deregistered, .heartbeat, .healthReported, .loadReported, .healthSwept, .instanceSelected:
            .registry
        case .tick, .nodeResumed, .intakeGap, .leadershipClaimed: .clock
        case .semanticsActivated, .registryConfigured, .guardReleased, .tracesConfigured, .directivesResumed,
            .recordSkipped:
            .policy
        case .mirrorAdded, .mirrorRemoved, .mirrorEnabled, .mirrorDisabled, .shadowsAllowed, .requestCaptured,
            .requestDispatched, .responseCompared, .mirrorDrained, .contentsErased:
            .mirror
        case .spansReceived: .trace
        case .contentsRead, .exported: .audit
        }
    }

    /// The name on the wire: the subject's last token.
    public var name: String {
        switch self {
        case .registered: "registered"
        case .deregistered: "deregistered"
        case .heartbeat: "heartbeat"
        case .healthReported: "health_reported"
        case .loadReported: "load_reported"
        case .healthSwept: "health_swept"
        case .instanceSelected: "instance_selected"
        case .tick: "tick"
        case .nodeResumed: "node_resumed"
        case .intakeGap: "intake_gap"
        case .leadershipClaimed: "leadership_claimed"
        case .semanticsActivated: "semantics_activated"
        case .registryConfigured: "registry_configured"
        case .guardReleased: "guard_released"
        case .tracesConfigured: "traces_configured"
        case .directivesResumed: "directives_resumed"
        case .recordSkipped: "record_skipped"
        case .mirrorAdded: "added"
        case .mirrorRemoved: "removed"
        case .mirrorEnabled: "enabled"
        case .mirrorDisabled: "disabled"
        case .shadowsAllowed: "shadows_allowed"
        case .requestCaptured: "captured"
        case .requestDispatched: "dispatched"
        case .responseCompared: "compared"
        case .mirrorDrained: "drained"
        case .contentsErased: "contents_erased"
        case .spansReceived: "spans"
        case .contentsRead: "contents_read"
        case .exported: "exported"
        }
    }
}

/// Who an event belongs to.
public enum EventFamily: String, Sendable, Hashable, CaseIterable {
    case registry, clock, policy, mirror, trace, audit
}

/// The number of a frame that is kept as it came because this version does not understand it.
package let opaqueEventType: UInt16 = 0
