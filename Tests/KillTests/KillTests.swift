// Nothing acknowledged is lost: a node is killed at random points under load, again and again.

import Foundation
import Testing

/// SIGKILL under load, with publishers written in another language.
@Suite(.serialized) struct `A node that is killed` {
    /// At least 5 in every run; the nightly form sets LATTICE_KILLS=50.
    private var kills: Int { ProcessInfo.processInfo.environment["LATTICE_KILLS"].flatMap { Int($0) } ?? 5 }

    @Test(.enabled(if: Tools.python != nil, "no python3 with nats-py: make test-dependencies"))
    func `keeps every acknowledged event exactly once`() throws {
        let directory = NSTemporaryDirectory() + "lattice-kill-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let port = Int.random(in: 20_000...40_000)
        let url = "nats://127.0.0.1:\(port)"
        let server = try Child(
            try #require(Tools.find("nats-server")), ["-a", "127.0.0.1", "-p", "\(port)"],
            output: directory + "/nats.log")
        let acknowledged = directory + "/acknowledged"
        let publishers = try (0..<2).map {
            try Child(
                try #require(Tools.python), [Self.script, url, "\($0)", acknowledged + "-\($0)"],
                output: directory + "/publisher-\($0).log")
        }
        for round in 0..<kills {
            let before = count(acknowledged)
            let node = try startNode(url, directory, round)
            // Under load, at a random point: somewhere in the next hundreds of events.
            let target = before + Int.random(in: 20...400)
            #expect(try Tools.wait(seconds: 30) { count(acknowledged) >= target }, "no progress in round \(round)")
            node.killNow()
        }
        let node = try startNode(url, directory, kills)
        for publisher in publishers { publisher.closeInput() }
        #expect(try Tools.wait(seconds: 30) { publishers.allSatisfy { !$0.process.isRunning } })
        #expect(publishers.allSatisfy { $0.process.terminationStatus == 0 })
        try compare(acknowledged, url, directory)
        node.process.terminate()
        node.process.waitUntilExit()
        #expect(node.process.terminationStatus == 0)
        try compareDigests(directory)
        server.killNow()
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

    /// Each acknowledged event stands in the log at the sequence its publisher was told, admitted once.
    private func compare(_ acknowledged: String, _ url: String, _ directory: String) throws {
        var told: [Substring: Substring] = [:]
        for line in lines(acknowledged) {
            let parts = line.split(separator: " ")
            #expect(told.updateValue(parts[1], forKey: parts[0]) == nil, "acknowledged twice: \(line)")
        }
        #expect(told.count > kills * 20)
        let log = try Tools.run(Tools.lattice, ["log", "cat", "--data", directory + "/data"])
        try #require(log.status == 0)
        var first: [String: String] = [:]
        for line in log.output.split(separator: "\n") where line.contains(#""registered":"#) {
            let record = try JSONDecoder().decode(RegisteredRecord.self, from: Data(line.utf8))
            let id = record.registered.events[0].instance_id
            if first[id] == nil { first[id] = record.sequence }
        }
        for (id, sequence) in told { #expect(first[String(id)] == String(sequence), "\(id)") }
        let answer = try Tools.run(
            Tools.lattice, ["query", "services", "--json", "--nats", url, "--data", directory + "/data"])
        let services = try JSONDecoder().decode(Services.self, from: Data(answer.output.utf8))
        #expect(services.services[0].instances == first.count, "each registered once")
    }

    /// Live state, replay from zero and replay from a checkpoint are one.
    private func compareDigests(_ directory: String) throws {
        let data = ["--data", directory + "/data", "--json"]
        let fromZero = try digests(["replay", "--from-zero"] + data)
        let fromCheckpoint = try digests(["replay"] + data)
        #expect(fromZero == fromCheckpoint)
        let verified = try Tools.run(Tools.lattice, ["verify"] + data)
        #expect(verified.status == 0)
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

private struct RegisteredRecord: Decodable {
    struct Registered: Decodable {
        struct Event: Decodable { var instance_id: String }
        var events: [Event]
    }
    var sequence: String
    var registered: Registered
}

private struct Services: Decodable {
    struct Service: Decodable { var instances: Int }
    var services: [Service]
}

private struct ReplayFinding: Decodable {
    struct Machine: Decodable, Equatable {
        var machine: String
        var digest: String
    }
    var machines: [Machine]
}

private struct VerifyFinding: Decodable {
    var checkpoints_verified: [UInt64]
    var checkpoints_differing: [UInt64]
    var last_sequence: UInt64
}
