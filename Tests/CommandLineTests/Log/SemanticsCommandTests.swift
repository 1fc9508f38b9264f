// What events mean, by the command line: asked before it is activated, and a way out of what nobody has.

import Foundation
import TestKit
import Testing

@Suite struct `Semantics by the command line` {
    /// A log that version 0.1 recorded, in a data directory.
    private static func oldLog(_ scratch: Scratch) async throws -> String {
        let history = BuiltProgram.repository.appendingPathComponent("Tests/Histories/mixed-1.lattice").path
        let imported = try await LatticeProcess.run(
            ["log", "import", history, "--data", scratch.path("data")], in: scratch)
        try #require(imported.status == 0, "\(imported)")
        return scratch.path("data")
    }

    @Test func `an old log is asked for, activated once every node has it, and told in the audit trail`() async throws {
        let scratch = try Scratch()
        let data = try await Self.oldLog(scratch)
        let before = try await LatticeProcess.run(["replay", "--data", data, "--json"], in: scratch)
        let node = try await RunningNode(scratch)
        #expect(try await node.lattice("query", "status", "--json").json["semantics_version"] as? Int == 1)
        let activate = ["publish", "activate-semantics", "--as", "alice", "--reason", "every node has it"]
        let tooMany = try await node.lattice(activate + ["--nodes", "2"])
        #expect(tooMany.status == 1 && tooMany.errors.contains("1 nodes answer, not 2"), "\(tooMany)")
        let missing = try await node.lattice(activate + ["--version", "3"])
        #expect(missing.status == 1 && missing.errors.contains("semantics up to 2"), "\(missing)")
        #expect(missing.errors.contains("nothing was published"), "\(missing)")
        let forced = try await node.lattice(activate + ["--version", "3", "--force"])
        #expect(forced.status == 1 && forced.output.contains("unsupported_semantics"), "\(forced)")
        let done = try await node.lattice(activate + ["--nodes", "1", "--json"])
        #expect(done.status == 0, "\(done)")
        #expect(try await node.lattice("query", "status", "--json").json["semantics_version"] as? Int == 2)
        #expect(try await node.stop().status == 0)
        let trail = try await LatticeProcess.run(["audit", "--offline", "--data", data], in: scratch)
        #expect(trail.output.contains("policy.semantics_activated") && trail.output.contains("alice"), "\(trail)")
        // What was recorded before means what it meant.
        let digests = try Digests(replay: before.json)
        let again = try await LatticeProcess.run(
            ["replay", "--data", data, "--json", "--from-zero", "--at", "\(digests.sequence)"], in: scratch)
        #expect(try Digests(replay: again.json) == digests, "\(again)")
        let verified = try await LatticeProcess.run(["verify", "--data", data], in: scratch)
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func `nobody is asked where nobody is`() async throws {
        let ended = try await LatticeProcess.run(
            ["publish", "activate-semantics", "--as", "alice", "--nats", "nats://127.0.0.1:9"], in: try Scratch())
        #expect(ended.status == 3, "\(ended)")
    }

    @Test func `over a stream a slip of an operator ends with 7, and skip-record leads on`() async throws {
        let scratch = try Scratch()
        let server = try await RunningNode(
            scratch, data: "server", ["--http", "none", "--stream", "OTHER", "--prefix", "x"])
        let place = ["--http", "none", "--nats", server.natsURL, "--stream", "LATTICE"]
        let one = try await RunningNode(scratch, data: "one", place)
        let two = try await RunningNode(scratch, data: "two", place)
        let asked = try await one.lattice("publish", "activate-semantics", "--as", "bob", "--version", "22")
        #expect(asked.status == 1 && asked.errors.contains("2 of 2 nodes lack semantics 22"), "\(asked)")
        let leads = try await eventually(within: .seconds(15)) {
            try await one.lattice("query", "status", "--json").json["leader_id"] as? String != ""
        }
        try #require(leads)
        let slip = try await one.lattice(
            "publish", "activate-semantics", "--as", "bob", "--version", "22", "--force", "--timeout", "2s")
        #expect(slip.status != 2, "\(slip)")
        for node in [one, two] {
            let ended = try await node.end()
            #expect(ended.status == 7 && ended.errors.contains("lattice publish skip-record"), "\(ended)")
        }
        let again = try await LatticeProcess.run(["serve", "--data", one.data] + place, in: scratch)
        #expect(again.status == 7, "\(again)")
        let number = try #require(again.errors.firstMatch(of: /activated at (\d+)/).flatMap { UInt64($0.1) })
        let replayed = try await LatticeProcess.run(["replay", "--data", one.data], in: scratch)
        #expect(replayed.status == 7, "\(replayed)")
        let offline = try await LatticeProcess.run(
            ["log", "skip", "\(number)", "--as", "alice", "--data", one.data], in: scratch)
        #expect(offline.status == 1 && offline.errors.contains("publish skip-record"), "\(offline)")
        let skipped = try await one.lattice(
            "publish", "skip-record", "\(number)", "--as", "alice", "--reason", "a slip")
        #expect(skipped.status == 0, "\(skipped)")
        let (first, second) = (
            try await RunningNode(scratch, data: "one", place), try await RunningNode(scratch, data: "two", place)
        )
        let sequence = try await first.register("checkout", "checkout-1")
        let answers = try await eventually(within: .seconds(15)) {
            try await second.lattice("query", "digest", "--at", "\(sequence)", "--json").status == 0
        }
        #expect(answers)
        for node in [first, second] { #expect(try await node.stop().status == 0) }
        let found = try await ["one", "two"].asyncMap { name in
            let ended = try await LatticeProcess.run(
                ["replay", "--data", scratch.path(name), "--at", "\(sequence)", "--json", "--from-zero"], in: scratch)
            return try Digests(replay: ended.json)
        }
        #expect(found[0] == found[1])
        for name in ["one", "two"] {
            let verified = try await LatticeProcess.run(["verify", "--data", scratch.path(name)], in: scratch)
            #expect(verified.status == 0, "\(verified)")
            let trail = try await LatticeProcess.run(["audit", "--offline", "--data", scratch.path(name)], in: scratch)
            #expect(trail.output.contains("policy.record_skipped") && trail.output.contains("a slip"), "\(trail)")
        }
    }

    @Test func `only what stops a start can be skipped on disk, and then the log goes on`() async throws {
        let scratch = try Scratch()
        let data = try StoppedLog.write(scratch.path("data"), activating: 9_999)
        let stopped = try await LatticeProcess.run(["serve", "--data", data, "--http", "none"], in: scratch)
        #expect(stopped.status == 7 && stopped.errors.contains("lattice log skip"), "\(stopped)")
        for command in [["replay"], ["verify"]] {
            let ended = try await LatticeProcess.run(command + ["--data", data], in: scratch)
            #expect(ended.status == (command == ["verify"] ? 0 : 7), "\(ended)")
        }
        func skip(_ sequence: Int) async throws -> Ended {
            try await LatticeProcess.run(
                ["log", "skip", "\(sequence)", "--as", "alice", "--reason", "a slip", "--data", data], in: scratch)
        }
        for other in [1, 2, 4, 999] { #expect(try await skip(other).status == 1, "\(other)") }
        let skipped = try await skip(3)
        #expect(skipped.status == 0 && skipped.output.contains("record 4"), "\(skipped)")
        let twice = try await skip(3)
        #expect(twice.status == 1 && twice.errors.contains("already"), "\(twice)")
        let node = try await RunningNode(scratch)
        #expect(try await node.lattice("query", "status", "--json").json["semantics_version"] as? Int == 1)
        let trail = try await node.lattice("audit", "--json")
        #expect(trail.output.contains("policy.record_skipped") && trail.output.contains("alice"), "\(trail)")
        let sequence = try await node.register("checkout", "checkout-1")
        let live = try await node.digests(at: sequence)
        #expect(try await node.stop().status == 0)
        let replayed = try await LatticeProcess.run(
            ["replay", "--data", data, "--json", "--from-zero", "--at", "\(sequence)"], in: scratch)
        #expect(try Digests(replay: replayed.json) == live, "\(replayed)")
        let at = try await LatticeProcess.run(["at", "3", "query", "services", "--data", data], in: scratch)
        #expect(at.status == 0, "\(at)")
        let bisected = try await LatticeProcess.run(
            ["bisect", "--where", "count(instances) >= 1", "--data", data, "--json"], in: scratch)
        #expect(bisected.status == 0 && bisected.output.contains("\(sequence)"), "\(bisected)")
        #expect(try await LatticeProcess.run(["verify", "--data", data], in: scratch).status == 0)
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}
