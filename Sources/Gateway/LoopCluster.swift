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
    private var pools: [ObjectIdentifier: UpstreamPool] = [:]
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

    var isBusy: Bool { pools.values.contains { $0.isBusy } }

    /// The instances as they are now.
    private func currentView() -> ClusterView {
        if cluster.version.load(ordering: .acquiring) != view.version {
            view = cluster.view
            let present = Set(view.targets.values.map { ObjectIdentifier($0) })
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
        for pool in pools.values { pool.sweep(at: now) }
    }
}
