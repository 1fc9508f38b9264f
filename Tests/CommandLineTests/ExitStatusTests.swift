// The statuses of Operations.md that no other test sees: 1 for hands that may not, 6 and 7.

import Foundation
import Testing

/// Publishes what the command line has no words for, as any client may: NATS is text.
private func publish(_ subject: String, _ body: String, to url: String, in scratch: Scratch) async throws {
    let port = try #require(url.split(separator: ":").last)
    let script = """
        exec 3<>/dev/tcp/127.0.0.1/\(port)
        printf 'CONNECT {"verbose":false}\\r\\nPUB %s %d\\r\\n%s\\r\\nPING\\r\\n' '\(subject)' \(body.utf8.count) '\(body)' >&3
        while read -r line <&3; do case $line in PONG*) exit 0;; esac; done
        """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    process.standardInput = FileHandle.nullDevice
    try process.run()
    #expect(try await eventually(within: 20) { !process.isRunning } && process.terminationStatus == 0)
}

@Suite struct `Exit statuses` {
    @Test func `a stream that was deleted and made anew ends with 6`() async throws {
        let scratch = try Scratch()
        let options = ["--http", "none", "--stream", "LATTICE"]
        let node = try await RunningNode(scratch, options)
        let leads = try await eventually(within: 15) {
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

    @Test func `semantics of a later version end with 7, also at the next start and in a replay`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        let sequence = try await node.register("checkout", "checkout-1")
        try await publish(
            "lattice.events.policy.alice.semantics_activated", #"{"version":9999}"#, to: node.natsURL, in: scratch)
        let stopped = try await node.end()
        #expect(stopped.status == 7 && stopped.errors.contains("install"), "\(stopped)")
        let again = try await LatticeProcess.run(["serve", "--data", node.data, "--http", "none"], in: scratch)
        #expect(again.status == 7, "\(again)")
        let replayed = try await LatticeProcess.run(["replay", "--data", node.data], in: scratch)
        #expect(replayed.status == 7, "\(replayed)")
        let before = try await LatticeProcess.run(
            ["replay", "--data", node.data, "--at", "\(sequence)"], in: scratch)
        #expect(before.status == 0, "\(before)")
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
