// Where the mirrors of one source may send to (Threats.md): what is not on the list is not allowed.

import EventModel

/// The allow-list of one source service.
package struct ShadowAllowList: Sendable, Hashable {
    /// As they were written: `host:port`, `*.suffix:port`, `a.b.c.d/bits:port`, `[a::b/bits]:port`; the port may be `*`.
    package let entries: [String]
    package let allowLoopback: Bool

    /// Nil where an entry is none of these forms.
    package init?(entries: [String], allowLoopback: Bool) {
        guard entries.allSatisfy({ ShadowRule($0) != nil }) else { return nil }
        self.entries = entries
        self.allowLoopback = allowLoopback
    }

    /// Nothing is allowed.
    package static let nothing = ShadowAllowList(unchecked: [])

    private init(unchecked: [String]) {
        entries = unchecked
        allowLoopback = false
    }

    /// Whether a mirror may send to its shadow, and to its second primary where it has one.
    func allows(_ mirror: MirrorConfiguration) -> Bool {
        allows(mirror.shadowEndpoint) && (mirror.baselineEndpoint.isEmpty || allows(mirror.baselineEndpoint))
    }

    /// Whether a shadow may be sent to: on the list, and an address that a service may have at all.
    ///
    /// A name is allowed as such; whoever connects resolves it once and judges the address.
    package func allows(_ endpoint: String) -> Bool {
        guard EndpointRule.accepts(endpoint, allowLoopback: allowLoopback), let (host, port) = Self.split(endpoint)
        else { return false }
        return entries.contains { ShadowRule($0)?.fits(host, port) == true }
    }

    fileprivate static func split(_ text: String) -> (host: String, port: String)? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let host = text[..<colon].lowercased()
        return host.isEmpty ? nil : (host, String(text[text.index(after: colon)...]))
    }
}

/// One entry.
private struct ShadowRule {
    private enum Host {
        case name(String)
        case suffix(String)
        case network(IPNetwork)
    }

    private let host: Host
    private let port: String

    init?(_ entry: String) {
        guard let (host, port) = ShadowAllowList.split(entry) else { return nil }
        guard port == "*" || UInt16(port).map({ $0 > 0 }) == true else { return nil }
        self.port = port
        if host.hasPrefix("*.") {
            guard host.utf8.count > 2, !host.dropFirst().contains("*") else { return nil }
            self.host = .suffix(String(host.dropFirst()))
        } else if host.contains("/") {
            guard let network = IPNetwork(Self.withoutBrackets(host)) else { return nil }
            self.host = .network(network)
        } else {
            guard !host.contains("*") else { return nil }
            self.host = .name(host)
        }
    }

    func fits(_ host: String, _ port: String) -> Bool {
        guard self.port == "*" || self.port == port else { return false }
        return switch self.host {
        case .name(let name): host.utf8.elementsEqual(name.utf8)
        case .suffix(let suffix): IPAddress(host) == nil && host.hasSuffix(suffix) && host != suffix
        case .network(let network): IPAddress(Self.withoutBrackets(host)).map(network.contains) ?? false
        }
    }

    /// An IPv6 address stands in brackets before a port.
    private static func withoutBrackets(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }
}
