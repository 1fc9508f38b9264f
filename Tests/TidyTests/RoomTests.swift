// Rooms: a folder is a concept that one can look over, a type's name has one meaning, and what is cited is there.

import Foundation
import Testing

@Suite struct `Rooms` {
    private static let folderMaximum = 25

    @Test func `no folder holds more than 25 Swift files`() {
        var counts: [String: Int] = [:]
        for file in SourceTree.swift {
            counts[file.path.split(separator: "/").dropLast().joined(separator: "/"), default: 0] += 1
        }
        let findings = counts.filter { $0.value > Self.folderMaximum }.map {
            Finding(path: $0.key, line: 1, message: "\($0.value) files; give its concepts folders")
        }
        expectNone(findings, "Folders of more than \(Self.folderMaximum) files:")
    }

    @Test func `a type's name has one meaning`() throws {
        let declaration =
            /^(?:package |public |internal )?(?:final |indirect )*(?:struct|enum|class|actor|protocol|typealias) (\w+)/
        // The SDK hands out the vocabulary under its own names.
        let vocabulary = "Sources/LatticeClient/Vocabulary.swift"
        var places: [String: [Finding]] = [:]
        for file in SourceTree.sources where file.path != vocabulary {
            for (offset, line) in file.codeLines.enumerated() {
                guard let match = line.prefixMatch(of: declaration) else { continue }
                let finding = Finding(
                    path: file.path, line: offset + 1, message: "`\(match.1)` is declared elsewhere, too")
                places[String(match.1), default: []].append(finding)
            }
        }
        // Public types of the SDK that answer what the core computes.
        let shared: Set = ["TraceSearch", "TraceSummary", "CapturedExchange"]
        let findings = places.filter { $0.value.count > 1 && !shared.contains($0.key) }.values.flatMap(\.self)
        expectNone(findings, "Names with more than one meaning:")
    }

    @Test func `every page that is cited is in the repository`() {
        let pages = Set(SourceTree.paths().filter { $0.hasSuffix(".md") }.compactMap { $0.split(separator: "/").last })
        var findings: [Finding] = []
        for file in SourceTree.texts where Self.cites(file.path) {
            for (number, line) in file.lines where !line.contains("://") {
                for match in line.matches(of: /\b([A-Za-z0-9-]+\.md)\b/) where !pages.contains(match.1) {
                    findings.append(Finding(path: file.path, line: number, message: "there is no page `\(match.1)`"))
                }
            }
        }
        expectNone(findings, "Pages that are cited and not there:")
    }

    @Test func `every decision that is cited has its record`() {
        let folder = "Documentation/LatticeForge.docc/Decisions/"
        let records = Set(
            SourceTree.paths(below: String(folder.dropLast())).compactMap { path in
                path.dropFirst(folder.count).prefix { $0.isNumber }.isEmpty
                    ? nil : Int(path.dropFirst(folder.count).prefix(3))
            })
        var findings: [Finding] = []
        for file in SourceTree.texts where Self.cites(file.path) {
            for (number, line) in file.lines {
                for match in line.matches(of: /[Dd]ecisions? (\d+)(?:(?:,| and| to) (\d+))?/) {
                    for cited in [match.1, match.2 ?? match.1].compactMap({ Int($0) }) where !records.contains(cited) {
                        findings.append(
                            Finding(path: file.path, line: number, message: "there is no record of decision \(cited)"))
                    }
                }
            }
        }
        expectNone(findings, "Decisions that are cited and not recorded:")
    }

    @Test func `every record of a decision is listed`() throws {
        let page = "Documentation/LatticeForge.docc/Decisions.md"
        let list = try #require(TextFile(path: page), "the list of decisions is gone").text
        let records = SourceTree.paths(below: "Documentation/LatticeForge.docc/Decisions").compactMap {
            $0.split(separator: "/").last?.dropLast(".md".count)
        }
        #expect(records.count > 80)
        let findings = records.filter { !list.contains("<doc:\($0)>") }.map {
            Finding(path: page, line: 1, message: "`\($0)` is not listed")
        }
        expectNone(findings, "Records that are not listed:")
    }

    @Test func `every page of the catalogue is among its topics`() throws {
        let folder = "Documentation/LatticeForge.docc/"
        let start = try #require(TextFile(path: folder + "LatticeForge.md"), "the first page is gone")
        let pages = SourceTree.paths(below: String(folder.dropLast())).map { $0.dropFirst(folder.count) }
        let findings = pages.filter { $0.hasSuffix(".md") && !$0.contains("/") && $0 != "LatticeForge.md" }
            .filter { !start.text.contains("- <doc:\($0.dropLast(".md".count))>") }
            .map { Finding(path: start.path, line: 1, message: "`\($0)` is among no topics") }
        expectNone(findings, "Pages that no topic leads to:")
    }

    @Test func `nothing is explained by a number of a tracker`() {
        var findings: [Finding] = []
        for file in SourceTree.texts where Self.cites(file.path) {
            for (number, line) in file.lines {
                for match in line.matches(of: /\b(?:Tasks? [1-9]|[Ii]ssues? #?[0-9]+)\b/) {
                    findings.append(
                        Finding(path: file.path, line: number, message: "`\(match.output)`: say what it means"))
                }
            }
        }
        expectNone(findings, "Numbers that only a tracker explains:")
    }

    @Test func `links between pages of the catalogue stay within a catalogue`() {
        var findings: [Finding] = []
        for file in SourceTree.texts where file.path.hasSuffix(".md") && !file.path.contains(".docc/") {
            for (number, line) in file.lines where line.contains("<doc:") {
                findings.append(
                    Finding(path: file.path, line: number, message: "a dead link outside of DocC; link to the file"))
            }
        }
        expectNone(findings, "Links that only DocC follows:")
    }

    @Test func `every source file that a page names is there`() {
        let paths = SourceTree.paths().filter { $0.hasSuffix(".swift") || $0.hasSuffix(".c") || $0.hasSuffix(".proto") }
        // What a page may write: the path, or any end of it that begins behind a slash.
        var ends: Set<Substring> = []
        for path in paths {
            var rest = path[...]
            ends.insert(rest)
            while let slash = rest.firstIndex(of: "/") {
                rest = rest[rest.index(after: slash)...]
                ends.insert(rest)
            }
        }
        var findings: [Finding] = []
        for file in SourceTree.texts where file.path.hasSuffix(".md") && Self.cites(file.path) {
            for (number, line) in file.lines {
                for match in line.matches(of: /`([A-Za-z0-9_\/.+-]+\.(?:swift|c|proto))`/) where !ends.contains(match.1)
                {
                    findings.append(Finding(path: file.path, line: number, message: "`\(match.1)` is not there"))
                }
            }
        }
        expectNone(findings, "Files that pages name and that are not there:")
    }

    @Test func `cannot is one word`() {
        // Put together here, so that this line does not find itself.
        let words = ["can " + "not", "Can " + "not"]
        var findings: [Finding] = []
        for file in SourceTree.texts {
            let isPage = file.path.hasSuffix(".md") || file.path.hasSuffix(".proto")
            guard isPage || file.path.hasSuffix(".swift") else { continue }
            for (number, line) in file.lines where words.contains(where: { Words.contains(line, $0) }) {
                let isComment = line.drop(while: \.isWhitespace).hasPrefix("//")
                guard isPage || isComment else { continue }
                findings.append(Finding(path: file.path, line: number, message: "write `cannot`"))
            }
        }
        expectNone(findings, "Two words for one:")
    }

    /// What was written for readers of this repository; the changelog tells of what was.
    private static func cites(_ path: String) -> Bool {
        !path.hasPrefix("schemas/opentelemetry/") && !path.contains("/Generated/") && path != "CHANGELOG.md"
            && path != "Tests/TidyTests/RoomTests.swift"
    }
}
