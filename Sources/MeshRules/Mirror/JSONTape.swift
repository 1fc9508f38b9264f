// A JSON text taken apart: its values in document order in one flat array, without a node object or a string each.

/// What a value is; the two booleans have one kind.
enum JSONKind: UInt8, Sendable, Hashable {
    case null, boolean, number, string, array, object

    var isContainer: Bool { self == .array || self == .object }

    /// The word for people.
    var name: String {
        switch self {
        case .null: "null"
        case .boolean: "boolean"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

/// Where some text lies: in the body as it stands, or unescaped in the tape's scratch.
struct JSONText: Sendable {
    var start: UInt32 = 0
    var count: UInt32 = 0
    var isUnescaped = false

    var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
}

/// One value.
struct JSONNode: Sendable {
    /// The token or a string's content; empty for containers.
    var text = JSONText()
    /// Where the whole token or container lies in the body.
    var start: UInt32 = 0
    var end: UInt32 = 0
    /// The member's name; empty for elements.
    var key = JSONText()
    var keyHash: UInt32 = 0
    /// Members or elements.
    var childCount: UInt32 = 0
    /// The index behind the last value inside this one: its next sibling, if it has one.
    var next: UInt32 = 0
    var kind: JSONKind
}

/// Why a body cannot be compared as JSON.
enum JSONFault: Error, Sendable, Hashable {
    case invalidUTF8
    case malformed(offset: Int)
    case tooDeep(offset: Int)
    case duplicateMember(offset: Int)
    case tooLarge
}

/// The values of one JSON text. Texts are compared as bytes after unescaping, numbers by value.
struct JSONTape: Sendable {
    var nodes: [JSONNode] = []
    /// What strings with escapes mean.
    var scratch: [UInt8] = []
    let body: [UInt8]

    init(body: [UInt8]) { self.body = body }

    /// The bytes of a text.
    func bytes(_ text: JSONText) -> ArraySlice<UInt8> { text.isUnescaped ? scratch[text.range] : body[text.range] }

    /// FNV-1a 32 of a member's name, as the nodes carry it.
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var hash: UInt32 = 2_166_136_261
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return hash
    }

    /// Whether two texts have the same bytes.
    static func areEqual(_ left: JSONText, in one: borrowing JSONTape, _ right: JSONText, in other: borrowing JSONTape)
        -> Bool
    {
        guard left.count == right.count else { return false }
        let leftBytes = left.isUnescaped ? one.scratch.span : one.body.span
        let rightBytes = right.isUnescaped ? other.scratch.span : other.body.span
        let (from, to) = (Int(left.start), Int(right.start))
        for index in 0..<Int(left.count) where leftBytes[from + index] != rightBytes[to + index] { return false }
        return true
    }

    /// Whether the first text's bytes come before the second's.
    static func precedes(_ left: JSONText, in one: borrowing JSONTape, _ right: JSONText, in other: borrowing JSONTape)
        -> Bool
    {
        one.bytes(left).lexicographicallyPrecedes(other.bytes(right))
    }
}
