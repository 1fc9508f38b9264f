// The service registry in the caller's own process: the fold that a node runs, without node, bus and disk.

public import EventModel
import StateMachines

/// Tracks the instances of services, their heartbeats, health and load, and answers who can be asked
/// (`ServiceRegistry` of the specification).
///
/// A value: a copy is a fork, and whoever shares one protects it himself. Each change is a record of a log that keeps
/// none; rules, refusals and answers are those of a node that was started with the same events (Registry.md). Answers
/// are true for the time that the clock shows: an instance becomes stale without anybody's doing.
public struct LocalRegistry: Sendable {
    /// Services whose selections are counted, as on a node.
    private static let cursorsMaximum = 4_096

    private var log: LocalLog<ServiceRegistry>
    private var cursors: [ByteName: UInt64] = [:]

    /// An empty registry.
    ///
    /// - Parameters:
    ///   - configuration: what differs from the defaults in Limits.md.
    ///   - clock: the time of day, asked at each change and each question. Simulations give their own.
    /// - Throws: `LocalError.refused(.invalidSetting)` where a value is out of its range.
    public init(
        _ configuration: RegistryConfiguration = RegistryConfiguration(),
        clock: @escaping @Sendable () -> Timestamp = LocalTime.wallClock
    ) throws(LocalError) {
        log = LocalLog(ServiceRegistry(), clock: clock)
        if configuration != RegistryConfiguration() { try configure(configuration) }
    }

    /// The last record of the log, ticks included.
    public var asOf: AsOf { log.asOf }

    /// How many instances are registered now, of all services.
    public var instanceCount: Int { log.now.machine.instanceCount }

    // MARK: Changing

    /// Changes settings; nil leaves a value as it is.
    ///
    /// - Throws: `refused(.invalidSetting)` where a value is out of its range.
    public mutating func configure(_ change: RegistryConfiguration) throws(LocalError) {
        try log.append(one: .policy(.registryConfigured(change)))
    }

    /// Registers an instance, or replaces what is known of one (`register`).
    ///
    /// `registeredAt` and `lastHeartbeat` are given by the log, whatever the value says.
    /// - Throws: `malformed`; `refused` as in Registry.md, for instance `weightOutOfRange` above 1000, `invalidEndpoint`,
    ///   `wrongService` for an id of another service, `staleIncarnation` for an earlier process.
    @discardableResult
    public mutating func register(_ instance: ServiceInstance) throws(LocalError) -> OutcomeAnswer {
        try log.append(
            one: .registry(
                .registered(Registered(serviceName: instance.serviceName, events: [Registration(instance)]))))
    }

    /// Removes an instance (`deregister`).
    ///
    /// - Throws: `refused(.unknownInstance)` where there is none of this id.
    @discardableResult
    public mutating func deregister(_ instanceID: String, reason: String = "") throws(LocalError) -> OutcomeAnswer {
        let known = try instance(instanceID)
        let event = Deregistration(instanceID: instanceID, incarnation: known.incarnation, reason: reason)
        return try log.append(
            one: .registry(.deregistered(Batch(serviceName: known.serviceName, events: [event]))))
    }

    /// Notes that an instance lives (`heartbeat`); a stale one is healthy again.
    ///
    /// - Throws: `refused(.unknownInstance)` where there is none of this id, since it was evicted, say: it registers anew.
    @discardableResult
    public mutating func heartbeat(_ instanceID: String) throws(LocalError) -> OutcomeAnswer {
        let known = try instance(instanceID)
        let facts = EventCodec.heartbeats(
            service: known.serviceName, instances: [instanceID], incarnation: known.incarnation)
        let beat = Heartbeats(serviceName: known.serviceName, count: 1, facts: facts[...])
        return try log.append(one: .registry(.heartbeat(beat)))
    }

    /// Records the result of a health check (`update_health`).
    ///
    /// A healthy result counts no failures. An unhealthy one whose `consecutiveFailures` is 0 leaves counting to the
    /// registry: one more than before, unless a check of the same time was counted already.
    /// - Throws: `refused`: `unknownInstance`, `negativeLatency`, `stale` where a later check is known, `timeAhead`.
    @discardableResult
    public mutating func updateHealth(_ status: HealthStatus) throws(LocalError) -> OutcomeAnswer {
        let known = try instance(status.instanceID)
        return try log.append(
            one: .registry(
                .healthReported(Batch(serviceName: known.serviceName, events: [HealthReport(status)]))))
    }

    /// Records how many connections somebody counts to an instance, for selection by least connections.
    ///
    /// - Parameter reporter: whose count it is; empty: the instance's own. At most 16 of one instance.
    /// - Throws: `refused`: `unknownInstance`, `tooManyReporters`.
    @discardableResult
    public mutating func reportLoad(
        _ instanceID: String, activeConnections: UInt32, reporter: String = ""
    ) throws(LocalError) -> OutcomeAnswer {
        let known = try instance(instanceID)
        let load = LoadReport(instanceID: instanceID, reporter: reporter, activeConnections: activeConnections)
        return try log.append(one: .registry(.loadReported(Batch(serviceName: known.serviceName, events: [load]))))
    }

    /// Lets time pass now: what is due becomes stale or is evicted. Changes and questions do so by themselves; whoever
    /// asks often and changes seldom saves work by it.
    public mutating func advance() { log.advance() }

    private mutating func instance(_ id: String) throws(LocalError) -> ServiceInstance {
        log.advance()
        guard let found = log.machine.instance(id: id)?.instances.first else { throw .refused(.unknownInstance) }
        return found.instance
    }

    // MARK: Asking

    /// The instances of a service by id (`resolve`); none where there is no such service.
    ///
    /// - Parameters:
    ///   - region: empty: every one.
    ///   - healthyOnly: neither reported unhealthy nor stale.
    ///   - minimumWeight: 0 to 1000.
    ///   - allowPanic: all of them, with `panic`, where fewer are healthy than the panic threshold.
    public func resolve(
        _ serviceName: String, region: String = "", healthyOnly: Bool = true, minimumWeight: UInt32 = 0,
        allowPanic: Bool = false
    ) -> InstancesAnswer {
        log.now.machine.resolve(
            serviceName: serviceName, region: region, healthyOnly: healthyOnly, minimumWeight: minimumWeight,
            allowPanic: allowPanic)
    }

    /// One healthy instance of a service (`select_instance`).
    ///
    /// - Parameters:
    ///   - region: empty: every one.
    ///   - seed: the dice of the random strategies; nil: thrown anew each time, as a node does. The answer tells it.
    /// - Throws: `unanswered`: `invalid_argument` without a name, `not_found` where nothing can be chosen: there is no
    ///   healthy instance, or all have the weight 0.
    public mutating func selectInstance(
        _ serviceName: String, region: String = "", strategy: SelectionStrategy = .weightedRandom, seed: UInt64? = nil
    ) throws(LocalError) -> SelectionAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        query.region = region
        query.strategy = strategy
        query.seed = seed
        return try selectInstance(query)
    }

    /// The same with everything that a question to a node may say; its position and its limit say nothing here.
    ///
    /// - Throws: as above.
    public mutating func selectInstance(_ query: RegistryQuery) throws(LocalError) -> SelectionAnswer {
        log.advance()
        var query = query
        if query.seed == nil { query.seed = UInt64.random(in: .min ... .max) }
        if query.cursor == nil && query.strategy == .roundRobin {
            if cursors.count > Self.cursorsMaximum { cursors.removeAll() }
            let name = ByteName(query.serviceName)
            query.cursor = cursors[name, default: 0]
            cursors[name, default: 0] &+= 1
        }
        do {
            return try log.machine.select(query)
        } catch {
            throw .unanswered(error)
        }
    }

    /// The instances without a heartbeat within the stale timeout, by service and id (`stale_instances`).
    ///
    /// - Parameter serviceName: empty: of every service; at most 1000, `omitted` says how many more there are.
    public func staleInstances(_ serviceName: String = "") -> InstancesAnswer {
        log.now.machine.staleInstances(serviceName: serviceName)
    }

    /// Services by region and zone, by name (`service_topology`).
    ///
    /// - Parameter serviceName: empty: every one.
    public func serviceTopology(_ serviceName: String = "") -> TopologyAnswer {
        log.now.machine.serviceTopology(serviceName: serviceName)
    }

    /// Who went, why and by whom, newest first; the last 4096 removals are remembered, 100 are told.
    public func removals(_ serviceName: String = "") -> RemovalsAnswer {
        log.now.machine.removals(serviceName: serviceName)
    }

    /// The fingerprint of the state at the last record: a node whose log has the same records has the same.
    public var digest: Digest {
        var machine = log.machine
        return machine.digest()
    }

    func failoverCandidates(_ serviceName: String, _ excluded: [String]) -> InstancesAnswer {
        log.now.machine.failoverCandidates(serviceName: serviceName, excludedRegions: excluded)
    }
}

extension LocalRegistry {
    // MARK: Many at once

    mutating func register(_ instances: [ServiceInstance], failFast: Bool) throws(LocalError) -> OutcomeAnswer {
        var runs: [(event: Event, places: Range<Int>)] = []
        for run in Self.runs(instances) {
            let service = instances[run.lowerBound].serviceName
            func event(_ part: ArraySlice<ServiceInstance>) -> Event {
                .registry(
                    .registered(
                        Registered(serviceName: service, events: part.map { Registration($0) }, failFast: failFast)))
            }
            for piece in LocalLog<ServiceRegistry>.pieces(instances[run], event) {
                // All are judged before the first is written.
                runs.append((try LocalLog<ServiceRegistry>.checked(event(piece)), piece.indices))
            }
        }
        var sum = OutcomeSum(asOf)
        for run in runs {
            if failFast && sum.hasRefusals {
                sum.refuse(run.places, .notAttempted)
            } else {
                sum.add(try log.append(run.event), at: run.places)
            }
        }
        return sum.answer
    }

    /// Neighbours of one service, since their order says where to stop.
    private static func runs(_ instances: [ServiceInstance]) -> [Range<Int>] {
        var result: [Range<Int>] = []
        for index in instances.indices {
            let name = instances[index].serviceName
            if let last = result.last, instances[last.lowerBound].serviceName.equalsInBytes(name) {
                result[result.count - 1] = last.lowerBound..<index + 1
            } else {
                result.append(index..<index + 1)
            }
        }
        return result
    }

    mutating func sweep(_ results: [HealthStatus], evictThreshold: UInt32) throws(LocalError) -> OutcomeAnswer {
        log.advance()
        var services: [ByteName] = []
        var places: [ByteName: [Int]] = [:]
        var sum = OutcomeSum(asOf)
        for (place, result) in results.enumerated() {
            guard let known = log.machine.instance(id: result.instanceID)?.instances.first else {
                sum.refuse([place], .unknownInstance)
                continue
            }
            let name = ByteName(known.instance.serviceName)
            if places[name] == nil { services.append(name) }
            places[name, default: []].append(place)
        }
        var sweeps: [(event: Event, places: [Int])] = []
        for service in services {
            let own = places[service] ?? []
            func event(_ part: ArraySlice<Int>) -> Event {
                let reports = part.map { HealthReport(results[$0]) }
                return .registry(
                    .healthSwept(
                        HealthSwept(serviceName: service.text, events: reports, evictThreshold: evictThreshold)))
            }
            for piece in LocalLog<ServiceRegistry>.pieces(own[...], event) {
                sweeps.append((try LocalLog<ServiceRegistry>.checked(event(piece)), Array(piece)))
            }
        }
        for sweep in sweeps { sum.add(try log.append(sweep.event), at: sweep.places) }
        return sum.answer
    }
}

extension Registration {
    fileprivate init(_ instance: ServiceInstance) {
        self.init(
            instanceID: instance.instanceID, endpoint: instance.endpoint, region: instance.region, zone: instance.zone,
            weight: instance.weight, metadata: instance.metadata, incarnation: instance.incarnation)
    }
}

extension HealthReport {
    fileprivate init(_ status: HealthStatus) {
        let isCounted = status.healthy || status.consecutiveFailures > 0
        self.init(
            instanceID: status.instanceID, healthy: status.healthy, latency: status.latency,
            consecutiveFailures: isCounted ? status.consecutiveFailures : nil, lastCheck: status.lastCheck,
            reason: status.reason)
    }
}
