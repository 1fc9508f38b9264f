// What always holds in a registry, for tests to look at after each record.

import DequeModule
import EventModel

extension ServiceRegistry {
    /// Names what should hold and does not; empty unless there is a bug. Linear in the state.
    func brokenInvariants() -> [String] {
        var checks = InvariantChecks()
        var sum = Digest.zero
        for removal in removals { sum = sum &+ Self.digest(of: removal) }
        for index in services.rows.indices {
            sum = sum &+ services[index].digest
            checkService(index, &checks, &sum)
        }
        let members = services.rows.reduce(0) { $0 + $1.members.count }
        checks.expect(members == instances.count, "every row is a member of one service")
        checks.expect(sum == digests.sum, "the sum is that of the entities")
        checks.expect(
            Set(digests.dirtyInstances).count == digests.dirtyInstances.count, "no instance is marked twice")
        return checks.broken
    }

    private func checkService(_ index: Int, _ checks: inout InvariantChecks, _ sum: inout Digest) {
        let service = services[index]
        let rows = service.members.compactMap { instances[$0] }
        let ids = rows.map(\.instance.instanceID)
        let name = service.name
        checks.expect(services.index(of: name) == index, "\(name) is found by name")
        checks.expect(rows.count == service.members.count, "\(name) has no member without a row")
        checks.expect(
            zip(ids, ids.dropFirst()).allSatisfy { $0.precedesInBytes($1) }, "\(name) has its members in order of id")
        checks.expect(rows.count { $0.isStale } == service.staleCount, "\(name) counts who is stale")
        checks.expect(
            rows.allSatisfy { $0.lastSeen >= service.earliestSeen }, "\(name) was not seen before its lower bound")
        let isMarked = digests.dirtyServices.contains(index)
        checks.expect(!service.isDirty || isMarked, "\(name) is marked if it is dirty")
        let marked = Set(digests.dirtyInstances)
        for (slot, row) in zip(service.members, rows) {
            let id = row.instance.instanceID
            sum = sum &+ row.digest
            checks.expect(row.service == index, "\(id) knows its service")
            checks.expect(instances.slot(of: id) == slot, "\(id) is found by its id")
            checks.expect(row.isDirty == marked.contains(slot), "\(id) is marked if and only if it is dirty")
        }
    }
}

/// Collects what does not hold.
private struct InvariantChecks {
    var broken: [String] = []

    mutating func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { broken.append(what()) }
    }
}
