// What all faces share: who may send, how much at once, and what a body may be (operations.md, limits).

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

/// Bytes of requests under way, of all faces together; more is refused, so that memory stays flat under overload.
package final class ReceiverBudget: Sendable {
    private let limit: Int
    private let used = Mutex(0)

    /// - Parameter bytes: how much may be under way.
    package init(bytes: Int = 268_435_456) { limit = bytes }

    /// Runs the work if its bytes fit; nil if they do not.
    func spend<Value>(_ bytes: Int, _ work: () async -> Value) async -> Value? {
        let fits = used.withLock { used in
            if used + bytes > limit { return false }
            used += bytes
            return true
        }
        guard fits else { return nil }
        defer { used.withLock { $0 -= bytes } }
        return await work()
    }
}
