// Three servers, a stream on all of them, three nodes: each is killed and paused under load.

import Foundation
import TestKit
import Testing

/// A cluster of nats-servers with the nodes of one stream.
private final class Cluster {
    let directory: String
    private let program: String
    private let ports: [(client: Int, cluster: Int)]
    private(set) var servers: [Child] = []
    private(set) var nodes: [Child] = []
    private var starts = 0

    var urls: [String] { ports.map { "nats://127.0.0.1:\($0.client)" } }

    init(program: String) throws {
        self.program = program
        directory = NSTemporaryDirectory() + "lattice-cluster-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let base = Int.random(in: 20_000...30_000)
        ports = (0..<3).map { (base + 2 * $0, base + 2 * $0 + 1) }
        // The nodes come first: they wait for their servers, and for a stream that has a leader.
        nodes = try (0..<3).map { try startNode($0) }
        servers = try (0..<3).map { try startServer($0) }
    }

    deinit {
        for child in nodes + servers where child.process.isRunning { child.killNow() }
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func startServer(_ index: Int) throws -> Child {
        starts += 1
        let others = ports.indices.filter { $0 != index }.map { "nats://127.0.0.1:\(ports[$0].cluster)" }
        return try Child(
            program,
            [
                "-a", "127.0.0.1", "-p", "\(ports[index].client)", "-n", "server-\(index)", "-js",
                "-sd", "\(directory)/server-\(index)", "--cluster_name", "mesh",
                "--cluster", "nats://127.0.0.1:\(ports[index].cluster)", "--routes", others.joined(separator: ","),
            ], output: "\(directory)/server-\(index)-\(starts).log")
    }

    private func startNode(_ index: Int) throws -> Child {
        starts += 1
        return try Child(
            Tools.lattice,
            ["serve"] + urls.flatMap { ["--nats", $0] } + [
                "--data", data(index), "--http", "none", "--json", "--stream", "MESH", "--stream-replicas", "3",
                "--checkpoint-records", "500",
            ], output: "\(directory)/node-\(index)-\(starts).log")
    }

    func data(_ index: Int) -> String { "\(directory)/data-\(index)" }

    /// Who may fail: the servers, then the nodes.
    func victim(_ number: Int) -> Child { number < 3 ? servers[number] : nodes[number - 3] }

    func restart(_ number: Int) throws {
        if number < 3 {
            servers[number] = try startServer(number)
        } else {
            nodes[number - 3] = try startNode(number - 3)
        }
    }

    func logs() -> String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasPrefix("node-") || $0.hasPrefix("publisher") }.sorted().map { name in
            let text = (try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)) ?? ""
            return "\(name): \(text.suffix(800))"
        }.joined(separator: "\n")
    }
}

@Suite(.serialized) struct `Three nodes on a stream with three replicas` {
    private static let isNightly = ProcessInfo.processInfo.environment["LATTICE_NIGHTLY"] != nil
    private static var canRun: Bool { Strangers.newNATSServer != nil && Tools.python != nil }

    /// What happens to whom: a number of a victim, and the signal.
    private struct Blow {
        var victim: Int
        var signal: Int32
    }

    @Test(.enabled(if: canRun, "no newer nats-server or no python3 with nats-py here: scripts/dependencies.sh test"))
    func `lose and double nothing acknowledged when one of them, or a server, dies or is paused`() throws {
        let (server, node) = (Int.random(in: 0..<3), Int.random(in: 3..<6))
        try survive(
            [
                Blow(victim: server, signal: SIGKILL), Blow(victim: (server + 1) % 3, signal: SIGSTOP),
                Blow(victim: node, signal: SIGKILL), Blow(victim: 3 + (node - 2) % 3, signal: SIGSTOP),
            ], acknowledgements: 40)
    }

    @Test(
        .enabled(if: canRun, "no newer nats-server or no python3 with nats-py here: scripts/dependencies.sh test"),
        .enabled(if: isNightly, "nightly: make nightly"))
    func `lose and double nothing through ten rounds of death and pauses of each`() throws {
        let round = (0..<6).flatMap { [Blow(victim: $0, signal: SIGKILL), Blow(victim: $0, signal: SIGSTOP)] }
        try survive((0..<10).flatMap { _ in round.shuffled() }, acknowledgements: 200)
    }

    /// Without a majority nothing is taken, and that is what a node says of itself.
    private func loseQuorum(_ cluster: Cluster) throws {
        for server in cluster.servers.prefix(2) { server.killNow() }
        let isTold = try Tools.wait(seconds: 40) {
            let asked = try Tools.run(
                Tools.lattice, ["query", "status", "--json", "--timeout", "1s", "--nats", cluster.urls[2]])
            return asked.output.contains(#""intake":"stream_unavailable""#)
        }
        #expect(isTold, "\(cluster.logs())")
    }

    private func survive(_ blows: [Blow], acknowledgements: Int) throws {
        let cluster = try Cluster(program: try #require(Strangers.newNATSServer))
        let acknowledged = cluster.directory + "/acknowledged"
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("publisher.py")
        // Nobody publishes before there is a stream: until then the publisher could not tell a refusal from a loss.
        let isUp = try Tools.wait(seconds: 40) { cluster.nodes.indices.allSatisfy { isReady($0, cluster) } }
        try #require(isUp, "the nodes did not come up: \(cluster.logs())")
        let publisher = try Child(
            try #require(Tools.python),
            [script.path, cluster.urls.joined(separator: ","), "0", acknowledged, "stream"],
            output: cluster.directory + "/publisher.log")
        for blow in blows {
            try wait(for: acknowledgements, acknowledged, cluster)
            let victim = cluster.victim(blow.victim)
            kill(victim.process.processIdentifier, blow.signal)
            defer { kill(victim.process.processIdentifier, SIGCONT) }
            // The others go on without it.
            try wait(for: acknowledgements, acknowledged, cluster)
            if blow.signal == SIGKILL {
                victim.process.waitUntilExit()
                try cluster.restart(blow.victim)
            }
        }
        try wait(for: acknowledgements, acknowledged, cluster)
        publisher.closeInput()
        #expect(try Tools.wait(seconds: 60) { !publisher.process.isRunning })
        #expect(publisher.process.terminationStatus == 0, "\(cluster.logs())")
        try compare(acknowledged, cluster)
        try loseQuorum(cluster)
    }

    private func isReady(_ index: Int, _ cluster: Cluster) -> Bool {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cluster.directory)) ?? []
        return names.contains { name in
            name.hasPrefix("node-\(index)-")
                && ((try? String(contentsOfFile: "\(cluster.directory)/\(name)", encoding: .utf8)) ?? "")
                    .contains(#""ready":true"#)
        }
    }

    private func lines(_ acknowledged: String) -> [Substring] {
        ((try? String(contentsOfFile: acknowledged, encoding: .utf8)) ?? "").split(separator: "\n")
    }

    private func wait(for count: Int, _ acknowledged: String, _ cluster: Cluster) throws {
        let before = lines(acknowledged).count
        let goesOn = try Tools.wait(seconds: 60) { lines(acknowledged).count >= before + count }
        try #require(goesOn, "nothing is acknowledged: \(cluster.logs())")
    }

    /// What was acknowledged stands in each log once, where its publisher was told, and the states are one.
    private func compare(_ acknowledged: String, _ cluster: Cluster) throws {
        var told: [String: Int] = [:]
        for line in lines(acknowledged) {
            let parts = line.split(separator: " ")
            #expect(told.updateValue(try #require(Int(parts[1])), forKey: String(parts[0])) == nil, "twice: \(line)")
        }
        let last = try #require(told.values.max())
        var states: [[[ReplayFinding.Machine]]] = []
        for index in 0..<3 {
            let data = ["--data", cluster.data(index)]
            let hasAll = try Tools.wait(seconds: 60) {
                try Tools.run(Tools.lattice, ["replay", "--at", "\(last)"] + data).status == 0
            }
            try #require(hasAll, "node \(index) has not got to \(last): \(cluster.logs())")
            let log = try Tools.run(Tools.lattice, ["log", "cat"] + data)
            var found: [String: Int] = [:]
            for line in log.output.split(separator: "\n") where line.contains(#""registered":"#) {
                let record = try JSONDecoder().decode(RegisteredRecord.self, from: Data(line.utf8))
                let id = record.registered.events[0].instance_id
                if found[id] == nil { found[id] = record.sequence }
            }
            for (id, sequence) in told { #expect(found[id] == sequence, "\(id) in the log of node \(index)") }
            states.append(
                try [last / 3, last / 2, last].map { sequence in
                    let replay = try Tools.run(
                        Tools.lattice, ["replay", "--from-zero", "--json", "--at", "\(sequence)"] + data)
                    try #require(replay.status == 0)
                    return try JSONDecoder().decode(ReplayFinding.self, from: Data(replay.output.utf8)).machines
                })
        }
        #expect(states[0] == states[1] && states[1] == states[2])
    }
}

private struct RegisteredRecord: Decodable {
    struct Registered: Decodable {
        struct Event: Decodable { var instance_id: String }
        var events: [Event]
    }
    var sequence: Int
    var registered: Registered
}
