// Swift code without what stands in its comments and strings, so that rules look at code alone.

/// Walks over Swift source once. Interpolations stay, since they are code.
struct CodeBlanker {
    private let bytes: [UInt8]
    private var result: [UInt8]
    private var position = 0

    /// The same text, as long, with blanks for comments, string contents and raw identifiers.
    static func blank(_ bytes: [UInt8]) -> [UInt8] {
        var blanker = CodeBlanker(bytes)
        blanker.walk(endsAtParenthesis: false)
        return blanker.result
    }

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
        result = bytes
    }

    private mutating func walk(endsAtParenthesis: Bool) {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"): lineComment()
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"): blockComment()
            case UInt8(ascii: "\""): string(hashes: 0)
            case UInt8(ascii: "#") where hashesBeforeQuote > 0: string(hashes: hashesBeforeQuote)
            case UInt8(ascii: "`"): rawIdentifier()
            case UInt8(ascii: "("):
                depth += 1
                position += 1
            case UInt8(ascii: ")"):
                if endsAtParenthesis && depth == 0 { return }
                depth -= 1
                position += 1
            default: position += 1
            }
        }
    }

    private func peek(_ distance: Int) -> UInt8 {
        position + distance < bytes.count ? bytes[position + distance] : 0
    }

    /// How many `#` stand here, if a quote follows them.
    private var hashesBeforeQuote: Int {
        var count = 0
        while peek(count) == UInt8(ascii: "#") { count += 1 }
        return peek(count) == UInt8(ascii: "\"") ? count : 0
    }

    private mutating func skipBlank(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] != UInt8(ascii: "\n") { result[position] = UInt8(ascii: " ") }
            position += 1
        }
    }

    private mutating func lineComment() {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { skipBlank() }
    }

    private mutating func blockComment() {
        var depth = 0
        repeat {
            if peek(0) == UInt8(ascii: "/") && peek(1) == UInt8(ascii: "*") {
                depth += 1
                skipBlank(2)
            } else if peek(0) == UInt8(ascii: "*") && peek(1) == UInt8(ascii: "/") {
                depth -= 1
                skipBlank(2)
            } else {
                skipBlank()
            }
        } while depth > 0 && position < bytes.count
    }

    private mutating func rawIdentifier() {
        position += 1
        while position < bytes.count, bytes[position] != UInt8(ascii: "`"), bytes[position] != UInt8(ascii: "\n") {
            skipBlank()
        }
        position += 1
    }

    private mutating func string(hashes: Int) {
        position += hashes
        let isLong = peek(1) == UInt8(ascii: "\"") && peek(2) == UInt8(ascii: "\"")
        position += isLong ? 3 : 1
        while position < bytes.count {
            if isEscape(hashes) {
                escape(hashes)
            } else if isEnd(hashes, isLong: isLong) {
                position += (isLong ? 3 : 1) + hashes
                return
            } else if !isLong && bytes[position] == UInt8(ascii: "\n") {
                return
            } else {
                skipBlank()
            }
        }
    }

    private func isEscape(_ hashes: Int) -> Bool {
        peek(0) == UInt8(ascii: "\\") && (0..<hashes).allSatisfy { peek(1 + $0) == UInt8(ascii: "#") }
    }

    private func isEnd(_ hashes: Int, isLong: Bool) -> Bool {
        let quotes = isLong ? 3 : 1
        return (0..<quotes).allSatisfy { peek($0) == UInt8(ascii: "\"") }
            && (0..<hashes).allSatisfy { peek(quotes + $0) == UInt8(ascii: "#") }
    }

    private mutating func escape(_ hashes: Int) {
        skipBlank(1 + hashes)
        guard peek(0) == UInt8(ascii: "(") else { return skipBlank() }
        position += 1
        walk(endsAtParenthesis: true)
        position += 1
    }
}
