// What operators ask a gateway: whether it is well, what it knows, what it has learned. On a listener of its own.

import EventModel
import HTTPTypes
import Hummingbird
import LatticeClient
package import Listeners
package import Logging
import NIOCore
package import ServiceLifecycle
import Synchronization

/// Routes of the admin listener.
package struct GatewayAdminEndpoint: Sendable {
    private let gateway: Gateway
    private let mesh: MeshLink?
    private let metrics: @Sendable () -> String

    /// - Parameter metrics: every figure in Prometheus' text format.
    package init(_ gateway: Gateway, mesh: MeshLink?, metrics: @escaping @Sendable () -> String) {
        self.gateway = gateway
        self.mesh = mesh
        self.metrics = metrics
    }

    /// The listener; `onListening` is told the port.
    package func service(
        host: String, port: Int, bounds: ListenerBounds = ListenerBounds(), logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        try HTTPListener.service(
            router(), host: host, port: port, bounds: bounds, logger: logger, onListening: onListening)
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router(options: [.autoGenerateHeadEndpoints])
        router.get("/healthz") { _, _ in Self.answer("ok\n", type: "text/plain; charset=utf-8") }
        router.get("/readyz") { _, _ in
            let reasons = unreadiness
            return Self.answer(
                JSON.object([("ready", "\(reasons.isEmpty)"), ("reasons", JSON.list(reasons.map(JSON.text)))]),
                status: reasons.isEmpty ? .ok : .serviceUnavailable)
        }
        router.get("/metrics") { _, _ in
            gateway.writeGauges(mesh)
            return Self.answer(metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.get("/routes") { _, _ in Self.answer(routes) }
        router.get("/instances") { _, _ in Self.answer(instances) }
        router.get("/status") { _, _ in Self.answer(status) }
        return router
    }

    /// A gateway is ready as soon as each of its services has been heard of; stale is ready too.
    private var unreadiness: [String] {
        let unknown = gateway.shared.registryClusters.filter { $0.view.services == nil }.map {
            "nothing is known of \($0.service): \(mesh?.replica.freshness(of: $0.service).description ?? "no NATS")"
        }
        let isAway = mesh.map { !$0.connection.isConnected } ?? false
        return isAway && !unknown.isEmpty ? ["nats_not_connected"] + unknown : unknown
    }

    private var routes: String {
        JSON.list(
            gateway.shared.currentRoutes().0.routes.map { route in
                let rule = route.rule
                return JSON.object([
                    ("host", JSON.text(rule.host)), ("path", JSON.text(rule.path)),
                    ("service", JSON.text(rule.service)), ("strip_prefix", "\(rule.stripsPrefix)"),
                    ("strategy", JSON.text(rule.policy.strategy.name)), ("retries", "\(rule.policy.retries)"),
                    ("timeout_ms", "\(rule.policy.timeout.rawValue / 1_000_000)"), ("tls", "\(rule.tls != nil)"),
                ])
            })
    }

    private var instances: String {
        let clusters = gateway.shared.allClusters.sorted { $0.service < $1.service }
        return JSON.list(
            clusters.flatMap { cluster in cluster.view.services?.instances.map { one(cluster, $0) } ?? [] })
    }

    private func one(_ cluster: Cluster, _ instance: ServedInstance) -> String {
        let target = cluster.view.targets[instance.standing]
        return JSON.object([
            ("service", JSON.text(cluster.service)), ("instance_id", JSON.text(instance.id)),
            ("endpoint", JSON.text(instance.endpoint)), ("region", JSON.text(instance.region)),
            ("zone", JSON.text(instance.zone)), ("weight", "\(instance.weight)"),
            ("healthy", "\(instance.isHealthy)"), ("ejected", "\(instance.standing.isEjected)"),
            ("ejections", "\(target?.ejectionCount.load(ordering: .relaxed) ?? 0)"),
            ("consecutive_failures", "\(target?.failureCount.load(ordering: .relaxed) ?? 0)"),
            ("active_requests", "\(instance.standing.activeConnections)"),
            ("connections", "\(target?.connectionCount.load(ordering: .relaxed) ?? 0)"),
        ])
    }

    /// In one page: where the gateway's knowledge comes from, and how old it is.
    private var status: String {
        let services = gateway.shared.registryClusters.map { cluster in
            JSON.object([
                ("service", JSON.text(cluster.service)),
                ("freshness", JSON.text(mesh?.replica.freshness(of: cluster.service).description ?? "no NATS")),
            ])
        }
        return JSON.object([
            ("gateway", JSON.text(gateway.shared.settings.gatewayID)),
            ("nats", JSON.text(mesh.map { $0.connection.isConnected ? "connected" : "away" } ?? "none")),
            ("services", JSON.list(services)),
            ("mirrors", JSON.text(mesh?.mirrorsTrouble ?? "current")),
            ("spans", Self.figures(mesh?.spans.figures)), ("events", Self.figures(mesh?.events.figures)),
        ])
    }

    /// What has become of what was to be told.
    private static func figures(_ figures: PublisherFigures?) -> String {
        let figures = figures ?? PublisherFigures()
        return JSON.object([
            ("recorded", "\(figures.published)"), ("waiting", "\(figures.pending)"), ("refused", "\(figures.refused)"),
            ("lost", "\(figures.dropped + figures.failed + figures.invalid)"),
        ])
    }

    private static func answer(
        _ text: String, type: String = "application/json", status: HTTPResponse.Status = .ok
    ) -> Response {
        let isJSON = type == "application/json"
        return Response(
            status: status, headers: [.contentType: type],
            body: .init(byteBuffer: ByteBuffer(string: isJSON ? JSONVisible.escaped(text) : text)))
    }
}

/// Just enough JSON to be written.
private enum JSON {
    static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    static func list(_ elements: [String]) -> String { "[" + elements.joined(separator: ",") + "]" }

    static func text(_ value: String) -> String {
        var result = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
