// The example of the SDK as real processes: it registers, calls, traces, and says goodbye.

import Foundation
import TestKit
import Testing

/// `example-service` that listens.
private final class RunningExample: Sendable {
    let process: LatticeProcess
    let url: String

    init(_ node: RunningNode, _ arguments: [String], environment: [String: String] = [:]) async throws {
        let process = try LatticeProcess(
            arguments + ["--port", "0", "--nats", node.natsURL], in: node.scratch, environment: environment,
            program: BuiltProgram.url("example-service"))
        self.process = process
        _ = try await eventually(within: .seconds(20)) { process.output.contains("http://") || !process.isRunning }
        let address = process.output.components(separatedBy: "http://").last ?? ""
        try #require(process.output.contains("http://"), "it does not listen: \(process.errors)")
        url = "http://" + address.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Asks until the answer has this status: an instance that was just registered is not known everywhere at once.
    func get(_ path: String = "/", until status: Int = 200) async throws -> HTTPAnswer {
        var answer: HTTPAnswer?
        _ = try await eventually(within: .seconds(20)) {
            answer = try await ReceiverNode.get(url + path)
            return answer?.status == status
        }
        return try #require(answer)
    }
}

@Suite struct `The example service` {
    @Test func `registers, calls the next one, is traced and leaves`() async throws {
        let node = try await ReceiverNode()
        let cart = try await RunningExample(node.node, ["--name", "cart", "--id", "cart-1", "--sampling", "100"])
        let web = try await RunningExample(
            node.node, ["--name", "web", "--next", "cart", "--sampling", "100", "--version", "7"])
        let answer = try await web.get("/shop")
        let members = try answer.json
        #expect(members["service"] as? String == "web" && members["version"] as? String == "7")
        #expect(members["path"] as? String == "/shop" && members["next"] as? [String: Int] == ["cart": 200])
        let isTraced = try await eventually(within: .seconds(20)) {
            let found = try await node.query("search", ["service_name": "cart"])
            let trace = (found["traces"] as? [[String: Any]])?.first { $0["service_name"] as? String == "web" }
            return trace?["span_count"] as? Int == 3
        }
        #expect(isTraced, "web's server, web's client and cart's server are one trace")
        cart.process.send(SIGTERM)
        let ended = try await cart.process.end()
        #expect(ended.status == 0, "\(ended)")
        let removals = try await node.node.lattice("query", "removals", "cart", "--json")
        #expect((try removals.json["removals"] as? [[String: Any]])?.first?["reason"] as? String == "shutdown")
        #expect(try await web.get(until: 502).status == 502)
    }

    @Test func `takes its settings from the environment, and differs in a field if told so`() async throws {
        let node = try await RunningNode(try Scratch())
        let shadow = try await RunningExample(
            node, ["--no-announce"],
            environment: ["EXAMPLE_NAME": "cart", "EXAMPLE_FIELD": "total=43", "EXAMPLE_DELAY": "1ms"])
        #expect(try await shadow.get().json["total"] as? Int == 43)
        #expect(try await shadow.get("/health").text == "ok")
        let services = try await node.lattice("query", "services", "--json")
        #expect((try services.json["services"] as? [Any] ?? []).isEmpty)
        let failing = try await RunningExample(node, ["--name", "cart", "--fail-rate", "100"])
        #expect(try await failing.get(until: 500).status == 500)
    }

    @Test(arguments: [[], ["--name", "a", "--delay", "soon"], ["--name", "a", "--field", "x"]])
    func `says what is wrong with its options`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let process = try LatticeProcess(
            arguments, in: scratch, program: BuiltProgram.url("example-service"))
        let ended = try await process.end()
        #expect(ended.status != 0 && !ended.errors.isEmpty)
    }
}
