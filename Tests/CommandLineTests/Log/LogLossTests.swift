// What became of the files of a log is told: while it is written, when a node starts, and by `lattice verify`.

import Foundation
import TestKit
import Testing

@Suite struct `A node whose files are taken away` {
    enum Deed: String, CaseIterable, Sendable {
        case renamesTheDirectory, unlinksTheOpenSegment, replacesTheLock
    }

    @Test(arguments: Deed.allCases)
    func `ends at once, and acknowledges nothing more, when somebody`(_ deed: Deed) async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        try await node.register("checkout", "checkout-1")
        let files = FileManager.default
        switch deed {
        case .renamesTheDirectory: try files.moveItem(atPath: node.data, toPath: node.data + ".moved")
        case .unlinksTheOpenSegment:
            let names = try files.contentsOfDirectory(atPath: node.data)
            try files.removeItem(atPath: node.data + "/" + #require(names.first { $0.hasSuffix(".log") }))
        case .replacesTheLock:
            try files.moveItem(atPath: node.data + "/LOCK", toPath: node.data + "/LOCK.old")
            try Data("1\n".utf8).write(to: URL(fileURLWithPath: node.data + "/LOCK"))
        }
        let ended = try await node.end()
        #expect(ended.status == 4 && ended.errors.contains("log_removed"), "\(ended)")
        #expect(ended.errors.contains(node.data), "it says what is gone")
    }
}

@Suite struct `A log of another mesh` {
    @Test func `is not served, and can be moved`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch, ["--http", "none", "--prefix", "north"])
        #expect(try await node.stop().status == 0)
        let refused = try await LatticeProcess.run(
            ["serve", "--data", node.data, "--http", "none", "--prefix", "south"], in: scratch)
        #expect(refused.status == 1 && refused.errors.contains("log_of_another_mesh"), "\(refused)")
        #expect(refused.errors.contains("'north'") && refused.errors.contains("'south'"))
        let again = try await RunningNode(scratch, ["--http", "none", "--prefix", "north"])
        #expect(try await again.stop().status == 0)
        let file = scratch.path("mesh.lattice")
        for command in [["export", file, "--data", node.data], ["import", file, "--data", scratch.path("moved")]] {
            let ended = try await LatticeProcess.run(["log"] + command, in: scratch)
            #expect(ended.status == 0, "\(ended)")
        }
        let moved = try await RunningNode(scratch, data: "moved", ["--http", "none", "--prefix", "south"])
        #expect(try await moved.stop().status == 0)
    }
}

@Suite struct `lattice verify, of what lies beside a log` {
    private struct Left {
        let scratch: Scratch
        let data: String

        init() async throws {
            scratch = try Scratch()
            let node = try await RunningNode(scratch)
            for number in 1...3 { try await node.register("checkout", "checkout-\(number)") }
            data = node.data
            let ended = try await node.stop()
            try #require(ended.status == 0, "\(ended)")
        }

        var checkpoint: String {
            get throws {
                let names = try FileManager.default.contentsOfDirectory(atPath: data + "/checkpoints")
                return data + "/checkpoints/" + (try #require(names.first { $0.hasSuffix(".ckpt") }))
            }
        }

        var digests: String { data + "/checkpoints/digests" }

        func change(_ path: String, _ body: (inout [UInt8]) -> Void) throws {
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            body(&bytes)
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        }

        func verify() async throws -> Ended { try await LatticeProcess.run(["verify", "--data", data], in: scratch) }

        /// A start sets aside what is wrong; then there is nothing to complain of.
        func startAndVerify(_ suffix: String) async throws {
            let node = try await RunningNode(scratch)
            let ended = try await node.stop()
            #expect(ended.status == 0 && ended.errors.contains("set aside"), "\(ended)")
            let names = try FileManager.default.contentsOfDirectory(atPath: data + "/checkpoints")
            #expect(names.contains { $0.hasSuffix(suffix) }, "\(names)")
            let verified = try await verify()
            #expect(verified.status == 0, "\(verified)")
        }
    }

    @Test(arguments: [0.05, 0.5, 0.99])
    func `a damaged checkpoint ends with 4`(_ place: Double) async throws {
        let left = try await Left()
        try left.change(try left.checkpoint) { $0[Int(Double($0.count) * place)] ^= 4 }
        let verified = try await left.verify()
        #expect(verified.status == 4 && verified.errors.contains("DAMAGED"), "\(verified)")
        try await left.startAndVerify(".ckpt.damaged")
    }

    @Test func `edited digests end with 4`() async throws {
        let left = try await Left()
        try left.change(left.digests) { bytes in
            let place = bytes.lastIndex(of: UInt8(ascii: "=")) ?? 0
            bytes[place + 1] = bytes[place + 1] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
        }
        let verified = try await left.verify()
        #expect(verified.status == 4 && verified.errors.contains("digests"), "\(verified)")
        try await left.startAndVerify("digests.damaged")
    }

    @Test func `a checkpoint of another log ends with 1`() async throws {
        let (left, other) = (try await Left(), try await Left())
        let name = try other.checkpoint.split(separator: "/").last.map(String.init) ?? ""
        let files = FileManager.default
        try files.removeItem(atPath: try left.checkpoint)
        try files.copyItem(atPath: try other.checkpoint, toPath: left.data + "/checkpoints/" + name)
        let verified = try await left.verify()
        #expect(verified.status == 1 && verified.errors.contains("OTHER RECORDS"), "\(verified)")
        try await left.startAndVerify(".ckpt.foreign")
    }
}
