// Nothing acknowledged is lost: a node is killed at random points under load, again and again.

import Foundation
import Testing

/// SIGKILL under load, with publishers written in another language.
@Suite(.serialized) struct `A node that is killed` {
    @Test(.enabled(if: Tools.python != nil, "no python3 with nats-py: make test-dependencies"))
    func `keeps every acknowledged event exactly once, whatever is done to its files in between`() throws {
        try killAndLook(times: 20, comparingEach: 5)
    }

    @Test(
        .enabled(if: Tools.python != nil, "no python3 with nats-py: make test-dependencies"),
        .enabled(if: ProcessInfo.processInfo.environment["LATTICE_NIGHTLY"] != nil, "nightly: make nightly"))
    func `keeps every acknowledged event exactly once, five hundred times`() throws {
        try killAndLook(times: 500, comparingEach: 25)
    }

    /// What may happen between a kill and the next start, none of which may lose anything.
    private enum Deed: CaseIterable {
        case nothing, repairs, removesNewestCheckpoint, removesCheckpoints, removesDigests, leavesTemporaries, copies
        case importsForeignState
    }

    private func killAndLook(times kills: Int, comparingEach interval: Int) throws {
        let stage = try KillStage()
        defer { stage.end() }
        for name in ["0", "1"] { try stage.startPublisher(name) }
        var deeds = Deed.allCases.shuffled()
        for round in 0..<kills {
            let before = stage.acknowledged.count
            // What a process that dies has written is in the system's hands: only a crash of the machine tells them apart.
            let leftovers = Self.temporaries(stage.data)
            let node = try stage.startNode(round % 3 == 2 ? ["--sync", "interval=50"] : [])
            // What the node itself writes just now has the name of another record.
            #expect(Self.temporaries(stage.data).isDisjoint(with: leftovers), "round \(round)")
            if round % interval == 0 { try stage.compareDigests("round \(round)") }
            // Under load, at a random point: somewhere in the next hundreds of events.
            try stage.waitForAcknowledged(before + Int.random(in: 20...400), "round \(round)")
            node.killNow()
            if deeds.isEmpty { deeds = Deed.allCases.shuffled() }
            try perform(deeds.removeLast(), stage, round)
        }
        let node = try stage.startNode()
        try stage.stopPublishers()
        let first = try stage.registered()
        #expect(stage.acknowledged.count > kills * 20)
        stage.compare(stage.acknowledged, first)
        #expect(try stage.instanceCount() == first.count, "each registered once")
        try stage.compareDigests("the end")
        node.process.terminate()
        node.process.waitUntilExit()
        #expect(node.process.terminationStatus == 0)
        try verify(stage)
    }

    private static func temporaries(_ data: String) -> Set<String> {
        let names = [data, data + "/checkpoints"].flatMap { folder in
            (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        }
        return Set(names.filter { $0.hasSuffix(".tmp") })
    }

    private func perform(_ deed: Deed, _ stage: KillStage, _ round: Int) throws {
        let files = FileManager.default
        let folder = stage.data + "/checkpoints"
        let names = ((try? files.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        let checkpoints = names.filter { $0.hasSuffix(".ckpt") }
        switch deed {
        case .nothing: break
        case .repairs:
            let repaired = try stage.lattice("log", "repair", "--yes")
            #expect(repaired.status == 0 && repaired.output.contains("whole"), "\(repaired)")
        case .removesNewestCheckpoint:
            if let newest = checkpoints.last { try files.removeItem(atPath: folder + "/" + newest) }
        case .removesCheckpoints: for name in checkpoints { try files.removeItem(atPath: folder + "/" + name) }
        case .removesDigests: if names.contains("digests") { try files.removeItem(atPath: folder + "/digests") }
        case .leavesTemporaries:
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for path in [stage.data + "/MANIFEST.tmp", folder + "/checkpoint-00000000000000000007.ckpt.tmp"] {
                try Data("half".utf8).write(to: URL(fileURLWithPath: path))
            }
        case .copies:
            // From here on the copy is the node; what it came from is never started again.
            let copy = stage.directory + "/data-\(round)"
            try files.copyItem(atPath: stage.data, toPath: copy)
            stage.data = copy
        case .importsForeignState:
            // A checkpoint under the name of a record that another one was made of.
            guard let some = checkpoints.first, checkpoints.count > 1 else { return }
            try files.copyItem(
                atPath: folder + "/" + some, toPath: folder + "/checkpoint-00000000000000000001.ckpt")
        }
    }

    /// Live state, replay from zero and replay from a checkpoint are one.
    private func verify(_ stage: KillStage) throws {
        let fromZero = try digests(["replay", "--from-zero", "--json", "--data", stage.data])
        #expect(try fromZero == digests(["replay", "--json", "--data", stage.data]))
        let verified = try stage.lattice("verify", "--json")
        #expect(verified.status == 0, "\(verified)")
        let finding = try JSONDecoder().decode(VerifyFinding.self, from: Data(verified.output.utf8))
        // The last checkpoint was written from the live state at the end.
        #expect(!finding.checkpoints_verified.isEmpty && finding.checkpoints_differing.isEmpty)
        #expect(finding.checkpoints_verified.last == finding.last_sequence)
    }

    private func digests(_ arguments: [String]) throws -> [ReplayFinding.Machine] {
        let result = try Tools.run(Tools.lattice, arguments)
        #expect(result.status == 0)
        return try JSONDecoder().decode(ReplayFinding.self, from: Data(result.output.utf8)).machines
    }

    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("publisher.py").path

    private func startNode(
        _ url: String, _ directory: String, _ round: Int, data: String = "data", more: [String] = []
    ) throws -> Child {
        let node = try Child(
            Tools.lattice,
            [
                "serve", "--nats", url, "--data", directory + "/" + data, "--http", "none", "--json",
                "--checkpoint-records", "300",
            ] + more, output: directory + "/node-\(round).log")
        let isReady = try Tools.wait(seconds: 30) {
            (try? String(contentsOfFile: directory + "/node-\(round).log", encoding: .utf8))?
                .contains(#""ready":true"#) ?? false
        }
        let log = (try? String(contentsOfFile: directory + "/node-\(round).log", encoding: .utf8)) ?? ""
        try #require(isReady, "the node did not come back in round \(round): \(log)")
        return node
    }

    private func lines(_ acknowledged: String) -> [Substring] {
        (0..<2).flatMap { index in
            ((try? String(contentsOfFile: acknowledged + "-\(index)", encoding: .utf8)) ?? "").split(separator: "\n")
        }
    }

    private func count(_ acknowledged: String) -> Int { lines(acknowledged).count }

    @Test(.enabled(if: Tools.python != nil, "python3 with nats-py is not here: pip install nats-py"))
    func `holds what its twin on the same stream holds`() throws {
        let directory = NSTemporaryDirectory() + "lattice-kill-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let port = Int.random(in: 20_000...40_000)
        let url = "nats://127.0.0.1:\(port)"
        let server = try Child(
            try #require(Tools.find("nats-server")),
            ["-a", "127.0.0.1", "-p", "\(port)", "-js", "-sd", directory + "/jetstream"],
            output: directory + "/nats.log")
        func start(_ name: String, _ round: Int) throws -> Child {
            try startNode(url, directory, round, data: name, more: ["--stream", "MESH"])
        }
        let twin = try start("twin", 100)
        let acknowledged = directory + "/acknowledged"
        let publisher = try Child(
            try #require(Tools.python), [Self.script, url, "0", acknowledged + "-0", "stream"],
            output: directory + "/publisher.log")
        for round in 0..<3 {
            let before = count(acknowledged)
            let node = try start("data", round)
            let target = before + Int.random(in: 20...200)
            #expect(try Tools.wait(seconds: 60) { count(acknowledged) >= target }, "no progress in round \(round)")
            node.killNow()
        }
        let node = try start("data", 3)
        publisher.closeInput()
        #expect(try Tools.wait(seconds: 60) { !publisher.process.isRunning })
        #expect(publisher.process.terminationStatus == 0)
        // The twin lived through all of it, the other one died three times: at one sequence they are one.
        let last = lines(acknowledged).compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.max() ?? 0
        #expect(last > 60)
        let files = [directory + "/data", directory + "/twin"]
        for data in files {
            #expect(
                try Tools.wait(seconds: 30) {
                    try Tools.run(Tools.lattice, ["replay", "--at", "\(last)", "--data", data]).status == 0
                })
        }
        for sequence in [last / 3, last / 2, last] {
            let states = try files.map { try digests(["replay", "--at", "\(sequence)", "--json", "--data", $0]) }
            #expect(states[0] == states[1], "at \(sequence)")
        }
        for child in [node, twin] {
            child.process.terminate()
            child.process.waitUntilExit()
            #expect(child.process.terminationStatus == 0)
        }
        server.killNow()
    }
}

private struct VerifyFinding: Decodable {
    var checkpoints_verified: [UInt64]
    var checkpoints_differing: [UInt64]
    var last_sequence: UInt64
}
