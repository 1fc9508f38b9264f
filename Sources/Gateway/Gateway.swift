// The gateway as a whole: its loops, its listener, and their end.

package import EventModel
import LatticeClient
package import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A reverse proxy in front of the services of a mesh.
package final class Gateway: Sendable {
    let shared: GatewayShared
    private let group: MultiThreadedEventLoopGroup
    private let loops: [ObjectIdentifier: NIOLoopBound<LoopContext>]
    private let listener: any Channel
    private let logger: Logger
    private let isStopped = Atomic<Bool>(false)

    /// Begins to listen.
    ///
    /// - Throws: what the system or TLS say.
    package static func start(
        _ settings: GatewaySettings, routes: [RouteRule], outliers: OutlierSettings = OutlierSettings(),
        sinks: GatewaySinks, now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) async throws -> Gateway {
        var tls: NIOSSLContext?
        if var configuration = settings.tls {
            configuration.applicationProtocols = ["h2", "http/1.1"]
            tls = try NIOSSLContext(configuration: configuration)
        }
        let shared = GatewayShared(settings, sinks, outliers: outliers, rules: routes, now: now, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threadCount)
        var loops: [ObjectIdentifier: NIOLoopBound<LoopContext>] = [:]
        for loop in group.makeIterator() {
            let seed = UInt64.random(in: .min ... .max)
            loops[ObjectIdentifier(loop)] = try await loop.submit {
                let context = LoopContext(loop: loop, shared: shared, seed: seed)
                let bound = NIOLoopBound(context, eventLoop: loop)
                loop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
                    bound.value.sweep()
                }
                return bound
            }.get()
        }
        let known = loops
        let (context, host, port) = (tls, settings.host, settings.port)
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let loop = known[ObjectIdentifier(channel.eventLoop)] else { return }
                        try ClientPipeline.configure(channel, loop.value, tls: context)
                    }
                }.bind(host: host, port: port).get()
            return Gateway(shared, group, loops, listener, logger)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private init(
        _ shared: GatewayShared, _ group: MultiThreadedEventLoopGroup,
        _ loops: [ObjectIdentifier: NIOLoopBound<LoopContext>], _ listener: any Channel, _ logger: Logger
    ) {
        self.shared = shared
        self.group = group
        self.loops = loops
        self.listener = listener
        self.logger = logger
    }

    /// Where it listens.
    package var port: Int { listener.localAddress?.port ?? 0 }

    /// Puts new routes in the place of the old ones; requests in progress keep theirs.
    package func replaceRoutes(_ rules: [RouteRule]) { shared.replaceRoutes(rules) }

    /// From now on instances are taken out by these; who is out stays out for as long as was said.
    package func replaceOutliers(_ settings: OutlierSettings) { shared.outliers.settings = settings }

    /// Takes no more connections, lets requests end for at most `patience`, then closes; once.
    package func stop(patience: Duration) async {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        try? await listener.close().get()
        for bound in loops.values {
            try? await bound.eventLoop.submit { bound.value.drain() }.get()
        }
        let end = ContinuousClock.now.advanced(by: patience)
        while ContinuousClock.now < end, await connectionCount > 0 { try? await Task.sleep(for: .milliseconds(20)) }
        shared.withdrawEjections()
        try? await group.shutdownGracefully()
    }

    /// Connections of clients.
    package var connectionCount: Int {
        get async {
            var count = 0
            for bound in loops.values {
                count += (try? await bound.eventLoop.submit { bound.value.connectionCount }.get()) ?? 0
            }
            return count
        }
    }

    /// Brings the gauges up to date, before they are read.
    func writeGauges(_ mesh: MeshLink?) {
        let figures = shared.figures
        for cluster in shared.allClusters {
            figures.ejected(cluster.service, cluster.view.targets.values.count { $0.standing.isEjected })
        }
        guard let mesh else { return }
        for cluster in shared.registryClusters {
            figures.stale(cluster.service, !mesh.replica.freshness(of: cluster.service).isCurrent)
        }
        let (spans, events) = (mesh.spans.figures, mesh.events.figures)
        figures.dropped("spans", spans.dropped + spans.failed + spans.invalid)
        figures.dropped("events", events.dropped + events.failed + events.invalid)
    }
}
