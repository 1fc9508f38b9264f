// Connections of one event loop to one instance: idle ones are used again, new ones are made up to a bound.

import EventModel
import LatticeClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Why there is no connection.
enum ConnectFailure: Error {
    /// Refused, unreachable, a name without address, TLS that failed.
    case failed
    case timedOut
    /// The bound on connections, and the one on who waits, are reached.
    case overloaded
}

/// Who waits for a connection.
protocol ConnectionTaker: AnyObject {
    /// False: it is no longer wanted.
    func take(_ connection: UpstreamConnection) -> Bool
    func noConnection(_ failure: ConnectFailure)
}

/// The connections to one instance that are made by one plan.
final class UpstreamPool {
    let plan: ConnectionPlan
    private let target: Target
    private let policy: RoutePolicy
    private let tls: UpstreamTLS?
    private unowned let loop: LoopContext
    private var idle: [UpstreamConnection] = []
    private var waiting: [any ConnectionTaker] = []
    /// Open ones and those being made.
    private var openCount = 0
    private(set) var isRetired = false
    /// Idle for so long a connection is closed by us, before the other side does.
    private static let idleTime = TimeAmount.seconds(4)

    init(_ target: Target, route: Route, loop: LoopContext) {
        self.target = target
        plan = route.plan
        policy = route.rule.policy
        tls = route.rule.tls
        self.loop = loop
    }

    var isBusy: Bool { openCount > 0 }

    /// Hands over a connection, at once if one is idle.
    func acquire(for taker: any ConnectionTaker) {
        while let connection = idle.popLast() {
            if connection.isUsable {
                _ = taker.take(connection)
                return
            }
        }
        let maximum = max(1, Int(policy.connectionsPerInstance) / loop.shared.settings.threadCount)
        if openCount < maximum {
            connect(for: taker)
        } else if waiting.count < Int(policy.waitingPerInstance) {
            waiting.append(taker)
        } else {
            taker.noConnection(.overloaded)
        }
    }

    /// Takes back a connection whose exchange has ended well.
    func release(_ connection: UpstreamConnection) {
        guard !isRetired, connection.isUsable else { return connection.close() }
        while !waiting.isEmpty {
            if waiting.removeFirst().take(connection) { return }
        }
        connection.idleSince = .now()
        idle.append(connection)
    }

    /// A connection is gone; what waits may get a new one.
    func closed(_ connection: UpstreamConnection) {
        idle.removeAll { $0 === connection }
        ended()
    }

    private func ended() {
        openCount -= 1
        target.connectionCount.subtract(1, ordering: .relaxed)
        if !waiting.isEmpty { connect(for: waiting.removeFirst()) }
    }

    /// The instance is gone from the registry, or no route wants such connections: what is idle closes, what is busy ends.
    func retire() {
        isRetired = true
        for connection in idle { connection.close() }
    }

    func sweep(at now: NIODeadline) {
        guard let first = idle.first, first.idleSince + Self.idleTime < now else { return }
        for connection in idle where connection.idleSince + Self.idleTime < now { connection.close() }
    }

    // MARK: Connecting

    private func connect(for taker: any ConnectionTaker) {
        openCount += 1
        target.connectionCount.add(1, ordering: .relaxed)
        let (tls, host, port) = (self.tls, target.instance.host, target.instance.port)
        let bootstrap = ClientBootstrap(group: loop.loop)
            .connectTimeout(.nanoseconds(policy.connectTimeout.rawValue))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try UpstreamConnection.configure(channel, tls: tls, host: host)
                }
            }
        let address = try? SocketAddress(ipAddress: host, port: port)
        let future = address.map { bootstrap.connect(to: $0) } ?? bootstrap.connect(host: host, port: port)
        let pool = self
        future.assumeIsolated().whenComplete { result in pool.connected(result, taker) }
    }

    private func connected(_ result: Result<any Channel, any Error>, _ taker: any ConnectionTaker) {
        switch result {
        case .success(let channel):
            guard let connection = try? channel.pipeline.syncOperations.handler(type: UpstreamConnection.self) else {
                channel.close(promise: nil)
                ended()
                return taker.noConnection(.failed)
            }
            connection.pool = self
            if !taker.take(connection) { release(connection) }
        case .failure(let error):
            ended()
            var isTimeOut = false
            if case .connectTimeout = error as? ChannelError { isTimeOut = true }
            taker.noConnection(isTimeOut ? .timedOut : .failed)
        }
    }
}
