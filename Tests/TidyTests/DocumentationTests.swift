// What users of the package see is documented, and the pages lead where they say.

import Testing

@Suite struct `Documentation` {
    private static let kinds = [
        "func", "struct", "class", "enum", "actor", "protocol", "typealias", "subscript", "var", "let", "init",
    ]

    // Stored properties and initialisers of value types are described by their type; all else says what it is. Nobody
    // imports an executable: what is public there only meets a protocol of another module.
    @Test func `public declarations have doc comments`() {
        var findings: [Finding] = []
        for file in SourceTree.sources where !file.target.hasPrefix("lattice") {
            for (offset, line) in file.codeLines.enumerated() where Self.isPublicDeclaration(line) {
                if Self.isPlain(line) || Self.isDocumented(file, offset) { continue }
                let name = line.drop(while: \.isWhitespace).prefix(60)
                findings.append(Finding(path: file.path, line: offset + 1, message: "no `///` above `\(name)`"))
            }
        }
        expectNone(findings, "Public declarations without a doc comment:")
    }

    private static func isPublicDeclaration(_ line: Substring) -> Bool {
        let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "@" }
        guard let access = words.firstIndex(of: "public") else { return false }
        return words[access...].contains { kinds.contains(String($0)) }
    }

    /// A stored property or an initialiser of parts.
    private static func isPlain(_ line: Substring) -> Bool {
        let isProperty = Words.contains(line, "public var") || Words.contains(line, "public let")
        if isProperty { return !line.contains("{") }
        return Words.contains(line, "public init")
    }

    private static func isDocumented(_ file: SwiftFile, _ offset: Int) -> Bool {
        let lines = file.text.lines
        for index in stride(from: offset - 1, through: 0, by: -1) {
            let line = lines[index].text.drop(while: \.isWhitespace)
            if line.hasPrefix("///") { return true }
            if !line.hasPrefix("@") && !line.hasPrefix("//") { return false }
        }
        return false
    }

    @Test func `relative links between pages lead to files`() {
        var findings: [Finding] = []
        for file in SourceTree.texts where file.path.hasSuffix(".md") && !file.path.contains(".docc/") {
            let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
            for (number, line) in file.lines {
                for target in Self.linkTargets(line) where !Self.exists(target, from: folder) {
                    findings.append(Finding(path: file.path, line: number, message: "`\(target)` is not there"))
                }
            }
        }
        expectNone(findings, "Links that lead nowhere:")
    }

    @Test func `the catalogue's links lead to pages`() {
        let pages = SourceTree.texts.filter { $0.path.contains(".docc/") && $0.path.hasSuffix(".md") }
        let names = Set(pages.compactMap { $0.path.split(separator: "/").last?.dropLast(3) }.map(String.init))
        var findings: [Finding] = []
        for page in pages {
            for (number, line) in page.lines {
                for part in line.split(separator: "<doc:").dropFirst(line.hasPrefix("<doc:") ? 0 : 1) {
                    let name = String(part.prefix { $0 != ">" && $0 != "#" })
                    if names.contains(name) { continue }
                    findings.append(Finding(path: page.path, line: number, message: "there is no page `\(name)`"))
                }
            }
        }
        expectNone(findings, "Links of the catalogue that lead nowhere:")
    }

    private static func linkTargets(_ line: Substring) -> [String] {
        line.split(separator: "](").dropFirst().compactMap { part in
            let target = part.prefix { $0 != ")" && $0 != "#" }
            return target.isEmpty || target.contains("://") || target.hasPrefix("mailto:") ? nil : String(target)
        }
    }

    private static func exists(_ target: String, from folder: String) -> Bool {
        var parts = folder.split(separator: "/").map(String.init)
        for part in target.split(separator: "/") {
            switch part {
            case ".": break
            case "..": _ = parts.popLast()
            default: parts.append(String(part))
            }
        }
        let path = parts.joined(separator: "/")
        return known.contains { $0 == path || $0.hasPrefix(path + "/") }
    }

    private static let known = SourceTree.paths()
}
