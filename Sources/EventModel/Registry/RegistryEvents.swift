// The facts of the service registry as values (schemas/lattice/v1/registry_events.proto).

/// A batch of one kind for one service: what one message carries.
public enum RegistryEvent: Sendable, Hashable {
    case registered(Registered)
    case deregistered(Batch<Deregistration>)
    case heartbeat(Heartbeats)
    case healthReported(Batch<HealthReport>)
    case loadReported(Batch<LoadReport>)
    case healthSwept(HealthSwept)
    case instanceSelected(Batch<InstanceSelection>)

    /// Whose facts these are; equals the subject's token.
    public var serviceName: String {
        switch self {
        case .registered(let batch): batch.serviceName
        case .deregistered(let batch): batch.serviceName
        case .heartbeat(let batch): batch.serviceName
        case .healthReported(let batch): batch.serviceName
        case .loadReported(let batch): batch.serviceName
        case .healthSwept(let batch): batch.serviceName
        case .instanceSelected(let batch): batch.serviceName
        }
    }

    /// How many events the message carries.
    public var count: Int {
        switch self {
        case .registered(let batch): batch.events.count
        case .deregistered(let batch): batch.events.count
        case .heartbeat(let batch): batch.count
        case .healthReported(let batch): batch.events.count
        case .loadReported(let batch): batch.events.count
        case .healthSwept(let batch): batch.events.count
        case .instanceSelected(let batch): batch.events.count
        }
    }
}

/// Events of one kind for one service.
public struct Batch<Element: Sendable & Hashable>: Sendable, Hashable {
    public var serviceName: String
    public var events: [Element]

    public init(serviceName: String, events: [Element]) {
        self.serviceName = serviceName
        self.events = events
    }
}

/// Instances that began to serve.
public struct Registered: Sendable, Hashable {
    public var serviceName: String
    public var events: [Registration]
    /// Stop at the first refused one; the rest is refused as `not_attempted`.
    public var failFast: Bool

    public init(serviceName: String, events: [Registration], failFast: Bool = false) {
        self.serviceName = serviceName
        self.events = events
        self.failFast = failFast
    }
}

/// One line of an instance's metadata; their order is kept, so that payloads have one encoding.
public struct MetadataEntry: Sendable, Hashable {
    public var key: String
    public var value: String

    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// An instance says that it serves.
public struct Registration: Sendable, Hashable {
    public var instanceID: String
    /// `host:port`.
    public var endpoint: String
    public var region: String
    public var zone: String
    /// 0 to 1000.
    public var weight: UInt32
    public var metadata: [MetadataEntry]
    /// Start time of the process, Unix nanoseconds; events of a lower one are refused.
    public var incarnation: Int64
    /// When it happened, as the sender says; data only.
    public var occurredAt: Timestamp

    public init(
        instanceID: String, endpoint: String, region: String = "", zone: String = "",
        weight: UInt32 = Limits.defaultWeight, metadata: [MetadataEntry] = [], incarnation: Int64 = 0,
        occurredAt: Timestamp = .zero
    ) {
        self.instanceID = instanceID
        self.endpoint = endpoint
        self.region = region
        self.zone = zone
        self.weight = weight
        self.metadata = metadata
        self.incarnation = incarnation
        self.occurredAt = occurredAt
    }
}

/// An instance stops serving, or is taken out by an operator.
public struct Deregistration: Sendable, Hashable {
    public var instanceID: String
    /// Must equal the registered one.
    public var incarnation: Int64
    public var reason: String
    public var occurredAt: Timestamp
    /// Who says so, as they call themselves; shown as unverified.
    public var actor: String

    public init(
        instanceID: String, incarnation: Int64 = 0, reason: String = "", occurredAt: Timestamp = .zero,
        actor: String = ""
    ) {
        self.instanceID = instanceID
        self.incarnation = incarnation
        self.reason = reason
        self.occurredAt = occurredAt
        self.actor = actor
    }
}

/// The result of a health check.
public struct HealthReport: Sendable, Hashable {
    public var instanceID: String
    public var healthy: Bool
    /// How long the check took; not negative.
    public var latency: Nanoseconds
    /// As the reporter counts; nil: one more than before for an unhealthy report.
    public var consecutiveFailures: UInt32?
    /// When the check was made.
    public var lastCheck: Timestamp
    public var reason: String
    /// 0: of whichever process is registered.
    public var incarnation: Int64

    public init(
        instanceID: String, healthy: Bool, latency: Nanoseconds = .zero, consecutiveFailures: UInt32? = nil,
        lastCheck: Timestamp, reason: String = "", incarnation: Int64 = 0
    ) {
        self.instanceID = instanceID
        self.healthy = healthy
        self.latency = latency
        self.consecutiveFailures = consecutiveFailures
        self.lastCheck = lastCheck
        self.reason = reason
        self.incarnation = incarnation
    }
}

/// Health reports, then the eviction of whoever failed too often.
public struct HealthSwept: Sendable, Hashable {
    public var serviceName: String
    public var events: [HealthReport]
    /// Instances with at least so many consecutive failures are evicted, under the guard; 0: none.
    public var evictThreshold: UInt32

    public init(serviceName: String, events: [HealthReport], evictThreshold: UInt32) {
        self.serviceName = serviceName
        self.events = events
        self.evictThreshold = evictThreshold
    }
}

/// How many connections somebody counts to an instance.
public struct LoadReport: Sendable, Hashable {
    public var instanceID: String
    /// Whose count it is; empty: the instance's own.
    public var reporter: String
    public var activeConnections: UInt32
    public var occurredAt: Timestamp
    public var incarnation: Int64

    public init(
        instanceID: String, reporter: String = "", activeConnections: UInt32, occurredAt: Timestamp = .zero,
        incarnation: Int64 = 0
    ) {
        self.instanceID = instanceID
        self.reporter = reporter
        self.activeConnections = activeConnections
        self.occurredAt = occurredAt
        self.incarnation = incarnation
    }
}

/// How one of several instances is chosen.
public enum SelectionStrategy: UInt32, Sendable, Hashable, CaseIterable {
    case weightedRandom = 1
    case roundRobin = 2
    case leastConnections = 3
    case powerOfTwo = 4

    /// The name in JSON and on the command line, as the specification spells it.
    public var name: String {
        switch self {
        case .weightedRandom: "weighted_random"
        case .roundRobin: "round_robin"
        case .leastConnections: "least_connections"
        case .powerOfTwo: "power_of_two"
        }
    }

    /// Reads a name with `_` or `-`.
    public init?(name: String) {
        let wanted = String(name.lowercased().map { $0 == "-" ? "_" : $0 })
        guard let found = Self.allCases.first(where: { $0.name == wanted }) else { return nil }
        self = found
    }
}

/// A balancer's choice, kept so that it can be explained later.
public struct InstanceSelection: Sendable, Hashable {
    /// 16 bytes, or empty.
    public var traceID: [UInt8]
    public var candidates: [String]
    public var chosen: String
    public var strategy: SelectionStrategy
    /// The registry's position that the balancer had applied.
    public var asOf: SequenceNumber
    public var seed: UInt64

    public init(
        traceID: [UInt8], candidates: [String], chosen: String, strategy: SelectionStrategy, asOf: SequenceNumber,
        seed: UInt64
    ) {
        self.traceID = traceID
        self.candidates = candidates
        self.chosen = chosen
        self.strategy = strategy
        self.asOf = asOf
        self.seed = seed
    }
}

/// Heartbeats of one service, left in their encoding and read in place: the hottest event of all.
public struct Heartbeats: Sendable, Hashable {
    public let serviceName: String
    /// How many there are.
    public let count: Int
    /// The encoded batch.
    package let facts: ArraySlice<UInt8>

    package init(serviceName: String, count: Int, facts: ArraySlice<UInt8>) {
        self.serviceName = serviceName
        self.count = count
        self.facts = facts
    }

    /// Walks over the heartbeats; pass `facts.span` at each step.
    package func makeCursor() -> HeartbeatCursor { HeartbeatCursor(count: facts.count) }
}

/// One heartbeat, its instance id still in the span.
package struct HeartbeatView: Sendable {
    package var instanceID: Range<Int>
    package var incarnation: Int64
    package var occurredAt: Timestamp
}

/// Walks over an encoded batch of heartbeats that was validated before.
package struct HeartbeatCursor: Sendable {
    private var cursor: WireCursor

    init(count: Int) { cursor = WireCursor(0..<count) }

    /// The next heartbeat; nil at the end.
    package mutating func next(in bytes: borrowing Span<UInt8>) -> HeartbeatView? {
        while let field = cursor.next(in: bytes) {
            if field.number != 2 || !field.isBytes { continue }
            return HeartbeatCursor.read(bytes, field.range)
        }
        return nil
    }

    /// Reads one heartbeat; nil where it is not well-formed.
    static func read(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> HeartbeatView? {
        var view = HeartbeatView(instanceID: 0..<0, incarnation: 0, occurredAt: .zero)
        var inner = WireCursor(range)
        while let field = inner.next(in: bytes) {
            switch field.number {
            case 1 where field.isBytes: view.instanceID = field.range
            case 2 where field.isVarint: view.incarnation = field.signed
            case 3 where field.isVarint: view.occurredAt = Timestamp(nanoseconds: field.signed)
            case 1...3: return nil
            default: break
            }
        }
        return inner.isComplete ? view : nil
    }
}
