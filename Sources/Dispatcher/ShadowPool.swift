// The connections to shadows: those whose answer was whole are used again, for a while, and not too many are kept.

import NIOCore
import NIOPosix

/// Who waits for a connection; it hears one of the two, once.
protocol ShadowConnectionTaker: AnyObject {
    func take(_ connection: ShadowConnection)
    func noConnection()
}

/// The connections of one sender; all of it on one event loop.
final class ShadowPool {
    struct Limits: Sendable {
        /// Idle connections to one address.
        var perAddress = 32
        /// Idle connections to all.
        var total = 256
        /// Connections to one address that are made at once: a burst would overflow what a small server lets wait.
        var connecting = 4
        var idleTime = TimeAmount.seconds(30)
    }

    private struct Waiter {
        let taker: any ShadowConnectionTaker
        /// Whether only a new connection will do.
        let needsNew: Bool
        let deadline: NIODeadline
    }

    /// What concerns one address.
    private struct Place {
        var idle: [ShadowConnection] = []
        var waiting: [Waiter] = []
        var connectingCount = 0

        var isEmpty: Bool { idle.isEmpty && waiting.isEmpty && connectingCount == 0 }
    }

    let loop: any EventLoop
    private let limits: Limits
    private var places: [ShadowAddress: Place] = [:]
    private var idleCount = 0
    private var isClosed = false

    init(_ loop: any EventLoop, _ limits: Limits) {
        self.loop = loop
        self.limits = limits
    }

    /// Hands over a connection as soon as there is one: an idle one, one that another exchange gives back, a new one.
    func acquire(_ address: ShadowAddress, needsNew: Bool, deadline: NIODeadline, for taker: any ShadowConnectionTaker)
    {
        if isClosed { return taker.noConnection() }
        if !needsNew, let connection = popIdle(address) { return taker.take(connection) }
        places[address, default: Place()].waiting.append(
            Waiter(taker: taker, needsNew: needsNew, deadline: deadline))
        connectAsNeeded(address)
    }

    /// Who waited wants none any more.
    func withdraw(_ taker: any ShadowConnectionTaker, _ address: ShadowAddress) {
        places[address]?.waiting.removeAll { $0.taker === taker }
        tidy(address)
    }

    /// Takes back a connection whose answer was whole.
    func release(_ connection: ShadowConnection) {
        let address = connection.address
        if !isClosed, let next = places[address]?.waiting.firstIndex(where: { !$0.needsNew }),
            let waiter = places[address]?.waiting.remove(at: next)
        {
            return waiter.taker.take(connection)
        }
        keep(connection)
    }

    /// A connection is gone.
    func closed(_ connection: ShadowConnection) {
        connection.idleEnd?.cancel()
        let address = connection.address
        guard let index = places[address]?.idle.firstIndex(where: { $0 === connection }) else { return }
        places[address]?.idle.remove(at: index)
        idleCount -= 1
        tidy(address)
    }

    /// Closes what is idle, and from now on everything.
    func shutdown() {
        isClosed = true
        let connections = places.values.flatMap(\.idle)
        for address in Array(places.keys) { places[address]?.idle = [] }
        idleCount = 0
        for connection in connections {
            connection.idleEnd?.cancel()
            connection.close()
        }
    }

    // MARK: Idle ones

    /// An idle connection that is open as far as is known, the latest first.
    private func popIdle(_ address: ShadowAddress) -> ShadowConnection? {
        while let connection = places[address]?.idle.popLast() {
            idleCount -= 1
            connection.idleEnd?.cancel()
            tidy(address)
            if connection.isUsable { return connection }
            connection.close()
        }
        return nil
    }

    private func keep(_ connection: ShadowConnection) {
        let address = connection.address
        guard !isClosed, idleCount < limits.total, (places[address]?.idle.count ?? 0) < limits.perAddress else {
            return connection.close()
        }
        places[address, default: Place()].idle.append(connection)
        idleCount += 1
        connection.idleEnd = loop.assumeIsolated().scheduleTask(in: limits.idleTime) { connection.close() }
    }

    private func tidy(_ address: ShadowAddress) { if places[address]?.isEmpty == true { places[address] = nil } }

    // MARK: New ones

    private func connectAsNeeded(_ address: ShadowAddress) {
        while let place = places[address], place.connectingCount < min(limits.connecting, place.waiting.count) {
            places[address]?.connectingCount += 1
            connect(to: address, until: place.waiting[place.connectingCount].deadline)
        }
        tidy(address)
    }

    private func connect(to address: ShadowAddress, until deadline: NIODeadline) {
        guard let socket = try? SocketAddress(ipAddress: address.plainHost, port: address.port) else {
            return ended(address, .failure(ChannelError.unknownLocalAddress))
        }
        let future = ClientBootstrap(group: loop)
            // None in the past: NIO would wait for ever.
            .connectTimeout(max(deadline - .now(), .milliseconds(1)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ShadowConnection(address))
                }
            }
            .connect(to: socket)
        let pool = self
        future.assumeIsolated().whenComplete { pool.ended(address, $0) }
    }

    private func ended(_ address: ShadowAddress, _ result: Result<any Channel, any Error>) {
        places[address]?.connectingCount -= 1
        switch result {
        case .success(let channel):
            guard let connection = try? channel.pipeline.syncOperations.handler(type: ShadowConnection.self) else {
                channel.close(promise: nil)
                break
            }
            connection.pool = self
            if let waiter = popWaiter(address) { waiter.taker.take(connection) } else { keep(connection) }
        case .failure(let error):
            // Who waited for one that came too late has ended by its own deadline; the others have time left.
            if case .connectTimeout = error as? ChannelError { break }
            popWaiter(address)?.taker.noConnection()
        }
        connectAsNeeded(address)
    }

    /// Who needs a new one first: the others can also take what is given back.
    private func popWaiter(_ address: ShadowAddress) -> Waiter? {
        guard let waiting = places[address]?.waiting, !waiting.isEmpty else { return nil }
        return places[address]?.waiting.remove(at: waiting.firstIndex(where: \.needsNew) ?? 0)
    }
}
