// Nothing half done and nothing of somebody's machine is committed.

import Testing

@Suite struct `Leftovers` {
    // Put together here, so that these lines do not find themselves.
    private static let reminders = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "fatalError(\"not " + "implemented"]
    private static let machinePaths = ["work", "home", "root", "Users"].map { "/" + $0 + "/" }

    @Test func `nothing waits to be done`() {
        var findings: [Finding] = []
        for file in SourceTree.texts {
            for (number, line) in file.lines {
                for word in Self.reminders where Words.contains(line, word) {
                    findings.append(
                        Finding(path: file.path, line: number, message: "`\(word)`: do it or write an issue"))
                }
            }
        }
        expectNone(findings, "Left to be done:")
    }

    @Test func `no text names a folder of one machine`() {
        var findings: [Finding] = []
        for file in SourceTree.texts {
            for (number, line) in file.lines {
                for path in Self.machinePaths where Self.names(line, path) {
                    findings.append(
                        Finding(
                            path: file.path, line: number, message: "a path below `\(path)` exists on one machine only")
                    )
                }
            }
        }
        expectNone(findings, "Paths of a machine:")
    }

    /// Whether the path stands at the beginning of a word: within a longer path it is another folder.
    private static func names(_ line: Substring, _ path: String) -> Bool {
        var rest = line
        while let range = rest.firstRange(of: path) {
            if range.lowerBound == line.startIndex { return true }
            let before = line[line.index(before: range.lowerBound)]
            if !before.isLetter && !before.isNumber && !"._-~/}*".contains(before) { return true }
            rest = line[range.upperBound...]
        }
        return false
    }
}
