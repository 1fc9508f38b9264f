// One bounded pass over JSON that checks what protobuf's reader lets through and rewrites the members of `JSONField`.
// Source of the grammar: RFC 8259. White space between tokens is dropped, everything else is kept byte for byte.

/// Walks over a JSON text once and writes it anew in the other dialect.
struct JSONScanner {
    /// Between which dialects.
    enum Direction {
        /// From what people write to what protobuf's JSON reader takes.
        case toProtobuf
        /// From what protobuf writes to what people read.
        case fromProtobuf
    }

    private enum Step {
        case member(Range<Int>)
        case element(Int)
    }

    /// The most members of one object: twice what the largest message has, so that looking for doubles stays cheap.
    private static let membersPerObject = 128
    /// The longest text that is rewritten: escapes included, longer than any time, name or id.
    private static let rewrittenBytes = 256

    private let bytes: [UInt8]
    private let direction: Direction
    private var position = 0
    private var path: [Step] = []
    private var output: [UInt8] = []

    private init(_ bytes: [UInt8], _ direction: Direction) {
        self.bytes = bytes
        self.direction = direction
        output.reserveCapacity(bytes.count)
    }

    /// The same JSON object in the other dialect.
    ///
    /// - Throws: `malformed`, `invalid_utf8`, `too_deep`, `too_many`, `duplicate_field`, `unknown_field` for names that
    ///   are not snake_case, `unknown_enum_value`; each with the member's path.
    /// - Complexity: one pass; memory in the order of the text.
    static func rewrite(_ bytes: [UInt8], _ direction: Direction) throws(DecodeError) -> [UInt8] {
        guard (try? UTF8Span(validating: bytes.span)) != nil else { throw DecodeError("invalid_utf8", "message") }
        var scanner = JSONScanner(bytes, direction)
        scanner.skipSpace()
        guard scanner.peek == UInt8(ascii: "{") else { throw scanner.error("malformed") }
        try scanner.value(nil)
        scanner.skipSpace()
        guard scanner.position == bytes.count else { throw scanner.error("malformed") }
        return scanner.output
    }

    // MARK: Structure

    private mutating func value(_ field: JSONField?) throws(DecodeError) {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): try object()
        case UInt8(ascii: "["): try array()
        case UInt8(ascii: "\""): try text(field)
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number(field)
        }
    }

    private mutating func object() throws(DecodeError) {
        try open()
        var names: [Range<Int>] = []
        skipSpace()
        if try close(UInt8(ascii: "}")) { return }
        repeat {
            skipSpace()
            let name = try memberName(among: names)
            names.append(name)
            path.append(.member(name))
            skipSpace()
            try expect(UInt8(ascii: ":"))
            try value(JSONField(bytes[name]))
            path.removeLast()
            skipSpace()
        } while try next(or: UInt8(ascii: "}"))
    }

    private mutating func array() throws(DecodeError) {
        try open()
        skipSpace()
        if try close(UInt8(ascii: "]")) { return }
        var index = 0
        repeat {
            path.append(.element(index))
            try value(nil)
            path.removeLast()
            index += 1
            skipSpace()
        } while try next(or: UInt8(ascii: "]"))
    }

    /// Writes the opening bracket; the path is as long as the brackets are deep.
    private mutating func open() throws(DecodeError) {
        guard path.count < Limits.jsonDepth else { throw error("too_deep") }
        emit(1)
    }

    private mutating func close(_ bracket: UInt8) throws(DecodeError) -> Bool {
        guard peek == bracket else { return false }
        emit(1)
        return true
    }

    /// True behind a comma, false behind the closing bracket.
    private mutating func next(or bracket: UInt8) throws(DecodeError) -> Bool {
        if try close(bracket) { return false }
        try expect(UInt8(ascii: ","))
        return true
    }

    /// A member's name: snake_case, not too long, and new in its object.
    private mutating func memberName(among names: [Range<Int>]) throws(DecodeError) -> Range<Int> {
        guard peek == UInt8(ascii: "\"") else { throw error("malformed") }
        let start = position
        let name = try string()
        path.append(.member(name))
        guard JSONScanner.isPlainName(bytes[name]) else { throw error("unknown_field") }
        guard names.count < JSONScanner.membersPerObject else { throw error("too_many") }
        for earlier in names where bytes[earlier] == bytes[name] { throw error("duplicate_field") }
        path.removeLast()
        output += bytes[start..<position]
        return name
    }

    private static func isPlainName(_ name: ArraySlice<UInt8>) -> Bool {
        isWord(name) && !name.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
    }

    private static func isWord(_ name: ArraySlice<UInt8>) -> Bool {
        guard !name.isEmpty, name.count <= 64 else { return false }
        return name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }

    // MARK: Values

    private mutating func text(_ field: JSONField?) throws(DecodeError) {
        let start = position
        let content = try string()
        guard let field else {
            output += bytes[start..<position]
            return
        }
        let isShort = content.count <= JSONScanner.rewrittenBytes
        guard isShort, let plain = unescaped(content) else {
            if case .choiceOrText = field {
                output += bytes[start..<position]
                return
            }
            throw error("malformed")
        }
        // A text that is no name stays as it was written, with its escapes.
        if case .choiceOrText(let choice) = field, choice.protobufName(plain) == nil {
            output += bytes[start..<position]
            return
        }
        output.append(UInt8(ascii: "\""))
        output += try rewritten(plain, field)
        output.append(UInt8(ascii: "\""))
    }

    private func rewritten(_ text: [UInt8], _ field: JSONField) throws(DecodeError) -> [UInt8] {
        switch (field, direction) {
        case (.choice(let choice), .toProtobuf), (.choiceOrNumber(let choice), .toProtobuf):
            guard let name = choice.protobufName(text) else { throw error("unknown_enum_value") }
            return name
        case (.choiceOrText(let choice), .toProtobuf): return choice.protobufName(text) ?? text
        case (.choiceOrText(let choice), .fromProtobuf):
            return choice.protobufName(text) == text ? JSONChoice.lower(text) : text
        case (.choice, .fromProtobuf), (.choiceOrNumber, .fromProtobuf): return JSONChoice.lower(text)
        case (.traceID, .toProtobuf):
            guard let encoded = JSONTraceID.base64(hexadecimal: text) else { throw error("malformed") }
            return encoded
        case (.spanID, .toProtobuf):
            guard let encoded = JSONTraceID.base64(span: text) else { throw error("malformed") }
            return encoded
        case (.traceID, .fromProtobuf), (.spanID, .fromProtobuf):
            guard let digits = JSONTraceID.hexadecimal(base64: text) else { throw error("malformed") }
            return digits
        case (.time, .toProtobuf):
            if JSONScanner.isInteger(text[...]) { return text }
            guard let moment = JSONTime.nanoseconds(text) else { throw error("malformed") }
            return Array(String(moment).utf8)
        case (.time, .fromProtobuf): return text
        }
    }

    private mutating func literal(_ word: StaticString) throws(DecodeError) {
        let expected = "\(word)".utf8
        guard bytes[position...].starts(with: expected) else { throw error("malformed") }
        emit(expected.count)
    }

    private mutating func number(_ field: JSONField?) throws(DecodeError) {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        let whole = position
        guard skipDigits() > 0, bytes[whole] != UInt8(ascii: "0") || position == whole + 1 else {
            throw error("malformed")
        }
        if peek == UInt8(ascii: ".") {
            position += 1
            guard skipDigits() > 0 else { throw error("malformed") }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            guard skipDigits() > 0 else { throw error("malformed") }
        }
        if case .choice(let choice) = field, direction == .toProtobuf, !choice.isKnown(bytes[start..<position]) {
            throw error("unknown_enum_value")
        }
        output += bytes[start..<position]
    }

    private static func isInteger(_ text: ArraySlice<UInt8>) -> Bool {
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text
        return !digits.isEmpty && digits.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
    }

    // MARK: Strings

    /// Passes a string and says where its content lies.
    private mutating func string() throws(DecodeError) -> Range<Int> {
        position += 1
        let start = position
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return start..<position - 1
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw error("malformed")
            default: position += 1
            }
        }
        throw error("malformed")
    }

    private mutating func escape() throws(DecodeError) {
        position += 1
        switch peek {
        case UInt8(ascii: "u"):
            guard let unit = hexadecimalUnit(at: position + 1) else { throw error("malformed") }
            position += 5
            if UTF16.isTrailSurrogate(unit) { throw error("invalid_utf8") }
            if UTF16.isLeadSurrogate(unit) {
                guard bytes[position...].starts(with: "\\u".utf8), let trail = hexadecimalUnit(at: position + 2),
                    UTF16.isTrailSurrogate(trail)
                else { throw error("invalid_utf8") }
                position += 6
            }
        case .some(let byte) where JSONScanner.plainEscape(byte) != nil: position += 1
        default: throw error("malformed")
        }
    }

    private static func plainEscape(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }

    private func hexadecimalUnit(at start: Int) -> UInt16? {
        guard bytes.count - start >= 4 else { return nil }
        var unit: UInt16 = 0
        for byte in bytes[start..<start + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }

    /// The content of a valid string without escapes; nil where an escape stands for more than ASCII.
    private func unescaped(_ content: Range<Int>) -> [UInt8]? {
        var result: [UInt8] = []
        var index = content.lowerBound
        while index < content.upperBound {
            if bytes[index] != UInt8(ascii: "\\") {
                result.append(bytes[index])
                index += 1
            } else if let byte = JSONScanner.plainEscape(bytes[index + 1]) {
                result.append(byte)
                index += 2
            } else {
                guard let unit = hexadecimalUnit(at: index + 2), unit < 0x80 else { return nil }
                result.append(UInt8(unit))
                index += 6
            }
        }
        return result
    }

    // MARK: Bytes

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func emit(_ count: Int) {
        output += bytes[position..<position + count]
        position += count
    }

    private mutating func expect(_ byte: UInt8) throws(DecodeError) {
        guard peek == byte else { throw error("malformed") }
        emit(1)
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while let byte = peek, byte &- UInt8(ascii: "0") < 10 { position += 1 }
        return position - start
    }

    /// An error at this place. Names that are not words are not repeated: nothing else of a payload leaves by an error.
    private func error(_ code: String) -> DecodeError {
        var field = ""
        for step in path {
            switch step {
            case .member(let name):
                let isWord = JSONScanner.isWord(bytes[name])
                field += (field.isEmpty ? "" : ".") + (isWord ? String(decoding: bytes[name], as: UTF8.self) : "?")
            case .element(let index): field += "[\(index)]"
            }
        }
        return DecodeError(code, field.isEmpty ? "message" : field)
    }
}
