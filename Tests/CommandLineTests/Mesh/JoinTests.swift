// What the documentation shows in Python is run against a node, as it stands there.

import Foundation
import TestKit
import Testing

/// The Python of a page, block by block.
private enum JoinPage {
    static let blocks: [String] = {
        let page = BuiltProgram.repository
            .appendingPathComponent("Documentation/LatticeForge.docc/JoinFromAnyLanguage.md")
        let text = Scratch.text(page.path)
        return text.components(separatedBy: "```python\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
    }()

    /// The block that has a text in it.
    static func block(with text: String) throws -> String {
        try #require(blocks.first { $0.contains(text) }, "no Python with `\(text)` on the page")
    }
}

@Suite struct `The page on joining` {
    @Test(.enabled(if: PythonEnvironment.nats != nil, "no nats-py here, and PyPI can not be reached"))
    func `registers and resolves in ten lines of nats-py`() async throws {
        let python = try #require(PythonEnvironment.nats)
        let node = try await RunningNode(try Scratch())
        let block = try JoinPage.block(with: "checkout-1")
        #expect(block.split(separator: "\n").count == 10)
        let script = try node.scratch.write("join.py", block)
        let ended = python.run(script: script, environment: ["NATS_URL": node.natsURL])
        try #require(ended.status == 0, "\(ended.output)")
        #expect(ended.output.contains(#""outcome":"accepted""#) || ended.output.contains(#""outcome": "accepted""#))
        #expect(ended.output.contains("['10.0.0.7:8080']"))
    }

    @Test(.enabled(if: PythonEnvironment.nats != nil, "no nats-py here, and PyPI can not be reached"))
    func `lives a whole life in nats-py`() async throws {
        let python = try #require(PythonEnvironment.nats)
        let node = try await RunningNode(try Scratch())
        let script = try node.scratch.write("life.py", try JoinPage.block(with: "answered when durable and applied"))
        let ended = python.run(script: script, environment: ["NATS_URL": node.natsURL])
        try #require(ended.status == 0, "\(ended.output)")
        let removals = try await node.lattice("query", "removals", "checkout", "--json")
        let list = try #require(try removals.json["removals"] as? [[String: Any]])
        #expect(list.map { $0["reason"] as? String } == ["shutdown"])
    }

    @Test(
        .enabled(
            if: PythonEnvironment.openTelemetry != nil, "no opentelemetry-sdk here, and PyPI can not be reached"))
    func `sends spans with OpenTelemetry alone`() async throws {
        let python = try #require(PythonEnvironment.openTelemetry)
        let node = try await ReceiverNode()
        let script = try node.node.scratch.write("spans.py", try JoinPage.block(with: "TracerProvider"))
        let ended = python.run(
            script: script, environment: ["OTEL_EXPORTER_OTLP_ENDPOINT": try node.url("otlp_http")])
        try #require(ended.status == 0, "\(ended.output)")
        let isThere = try await eventually {
            let answer = try await node.query("search", ["service_name": "checkout"])
            return (answer["traces"] as? [[String: Any]])?.first?["operation_name"] as? String == "pay"
        }
        #expect(isThere)
    }
}
