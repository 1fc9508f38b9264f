// A listener for one unary method of gRPC over HTTP/2: by prior knowledge, or agreed on in TLS.

import Listeners
import Logging
import NIOCore
import NIOHTTP2
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization

/// The server with the life of a service.
struct GRPCServer: Service {
    let method: GRPCMethod
    let configuration: ReceiverConfiguration
    /// Nil: without TLS.
    let tls: NIOSSLContext?
    /// Told the port.
    let onListening: @Sendable (Int) async -> Void

    /// Throws what TLS refuses.
    init(
        _ method: GRPCMethod, _ configuration: ReceiverConfiguration,
        onListening: @escaping @Sendable (Int) async -> Void
    ) throws {
        self.method = method
        self.configuration = configuration
        self.onListening = onListening
        tls = try configuration.tls?.context(protocols: ["h2"])
    }

    /// Listens until the service is asked to end; then calls that are under way end, within a limit. Where descriptors
    /// have run out, the bootstrap's own handler waits a second before it accepts again.
    func run() async throws {
        // Of the descriptors that the process may open this listener has its share, like those for HTTP.
        let maximum = min(configuration.limits.connections, configuration.bounds.connectionsMaximum)
        let connections = GRPCConnections(maximum: maximum)
        let (method, limits, tls) = (method, configuration.limits, tls)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try connections.admit(channel)
                    try Self.configure(channel, method, limits, tls)
                }
            }.bind(host: configuration.host, port: configuration.port).get()
        await onListening(listener.localAddress?.port ?? 0)
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                try await listener.closeFuture.get()
            } onGracefulShutdown: {
                listener.close(promise: nil)
            }
        } onCancel: {
            listener.close(promise: nil)
        }
        let isAsked = Task.isShuttingDownGracefully || Task.isCancelled
        await connections.end(within: limits.drainTimeout)
        guard isAsked else { throw ChannelError.alreadyClosed }
    }

    private static func configure(
        _ channel: any Channel, _ method: GRPCMethod, _ limits: ListenerLimits, _ tls: NIOSSLContext?
    ) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.streams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headerBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: GRPCConnection.streamWindow),
        ]
        // Frames of a stream that was refused are on their way still; a client may have all of its streams refused.
        connection.maximumRecentlyResetStreams = 4 * limits.streams
        // Go's clients send a PING for each answer (they measure the bandwidth): the handler's own limit of 200 in half
        // a minute would end their connections.
        connection.controlFrameRateLimit.maximumCount = 2_000
        connection.controlFrameRateLimit.windowLength = .seconds(1)
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        let calls = GRPCConnection(method, limits)
        try pipeline.addHandler(
            NIOHTTP2Handler(mode: .server, frameDelegate: calls, connectionConfiguration: connection))
        try pipeline.addHandler(calls)
    }
}

/// The connections of one listener: how many there may be, and their end.
final class GRPCConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isEnding = false
        var whenEmpty: CheckedContinuation<Void, Never>?
    }

    /// Nobody is let in any more.
    struct Full: Error {}

    private let maximum: Int
    private let state = Mutex(State())

    init(maximum: Int) { self.maximum = maximum }

    /// Counts a connection until it is closed. Throws `Full`, and the connection is closed.
    func admit(_ channel: any Channel) throws(Full) {
        let id = ObjectIdentifier(channel)
        let isAdmitted = state.withLock { state in
            if state.isEnding || state.channels.count >= maximum { return false }
            state.channels[id] = channel
            return true
        }
        guard isAdmitted else { throw Full() }
        channel.closeFuture.whenComplete { _ in self.remove(id) }
    }

    private func remove(_ id: ObjectIdentifier) {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.channels[id] = nil
            guard state.channels.isEmpty else { return nil }
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }
        waiting?.resume()
    }

    /// Tells all connections to end, waits for them, and closes what is left after `limit`.
    func end(within limit: Duration) async {
        let channels = state.withLock { state in
            state.isEnding = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        let late = Task {
            // A cancelled sleep means that there is nothing to close any more, or no time.
            try? await Task.sleep(for: limit)
            self.closeAll()
        }
        await withTaskCancellationHandler {
            await empty()
        } onCancel: {
            closeAll()
        }
        late.cancel()
    }

    private func empty() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if !state.channels.isEmpty { state.whenEmpty = continuation }
                return state.channels.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }

    private func closeAll() {
        let channels = state.withLock { Array($0.channels.values) }
        for channel in channels { channel.close(promise: nil) }
    }
}
