// What is known of a service at a position: an immutable value that many requests share.

public import EventModel
internal import Synchronization

/// An instance of a service as the registry knows it.
public struct ServedInstance: Sendable, Hashable {
    /// The id under which it is registered.
    public let id: String
    /// `host:port` as registered.
    public let endpoint: String
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    public let host: String
    /// 1 to 65,535; 0 where the endpoint names none.
    public let port: Int
    /// Empty: not said.
    public let region: String
    /// Empty: not said.
    public let zone: String
    /// 0 to 1000; 0 is chosen only when nothing else is left.
    public let weight: UInt32
    public let metadata: [MetadataEntry]
    public let health: HealthState
    /// The start time of its process.
    public let incarnation: Int64
    /// Connections that all reporters together have to it.
    public let reportedConnections: UInt32
    /// The position of the answer in which this replica first saw it so.
    public let changedAt: SequenceNumber
    /// What this process knows of it beyond the registry; the same object for as long as the process behind it is.
    public let standing: InstanceStanding

    /// Whether the registry takes it for healthy.
    public var isHealthy: Bool { health == .healthy }

    /// The first value of a metadata key.
    public func metadata(_ key: String) -> String? { metadata.first { $0.key == key }?.value }

    init(_ snapshot: InstanceSnapshot, changedAt: SequenceNumber, standing: InstanceStanding) {
        let instance = snapshot.instance
        id = instance.instanceID
        endpoint = instance.endpoint
        (host, port) = Self.split(instance.endpoint)
        region = instance.region
        zone = instance.zone
        weight = instance.weight
        metadata = instance.metadata
        health = snapshot.health
        incarnation = instance.incarnation
        reportedConnections = snapshot.activeConnections
        self.changedAt = changedAt
        self.standing = standing
    }

    private static func split(_ endpoint: String) -> (host: String, port: Int) {
        guard let colon = endpoint.lastIndex(of: ":"), let port = UInt16(endpoint[endpoint.index(after: colon)...])
        else { return (endpoint, 0) }
        let host = endpoint[..<colon]
        return (host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host), Int(port))
    }

    /// Whether a resolver would see the same: all but the load and the position.
    func isSame(as other: ServedInstance) -> Bool {
        id == other.id && endpoint == other.endpoint && region == other.region && zone == other.zone
            && weight == other.weight && metadata == other.metadata && health == other.health
            && incarnation == other.incarnation
    }
}

/// A service at one position of the log.
public final class ServiceView: Sendable {
    public let serviceName: String
    /// All instances, healthy or not, in order of id.
    public let instances: [ServedInstance]
    /// The position that this is true for.
    public let asOf: AsOf
    /// The registry's eviction guard holds: so many instances are missing that it rather believes none of it.
    public let isProtected: Bool
    /// 1 for the first view; one more whenever instances come, go or change otherwise than by their load.
    public let generation: UInt64
    /// What this process knows of the service beyond the registry.
    let standing: ServiceStanding

    init(
        serviceName: String, instances: [ServedInstance], asOf: AsOf, isProtected: Bool, generation: UInt64,
        standing: ServiceStanding
    ) {
        self.serviceName = serviceName
        self.instances = instances
        self.asOf = asOf
        self.isProtected = isProtected
        self.generation = generation
        self.standing = standing
    }

    /// How many instances the registry takes for healthy.
    public var healthyCount: Int { instances.reduce(0) { $0 + ($1.isHealthy ? 1 : 0) } }

    /// An instance by its id.
    ///
    /// - Complexity: logarithmic in the number of instances.
    public func instance(_ id: String) -> ServedInstance? {
        var (low, high) = (0, instances.count)
        while low < high {
            let middle = (low + high) / 2
            if instances[middle].id.precedesInBytes(id) { low = middle + 1 } else { high = middle }
        }
        guard low < instances.count, instances[low].id.equalsInBytes(id) else { return nil }
        return instances[low]
    }

    /// Where to go when regions fail: healthy first, then by region, weight descending, id, as the registry's query
    /// `failover_candidates` orders them.
    public func failoverCandidates(excludedRegions: [String]) -> [ServedInstance] {
        instances.filter { !excludedRegions.contains($0.region) }.sorted { left, right in
            if left.isHealthy != right.isHealthy { return left.isHealthy }
            if left.region != right.region { return left.region.precedesInBytes(right.region) }
            if left.weight != right.weight { return left.weight > right.weight }
            return left.id.precedesInBytes(right.id)
        }
    }
}

/// What a process knows of all instances of a service.
final class ServiceStanding: Sendable {
    /// One more with each change of what is ejected.
    let ejectionEpoch = Atomic<UInt64>(0)
    let ejectedCount = Atomic<Int>(0)
}

/// What this process knows of an instance beyond the registry: its own connections, and whether it avoids it. A new
/// process under the same id begins anew.
public final class InstanceStanding: Sendable, Hashable {
    /// The id under which the instance is registered.
    public let instanceID: String
    private let service: ServiceStanding
    private let active = Atomic<Int>(0)
    private let reported = Atomic<Int>(0)
    private let ejected = Atomic<Bool>(false)
    private let onTrial = Atomic<Bool>(false)

    init(instanceID: String, service: ServiceStanding) {
        self.instanceID = instanceID
        self.service = service
    }

    /// Requests or connections that this process has open to it.
    public var activeConnections: Int { max(0, active.load(ordering: .relaxed)) }

    /// Counts a request that begins.
    public func connectionOpened() { active.add(1, ordering: .relaxed) }

    /// Counts a request that has ended.
    public func connectionClosed() { active.subtract(1, ordering: .relaxed) }

    /// What this process last told the registry, which the registry's sum contains.
    public var reportedByUs: Int {
        get { reported.load(ordering: .relaxed) }
        set { reported.store(newValue, ordering: .relaxed) }
    }

    /// Whether this process avoids it.
    public var isEjected: Bool {
        get { ejected.load(ordering: .acquiring) }
        set {
            let old = ejected.exchange(newValue, ordering: .acquiringAndReleasing)
            if old == newValue { return }
            if newValue {
                service.ejectedCount.add(1, ordering: .relaxed)
            } else {
                service.ejectedCount.subtract(1, ordering: .relaxed)
            }
            service.ejectionEpoch.add(1, ordering: .releasing)
        }
    }

    /// Whether this process tries it once more, although the registry takes it for unhealthy: that may be what this process
    /// itself has said of it.
    package var isOnTrial: Bool {
        get { onTrial.load(ordering: .acquiring) }
        set {
            if onTrial.exchange(newValue, ordering: .acquiringAndReleasing) != newValue {
                service.ejectionEpoch.add(1, ordering: .releasing)
            }
        }
    }

    /// Own count plus what others reported (decision 17).
    func load(reported total: UInt32) -> UInt64 {
        UInt64(activeConnections) + UInt64(max(0, Int(total) - reportedByUs))
    }

    /// Identity.
    public static func == (left: InstanceStanding, right: InstanceStanding) -> Bool { left === right }

    /// By identity.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
