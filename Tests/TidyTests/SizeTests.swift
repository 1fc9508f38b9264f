// Files and functions stay small enough to be read at one sitting, and each file says what it is.

import Testing

@Suite struct `Sizes` {
    private static let fileLinesMaximum = 400
    private static let functionLinesMaximum = 60

    @Test func `no file is longer than 400 lines`() {
        let findings = SourceTree.swift.compactMap { file -> Finding? in
            let count = file.codeLines.count - (file.codeLines.last == "" ? 1 : 0)
            if count <= Self.fileLinesMaximum { return nil }
            return Finding(path: file.path, line: count, message: "\(count) lines; split it by concept")
        }
        expectNone(findings, "Files of more than \(Self.fileLinesMaximum) lines:")
    }

    @Test func `no function is longer than 60 lines`() {
        let findings = SourceTree.swift.flatMap { file in
            FunctionFinder.functions(in: file.code).compactMap { function -> Finding? in
                if function.lineCount <= Self.functionLinesMaximum { return nil }
                return Finding(
                    path: file.path, line: function.line,
                    message: "`\(function.keyword)` of \(function.lineCount) lines; give its steps names")
            }
        }
        expectNone(findings, "Functions of more than \(Self.functionLinesMaximum) lines:")
    }

    @Test func `each file opens with a sentence on what it is`() {
        let findings = SourceTree.swift.compactMap { file -> Finding? in
            let first = file.text.lines.first {
                !$0.text.hasPrefix("// swift-tools-version") && !$0.text.hasPrefix("#!")
            }
            guard let first else { return nil }
            let words = first.text.dropFirst(2).split(separator: " ")
            if first.text.hasPrefix("// ") && words.count >= 3 { return nil }
            return Finding(path: file.path, line: 1, message: "the first line is not a `// ` sentence on the file")
        }
        expectNone(findings, "Files without an opening sentence:")
    }
}

/// A function's place and length.
struct FunctionExtent {
    var keyword: String
    var line: Int
    var lineCount: Int
}

/// Finds functions by counting braces in code whose strings and comments are blank.
enum FunctionFinder {
    private static let keywords = ["func", "init", "deinit", "subscript"]
    /// What begins a declaration: a function before it had no body.
    private static let starts: Set<String> = [
        "func", "init", "deinit", "subscript", "var", "let", "static", "mutating", "associatedtype", "typealias",
        "struct", "enum", "class", "actor", "case", "package", "public", "private", "fileprivate",
    ]

    static func functions(in code: [UInt8]) -> [FunctionExtent] {
        var found: [FunctionExtent] = []
        var line = 1
        var position = 0
        while position < code.count {
            if code[position] == UInt8(ascii: "\n") { line += 1 }
            guard isWordStart(code, position) else {
                position += 1
                continue
            }
            let word = self.word(code, position)
            let isMember = position > 0 && code[position - 1] == UInt8(ascii: ".")
            if !isMember, keywords.contains(word), let extent = extent(code, position, word, line) {
                found.append(extent)
            }
            position += max(1, word.utf8.count)
        }
        return found
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
            || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")) || byte >= 0x80
    }

    private static func isWordStart(_ code: [UInt8], _ position: Int) -> Bool {
        isLetter(code[position]) && (position == 0 || !isLetter(code[position - 1]))
    }

    private static func word(_ code: [UInt8], _ start: Int) -> String {
        var end = start
        while end < code.count, isLetter(code[end]) { end += 1 }
        return String(decoding: code[start..<end], as: UTF8.self)
    }

    /// From the keyword to the brace that closes the body; nil where there is no body.
    private static func extent(_ code: [UInt8], _ start: Int, _ keyword: String, _ line: Int) -> FunctionExtent? {
        guard let open = bodyStart(code, start + keyword.utf8.count) else { return nil }
        var depth = 0
        for position in open..<code.count {
            if code[position] == UInt8(ascii: "{") { depth += 1 }
            if code[position] == UInt8(ascii: "}") { depth -= 1 }
            if depth == 0 {
                let count = code[start...position].count { $0 == UInt8(ascii: "\n") } + 1
                return FunctionExtent(keyword: keyword, line: line, lineCount: count)
            }
        }
        return nil
    }

    private static func bodyStart(_ code: [UInt8], _ start: Int) -> Int? {
        var depth = 0
        var isLineStart = false
        var position = start
        while position < code.count {
            switch code[position] {
            case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "{") where depth == 0: return position
            case UInt8(ascii: "}") where depth == 0: return nil
            case UInt8(ascii: "\n"): isLineStart = true
            case UInt8(ascii: "@") where isLineStart && depth == 0: return nil
            case let byte where isLetter(byte) && isLineStart && depth == 0:
                if starts.contains(word(code, position)) { return nil }
                isLineStart = false
            case UInt8(ascii: " "): break
            default: isLineStart = false
            }
            if depth < 0 { return nil }
            position += 1
        }
        return nil
    }
}
