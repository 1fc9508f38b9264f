// Places in a JSON document by pattern: JSON Pointers (RFC 6901) in which `*` stands for any one step.

/// Several pointers that are followed at once while a document is walked, one bit each.
package struct PathPatterns: Sendable, Hashable {
    /// More are refused: a set of them is one word.
    package static let countMaximum = 64

    /// The patterns that still fit at some place, one bit each.
    struct Position: Sendable {
        var alive: UInt64
        /// Whether one of them ends here.
        var isHit = false
    }

    private struct Step: Sendable, Hashable {
        var isWildcard: Bool
        var name: [UInt8]
        var hash: UInt32
        /// The element that the step names in an array; nil: none.
        var index: Int?
    }

    private var patterns: [[Step]] = []

    package init() {}

    /// Patterns from their texts; nil where one is no pointer or there are too many.
    package init?(_ texts: [String]) {
        guard texts.count <= Self.countMaximum else { return nil }
        for text in texts {
            guard let steps = Self.steps(text) else { return nil }
            patterns.append(steps)
        }
    }

    /// At the document's root.
    var start: Position {
        let alive = patterns.count == 64 ? UInt64.max : (1 << UInt64(patterns.count)) - 1
        return Position(alive: alive, isHit: patterns.contains(where: \.isEmpty))
    }

    /// One step down to a member.
    @inline(__always)
    func step(_ alive: UInt64, depth: Int, hash: UInt32, name: JSONText, in tape: borrowing JSONTape) -> Position {
        if alive == 0 { return Position(alive: 0) }
        return follow(alive, depth) { step in
            step.isWildcard || step.hash == hash && Self.equals(step.name, name, tape)
        }
    }

    /// One step down to an element.
    @inline(__always)
    func step(_ alive: UInt64, depth: Int, index: Int) -> Position {
        if alive == 0 { return Position(alive: 0) }
        return follow(alive, depth) { step in step.isWildcard || step.index == index }
    }

    @inline(__always)
    private func follow(_ alive: UInt64, _ depth: Int, _ fits: (Step) -> Bool) -> Position {
        var result = Position(alive: 0)
        var rest = alive
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            rest &= rest - 1
            guard depth < patterns[bit].count, fits(patterns[bit][depth]) else { continue }
            result.alive |= 1 << UInt64(bit)
            if patterns[bit].count == depth + 1 { result.isHit = true }
        }
        return result
    }

    static func equals(_ name: [UInt8], _ text: JSONText, _ tape: borrowing JSONTape) -> Bool {
        guard name.count == Int(text.count) else { return false }
        let bytes = text.isUnescaped ? tape.scratch.span : tape.body.span
        for index in 0..<name.count where name[index] != bytes[Int(text.start) + index] { return false }
        return true
    }

    /// The steps of a pointer: empty, or `/` before each, `~1` for `/` and `~0` for `~`.
    private static func steps(_ text: String) -> [Step]? {
        if text.isEmpty { return [] }
        guard text.utf8.first == UInt8(ascii: "/") else { return nil }
        var result: [Step] = []
        for part in Array(text.utf8).dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let name = unescape(part) else { return nil }
            let isWildcard = part.elementsEqual("*".utf8)
            result.append(
                Step(isWildcard: isWildcard, name: name, hash: JSONTape.hash(name), index: elementIndex(name)))
        }
        return result
    }

    private static func unescape(_ part: ArraySlice<UInt8>) -> [UInt8]? {
        var name: [UInt8] = []
        var bytes = part.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "~") else {
                name.append(byte)
                continue
            }
            switch bytes.next() {
            case UInt8(ascii: "0"): name.append(UInt8(ascii: "~"))
            case UInt8(ascii: "1"): name.append(UInt8(ascii: "/"))
            default: return nil
            }
        }
        return name
    }

    /// The digits of an element, without leading zeros (RFC 6901, section 4).
    private static func elementIndex(_ name: [UInt8]) -> Int? {
        guard !name.isEmpty, name.count <= 9, name.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) else { return nil }
        if name.count > 1 && name[0] == UInt8(ascii: "0") { return nil }
        return Int(String(decoding: name, as: UTF8.self))
    }
}
