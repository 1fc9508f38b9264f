// Every event that the code knows is in the schemas' examples and in the AsyncAPI document.

import Testing

@Suite struct `Schemas and events` {
    private static let eventTypes = "Sources/EventModel/Wire/EventType.swift"

    @Test func `every event type has golden examples`() throws {
        let names = try Self.eventNames()
        let files = Set(SourceTree.paths(below: "schemas/golden"))
        try #require(!files.isEmpty, "schemas/golden is gone")
        var findings: [Finding] = []
        for (line, name) in names {
            for example in ["required", "typical", "full"].map({ "schemas/golden/\(name).\($0)" }) {
                for path in [example + ".json", example + ".hex"] where !files.contains(path) {
                    findings.append(Finding(path: Self.eventTypes, line: line, message: "\(path) is missing"))
                }
            }
        }
        expectNone(findings, "Events without a golden example:")
    }

    @Test func `every event type stands in the AsyncAPI document`() throws {
        let document = try #require(TextFile(path: "schemas/asyncapi.yaml"), "schemas/asyncapi.yaml is gone")
        let addresses = document.lines.filter { $0.text.contains("address: '{prefix}.events.") }.map(\.text)
        let findings = try Self.eventNames().compactMap { line, name -> Finding? in
            if addresses.contains(where: { $0.hasSuffix(".\(name)'") }) { return nil }
            return Finding(
                path: Self.eventTypes, line: line, message: "`\(name)` has no address in schemas/asyncapi.yaml")
        }
        expectNone(findings, "Events that AsyncAPI does not know:")
    }

    /// Line and wire name of each case, read from the switch that names them.
    private static func eventNames() throws -> [(line: Int, name: String)] {
        let file = try #require(TextFile(path: eventTypes), "the event types have moved")
        let names = file.lines.compactMap { number, line -> (line: Int, name: String)? in
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
            let isRow = parts.count == 3 && parts[0].contains("case .") && parts[0].hasSuffix(": ")
            return isRow ? (number, String(parts[1])) : nil
        }
        let cases = file.lines.filter { $0.text.hasPrefix("    case ") && $0.text.contains(" = ") }
        #expect(names.count == cases.count, "\(eventTypes): a case without a name, or a name without a case")
        return names
    }
}
