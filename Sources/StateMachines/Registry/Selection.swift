// Which instance of a service the registry names to whoever asks (`select_instance` of Specification.md).

package import EventModel
import MeshRules

extension ServiceRegistry {
    /// One instance of a service. With a zone: zone before region before any; without one
    /// the region is a filter.
    package func select(_ query: RegistryQuery) throws(QueryError) -> SelectionAnswer {
        if query.serviceName.isEmpty { throw QueryError(.invalidArgument, "service_name is missing") }
        let resolved = resolve(
            serviceName: query.serviceName, region: query.zone.isEmpty ? query.region : "",
            healthyOnly: query.healthyOnly, minimumWeight: query.minimumWeight, allowPanic: query.allowPanic)
        let local = locality(resolved.instances, query)
        let seed = query.seed ?? positionSeed
        let cursor = query.cursor ?? 0
        let ownLoads = Dictionary(
            query.localLoads.map { (Array($0.instanceID.utf8), $0.activeConnections) },
            uniquingKeysWith: { first, _ in first })
        let candidates = local.map { candidate($0, ownLoads, query.reporter) }
        guard let chosen = Selection.choose(candidates, strategy: query.strategy, seed: seed, cursor: cursor) else {
            throw QueryError(.notFound, "no instance of `\(query.serviceName)` can be selected")
        }
        return SelectionAnswer(
            asOf: moment.asOf, instance: local[chosen], strategy: query.strategy, seed: seed, cursor: cursor &+ 1,
            candidates: Array(candidates.prefix(Limits.selectionCandidates).map(\.instanceID)),
            protected: resolved.protected, panic: resolved.panic)
    }

    private func locality(_ all: [InstanceSnapshot], _ query: RegistryQuery) -> [InstanceSnapshot] {
        if query.zone.isEmpty { return all }
        let inRegion = query.region.isEmpty ? all : all.filter { $0.instance.region.equalsInBytes(query.region) }
        let inZone = inRegion.filter { $0.instance.zone.equalsInBytes(query.zone) }
        for choice in [inZone, inRegion] where choice.contains(where: { $0.instance.weight > 0 }) { return choice }
        return all
    }

    /// The dice of whoever names none: a function of the position, as the query promises.
    private var positionSeed: UInt64 {
        var dice = SplitMix64(state: moment.sequence.rawValue)
        return dice.next()
    }

    /// Load = the asker's own count + what others reported.
    private func candidate(
        _ snapshot: InstanceSnapshot, _ ownLoads: [[UInt8]: UInt32], _ reporter: String
    ) -> SelectionCandidate {
        let id = snapshot.instance.instanceID
        let own = ownLoads.isEmpty ? 0 : ownLoads[Array(id.utf8)] ?? 0
        let reported = instances.slot(of: id).flatMap { instances[$0] }?.activeConnections(
            without: reporter.isEmpty ? nil : reporter)
        return SelectionCandidate(
            instanceID: id, weight: snapshot.instance.weight, activeConnections: UInt64(own) + UInt64(reported ?? 0))
    }
}
