// Which hosts a listener answers for. A page of a stranger whose name is made to point at this machine (DNS rebinding) asks
// with its own name in `Host`; no browser lets it say another.

package import NIOCore

/// The names and addresses that a listener answers for.
package struct HostRule: Sendable {
    private let names: Set<String>
    /// Ends of names, each with its leading dot.
    private let domains: [String]
    /// What operators allowed besides; pages of these hosts may write too.
    private let further: Set<String>

    /// - Parameters:
    ///   - bound: what the listener was told to listen on.
    ///   - further: more names; one that begins with a dot stands for every name below it.
    package init(bound: String, further: [String] = []) {
        let further = further.map { Self.plain($0.lowercased()) }
        domains = further.filter { $0.hasPrefix(".") }
        self.further = Set(further)
        names = self.further.union(["localhost", Self.plain(bound.lowercased())])
    }

    /// Whether a text can be one of the further names.
    package static func isName(_ text: String) -> Bool {
        let name = text.hasPrefix(".") ? String(text.dropFirst()) : text
        if let address = Authority.address(name) { return !address.isEmpty && !text.hasPrefix(".") }
        guard let authority = Authority(name) else { return false }
        return authority.port == nil && !name.contains(":")
    }

    /// What is to be said about a request's `Host`.
    package enum Verdict: Sendable, Hashable {
        case served
        /// None, several, or no host (RFC 9112, section 3.2).
        case malformed
        case foreign(String)
    }

    /// Judges a `Host`.
    ///
    /// - Parameter local: the address by which the client reached us.
    package func judge(_ host: String?, local: SocketAddress?) -> Verdict {
        guard let host, let authority = Authority(host) else { return .malformed }
        return serves(authority.host, local: local) ? .served : .foreign(authority.host)
    }

    /// Whether a page of this origin may change something: it comes from the host that it asks, or from one that operators
    /// allowed.
    package func admits(origin: String, host: String?) -> Bool {
        guard let separator = origin.firstRange(of: "://"),
            let page = Authority(String(origin[separator.upperBound...])), let asked = host.flatMap({ Authority($0) })
        else { return false }
        let standard: UInt16? =
            switch origin[..<separator.lowerBound].lowercased() {
            case "http": 80
            case "https": 443
            default: nil
            }
        guard let standard else { return false }
        if page.host == asked.host, (page.port ?? standard) == (asked.port ?? standard) { return true }
        return isAllowed(page.host)
    }

    private func serves(_ host: String, local: SocketAddress?) -> Bool {
        if names.contains(host) || isAllowed(host) || host.hasSuffix(".localhost") || Authority.isLoopback(host) {
            return true
        }
        return local?.ipAddress.map { Self.plain($0.lowercased()) } == host
    }

    private func isAllowed(_ host: String) -> Bool {
        further.contains(host) || domains.contains { host.hasSuffix($0) && host.utf8.count > $0.utf8.count }
    }

    /// An address in the one form in which addresses are compared; a name as it is.
    private static func plain(_ text: String) -> String { Authority.address(text) ?? Authority.withoutRootDot(text) }
}

/// A host with perhaps a port, as in `Host` (RFC 3986, section 3.2).
struct Authority: Sendable, Hashable {
    /// In lower case; an address in its one form, without brackets.
    let host: String
    let port: UInt16?

    /// Nil where the text is no host: empty, with a user's name, with characters that no host has.
    init?(_ text: String) {
        guard text.utf8.count <= 512 else { return nil }
        let end: String.Index
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            let inner = String(text[text.index(after: text.startIndex)..<bracket])
            guard inner.contains(":"), let address = Self.address(inner) else { return nil }
            host = address
            end = text.index(after: bracket)
        } else {
            end = text.firstIndex(of: ":") ?? text.endIndex
            guard end != text.startIndex, text[..<end].utf8.allSatisfy(Self.isPartOfName) else { return nil }
            let name = text[..<end].lowercased()
            host = Self.address(name) ?? Self.withoutRootDot(name)
            guard !host.isEmpty else { return nil }
        }
        let rest = text[end...]
        guard !rest.isEmpty else {
            port = nil
            return
        }
        let digits = rest.dropFirst()
        guard rest.hasPrefix(":"), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        // An empty port is the scheme's own.
        guard digits.isEmpty || UInt16(digits) != nil else { return nil }
        port = UInt16(digits)
    }

    /// An address of IPv4 or IPv6 in one form; IPv4 within IPv6 is IPv4. Nil where it is a name.
    static func address(_ text: String) -> String? {
        guard let address = try? SocketAddress(ipAddress: text, port: 0), let plain = address.ipAddress else {
            return nil
        }
        let mapped = "::ffff:"
        if plain.hasPrefix(mapped), plain.contains(".") { return String(plain.dropFirst(mapped.count)) }
        return plain
    }

    static func isLoopback(_ host: String) -> Bool {
        if host == "::1" { return true }
        return host.hasPrefix("127.") && address(host) == host
    }

    /// `localhost.` is `localhost`.
    static func withoutRootDot(_ name: String) -> String { name.hasSuffix(".") ? String(name.dropLast()) : name }

    /// Letters, digits, and what RFC 3986 lets a registered name have.
    private static func isPartOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~%!$&'()*+,;=".utf8.contains(byte)
        }
    }
}
