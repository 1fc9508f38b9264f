// One service on one event loop: the view of its instances, a balancer, and connections.

import EventModel
import LatticeClient
import MeshRules
import NIOCore
import Synchronization

/// Chooses instances and keeps their connections.
final class LoopCluster {
    /// An instance for one attempt.
    struct Chosen {
        var target: Target
        var choice: Choice
    }

    let cluster: Cluster
    private unowned let loop: LoopContext
    private var view: ClusterView
    /// By target; of most there is one pool, since routes to a service are mostly alike.
    private var pools: [ObjectIdentifier: [UpstreamPool]] = [:]
    /// By what routes want of them.
    private var balancers: [BalancerKey: LocalBalancer] = [:]

    private struct BalancerKey: Hashable {
        var strategy: SelectionStrategy
        var staysInOrder: Bool
    }

    init(_ cluster: Cluster, _ loop: LoopContext) {
        self.cluster = cluster
        self.loop = loop
        view = cluster.view
    }

    var isBusy: Bool { pools.values.contains { $0.contains { $0.isBusy } } }

    /// From now on only connections by these plans are wanted.
    func keep(_ plans: [ConnectionPlan]) { retire { _, pool in !plans.contains(pool.plan) } }

    private func retire(where isUnwanted: (ObjectIdentifier, UpstreamPool) -> Bool) {
        for (id, known) in pools {
            for pool in known where isUnwanted(id, pool) { pool.retire() }
            let kept = known.filter { !isUnwanted(id, $0) || $0.isBusy }
            pools[id] = kept.isEmpty ? nil : kept
        }
    }

    /// The instances as they are now.
    private func currentView() -> ClusterView {
        if cluster.version.load(ordering: .acquiring) != view.version {
            view = cluster.view
            let present = Set(view.targets.values.map { ObjectIdentifier($0) })
            retire { id, _ in !present.contains(id) }
        }
        return view
    }

    func pool(_ target: Target, _ route: Route) -> UpstreamPool {
        if let known = pools[ObjectIdentifier(target)]?.first(where: { $0.plan == route.plan && !$0.isRetired }) {
            return known
        }
        let made = UpstreamPool(target, route: route, loop: loop)
        pools[ObjectIdentifier(target), default: []].append(made)
        return made
    }

    /// An instance that a request has not tried yet; nil: none is left.
    func choose(_ route: Route, excluding tried: [InstanceStanding], recordsCandidates: Bool) -> Chosen? {
        let view = currentView()
        guard let services = view.services else { return nil }
        let choice = balancer(route.rule.policy).choose(
            from: services, excluding: tried, recordsCandidates: recordsCandidates)
        guard let choice, let target = view.targets[choice.instance.standing] else { return nil }
        return Chosen(target: target, choice: choice)
    }

    private func balancer(_ policy: RoutePolicy) -> LocalBalancer {
        let key = BalancerKey(strategy: policy.strategy, staysInOrder: policy.failsOverInOrder)
        if let known = balancers[key] { return known }
        let settings = loop.shared.settings
        var options = LocalBalancer.Options()
        options.strategy = policy.strategy
        options.locality = Locality(region: settings.region, zone: settings.zone)
        options.regionFailover = policy.failsOverInOrder ? .inOrder : .anyRegion
        options.seed = loop.dice.next()
        let made = LocalBalancer(options)
        balancers[key] = made
        return made
    }

    func sweep(at now: NIODeadline) {
        for known in pools.values { for pool in known { pool.sweep(at: now) } }
    }
}
