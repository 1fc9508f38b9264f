// One service on one event loop: the view of its instances, and connections to them.

import EventModel
import MeshRules
import NIOCore
import Synchronization

/// Chooses instances and keeps their connections.
final class LoopCluster {
    let cluster: Cluster
    private unowned let loop: LoopContext
    private var view: ClusterView
    private var pools: [ObjectIdentifier: UpstreamPool] = [:]
    private var cursor: UInt64 = 0

    init(_ cluster: Cluster, _ loop: LoopContext) {
        self.cluster = cluster
        self.loop = loop
        view = cluster.view
        cursor = loop.dice.next()
    }

    var isBusy: Bool { pools.values.contains { $0.isBusy } }

    /// The instances as they are now.
    func currentView() -> ClusterView {
        if cluster.version.load(ordering: .acquiring) != view.version {
            view = cluster.view
            let present = Set(view.candidates.map { ObjectIdentifier($0.target) })
            for (id, pool) in pools where !present.contains(id) {
                pool.retire()
                if !pool.isBusy { pools[id] = nil }
            }
        }
        return view
    }

    func pool(_ target: Target, _ route: Route) -> UpstreamPool {
        if let known = pools[ObjectIdentifier(target)] { return known }
        let made = UpstreamPool(target, route: route, loop: loop)
        pools[ObjectIdentifier(target)] = made
        return made
    }

    /// An instance for a request that was not yet tried; nil: none is left.
    func choose(_ route: Route, excluding tried: [Target], at now: NIODeadline) -> Candidate? {
        let view = currentView()
        var usable: [Candidate] = []
        usable.reserveCapacity(view.candidates.count)
        for candidate in view.candidates where candidate.description.isHealthy {
            if candidate.target.isEjected(at: now) || tried.contains(where: { $0 === candidate.target }) { continue }
            usable.append(candidate)
        }
        if usable.isEmpty {
            usable = view.candidates.filter { candidate in !tried.contains { $0 === candidate.target } }
        }
        guard !usable.isEmpty else { return nil }
        if usable.count == 1 { return usable[0] }
        cursor &+= 1
        let chosen = Selection.choose(
            usable.map {
                SelectionCandidate(
                    instanceID: $0.description.id, weight: $0.description.weight,
                    activeConnections: UInt64(clamping: $0.target.activeCount.load(ordering: .relaxed))
                        + $0.description.reportedConnections)
            }, strategy: route.rule.policy.strategy, seed: loop.dice.next(), cursor: cursor)
        return chosen.map { usable[$0] }
    }

    /// A choice as an event tells it; the candidates as they were.
    func selection(_ chosen: Candidate, _ trace: TraceID, _ route: Route) -> LearnedSelection {
        LearnedSelection(
            service: cluster.service,
            selection: InstanceSelection(
                traceID: trace.bytes,
                candidates: view.candidates.prefix(Limits.selectionCandidates).map(\.description.id),
                chosen: chosen.description.id, strategy: route.rule.policy.strategy, asOf: view.asOf, seed: 0))
    }

    func sweep(at now: NIODeadline) {
        for pool in pools.values { pool.sweep(at: now) }
    }
}
