// Where the mirrors of one source may send to (operations.md, Attackers): what is not on the list is not allowed.

import EventModel

/// The allow-list of one source service.
package struct ShadowAllowList: Sendable, Hashable {
    /// As they were written: `host:port`, `*.suffix:port`, `a.b.c.d/bits:port`; the port may be `*`.
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
        case network(UInt32, mask: UInt32)
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
        } else if let slash = host.firstIndex(of: "/") {
            guard let address = Self.address(host[..<slash]), let bits = UInt32(host[host.index(after: slash)...]),
                bits <= 32
            else { return nil }
            let mask = bits == 0 ? 0 : UInt32.max << (32 - bits)
            self.host = .network(address & mask, mask: mask)
        } else {
            guard !host.contains("*") else { return nil }
            self.host = .name(host)
        }
    }

    func fits(_ host: String, _ port: String) -> Bool {
        guard self.port == "*" || self.port == port else { return false }
        return switch self.host {
        case .name(let name): host.utf8.elementsEqual(name.utf8)
        case .suffix(let suffix): Self.address(host[...]) == nil && host.hasSuffix(suffix) && host != suffix
        case .network(let network, let mask): Self.address(host[...]).map { $0 & mask == network } ?? false
        }
    }

    private static func address(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard part.utf8.allSatisfy({ $0 &- 0x30 < 10 }), let octet = UInt8(part) else { return nil }
            address = address << 8 | UInt32(octet)
        }
        return address
    }
}
