// A shadow's name is resolved once, its address judged, and that address used: no second answer can lead elsewhere.

import Dispatch
import EventModel
import NIOCore

/// Where a shadow is, after its name was resolved.
struct ShadowAddress: Sendable, Hashable {
    /// As it stands in a URL.
    var host: String
    var port: Int
}

/// Why a shadow is not sent to.
struct AddressRefusal: Error, Sendable, Hashable {
    var reason: String
}

/// Resolves and judges.
enum ShadowResolver {
    private static let queue = DispatchQueue(label: "lattice.shadow.resolve", qos: .utility, attributes: .concurrent)

    /// The address of `host:port`.
    ///
    /// - Throws: `unresolved` or `address_refused`.
    static func resolve(_ endpoint: String, allowLoopback: Bool) async throws(AddressRefusal) -> ShadowAddress {
        guard EndpointRule.accepts(endpoint, allowLoopback: allowLoopback), let colon = endpoint.lastIndex(of: ":"),
            let port = Int(endpoint[endpoint.index(after: colon)...])
        else { throw AddressRefusal(reason: "address_refused") }
        let host = endpoint[..<colon].filter { $0 != "[" && $0 != "]" }
        let address: SocketAddress? = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: try? .makeAddressResolvingHost(host, port: port)) }
        }
        guard let address, let text = address.ipAddress else { throw AddressRefusal(reason: "unresolved") }
        var literal = text.split(separator: "%", maxSplits: 1).first.map(String.init) ?? text
        if literal.contains(":") { literal = "[\(literal)]" }
        guard EndpointRule.accepts("\(literal):\(port)", allowLoopback: allowLoopback) else {
            throw AddressRefusal(reason: "address_refused")
        }
        return ShadowAddress(host: literal, port: port)
    }
}
