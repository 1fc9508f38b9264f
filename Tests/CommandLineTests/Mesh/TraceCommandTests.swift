// The commands about traces, as people type them.

import Foundation
import TestKit
import Testing

@Suite struct `The commands about traces` {
    private static let other = "00000000000000000000000000000abc"

    /// A node that was sent one trace over OTLP and one more with other durations from a file.
    private func node() async throws -> ReceiverNode {
        let node = try await ReceiverNode()
        let answer = try await node.post("otlp_http", "/v1/traces", OTLPExample.request(note: "plain"))
        try #require(answer.status == 200, "\(answer)")
        return node
    }

    private static let jaeger = """
        {"data":[{"traceID":"abc","spans":[
        {"traceID":"abc","spanID":"1","operationName":"GET /","startTime":\(OTLPExample.seconds)000000,"duration":900000,
        "processID":"p1","tags":[{"key":"span.kind","type":"string","value":"server"}],"references":[],"logs":[]},
        {"traceID":"abc","spanID":"2","operationName":"evil\\u001b[2J","startTime":\(OTLPExample.seconds)100000,"duration":500000,
        "processID":"p1","tags":[],"logs":[],"references":[{"refType":"CHILD_OF","traceID":"abc","spanID":"1"}]}],
        "processes":{"p1":{"serviceName":"shop","tags":[]}}}]}
        """

    private func importing(_ node: ReceiverNode, _ name: String, _ text: String) async throws -> Ended {
        let file = try node.node.scratch.write(name, text)
        return try await node.node.lattice("import", file, "--json")
    }

    @Test func `ls finds and lists`() async throws {
        let node = try await node()
        let ended = try await node.node.lattice("trace", "ls", "--service", "shop", "--tag", "note=plain", "--errors")
        #expect(ended.status == 0 && ended.output.contains(OTLPExample.trace), "\(ended)")
        #expect(ended.output.contains("300ms"))
        let none = try await node.node.lattice("trace", "ls", "--min", "10s")
        #expect(none.status == 0 && none.output.contains("no traces"), "\(none)")
        let json = try await node.node.lattice("trace", "ls", "--json")
        #expect(try (json.json["traces"] as? [Any])?.count == 1)
    }

    @Test func `show draws a waterfall with the critical path`() async throws {
        let node = try await node()
        let ended = try await node.node.lattice("trace", "show", OTLPExample.trace, "--width", "100", "--tags")
        #expect(ended.status == 0, "\(ended)")
        let lines = ended.output.split(separator: "\n")
        let root = try #require(lines.first { $0.contains("shop: GET /") })
        #expect(root.hasPrefix("!") && root.contains("█") && root.contains("░") && root.contains("300ms"))
        let child = try #require(lines.first { $0.contains("  shop: query") })
        #expect(child.contains("█") && !child.contains("░"))
        #expect(ended.output.contains("note = plain") && ended.output.contains("status = boom"))
        #expect(lines.allSatisfy { $0.count <= 100 })
    }

    @Test func `critical-path tells sections and shares`() async throws {
        let node = try await node()
        let ended = try await node.node.lattice("trace", "critical-path", OTLPExample.trace)
        #expect(
            ended.status == 0 && ended.output.contains("100.0 %") && ended.output.contains("total 300ms"), "\(ended)")
        #expect(ended.output.split(separator: "\n").filter { $0.contains("  100ms  ") }.count == 3, "\(ended)")
    }

    @Test func `flame draws a picture that is XML`() async throws {
        let node = try await node()
        let file = node.node.scratch.path("flame.svg")
        let ended = try await node.node.lattice("trace", "flame", OTLPExample.trace, "--output", file)
        #expect(ended.status == 0, "\(ended)")
        let text = Scratch.text(file)
        #expect(text.hasPrefix("<?xml") && text.contains("<title>shop: query: 100ms, 33.3 %</title>"))
        let parser = XMLParserProbe()
        #expect(parser.accepts(text))
        let folded = try await node.node.lattice("trace", "flame", OTLPExample.trace, "--format", "folded")
        #expect(folded.output.contains("shop: GET /;shop: query 100000000"))
    }

    @Test func `import takes the three formats and lines of them, and compare holds two traces against each other`()
        async throws
    {
        let node = try await node()
        let jaeger = try await importing(node, "jaeger.json", Self.jaeger)
        #expect(jaeger.status == 0, "\(jaeger)")
        #expect(try jaeger.json["accepted"] as? Int == 2)
        let otlp = String(decoding: try OTLPExample.request(service: "other"), as: UTF8.self)
        let lines = try await importing(node, "otlp.jsonl", otlp + "\n" + otlp + "\n")
        #expect(try lines.json["documents"] as? Int == 2 && lines.status == 0, "\(lines)")
        let zipkin = try await importing(
            node, "zipkin.json",
            #"[{"traceId":"5","id":"5","timestamp":\#(OTLPExample.seconds)000000,"duration":1,"name":"z"}]"#)
        #expect(try zipkin.json["accepted"] as? Int == 1)
        let compared = try await node.node.lattice("trace", "compare", OTLPExample.trace, Self.other)
        #expect(compared.status == 0 && compared.output.contains("300ms -> 900ms"), "\(compared)")
        #expect(compared.output.contains("ways that are not gone equally often"))
    }

    @Test func `import says what it refused and what it could not read, and ends with 1`() async throws {
        let node = try await node()
        let mixed = #"[{"traceId":"5","id":"5","timestamp":5,"name":"z"},{"traceId":"5","id":"x","timestamp":5}]"#
        let refused = try await importing(node, "mixed.json", mixed)
        #expect(refused.status == 1)
        #expect(try refused.json["refused"] as? Int == 1 && refused.json["accepted"] as? Int == 1, "\(refused)")
        let unread = try await importing(node, "no.json", #"{"hello":1}"#)
        #expect(try unread.status == 1 && unread.json["unreadable"] as? Int == 1, "\(unread)")
        let absent = try await node.node.lattice("import", "nowhere.json")
        #expect(absent.status == 1 && absent.errors.contains("nowhere.json can not be read"))
    }

    @Test func `control characters of others never reach the terminal`() async throws {
        let node = try await node()
        _ = try await importing(node, "jaeger.json", Self.jaeger)
        for arguments in [
            ["trace", "show", Self.other], ["trace", "critical-path", Self.other], ["trace", "flame", Self.other],
            ["services", "shop"], ["trace", "compare", OTLPExample.trace, Self.other],
        ] {
            let ended = try await node.node.lattice(arguments)
            #expect(ended.status == 0 && !ended.output.contains("\u{1B}"), "\(arguments): \(ended)")
        }
    }

    @Test func `services and dependencies are tables, DOT, Mermaid and JSON`() async throws {
        let node = try await node()
        let spans = """
            [{"traceId":"a1","id":"1","kind":"CLIENT","name":"get","timestamp":\(OTLPExample.seconds)000000,"duration":5,
              "localEndpoint":{"serviceName":"we\\"b"}},
             {"traceId":"a1","id":"1","kind":"SERVER","name":"get","timestamp":\(OTLPExample.seconds)000001,"duration":3,
              "localEndpoint":{"serviceName":"api"},"shared":true}]
            """
        #expect(try await node.post("zipkin", "/api/v2/spans", Data(spans.utf8)).status == 202)
        let services = try await node.node.lattice("services")
        #expect(services.output.contains("shop") && services.output.contains("api"), "\(services)")
        let operations = try await node.node.lattice("services", "shop")
        #expect(operations.output.contains("GET /") && operations.output.contains("server"), "\(operations)")
        let table = try await node.node.lattice("dependencies")
        #expect(table.output.contains("api"), "\(table)")
        let dot = try await node.node.lattice("dependencies", "--format", "dot")
        #expect(dot.output.contains(#""we\"b" -> "api" [label="1"];"#), "\(dot)")
        let mermaid = try await node.node.lattice("dependencies", "--format", "mermaid")
        #expect(mermaid.output.contains("we#quot;b") && mermaid.output.hasPrefix("graph LR"), "\(mermaid)")
        let json = try await node.node.lattice("dependencies", "--format", "json")
        #expect(try json.json["links"] is [Any])
    }

    @Test func `an old file is in services and dependencies once it is imported`() async throws {
        let node = try await ReceiverNode()
        let file = """
            [{"traceId":"a1","id":"1","kind":"CLIENT","name":"get","timestamp":1600000000000000,"duration":5,
              "localEndpoint":{"serviceName":"web"}},
             {"traceId":"a1","id":"1","kind":"SERVER","name":"get","timestamp":1600000000000001,"duration":3,
              "localEndpoint":{"serviceName":"api"},"shared":true}]
            """
        let imported = try await importing(node, "old.json", file)
        #expect(imported.status == 0, "\(imported)")
        let graph = try await node.node.lattice("dependencies", "--format", "mermaid")
        #expect(graph.output.contains("web") && graph.output.contains("api"), "\(graph)")
        for command in ["services", "dependencies"] {
            let ended = try await node.node.lattice(command)
            #expect(ended.output.contains("2 spans are older than the windows"), "\(ended)")
        }
        let json = try await node.node.lattice("services", "--json").json
        #expect(json["older_span_count"] as? Int == 2 && json["omitted_span_count"] as? Int == 0)
    }

    @Test func `a trace that is not there is said to be so`() async throws {
        let node = try await node()
        for command in ["show", "critical-path", "flame"] {
            let ended = try await node.node.lattice("trace", command, Self.other)
            #expect(ended.status == 1 && !ended.errors.isEmpty, "\(ended)")
        }
        #expect(try await node.node.lattice("trace", "show", "xyz").status == 2)
    }
}

/// Whether text is well-formed XML, as far as braces of tags go.
private struct XMLParserProbe {
    func accepts(_ text: String) -> Bool {
        var open: [Substring] = []
        var rest = text[...]
        while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("?") || tag.hasSuffix("/") { continue }
            let name = tag.drop { $0 == "/" }.prefix { $0 != " " }
            if tag.hasPrefix("/") {
                guard open.popLast() == name else { return false }
            } else {
                open.append(name)
            }
        }
        return open.isEmpty
    }
}
