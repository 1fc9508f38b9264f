// What all receivers share: who may send, how much at once, and what a body may be (Limits.md, Listeners).

package import Listeners
import Messaging
import Synchronization

/// What a receiver is told.
package struct ReceiverConfiguration: Sendable {
    /// A name or an address.
    package var host: String
    /// 0: any free one.
    package var port: Int
    /// Who sends has to show it; nil: everybody who can connect may send.
    package var token: BearerToken?
    /// Nil: the listener speaks without TLS.
    package var tls: ListenerTLS?
    /// Of the listeners for HTTP.
    package var bounds: ListenerBounds
    /// Of the listener for gRPC.
    package var limits = ListenerLimits()

    package init(
        host: String, port: Int, token: String? = nil, tls: ListenerTLS? = nil,
        bounds: ListenerBounds = ListenerBounds()
    ) {
        self.host = host
        self.port = port
        self.token = token.map { BearerToken($0) }
        self.tls = tls
        self.bounds = bounds
    }

    /// Whether an `Authorization` is good enough.
    func admits(_ authorization: String?) -> Bool { token?.admits(authorization) ?? true }
}

/// Limits of one request.
package enum ReceiverLimits {
    /// As it comes.
    package static let bodyBytes = 4_194_304
    /// Unpacked.
    package static let inflatedBytes = 20_971_520
    /// Unpacked to packed.
    package static let ratio = 100
}

/// What the connections of one listener may cost; of gRPC, unless said otherwise.
package struct ListenerLimits: Sendable, Hashable {
    /// At once; beyond them they are closed.
    package var connections = 1_024
    /// Calls of one connection at once.
    package var streams = 256
    /// Bytes of a request's header fields.
    package var headerBytes = 16_384
    /// Bytes of messages under way, of one connection: no connection has all of the budget.
    package var connectionBytes = 67_108_864
    /// From connecting to the peer's settings, TLS included.
    package var handshakeTimeout = Duration.seconds(10)
    /// A connection without a call for so long is told to go.
    package var idleTimeout = Duration.seconds(120)
    /// From the header fields of a call to the end of its message.
    package var bodyTimeout = Duration.seconds(30)
    /// For so long a peer may take nothing of what it is answered.
    package var answerTimeout = Duration.seconds(30)
    /// For so long calls may go on while the listener ends.
    package var drainTimeout = Duration.seconds(10)
    /// From telling a peer to go to taking no more calls of it, unless it says before that it heard.
    package var farewellTimeout = Duration.seconds(1)

    package init() {}

    /// How often a connection is looked at.
    var watchInterval: Duration {
        let shortest = min(handshakeTimeout, idleTimeout, bodyTimeout, min(answerTimeout, farewellTimeout))
        return max(.milliseconds(10), shortest / 2)
    }
}

/// Bytes of requests under way, of all endpoints together; more is refused, so that memory stays flat under overload.
package final class ReceiverBudget: Sendable {
    private let limit: Int
    private let used = Mutex(0)

    /// - Parameter bytes: how much may be under way.
    package init(bytes: Int = 268_435_456) { limit = bytes }

    /// Bytes under way.
    var usedBytes: Int { used.withLock { $0 } }

    /// Takes bytes, to be given back with ``release(_:)``; false where they do not fit.
    func reserve(_ bytes: Int) -> Bool {
        used.withLock { used in
            if used + bytes > limit { return false }
            used += bytes
            return true
        }
    }

    func release(_ bytes: Int) {
        if bytes != 0 { used.withLock { $0 -= bytes } }
    }

    /// Runs the work if its bytes fit; nil if they do not.
    func spend<Value>(_ bytes: Int, _ work: () async -> Value) async -> Value? {
        guard reserve(bytes) else { return nil }
        defer { release(bytes) }
        return await work()
    }
}
