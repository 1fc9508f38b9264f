// Unsafe code lives in two rooms, and each claim of safety says why it holds.

import Testing

@Suite struct `Unsafe code` {
    private static let rooms = ["Sources/EventStore/Storage/", "Sources/NATSMessaging/"]
    /// Executables ask the operating system for the time and for signals: single calls, never `@unchecked`.
    private static let doors = ["Sources/lattice/", "Sources/lattice-bench/"]
    private static let words = [
        "unsafe", "nonisolated(unsafe)", "unsafeBitCast", "withUnsafeBytes", "UnsafeRawPointer",
    ]

    @Test func `unsafe code is in the rooms for it`() {
        let findings = SourceTree.sources.filter { file in
            !(Self.rooms + Self.doors).contains { file.path.hasPrefix($0) }
        }.flatMap { file in
            file.findings(of: Self.words) { "`\($0)` outside \(Self.rooms.joined(separator: " and "))" }
        }
        expectNone(findings, "Unsafe code:")
    }

    @Test func `unchecked Sendable is in the rooms for it, and the line above says why it is safe`() {
        var findings: [Finding] = []
        for file in SourceTree.swift {
            for (offset, line) in file.codeLines.enumerated() where line.contains("@unchecked") {
                let isInRoom = Self.rooms.contains { file.path.hasPrefix($0) }
                if !isInRoom && file.path.hasPrefix("Sources/") {
                    findings.append(
                        Finding(path: file.path, line: offset + 1, message: "`@unchecked` outside the rooms"))
                }
                if !Self.isExplained(file, offset) {
                    findings.append(
                        Finding(path: file.path, line: offset + 1, message: "no `// Safe because …` above `@unchecked`")
                    )
                }
            }
        }
        expectNone(findings, "@unchecked Sendable:")
    }

    /// Whether the comment right above, of one line or several, gives the reason.
    private static func isExplained(_ file: SwiftFile, _ offset: Int) -> Bool {
        let lines = file.text.lines
        for index in stride(from: offset - 1, through: 0, by: -1) {
            let line = lines[index].text.drop(while: \.isWhitespace)
            if line.hasPrefix("// Safe because ") { return true }
            if !line.hasPrefix("//") && !line.hasPrefix("@") { return false }
        }
        return false
    }
}
