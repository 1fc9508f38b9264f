// Tables of the documentation that follow the code: the specification's names, and the frozen limits.

import Testing

@Suite struct `The table of the specification's names` {
    private static let page = "Documentation/LatticeForge.docc/Specification.md"

    @Test(arguments: [
        (word: "SDK: ", targets: ["EventModel", "LatticeClient"], count: 30),
        (word: "LatticeCore: ", targets: ["EventModel", "LatticeCore"], count: 45),
    ])
    func `what it calls a product's is public there`(_ product: (word: String, targets: [String], count: Int)) throws {
        let table = try #require(TextFile(path: Self.page), "the table is gone")
        let declarations = SourceTree.sources.filter { product.targets.contains($0.target) }
            .flatMap(\.codeLines).filter { Words.contains($0, "public") }
        var findings: [Finding] = []
        var count = 0
        for (number, line) in table.lines where line.hasPrefix("| ") {
            for name in Self.names(in: line, behind: product.word) {
                count += 1
                if declarations.contains(where: { Words.contains($0, name) }) { continue }
                findings.append(Finding(path: Self.page, line: number, message: "`\(name)` is not public"))
            }
        }
        #expect(count > product.count, "the table has another form than this test reads")
        expectNone(findings, "Names that no user of the package can call:")
    }

    @Test func `each row says what a user of the package calls`() throws {
        let table = try #require(TextFile(path: Self.page), "the table is gone")
        var findings: [Finding] = []
        for (number, line) in table.lines where line.hasPrefix("| ") && !line.hasPrefix("| specification |") {
            let cells = line.split(separator: " | ")
            // Fields stand below their type.
            if cells.count < 2 || cells[0].hasPrefix("| its ") || cells[1].contains("SDK: ") { continue }
            if cells[1].contains("LatticeCore: ") { continue }
            findings.append(Finding(path: Self.page, line: number, message: "neither `SDK:` nor `LatticeCore:`"))
        }
        expectNone(findings, "Names that no user of the package can call:")
    }

    @Test func `every function and object of LatticeCore is in it`() throws {
        let text = try #require(TextFile(path: Self.page), "the table is gone").text
        var findings: [Finding] = []
        var count = 0
        for file in SourceTree.sources where file.target == "LatticeCore" {
            for (offset, line) in file.codeLines.enumerated() {
                guard let match = line.prefixMatch(of: /public (?:func |struct (?=Local))(\w+)/) else { continue }
                count += 1
                if text.contains("LatticeCore: `\(match.1)`") { continue }
                findings.append(Finding(path: file.path, line: offset + 1, message: "`\(match.1)` is not in the table"))
            }
        }
        #expect(count > 14, "the sources have another form than this test reads")
        expectNone(findings, "Names of LatticeCore without a row:")
    }

    @Test func `it finds the names behind the word`() {
        let row = "| `a` | query `b`; SDK: `C.d`, and `e(of:)`; LatticeCore: `f` | `g` |"[...]
        #expect(Self.names(in: row, behind: "SDK: ") == ["d", "e"])
        #expect(Self.names(in: row, behind: "LatticeCore: ") == ["f"])
        #expect(Self.names(in: "| `a` | query `f` | `g` |"[...], behind: "SDK: ").isEmpty)
    }

    /// The last parts of the names between the word and the end of that part of the cell.
    private static func names(in line: Substring, behind word: String) -> [String] {
        line.split(separator: word, omittingEmptySubsequences: false).dropFirst().flatMap { part in
            part.prefix { $0 != ";" && $0 != "|" }.matches(of: /`([A-Za-z_.]+)/).compactMap { match in
                match.1.split(separator: ".").last.map { String($0) }
            }
        }
    }
}

@Suite struct `The page on limits` {
    @Test func `has every frozen limit`() throws {
        let page = "Documentation/LatticeForge.docc/Limits.md"
        let text = try #require(TextFile(path: page), "the page is gone").text
        var count = 0
        for path in ["Sources/EventModel/Wire/Limits.swift", "Sources/EventModel/Mirror/MirrorValues.swift"] {
            let file = try #require(SwiftFile(path: path), "the limits have moved")
            for line in file.codeLines {
                guard let match = line.firstMatch(of: /public static let (\w+)/) else { continue }
                count += 1
                #expect(text.contains("`\(match.1)`"), "\(page) lacks `\(match.1)` of \(path)")
            }
        }
        #expect(count > 12, "the limits have moved")
    }
}
