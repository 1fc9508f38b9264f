// The AsyncAPI document names every subject and message, with the golden examples.

import EventModel
import Foundation
import Testing

@Suite struct `AsyncAPI document` {
    private static let file = GoldenExample.schemas.appendingPathComponent("asyncapi.yaml")
    private let document: String

    init() throws { document = try String(contentsOf: Self.file, encoding: .utf8) }

    @Test(arguments: EventType.allCases) func `every event has its subject and its message`(_ type: EventType) {
        let owner =
            switch type.family {
            case .registry, .trace: "{service}."
            case .mirror: "{source}."
            case .policy, .audit: "{principal}."
            case .clock: ""
            }
        #expect(document.contains("    address: '{prefix}.events.\(type.family.rawValue).\(owner)\(type.name)'\n"))
        #expect(document.contains("\n    \(type.name):\n      name: \(type.name)\n"))
    }

    @Test func `every query has its subject and its answer`() {
        let registry = RegistryQueryName.allCases.map { ("registry.\($0.rawValue)", $0.answer) }
        let node = NodeQueryName.allCases.map { ("node.\($0.rawValue)", $0.answer) }
        let trace = TraceQueryName.allCases.map { ("trace.\($0.rawValue)", $0.answer) }
        let mirror = MirrorQueryName.allCases.map { ("mirror.\($0.rawValue)", $0.answer) }
        let audit = AuditQueryName.allCases.map { ("audit.\($0.rawValue)", $0.answer) }
        for (name, answer) in registry + mirror + trace + node + audit {
            #expect(document.contains("    address: '{prefix}.queries.\(name)'\n"))
            let operation = document.components(separatedBy: "\n  answer.\(name):\n").last ?? ""
            let reply = operation.components(separatedBy: "\n  answer.").first ?? ""
            #expect(reply.contains("'#/channels/reply/messages/\(answer.rawValue)'"), "\(name)")
        }
    }

    @Test func `every message but the tools' record is described`() {
        for kind in MessageKind.allCases where kind != .eventRecord {
            #expect(document.contains("\n    \(kind.rawValue):\n      name: \(kind.rawValue)\n"))
        }
        for subject in ["rejected", "changes.registry.{service}", "changes.mirror.{service}", "anchors"] {
            #expect(document.contains("    address: '{prefix}.\(subject)'\n"))
        }
    }

    @Test func `the examples are the typical golden ones`() {
        let compact = GoldenExample.compact(Array(document.utf8))
        for example in GoldenExample.all where example.name.hasSuffix(".typical") {
            if case .message(.eventRecord) = example.kind { continue }
            #expect(compact.contains("payload:" + GoldenExample.compact(example.json)), "\(example.name)")
        }
    }

    @Test func `it is YAML whose references lead somewhere, as far as python3 can tell`() throws {
        let script = """
            import sys
            try: import yaml
            except ImportError: sys.exit(0)
            root = yaml.safe_load(open(sys.argv[1]))
            def walk(node):
                if isinstance(node, dict):
                    target = node.get("$ref", "")
                    if target.startswith("#/"):
                        found = root
                        for part in target[2:].split("/"): found = found[part]
                    for value in node.values(): walk(value)
                elif isinstance(node, list):
                    for value in node: walk(value)
            walk(root)
            sys.exit(0 if root["asyncapi"].startswith("3.") else 1)
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, Self.file.path]
        try process.run()
        process.waitUntilExit()
        // 127: there is no python3 here.
        #expect([0, 127].contains(process.terminationStatus))
    }
}
