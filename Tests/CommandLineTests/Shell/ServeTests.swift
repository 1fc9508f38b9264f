// Starting, stopping, and what a start refuses.

import Foundation
import TestKit
import Testing

@Suite struct `lattice serve` {
    @Test func `answers, ends with 0 when asked to, and starts again with the same state`() async throws {
        let scratch = try Scratch()
        let first = try await RunningNode(scratch)
        let sequence = try await first.register("checkout", "checkout-1")
        let before = try await first.digests(at: sequence)
        let ended = try await first.stop()
        #expect(ended.status == 0, "\(ended)")
        #expect(!FileManager.default.fileExists(atPath: first.data + "/node.json"))

        let second = try await RunningNode(scratch)
        #expect(try await second.digests(at: sequence) == before)
        let answer = try await second.lattice("query", "resolve", "checkout", "--json")
        #expect(answer.output.contains(#""instance_id":"checkout-1""#), "\(answer)")
        #expect(try second.facts["new_log"] as? Bool == false)
    }

    @Test func `loses nothing acknowledged when it is killed`() async throws {
        let scratch = try Scratch()
        let first = try await RunningNode(scratch)
        let sequence = try await first.register("checkout", "checkout-1")
        let before = try await first.digests(at: sequence)
        try await first.kill()

        let second = try await RunningNode(scratch)
        #expect(try await second.digests(at: sequence) == before)
    }

    @Test func `tells on one line of JSON what customers need`() async throws {
        let node = try await RunningNode(try Scratch())
        let facts = try node.facts
        #expect(facts["ready"] as? Bool == true && facts["new_log"] as? Bool == true)
        #expect(facts["mode"] as? String == "core" && (facts["node_id"] as? String)?.hasPrefix("node-") == true)
        #expect(node.natsURL.hasPrefix("nats://127.0.0.1:"))
    }

    @Test func `is found by its node file and by the environment`() async throws {
        let node = try await RunningNode(try Scratch())
        let byFile = try await LatticeProcess.run(["query", "services", "--data", node.data], in: node.scratch)
        #expect(byFile.status == 0 && byFile.output.contains("as of sequence"), "\(byFile)")
        for name in ["LATTICE_NATS", "NATS_URL"] {
            let answer = try await LatticeProcess.run(
                ["query", "services"], in: node.scratch, environment: [name: node.natsURL])
            #expect(answer.status == 0, "\(answer)")
        }
    }

    @Test func `refuses a directory that another one has`() async throws {
        let node = try await RunningNode(try Scratch())
        let ended = try await LatticeProcess.run(["serve", "--data", node.data, "--http", "none"], in: node.scratch)
        #expect(ended.status == 5 && ended.errors.contains("locked"), "\(ended)")
        #expect(try await node.lattice("query", "services").status == 0)
        #expect(FileManager.default.fileExists(atPath: node.data + "/node.json"))
    }

    @Test func `refuses a prefix that another one answers on`() async throws {
        let node = try await RunningNode(try Scratch())
        let ended = try await node.lattice("serve", "--data", node.scratch.path("other"), "--http", "none")
        #expect(ended.status == 5 && ended.errors.contains("--prefix"), "\(ended)")
    }

    @Test func `takes another prefix on the same server`() async throws {
        let node = try await RunningNode(try Scratch())
        let other = try await RunningNode(
            node.scratch, data: "other", ["--http", "none", "--nats", node.natsURL, "--prefix", "two"])
        let answer = try await other.lattice("query", "services", "--prefix", "two")
        #expect(answer.status == 0, "\(answer)")
    }

    @Test func `says how to get a server when there is none`() async throws {
        let ended = try await LatticeProcess.run(
            ["serve", "--data", "data", "--nats", "nats://127.0.0.1:9", "--no-wait"], in: try Scratch())
        #expect(ended.status == 3 && ended.errors.contains("lattice serve"), "\(ended)")
    }

    @Test func `does not listen for others without TLS`() async throws {
        let scratch = try Scratch()
        let ended = try await LatticeProcess.run(["serve", "--data", "data", "--http", "0.0.0.0:8501"], in: scratch)
        #expect(ended.status == 2 && ended.errors.contains("--insecure"), "\(ended)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("data")))
    }

    @Test func `ends with a hint when its HTTP port is taken`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "127.0.0.1:0"])
        let address = String(node.httpURL.dropFirst("http://".count))
        let ended = try await LatticeProcess.run(["serve", "--data", "other", "--http", address], in: node.scratch)
        #expect(ended.status == 1 && ended.errors.contains("--http"), "\(ended)")
    }

    @Test func `prints every setting and starts nothing`() async throws {
        let scratch = try Scratch()
        let ended = try await LatticeProcess.run(
            ["serve", "--print-config", "--stale-after", "45s", "--sync", "interval=20", "--stream", "S"], in: scratch)
        #expect(ended.status == 0 && ended.output.contains("\nstale_after: 45s "), "\(ended)")
        #expect(ended.output.contains("\nsync: interval=20 ") && ended.output.contains("\nstream: S "))
        #expect(!FileManager.default.fileExists(atPath: scratch.path("lattice-data")))
    }

    @Test func `records the settings it is given as an event`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "none", "--stale-after", "45s"])
        let isRecorded = try await eventually {
            let ended = try await LatticeProcess.run(["log", "cat", "--data", node.data], in: node.scratch)
            return ended.output.contains(#""stale_after_ns":45000000000"#)
        }
        #expect(isRecorded)
    }

    @Test func `keeps the same log over a stream, and goes on after a restart`() async throws {
        let scratch = try Scratch()
        let options = ["--http", "none", "--stream", "LATTICE"]
        let first = try await RunningNode(scratch, options)
        let leads = try await eventually(within: .seconds(15)) {
            try await first.lattice("query", "status", "--json").json["leader"] as? Bool == true
        }
        try #require(leads)
        let sequence = try await first.register("checkout", "checkout-1")
        let before = try await first.digests(at: sequence)
        #expect(try await first.stop().status == 0)
        let second = try await RunningNode(scratch, options)
        #expect(try await second.digests(at: sequence) == before)
    }
}
