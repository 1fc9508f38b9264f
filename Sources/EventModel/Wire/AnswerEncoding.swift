// Answers into protobuf (queries.proto), written by hand because `resolve` is asked tens of thousands of times a second.

extension AsOf {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, sequence)
            inner.field(2, recordedAt)
        }
    }
}

extension InstanceSnapshot {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, instance.instanceID)
            inner.field(2, instance.serviceName)
            inner.field(3, instance.endpoint)
            inner.field(4, instance.region)
            inner.field(5, instance.zone)
            inner.field(6, instance.weight)
            RegistryCodec.write(instance.metadata, 7, &inner)
            inner.field(8, instance.registeredAt)
            inner.field(9, instance.lastHeartbeat)
            inner.field(10, instance.incarnation)
            inner.field(11, health.rawValue)
            status?.write(12, &inner)
            inner.field(13, activeConnections)
            inner.field(14, isProtected)
            inner.field(15, silentSince ?? .zero)
        }
    }
}

extension HealthStatus {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, instanceID)
            inner.field(2, healthy)
            inner.field(3, latency)
            inner.field(4, consecutiveFailures)
            inner.field(5, lastCheck)
            inner.field(6, reason)
        }
    }
}

extension InstancesAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 64 + instances.count * 128)
        asOf.write(1, &writer)
        for instance in instances { instance.write(2, &writer) }
        writer.field(3, protected)
        writer.field(4, panic)
        writer.field(5, omitted)
        writer.field(6, nextPageToken)
        for id in left { writer.element(7, id) }
        writer.field(8, changedSince)
        return writer.bytes
    }
}

extension SelectionAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        instance.write(2, &writer)
        writer.field(3, strategy.rawValue)
        writer.field(4, seed)
        writer.field(5, cursor)
        for candidate in candidates { writer.element(6, candidate) }
        writer.field(7, protected)
        writer.field(8, panic)
        return writer.bytes
    }
}

extension TopologyAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        for service in services {
            writer.message(2) { inner in
                inner.field(1, service.serviceName)
                inner.field(2, service.changedSequence)
                inner.field(3, service.protected)
                inner.field(4, service.instances)
                inner.field(5, service.healthy)
                inner.field(6, service.weight)
                for zone in service.zones { zone.write(7, &inner) }
                inner.field(8, service.unhealthy)
                inner.field(9, service.stale)
                inner.field(10, service.protectedInstances)
                inner.field(11, service.silentSince ?? .zero)
            }
        }
        writer.field(3, nextPageToken)
        return writer.bytes
    }
}

extension ZoneTopology {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, region)
            inner.field(2, zone)
            inner.field(3, instances)
            inner.field(4, healthy)
            inner.field(5, weight)
            inner.field(6, unhealthy)
            inner.field(7, stale)
            inner.field(8, protectedInstances)
        }
    }
}

extension Removal {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, instanceID)
            inner.field(2, serviceName)
            inner.field(3, incarnation)
            inner.field(4, kind.name)
            inner.field(5, reason)
            inner.field(6, actor)
            inner.field(7, position.sequence)
            inner.field(8, position.index)
            inner.field(9, position.ordinal)
            inner.field(10, recordedAt)
        }
    }
}

extension RemovalsAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        for removal in removals { removal.write(2, &writer) }
        writer.field(3, nextPageToken)
        return writer.bytes
    }
}

extension MachineDigest {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, machine)
            inner.field(2, digest.description)
        }
    }
}

extension DigestAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        for machine in machines { machine.write(2, &writer) }
        return writer.bytes
    }
}

extension OutcomeAnswer {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 64)
        writer.field(1, sequence)
        writer.field(2, recordedAt)
        writer.field(3, verdict.rawValue)
        writer.field(4, accepted)
        for refusal in refused {
            writer.message(5) { inner in
                inner.field(1, refusal.index)
                inner.field(2, refusal.reason.name)
            }
        }
        if verdict == .refused, let first = refused.first { writer.field(6, first.reason.name) }
        writer.field(7, firstSequence)
        for consequence in consequences { consequence.write(8, &writer) }
        writer.packed(9, replaced)
        writer.field(12, subject)
        return writer.bytes
    }
}

extension QueryError {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, code.rawValue)
        writer.field(2, message)
        writer.field(3, sequence)
        return writer.bytes
    }
}

extension NodeStatus {
    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        asOf.write(1, &writer)
        writer.field(2, nodeID)
        writer.field(3, version)
        writer.field(4, mode)
        writer.field(5, syncPolicy)
        writer.field(6, firstSequence)
        writer.field(7, durableSequence)
        writer.field(8, logBytes)
        writer.field(9, segments)
        writer.field(10, checkpointSequence)
        writer.field(11, semanticsVersion)
        writer.field(12, isLeader)
        writer.field(13, leaderID)
        writer.field(14, leaderEpoch)
        writer.field(15, acceptedMessages)
        writer.field(16, acceptedEvents)
        writer.field(17, refusedEvents)
        writer.field(18, rejectedMessages)
        writer.field(19, duplicateMessages)
        writer.field(20, gaps)
        writer.field(21, backwardClockSteps)
        writer.field(22, isEvictionSuspended)
        writer.field(23, intake)
        writer.field(24, startedAt)
        writer.field(25, diskFreeBytes)
        writer.field(26, retentionDaysLeft)
        for machine in machines { machine.write(27, &writer) }
        writer.field(40, diskTotalBytes)
        writer.field(41, diskPressure)
        writer.field(42, anchoredSequence)
        writer.field(43, areDirectivesFenced)
        writer.field(48, semanticsSupported)
        writeMesh(&writer)
        return writer.bytes
    }

    private func writeMesh(_ writer: inout WireWriter) {
        for service in guards { service.write(50, &writer) }
        writer.field(51, guardedServices)
        writer.field(52, services)
        writer.field(53, instances)
        writer.field(54, healthyInstances)
        writer.field(55, unhealthyInstances)
        writer.field(56, staleInstances)
        writer.field(57, protectedInstances)
        writer.field(58, evictions)
        for removal in recentEvictions { removal.write(59, &writer) }
        writer.field(60, checkpointAt ?? .zero)
        writer.field(61, intakeLag)
        writer.field(62, outboxOldestAge)
        writer.field(63, outboxWaiting)
        for reason in unreadyReasons { writer.element(64, reason) }
        writer.field(65, syncP99)
    }
}

extension GuardedService {
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in
            inner.field(1, serviceName)
            inner.field(2, instances)
            inner.field(3, protectedInstances)
            inner.field(4, silentSince ?? .zero)
        }
    }
}
