// Staleness, eviction and the guard against mass eviction (Registry.md, decision 16).
//
// How the rule is read here: within one window of `evictAfter` a service may lose max(1, 15 % of its members at the
// window's start), the mesh max(2, 10 %). When more than that are missing at once, the guard holds: nobody is evicted,
// nobody counts as stale, answers say `protected`. It ends when the missing come back, deregister or are replaced, when
// the operator releases it, or after ten windows, from when on evictions go on at the permitted rate.

import EventModel

extension ServiceRegistry {
    /// Expiry follows from ticks alone, so that it falls on a recorded position.
    mutating func tick(_ work: inout Work) {
        rollWindow()
        work.outcome.accepted = 1
        if moment.expiryTime < suspendedUntil { return }
        var overdue: [(service: Int, slots: [Int])] = []
        for service in services.rows.indices {
            // The lower bound spares the scan of a service whose members were all seen lately.
            let row = services[service]
            if row.staleCount == 0 && (row.members.isEmpty || !isOlder(row.earliestSeen, settings.staleAfter)) {
                if row.isProtected { endProtection(service, &work) }
                continue
            }
            overdue.append((service, scan(service, &work)))
        }
        if overdue.isEmpty { return }
        // Those that the operator gave up are not missed any more.
        let meshMissing = overdue.reduce(meshEvicted) { $0 + (isReleased($1.service) ? 0 : $1.slots.count) }
        let isMeshGuarded = meshMissing > permittedOfMesh
        for (service, stale) in overdue.sorted(by: {
            services[$0.service].name.precedesInBytes(services[$1.service].name)
        }) {
            judge(service, stale: stale, isMeshGuarded: isMeshGuarded, &work)
        }
    }

    private func isOlder(_ seen: Nanoseconds, _ age: Nanoseconds) -> Bool { seen + age < moment.expiryTime }

    private mutating func rollWindow() {
        let current = currentWindow
        if current == window && meshMembersAtStart > 0 { return }
        window = current
        meshMembersAtStart = instances.count
        meshEvicted = 0
        for service in services.rows.indices {
            let members = services[service].members.count
            if services[service].eviction.membersAtStart == members && services[service].eviction.evicted == 0 {
                continue
            }
            services[service].eviction.membersAtStart = members
            services[service].eviction.evicted = 0
            touchService(service)
        }
    }

    /// Finds the members without a sign of life, marks those that are new among them, tightens the lower bound.
    private mutating func scan(_ service: Int, _ work: inout Work) -> [Int] {
        var stale: [Int] = []
        var earliest = moment.expiryTime
        let now = moment.sequence
        for slot in services[service].members {
            let row = instances.sign(of: slot)
            earliest = min(earliest, row.lastSeen)
            let isStale = isOlder(row.lastSeen, settings.staleAfter)
            if isStale { stale.append(slot) }
            if row.isStale == isStale { continue }
            instances.update(slot) { row in
                row.isStale = isStale
                row.changedSequence = now
            }
            touch(slot)
            services[service].staleCount += isStale ? 1 : -1
            work.changed.insert(service)
        }
        services[service].earliestSeen = earliest
        return stale
    }

    private mutating func judge(_ service: Int, stale: [Int], isMeshGuarded: Bool, _ work: inout Work) {
        if stale.isEmpty {
            if services[service].isProtected { endProtection(service, &work) }
            return
        }
        let guarding = services[service].eviction
        let permitted = permitted(service)
        let isReleased = isReleased(service)
        let isTooMany = stale.count + guarding.evicted > permitted
        let holds = !isReleased && (isTooMany || (isMeshGuarded && stale.count > 0))
        if holds && guarding.protectedSince == nil {
            services[service].eviction.protectedSince = window
            services[service].guardChangedSequence = moment.sequence
            work.changed.insert(service)
        } else if !holds && guarding.protectedSince != nil {
            endProtection(service, &work)
        }
        let limit = settings.staleAfter + settings.evictAfter
        let candidates = stale.filter { isOlder(instances.sign(of: $0).lastSeen, limit) }
        if candidates.isEmpty || isHeld(service) { return }
        evict(candidates, of: service, reason: "heartbeat_timeout", mayEmpty: isReleased, &work)
    }

    /// Protected, and not yet for so long that evictions go on at the permitted rate.
    private func isHeld(_ service: Int) -> Bool {
        guard let since = services[service].eviction.protectedSince else { return false }
        return window - since < Int64(settings.guardWindows)
    }

    /// A release holds to the end of the next window: whoever was missing when the operator spoke is due for eviction
    /// within one length of a window, which seldom ends together with the window he spoke in.
    private func isReleased(_ service: Int) -> Bool {
        guard let since = services[service].eviction.releasedInWindow else { return false }
        return window - since <= 1
    }

    private var permittedOfMesh: Int { settings.permitted(ofMesh: max(meshMembersAtStart, instances.count)) }

    private func permitted(_ service: Int) -> Int {
        let row = services[service]
        let members = row.eviction.membersAtStart > 0 ? row.eviction.membersAtStart : row.members.count
        return settings.permitted(ofService: members)
    }

    /// Evicts whoever a health sweep found failing, unless the guard holds or the node only just came back.
    mutating func evictSwept(_ failed: [Int], of service: Int, _ work: inout Work) {
        if moment.expiryTime < suspendedUntil || isHeld(service) { return }
        evict(failed, of: service, reason: "health_sweep", mayEmpty: false, &work)
    }

    /// Another length of the window numbers the windows anew; the ages of protections and releases stay.
    mutating func renumberWindows() {
        let shift = currentWindow - window
        if shift == 0 { return }
        window += shift
        for service in services.rows.indices {
            let guarding = services[service].eviction
            if guarding.protectedSince == nil && guarding.releasedInWindow == nil { continue }
            services[service].eviction.protectedSince = guarding.protectedSince.map { $0 + shift }
            services[service].eviction.releasedInWindow = guarding.releasedInWindow.map { $0 + shift }
            touchService(service)
        }
    }

    private var currentWindow: Int64 { moment.expiryTime.rawValue / max(1, settings.evictAfter.rawValue) }

    /// Evicts at the permitted rate, longest unseen first; keeps the last instance for its own time.
    mutating func evict(
        _ candidates: [Int], of service: Int, reason: String, mayEmpty: Bool, _ work: inout Work
    ) {
        let isReleased = isReleased(service)
        let left = min(permitted(service) - services[service].eviction.evicted, permittedOfMesh - meshEvicted)
        var budget = isReleased ? candidates.count : left
        let ordered = candidates.sorted { left, right in
            let (first, second) = (instances[left]!, instances[right]!)
            if first.lastSeen != second.lastSeen { return first.lastSeen < second.lastSeen }
            return first.instance.instanceID.precedesInBytes(second.instance.instanceID)
        }
        for slot in ordered where budget > 0 {
            if services[service].members.count == 1 && !mayEmpty && !mayLose(last: slot, of: service) { break }
            budget -= 1
            if !isReleased {
                services[service].eviction.evicted += 1
                meshEvicted += 1
            }
            let position = EventPosition(
                sequence: moment.sequence, ordinal: UInt32(work.outcome.consequences.count + 1))
            let removal = remove(slot, .evicted, reason: reason, actor: "registry", position: position, &work)
            work.outcome.consequences.append(removal)
        }
    }

    /// The last instance is held for its own time, and never goes in the window in which another one went.
    private func mayLose(last slot: Int, of service: Int) -> Bool {
        services[service].eviction.evicted == 0
            && isOlder(instances.sign(of: slot).lastSeen, settings.guardLastInstance)
    }

    private mutating func endProtection(_ service: Int, _ work: inout Work) {
        services[service].eviction.protectedSince = nil
        services[service].guardChangedSequence = moment.sequence
        work.changed.insert(service)
    }

    /// The operator says that the missing are really gone.
    mutating func releaseGuard(_ name: String, _ work: inout Work) {
        if !name.isEmpty && services.index(of: name) == nil { return work.outcome.refuse(0, .unknownService) }
        for service in services.rows.indices where name.isEmpty || services[service].name.equalsInBytes(name) {
            services[service].eviction.releasedInWindow = window
            if services[service].isProtected { endProtection(service, &work) }
            touchService(service)
        }
        work.outcome.accepted = 1
    }
}
