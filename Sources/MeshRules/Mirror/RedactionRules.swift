// What never leaves the process with a capture: secret headers, query parameters and JSON members.
// Source of the standard lists: Threats.md, A reader of captures.

package import EventModel

/// Takes secrets out of requests and responses before they become events.
package struct RedactionRules: Sendable, Hashable {
    /// What stands in a secret's place.
    package static let mark = SecretNames.mark

    package static let standardHeaders: [String] = SecretNames.headers

    package static let standardMembers: [String] = SecretNames.members

    /// Headers whose values are kept; all others are left out.
    package static let standardKept: [String] = [
        "accept", "accept-encoding", "accept-language", "cache-control", "content-encoding", "content-language",
        "content-length", "content-type", "etag", "host", "if-match", "if-modified-since", "if-none-match", "location",
        "range", "retry-after", "traceparent", "tracestate", "user-agent", "vary", "x-request-id",
    ]

    package static let standard = RedactionRules()

    private var keptHeaders: Set<String>
    private var secretHeaders: Set<String>
    private var members: NameSet
    private var places: PathPatterns
    private var parameters: Set<String>

    private init() {
        keptHeaders = Set(Self.standardKept)
        secretHeaders = Set(Self.standardHeaders)
        members = NameSet(Self.standardMembers)
        places = PathPatterns()
        parameters = Set(Self.standardMembers)
    }

    /// The standard rules and what is configured beyond them; a secret header is never kept.
    ///
    /// - Parameter secretMembers: names of members and of query parameters, or JSON Pointers with `*`.
    /// - Throws: the first rule that cannot be one.
    package init(
        keptHeaders: [String] = [], secretHeaders: [String] = [], secretMembers: [String] = []
    ) throws(InvalidField) {
        self.init()
        let names = secretMembers.filter { $0.utf8.first != UInt8(ascii: "/") }
        guard let places = PathPatterns(secretMembers.filter { $0.utf8.first == UInt8(ascii: "/") }) else {
            throw InvalidField("secret_members", "not JSON Pointers, or more than \(PathPatterns.countMaximum)")
        }
        self.places = places
        self.keptHeaders.formUnion(keptHeaders.map { $0.lowercased() })
        self.secretHeaders.formUnion(secretHeaders.map { $0.lowercased() })
        members = NameSet(Self.standardMembers + names)
        parameters.formUnion(names.map { $0.lowercased() })
    }

    /// Whether a header's value is a secret.
    package func isSecret(header name: String) -> Bool { secretHeaders.contains(name.lowercased()) }

    /// The headers that may leave the process, in order; a secret one keeps its name and loses its value.
    package func redact(headers: [HeaderField]) -> [HeaderField] {
        headers.compactMap { field in
            let name = field.name.lowercased()
            if secretHeaders.contains(name) { return HeaderField(name: field.name, value: Self.mark) }
            if name == "location" { return HeaderField(name: field.name, value: redact(target: field.value)) }
            return keptHeaders.contains(name) ? field : nil
        }
    }

    /// A request's target without the values of its secret parameters and without a user's name and password.
    package func redact(target: String) -> String {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = Self.withoutUser(String(parts[0]))
        return parts.count == 1 ? path : "\(path)?\(redact(form: String(parts[1])))"
    }

    private static func withoutUser(_ path: String) -> String {
        guard let scheme = path.firstRange(of: "://") else { return path }
        let rest = path[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" }
        guard let at = authority.lastIndex(of: "@") else { return path }
        return path[..<scheme.upperBound] + mark + rest[at...]
    }

    /// `name=value` pairs without the values of the secret ones.
    func redact(form: String) -> String {
        form.split(separator: "&", omittingEmptySubsequences: false).map { pair in
            guard let equals = pair.firstIndex(of: "=") else { return String(pair) }
            let name = Self.decodedName(pair[..<equals])
            return parameters.contains(name) ? pair[...equals] + Self.mark : String(pair)
        }.joined(separator: "&")
    }

    /// A parameter's name as the receiver reads it, in lower case.
    private static func decodedName(_ name: Substring) -> String {
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

    /// What became of a body.
    package enum RedactedBody: Sendable, Hashable {
        /// As it was, or with marks in the secrets' places.
        case kept([UInt8])
        /// It claims to be JSON and is not, or is too large to be looked through: nothing of it may leave.
        case withheld
    }

    /// A whole body, before it is cut, without the values of its secret members (JSON) or parameters (forms).
    ///
    /// - Complexity: linear; bodies above `bytesMaximum` are withheld if they have to be looked through.
    package func redact(body: [UInt8], headers: [HeaderField], bytesMaximum: Int = 4_194_304) -> RedactedBody {
        if body.isEmpty { return .kept(body) }
        let type = headers.first { $0.name.lowercased() == "content-type" }?.value.lowercased() ?? ""
        if type.hasPrefix("application/x-www-form-urlencoded") {
            return body.count <= bytesMaximum
                ? .kept(Array(redact(form: String(decoding: body, as: UTF8.self)).utf8)) : .withheld
        }
        let response = ObservedResponse(headers: headers, body: body)
        let first = body.first { $0 > 0x20 }
        let looksLikeJSON = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        guard response.claimsJSON ?? looksLikeJSON else { return .kept(body) }
        guard
            let tape = try? JSONTapeParser.parse(
                body, depthMaximum: 1_024, bytesMaximum: bytesMaximum, allowsDuplicates: true)
        else { return .withheld }
        return .kept(redact(tape))
    }

    private func redact(_ tape: JSONTape) -> [UInt8] {
        var result: [UInt8] = []
        var copied = 0
        var open: [(node: Int, alive: UInt64, ordinal: Int)] = []
        if tape.nodes[0].kind.isContainer { open.append((0, places.start.alive, 0)) }
        var node = 1
        while node < tape.nodes.count {
            while node >= Int(tape.nodes[open[open.count - 1].node].next) { open.removeLast() }
            let value = tape.nodes[node]
            let parent = open[open.count - 1]
            open[open.count - 1].ordinal += 1
            let isMember = tape.nodes[parent.node].kind == .object
            let depth = open.count - 1
            let position =
                isMember
                ? places.step(parent.alive, depth: depth, hash: value.keyHash, name: value.key, in: tape)
                : places.step(parent.alive, depth: depth, index: parent.ordinal)
            if position.isHit || isMember && members.contains(value, in: tape) {
                result += tape.body[copied..<Int(value.start)]
                result += "\"\(Self.mark)\"".utf8
                copied = Int(value.end)
                node = Int(value.next)
                continue
            }
            if value.kind.isContainer { open.append((node, position.alive, 0)) }
            node += 1
        }
        return result + tape.body[copied...]
    }
}
