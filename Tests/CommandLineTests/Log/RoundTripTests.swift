// Publishing and asking, through the programs people use.

import Foundation
import TestKit
import Testing

@Suite struct `Publish and query` {
    @Test func `an instance that was registered is resolved`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1", "--region", "eu-west", "--meta", "version=7")
        let ended = try await node.lattice("query", "resolve", "checkout", "--min-sequence", "\(sequence)", "--json")
        let instances = try #require(ended.json["instances"] as? [[String: Any]])
        #expect(instances.count == 1 && instances[0]["region"] as? String == "eu-west")
        #expect((instances[0]["metadata"] as? [[String: String]])?.first?["value"] == "7")
        #expect(ended.output.filter { $0 == "\n" }.count == 1)
    }

    @Test func `a person gets an aligned table and the position it is true for`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("shop", "shop-1")
        try await node.register("shop", "a-much-longer-name-of-an-instance")
        let ended = try await node.lattice("query", "resolve", "shop")
        let lines = ended.output.split(separator: "\n").map(String.init)
        try #require(lines.count == 4 && lines[3].hasPrefix("as of sequence "), "\(lines)")
        // The third column begins at the same place in each line.
        let places = zip(lines, ["ENDPOINT", "10.0.0.1", "10.0.0.1"]).map { line, cell in
            line.components(separatedBy: cell)[0].count
        }
        #expect(Set(places).count == 1 && lines[0].hasPrefix("INSTANCE"), "\(lines)")
    }

    @Test func `what was written as control characters is shown as text`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("checkout", "checkout-1", "--region", "eu\u{1B}[31m-west")
        let ended = try await node.lattice("query", "resolve", "checkout")
        #expect(!ended.output.contains("\u{1B}") && ended.output.contains(#"eu\u{1b}[31m-west"#), "\(ended)")
    }

    @Test func `a refusal ends with 1 and its reason`() async throws {
        let node = try await RunningNode(try Scratch())
        let ended = try await node.lattice("publish", "heartbeat", "checkout", "--id", "nobody")
        #expect(ended.status == 1 && (ended.output + ended.errors).contains("unknown_instance"), "\(ended)")
    }

    @Test func `a repeated message is answered as a duplicate`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("checkout", "checkout-1", "--message-id", "m1")
        let ended = try await node.lattice(
            "publish", "register", "checkout", "--id", "checkout-1", "--endpoint", "10.0.0.1:8080", "--message-id",
            "m1", "--json")
        #expect(try ended.status == 0 && ended.json["outcome"] as? String == "duplicate", "\(ended)")
    }

    @Test func `a repeat that a stream swallows is answered as a duplicate too`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "none", "--stream", "LATTICE"])
        let leads = try await eventually(within: .seconds(15)) {
            try await node.lattice("query", "status", "--json").json["leader"] as? Bool == true
        }
        try #require(leads)
        let first = try await node.register("checkout", "checkout-1", "--message-id", "m1")
        let ended = try await node.lattice(
            "publish", "register", "checkout", "--id", "checkout-1", "--endpoint", "10.0.0.1:8080", "--message-id",
            "m1", "--json")
        #expect(try ended.status == 0 && ended.json["outcome"] as? String == "duplicate", "\(ended)")
        #expect(try ended.json["first_sequence"] as? UInt64 == first, "\(ended)")
    }

    @Test func `one instance is selected, and the same one again by seed`() async throws {
        let node = try await RunningNode(try Scratch())
        for number in 1...3 { try await node.register("checkout", "checkout-\(number)") }
        var chosen: Set<String> = []
        for _ in 0..<2 {
            let ended = try await node.lattice(
                "query", "select", "checkout", "--strategy", "power-of-two", "--seed", "42", "--json")
            let instance = try #require(ended.json["instance"] as? [String: Any])
            chosen.insert(try #require(instance["instance_id"] as? String))
        }
        #expect(chosen.count == 1)
    }

    @Test func `health, load and deregistration change what is answered`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("checkout", "checkout-1")
        for arguments in [
            ["load", "checkout", "--connections", "12"], ["health", "checkout", "--unhealthy", "--reason", "timeout"],
        ] {
            let ended = try await node.lattice(["publish"] + arguments + ["--id", "checkout-1"])
            #expect(ended.status == 0, "\(ended)")
        }
        #expect(try await node.lattice("query", "resolve", "checkout").output.hasPrefix("no instances"))
        let all = try await node.lattice("query", "resolve", "checkout", "--all", "--json").output
        #expect(all.contains(#""health":"unhealthy""#) && all.contains(#""active_connections":12"#), "\(all)")

        let gone = try await node.lattice(
            "publish", "deregister", "checkout", "--id", "checkout-1", "--reason", "scaled in")
        #expect(gone.status == 0, "\(gone)")
        let removals = try await node.lattice("query", "removals", "checkout")
        #expect(removals.output.contains("scaled in") && removals.output.contains("deregistered"), "\(removals)")
    }

    @Test func `the past is answered as it was`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1")
        try await node.register("checkout", "checkout-2")
        let then = try await node.lattice("query", "resolve", "checkout", "--at", "\(sequence)", "--json").output
        #expect(then.contains("checkout-1") && !then.contains("checkout-2"), "\(then)")
        let future = try await node.lattice("query", "resolve", "checkout", "--at", "999999")
        #expect(future.status == 1 && future.errors.contains("not applied"), "\(future)")
    }

    @Test func `outcome, status, topology and the other queries are answered`() async throws {
        let node = try await RunningNode(try Scratch())
        let sequence = try await node.register("checkout", "checkout-1", "--zone", "a")
        #expect(try await node.lattice("query", "outcome", "\(sequence)").output.hasPrefix("accepted"))
        #expect(try await node.lattice("query", "status").output.contains("durable sequence"))
        #expect(try await node.lattice("query", "topology", "checkout").output.contains("checkout"))
        #expect(try await node.lattice("query", "services", "--json").output.contains(#""service_name":"checkout""#))
        #expect(try await node.lattice("query", "instance", "checkout-1").output.contains("10.0.0.1:8080"))
        #expect(try await node.lattice("query", "failover", "checkout").status == 0)
        #expect(try await node.lattice("query", "stale").status == 0)
    }

    @Test func `the guard is released by a principal`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("checkout", "checkout-1")
        let ended = try await node.lattice("publish", "release-guard", "checkout", "--as", "alice")
        #expect(ended.status == 0, "\(ended)")
        let log = try await LatticeProcess.run(["log", "cat", "--data", node.data], in: node.scratch)
        #expect(log.output.contains("policy.alice.guard_released"), "\(log)")
    }

    @Test func `settings are changed by a principal, and senseless ones are refused`() async throws {
        let node = try await RunningNode(try Scratch())
        let changed = try await node.lattice("publish", "configure", "--as", "alice", "--stale-after", "45s")
        #expect(changed.status == 0, "\(changed)")
        let refused = try await node.lattice("publish", "configure", "--as", "alice", "--guard-service", "20000")
        #expect(refused.status == 1 && refused.output.contains("invalid_setting"), "\(refused)")
        let nothing = try await node.lattice("publish", "configure", "--as", "alice")
        #expect(nothing.status == 2 && nothing.errors.contains("at least one"), "\(nothing)")
    }

    @Test func `settings of traces are changed by a principal, and shown`() async throws {
        let node = try await RunningNode(try Scratch())
        let changed = try await node.lattice(
            "publish", "configure-traces", "--as", "alice", "--trace-ttl", "2h", "--anomaly-factor", "6", "--slo",
            "checkout=250ms,99.95", "--slo", "mirror=none")
        #expect(changed.status == 0, "\(changed)")
        let stats = try await node.lattice("trace", "stats", "--json")
        #expect(stats.output.contains(#""time_to_live_ns":7200000000000"#), "\(stats)")
        #expect(stats.output.contains(#""anomaly_factor":6"#), "\(stats)")
        let objective = #"{"service_name":"checkout","latency_ns":250000000,"availability_basis_points":9995}"#
        #expect(stats.output.contains(objective) && !stats.output.contains("mirror"), "\(stats)")
        let table = try await node.lattice("trace", "stats")
        #expect(table.status == 0 && table.output.contains("99.95 %") && table.output.contains("traces resident"))
        let refused = try await node.lattice("publish", "configure-traces", "--as", "alice", "--trace-ttl", "8d")
        #expect(refused.status == 1 && refused.output.contains("invalid_setting"), "\(refused)")
        let nothing = try await node.lattice("publish", "configure-traces", "--as", "alice")
        #expect(nothing.status == 2 && nothing.errors.contains("at least one"), "\(nothing)")
        for wrong in ["checkout", "=1s,99", "checkout=1s", "checkout=1s,100.01", "checkout=1s,9.999", "checkout=0s,99"]
        {
            let ended = try await node.lattice("publish", "configure-traces", "--as", "alice", "--slo", wrong)
            #expect(ended.status == 2, "\(wrong): \(ended)")
        }
    }

    @Test func `a tail shows what passes`() async throws {
        let node = try await RunningNode(try Scratch())
        let tail = try LatticeProcess(
            ["tail", "--service", "checkout", "--json", "--nats", node.natsURL], in: node.scratch)
        // The tail is there when it shows something: publish until it does.
        let isSeen = try await eventually(within: .seconds(15)) {
            try await node.register("checkout", "checkout-1")
            return tail.output.contains("\n")
        }
        #expect(isSeen, "\(tail.errors)")
        let line = tail.output.split(separator: "\n").first.map(String.init) ?? ""
        #expect(try JSONObject.members(of: line)["subject"] as? String == "registry.checkout.registered", "\(line)")
        tail.send(SIGTERM)
        _ = try await tail.end()
    }
}
