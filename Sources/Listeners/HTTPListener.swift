// One set-up of every listener for HTTP: what connections may cost, which hosts are answered for, which methods there are.

import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
package import ServiceLifecycle

/// What clients may cost a listener, and which hosts it answers for.
package struct ListenerBounds: Sendable {
    /// Hosts besides loopback, the address that is listened on, and the one by which a client came.
    package var hosts: [String] = []
    /// Pages of these origins may ask and send: `https://shop.example`, or `*` for every page.
    package var origins: [String] = []
    /// Further ones wait in the queue of the system.
    package var connectionsMaximum = 1_024
    /// A connection is closed when the head of a request is not there so long after the last answer, when nothing more of its
    /// body comes for so long, and, in twice the time, when nobody takes the answer. More than a minute: who asks every
    /// minute keeps the connection.
    package var idle = TimeAmount.seconds(90)

    package init() {}

    /// With what the process can open: a node has up to five listeners, and the log, NATS and the rest have a reserve.
    package init(hosts: [String], openFilesMaximum: Int) {
        self.hosts = hosts
        connectionsMaximum = min(2_048, max(32, (openFilesMaximum - 256) / 8))
    }
}

/// Makes listeners.
package enum HTTPListener {
    /// A listener as a service; `onListening` is told the port. Throws what TLS refuses.
    package static func service(
        _ router: Router<BasicRequestContext>, host: String, port: Int, tls: ListenerTLS? = nil,
        bounds: ListenerBounds = ListenerBounds(), logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        let responder = GuardedResponder(
            inner: router.buildResponder(), routes: ListenerRoutes(router.routes.map { ($0.path, $0.method) }),
            hosts: HostRule(bound: host, further: bounds.hosts), origins: CrossOriginRule(bounds.origins))
        return Application(
            responder: responder, server: try ListenerTLS.server(tls, idle: bounds.idle),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(bounds.connectionsMaximum)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) }, logger: logger)
    }
}

/// Which methods each path of a listener has.
struct ListenerRoutes: Sendable {
    private let routes: [(path: RouterPath, method: HTTPRequest.Method)]

    init(_ routes: [(RouterPath, HTTPRequest.Method)]) { self.routes = routes.map { (path: $0, method: $1) } }

    /// In alphabetical order; what can be got has a head too. Empty: there is no such path.
    func methods(of path: String) -> [HTTPRequest.Method] {
        let parts = path.split(separator: "/")
        var methods: Set<HTTPRequest.Method> = []
        for route in routes where route.path.count == parts.count {
            if zip(route.path, parts).allSatisfy({ $0 ~= $1 }) { methods.insert(route.method) }
        }
        if methods.contains(.get) { methods.insert(.head) }
        return methods.sorted { $0.rawValue < $1.rawValue }
    }
}
