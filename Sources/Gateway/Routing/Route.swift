// Which service a request is for: by host, then by the longest path prefix.

package import EventModel
package import NIOSSL

/// How one service's requests are sent.
package struct RoutePolicy: Sendable, Hashable {
    package var strategy = SelectionStrategy.powerOfTwo
    /// From the request's head to the answer's, over all attempts.
    package var timeout = Nanoseconds.seconds(15)
    /// The same of one attempt.
    package var attemptTimeout = Nanoseconds.seconds(10)
    package var connectTimeout = Nanoseconds.seconds(1)
    /// Without a byte of the answer for so long it is cut.
    package var idleTimeout = Nanoseconds.seconds(60)
    /// Attempts on other instances after the first.
    package var retries: UInt32 = 2
    /// Connections of this gateway to one instance.
    package var connectionsPerInstance: UInt32 = 1_024
    /// Requests that wait for such a connection.
    package var waitingPerInstance: UInt32 = 128
    /// Where no instance of the own region is left: one region after the other, as `failover_candidates` orders them;
    /// else any.
    package var failsOverInOrder = true

    package init() {}
}

/// Speaking TLS to the instances of a service.
package struct UpstreamTLS: Sendable {
    package var context: NIOSSLContext
    /// The name that certificates must bear; nil: the endpoint's host.
    package var serverName: String?

    package init(context: NIOSSLContext, serverName: String?) {
        self.context = context
        self.serverName = serverName
    }
}

/// One route: requests that fit go to one service.
package struct RouteRule: Sendable {
    /// In lower case: a name, `*.suffix`, or empty for every host.
    package var host = ""
    /// By whole segments; `/` takes everything.
    package var path = "/"
    package var service: String
    /// Whether the service sees the path without the prefix.
    package var stripsPrefix = false
    /// The `Host` that the service sees; empty: the client's.
    package var hostRewrite = ""
    package var policy = RoutePolicy()
    package var tls: UpstreamTLS?
    /// Endpoints that stand in no registry; then the registry is not asked.
    package var endpoints: [String] = []

    package init(service: String) { self.service = service }
}

/// How connections to an instance are made: those of routes that want them alike are used in common, others never.
struct ConnectionPlan: Sendable, Equatable {
    private let tls: ObjectIdentifier?
    private let serverName: String?
    private let connectTimeout: Nanoseconds
    private let connections: UInt32
    private let waiting: UInt32

    init(_ rule: RouteRule) {
        tls = rule.tls.map { ObjectIdentifier($0.context) }
        serverName = rule.tls?.serverName
        connectTimeout = rule.policy.connectTimeout
        (connections, waiting) = (rule.policy.connectionsPerInstance, rule.policy.waitingPerInstance)
    }
}

/// A rule with what it needs at run time.
final class Route: Sendable {
    let rule: RouteRule
    let plan: ConnectionPlan
    let cluster: Cluster
    let strippedBytes: Int

    init(_ rule: RouteRule, _ cluster: Cluster) {
        self.rule = rule
        plan = ConnectionPlan(rule)
        self.cluster = cluster
        strippedBytes = rule.stripsPrefix && rule.path != "/" ? rule.path.utf8.count : 0
    }

    /// Whether a path lies below the prefix: equal, or further segments, or a query.
    func takes(path: String) -> Bool {
        let prefix = rule.path.utf8
        if prefix.count == 1 { return true }
        guard path.utf8.starts(with: prefix) else { return false }
        let next = path.utf8.dropFirst(prefix.count).first
        return next == nil || next == UInt8(ascii: "/") || next == UInt8(ascii: "?")
    }

    /// The target that the service sees.
    func target(for target: String) -> String {
        if strippedBytes == 0 { return target }
        let rest = target.utf8.dropFirst(strippedBytes)
        return rest.first == UInt8(ascii: "/") ? String(Substring(rest)) : "/" + String(Substring(rest))
    }
}

/// All routes of one reading of the file; never changed, only replaced.
final class RouteTable: Sendable {
    /// As in the file.
    let routes: [Route]
    private let byHost: [String: [Route]]
    /// `*.suffix`, the longest first, as `.suffix`.
    private let bySuffix: [(suffix: String, routes: [Route])]
    private let everywhere: [Route]

    init(_ routes: [Route]) {
        self.routes = routes
        var (exact, suffixes) = ([String: [Route]](), [String: [Route]]())
        var everywhere: [Route] = []
        for route in routes {
            let host = route.rule.host
            if host.isEmpty {
                everywhere.append(route)
            } else if host.hasPrefix("*.") {
                suffixes[String(host.dropFirst()), default: []].append(route)
            } else {
                exact[host, default: []].append(route)
            }
        }
        byHost = exact.mapValues(Self.ordered)
        bySuffix = suffixes.map { ($0.key, Self.ordered($0.value)) }.sorted {
            ($1.suffix.utf8.count, $0.suffix) < ($0.suffix.utf8.count, $1.suffix)
        }
        self.everywhere = Self.ordered(everywhere)
    }

    private static func ordered(_ routes: [Route]) -> [Route] {
        routes.sorted { $0.rule.path.utf8.count > $1.rule.path.utf8.count }
    }

    /// The route of a request; the most particular host that has a fitting path counts.
    ///
    /// - Parameter host: without a port.
    func route(host: String, path: String) -> Route? {
        if !byHost.isEmpty || !bySuffix.isEmpty {
            let name = host.lowercased()
            if let found = byHost[name]?.first(where: { $0.takes(path: path) }) { return found }
            for entry in bySuffix where name.hasSuffix(entry.suffix) && name.utf8.count > entry.suffix.utf8.count {
                if let found = entry.routes.first(where: { $0.takes(path: path) }) { return found }
            }
        }
        return everywhere.first { $0.takes(path: path) }
    }
}
