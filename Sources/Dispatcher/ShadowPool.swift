// The connections to shadows: those whose answer was whole are used again, for a while, and not too many are kept.

import NIOCore
import NIOPosix

/// The connections of one sender; all of it on one event loop.
final class ShadowPool {
    struct Limits: Sendable {
        /// Idle connections to one address.
        var perAddress = 32
        /// Idle connections to all.
        var total = 256
        var idleTime = TimeAmount.seconds(30)
    }

    let loop: any EventLoop
    private let limits: Limits
    private var idle: [ShadowAddress: [ShadowConnection]] = [:]
    private var idleCount = 0
    private var isClosed = false

    init(_ loop: any EventLoop, _ limits: Limits) {
        self.loop = loop
        self.limits = limits
    }

    /// An idle connection that is open as far as is known, the latest first.
    func take(_ address: ShadowAddress) -> ShadowConnection? {
        while let connection = idle[address]?.popLast() {
            idleCount -= 1
            if idle[address]?.isEmpty == true { idle[address] = nil }
            connection.idleEnd?.cancel()
            if connection.isUsable { return connection }
            connection.close()
        }
        return nil
    }

    /// Takes back a connection whose answer was whole.
    func release(_ connection: ShadowConnection) {
        guard !isClosed, idleCount < limits.total,
            idle[connection.address, default: []].count < limits.perAddress
        else { return connection.close() }
        idle[connection.address, default: []].append(connection)
        idleCount += 1
        connection.idleEnd = loop.assumeIsolated().scheduleTask(in: limits.idleTime) { connection.close() }
    }

    /// A connection is gone.
    func closed(_ connection: ShadowConnection) {
        connection.idleEnd?.cancel()
        guard let place = idle[connection.address]?.firstIndex(where: { $0 === connection }) else { return }
        idle[connection.address]?.remove(at: place)
        idleCount -= 1
        if idle[connection.address]?.isEmpty == true { idle[connection.address] = nil }
    }

    /// Makes a new connection; `done` gets nil where there is none.
    func connect(to address: ShadowAddress, within time: TimeAmount, done: @escaping (ShadowConnection?) -> Void) {
        guard !isClosed, let socket = try? SocketAddress(ipAddress: address.plainHost, port: address.port) else {
            return done(nil)
        }
        let future = ClientBootstrap(group: loop)
            .connectTimeout(time)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ShadowConnection(address))
                }
            }
            .connect(to: socket)
        let pool = self
        future.assumeIsolated().whenComplete { result in
            guard let channel = try? result.get(),
                let connection = try? channel.pipeline.syncOperations.handler(type: ShadowConnection.self)
            else { return done(nil) }
            connection.pool = pool
            if pool.isClosed { connection.close() }
            done(connection)
        }
    }

    /// Closes what is idle, and from now on everything.
    func shutdown() {
        isClosed = true
        let connections = idle.values.flatMap(\.self)
        idle = [:]
        idleCount = 0
        for connection in connections {
            connection.idleEnd?.cancel()
            connection.close()
        }
    }
}
