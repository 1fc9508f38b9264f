// The facts of time, gaps, leadership and policy as values (clock_events.proto, policy_events.proto).

/// What the nodes themselves put into the log.
public enum ClockEvent: Sendable, Hashable {
    /// Time goes on; the record's stamp says to when.
    case tick(slot: UInt64)
    /// A node started or came back.
    case nodeResumed(nodeID: String, reason: String)
    /// Messages may have been missed; 0 dropped: the number is unknown.
    case intakeGap(nodeID: String, reason: String, droppedCount: UInt64)
    /// A node wants to be the one that performs directives.
    case leadershipClaimed(nodeID: String, epoch: UInt64)

    /// Why a leader of a stream says that it is here: once in each of its lives, before it sends anything.
    package static let leads = "leadership"
}

/// A setting that changes what state means, by whom.
public enum PolicyEvent: Sendable, Hashable {
    case semanticsActivated(version: UInt32, reason: String)
    case registryConfigured(RegistryConfiguration)
    /// An empty service name means every service.
    case guardReleased(serviceName: String, reason: String)
    case tracesConfigured(TracesConfiguration)
    /// A node that was restored may send again; an empty id means every node.
    case directivesResumed(nodeID: String, reason: String)
    /// A record at which nodes stop is folded as if nobody understood it.
    case recordSkipped(sequence: SequenceNumber, reason: String)
}

/// A change of the registry's settings; nil leaves a value as it is.
public struct RegistryConfiguration: Sendable, Hashable {
    public var staleAfter: Nanoseconds?
    public var evictAfter: Nanoseconds?
    /// Basis points of a service that may be evicted in one window.
    public var guardServiceBasisPoints: UInt32?
    /// Basis points of the mesh that may be evicted in one window.
    public var guardMeshBasisPoints: UInt32?
    /// How long a service's last instance is held.
    public var guardLastInstance: Nanoseconds?
    /// Windows after which a guarded service goes on evicting at the permitted rate.
    public var guardWindows: UInt32?
    /// Basis points of healthy instances below which `resolve` may answer all.
    public var panicBasisPoints: UInt32?
    /// Whether endpoints on loopback are taken.
    public var allowLoopback: Bool?
    /// Networks (`10.0.0.0/8`, `fd00::/8`) in which the addresses of endpoints must lie; empty leaves them as they are,
    /// `0.0.0.0/0` and `::/0` permit every address again.
    public var endpointNetworks: [String]
    public var reason: String

    public init(
        staleAfter: Nanoseconds? = nil, evictAfter: Nanoseconds? = nil, guardServiceBasisPoints: UInt32? = nil,
        guardMeshBasisPoints: UInt32? = nil, guardLastInstance: Nanoseconds? = nil, guardWindows: UInt32? = nil,
        panicBasisPoints: UInt32? = nil, allowLoopback: Bool? = nil, endpointNetworks: [String] = [],
        reason: String = ""
    ) {
        self.staleAfter = staleAfter
        self.evictAfter = evictAfter
        self.guardServiceBasisPoints = guardServiceBasisPoints
        self.guardMeshBasisPoints = guardMeshBasisPoints
        self.guardLastInstance = guardLastInstance
        self.guardWindows = guardWindows
        self.panicBasisPoints = panicBasisPoints
        self.allowLoopback = allowLoopback
        self.endpointNetworks = endpointNetworks
        self.reason = reason
    }
}

/// Anything that can stand in the log.
public enum Event: Sendable, Hashable {
    case registry(RegistryEvent)
    case clock(ClockEvent)
    case policy(PolicyEvent)
    case mirror(MirrorEvent)
    case trace(TraceEvent)
    case audit(AuditEvent)
    /// Kept as it came: this version does not understand it, and says why.
    case opaque(reason: String)
}

/// An event that has its place in the log.
package struct EventRecord: Sendable {
    package var sequence: SequenceNumber
    /// Given when the record was appended; never changes.
    package var recordedAt: Timestamp
    /// `Nats-Msg-Id`, or empty.
    package var messageID: ArraySlice<UInt8>
    /// What stood behind `<prefix>.events.`
    package var subject: ArraySlice<UInt8>
    package var event: Event

    package init(
        sequence: SequenceNumber, recordedAt: Timestamp, messageID: ArraySlice<UInt8> = [],
        subject: ArraySlice<UInt8> = [], event: Event
    ) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.messageID = messageID
        self.subject = subject
        self.event = event
    }

    /// The subject's second token, unescaped: the principal that NATS permissions enforce; empty if there is none.
    package var principal: String {
        let tokens = subject.split(separator: UInt8(ascii: "."), maxSplits: 2, omittingEmptySubsequences: false)
        guard tokens.count == 3, let token = String(validating: tokens[1], as: UTF8.self) else { return "" }
        return SubjectToken.unescape(token) ?? ""
    }
}

/// One event among those of a record, and what followed from it.
public struct EventPosition: Sendable, Hashable, Comparable {
    public var sequence: SequenceNumber
    /// Which event of the message.
    public var index: UInt32
    /// 0: the event itself; 1…: what followed from it, in order.
    public var ordinal: UInt32

    public init(sequence: SequenceNumber, index: UInt32 = 0, ordinal: UInt32 = 0) {
        self.sequence = sequence
        self.index = index
        self.ordinal = ordinal
    }

    /// Log order.
    public static func < (left: Self, right: Self) -> Bool {
        (left.sequence, left.index, left.ordinal) < (right.sequence, right.index, right.ordinal)
    }
}
