// No copy is lost silently: a node is killed while it sends to a slow shadow, and every copy is found again.

import Foundation
import Testing

/// A real node, a real shadow in another process, SIGKILL in between.
@Suite(.serialized) struct `A node that is killed while copies are under way` {
    private static let captureCount = 150
    /// How long the shadow takes for each; 32 are under way at once.
    private static let delay = "0.6"
    private static let traffic: String = (1...captureCount).map { number in
        let body = #"{"path": "/r/\#(number)", "price": 12.5}"#
        let digits = String(number)
        let id = String(repeating: "0", count: 24 - digits.utf8.count) + digits
        return "1 \(id) 1700000000000000000\nGET /r/\(number) HTTP/1.1\r\nHost: shop\r\n\r\n\n🐵🙈🙉\n"
            + "2 \(id) 1700000000000000009 4000000\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)\n🐵🙈🙉\n"
    }.joined()

    @Test(arguments: [1, 2]) func `dispatches each at most once more or accounts for it`(_ kills: Int) throws {
        let stage = try MirrorStage(delay: Self.delay)
        defer { stage.end() }
        var node = try stage.startNode(0)
        try stage.lattice("mirror", "allow", "checkout", "--endpoint", "127.0.0.1:*", "--loopback")
        try stage.lattice("mirror", "add", stage.specification)
        let file = stage.directory + "/traffic.gor"
        try Self.traffic.write(toFile: file, atomically: true, encoding: .utf8)
        let imported = try stage.lattice("mirror", "import", file, "--service", "checkout")
        try #require(imported.contains("\(Self.captureCount) captured, 0 refused"))
        // The first answers are there, the next wave is on its way.
        var waiting = 0
        for kill in 1...kills {
            let seen = stage.seen.count
            #expect(try Tools.wait(seconds: 30) { stage.seen.count > seen + (kill == 1 ? 32 : 0) })
            node.killNow()
            let state = try stage.stateOnDisk()
            #expect(state.mirrored == Self.captureCount && state.isBalanced, "\(state)")
            if kill == 1 { waiting = state.pending }
            node = try stage.startNode(kill)
        }
        #expect(waiting >= 100)
        // A copy whose comparison died with the node waits for it until it expires.
        let isSettled = try Tools.wait(seconds: 100) { try stage.state().isSettled }
        let state = try stage.state()
        #expect(isSettled && state.isBalanced && state.mirrored == Self.captureCount, "\(state)")
        // Whatever waited when the node died was sent once more and marked; what was marked twice is told as lost.
        let lost = state.ledger["lost"] ?? 0
        #expect(state.redispatched + lost == waiting && (lost > 0) == (kills == 2), "\(state)")
        #expect(state.ledger.keys.allSatisfy { ["lost", "not_compared"].contains($0) }, "\(state)")
        #expect(state.equal == state.compared, "\(state)")
        var times: [String: Int] = [:]
        for path in stage.seen { times[path, default: 0] += 1 }
        #expect(times.values.allSatisfy { $0 <= 2 }, "sent a third time: \(times.filter { $0.value > 2 })")
        if kills == 1 { #expect(times.count == Self.captureCount, "never sent") }
        try compareWithLog(stage, times, redispatched: state.redispatched)
        node.process.terminate()
        node.process.waitUntilExit()
        #expect(node.process.terminationStatus == 0)
        #expect(try stage.lattice(onDisk: "verify").contains("are whole"))
    }

    /// Every outcome in the log: one of each copy, and whatever the shadow saw twice is marked.
    private func compareWithLog(_ stage: MirrorStage, _ times: [String: Int], redispatched: Int) throws {
        var copies: Set<String> = []
        var marked: Set<String> = []
        for line in try stage.lattice(onDisk: "log", "cat").split(separator: "\n")
        where line.contains(#""dispatched":"#) {
            let record = try JSONDecoder().decode(DispatchedRecord.self, from: Data(line.utf8))
            for event in record.dispatched.events {
                let copy = "\(event.cause_sequence)-\(event.cause_index)"
                #expect(copies.insert(copy).inserted, "told twice: \(copy)")
                if event.redispatched { marked.insert(copy) }
            }
        }
        #expect(marked.count == redispatched)
        // Only what was under way can have been seen before.
        #expect(times.values.count { $0 == 2 } <= 64)
    }
}

/// A server, a slow shadow, a directory.
private final class MirrorStage {
    /// How a mirror does, by its own words.
    struct State: CustomStringConvertible {
        var mirrored = 0
        var pending = 0
        var awaiting = 0
        var redispatched = 0
        var equal = 0
        var compared = 0
        var ledger: [String: Int] = [:]

        /// Each copy is settled, in the ledger, or waits.
        var isBalanced: Bool { mirrored == compared + ledger.values.reduce(0, +) + pending + awaiting }
        var isSettled: Bool { mirrored > 0 && pending + awaiting == 0 }
        var description: String {
            "mirrored \(mirrored), pending \(pending), awaiting comparison \(awaiting), redispatched \(redispatched), "
                + "compared \(compared), ledger \(ledger)"
        }
    }

    let directory = NSTemporaryDirectory() + "lattice-kill-\(UUID().uuidString)"
    let specification: String
    private let url: String
    private let server: Child
    private let shadow: Child

    init(delay: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let port = Int.random(in: 20_000...40_000)
        url = "nats://127.0.0.1:\(port)"
        server = try Child(
            try #require(Tools.find("nats-server")), ["-a", "127.0.0.1", "-p", "\(port)"],
            output: directory + "/nats.log")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "slow_shadow.py")
        let output = directory + "/shadow.out"
        shadow = try Child(
            try #require(Tools.find("python3")), [script.path, delay, directory + "/seen"], output: output)
        var shadowPort: Int?
        _ = try Tools.wait(seconds: 20) {
            shadowPort = Int((Self.text(output)).trimmingCharacters(in: .whitespacesAndNewlines))
            return shadowPort != nil
        }
        specification = directory + "/next.json"
        try """
        {"mirror_id": "next", "source_service": "checkout", "shadow_endpoint": "127.0.0.1:\(try #require(shadowPort))",
         "mode": "full", "timeout_ms": 20000}
        """.write(toFile: specification, atomically: true, encoding: .utf8)
    }

    func end() {
        server.killNow()
        shadow.killNow()
        try? FileManager.default.removeItem(atPath: directory)
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// What the shadow was asked, in order, a copy that came twice twice.
    var seen: [String] { Self.text(directory + "/seen").split(separator: "\n").map(String.init) }

    func startNode(_ round: Int) throws -> Child {
        let output = directory + "/node-\(round).log"
        let node = try Child(
            Tools.lattice,
            ["serve", "--nats", url, "--data", directory + "/data", "--http", "none", "--json"], output: output)
        let isReady = try Tools.wait(seconds: 30) { Self.text(output).contains(#""ready":true"#) }
        try #require(isReady, "the node did not start in round \(round): \(Self.text(output))")
        return node
    }

    @discardableResult
    func lattice(_ arguments: String...) throws -> String { try run(arguments + ["--nats", url]) }

    func lattice(onDisk arguments: String...) throws -> String { try run(arguments + ["--data", directory + "/data"]) }

    private func run(_ arguments: [String]) throws -> String {
        let ended = try Tools.run(Tools.lattice, arguments)
        try #require(ended.status == 0, "\(arguments): \(ended)")
        return ended.output
    }

    func state() throws -> State { try Self.state(lattice("mirror", "stats", "next", "--json")) }

    /// The same from the log of a node that is dead, at its last record.
    func stateOnDisk() throws -> State {
        let info = try JSONDecoder().decode(LogFacts.self, from: Data(lattice(onDisk: "log", "info", "--json").utf8))
        return try Self.state(
            run([
                "at", "\(info.last_sequence)", "query", "mirror.stats", #"{"mirror_id":"next"}"#, "--data",
                directory + "/data",
            ]))
    }

    private static func state(_ json: String) throws -> State {
        let answer = try JSONDecoder().decode(StatsAnswer.self, from: Data(json.utf8))
        let row = try #require(answer.mirrors.first)
        var state = State()
        state.mirrored = row.mirrored
        state.pending = row.pending
        state.awaiting = row.awaiting_comparison
        state.redispatched = row.redispatched
        state.equal = row.equal
        state.compared = state.equal + row.different + row.undecided
        for entry in row.ledger { state.ledger[entry.reason] = entry.count }
        return state
    }
}

private struct LogFacts: Decodable { var last_sequence: UInt64 }

private struct StatsAnswer: Decodable {
    struct Row: Decodable {
        struct Entry: Decodable {
            var reason: String
            var count: Int
        }
        var mirrored: Int
        var pending: Int
        var awaiting_comparison: Int
        var redispatched: Int
        var equal: Int
        var different: Int
        var undecided: Int
        var ledger: [Entry]
    }
    var mirrors: [Row]
}

private struct DispatchedRecord: Decodable {
    struct Dispatched: Decodable {
        struct Event: Decodable {
            var cause_sequence: Int
            var cause_index: Int
            var redispatched: Bool
        }
        var events: [Event]
    }
    var dispatched: Dispatched
}
