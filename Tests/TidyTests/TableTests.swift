// Tables of the documentation that follow the code: the specification's names, and the frozen limits.

import Testing

@Suite struct `The table of the specification's names` {
    private static let page = "Documentation/LatticeForge.docc/Specification.md"

    @Test func `what it calls the SDK's is public`() throws {
        let table = try #require(TextFile(path: Self.page), "the table is gone")
        let declarations = SourceTree.sources.filter { ["EventModel", "LatticeClient"].contains($0.target) }
            .flatMap(\.codeLines).filter { Words.contains($0, "public") }
        var findings: [Finding] = []
        var count = 0
        for (number, line) in table.lines where line.hasPrefix("| ") {
            for name in Self.names(in: line) {
                count += 1
                if declarations.contains(where: { Words.contains($0, name) }) { continue }
                findings.append(Finding(path: Self.page, line: number, message: "`\(name)` is not public"))
            }
        }
        #expect(count > 30, "the table has another form than this test reads")
        expectNone(findings, "Names that no user of the package can call:")
    }

    @Test func `it finds the names behind the word`() {
        let row = "| `a` | query `b`; SDK: `C.d`, and `e(of:)`; package: `f` | `g` |"
        #expect(Self.names(in: row[...]) == ["d", "e"])
        #expect(Self.names(in: "| `a` | package: `f` | `g` |"[...]).isEmpty)
    }

    /// The last parts of the names between `SDK:` and the end of that part of the cell.
    private static func names(in line: Substring) -> [String] {
        line.split(separator: "SDK: ", omittingEmptySubsequences: false).dropFirst().flatMap { part in
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
