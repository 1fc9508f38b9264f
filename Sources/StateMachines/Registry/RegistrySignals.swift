// Heartbeats, health and load: the signals that instances and their observers send.

import EventModel

extension ServiceRegistry {
    // MARK: Heartbeats

    mutating func beat(_ batch: Heartbeats, _ work: inout Work) {
        let service = services.index(of: batch.serviceName)
        let bytes = batch.facts.span
        let now = moment
        var cursor = batch.makeCursor()
        var index = 0
        while let heartbeat = cursor.next(in: bytes) {
            if let reason = beat(heartbeat, bytes, service, now, &work) {
                work.outcome.refuse(index, reason)
            } else {
                work.outcome.accepted += 1
            }
            index += 1
        }
    }

    @inline(__always)
    private mutating func beat(
        _ heartbeat: HeartbeatView, _ bytes: borrowing Span<UInt8>, _ service: Int?, _ now: Moment, _ work: inout Work
    ) -> RefusalReason? {
        guard let slot = instances.slot(of: bytes, range: heartbeat.instanceID) else { return .unknownInstance }
        if now.isAhead(heartbeat.occurredAt) { return .timeAhead }
        var isNewlyDirty = false
        var wasStale = false
        let refused: RefusalReason? = instances.update(slot) { row in
            if row.service != service { return .wrongService }
            if heartbeat.incarnation < row.instance.incarnation { return .staleIncarnation }
            // A later process that never registered: it must, since its endpoint may be another one.
            if heartbeat.incarnation > row.instance.incarnation { return .incarnationMismatch }
            row.instance.lastHeartbeat = now.logTime
            row.lastSeen = now.expiryTime
            wasStale = row.isStale
            if wasStale { row.changedSequence = now.sequence }
            row.isStale = false
            isNewlyDirty = !row.isDirty
            row.isDirty = true
            return nil
        }
        if isNewlyDirty { digests.markDirty(instance: slot) }
        if wasStale, let service {
            services[service].staleCount -= 1
            work.changed.insert(service)
        }
        return refused
    }

    // MARK: Health

    mutating func updateHealth(_ service: String, _ events: [HealthReport], _ work: inout Work) {
        for (index, event) in events.enumerated() {
            if let reason = updateHealth(event, service, &work) {
                work.outcome.refuse(index, reason)
            } else {
                work.outcome.accepted += 1
            }
        }
    }

    private mutating func updateHealth(
        _ event: HealthReport, _ service: String, _ work: inout Work
    ) -> RefusalReason? {
        guard let slot = instances.slot(of: event.instanceID), let row = instances[slot] else {
            return .unknownInstance
        }
        if !row.instance.serviceName.equalsInBytes(service) { return .wrongService }
        if event.incarnation != 0 && event.incarnation < row.instance.incarnation { return .staleIncarnation }
        if event.latency < .zero { return .negativeLatency }
        if moment.isBoundedAndTooLong(event.latency) { return .timeAhead }
        if event.lastCheck - moment.recordedAt > Limits.timeAhead { return .timeAhead }
        if let status = row.status, event.lastCheck < status.lastCheck { return .stale }
        let failures = Self.failures(event, after: row.status)
        let status = HealthStatus(
            instanceID: event.instanceID, healthy: event.healthy, latency: event.latency,
            consecutiveFailures: failures, lastCheck: event.lastCheck, reason: event.reason)
        let isFlip = row.status?.healthy ?? true != event.healthy
        let sequence = moment.sequence
        instances.update(slot) { row in
            row.status = status
            if isFlip { row.changedSequence = sequence }
        }
        touch(slot)
        if isFlip { work.changed.insert(row.service) }
        return nil
    }

    /// A check is counted once, however often its report is delivered: `last_check` is its key (decision 5). A reporter
    /// that does not say when it checked is taken at its word each time.
    private static func failures(_ event: HealthReport, after status: HealthStatus?) -> UInt32 {
        if event.healthy { return 0 }
        if let told = event.consecutiveFailures { return told }
        guard let status, !status.healthy else { return 1 }
        let isRepeat = event.lastCheck == status.lastCheck && event.lastCheck != .zero
        return isRepeat || status.consecutiveFailures == .max
            ? status.consecutiveFailures : status.consecutiveFailures + 1
    }

    /// Reports, then the eviction of whoever failed too often, under the guard.
    mutating func sweep(_ batch: HealthSwept, _ work: inout Work) {
        updateHealth(batch.serviceName, batch.events, &work)
        guard batch.evictThreshold > 0, let service = services.index(of: batch.serviceName) else { return }
        let failed = services[service].members.filter { slot in
            guard let status = instances[slot]?.status, !status.healthy else { return false }
            return status.consecutiveFailures >= batch.evictThreshold
        }
        evictSwept(failed, of: service, &work)
    }

    // MARK: Load

    mutating func takeLoad(_ batch: Batch<LoadReport>, _ work: inout Work) {
        for (index, event) in batch.events.enumerated() {
            if let reason = takeLoad(event, batch.serviceName) {
                work.outcome.refuse(index, reason)
            } else {
                work.outcome.accepted += 1
            }
        }
    }

    private mutating func takeLoad(_ event: LoadReport, _ service: String) -> RefusalReason? {
        guard let slot = instances.slot(of: event.instanceID), let row = instances[slot] else {
            return .unknownInstance
        }
        if !row.instance.serviceName.equalsInBytes(service) { return .wrongService }
        if event.incarnation != 0 && event.incarnation < row.instance.incarnation { return .staleIncarnation }
        if moment.isAhead(event.occurredAt) { return .timeAhead }
        var loads = row.loads
        let position = loads.firstIndex { !$0.reporter.precedesInBytes(event.reporter) } ?? loads.count
        let isKnown = position < loads.count && loads[position].reporter.equalsInBytes(event.reporter)
        switch (isKnown, event.activeConnections) {
        case (true, 0): loads.remove(at: position)
        case (true, let count): loads[position].activeConnections = count
        case (false, 0): break
        case (false, let count):
            if loads.count == Self.reportersPerInstance { return .tooManyReporters }
            loads.insert(ReportedLoad(reporter: event.reporter, activeConnections: count), at: position)
        }
        let sequence = moment.sequence
        instances.update(slot) { row in
            row.loads = loads
            row.changedSequence = sequence
        }
        touch(slot)
        return nil
    }
}
