// Mistakes on the command line: a hint and status 2.

import Foundation
import TestKit
import Testing

@Suite struct `The command line` {
    @Test(arguments: [
        (["serv"], "did you mean `serve`?"),
        (["help", "query", "selct"], "did you mean `select`?"),
        (["nonsense"], "there are serve, gateway, publish, query"),
        (["query", "resolve"], "<service>"),
        (["query", "resolve", "x", "--at", "yesterday"], "2026-11-24T08:00:00Z"),
        (["query", "resolve", "x", "--at", "2026-11-24T08:00:00"], "with its zone"),
        (["query", "resolve", "x", "--at", "0"], "from 1"),
        (["query", "resolve", "x", "--at", "-5"], "from 1"),
        (["query", "select", "x", "--strategy", "best"], "round_robin"),
        (["query", "outcome", "0"], "begin at 1"),
        (["serve", "--sync", "sometimes"], "--sync"),
        (["serve", "--stale-after", "30"], "30s"),
        (["serve", "--retention-bytes", "50GB"], "50GiB"),
        (["serve", "--creds", "nowhere.creds"], "there is no such file"),
        (["serve", "--inbox-prefix", "my inbox"], "_INBOX."),
        (["serve", "--inbox-prefix", "inbox.alice"], "_INBOX."),
        (["serve", "--stream", "L", "--stream-replicas", "2"], "1, 3 or 5"),
        (["serve", "--stream", "L", "--stream-max-bytes", "1KiB"], "1MiB"),
        (["serve", "--nkey", "seed"], "--nkey-public"),
        (["serve", "--token", "a", "--user", "b"], "give one of"),
        (["serve", "--tls-cert", "cert.pem"], "--tls-key"),
        (["publish", "heartbeat", "", "--id", "x"], "empty"),
        (["publish", "heartbeat", "x", "--id", ""], "empty"),
        (["serve", "--nats", "127.0.0.1:4222"], "nats://HOST:PORT"),
        (["serve", "--prefix", "a b"], "--prefix"),
        (["serve", "--nats", "nats://127.0.0.1:4222", "--nats-port", "1"], "embedded"),
        (["serve", "--http", "8501"], "127.0.0.1:8501"),
        (["serve", "--log-level", "loud"], "notice"),
        (["serve", "--log-format", "xml"], "json"),
        (["serve", "--disk-pressure", "80"], "80:20GiB,90:10GiB,97:3GiB"),
        (["status", "--interval", "2"], "30s"),
        (["status", "--interval", "1ms"], "100ms"),
        (["publish", "register", "x", "--id", "x-1"], "--endpoint"),
        (["tail", "--kind", "heartbeats"], "heartbeat"),
        (["log", "cat", "--from", "5", "--to", "3"], "--from"),
        (["bisect", "--wheer", "x"], "did you mean `--where`?"),
        (["publish", "register", "x", "--idd", "a", "--endpoint", "10.0.0.1:80"], "did you mean `--id`?"),
        (["whatif", "--directry=x"], "`--directry` is no option of `lattice whatif`"),
        (["query", "resolve", "x", "--tmeout", "3s"], "--timeout"),
    ])
    func `answers a mistake with a hint`(arguments: [String], hint: String) async throws {
        let ended = try await LatticeProcess.run(arguments, in: try Scratch())
        #expect(ended.status == 2, "\(ended)")
        #expect(ended.errors.contains(hint) && ended.output.isEmpty, "\(ended)")
    }

    @Test(arguments: [
        [], ["serve"], ["status"], ["query"], ["query", "resolve"], ["publish"], ["publish", "register"], ["tail"],
        ["replay"],
        ["verify"], ["log"], ["log", "cat"], ["log", "export"], ["log", "import"], ["log", "info"], ["log", "repair"],
    ])
    func `teaches with examples`(command: [String]) async throws {
        let ended = try await LatticeProcess.run(command + ["--help"], in: try Scratch())
        #expect(ended.status == 0 && ended.errors.isEmpty)
        let discussion = ended.output.components(separatedBy: "USAGE:")[0]
        #expect(discussion.contains((["lattice"] + command).joined(separator: " ")), "\(ended.output)")
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func `completes itself in a shell`(shell: String) async throws {
        let ended = try await LatticeProcess.run(["--generate-completion-script", shell], in: try Scratch())
        #expect(ended.status == 0 && ended.output.contains("resolve") && ended.output.contains("power_of_two"))
    }

    @Test func `names values as they are typed`() async throws {
        let ended = try await LatticeProcess.run(["query", "select", "--help"], in: try Scratch())
        #expect(ended.output.contains("default:") && !ended.output.contains("(default: 1)"), "\(ended.output)")
        #expect(ended.output.contains("weighted_random)"), "\(ended.output)")
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

    @Test(arguments: [["replay"], ["verify"], ["log", "info"], ["log", "cat"], ["log", "repair"]])
    func `says that there is no log`(command: [String]) async throws {
        let ended = try await LatticeProcess.run(command + ["--data", "nowhere"], in: try Scratch())
        #expect(ended.status == 1 && ended.errors.contains("--data"), "\(ended)")
    }
}
