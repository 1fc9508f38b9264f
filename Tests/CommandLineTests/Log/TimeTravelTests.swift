// The past of a mesh with a known story: `lattice at` and `lattice bisect` find what is known to have happened.

import Foundation
import TestKit
import Testing

/// A node that has lived through a story, and still runs.
struct LivedThrough {
    let node: RunningNode
    /// The record that made checkout-2 unhealthy.
    let broken: UInt64
    /// The record that took checkout-3 away.
    let gone: UInt64
    let last: UInt64

    /// Three instances; the second fails its check; the third says goodbye; a fourth comes.
    init(_ options: [String] = ["--http", "none"]) async throws {
        node = try await RunningNode(try Scratch(), options)
        for number in 1...3 { try await node.register("checkout", "checkout-\(number)", "--incarnation", "1") }
        broken = try await Self.publish(node, "health", "checkout", "--id", "checkout-2", "--unhealthy")
        gone = try await Self.publish(
            node, "deregister", "checkout", "--id", "checkout-3", "--incarnation", "1", "--reason", "scaled in")
        last = try await node.register("checkout", "checkout-4", "--incarnation", "1")
    }

    private static func publish(_ node: RunningNode, _ arguments: String...) async throws -> UInt64 {
        let ended = try await node.lattice(["publish"] + arguments + ["--json"])
        try #require(ended.status == 0, "\(ended)")
        return try #require(ended.json["sequence"] as? UInt64)
    }

    func offline(_ arguments: String...) async throws -> Ended {
        try await LatticeProcess.run(arguments + ["--data", node.data], in: node.scratch)
    }
}

@Suite struct `Time travel` {
    @Test func `every query of the past has the bytes that the node answers`() async throws {
        let lived = try await LivedThrough()
        let queries = [
            ["services"], ["topology"], ["resolve", "checkout", "--all"], ["stale"], ["removals"],
            ["failover", "checkout"], ["select", "checkout"], ["instance", "checkout-1"], ["digest"],
        ]
        for sequence in [lived.broken - 1, lived.broken, lived.gone, lived.last] {
            for query in queries {
                let live = try await lived.node.lattice(["query"] + query + ["--at", "\(sequence)", "--json"])
                let past = try await LatticeProcess.run(
                    ["at", "\(sequence)", "query"] + query + ["--data", lived.node.data, "--json"],
                    in: lived.node.scratch)
                #expect(past.status == 0 && past.output == live.output, "\(query) at \(sequence): \(past) \(live)")
            }
        }
    }

    @Test func `a copied directory answers the same`() async throws {
        let lived = try await LivedThrough()
        let live = try await lived.node.lattice("query", "removals", "--at", "\(lived.gone)", "--json")
        _ = try await lived.node.stop()
        let copy = lived.node.scratch.path("copy")
        try FileManager.default.copyItem(atPath: lived.node.data, toPath: copy)
        try FileManager.default.removeItem(atPath: lived.node.data)
        let past = try await LatticeProcess.run(
            ["at", "\(lived.gone)", "query", "removals", "--data", copy, "--json"], in: lived.node.scratch)
        #expect(past.status == 0 && past.output == live.output && past.output.contains("scaled in"), "\(past)")
    }

    @Test func `a point is a sequence, a moment, nanoseconds, or a while before the end`() async throws {
        let lived = try await LivedThrough()
        let line = try await lived.offline("log", "cat", "--from", "\(lived.gone)", "--limit", "1")
        let record = try JSONObject.members(of: line.output)
        let time = try #require(record["recorded_at"] as? String)
        let expected = try await lived.offline("at", "\(lived.gone)", "query", "services", "--json")
        #expect(expected.status == 0, "\(expected)")
        let same = try await lived.offline("at", time, "query", "services", "--json")
        #expect(same.output == expected.output, "\(time): \(same)")
        let end = try await lived.offline("at", "-0s", "query", "services")
        #expect(end.status == 0 && end.output.contains("as of sequence"), "\(end)")
    }

    @Test(
        arguments: [
            (["at", "99999", "query", "services"], 1, "outside of the log"),
            (["at", "1999-01-01T00:00:00Z", "query", "services"], 1, "before the log"),
            (["at", "-30d", "query", "services"], 1, "before the log"),
            (["at", "yesterday", "query", "services"], 2, "no point in a log"),
            (["at", "3", "services"], 2, "stands a query"), (["at", "3", "query", "servces"], 2, "did you mean"),
            (["at", "3", "query", "status"], 2, "running node only"),
            (["at", "3", "query", "resolve"], 2, "service"),
            (["at", "3", "query", "services", "--at", "4"], 2, "already"),
            (["at", "3", "query", "instance", "nobody"], 1, "nobody"),
            (["bisect", "--where", "count(instances) ="], 2, "column 18"),
            (["bisect"], 2, "--where"), (["bisect", "--where", "sequence >= 0"], 1, "already"),
            (["bisect", "--where", "any(mirrors, enabled)"], 1, "not true at"),
            (["bisect", "--where", "any(mirrors, enabled)", "--scan"], 1, "nowhere"),
            (["bisect", "--where", "service('chekout').healthy > 0"], 1, "where there is no service(\"chekout\")"),
            (["bisect", "--where", "sequence > 2", "--from", "5", "--to", "4"], 2, "before"),
            (["bisect", "--where", "sequence > 2", "--to", "99999"], 1, "outside"),
        ])
    func `what can not be answered is said, with a status`(
        _ arguments: [String], _ status: Int32, _ words: String
    ) async throws {
        let log = try await StoryLog.shared()
        let ended = try await log.lattice(arguments)
        #expect(ended.status == status && ended.errors.contains(words), "\(arguments): \(ended)")
    }

    @Test func `a bisection finds the record, and shows what it changed`() async throws {
        let lived = try await LivedThrough()
        let expression = "count(instances, service == 'checkout' and not healthy) >= 1"
        for extra in [[], ["--scan"]] {
            let ended = try await LatticeProcess.run(
                ["bisect", "--where", expression, "--json", "--data", lived.node.data] + extra, in: lived.node.scratch)
            let finding = try ended.json
            #expect(finding["sequence"] as? String == "\(lived.broken)", "\(ended)")
            let part = try #require((finding["observations"] as? [[String: Any]])?.first)
            #expect(part["before"] as? Int == 0 && part["after"] as? Int == 1)
            #expect(part["appeared"] as? [String] == ["checkout-2"])
            #expect((finding["around"] as? [Any])?.count ?? 0 >= 6)
        }
        let text = try await lived.offline("bisect", "--where", "any(removals, reason == 'scaled in')")
        #expect(text.output.contains("becomes true at record \(lived.gone),"), "\(text)")
        #expect(text.output.contains("> \(lived.gone)  ") && text.output.contains("false -> true"), "\(text)")
    }

    @Test func `the fields of expressions are listed`() async throws {
        let log = try await StoryLog.shared()
        let ended = try await log.lattice(["bisect", "--fields"])
        #expect(ended.status == 0 && ended.output.contains("consecutive failed health checks"), "\(ended)")
    }
}

/// A log of a story that a node has left; made once, since nobody writes to it.
final class StoryLog: Sendable {
    private let lived: LivedThrough
    var broken: UInt64 { lived.broken }
    var gone: UInt64 { lived.gone }
    var last: UInt64 { lived.last }
    var data: String { lived.node.data }
    var scratch: Scratch { lived.node.scratch }

    private static let made = Task {
        let lived = try await LivedThrough()
        _ = try await lived.node.stop()
        return StoryLog(lived)
    }

    private init(_ lived: LivedThrough) { self.lived = lived }

    static func shared() async throws -> StoryLog { try await made.value }

    func lattice(_ arguments: [String]) async throws -> Ended {
        try await LatticeProcess.run(arguments + ["--data", data], in: scratch)
    }
}
