// The statuses of Operations.md that no other test sees: 1 for hands that may not, 6, and 7 for a later format.

import Foundation
import TestKit
import Testing

@Suite struct `Exit statuses` {
    @Test func `a stream that was deleted and made anew ends with 6`() async throws {
        let scratch = try Scratch()
        let options = ["--http", "none", "--stream", "LATTICE"]
        let node = try await RunningNode(scratch, options)
        let leads = try await eventually(within: .seconds(15)) {
            try await node.lattice("query", "status", "--json").json["leader"] as? Bool == true
        }
        try #require(leads)
        try await node.register("checkout", "checkout-1")
        #expect(try await node.stop().status == 0)
        try FileManager.default.removeItem(atPath: node.data + "/nats/jetstream")
        let ended = try await LatticeProcess.run(["serve", "--data", node.data] + options, in: scratch)
        #expect(ended.status == 6 && ended.errors.contains("stream_rolled_back"), "\(ended)")
        #expect(ended.errors.contains("lattice log export"), "\(ended)")
        #expect(try await LatticeProcess.run(["verify", "--data", node.data], in: scratch).status == 0)
    }

    @Test func `a log of a later format ends with 7`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        #expect(try await node.stop().status == 0)
        // An export is the smallest file with a version: the four bytes behind the magic.
        let file = scratch.path("mesh.lattice")
        #expect(try await LatticeProcess.run(["log", "export", file, "--data", node.data], in: scratch).status == 0)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        bytes[8] = 99
        try bytes.write(to: URL(fileURLWithPath: file))
        let ended = try await LatticeProcess.run(
            ["log", "import", file, "--data", scratch.path("new")], in: scratch)
        #expect(ended.status == 7 && ended.errors.contains("newer"), "\(ended)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("new")))
    }

    @Test(.enabled(if: getuid() != 0, "root may do everything"))
    func `a directory of somebody else ends with 1 and says so`() async throws {
        let ended = try await LatticeProcess.run(
            ["serve", "--data", "/root-only", "--http", "none"], in: try Scratch())
        #expect(ended.status == 1 && ended.errors.contains("Permission denied"), "\(ended)")
    }

    @Test func `a taken NATS port ends with 3 and names the option`() async throws {
        let node = try await RunningNode(try Scratch())
        let port = try #require(node.natsURL.split(separator: ":").last)
        let ended = try await LatticeProcess.run(
            ["serve", "--data", "other", "--http", "none", "--nats-port", "\(port)"], in: node.scratch)
        #expect(ended.status == 3 && ended.errors.contains("--nats-port"), "\(ended)")
        #expect(ended.errors.contains("address already in use"), "\(ended)")
    }

    @Test func `what is no export is not imported, and nothing is left behind`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("letter", String(repeating: "dear mesh ", count: 20))
        let ended = try await LatticeProcess.run(
            ["log", "import", file, "--data", scratch.path("new")], in: scratch)
        #expect(ended.status == 4 && ended.errors.contains("export it anew"), "\(ended)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("new")))
        let missing = try await LatticeProcess.run(
            ["log", "import", "nowhere", "--data", scratch.path("new")], in: scratch)
        #expect(missing.status == 1 && missing.errors.contains("No such file"), "\(missing)")
    }
}
