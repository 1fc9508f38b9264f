// The words of an expression.

/// One word with its place.
struct ExpressionToken: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case integer(Int64)
        /// Hundredths of what was written with a point: `99.9` is 9,990.
        case hundredths(Int64)
        case text(String)
        case name(String)
        case symbol(String)
        case end
    }

    var kind: Kind
    var range: Range<Int>
}

/// Cuts a text into words.
struct ExpressionLexer {
    private let source: String
    private let bytes: [UInt8]
    private var position = 0
    private static let symbols = [
        "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", ",", ".",
    ]
    /// Nanoseconds of each unit.
    private static let units: [String: Int64] = [
        "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
    ]

    init(_ source: String) {
        self.source = source
        bytes = Array(source.utf8)
    }

    /// All words, the end last.
    static func tokens(of source: String) throws(ExpressionError) -> [ExpressionToken] {
        var lexer = ExpressionLexer(source)
        if lexer.bytes.count > ExpressionLimits.sourceBytes {
            throw lexer.error("an expression has at most \(ExpressionLimits.sourceBytes) bytes", 0..<0)
        }
        var result: [ExpressionToken] = []
        while true {
            let token = try lexer.next()
            result.append(token)
            if token.kind == .end { return result }
        }
    }

    private mutating func next() throws(ExpressionError) -> ExpressionToken {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
        let start = position
        guard start < bytes.count else { return ExpressionToken(kind: .end, range: start..<start) }
        let byte = bytes[start]
        let kind: ExpressionToken.Kind
        if Self.isDigit(byte) {
            kind = try number()
        } else if Self.isLetter(byte) {
            kind = .name(word())
        } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
            kind = .text(try text(closing: byte))
        } else {
            kind = try symbol()
        }
        return ExpressionToken(kind: kind, range: start..<position)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "_")
    }

    private mutating func word() -> String {
        let start = position
        while position < bytes.count, Self.isLetter(bytes[position]) || Self.isDigit(bytes[position]) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func digits() -> Int64? {
        var value: Int64 = 0
        while position < bytes.count, Self.isDigit(bytes[position]) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, excess) = product.addingReportingOverflow(Int64(bytes[position] - UInt8(ascii: "0")))
            if overflow || excess { return nil }
            value = sum
            position += 1
        }
        return value
    }

    /// Digits, perhaps with a unit of time, or with one or two digits behind a point.
    private mutating func number() throws(ExpressionError) -> ExpressionToken.Kind {
        let start = position
        guard let value = digits() else { throw error("the number is too large", start..<position + 1) }
        if position + 1 < bytes.count, bytes[position] == UInt8(ascii: "."), Self.isDigit(bytes[position + 1]) {
            return try fraction(of: value, from: start)
        }
        guard position < bytes.count, Self.isLetter(bytes[position]) else { return .integer(value) }
        let unit = word()
        guard let factor = Self.units[unit] else {
            throw error("`\(unit)` is no unit of time: ns, us, ms, s, m, h", start..<position)
        }
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        if overflow { throw error("the duration is too long", start..<position) }
        return .integer(product)
    }

    private mutating func fraction(of whole: Int64, from start: Int) throws(ExpressionError) -> ExpressionToken.Kind {
        position += 1
        let begin = position
        let value = digits() ?? 100
        let count = position - begin
        guard count <= 2, whole <= 1_000_000 else {
            throw error("a number has at most two digits behind its point", start..<position)
        }
        return .hundredths(whole * 100 + (count == 1 ? value * 10 : value))
    }

    private mutating func text(closing: UInt8) throws(ExpressionError) -> String {
        let start = position
        position += 1
        var result: [UInt8] = []
        while position < bytes.count, bytes[position] != closing {
            if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count { position += 1 }
            result.append(bytes[position])
            position += 1
        }
        guard position < bytes.count else { throw error("the text does not end", start..<bytes.count) }
        position += 1
        return String(decoding: result, as: UTF8.self)
    }

    private mutating func symbol() throws(ExpressionError) -> ExpressionToken.Kind {
        for symbol in Self.symbols where bytes[position...].starts(with: symbol.utf8) {
            position += symbol.utf8.count
            return .symbol(symbol)
        }
        if bytes[position] == UInt8(ascii: "=") {
            throw error("`=` is not an operator; equality is `==`", position..<position + 1)
        }
        var end = position + 1
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        let character = String(decoding: bytes[position..<end], as: UTF8.self)
        throw error("`\(character)` means nothing here", position..<end)
    }

    private func error(_ message: String, _ range: Range<Int>) -> ExpressionError {
        ExpressionError(
            message: message, source: source, range: range.clamped(to: 0..<bytes.count))
    }
}
