// Commands that need no node: replay, verify, the log.

import Foundation
import TestKit
import Testing

/// A log that a node has left, and its digests.
private struct LeftLog {
    var scratch: Scratch
    var data: String
    var digests: Digests

    init() async throws {
        scratch = try Scratch()
        let node = try await RunningNode(scratch)
        for number in 1...5 { try await node.register("checkout", "checkout-\(number)") }
        digests = try await node.digests()
        data = node.data
        let ended = try await node.stop()
        try #require(ended.status == 0, "\(ended)")
    }

    func lattice(_ arguments: String...) async throws -> Ended { try await LatticeProcess.run(arguments, in: scratch) }

    /// Changes one byte of a record that had been durable.
    func damage() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: data)
        let name = try #require(names.filter { $0.hasSuffix(".log") }.min())
        let url = URL(fileURLWithPath: data + "/" + name)
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count / 3] ^= 0x40
        try bytes.write(to: url)
    }
}

@Suite struct `Offline commands` {
    @Test func `a replay has the digests that the node answered`() async throws {
        let left = try await LeftLog()
        for extra in [[], ["--from-zero"]] {
            let ended = try await LatticeProcess.run(
                ["replay", "--data", left.data, "--at", "\(left.digests.sequence)", "--json"] + extra, in: left.scratch)
            #expect(try Digests(replay: ended.json) == left.digests, "\(ended)")
        }
    }

    @Test func `a replay works beside a running node`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1")
        let live = try await node.digests(at: sequence)
        let ended = try await LatticeProcess.run(
            ["replay", "--data", node.data, "--at", "\(sequence)", "--json"], in: node.scratch)
        #expect(try Digests(replay: ended.json) == live)
    }

    @Test func `a whole log is verified, with its checkpoints`() async throws {
        let left = try await LeftLog()
        let ended = try await left.lattice("verify", "--data", left.data, "--json")
        #expect(ended.status == 0, "\(ended)")
        let finding = try ended.json
        #expect((finding["checkpoints_verified"] as? [Any])?.isEmpty == false, "\(ended)")
        #expect((finding["checkpoints_differing"] as? [Any])?.isEmpty == true)
    }

    @Test func `a flipped byte ends with 4, and nothing is changed`() async throws {
        let left = try await LeftLog()
        try left.damage()
        let verified = try await left.lattice("verify", "--data", left.data)
        #expect(verified.status == 4 && verified.errors.contains("lattice log repair"), "\(verified)")
        let served = try await left.lattice("serve", "--data", left.data, "--http", "none")
        #expect(served.status == 4, "\(served)")
        let replayed = try await left.lattice("replay", "--data", left.data, "--from-zero")
        #expect(replayed.status == 4, "\(replayed)")
    }

    @Test func `a repair looks first, then keeps what lies before the damage`() async throws {
        let left = try await LeftLog()
        try left.damage()
        let look = try await left.lattice("log", "repair", "--data", left.data)
        #expect(look.status == 4 && (look.output + look.errors).contains("nothing was changed"), "\(look)")
        #expect(try await left.lattice("verify", "--data", left.data).status == 4)
        let repaired = try await left.lattice("log", "repair", "--data", left.data, "--yes")
        #expect(repaired.status == 0 && repaired.output.contains("moved aside"), "\(repaired)")
        let verified = try await left.lattice("verify", "--data", left.data)
        #expect(verified.status == 0, "\(verified)")
    }

    @Test func `an exported log has the same digests where it is imported`() async throws {
        let left = try await LeftLog()
        let file = left.scratch.path("mesh.lattice")
        let exported = try await left.lattice("log", "export", file, "--data", left.data, "--json")
        #expect(exported.status == 0, "\(exported)")
        let copy = left.scratch.path("copy")
        let imported = try await left.lattice("log", "import", file, "--data", copy, "--json")
        #expect(imported.status == 0, "\(imported)")
        let replayed = try await left.lattice("replay", "--data", copy, "--at", "\(left.digests.sequence)", "--json")
        #expect(try Digests(replay: replayed.json) == left.digests)
        let again = try await left.lattice("log", "import", file, "--data", copy)
        #expect(again.status == 1 && again.errors.contains("notEmpty"), "\(again)")
    }

    @Test func `an export does not overwrite a file`() async throws {
        let left = try await LeftLog()
        let file = try left.scratch.write("precious", "do not lose me")
        let ended = try await left.lattice("log", "export", file, "--data", left.data)
        #expect(ended.status == 1 && Scratch.text(file) == "do not lose me", "\(ended)")
    }

    @Test func `a damaged export is not imported`() async throws {
        let left = try await LeftLog()
        let file = left.scratch.path("mesh.lattice")
        _ = try await left.lattice("log", "export", file, "--data", left.data)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: file))
        let ended = try await left.lattice("log", "import", file, "--data", left.scratch.path("copy"))
        #expect(ended.status == 4, "\(ended)")
    }

    @Test func `records are printed as lines of JSON`() async throws {
        let left = try await LeftLog()
        let ended = try await left.lattice("log", "cat", "--data", left.data, "--from", "2", "--limit", "3")
        let lines = ended.output.split(separator: "\n").map(String.init)
        let sequences = try lines.map { try JSONObject.members(of: $0)["sequence"] as? Int }
        #expect(sequences == [2, 3, 4])
    }

    @Test func `a tail reads the log on disk`() async throws {
        let left = try await LeftLog()
        let ended = try await left.lattice(
            "tail", "--from", "1", "--once", "--data", left.data, "--kind", "registered", "--json")
        #expect(ended.status == 0 && ended.output.split(separator: "\n").count == 5, "\(ended)")
    }

    @Test func `the log says what is in it`() async throws {
        let left = try await LeftLog()
        let facts = try await left.lattice("log", "info", "--data", left.data, "--json").json
        #expect(facts["first_retained"] as? Int == 1 && (facts["checkpoints"] as? [Any])?.isEmpty == false, "\(facts)")
    }
}
