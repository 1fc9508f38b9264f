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
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [])
        guard let service = services.index(of: serviceName) else { return answer }
        answer.protected = services[service].isProtected
        var healthy = 0
        var members = 0
        var unhealthy: [InstanceSnapshot] = []
        for slot in services[service].members {
            guard let row = instances[slot] else { continue }
            if !region.isEmpty && !row.instance.region.equalsInBytes(region) { continue }
            members += 1
            let isHealthy = health(of: row) == .healthy
            if isHealthy { healthy += 1 }
            if row.instance.weight < minimumWeight { continue }
            if isHealthy || !healthyOnly {
                answer.instances.append(snapshot(row))
            } else if allowPanic {
                unhealthy.append(snapshot(row))
            }
        }
        if allowPanic && healthyOnly && healthy * 10_000 < members * Int(settings.panicBasisPoints) {
            answer.panic = true
            answer.instances = (answer.instances + unhealthy).sorted {
                $0.instance.instanceID.precedesInBytes($1.instance.instanceID)
            }
        }
        cut(&answer, limit == 0 ? Int.max : limit)
        return answer
    }

    /// One instance by its id; nil if it is not registered.
    package func instance(id: String) -> InstancesAnswer? {
        guard let slot = instances.slot(of: id), let row = instances[slot] else { return nil }
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [snapshot(row)])
        answer.protected = services[row.service].isProtected
        return answer
    }

    /// Whose last heartbeat is older than the stale timeout by the log's expiry time, protected or not; by service and
    /// id (`stale_instances` of Specification.md).
    package func staleInstances(serviceName: String = "", limit: Int = 0) -> InstancesAnswer {
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [])
        for service in services.indicesByName
        where serviceName.isEmpty || services[service].name.equalsInBytes(serviceName) {
            for slot in services[service].members {
                guard let row = instances[slot], row.lastSeen + settings.staleAfter < moment.expiryTime else {
                    continue
                }
                answer.instances.append(snapshot(row))
            }
            if services[service].isProtected { answer.protected = true }
        }
        cut(&answer, limit == 0 ? Self.rowsMaximum : limit)
        return answer
    }

    /// Where to go when regions fail: healthy first, then by region, weight descending, id.
    package func failoverCandidates(
        serviceName: String, excludedRegions: [String], limit: Int = 0
    ) -> InstancesAnswer {
        var answer = resolve(serviceName: serviceName, healthyOnly: false)
        answer.instances.removeAll { snapshot in
            excludedRegions.contains { $0.equalsInBytes(snapshot.instance.region) }
        }
        answer.instances.sort { Self.failoverOrder($0, $1) }
        cut(&answer, limit == 0 ? Int.max : limit)
        return answer
    }

    private static func failoverOrder(_ left: InstanceSnapshot, _ right: InstanceSnapshot) -> Bool {
        let (leftHealthy, rightHealthy) = (left.health == .healthy, right.health == .healthy)
        if leftHealthy != rightHealthy { return leftHealthy }
        if !left.instance.region.equalsInBytes(right.instance.region) {
            return left.instance.region.precedesInBytes(right.instance.region)
        }
        if left.instance.weight != right.instance.weight { return left.instance.weight > right.instance.weight }
        return left.instance.instanceID.precedesInBytes(right.instance.instanceID)
    }

    private func cut(_ answer: inout InstancesAnswer, _ limit: Int) {
        if answer.instances.count <= limit { return }
        answer.omitted = UInt32(answer.instances.count - limit)
        answer.instances.removeSubrange(limit...)
    }

    // MARK: Topology

    /// Services by region and zone, by name (`service_topology` of Specification.md).
    package func serviceTopology(serviceName: String = "", withZones: Bool = true) -> TopologyAnswer {
        var answer = TopologyAnswer(asOf: moment.asOf, services: [])
        for service in services.indicesByName
        where serviceName.isEmpty || services[service].name.equalsInBytes(serviceName) {
            answer.services.append(topology(services[service], withZones: withZones))
        }
        return answer
    }

    /// The services that a record after this one changed, without their zones: for whoever looks again and again.
    package func services(changedAfter sequence: SequenceNumber) -> [ServiceTopology] {
        services.rows.filter { $0.changedSequence > sequence }.map { topology($0, withZones: false) }
    }

    private func topology(_ service: ServiceRow, withZones: Bool) -> ServiceTopology {
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
        let wanted = removals.reversed().lazy.filter {
            (serviceName.isEmpty || $0.serviceName.equalsInBytes(serviceName))
                && (instanceID.isEmpty || $0.instanceID.equalsInBytes(instanceID))
        }
        let count = limit == 0 ? 100 : min(limit, Self.rowsMaximum)
        return RemovalsAnswer(asOf: moment.asOf, removals: Array(wanted.prefix(count)))
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

    func snapshot(_ row: InstanceRow) -> InstanceSnapshot {
        var snapshot = InstanceSnapshot(
            instance: row.instance, health: health(of: row), status: row.status,
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
        let limit = Int(query.limit)
        switch name {
        case .resolve:
            try require(query.serviceName, "service_name")
            return resolve(
                serviceName: query.serviceName, region: query.region, healthyOnly: query.healthyOnly,
                minimumWeight: query.minimumWeight, allowPanic: query.allowPanic, limit: limit
            ).encode()
        case .select: return try select(query).encode()
        case .instance:
            try require(query.instanceID, "instance_id")
            guard let answer = instance(id: query.instanceID) else {
                throw QueryError(.notFound, "no instance `\(query.instanceID)` is registered")
            }
            return answer.encode()
        case .staleInstances: return staleInstances(serviceName: query.serviceName, limit: limit).encode()
        case .failoverCandidates:
            try require(query.serviceName, "service_name")
            return failoverCandidates(
                serviceName: query.serviceName, excludedRegions: query.excludedRegions, limit: limit
            ).encode()
        case .services: return serviceTopology(serviceName: query.serviceName, withZones: false).encode()
        case .topology: return serviceTopology(serviceName: query.serviceName).encode()
        case .removals:
            return removals(serviceName: query.serviceName, instanceID: query.instanceID, limit: limit).encode()
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
