// What the kill tests stand on: a server, publishers in another language, a node that is started again and again.

import Foundation
import Testing

/// A directory with a server and publishers; the data directory may change.
final class KillStage {
    let directory = NSTemporaryDirectory() + "lattice-kill-\(UUID().uuidString)"
    let url: String
    /// Where the node's data lie now.
    var data: String
    private let server: Child
    private var publishers: [Child] = []
    private var outputs: [String] = []
    private var nodeCount = 0

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        data = directory + "/data"
        let port = Int.random(in: 20_000...40_000)
        url = "nats://127.0.0.1:\(port)"
        server = try Child(
            try #require(Tools.find("nats-server")), ["-a", "127.0.0.1", "-p", "\(port)"],
            output: directory + "/nats.log")
    }

    func end() {
        for publisher in publishers where publisher.process.isRunning { publisher.killNow() }
        server.killNow()
        try? FileManager.default.removeItem(atPath: directory)
    }

    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("publisher.py").path

    /// Registers instances, each until it is acknowledged, until it is told to stop.
    func startPublisher(_ name: String) throws {
        let output = directory + "/acknowledged-\(name)"
        outputs.append(output)
        publishers.append(
            try Child(
                try #require(Tools.python), [Self.script, url, name, output],
                output: directory + "/publisher-\(name).log"))
    }

    func stopPublishers() throws {
        for publisher in publishers { publisher.closeInput() }
        #expect(try Tools.wait(seconds: 30) { publishers.allSatisfy { !$0.process.isRunning } })
        #expect(publishers.allSatisfy { $0.process.terminationStatus == 0 })
        publishers = []
    }

    /// A line for each acknowledged event: instance, sequence.
    var acknowledged: [Substring] {
        outputs.flatMap { ((try? String(contentsOfFile: $0, encoding: .utf8)) ?? "").split(separator: "\n") }
    }

    func waitForAcknowledged(_ count: Int, _ comment: String) throws {
        #expect(try Tools.wait(seconds: 60) { acknowledged.count >= count }, "no progress: \(comment)")
    }

    func startNode(_ more: [String] = []) throws -> Child {
        nodeCount += 1
        let output = directory + "/node-\(nodeCount).log"
        let node = try Child(
            Tools.lattice,
            [
                "serve", "--nats", url, "--data", data, "--http", "none", "--json", "--checkpoint-records", "100",
            ] + more, output: output)
        let said = { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }
        let isReady = try Tools.wait(seconds: 30) { said().contains(#""ready":true"#) || !node.process.isRunning }
        try #require(isReady && node.process.isRunning, "the node did not come back: \(said())")
        return node
    }

    /// What the node that was started last has said.
    var said: String { (try? String(contentsOfFile: directory + "/node-\(nodeCount).log", encoding: .utf8)) ?? "" }

    /// Runs a command on the node's directory.
    func lattice(_ arguments: String...) throws -> (status: Int32, output: String) {
        try Tools.run(Tools.lattice, arguments + ["--data", data])
    }

    // MARK: What is so

    /// The digests of the running node are those of a fold of its log, all of it, at the same record.
    func compareDigests(_ comment: String) throws {
        let answer = try Tools.run(Tools.lattice, ["query", "digest", "--json", "--nats", url, "--data", data])
        let live = try JSONDecoder().decode(LiveDigests.self, from: Data(answer.output.utf8))
        let replay = try lattice("replay", "--from-zero", "--json", "--at", "\(live.as_of.sequence)")
        let folded = try JSONDecoder().decode(ReplayFinding.self, from: Data(replay.output.utf8))
        #expect(live.machines == folded.machines && !live.machines.isEmpty, "\(comment), record \(live.as_of.sequence)")
    }

    /// The sequence at which each instance is registered first, from the log.
    func registered() throws -> [String: String] {
        let log = try lattice("log", "cat")
        try #require(log.status == 0)
        var first: [String: String] = [:]
        for line in log.output.split(separator: "\n") where line.contains(#""registered":"#) {
            let record = try JSONDecoder().decode(RegisteredRecord.self, from: Data(line.utf8))
            let id = record.registered.events[0].instance_id
            if first[id] == nil { first[id] = "\(record.sequence)" }
        }
        return first
    }

    /// Each event that these lines say was acknowledged stands in the log where its publisher was told.
    func compare(_ lines: [Substring], _ first: [String: String]) {
        var told: [Substring: Substring] = [:]
        for line in lines {
            let parts = line.split(separator: " ")
            #expect(told.updateValue(parts[1], forKey: parts[0]) == nil, "acknowledged twice: \(line)")
        }
        let lost = told.filter { first[String($0.key)] != String($0.value) }
        #expect(lost.isEmpty, "acknowledged, and not there: \(lost.prefix(5))")
    }

    /// How many instances the running node has.
    func instanceCount() throws -> Int {
        let answer = try Tools.run(Tools.lattice, ["query", "services", "--json", "--nats", url, "--data", data])
        let services = try JSONDecoder().decode(Services.self, from: Data(answer.output.utf8))
        return services.services.first?.instances ?? 0
    }
}

struct ReplayFinding: Decodable {
    struct Machine: Decodable, Equatable {
        var machine: String
        var digest: String
    }
    var machines: [Machine]
}

private struct LiveDigests: Decodable {
    struct AsOf: Decodable { var sequence: UInt64 }
    var as_of: AsOf
    var machines: [ReplayFinding.Machine]
}

private struct RegisteredRecord: Decodable {
    struct Registered: Decodable {
        struct Event: Decodable { var instance_id: String }
        var events: [Event]
    }
    var sequence: UInt64
    var registered: Registered
}

private struct Services: Decodable {
    struct Service: Decodable { var instances: Int }
    var services: [Service]
}
