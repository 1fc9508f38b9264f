// How two responses are compared: what is looked at, what is passed over, and how much is told.

/// A field whose value cannot be, with what is wrong with it.
package struct InvalidField: Error, Sendable, Hashable, CustomStringConvertible {
    package var field: String
    package var reason: String

    package init(_ field: String, _ reason: String) {
        self.field = field
        self.reason = reason
    }

    /// `field: reason`.
    package var description: String { "\(field): \(reason)" }
}

/// The rules of one mirror, prepared once and used for each pair.
package struct ComparisonRules: Sendable, Hashable {
    /// Bounds on one comparison.
    package struct Bounds: Sendable, Hashable {
        /// Nesting of JSON; deeper bodies are compared by bytes.
        package var depth = 64
        /// Bytes of a body that are taken apart; larger ones are compared by bytes.
        package var bodyBytes = 1_048_576
        /// Differences that are told; all are counted.
        package var differences = 64
        /// Bytes of a side in a difference.
        package var sideBytes = 80
        /// Elements of one array whose order does not matter; larger ones are compared in order.
        package var unorderedElements = 10_000

        package init() {}
    }

    package var bounds = Bounds()
    /// Names of headers that must be equal, in lower case.
    package private(set) var comparedHeaders: [String]
    /// Members that are passed over wherever they are, with all that is in them.
    let ignoredNames: NameSet
    let ignoredPlaces: PathPatterns
    let unorderedPlaces: PathPatterns
    let ignoresAllOrder: Bool
    /// Members whose values are never told.
    let secretNames: NameSet

    /// - Parameters:
    ///   - ignoreFields: a member's name, or a JSON Pointer in which `*` stands for any one step (RFC 6901).
    ///   - unorderedArrays: pointers to arrays whose order does not matter; `**` alone: all of them.
    ///   - comparedHeaders: headers that must be equal; none by default.
    ///   - secretMembers: members whose values never stand in a difference.
    /// - Throws: the first rule that cannot be one.
    package init(
        ignoreFields: [String] = [], unorderedArrays: [String] = [], comparedHeaders: [String] = [],
        secretMembers: [String] = RedactionRules.standardMembers
    ) throws(InvalidField) {
        let pointers = ignoreFields.filter { $0.isEmpty || $0.utf8.first == UInt8(ascii: "/") }
        let names = ignoreFields.filter { !$0.isEmpty && $0.utf8.first != UInt8(ascii: "/") }
        ignoredPlaces = try Self.places(pointers, "ignore_fields")
        guard names.count <= 256 else { throw InvalidField("ignore_fields", "more than 256 names") }
        ignoredNames = NameSet(names)
        ignoresAllOrder = unorderedArrays.contains("**")
        unorderedPlaces = try Self.places(unorderedArrays.filter { $0 != "**" }, "unordered_arrays")
        secretNames = NameSet(secretMembers)
        self.comparedHeaders = comparedHeaders.map { $0.lowercased() }
    }

    /// Nothing is passed over.
    package static let strict = {
        guard let rules = try? ComparisonRules() else { preconditionFailure("no rules are valid rules") }
        return rules
    }()

    private static func places(_ texts: [String], _ field: String) throws(InvalidField) -> PathPatterns {
        for text in texts where PathPatterns([text]) == nil {
            throw InvalidField(field, "`\(text)` is no JSON Pointer")
        }
        guard let patterns = PathPatterns(texts) else {
            throw InvalidField(field, "more than \(PathPatterns.countMaximum) pointers")
        }
        return patterns
    }
}

/// A few names that are looked for among many.
struct NameSet: Sendable, Hashable {
    private var hashes: [UInt32]
    private var names: [[UInt8]]

    init(_ texts: [String]) {
        names = texts.map { Array($0.utf8) }
        hashes = names.map { JSONTape.hash($0) }
    }

    @inline(__always)
    func contains(_ node: JSONNode, in tape: borrowing JSONTape) -> Bool {
        for index in 0..<hashes.count where hashes[index] == node.keyHash {
            if PathPatterns.equals(names[index], node.key, tape) { return true }
        }
        return false
    }
}
