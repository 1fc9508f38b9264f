// What differs between two responses, as values and as text that a person can read.

package import EventModel

/// One place at which two responses differ.
package struct ResponseDifference: Sendable, Hashable {
    package var part: ResponsePart
    /// The JSON Pointer in a JSON body, the name of a header, else empty.
    package var path: String
    /// The path with `*` for each element: what differences are counted by, and an ignore rule as it stands.
    package var pattern: String
    package var kind: DifferenceKind
    /// What production has, shortened; empty where it has nothing.
    package var production: String
    /// What the shadow has, shortened; empty where it has nothing.
    package var shadow: String

    package init(
        part: ResponsePart, path: String, pattern: String, kind: DifferenceKind, production: String, shadow: String
    ) {
        self.part = part
        self.path = path
        self.pattern = pattern
        self.kind = kind
        self.production = production
        self.shadow = shadow
    }

    /// What it is counted by.
    package var counted: DifferingPath { DifferingPath(part: part, pattern: pattern, kind: kind) }

    /// One line, for instance `body /items/0/price: 12.5 became 12.6`.
    package var summary: String {
        let place = path.isEmpty ? part.name : "\(part.name) \(SideText.shortened(Array(path.utf8)[...], 160))"
        return switch kind {
        case .missing: "\(place): \(production) is missing"
        case .unexpected: "\(place): \(shadow) is unexpected"
        case .type, .value: "\(place): \(production) became \(shadow)"
        }
    }
}

/// A JSON Pointer that grows step by step, beside it the pattern with `*` for elements.
struct PointerText {
    private(set) var text = ""
    private(set) var pattern = ""

    mutating func append(element index: Int) {
        text += "/\(index)"
        pattern += "/*"
    }

    mutating func append(member name: ArraySlice<UInt8>) {
        var step: [UInt8] = [UInt8(ascii: "/")]
        for byte in name {
            switch byte {
            case UInt8(ascii: "~"): step += "~0".utf8
            case UInt8(ascii: "/"): step += "~1".utf8
            default: step.append(byte)
            }
        }
        let decoded = String(decoding: step, as: UTF8.self)
        text += decoded
        pattern += decoded
    }
}

/// One side of a difference as short text without control characters.
enum SideText {
    static let secret = "[redacted]"

    /// A JSON value: scalars as they stand, containers by what they hold, so that nothing inside leaves with them.
    static func of(_ tape: JSONTape, _ node: Int, _ isSecret: Bool, _ bound: Int) -> String {
        if isSecret { return secret }
        let value = tape.nodes[node]
        switch value.kind {
        case .object: return "an object of \(value.childCount) members"
        case .array: return "an array of \(value.childCount) elements"
        case .string: return "\"" + shortened(tape.bytes(value.text), bound) + "\""
        case .null, .boolean, .number: return shortened(tape.bytes(value.text), bound)
        }
    }

    /// Text of at most so many bytes of the given ones; what is cut is said.
    static func shortened(_ bytes: ArraySlice<UInt8>, _ bound: Int) -> String {
        guard bytes.count > bound else { return visible(String(decoding: bytes, as: UTF8.self)) }
        var end = bytes.startIndex + bound
        while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        let start = visible(String(decoding: bytes[bytes.startIndex..<end], as: UTF8.self))
        return "\(start)… (\(bytes.count) bytes)"
    }

    /// Control characters and those that turn the direction of text, as escapes.
    private static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isHidden) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isHidden(scalar) {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
