// What the registry answers about its state, at the position it has applied.

package import EventModel

extension ServiceRegistry {
    /// Answers whose rows go without a limit are cut at this many, and say how many were left out.
    package static let rowsMaximum = 1_000

    // MARK: Resolving

    /// The instances of a service, by id: filtered by region, health and weight (`resolve` of Specification.md).
    package func resolve(
        serviceName: String, region: String = "", healthyOnly: Bool = true, minimumWeight: UInt32 = 0,
        allowPanic: Bool = false, limit: Int = 0
    ) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        query.region = region
        query.healthyOnly = healthyOnly
        query.minimumWeight = minimumWeight
        query.allowPanic = allowPanic
        query.limit = UInt32(clamping: limit)
        return members(query, after: nil)
    }

    /// One instance by its id; nil if it is not registered.
    package func instance(id: String, withoutMetadata: Bool = false) -> InstancesAnswer? {
        guard let slot = instances.slot(of: id), let row = instances[slot] else { return nil }
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [snapshot(row, withoutMetadata)])
        answer.protected = services[row.service].isProtected
        return answer
    }

    /// Whose last heartbeat is older than the stale timeout by the log's expiry time, protected or not; by service and
    /// id (`stale_instances` of Specification.md).
    package func staleInstances(serviceName: String = "", limit: Int = 0) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        query.limit = UInt32(clamping: limit)
        return stale(query, after: nil)
    }

    /// Where to go when regions fail: healthy first, then by region, weight descending, id.
    package func failoverCandidates(
        serviceName: String, excludedRegions: [String], limit: Int = 0
    ) -> InstancesAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        query.excludedRegions = excludedRegions
        query.limit = UInt32(clamping: limit)
        return failover(query, after: nil)
    }

    // MARK: Topology

    /// Services by region and zone, by name (`service_topology` of Specification.md).
    package func serviceTopology(serviceName: String = "", withZones: Bool = true) -> TopologyAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        return topology(query, withZones: withZones, after: nil)
    }

    /// The services that a record after this one changed, without their zones: for whoever looks again and again.
    package func services(changedAfter sequence: SequenceNumber) -> [ServiceTopology] {
        services.rows.filter { $0.changedSequence > sequence }.map { topology($0, withZones: false) }
    }

    func topology(_ service: ServiceRow, withZones: Bool) -> ServiceTopology {
        var result = ServiceTopology(
            serviceName: service.name, changedSequence: service.changedSequence, protected: service.isProtected)
        var zones: [[[UInt8]]: ZoneTopology] = [:]
        for slot in service.members {
            guard let row = instances[slot] else { continue }
            let standing = standing(of: row)
            result.instances += 1
            result.count(standing, row.instance.lastHeartbeat)
            result.weight += UInt64(row.instance.weight)
            if !withZones { continue }
            let key = [Array(row.instance.region.utf8), Array(row.instance.zone.utf8)]
            var zone = zones[key] ?? ZoneTopology(region: row.instance.region, zone: row.instance.zone)
            zone.instances += 1
            zone.count(standing)
            zone.weight += UInt64(row.instance.weight)
            zones[key] = zone
        }
        result.zones = zones.values.sorted { left, right in
            left.region.equalsInBytes(right.region)
                ? left.zone.precedesInBytes(right.zone) : left.region.precedesInBytes(right.region)
        }
        return result
    }

    // MARK: Removals

    /// Who went, why and by whom, newest first; as far back as the registry remembers.
    package func removals(serviceName: String = "", instanceID: String = "", limit: Int = 0) -> RemovalsAnswer {
        var query = RegistryQuery()
        query.serviceName = serviceName
        query.instanceID = instanceID
        query.limit = UInt32(clamping: limit)
        return removals(query, after: nil)
    }

    /// The newest evictions, as far back as the registry remembers.
    package func evictions(limit: Int) -> [Removal] {
        Array(removals.reversed().lazy.filter { $0.kind == .evicted }.prefix(limit))
    }

    // MARK: Views of a row

    /// Unhealthy as reported; stale as a tick found it, unless the guard holds.
    func health(of row: InstanceRow) -> HealthState {
        if let status = row.status, !status.healthy { return .unhealthy }
        return row.isStale && !services[row.service].isProtected ? .stale : .healthy
    }

    /// The same, but what is healthy only because the guard holds is told apart.
    private func standing(of row: InstanceRow) -> InstanceStanding {
        switch health(of: row) {
        case .healthy: row.isStale ? .protected : .healthy
        case .unhealthy: .unhealthy
        case .stale: .stale
        }
    }

    func snapshot(_ row: InstanceRow, _ withoutMetadata: Bool = false) -> InstanceSnapshot {
        var instance = row.instance
        if withoutMetadata { instance.metadata = [] }
        var snapshot = InstanceSnapshot(
            instance: instance, health: health(of: row), status: row.status,
            activeConnections: row.activeConnections())
        if row.isStale {
            snapshot.silentSince = row.instance.lastHeartbeat
            snapshot.isProtected = snapshot.health == .healthy
        }
        return snapshot
    }

    // MARK: By name

    /// Answers a query by its name, encoded; what was asked for wrongly is an error that names the field.
    package func answer(_ name: RegistryQueryName, _ query: RegistryQuery) throws(QueryError) -> [UInt8] {
        switch name {
        case .resolve:
            try require(query.serviceName, "service_name")
            return try membersPage(query).encode()
        case .select: return try select(query).encode()
        case .instance:
            try require(query.instanceID, "instance_id")
            guard let answer = instance(id: query.instanceID, withoutMetadata: query.withoutMetadata) else {
                throw QueryError(.notFound, "no instance `\(query.instanceID)` is registered")
            }
            return answer.encode()
        case .staleInstances: return try stalePage(query).encode()
        case .failoverCandidates:
            try require(query.serviceName, "service_name")
            return try failoverPage(query).encode()
        case .services: return try topologyPage(query, withZones: false).encode()
        case .topology: return try topologyPage(query, withZones: true).encode()
        case .removals: return try removalsPage(query).encode()
        case .digest:
            var copy = self
            return DigestAnswer(
                asOf: moment.asOf, machines: [MachineDigest(machine: Self.name, digest: copy.digest())]
            ).encode()
        }
    }

    private func require(_ value: String, _ field: String) throws(QueryError) {
        if value.isEmpty { throw QueryError(.invalidArgument, "\(field) is missing") }
    }
}

/// How an instance counts in figures: each in one way.
private enum InstanceStanding {
    case healthy, unhealthy, stale, protected
}

extension ServiceTopology {
    fileprivate mutating func count(_ standing: InstanceStanding, _ lastHeartbeat: Timestamp) {
        switch standing {
        case .healthy: return healthy += 1
        case .unhealthy: return unhealthy += 1
        case .stale: stale += 1
        case .protected: protectedInstances += 1
        }
        silentSince = min(silentSince ?? lastHeartbeat, lastHeartbeat)
    }
}

extension ZoneTopology {
    fileprivate mutating func count(_ standing: InstanceStanding) {
        switch standing {
        case .healthy: healthy += 1
        case .unhealthy: unhealthy += 1
        case .stale: stale += 1
        case .protected: protectedInstances += 1
        }
    }
}
