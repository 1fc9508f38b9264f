// Cases that others made (LATTICE_CONFORMANCE, folder json_diff), read in place; skipped where the folder is absent.

import EventModel
import Foundation
import Testing

@testable import MeshRules
@testable import StateMachines

/// One case: two documents and what is expected of their comparison.
struct ConformanceCase: Sendable, CustomStringConvertible {
    let id: String
    let left: String
    let right: String
    let isEqual: Bool
    /// `kind pointer`, or nil where the file says nothing of them.
    let expected: [String]?

    var description: String { id }

    /// The folder of the cases, or nil.
    static let folder: URL? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let named = ProcessInfo.processInfo.environment["LATTICE_CONFORMANCE"].map { URL(fileURLWithPath: $0) }
        let folder = (named ?? root.appendingPathComponent("../shared/conformance")).appendingPathComponent("json_diff")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    static let all: [ConformanceCase] = {
        guard let folder else { return [] }
        return ["diffy_cases", "json_equality", "json_patch_pairs"].flatMap { name in
            let file = folder.appendingPathComponent(name + ".json")
            guard let content = FileManager.default.contents(atPath: file.path),
                let tape = try? JSONTapeParser.parse(Array(content), depthMaximum: 64, bytesMaximum: 10_000_000)
            else { preconditionFailure("\(file.path) can not be read") }
            return JSONView(tape, 0)["cases"]!.elements.map { ConformanceCase($0) }
        }
    }()

    private init(_ view: JSONView) {
        id = view["id"]!.text
        left = view["left"]!.source
        right = view["right"]!.source
        isEqual = view["equal"]!.source == "true"
        let list = view["strict_index_diff"] ?? view["differences_by_index"]
        expected = list?.elements.map { difference in
            let kind = difference["kind"]!.text
            return "\(kind == "extra" ? "unexpected" : kind) \(difference["pointer"]!.text)"
        }
    }
}

/// A value of a tape with its members, for tests.
struct JSONView {
    private let tape: JSONTape
    private let node: Int

    init(_ tape: JSONTape, _ node: Int) {
        self.tape = tape
        self.node = node
    }

    private var value: JSONNode { tape.nodes[node] }
    var text: String { String(decoding: tape.bytes(value.text), as: UTF8.self) }
    var source: String { String(decoding: tape.body[Int(value.start)..<Int(value.end)], as: UTF8.self) }

    var elements: [JSONView] {
        var child = node + 1
        return (0..<value.childCount).map { _ in
            defer { child = Int(tape.nodes[child].next) }
            return JSONView(tape, child)
        }
    }

    subscript(name: String) -> JSONView? {
        elements.first { String(decoding: tape.bytes($0.value.key), as: UTF8.self) == name }
    }
}

@Suite(.enabled(if: ConformanceCase.folder != nil, "no conformance cases here; LATTICE_CONFORMANCE names their folder"))
struct `Conformance of the comparison` {
    /// Cases that are answered differently on purpose, with the reason. None so far.
    private static let deliberate: [String: String] = [:]

    @Test(arguments: ConformanceCase.all) func `equal or not, and which paths`(_ example: ConformanceCase) {
        if Self.deliberate[example.id] != nil { return }
        let there = compareResponses(production: json(example.left), shadow: json(example.right))
        #expect(there.notes == [])
        #expect((there.verdict == .equal) == example.isEqual)
        if let expected = example.expected {
            let found = there.differences.map { "\($0.kind.name) \($0.path)" }
            #expect(found.sorted() == expected.sorted())
        }
        let back = compareResponses(production: json(example.right), shadow: json(example.left))
        #expect(back.differenceCount == there.differenceCount)
    }

    @Test func `all files are read`() {
        #expect(ConformanceCase.all.count >= 101)
    }
}
