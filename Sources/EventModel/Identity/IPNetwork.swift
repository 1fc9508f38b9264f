// Addresses and networks of the Internet Protocol, as the lists of permitted endpoints and shadows name them.

/// An address.
package enum IPAddress: Sendable, Hashable {
    case v4(UInt32)
    case v6(UInt128)

    /// Reads a dotted quad of decimal numbers without leading zeros, or the groups of RFC 4291, section 2.2, without
    /// zone and without an embedded dotted quad. Nil for anything else; brackets are not taken.
    package init?(_ text: some StringProtocol) {
        if let address = Self.version4(text) {
            self = .v4(address)
        } else if let address = Self.version6(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    private static func version4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            let isPlain = part == "0" || !part.hasPrefix("0")
            guard isPlain, part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let octet = UInt8(part) else {
                return nil
            }
            address = address << 8 | UInt32(octet)
        }
        return address
    }

    private static func version6(_ text: some StringProtocol) -> UInt128? {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard text.contains(":"), halves.count <= 2, let head = groups(halves[0]) else { return nil }
        var all = head
        if halves.count == 2 {
            guard let tail = groups(halves[1]), head.count + tail.count < 8 else { return nil }
            all += Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        }
        return all.count == 8 ? all.reduce(0) { $0 << 16 | UInt128($1) } : nil
    }

    private static func groups(_ text: some StringProtocol) -> [UInt16]? {
        if text.isEmpty { return [] }
        var result: [UInt16] = []
        for part in text.split(separator: ":", omittingEmptySubsequences: false) {
            guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
            else { return nil }
            result.append(group)
        }
        return result
    }

    /// Whether the host itself is meant.
    package var isLoopback: Bool {
        switch self {
        case .v4(let address): address >> 24 == 127
        case .v6(let address): address == 1
        }
    }
}

/// A network: an address and how many of its first bits count (RFC 4632; `10.0.0.0/8`, `fd00::/8`).
package struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    /// As it was written.
    package let description: String
    private let address: IPAddress
    private let bits: Int

    /// Nil where the text is no address, a slash and a number of bits. Bits of the address behind those that count are
    /// of no meaning. Without a slash the network is the one address.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let width = if case .v4 = address { 32 } else { 128 }
        var bits = width
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let number = Int(parts[1]), number <= width
            else { return nil }
            bits = number
        }
        description = text
        self.address = address
        self.bits = bits
    }

    /// Whether an address lies in the network; never one of the other version.
    package func contains(_ other: IPAddress) -> Bool {
        switch (address, other) {
        case (.v4(let left), .v4(let right)): bits == 0 || (left ^ right) >> (32 - bits) == 0
        case (.v6(let left), .v6(let right)): bits == 0 || (left ^ right) >> (128 - bits) == 0
        case (.v4, .v6), (.v6, .v4): false
        }
    }
}
