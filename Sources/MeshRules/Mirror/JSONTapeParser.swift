// Reads JSON (RFC 8259) into a tape: one pass, no recursion, bounded depth, nothing of Foundation.

/// Takes a JSON text apart.
struct JSONTapeParser {
    private var tape: JSONTape
    private var position = 0
    private let depthMaximum: Int
    private let allowsDuplicates: Bool
    /// The containers that are open, outermost first.
    private var open: [Int] = []
    private var members: [UInt32] = []

    private init(_ body: [UInt8], _ depthMaximum: Int, _ allowsDuplicates: Bool) {
        tape = JSONTape(body: body)
        tape.nodes.reserveCapacity(body.count / 16 + 8)
        self.depthMaximum = depthMaximum
        self.allowsDuplicates = allowsDuplicates
    }

    /// The values of a text.
    ///
    /// Lone surrogates in escapes are kept as three bytes each (generalised UTF-8), so that they compare exactly.
    /// - Throws: what hinders it, with the offset in bytes.
    /// - Complexity: linear, and n log n in the members of one object; memory at most 24 bytes for each byte read.
    static func parse(
        _ body: [UInt8], depthMaximum: Int, bytesMaximum: Int, allowsDuplicates: Bool = false
    ) throws(JSONFault) -> JSONTape {
        guard body.count <= bytesMaximum, body.count < Int(UInt32.max) else { throw .tooLarge }
        guard (try? UTF8Span(validating: body.span)) != nil else { throw .invalidUTF8 }
        var parser = JSONTapeParser(body, depthMaximum, allowsDuplicates)
        try parser.run(body.span)
        return parser.tape
    }

    private mutating func run(_ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        skipSpace(bytes)
        try value(JSONNode(kind: .null), bytes)
        while let container = open.last {
            skipSpace(bytes)
            let isObject = tape.nodes[container].kind == .object
            if position < bytes.count, bytes[position] == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                position += 1
                try close(container)
                continue
            }
            if tape.nodes[container].childCount > 0 {
                try expect(UInt8(ascii: ","), bytes)
                skipSpace(bytes)
            }
            tape.nodes[container].childCount += 1
            var node = JSONNode(kind: .null)
            if isObject { try name(&node, bytes) }
            try value(node, bytes)
        }
        skipSpace(bytes)
        guard position == bytes.count else { throw .malformed(offset: position) }
    }

    private mutating func close(_ container: Int) throws(JSONFault) {
        open.removeLast()
        tape.nodes[container].next = UInt32(tape.nodes.count)
        tape.nodes[container].end = UInt32(position)
        let node = tape.nodes[container]
        if !allowsDuplicates && node.kind == .object && node.childCount > 1 { try checkNames(container) }
    }

    // MARK: Members

    private mutating func name(_ node: inout JSONNode, _ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        node.key = try string(bytes)
        node.keyHash = JSONTape.hash(node.key, in: tape, bytes)
        skipSpace(bytes)
        try expect(UInt8(ascii: ":"), bytes)
        skipSpace(bytes)
    }

    /// Refuses an object that has a name twice.
    private mutating func checkNames(_ container: Int) throws(JSONFault) {
        members.removeAll(keepingCapacity: true)
        var child = container + 1
        for _ in 0..<Int(tape.nodes[container].childCount) {
            members.append(UInt32(child))
            child = Int(tape.nodes[child].next)
        }
        if members.count <= 12 {
            for index in 1..<members.count {
                let hash = tape.nodes[Int(members[index])].keyHash
                for earlier in 0..<index where tape.nodes[Int(members[earlier])].keyHash == hash {
                    try checkNames(members[earlier], members[index])
                }
            }
            return
        }
        let names = tape
        members.sort { names.nodePrecedes(Int($0), Int($1), in: names) }
        for index in 1..<members.count { try checkNames(members[index - 1], members[index]) }
    }

    private func checkNames(_ one: UInt32, _ other: UInt32) throws(JSONFault) {
        let (left, right) = (tape.nodes[Int(one)], tape.nodes[Int(other)])
        guard left.keyHash == right.keyHash, JSONTape.areEqual(left.key, in: tape, right.key, in: tape) else { return }
        throw .duplicateMember(offset: Int(max(left.start, right.start)))
    }

    // MARK: Values

    private mutating func value(_ start: JSONNode, _ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        guard position < bytes.count else { throw .malformed(offset: position) }
        var node = start
        node.next = UInt32(tape.nodes.count + 1)
        node.start = UInt32(position)
        switch bytes[position] {
        case UInt8(ascii: "{"): return try begin(.object, node)
        case UInt8(ascii: "["): return try begin(.array, node)
        case UInt8(ascii: "\""):
            node.kind = .string
            node.text = try string(bytes)
            node.end = UInt32(position)
            tape.nodes.append(node)
            return
        case UInt8(ascii: "t"): try literal("true", .boolean, &node, bytes)
        case UInt8(ascii: "f"): try literal("false", .boolean, &node, bytes)
        case UInt8(ascii: "n"): try literal("null", .null, &node, bytes)
        default:
            node.kind = .number
            try number(bytes)
        }
        node.end = UInt32(position)
        node.text = JSONText(start: node.start, count: node.end - node.start)
        tape.nodes.append(node)
    }

    private mutating func begin(_ kind: JSONKind, _ start: JSONNode) throws(JSONFault) {
        guard open.count < depthMaximum else { throw .tooDeep(offset: position) }
        var node = start
        node.kind = kind
        open.append(tape.nodes.count)
        tape.nodes.append(node)
        position += 1
    }

    private mutating func literal(
        _ word: StaticString, _ kind: JSONKind, _ node: inout JSONNode, _ bytes: borrowing Span<UInt8>
    ) throws(JSONFault) {
        node.kind = kind
        for byte in "\(word)".utf8 { try expect(byte, bytes) }
    }

    private mutating func number(_ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let whole = position
        try digits(bytes)
        guard bytes[whole] != UInt8(ascii: "0") || position == whole + 1 else { throw .malformed(offset: whole) }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try digits(bytes)
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try digits(bytes)
        }
    }

    private mutating func digits(_ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        let start = position
        while position < bytes.count, bytes[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        guard position > start else { throw .malformed(offset: position) }
    }

    // MARK: Strings

    private mutating func string(_ bytes: borrowing Span<UInt8>) throws(JSONFault) -> JSONText {
        try expect(UInt8(ascii: "\""), bytes)
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return JSONText(start: UInt32(start), count: UInt32(position - 1 - start))
            }
            if byte == UInt8(ascii: "\\") { return try unescaped(from: start, bytes) }
            guard byte >= 0x20 else { break }
            position += 1
        }
        throw .malformed(offset: position)
    }

    /// A string with at least one escape, its meaning copied into the scratch.
    private mutating func unescaped(from start: Int, _ bytes: borrowing Span<UInt8>) throws(JSONFault) -> JSONText {
        let begin = tape.scratch.count
        for index in start..<position { tape.scratch.append(bytes[index]) }
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return JSONText(
                    start: UInt32(begin), count: UInt32(tape.scratch.count - begin), isUnescaped: true)
            }
            guard byte >= 0x20 else { break }
            position += 1
            if byte == UInt8(ascii: "\\") { try escape(bytes) } else { tape.scratch.append(byte) }
        }
        throw .malformed(offset: position)
    }

    private mutating func escape(_ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        guard position < bytes.count else { throw .malformed(offset: position) }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): tape.scratch.append(byte)
        case UInt8(ascii: "b"): tape.scratch.append(0x08)
        case UInt8(ascii: "f"): tape.scratch.append(0x0C)
        case UInt8(ascii: "n"): tape.scratch.append(0x0A)
        case UInt8(ascii: "r"): tape.scratch.append(0x0D)
        case UInt8(ascii: "t"): tape.scratch.append(0x09)
        case UInt8(ascii: "u"): append(try scalar(bytes))
        default: throw .malformed(offset: position - 1)
        }
    }

    /// The code point of one escape, or of two that are a surrogate pair.
    private mutating func scalar(_ bytes: borrowing Span<UInt8>) throws(JSONFault) -> UInt32 {
        let unit = try hexadecimalUnit(bytes)
        guard unit & 0xFC00 == 0xD800, bytes.count - position >= 6, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return unit }
        let behind = position
        position += 2
        let trail = try hexadecimalUnit(bytes)
        if trail & 0xFC00 == 0xDC00 { return 0x10000 + (unit & 0x3FF) << 10 + trail & 0x3FF }
        position = behind
        return unit
    }

    private mutating func hexadecimalUnit(_ bytes: borrowing Span<UInt8>) throws(JSONFault) -> UInt32 {
        guard bytes.count - position >= 4 else { throw .malformed(offset: position) }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Self.hexadecimalDigit(bytes[position]) else { throw .malformed(offset: position) }
            unit = unit << 4 | digit
            position += 1
        }
        return unit
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    private mutating func append(_ scalar: UInt32) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(scalar >> shift & 0x3F | 0x80) }
        switch scalar {
        case 0..<0x80: tape.scratch.append(UInt8(scalar))
        case 0x80..<0x800: tape.scratch += [UInt8(scalar >> 6 | 0xC0), tail(0)]
        case 0x800..<0x10000: tape.scratch += [UInt8(scalar >> 12 | 0xE0), tail(6), tail(0)]
        default: tape.scratch += [UInt8(scalar >> 18 | 0xF0), tail(12), tail(6), tail(0)]
        }
    }

    // MARK: Bytes

    @inline(__always)
    private mutating func skipSpace(_ bytes: borrowing Span<UInt8>) {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }

    @inline(__always)
    private mutating func expect(_ byte: UInt8, _ bytes: borrowing Span<UInt8>) throws(JSONFault) {
        guard position < bytes.count, bytes[position] == byte else { throw .malformed(offset: position) }
        position += 1
    }
}

extension JSONTape {
    /// The hash of a name while its body is at hand.
    fileprivate static func hash(_ text: JSONText, in tape: borrowing JSONTape, _ body: borrowing Span<UInt8>) -> UInt32
    {
        if text.isUnescaped { return hash(tape.scratch[text.range]) }
        var hash: UInt32 = 2_166_136_261
        for index in text.range { hash = (hash ^ UInt32(body[index])) &* 16_777_619 }
        return hash
    }

    /// The order in which members are matched: by hash, then by name.
    func nodePrecedes(_ one: Int, _ other: Int, in second: borrowing JSONTape) -> Bool {
        let (left, right) = (nodes[one], second.nodes[other])
        if left.keyHash != right.keyHash { return left.keyHash < right.keyHash }
        return JSONTape.precedes(left.key, in: self, right.key, in: second)
    }
}
