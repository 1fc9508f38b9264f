// Numbers are converted by an initializer that says which: without its argument the compiler may pick another one.

import Testing

@Suite struct `Conversions of numbers` {
    private static let types =
        ["Double", "Float"] + ["Int", "UInt"].flatMap { name in ["", "8", "16", "32", "64"].map { name + $0 } }

    /// `Double.init` where a function is expected may be `init(bitPattern:)` or `init(exactly:)`: labels do not take part.
    private static func namesNoInitializer(_ line: Substring) -> Bool {
        types.contains { type in
            var rest = line
            while let range = rest.firstRange(of: type + ".init") {
                let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : " "
                let after = range.upperBound < line.endIndex ? line[range.upperBound] : " "
                let isWhole = !before.isLetter && !before.isNumber && before != "_" && before != "."
                if isWhole && after != "(" && !after.isLetter { return true }
                rest = line[range.upperBound...]
            }
            return false
        }
    }

    @Test func `say which initializer converts`() {
        var findings: [Finding] = []
        for file in SourceTree.swift {
            for (offset, line) in file.codeLines.enumerated() where Self.namesNoInitializer(line) {
                findings.append(
                    Finding(
                        path: file.path, line: offset + 1,
                        message: "a numeric `.init` without its argument: write `{ Double($0) }`"))
            }
        }
        expectNone(findings, "Conversions whose initializer nobody chose:")
    }

    @Test(arguments: [
        ("daysLeft.map(Double.init) ?? -1", true), ("weights.map( Int.init )", true), ("parse(UInt64.init, 7)", true),
        ("let convert = Double.init", true), ("values.map { Double($0) }", false), ("Double.init(3)", false),
        ("lines.map(String.init)", false), ("values.map(Double.init(bitPattern:))", false),
        ("values.map(MyDouble.init)", false),
    ])
    func `are told apart from those that say it`(_ example: (String, Bool)) {
        #expect(Self.namesNoInitializer(example.0[...]) == example.1, "\(example.0)")
    }
}
