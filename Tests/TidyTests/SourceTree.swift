// The files of this repository as the tidy tests see them, and what a breach looks like.

import Foundation
import Testing

/// A place that breaks a rule.
struct Finding: CustomStringConvertible, Comparable {
    var path: String
    var line: Int
    var message: String

    /// As compilers write it, so that editors find the place.
    var description: String { "\(path):\(line): \(message)" }

    static func < (left: Self, right: Self) -> Bool { (left.path, left.line) < (right.path, right.line) }
}

/// Fails the running test with one readable list.
func expectNone(_ findings: [Finding], _ rule: String, sourceLocation: SourceLocation = #_sourceLocation) {
    if findings.isEmpty { return }
    let list = findings.sorted().map { "  \($0)" }.joined(separator: "\n")
    Issue.record("\(rule)\n\(list)", sourceLocation: sourceLocation)
}

/// The repository on disk. `LATTICE_ROOT` names another one.
enum SourceTree {
    static let root: URL = {
        if let named = ProcessInfo.processInfo.environment["LATTICE_ROOT"] { return URL(fileURLWithPath: named) }
        return URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }()

    /// What machines make or people keep for themselves; see `.gitignore`.
    private static let passedOver: Set<String> = [
        ".build", ".git", ".swiftpm", ".venv", ".vscode", ".idea", "lattice-data", "__pycache__", "Package.resolved",
    ]

    private static let textExtensions: Set<String> = [
        "swift", "c", "h", "md", "sh", "py", "json", "yaml", "yml", "toml", "proto", "conf", "modulemap", "txt", "hex",
        "tutorial",
    ]

    /// Paths of all files below a folder, relative to the root, in order.
    static func paths(below folder: String = "") -> [String] {
        let start = folder.isEmpty ? root : root.appendingPathComponent(folder)
        var found: [String] = []
        collect(start, folder, &found)
        return found.sorted()
    }

    private static func collect(_ directory: URL, _ prefix: String, _ found: inout [String]) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        for name in names where !passedOver.contains(name) {
            let path = prefix.isEmpty ? name : prefix + "/" + name
            let url = directory.appendingPathComponent(name)
            let isFolder = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) != nil
            if isFolder { collect(url, path, &found) } else { found.append(path) }
        }
    }

    /// Every committed text.
    static let texts: [TextFile] = paths().filter { path in
        let name = path.split(separator: "/").last ?? ""
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return true }
        return textExtensions.contains(String(name[name.index(after: dot)...]))
    }.compactMap { TextFile(path: $0) }

    /// Every Swift file that people write.
    static let swift: [SwiftFile] = (paths(below: "Sources") + paths(below: "Tests"))
        .filter { $0.hasSuffix(".swift") && !$0.contains("/Generated/") }
        .compactMap { SwiftFile(path: $0) }

    /// Those of the shipped code.
    static let sources = swift.filter { $0.path.hasPrefix("Sources/") }
}

/// A text with its lines.
struct TextFile {
    let path: String
    let text: String
    /// Lines with their numbers, from 1.
    let lines: [(number: Int, text: Substring)]

    init?(path: String) {
        guard let data = FileManager.default.contents(atPath: SourceTree.root.appendingPathComponent(path).path),
            let text = String(validating: data, as: UTF8.self)
        else { return nil }
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map {
            ($0.offset + 1, $0.element)
        }
    }
}

/// A Swift file: as written, and as code alone.
struct SwiftFile {
    let path: String
    let text: TextFile
    /// The same bytes with the contents of comments and strings as blanks.
    let code: [UInt8]
    /// `code` as lines; index 0 is line 1.
    let codeLines: [Substring]

    init?(path: String) {
        guard let text = TextFile(path: path) else { return nil }
        self.path = path
        self.text = text
        code = CodeBlanker.blank(Array(text.text.utf8))
        codeLines = String(decoding: code, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The folder behind `Sources/` or `Tests/`.
    var target: String { String(path.split(separator: "/")[1]) }

    /// Lines of code that contain one of the words.
    func findings(of patterns: [String], _ message: (String) -> String) -> [Finding] {
        codeLines.enumerated().flatMap { offset, line in
            patterns.filter { Words.contains(line, $0) }.map {
                Finding(path: path, line: offset + 1, message: message($0))
            }
        }
    }
}

/// Words in lines.
enum Words {
    /// Whether a line contains a pattern that does not begin or end in the middle of a word.
    static func contains(_ line: Substring, _ pattern: String) -> Bool {
        var rest = line
        while let range = rest.firstRange(of: pattern) {
            let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : " "
            let after = range.upperBound < line.endIndex ? line[range.upperBound] : " "
            let startsWord = !isWord(pattern.first ?? " ") || !isWord(before)
            let endsWord = !isWord(pattern.last ?? " ") || !isWord(after)
            if startsWord && endsWord { return true }
            rest = line[line.index(after: range.lowerBound)...]
        }
        return false
    }

    private static func isWord(_ character: Character) -> Bool {
        character == "_" || character.isLetter || character.isNumber
    }
}
