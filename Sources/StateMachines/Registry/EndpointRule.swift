// Which endpoints a registry takes: where a compromised service must not send traffic (operations.md, Attackers).

/// Judges `host:port`.
package enum EndpointRule {
    /// Whether an endpoint has a host and a port and its address, if it is one, may be a service's.
    ///
    /// Refused are: unspecified, link-local (with the clouds' metadata address), multicast and broadcast, IPv4-mapped
    /// IPv6, and loopback unless it is allowed. A name is taken; whoever connects resolves it and judges the address.
    package static func accepts(_ endpoint: String, allowLoopback: Bool) -> Bool {
        guard let (host, port) = split(endpoint), let number = UInt16(port), number > 0 else { return false }
        if host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) { return false }
        if let address = IPv4(host) { return address.isService(allowLoopback: allowLoopback) }
        if host.contains(":") { return acceptsIPv6(host, allowLoopback: allowLoopback) }
        return acceptsName(host, allowLoopback: allowLoopback)
    }

    private static func split(_ endpoint: String) -> (host: String, port: String)? {
        guard let colon = endpoint.lastIndex(of: ":") else { return nil }
        var host = String(endpoint[..<colon])
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.contains(":") else { return nil }
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : (host, String(endpoint[endpoint.index(after: colon)...]))
    }

    private static func acceptsName(_ host: String, allowLoopback: Bool) -> Bool {
        let isName = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        // All digits and dots, but no dotted quad: the short and octal forms of addresses that resolvers still take.
        let looksLikeAddress = host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || ($0 >= 0x30 && $0 <= 0x39) }
        let isLoopback = host.lowercased() == "localhost" || host.lowercased().hasSuffix(".localhost")
        return isName && !looksLikeAddress && !host.lowercased().hasPrefix("0x") && (allowLoopback || !isLoopback)
    }

    private static func acceptsIPv6(_ host: String, allowLoopback: Bool) -> Bool {
        guard let groups = IPv6Groups.parse(host) else { return false }
        let first = groups[0]
        if groups.allSatisfy({ $0 == 0 }) { return false }
        if groups[0..<7].allSatisfy({ $0 == 0 }) && groups[7] == 1 { return allowLoopback }
        // ::/96 and ::ffff:0:0/96 carry IPv4 addresses; 64:ff9b::/96 translates to them.
        if groups[0..<5].allSatisfy({ $0 == 0 }) { return false }
        if first == 0x0064 && groups[1] == 0xFF9B { return false }
        let isLinkLocal = first & 0xFFC0 == 0xFE80
        let isMulticast = first & 0xFF00 == 0xFF00
        return !isLinkLocal && !isMulticast
    }
}

/// A dotted quad.
private struct IPv4 {
    let octets: [UInt8]

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var octets: [UInt8] = []
        for part in parts {
            let isPlain = part == "0" || !part.hasPrefix("0")
            guard isPlain, part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let octet = UInt8(part) else {
                return nil
            }
            octets.append(octet)
        }
        self.octets = octets
    }

    func isService(allowLoopback: Bool) -> Bool {
        switch octets[0] {
        case 0: false
        case 127: allowLoopback
        case 169: octets[1] != 254
        case 224...255: false
        default: true
        }
    }
}

/// The eight groups of an IPv6 address (RFC 4291, section 2.2), without zone and embedded IPv4 forms.
private enum IPv6Groups {
    static func parse(_ text: String) -> [UInt16]? {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        guard let head = groups(halves[0]) else { return nil }
        if halves.count == 1 { return head.count == 8 ? head : nil }
        guard let tail = groups(halves[1]), head.count + tail.count < 8 else { return nil }
        return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring) -> [UInt16]? {
        if text.isEmpty { return [] }
        var result: [UInt16] = []
        for part in text.split(separator: ":", omittingEmptySubsequences: false) {
            guard (1...4).contains(part.count), let group = UInt16(part, radix: 16), !part.hasPrefix("+") else {
                return nil
            }
            result.append(group)
        }
        return result
    }
}
