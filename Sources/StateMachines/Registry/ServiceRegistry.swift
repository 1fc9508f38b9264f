// The service registry: who serves under which name, folded from the log.

import DequeModule
package import EventModel

/// Tracks the instances of each service, their heartbeats, health and load; answers who can be asked.
package struct ServiceRegistry: StateMachine {
    package static let name = "registry"
    /// How many removals are remembered for "who removed me, when, why".
    package static let removalCapacity = 4_096
    /// Reporters of load to one instance.
    package static let reportersPerInstance = 16

    package internal(set) var moment = Moment.origin
    package internal(set) var settings = RegistrySettings()
    var instances: InstanceTable
    var services = ServiceTable()
    var removals: Deque<Removal> = []
    /// Expiry time before which nothing becomes stale and nothing is evicted: after a start, a gap, a reconnect.
    package internal(set) var suspendedUntil = Nanoseconds.zero
    /// The guard's window, counted from the log's beginning.
    var window: Int64 = 0
    var meshMembersAtStart = 0
    var meshEvicted = 0
    var digests = DigestLedger()
    /// Which instances changed is known of the records after this one: a checkpoint does not tell.
    var changesKnownAfter = SequenceNumber.origin

    package init() { self.init(indexKey: 0) }

    /// `indexKey` seeds look-up tables; any value gives the same answers and digests.
    package init(indexKey: UInt64) { instances = InstanceTable(key: indexKey) }

    /// Instances of all services.
    package var instanceCount: Int { instances.count }

    package mutating func apply(_ admitted: AdmittedRecord) -> Outcome {
        moment = admitted.moment
        var work = Work(outcome: Outcome())
        switch admitted.record.event {
        case .registry(let event): take(event, admitted.record, &work)
        case .clock(let event): take(event, &work)
        case .policy(let event): take(event, &work)
        case .mirror, .trace, .audit, .opaque: break
        }
        finish(&work)
        return work.outcome
    }

    /// What one record has done so far.
    struct Work {
        var outcome: Outcome
        /// Services that a resolver sees differently now.
        var changed: Set<Int> = []
    }

    private mutating func finish(_ work: inout Work) {
        if work.changed.isEmpty { return }
        for service in work.changed {
            services[service].changedSequence = moment.sequence
            touchService(service)
        }
        work.outcome.changed = work.changed.map { services[$0].name }.sorted { $0.precedesInBytes($1) }
    }

    private mutating func take(_ event: RegistryEvent, _ record: EventRecord, _ work: inout Work) {
        switch event {
        case .registered(let batch): register(batch, &work)
        case .deregistered(let batch): deregister(batch, record, &work)
        case .heartbeat(let batch): beat(batch, &work)
        case .healthReported(let batch): updateHealth(batch.serviceName, batch.events, &work)
        case .loadReported(let batch): takeLoad(batch, &work)
        case .healthSwept(let batch): sweep(batch, &work)
        case .instanceSelected(let batch): work.outcome.accepted = UInt32(batch.events.count)
        }
    }

    private mutating func take(_ event: ClockEvent, _ work: inout Work) {
        switch event {
        case .tick: tick(&work)
        case .nodeResumed, .intakeGap:
            suspendedUntil = moment.expiryTime + settings.staleAfter + settings.staleAfter
        case .leadershipClaimed: break
        }
    }

    private mutating func take(_ event: PolicyEvent, _ work: inout Work) {
        switch event {
        case .semanticsActivated, .tracesConfigured, .directivesResumed, .recordSkipped: break
        case .registryConfigured(let change):
            guard let changed = settings.applying(change) else { return work.outcome.refuse(0, .invalidSetting) }
            let isWindowChanged = changed.evictAfter != settings.evictAfter
            settings = changed
            if isWindowChanged { renumberWindows() }
            work.outcome.accepted = 1
        case .guardReleased(let service, _): releaseGuard(service, &work)
        }
    }

    // MARK: Registration

    private mutating func register(_ batch: Registered, _ work: inout Work) {
        for (index, event) in batch.events.enumerated() {
            if batch.failFast && !work.outcome.refused.isEmpty {
                work.outcome.refuse(index, .notAttempted)
            } else if let reason = register(event, of: batch.serviceName, index, &work) {
                work.outcome.refuse(index, reason)
            } else {
                work.outcome.accepted += 1
            }
        }
    }

    private mutating func register(
        _ event: Registration, of service: String, _ index: Int, _ work: inout Work
    ) -> RefusalReason? {
        if event.weight > Limits.weight { return .weightOutOfRange }
        if moment.isAhead(event.occurredAt) { return .timeAhead }
        // The start of a process: one that lies ahead would shut out every process that comes after it.
        if moment.isBoundedAndAhead(Timestamp(nanoseconds: event.incarnation)) { return .timeAhead }
        switch settings.judge(event.endpoint) {
        case .accepted: break
        case .invalid: return .invalidEndpoint
        case .outsideNetworks: return .endpointOutsideNetworks
        }
        if let slot = instances.slot(of: event.instanceID), let row = instances[slot] {
            if !row.instance.serviceName.equalsInBytes(service) { return .wrongService }
            if event.incarnation < row.instance.incarnation { return .staleIncarnation }
            replace(slot, with: event, &work)
            work.outcome.replaced.append(UInt32(index))
            return nil
        }
        guard let serviceIndex = makeService(service) else { return .tooManyServices }
        var row = InstanceRow(
            instance: makeInstance(event, service, registeredAt: moment.logTime), service: serviceIndex,
            lastSeen: moment.expiryTime)
        row.changedSequence = moment.sequence
        insert(row)
        work.changed.insert(serviceIndex)
        return nil
    }

    private func makeInstance(_ event: Registration, _ service: String, registeredAt: Timestamp) -> ServiceInstance {
        ServiceInstance(
            instanceID: event.instanceID, serviceName: service, endpoint: event.endpoint, region: event.region,
            zone: event.zone, weight: event.weight, metadata: event.metadata, registeredAt: registeredAt,
            lastHeartbeat: moment.logTime, incarnation: event.incarnation)
    }

    private mutating func replace(_ slot: Int, with event: Registration, _ work: inout Work) {
        let now = moment
        var wasStale = false
        let service = instances.update(slot) { row in
            let isNewProcess = event.incarnation > row.instance.incarnation
            row.instance.endpoint = event.endpoint
            row.instance.region = event.region
            row.instance.zone = event.zone
            row.instance.weight = event.weight
            row.instance.metadata = event.metadata
            row.instance.incarnation = event.incarnation
            row.instance.lastHeartbeat = now.logTime
            row.lastSeen = now.expiryTime
            row.changedSequence = now.sequence
            wasStale = row.isStale
            row.isStale = false
            // A new process has not been checked yet and has no connections.
            if isNewProcess {
                row.status = nil
                row.loads = []
            }
            return row.service
        }
        if wasStale { services[service].staleCount -= 1 }
        touch(slot)
        work.changed.insert(service)
    }

    private mutating func makeService(_ name: String) -> Int? {
        if let index = services.makeIndex(of: name) { return index }
        guard let oldest = services.oldestEmpty else { return nil }
        digests.forget(services[oldest].digest)
        services.replace(oldest, with: name)
        return oldest
    }

    mutating func insert(_ row: InstanceRow) {
        let id = row.instance.instanceID
        let slot = instances.insert(row)
        let service = row.service
        let position = memberPosition(of: id, in: service)
        services[service].members.insert(slot, at: position)
        if services[service].members.count == 1 { services[service].earliestSeen = row.lastSeen }
        services[service].earliestSeen = min(services[service].earliestSeen, row.lastSeen)
        if row.isStale { services[service].staleCount += 1 }
        if digests.adoptMark(instance: slot) { instances.update(slot) { $0.isDirty = true } }
        touch(slot)
    }

    private func memberPosition(of id: String, in service: Int) -> Int {
        let members = services[service].members
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if instances[members[middle]]!.instance.instanceID.precedesInBytes(id) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    // MARK: Deregistration

    private mutating func deregister(_ batch: Batch<Deregistration>, _ record: EventRecord, _ work: inout Work) {
        for (index, event) in batch.events.enumerated() {
            if let reason = deregister(event, batch.serviceName, index, record.administrator, &work) {
                work.outcome.refuse(index, reason)
            } else {
                work.outcome.accepted += 1
            }
        }
    }

    private mutating func deregister(
        _ event: Deregistration, _ service: String, _ index: Int, _ administrator: String, _ work: inout Work
    ) -> RefusalReason? {
        guard let slot = instances.slot(of: event.instanceID), let row = instances[slot] else {
            return .unknownInstance
        }
        if !row.instance.serviceName.equalsInBytes(service) { return .wrongService }
        if event.incarnation != row.instance.incarnation {
            return event.incarnation < row.instance.incarnation ? .staleIncarnation : .incarnationMismatch
        }
        if moment.isAhead(event.occurredAt) { return .timeAhead }
        let actor =
            !administrator.isEmpty
            ? "operator:\(administrator)"
            : event.actor.isEmpty ? "service:\(service)" : Unverified.named(event.actor)
        remove(
            slot, .deregistered, reason: event.reason, actor: actor,
            position: EventPosition(sequence: moment.sequence, index: UInt32(index)), &work)
        return nil
    }

    @discardableResult
    mutating func remove(
        _ slot: Int, _ kind: Removal.Kind, reason: String, actor: String, position: EventPosition, _ work: inout Work
    ) -> Removal {
        let row = instances[slot]!
        let removal = Removal(
            instanceID: row.instance.instanceID, serviceName: row.instance.serviceName,
            incarnation: row.instance.incarnation, kind: kind, reason: reason, actor: actor, position: position,
            recordedAt: moment.recordedAt)
        let memberPosition = memberPosition(of: row.instance.instanceID, in: row.service)
        precondition(services[row.service].members[memberPosition] == slot, "members are in order of id")
        services[row.service].members.remove(at: memberPosition)
        if row.isStale { services[row.service].staleCount -= 1 }
        digests.forget(row.digest)
        if row.isDirty { digests.orphanMark(instance: slot) }
        instances.remove(slot)
        remember(removal)
        work.changed.insert(row.service)
        return removal
    }

    mutating func remember(_ removal: Removal) {
        if removals.count == Self.removalCapacity { digests.forget(Self.digest(of: removals.removeFirst())) }
        removals.append(removal)
        digests.add(Self.digest(of: removal))
    }
}
