// Lists of instances, page by page, and what changed in them since somebody last asked.

import EventModel

extension RegistryQuery {
    /// Whether its asker knows pages: then they are cut by bytes, too.
    var isPaged: Bool { limit > 0 || !pageToken.isEmpty || changedSince != .origin }
}

/// Which members of a service an answer has.
private struct MemberFilter {
    let region: String
    let minimumWeight: UInt32
    let healthyOnly: Bool
    /// The guard holds: what is silent counts as healthy.
    let isProtected: Bool

    /// Whether every member fits.
    var admitsAll: Bool { region.isEmpty && minimumWeight == 0 && !healthyOnly }

    func admits(_ slot: Int, _ instances: InstanceTable) -> Bool {
        if admitsAll { return true }
        let traits = instances.traits(of: slot)
        if traits.weight < minimumWeight { return false }
        if healthyOnly && !(traits.isReportedHealthy && (!traits.isStale || isProtected)) { return false }
        return region.isEmpty || instances[slot]?.instance.region.equalsInBytes(region) ?? false
    }
}

extension ServiceRegistry {
    // MARK: Members

    /// A page of `resolve`.
    func membersPage(_ query: RegistryQuery) throws(QueryError) -> InstancesAnswer {
        if query.changedSince != .origin && query.allowPanic {
            throw QueryError(.invalidArgument, "changed_since does not go with allow_panic")
        }
        return members(query, after: try PageToken.parts(query.pageToken, count: [1])?[0])
    }

    /// The members behind an id, or what changed among them.
    func members(_ query: RegistryQuery, after id: String?) -> InstancesAnswer {
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [])
        guard let service = services.index(of: query.serviceName) else { return answer }
        let row = services[service]
        answer.protected = row.isProtected
        if query.allowPanic && query.healthyOnly { answer.panic = isPanic(row, query.region) }
        let filter = MemberFilter(
            region: query.region, minimumWeight: query.minimumWeight,
            healthyOnly: query.healthyOnly && !answer.panic, isProtected: row.isProtected)
        let start = id.map { firstMember(after: $0, of: row) } ?? 0
        if query.changedSince != .origin, areChangesKnown(since: query.changedSince) {
            addChanges(row, query, filter, from: start, after: id, to: &answer)
        } else {
            addMembers(row.members[start...], query, filter, to: &answer)
        }
        return answer
    }

    private func addMembers(
        _ members: ArraySlice<Int>, _ query: RegistryQuery, _ filter: MemberFilter, to answer: inout InstancesAnswer
    ) {
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        for place in members.indices where filter.admits(members[place], instances) {
            guard let row = instances[members[place]] else { continue }
            let snapshot = snapshot(row, query.withoutMetadata)
            guard budget.take(snapshot.pageBytes) else {
                let rest = members[place...]
                let count = filter.admitsAll ? rest.count : rest.count { filter.admits($0, instances) }
                return end(&answer, omitted: count)
            }
            answer.instances.append(snapshot)
        }
    }

    /// Fewer than the panic threshold are healthy.
    private func isPanic(_ service: ServiceRow, _ region: String) -> Bool {
        let inRegion = MemberFilter(region: region, minimumWeight: 0, healthyOnly: false, isProtected: false)
        let healthy = MemberFilter(
            region: "", minimumWeight: 0, healthyOnly: true, isProtected: service.isProtected)
        let members = service.members.filter { inRegion.admits($0, instances) }
        return members.count { healthy.admits($0, instances) } * 10_000
            < members.count * Int(settings.panicBasisPoints)
    }

    private func firstMember(after id: String, of service: ServiceRow) -> Int {
        var (low, high) = (0, service.members.count)
        while low < high {
            let middle = (low + high) / 2
            if id.precedesInBytes(instances.id(of: service.members[middle])) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func end(_ answer: inout InstancesAnswer, omitted: Int) {
        answer.omitted = UInt32(clamping: omitted)
        let last = answer.instances.last?.instance.instanceID ?? ""
        let left = answer.left.last ?? ""
        answer.nextPageToken = PageToken.text([last.precedesInBytes(left) ? left : last])
    }

    // MARK: Changes

    /// Whether all changes after a record are known here, and whether that record is.
    private func areChangesKnown(since sequence: SequenceNumber) -> Bool {
        if sequence < changesKnownAfter || sequence > moment.sequence { return false }
        guard removals.count == Self.removalCapacity, let oldest = removals.first else { return true }
        return oldest.position.sequence <= sequence
    }

    private func addChanges(
        _ service: ServiceRow, _ query: RegistryQuery, _ filter: MemberFilter, from start: Int, after id: String?,
        to answer: inout InstancesAnswer
    ) {
        answer.changedSince = query.changedSince
        let since = query.changedSince
        let isGuardChanged = service.guardChangedSequence > since
        let changed = service.members[start...].filter { slot in
            let change = instances.change(of: slot)
            return change.sequence > since || (isGuardChanged && change.isStale)
        }
        var gone = removedIDs(of: service.name, since: since, after: id)[...]
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: true)
        for (number, slot) in changed.enumerated() {
            guard let row = instances[slot] else { continue }
            let own = row.instance.instanceID
            while let first = gone.first, first.precedesInBytes(own) {
                guard take(first, &budget, &answer) else {
                    return end(&answer, omitted: changed.count - number + gone.count)
                }
                gone.removeFirst()
            }
            // It left, and came again.
            if gone.first?.equalsInBytes(own) == true { gone.removeFirst() }
            if filter.admits(slot, instances) {
                let snapshot = snapshot(row, query.withoutMetadata)
                if budget.take(snapshot.pageBytes) {
                    answer.instances.append(snapshot)
                    continue
                }
            } else if take(own, &budget, &answer) {
                continue
            }
            return end(&answer, omitted: changed.count - number + gone.count)
        }
        while let first = gone.first {
            guard take(first, &budget, &answer) else { return end(&answer, omitted: gone.count) }
            gone.removeFirst()
        }
    }

    private func take(_ id: String, _ budget: inout PageBudget, _ answer: inout InstancesAnswer) -> Bool {
        guard budget.take(4 + PageBudget.size(id)) else { return false }
        answer.left.append(id)
        return true
    }

    /// Whoever left a service after a record, each once, in order of id.
    private func removedIDs(of service: String, since sequence: SequenceNumber, after id: String?) -> [String] {
        var ids: [String] = []
        for removal in removals.reversed() {
            if removal.position.sequence <= sequence { break }
            guard removal.serviceName.equalsInBytes(service) else { continue }
            if let id, !id.precedesInBytes(removal.instanceID) { continue }
            ids.append(removal.instanceID)
        }
        ids.sort { $0.precedesInBytes($1) }
        var result: [String] = []
        for id in ids where result.last?.equalsInBytes(id) != true { result.append(id) }
        return result
    }

    // MARK: Stale

    /// A page of `stale_instances`.
    func stalePage(_ query: RegistryQuery) throws(QueryError) -> InstancesAnswer {
        let parts = try PageToken.parts(query.pageToken, count: [2])
        return stale(query, after: parts.map { (service: $0[0], id: $0[1]) })
    }

    func stale(_ query: RegistryQuery, after place: (service: String, id: String)?) -> InstancesAnswer {
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [])
        let limit = query.limit == 0 ? Self.rowsMaximum : Int(query.limit)
        var budget = PageBudget(rows: limit, isCutByBytes: query.isPaged)
        var isFull = false
        for index in services.indicesByName {
            let service = services[index]
            guard query.serviceName.isEmpty || service.name.equalsInBytes(query.serviceName) else { continue }
            if service.isProtected { answer.protected = true }
            var start = 0
            if let place {
                if service.name.precedesInBytes(place.service) { continue }
                if service.name.equalsInBytes(place.service) { start = firstMember(after: place.id, of: service) }
            }
            for slot in service.members[start...]
            where instances.sign(of: slot).lastSeen + settings.staleAfter < moment.expiryTime {
                guard !isFull, let row = instances[slot] else {
                    answer.omitted += 1
                    continue
                }
                let snapshot = snapshot(row, query.withoutMetadata)
                isFull = !budget.take(snapshot.pageBytes)
                if isFull { answer.omitted += 1 } else { answer.instances.append(snapshot) }
            }
        }
        if isFull, let last = answer.instances.last?.instance {
            answer.nextPageToken = PageToken.text([last.serviceName, last.instanceID])
        }
        return answer
    }

    // MARK: Failover

    /// A page of `failover_candidates`.
    func failoverPage(_ query: RegistryQuery) throws(QueryError) -> InstancesAnswer {
        guard let parts = try PageToken.parts(query.pageToken, count: [4]) else { return failover(query, after: nil) }
        guard let weight = UInt32(parts[2]) else { throw PageToken.unknown }
        return failover(
            query,
            after: FailoverPlace(isHealthy: parts[0] == "healthy", region: parts[1], weight: weight, id: parts[3]))
    }

    func failover(_ query: RegistryQuery, after place: FailoverPlace?) -> InstancesAnswer {
        var answer = InstancesAnswer(asOf: moment.asOf, instances: [])
        guard let service = services.index(of: query.serviceName) else { return answer }
        answer.protected = services[service].isProtected
        var first = FirstRows(query.isPaged ? query.limit == 0 ? 10_000 : Int(query.limit) : .max)
        for slot in services[service].members {
            guard let row = instances[slot] else { continue }
            if query.excludedRegions.contains(where: { $0.equalsInBytes(row.instance.region) }) { continue }
            let own = FailoverPlace(row.instance, isHealthy: health(of: row) == .healthy)
            if let place, !(place < own) { continue }
            first.add(own, slot)
        }
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        for (_, slot) in first.rows {
            guard let row = instances[slot] else { continue }
            let snapshot = snapshot(row, query.withoutMetadata)
            guard budget.take(snapshot.pageBytes) else { break }
            answer.instances.append(snapshot)
        }
        answer.omitted = UInt32(clamping: first.count - answer.instances.count)
        if answer.omitted > 0, let last = answer.instances.last {
            answer.nextPageToken = FailoverPlace(last.instance, isHealthy: last.health == .healthy).token
        }
        return answer
    }
}

/// Where an instance stands among candidates: healthy first, then by region, weight descending, id.
struct FailoverPlace: Comparable {
    var isHealthy: Bool
    var region: String
    var weight: UInt32
    var id: String

    init(isHealthy: Bool, region: String, weight: UInt32, id: String) {
        self.isHealthy = isHealthy
        self.region = region
        self.weight = weight
        self.id = id
    }

    init(_ instance: ServiceInstance, isHealthy: Bool) {
        self.init(
            isHealthy: isHealthy, region: instance.region, weight: instance.weight, id: instance.instanceID)
    }

    var token: String { PageToken.text([isHealthy ? "healthy" : "other", region, "\(weight)", id]) }

    static func < (left: Self, right: Self) -> Bool {
        if left.isHealthy != right.isHealthy { return left.isHealthy }
        if !left.region.equalsInBytes(right.region) { return left.region.precedesInBytes(right.region) }
        if left.weight != right.weight { return left.weight > right.weight }
        return left.id.precedesInBytes(right.id)
    }
}

/// The first rows of many, in order, without sorting them all.
private struct FirstRows {
    private let limit: Int
    private var kept: [(place: FailoverPlace, slot: Int)] = []
    /// How many were added.
    private(set) var count = 0

    init(_ limit: Int) { self.limit = limit }

    mutating func add(_ place: FailoverPlace, _ slot: Int) {
        count += 1
        kept.append((place, slot))
        if limit < .max / 4, kept.count >= 2 * limit + 64 { cut() }
    }

    private mutating func cut() {
        kept.sort { $0.place < $1.place }
        if kept.count > limit { kept.removeSubrange(limit...) }
    }

    var rows: [(place: FailoverPlace, slot: Int)] {
        var copy = self
        copy.cut()
        return copy.kept
    }
}
