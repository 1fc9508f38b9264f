// Mistakes on the command line: a hint and status 2.

import Foundation
import Testing

@Suite struct `The command line` {
    @Test(arguments: [
        (["serv"], "lattice --help"),
        (["query", "resolve"], "<service>"),
        (["query", "resolve", "x", "--at", "yesterday"], "--at"),
        (["query", "select", "x", "--strategy", "best"], "round_robin"),
        (["query", "outcome", "0"], "begin at 1"),
        (["serve", "--sync", "sometimes"], "--sync"),
        (["serve", "--stale-after", "30"], "--stale-after"),
        (["serve", "--nats", "127.0.0.1:4222"], "nats://HOST:PORT"),
        (["serve", "--prefix", "a b"], "--prefix"),
        (["serve", "--nats", "nats://127.0.0.1:4222", "--nats-port", "1"], "embedded"),
        (["serve", "--http", "8501"], "--http"),
        (["serve", "--log-level", "loud"], "notice"),
        (["publish", "register", "x", "--id", "x-1"], "--endpoint"),
        (["tail", "--kind", "heartbeats"], "heartbeat"),
        (["log", "cat", "--from", "5", "--to", "3"], "--from"),
    ])
    func `answers a mistake with a hint`(arguments: [String], hint: String) async throws {
        let ended = try await LatticeProcess.run(arguments, in: try Scratch())
        #expect(ended.status == 2, "\(ended)")
        #expect(ended.errors.contains(hint) && ended.output.isEmpty, "\(ended)")
    }

    @Test(arguments: [
        [], ["serve"], ["query"], ["query", "resolve"], ["publish"], ["publish", "register"], ["tail"], ["replay"],
        ["verify"], ["log"], ["log", "cat"], ["log", "export"], ["log", "repair"],
    ])
    func `teaches with examples`(command: [String]) async throws {
        let ended = try await LatticeProcess.run(command + ["--help"], in: try Scratch())
        #expect(ended.status == 0 && ended.errors.isEmpty)
        let discussion = ended.output.components(separatedBy: "USAGE:")[0]
        #expect(discussion.contains((["lattice"] + command).joined(separator: " ")), "\(ended.output)")
    }

    @Test func `says its version`() async throws {
        let ended = try await LatticeProcess.run(["--version"], in: try Scratch())
        #expect(ended.status == 0 && ended.output.split(separator: ".").count == 3)
    }

    @Test func `says that no server is there`() async throws {
        let ended = try await LatticeProcess.run(
            ["query", "services", "--nats", "nats://127.0.0.1:9"], in: try Scratch())
        #expect(ended.status == 3, "\(ended)")
    }

    @Test func `says that no node answers`() async throws {
        let node = try await RunningNode(try Scratch())
        let ended = try await node.lattice("query", "services", "--prefix", "elsewhere")
        #expect(ended.status == 3 && ended.errors.contains("lattice serve"), "\(ended)")
    }

    @Test(arguments: [["replay"], ["verify"], ["log", "info"], ["log", "cat"]])
    func `says that there is no log`(command: [String]) async throws {
        let ended = try await LatticeProcess.run(command + ["--data", "nowhere"], in: try Scratch())
        #expect(ended.status == 1 && ended.errors.contains("--data"), "\(ended)")
    }
}
