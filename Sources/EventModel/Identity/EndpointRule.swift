// Which endpoints a registry takes: where a compromised service must not send traffic (Threats.md).

/// Judges `host:port`.
package enum EndpointRule {
    /// What a registry makes of an endpoint.
    package enum Verdict: Sendable, Hashable {
        case accepted
        /// No `host:port`, or an address that is never a service's.
        case invalid
        /// An address in none of the configured networks.
        case outsideNetworks
    }

    /// Whether an endpoint has a host and a port and its address, if it is one, may be a service's.
    ///
    /// Refused are: unspecified, link-local, the clouds' metadata addresses, multicast and broadcast, IPv6 forms that
    /// carry an IPv4 address (mapped, translated, 6to4), other spellings of IPv4, and loopback unless it is allowed. A
    /// name is taken; whoever connects resolves it and judges the address.
    package static func accepts(_ endpoint: String, allowLoopback: Bool) -> Bool {
        judge(endpoint, networks: [], allowLoopback: allowLoopback) == .accepted
    }

    /// Whether this process may connect there now.
    ///
    /// Stricter than ``accepts(_:allowLoopback:)``, which folds over the log ask and which must mean for ever what it
    /// meant when an event was recorded: besides all that it refuses, AWS' and GCP's metadata networks over IPv6,
    /// site-local addresses, and the remaining forms of IPv6 that carry an IPv4 address: Teredo, IPv4-translated,
    /// ISATAP. Who connects asks this about the endpoint, and again about the address that its name resolved to.
    package static func acceptsPeer(_ endpoint: String, allowLoopback: Bool) -> Bool {
        guard accepts(endpoint, allowLoopback: allowLoopback), let (host, _) = split(endpoint) else { return false }
        return IPAddress(host).map { $0.isLoopback || $0.isPeer } ?? true
    }

    /// The same, and the address must lie in one of the networks, if there are any. Loopback, where it is allowed, need
    /// not; a name is taken, and whoever resolves it asks again with the address.
    package static func judge(_ endpoint: String, networks: [IPNetwork], allowLoopback: Bool) -> Verdict {
        guard let (host, port) = split(endpoint), isNumber(port), let number = UInt16(port), number > 0,
            !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F })
        else { return .invalid }
        guard let address = IPAddress(host) else {
            return !host.contains(":") && acceptsName(host, allowLoopback: allowLoopback) ? .accepted : .invalid
        }
        if address.isLoopback { return allowLoopback ? .accepted : .invalid }
        if !address.isService { return .invalid }
        let isInside = networks.isEmpty || networks.contains { $0.contains(address) }
        return isInside ? .accepted : .outsideNetworks
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
}

extension IPAddress {
    /// Metadata services outside the link-local network: Alibaba, Azure, Oracle; of EC2 over IPv6.
    private static let metadata: Set<IPAddress> = [
        .v4(0x6464_64C8), .v4(0xA83F_8110), .v4(0xC000_00C0), .v6(0xFD00_0EC2_0000_0000_0000_0000_0000_0254),
    ]

    /// Whether the address may be a service's at all; loopback is not asked about here.
    fileprivate var isService: Bool {
        if Self.metadata.contains(self) { return false }
        switch self {
        case .v4(let address):
            // Unspecified, link-local, multicast and above.
            return address >> 24 != 0 && address >> 16 != 0xA9FE && address >> 24 < 224
        case .v6(let address):
            let first = UInt16(truncatingIfNeeded: address >> 112)
            // ::/96 and ::ffff:0:0/96 carry IPv4 addresses, so do 64:ff9b::/32, which translates, and 6to4.
            let carriesIPv4 = address >> 48 == 0 || address >> 96 == 0x0064_FF9B || first == 0x2002
            let isLinkLocal = first & 0xFFC0 == 0xFE80
            let isMulticast = first & 0xFF00 == 0xFF00
            return !carriesIPv4 && !isLinkLocal && !isMulticast
        }
    }

    /// Whether the address may be connected to, beyond `isService`.
    fileprivate var isPeer: Bool {
        guard case .v6(let address) = self else { return true }
        // AWS' local services and GCP's metadata server; site-local (RFC 3879), routed by nobody but this host's network.
        let isCloud = address >> 96 == 0xFD00_0EC2 || address == 0xFD20_00CE_0000_0000_0000_0000_0000_0254
        let isSiteLocal = address >> 118 == 0xFEC0 >> 6
        // Teredo (RFC 4380), ::ffff:0:a.b.c.d (RFC 2765), and ISATAP's interface identifiers (RFC 5214).
        let identifier = UInt32(truncatingIfNeeded: address >> 32)
        let carriesIPv4 =
            address >> 96 == 0x2001_0000 || address >> 64 == 0 || identifier & ~0x0200_0000 == 0x0000_5EFE
        return !isCloud && !isSiteLocal && !carriesIPv4
    }
}
