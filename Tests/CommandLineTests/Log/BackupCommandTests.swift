// A copy made beside the running node, and a node that starts from it.

import Foundation
import TestKit
import Testing

@Suite struct `lattice backup` {
    @Test func `copies a running node into a directory that serves the same state`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        let sequence = try await node.register("checkout", "checkout-1")
        let before = try await node.digests(at: sequence)
        let made = try await LatticeProcess.run(
            ["backup", scratch.path("copy"), "--data", node.data, "--json"], in: scratch)
        #expect(made.status == 0 && made.output.contains("log_id"), "\(made)")
        _ = try await node.register("checkout", "checkout-2")
        #expect(try await node.stop().status == 0)

        let restored = try await RunningNode(scratch, data: "copy")
        #expect(try await restored.digests(at: sequence) == before)
        let answer = try await restored.lattice("query", "resolve", "checkout", "--json")
        #expect(answer.output.contains("checkout-1") && !answer.output.contains("checkout-2"), "\(answer)")
        #expect(try restored.facts["node_id"] as? String == node.facts["node_id"] as? String)
    }

    @Test func `leaves alone what is there, and says what is missing`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        let taken = try await LatticeProcess.run(["backup", node.data, "--data", node.data], in: scratch)
        #expect(taken.status == 1 && taken.errors.contains("notEmpty"), "\(taken)")
        let nothing = try await LatticeProcess.run(
            ["backup", scratch.path("copy"), "--data", scratch.path("nowhere")], in: scratch)
        #expect(nothing.status == 1 && nothing.errors.contains("--data"), "\(nothing)")
        #expect(try await node.lattice("query", "services").status == 0)
    }
}

@Suite struct `Settings of endpoints and of the disk` {
    @Test func `are shown, and refused where they make no sense`() async throws {
        let scratch = try Scratch()
        let shown = try await LatticeProcess.run(
            ["serve", "--print-config", "--endpoint-networks", "10.0.0.0/8,fd00::/8", "--disk-pressure", "70,80,90"],
            in: scratch)
        #expect(shown.status == 0, "\(shown)")
        #expect(shown.output.contains("fd00::/8") && shown.output.contains("70,80,90"), "\(shown)")
        for option in [
            ["--endpoint-networks", "office"], ["--endpoint-networks", "10.0.0.0/33"], ["--disk-pressure", "90,80,97"],
            ["--disk-pressure", "80,90"], ["--disk-pressure", "80:1GiB,90:2GiB,97"],
            ["--disk-pressure", "80:x,90,97"], ["--disk-pressure", "80:1:1,90,97"], ["--disk-pressure", "80,90,101"],
            ["--anchor-interval", "10ms"],
        ] {
            let refused = try await LatticeProcess.run(["serve", "--print-config"] + option, in: scratch)
            #expect(refused.status == 2, "\(refused)")
        }
    }

    @Test func `hold registrations from elsewhere off, and a replay tells the same`() async throws {
        let node = try await RunningNode(
            try Scratch(), ["--http", "none", "--endpoint-networks", "10.0.0.0/8", "--disk-pressure", "none"])
        let sequence = try await node.register("checkout", "checkout-1")
        let refused = try await node.lattice(
            "publish", "register", "checkout", "--id", "x", "--endpoint", "8.8.8.8:80", "--json")
        #expect(refused.status == 1 && refused.output.contains("endpoint_outside_networks"), "\(refused)")
        let digests = try await node.digests(at: sequence + 1)
        let replayed = try await LatticeProcess.run(
            ["replay", "--data", node.data, "--at", "\(sequence + 1)", "--from-zero", "--json"], in: node.scratch)
        #expect(try Digests(replay: replayed.json) == digests, "\(replayed)")
        let widened = try await node.lattice(
            "publish", "configure", "--as", "alice", "--endpoint-networks", "any", "--json")
        #expect(widened.status == 0, "\(widened)")
        let taken = try await node.lattice(
            "publish", "register", "checkout", "--id", "x", "--endpoint", "8.8.8.8:80", "--json")
        #expect(taken.status == 0, "\(taken)")
    }
}
