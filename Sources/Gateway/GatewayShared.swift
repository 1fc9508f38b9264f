// What the event loops of a gateway have in common: read without locks, replaced as a whole.

package import EventModel
import LatticeClient
import Logging
import MeshRules
import NIOCore
import Synchronization

/// A choice that is told to the registry.
package struct LearnedSelection: Sendable {
    package var service: String
    package var selection: InstanceSelection
}

/// Where what the gateway learns goes; bounded, and never waits.
package protocol LearningSink: Sendable {
    func selected(_ selection: LearnedSelection)
    func changed(_ change: HealthChange)
}

/// Settings, routes and sinks.
final class GatewayShared: Sendable {
    let settings: GatewaySettings
    let figures: GatewayFigures
    let outliers: OutlierDetection
    let spans: any SpanSink
    let captures: any CaptureSink
    let learned: any LearningSink
    let mirrors: MirrorBook
    let mark: ShadowMark?
    /// What stands in `Via` behind the version of HTTP in which a message came (RFC 9110, 7.6.3).
    static let name = "lattice"
    /// Of what came in HTTP/1.1: all answers do.
    let via = "1.1 \(name)"
    let routesVersion = Atomic<UInt64>(1)
    private let now: @Sendable () -> Timestamp
    private let state: Mutex<State>

    private struct State {
        var table: RouteTable
        var version: UInt64 = 1
        var clusters: [String: Cluster] = [:]
    }

    init(
        _ settings: GatewaySettings, _ sinks: GatewaySinks, outliers: OutlierSettings, rules: [RouteRule],
        now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.settings = settings
        self.now = now
        figures = GatewayFigures()
        (spans, captures, learned, mirrors) = (sinks.spans, sinks.captures, sinks.learned, sinks.mirrors)
        mark = ShadowMark(key: settings.markKey)
        let figures = figures
        let learned = learned
        self.outliers = OutlierDetection(outliers) { change in
            figures.healthChanged(change)
            learned.changed(change)
            Self.tell(change, logger)
        }
        var state = State(table: RouteTable([]))
        Self.take(rules, &state)
        self.state = Mutex(state)
    }

    /// An ejection lasts for half a minute at least, so this is said seldom.
    private static func tell(_ change: HealthChange, _ logger: Logger) {
        var metadata: Logger.Metadata = ["service": "\(change.service)", "instance": "\(change.instanceID)"]
        metadata["reason"] = "\(change.reason)"
        if change.isHealthy { return logger.notice("an instance is let in again", metadata: metadata) }
        metadata["failures"] = "\(change.failures)"
        logger.warning("an instance was ejected: it failed too often", metadata: metadata)
    }

    /// Nanoseconds from uptime to the time of day.
    func wallOffset() -> Int64 { now().rawValue &- Int64(NIODeadline.now().uptimeNanoseconds) }

    // MARK: Routes

    func currentRoutes() -> (RouteTable, UInt64) { state.withLock { ($0.table, $0.version) } }

    /// Puts new routes in the place of the old ones. What was learned of services that stay is kept.
    /// What was learned of the others ends.
    func replaceRoutes(_ rules: [RouteRule]) {
        let left = state.withLock { state in
            let old = state.clusters
            state.version += 1
            Self.take(rules, &state)
            routesVersion.store(state.version, ordering: .releasing)
            return old.filter { state.clusters[$0.key] == nil }.values
        }
        for cluster in left { outliers.retire(cluster, because: "no route leads to it") }
    }

    /// The gateway ends, and with it all that it has learned.
    func withdrawEjections() {
        for cluster in allClusters { outliers.retire(cluster, because: "the gateway ends") }
    }

    private static func take(_ rules: [RouteRule], _ state: inout State) {
        var clusters: [String: Cluster] = [:]
        var routes: [Route] = []
        for rule in rules {
            // A service of the registry and a list in the file are not the same instances.
            let key = rule.endpoints.isEmpty ? rule.service : "\(rule.service) \(rule.endpoints.joined(separator: " "))"
            let cluster = clusters[key] ?? state.clusters[key] ?? Cluster(service: rule.service)
            if cluster.view.services == nil, !rule.endpoints.isEmpty {
                cluster.update(.fixed(service: rule.service, endpoints: rule.endpoints))
            }
            clusters[key] = cluster
            routes.append(Route(rule, cluster))
        }
        state.clusters = clusters
        state.table = RouteTable(routes)
    }

    /// Services whose instances stand in the registry.
    var registryClusters: [Cluster] {
        state.withLock { state in
            var seen: Set<String> = []
            return state.table.routes.compactMap { route in
                route.rule.endpoints.isEmpty && seen.insert(route.rule.service).inserted ? route.cluster : nil
            }
        }
    }

    /// Some service was never heard of: its first requests would fail.
    var hasUnknownServices: Bool { registryClusters.contains { $0.view.services == nil } }

    /// Lets instances back in whose ejection is over.
    func sweepOutliers() {
        let now = NIODeadline.now()
        for cluster in allClusters { outliers.sweep(cluster, at: now) }
    }

    var allClusters: [Cluster] { state.withLock { Array($0.clusters.values) } }
}

/// Where everything goes that is not an answer to a client.
package struct GatewaySinks: Sendable {
    package var spans: any SpanSink
    package var captures: any CaptureSink
    package var learned: any LearningSink
    package var mirrors: MirrorBook

    package init(
        spans: any SpanSink, captures: any CaptureSink, learned: any LearningSink, mirrors: MirrorBook
    ) {
        self.spans = spans
        self.captures = captures
        self.learned = learned
        self.mirrors = mirrors
    }
}

extension GatewaySinks {
    /// Nobody listens: a gateway without a mesh.
    package static var none: GatewaySinks {
        let nobody = Nobody()
        return GatewaySinks(spans: nobody, captures: nobody, learned: nobody, mirrors: MirrorBook())
    }

    private struct Nobody: SpanSink, CaptureSink, LearningSink {
        func publish(_ span: TraceSpan) {}
        func take(_ pair: CapturedPair) -> Bool { false }
        func selected(_ selection: LearnedSelection) {}
        func changed(_ change: HealthChange) {}
    }
}
