// A shadow's name is resolved once, its address judged, and that address used: no second answer can lead elsewhere.

import EventModel
import NIOCore
import NIOPosix
import Synchronization

/// Where a shadow is, after its name was resolved.
struct ShadowAddress: Sendable, Hashable {
    /// As it stands in a URL.
    var host: String
    var port: Int

    /// Without brackets.
    var plainHost: String { host.filter { $0 != "[" && $0 != "]" } }
}

/// Why a shadow is not sent to.
struct AddressRefusal: Error, Sendable, Hashable {
    var reason: String

    static let refused = AddressRefusal(reason: "address_refused")
    static let unresolved = AddressRefusal(reason: "unresolved")
    /// Too many names are waited for.
    static let busy = AddressRefusal(reason: "resolver_busy")
}

/// Resolves and judges.
///
/// The system's resolver blocks, and some names keep it for half a minute. So it has a few threads of its own, one
/// question about a name is asked at a time, and who asks waits no longer than it wants to.
final class ShadowResolver: Sendable {
    typealias Answer = @Sendable (Result<ShadowAddress, AddressRefusal>) -> Void

    static let shared = ShadowResolver { host, port in
        (try? SocketAddress.makeAddressResolvingHost(host, port: port))?.ipAddress
    }

    /// Names that are asked for at once.
    private static let threadCount = 4
    /// Names that are asked for or wait, and those who wait for one of them.
    private static let waitingMaximum = 256

    private let lookUp: @Sendable (String, Int) -> String?
    private let threads: NIOThreadPool
    private let waiting = Mutex<[String: [@Sendable (String?) -> Void]]>([:])

    /// - Parameter lookUp: the first address of a host, nil if there is none; may block.
    init(_ lookUp: @escaping @Sendable (String, Int) -> String?) {
        self.lookUp = lookUp
        threads = NIOThreadPool(numberOfThreads: Self.threadCount)
        threads.start()
    }

    deinit { threads.shutdownGracefully { _ in } }

    /// Finds the address of `host:port`; `answer` is called once, on any thread.
    func resolve(_ endpoint: String, allowLoopback: Bool, _ answer: @escaping Answer) {
        guard EndpointRule.acceptsPeer(endpoint, allowLoopback: allowLoopback), let colon = endpoint.lastIndex(of: ":"),
            let port = Int(endpoint[endpoint.index(after: colon)...])
        else { return answer(.failure(.refused)) }
        let host = endpoint[..<colon].filter { $0 != "[" && $0 != "]" }
        if IPAddress(host) != nil {
            return answer(.success(ShadowAddress(host: String(endpoint[..<colon]), port: port)))
        }
        let taken = wait(for: host, port) { text in
            answer(Self.judged(text, port, allowLoopback: allowLoopback))
        }
        if !taken { answer(.failure(.busy)) }
    }

    private static func judged(
        _ text: String?, _ port: Int, allowLoopback: Bool
    ) -> Result<ShadowAddress, AddressRefusal> {
        guard let text else { return .failure(.unresolved) }
        var literal = text.split(separator: "%", maxSplits: 1).first.map(String.init) ?? text
        if literal.contains(":") { literal = "[\(literal)]" }
        guard EndpointRule.acceptsPeer("\(literal):\(port)", allowLoopback: allowLoopback) else {
            return .failure(.refused)
        }
        return .success(ShadowAddress(host: literal, port: port))
    }

    /// False: too many wait.
    private func wait(for host: String, _ port: Int, _ then: @escaping @Sendable (String?) -> Void) -> Bool {
        let isFirst: Bool? = waiting.withLock { waiting in
            guard let others = waiting[host] else {
                if waiting.count >= Self.waitingMaximum { return nil }
                waiting[host] = [then]
                return true
            }
            if others.count >= Self.waitingMaximum { return nil }
            waiting[host, default: []].append(then)
            return false
        }
        guard let isFirst else { return false }
        if isFirst {
            threads.submit { _ in
                let address = self.lookUp(host, port)
                for waiter in self.waiting.withLock({ $0.removeValue(forKey: host) }) ?? [] { waiter(address) }
            }
        }
        return true
    }
}
