// What the registry answers: immutable values with the position they are true for.

/// The position an answer is true for.
public struct AsOf: Sendable, Hashable {
    public var sequence: SequenceNumber
    public var recordedAt: Timestamp

    public init(sequence: SequenceNumber, recordedAt: Timestamp) {
        self.sequence = sequence
        self.recordedAt = recordedAt
    }
}

/// How an instance is doing, as far as the log knows.
public enum HealthState: UInt32, Sendable, Hashable {
    case healthy = 1
    /// The last report says so.
    case unhealthy = 2
    /// No heartbeat within the stale timeout.
    case stale = 3

    /// The name in JSON and in tables.
    public var name: String {
        switch self {
        case .healthy: "healthy"
        case .unhealthy: "unhealthy"
        case .stale: "stale"
        }
    }
}

/// The result of the last health check of an instance.
public struct HealthStatus: Sendable, Hashable {
    public var instanceID: String
    public var healthy: Bool
    public var latency: Nanoseconds
    public var consecutiveFailures: UInt32
    public var lastCheck: Timestamp
    /// Empty: none given.
    public var reason: String

    public init(
        instanceID: String, healthy: Bool, latency: Nanoseconds = .zero, consecutiveFailures: UInt32 = 0,
        lastCheck: Timestamp, reason: String = ""
    ) {
        self.instanceID = instanceID
        self.healthy = healthy
        self.latency = latency
        self.consecutiveFailures = consecutiveFailures
        self.lastCheck = lastCheck
        self.reason = reason
    }

    /// Milliseconds, for people.
    public var latencyMs: Double { Double(latency.rawValue) / 1_000_000 }
}

/// A process that serves under a name.
public struct ServiceInstance: Sendable, Hashable {
    public var instanceID: String
    public var serviceName: String
    public var endpoint: String
    public var region: String
    public var zone: String
    /// 0 to 1000.
    public var weight: UInt32
    public var metadata: [MetadataEntry]
    public var registeredAt: Timestamp
    public var lastHeartbeat: Timestamp
    /// Start time of the process.
    public var incarnation: Int64

    public init(
        instanceID: String, serviceName: String, endpoint: String, region: String = "", zone: String = "",
        weight: UInt32 = Limits.defaultWeight, metadata: [MetadataEntry] = [], registeredAt: Timestamp = .zero,
        lastHeartbeat: Timestamp = .zero, incarnation: Int64 = 0
    ) {
        self.instanceID = instanceID
        self.serviceName = serviceName
        self.endpoint = endpoint
        self.region = region
        self.zone = zone
        self.weight = weight
        self.metadata = metadata
        self.registeredAt = registeredAt
        self.lastHeartbeat = lastHeartbeat
        self.incarnation = incarnation
    }
}

/// An instance with all that is known of it at a position.
public struct InstanceSnapshot: Sendable, Hashable {
    public var instance: ServiceInstance
    public var health: HealthState
    /// Nil: there was no report yet.
    public var status: HealthStatus?
    public var activeConnections: UInt32
    /// Silent beyond the stale timeout, and called healthy only because the eviction guard holds its service.
    public var isProtected = false
    /// The last sign of life, where a tick found it older than the stale timeout.
    public var silentSince: Timestamp?

    public init(instance: ServiceInstance, health: HealthState, status: HealthStatus?, activeConnections: UInt32) {
        self.instance = instance
        self.health = health
        self.status = status
        self.activeConnections = activeConnections
    }

    /// How it is doing, in one word: `protected` where its health is only what the guard makes of it.
    public var standing: String { isProtected ? "protected" : health.name }
}

/// Answer of `resolve`, `instance`, `stale_instances` and `failover_candidates`.
public struct InstancesAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var instances: [InstanceSnapshot]
    /// The eviction guard holds.
    public var protected = false
    /// Fewer than the panic threshold are healthy: these are all.
    public var panic = false
    /// What this page, or `limit`, left out.
    public var omitted: UInt32 = 0
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""
    /// Of changes: ids that are in the answer no more, in order.
    public var left: [String] = []
    /// These are the changes after this sequence; origin: these are all instances.
    public var changedSince = SequenceNumber.origin

    public init(asOf: AsOf, instances: [InstanceSnapshot]) {
        self.asOf = asOf
        self.instances = instances
    }
}

/// Answer of `select`.
public struct SelectionAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var instance: InstanceSnapshot
    public var strategy: SelectionStrategy
    public var seed: UInt64
    /// The cursor of the next selection.
    public var cursor: UInt64
    public var candidates: [String]
    public var protected: Bool
    public var panic: Bool

    public init(
        asOf: AsOf, instance: InstanceSnapshot, strategy: SelectionStrategy, seed: UInt64, cursor: UInt64,
        candidates: [String], protected: Bool, panic: Bool
    ) {
        self.asOf = asOf
        self.instance = instance
        self.strategy = strategy
        self.seed = seed
        self.cursor = cursor
        self.candidates = candidates
        self.protected = protected
        self.panic = panic
    }
}

/// Answer of `services` and `topology`.
public struct TopologyAnswer: Sendable, Hashable {
    public var asOf: AsOf
    /// By name.
    public var services: [ServiceTopology]
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, services: [ServiceTopology]) {
        self.asOf = asOf
        self.services = services
    }
}

/// One service by region and zone.
public struct ServiceTopology: Sendable, Hashable {
    public var serviceName: String
    /// The sequence that last changed this service.
    public var changedSequence: SequenceNumber
    public var protected: Bool
    /// `healthy`, `unhealthy`, `stale` and `protectedInstances` add up to these.
    public var instances: UInt32 = 0
    public var healthy: UInt32 = 0
    public var unhealthy: UInt32 = 0
    public var stale: UInt32 = 0
    /// Silent instances that the guard holds; nobody knows whether they live.
    public var protectedInstances: UInt32 = 0
    /// The earliest last sign of life among the stale and the protected.
    public var silentSince: Timestamp?
    public var weight: UInt64 = 0
    /// By region, then zone; left out in the answer of `services`.
    public var zones: [ZoneTopology] = []

    public init(serviceName: String, changedSequence: SequenceNumber, protected: Bool) {
        self.serviceName = serviceName
        self.changedSequence = changedSequence
        self.protected = protected
    }
}

/// One zone of a service.
public struct ZoneTopology: Sendable, Hashable {
    public var region: String
    public var zone: String
    public var instances: UInt32 = 0
    public var healthy: UInt32 = 0
    public var unhealthy: UInt32 = 0
    public var stale: UInt32 = 0
    public var protectedInstances: UInt32 = 0
    public var weight: UInt64 = 0

    public init(region: String, zone: String) {
        self.region = region
        self.zone = zone
    }
}

/// That an instance went, why, and by whom.
public struct Removal: Sendable, Hashable {
    /// How an instance went.
    public enum Kind: UInt32, Sendable, Hashable {
        case deregistered = 1
        case evicted = 2

        /// The name in answers.
        public var name: String {
            switch self {
            case .deregistered: "deregistered"
            case .evicted: "evicted"
            }
        }
    }

    public var instanceID: String
    public var serviceName: String
    public var incarnation: Int64
    public var kind: Kind
    public var reason: String
    /// `service:<name>`, `unverified:<text>` or `registry`.
    public var actor: String
    public var position: EventPosition
    public var recordedAt: Timestamp

    public init(
        instanceID: String, serviceName: String, incarnation: Int64, kind: Kind, reason: String, actor: String,
        position: EventPosition, recordedAt: Timestamp
    ) {
        self.instanceID = instanceID
        self.serviceName = serviceName
        self.incarnation = incarnation
        self.kind = kind
        self.reason = reason
        self.actor = actor
        self.position = position
        self.recordedAt = recordedAt
    }
}

/// Answer of `removals`, newest first.
public struct RemovalsAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var removals: [Removal]
    /// What the question for the next page takes; empty: this was the last one.
    public var nextPageToken = ""

    public init(asOf: AsOf, removals: [Removal]) {
        self.asOf = asOf
        self.removals = removals
    }
}
