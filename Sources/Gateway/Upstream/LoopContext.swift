// What one event loop of the gateway holds: everything a request needs, without locks.

import EventModel
import MeshRules
import NIOCore
import Synchronization

/// Something whose deadlines are looked at ten times a second, which costs less than a timer for each request.
protocol Watched: AnyObject {
    var watchIndex: Int { get set }
    func look(at now: NIODeadline)
}

/// One loop's own state. It never leaves its loop.
final class LoopContext {
    let loop: any EventLoop
    let shared: GatewayShared
    private(set) var routes: RouteTable
    private var routesVersion: UInt64
    private var clusters: [ObjectIdentifier: LoopCluster] = [:]
    private var watched: [any Watched] = []
    var dice: SplitMix64
    /// Requests in progress here.
    private(set) var requestCount = 0
    private(set) var connectionCount = 0
    let requestsMaximum: Int
    let connectionsMaximum: Int
    let mirrors: LoopMirrors
    /// Added to uptime it gives the time of day; read anew at each sweep.
    private var wallOffset: Int64
    private var forced = (second: UInt64(0), count: 0)
    private(set) var clients: [ObjectIdentifier: any Client] = [:]
    private(set) var isDraining = false

    init(loop: any EventLoop, shared: GatewayShared, seed: UInt64) {
        self.loop = loop
        self.shared = shared
        dice = SplitMix64(state: seed)
        let limits = shared.settings.limits
        requestsMaximum = max(1, limits.concurrentRequests / shared.settings.threadCount)
        connectionsMaximum = max(1, limits.connections / shared.settings.threadCount)
        (routes, routesVersion) = shared.currentRoutes()
        mirrors = LoopMirrors(shared.mirrors, shared.captures, shared.figures)
        wallOffset = shared.wallOffset()
    }

    /// The time of day at a moment of this loop.
    func time(_ moment: NIODeadline) -> Timestamp {
        Timestamp(nanoseconds: Int64(moment.uptimeNanoseconds) &+ wallOffset)
    }

    /// Whether one more trace may be sampled only because a client said so.
    func forceSample(at now: NIODeadline) -> Bool {
        let second = now.uptimeNanoseconds / 1_000_000_000
        if forced.second != second { forced = (second, 0) }
        let maximum = max(1, shared.settings.tracing.forcedPerSecond / shared.settings.threadCount)
        guard shared.settings.tracing.forcedPerSecond > 0, forced.count < maximum else { return false }
        forced.count += 1
        return true
    }

    /// The routes as they are now; a request keeps the one it began with.
    func route(host: String, path: String) -> Route? {
        if shared.routesVersion.load(ordering: .acquiring) != routesVersion {
            (routes, routesVersion) = shared.currentRoutes()
            let plans = Dictionary(grouping: routes.routes) { ObjectIdentifier($0.cluster) }.mapValues {
                $0.map(\.plan)
            }
            for (id, cluster) in clusters { cluster.keep(plans[id] ?? []) }
            clusters = clusters.filter { plans[$0.key] != nil || $0.value.isBusy }
        }
        return routes.route(host: host, path: path)
    }

    func cluster(_ cluster: Cluster) -> LoopCluster {
        if let known = clusters[ObjectIdentifier(cluster)] { return known }
        let made = LoopCluster(cluster, self)
        clusters[ObjectIdentifier(cluster)] = made
        return made
    }

    // MARK: Counting

    /// Takes one of the places for requests.
    func admitRequest() -> Bool {
        guard requestCount < requestsMaximum else { return false }
        requestCount += 1
        return true
    }

    func requestEnded() { requestCount -= 1 }

    /// Takes one of the places for connections, whatever they will speak, or whether they will say anything at all.
    func admitConnection() -> Bool {
        guard connectionCount < connectionsMaximum, !isDraining else { return false }
        connectionCount += 1
        return true
    }

    func connectionEnded() { connectionCount -= 1 }

    /// Who joins is told when the loop drains. False: it does already.
    func join(_ client: any Client) -> Bool {
        guard !isDraining else { return false }
        clients[ObjectIdentifier(client)] = client
        return true
    }

    func left(_ client: any Client) { clients.removeValue(forKey: ObjectIdentifier(client)) }

    /// Lets requests end, and each connection with its last one.
    func drain() {
        isDraining = true
        for client in Array(clients.values) { client.drain() }
    }

    // MARK: Deadlines

    func watch(_ new: any Watched) {
        new.watchIndex = watched.count
        watched.append(new)
    }

    func unwatch(_ old: any Watched) {
        let index = old.watchIndex
        guard index >= 0 else { return }
        old.watchIndex = -1
        let last = watched.removeLast()
        if index < watched.count {
            watched[index] = last
            last.watchIndex = index
        }
    }

    /// Looks at every deadline; who ends meanwhile leaves the list.
    func sweep() {
        let now = NIODeadline.now()
        wallOffset = shared.wallOffset()
        var index = watched.count - 1
        while index >= 0 {
            if index < watched.count { watched[index].look(at: now) }
            index -= 1
        }
        for cluster in clusters.values { cluster.sweep(at: now) }
    }
}

/// A connection of a client, as the loop ends it.
protocol Client: AnyObject {
    func drain()
}
