// Which endpoints a registry takes: where a compromised service must not send traffic (operations.md, Attackers).

/// Judges `host:port`.
package enum EndpointRule {
    /// Whether an endpoint has a host and a port and its address, if it is one, may be a service's.
    ///
    /// Refused are: unspecified, link-local, the clouds' metadata addresses, multicast and broadcast, IPv6 forms that
    /// carry an IPv4 address (mapped, translated, 6to4), other spellings of IPv4, and loopback unless it is allowed. A name is taken; whoever connects resolves it and judges the address.
    package static func accepts(_ endpoint: String, allowLoopback: Bool) -> Bool {
        guard let (host, port) = split(endpoint), isNumber(port), let number = UInt16(port), number > 0
        else { return false }
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

    /// Digits and nothing else: the parser would take a sign.
    private static func isNumber(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
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
        let name = host.lowercased()
        let labels = name.split(separator: ".")
        // A name whose last label is a number is what resolvers still take as a short, octal or hexadecimal address
        // (WHATWG URL, section 3.5, "ends in a number").
        guard isName, let last = labels.last, !isNumber(last), !last.hasPrefix("0x") else { return false }
        return allowLoopback || last != "localhost"
    }

    private static func acceptsIPv6(_ host: String, allowLoopback: Bool) -> Bool {
        guard let groups = IPv6Groups.parse(host) else { return false }
        let first = groups[0]
        if groups.allSatisfy({ $0 == 0 }) { return false }
        if groups[0..<7].allSatisfy({ $0 == 0 }) && groups[7] == 1 { return allowLoopback }
        // ::/96 and ::ffff:0:0/96 carry IPv4 addresses; 64:ff9b::/96 translates to them.
        if groups[0..<5].allSatisfy({ $0 == 0 }) { return false }
        if first == 0x0064 && groups[1] == 0xFF9B { return false }
        // 6to4 carries an IPv4 address too; the last one is the metadata service of EC2.
        if first == 0x2002 || groups == [0xFD00, 0x0EC2, 0, 0, 0, 0, 0, 0x0254] { return false }
        let isLinkLocal = first & 0xFFC0 == 0xFE80
        let isMulticast = first & 0xFF00 == 0xFF00
        return !isLinkLocal && !isMulticast
    }
}

/// A dotted quad.
private struct IPv4 {
    /// Metadata services outside the link-local network: Alibaba, Azure, Oracle.
    private static let metadata: [[UInt8]] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]]

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
        if IPv4.metadata.contains(octets) { return false }
        return switch octets[0] {
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
            guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
            else {
                return nil
            }
            result.append(group)
        }
        return result
    }
}
