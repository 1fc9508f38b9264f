// What changed, where two logs part, and a walk through a log: `diff`, `verify --against`, `step`.

import Foundation
import TestKit
import Testing

extension StoryLog {
    /// Runs `lattice step` with these lines as its input.
    func step(_ lines: String, _ arguments: [String] = [], status: Int32 = 0) throws -> String {
        let process = Process()
        process.executableURL = LatticeProcess.executable
        process.arguments = ["step", "--data", data] + arguments
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, output)
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(lines.utf8))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == status, "\(String(decoding: said, as: UTF8.self))")
        return String(decoding: said, as: UTF8.self)
    }

    /// A copy of the data directory.
    func copy(_ name: String) throws -> String {
        let path = scratch.path("\(name)-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: data, toPath: path)
        return path
    }

    /// A copy on which a node has run once more.
    func continued(_ name: String) async throws -> String {
        let path = try copy(name)
        let node = try await RunningNode(scratch, data: String(path.dropFirst(scratch.directory.count + 1)))
        try await node.register("cart", name)
        _ = try await node.stop()
        return path
    }
}

@Suite struct `Differences` {
    @Test func `a difference names who came, who went and why, and what changed`() async throws {
        let log = try await StoryLog.shared()
        let ended = try await log.lattice(["diff", "\(log.broken - 1)", "\(log.last)", "--json"])
        let facts = try ended.json
        let instances = try #require(facts["instances"] as? [[String: Any]])
        #expect(instances.map { $0["instance_id"] as? String } == ["checkout-3", "checkout-4"], "\(ended)")
        #expect(instances[0]["kind"] as? String == "went" && instances[0]["reason"] as? String == "scaled in")
        #expect(instances[0]["sequence"] as? UInt64 == log.gone && instances[1]["kind"] as? String == "came")
        let changes = try #require(facts["changes"] as? [[String: Any]])
        #expect(changes.contains { $0["subject"] as? String == "checkout-2" && $0["after"] as? String == "unhealthy" })
        let text = try await log.lattice(["diff", "\(log.broken - 1)", "\(log.last)"])
        #expect(text.output.contains("- checkout-3") && text.output.contains("scaled in"), "\(text)")
    }

    @Test func `between a point and itself nothing differs`() async throws {
        let log = try await StoryLog.shared()
        let ended = try await log.lattice(["diff", "\(log.broken)", "\(log.broken)"])
        #expect(ended.status == 0 && ended.output.contains("nothing that is compared differs"), "\(ended)")
    }

    @Test func `a graph is drawn`() async throws {
        let log = try await StoryLog.shared()
        let file = log.scratch.path("mesh.svg")
        let ended = try await log.lattice(["diff", "1", "-0s", "--svg", file])
        let svg = Scratch.text(file)
        #expect(ended.status == 0 && svg.hasPrefix("<svg") && svg.hasSuffix("</svg>\n"), "\(ended)")
        #expect(svg.contains(">checkout</text>") && svg.contains("#1a7f37"))
    }

    @Test func `points that are none end with a status of their own`() async throws {
        let log = try await StoryLog.shared()
        for (arguments, status) in [
            (["diff"], Int32(2)), (["diff", "1", "2", "3"], 2), (["diff", "x"], 2), (["diff", "5", "2"], 2),
            (["diff", "99999"], 1), (["diff", "1", "--unknown"], 2),
        ] {
            let ended = try await log.lattice(arguments)
            #expect(ended.status == status, "\(arguments): \(ended)")
        }
    }
}

@Suite struct `Partings` {
    @Test func `a log is equal to its copy, and to the digests that were kept of it`() async throws {
        let log = try await StoryLog.shared()
        let copied = try await log.lattice(["verify", "--against", try log.copy("same"), "--json"])
        #expect(copied.status == 0, "\(copied)")
        #expect(try copied.json["is_equal"] as? Bool == true)
        let kept = try await log.lattice(["verify", "--against", log.data + "/checkpoints/digests"])
        #expect(kept.status == 0 && kept.output.contains("equal through record"), "\(kept)")
        let whole = try await log.lattice(["verify", "--json"])
        #expect(try whole.json["digests_verified"] as? Int ?? 0 > 0, "\(whole)")
    }

    @Test func `two logs part at the first record that differs`() async throws {
        let log = try await StoryLog.shared()
        let common = try #require(try await log.lattice(["log", "info", "--json"]).json["last_sequence"] as? UInt64)
        let (one, other) = (try await log.continued("one"), try await log.continued("other"))
        let ended = try await LatticeProcess.run(
            ["verify", "--data", one, "--against", other, "--json"], in: log.scratch)
        let facts = try ended.json
        #expect(ended.status == 1 && facts["first_different"] as? UInt64 == common + 1, "\(ended)")
        #expect(facts["last_equal"] as? UInt64 == common && facts["is_exact"] as? Bool == true)
        let file = log.scratch.path("there.digests")
        let written = try await LatticeProcess.run(
            ["log", "digests", "--data", other, "--every", "1", "--output", file], in: log.scratch)
        #expect(written.status == 0, "\(written)")
        let against = try await LatticeProcess.run(
            ["verify", "--data", one, "--against", file, "--json"], in: log.scratch)
        #expect(against.status == 1, "\(against)")
        #expect(try against.json["first_different"] as? UInt64 == common + 1, "\(against)")
    }

    @Test func `a node is held against a log`() async throws {
        let log = try await StoryLog.shared()
        let copy = try log.copy("live")
        let node = try await RunningNode(log.scratch, data: String(copy.dropFirst(log.scratch.directory.count + 1)))
        let ended = try await log.lattice(["verify", "--against", node.natsURL, "--json"])
        #expect(ended.status == 0, "\(ended)")
        #expect(try ended.json["is_equal"] as? Bool == true)
    }

    @Test func `digests that are damaged are refused`() async throws {
        let log = try await StoryLog.shared()
        let file = log.scratch.path("damaged.digests")
        var text = Scratch.text(log.data + "/checkpoints/digests")
        text = text.replacingOccurrences(of: "registry=", with: "registry=0")
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        #expect(try await log.lattice(["verify", "--against", file]).status == 1, "it is not the log that is damaged")
        try Data("lattice-digests 9\n".utf8).write(to: URL(fileURLWithPath: file))
        #expect(try await log.lattice(["verify", "--against", file]).status == 7)
        #expect(try await log.lattice(["verify", "--against", "/nowhere"]).status == 1)
    }
}

@Suite struct `Stepping` {
    @Test func `a session goes forward and back, finds, watches and shows`() async throws {
        let log = try await StoryLog.shared()
        let said = try log.step(
            """
            next 2
            back
            find checkout deregistered
            show removals
            back
            print count(instances)
            until any(instances, id == 'checkout-4')
            outbox
            record
            nonsense
            print count(
            go 99999
            quit
            next

            """, ["--at", "1", "--watch", "count(instances)"], status: 2)
        let lines = said.split(separator: "\n").map(String.init)
        #expect(lines.first?.hasPrefix("1  ") == true && lines.contains { $0.hasPrefix("3  ") }, "\(said)")
        #expect(lines.contains { $0.hasPrefix("2  ") } && lines.contains { $0.hasPrefix("\(log.gone)  ") })
        #expect(said.contains("scaled in") && said.contains("count(instances) = 2   (was"))
        #expect(lines.contains { $0.hasPrefix("\(log.last)  ") } && said.contains("nothing is owed to a shadow"))
        #expect(said.contains("is no command") && said.contains("column 7") && said.contains("outside of the log"))
    }

    @Test func `a walk back to the beginning shows every state once more`() async throws {
        let log = try await StoryLog.shared()
        let count = Int(log.last)
        let forward = try log.step(
            Array(repeating: "show digest\nnext\n", count: count - 1).joined() + "show digest\n", ["--at", "1"])
        let back = try log.step(
            Array(repeating: "show digest\nback\n", count: count - 1).joined() + "show digest\n",
            ["--at", "\(count)"])
        func digests(_ text: String) -> [String] {
            text.split(separator: "\n").filter { $0.hasPrefix("registry") || $0.hasPrefix("admission") }.map(
                String.init)
        }
        let (ahead, behind) = (digests(forward), digests(back))
        #expect(ahead.count == count * 2)
        let pairs = stride(from: 0, to: behind.count, by: 2).map { Array(behind[$0..<$0 + 2]) }
        #expect(ahead == pairs.reversed().flatMap(\.self))
    }

    @Test func `a person at a terminal sees a prompt`() async throws {
        let log = try await StoryLog.shared()
        let command = "printf 'back\\nquit\\n' | \(LatticeProcess.executable.path) step --data \(log.data)"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/script")
        process.arguments = ["-qec", command, "/dev/null"]
        let output = Pipe()
        (process.standardInput, process.standardOutput) = (FileHandle.nullDevice, output)
        try process.run()
        let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0 && said.contains("step \(log.last - 1)> "), "\(said)")
    }
}
