// Secrets among the tags of spans: replaced before anything leaves the process (Threats.md, A reader of captures).

package import EventModel

/// What a tag's name says of its value.
package enum SpanSecrets {
    package enum Kind: Sendable {
        /// Nothing.
        case plain
        /// It is a secret.
        case secret
        /// It is an address, whose query may hold secrets.
        case address
        /// It is the query of an address.
        case query
    }

    /// Lower-case names by length; `code` is a secret only where it is the whole name (`error.code` is none).
    private static let names: [[[UInt8]]] = {
        var table = [[[UInt8]]](repeating: [], count: 32)
        for name in SecretNames.headers + SecretNames.members { table[name.utf8.count].append(Array(name.utf8)) }
        return table
    }()

    private static let code = Array("code".utf8)
    private static let addresses = ["url.full", "http.url", "http.target"].map { Array($0.utf8) }
    private static let query = Array("url.query".utf8)

    /// Judges a tag by the last part of its name, without regard to case, `_` as good as `-`.
    ///
    /// - Parameter key: where the name lies.
    package static func kind(_ bytes: borrowing Span<UInt8>, _ key: Range<Int>) -> Kind {
        guard key.count >= 2, mayMatter(bytes[key.upperBound - 2], bytes[key.upperBound - 1]) else { return .plain }
        switch key.count {
        case 8, 11:
            for address in addresses where isSame(address, bytes, key) { return .address }
        case 9: if isSame(query, bytes, key) { return .query }
        default: break
        }
        let last = lastPart(bytes, key)
        guard last.count < names.count else { return .plain }
        for name in names[last.count] where isSame(name, bytes, last) {
            if name == code && last.count != key.count { continue }
            return .secret
        }
        return .plain
    }

    /// Whether a name that ends in these two may be one of those that are looked for; most names are passed over by it.
    @inline(__always)
    private static func mayMatter(_ first: UInt8, _ second: UInt8) -> Bool {
        ends & (1 << UInt64(end(first, second))) != 0
    }

    /// A bit for each end that a name of interest has.
    private static let ends: UInt64 = {
        let all = names.joined() + addresses + [query]
        return all.reduce(0) { $0 | 1 << UInt64(end($1[$1.count - 2], $1[$1.count - 1])) }
    }()

    @inline(__always)
    private static func end(_ first: UInt8, _ second: UInt8) -> UInt8 { (folded(first) &* 11 &+ folded(second)) & 63 }

    /// The same of a text.
    package static func kind(_ key: String) -> Kind {
        let bytes = Array(key.utf8)
        return kind(bytes.span, 0..<bytes.count)
    }

    private static func lastPart(_ bytes: borrowing Span<UInt8>, _ key: Range<Int>) -> Range<Int> {
        var start = key.upperBound
        while start > key.lowerBound, bytes[start - 1] != UInt8(ascii: ".") { start -= 1 }
        return start..<key.upperBound
    }

    private static func isSame(_ name: [UInt8], _ bytes: borrowing Span<UInt8>, _ key: Range<Int>) -> Bool {
        guard name.count == key.count else { return false }
        for index in name.indices where folded(bytes[key.lowerBound + index]) != folded(name[index]) { return false }
        return true
    }

    @inline(__always)
    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
        case UInt8(ascii: "_"): UInt8(ascii: "-")
        default: byte
        }
    }

    // MARK: Values

    /// A tag as it may leave the process.
    package static func redacted(_ tag: SpanTag) -> SpanTag {
        let kind = kind(tag.key)
        if kind == .secret { return SpanTag(tag.key, SecretNames.mark) }
        guard kind != .plain, case .string(let text) = tag.value else { return tag }
        return SpanTag(tag.key, kind == .query ? redacted(form: text[...]) : redacted(address: text))
    }

    /// An address without the values of its secret parameters and without a user's name and password.
    private static func redacted(address: String) -> String {
        let path = address.prefix { $0 != "?" && $0 != "#" }
        let rest = address[path.endIndex...]
        guard let mark = rest.first else { return withoutUser(path) }
        return withoutUser(path) + "\(mark)" + redacted(form: rest.dropFirst())
    }

    private static func withoutUser(_ path: Substring) -> String {
        guard let scheme = path.firstRange(of: "://") else { return String(path) }
        let rest = path[scheme.upperBound...]
        guard let at = rest.prefix(while: { $0 != "/" }).lastIndex(of: "@") else { return String(path) }
        return path[..<scheme.upperBound] + SecretNames.mark + rest[at...]
    }

    private static func redacted(form: Substring) -> String {
        form.split(separator: "&", omittingEmptySubsequences: false).map { pair in
            guard let equals = pair.firstIndex(of: "=") else { return String(pair) }
            let name = decoded(pair[..<equals])
            return SecretNames.members.contains(name) ? pair[...equals] + SecretNames.mark : String(pair)
        }.joined(separator: "&")
    }

    /// A parameter's name as its receiver reads it, in lower case.
    private static func decoded(_ name: Substring) -> String {
        var result: [UInt8] = []
        var bytes = Array(name.utf8)[...]
        while let byte = bytes.popFirst() {
            let digits = String(decoding: bytes.prefix(2), as: UTF8.self)
            guard byte == UInt8(ascii: "%"), digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else {
                result.append(byte)
                continue
            }
            result.append(value)
            bytes = bytes.dropFirst(2)
        }
        return String(decoding: result, as: UTF8.self).lowercased()
    }
}
