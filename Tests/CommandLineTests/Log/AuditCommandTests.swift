// The audit trail from the command line: of a node, of a log on disk, with its place in the chain, with anchors.

import Foundation
import TestKit
import Testing

@Suite(.serialized) struct `lattice audit` {
    /// A node on which alice and somebody else did things, and captures were exported.
    private static func node(_ options: [String] = []) async throws -> RunningNode {
        let node = try await RunningNode(try Scratch(), ["--http", "none"] + options)
        try await node.register("checkout", "checkout-1")
        try await node.register("checkout", "checkout-2")
        _ = try await node.lattice("publish", "deregister", "checkout", "--id", "checkout-2")
        let gone = try await node.lattice(
            "publish", "deregister", "checkout", "--id", "checkout-1", "--as", "alice", "--reason",
            "scaled\u{1B}[31m in")
        try #require(gone.status == 0, "\(gone)")
        _ = try await node.lattice(
            "mirror", "allow", "checkout", "--endpoint", "10.0.0.0/8:*", "--as", "alice", "--reason", "INC-42")
        let file = try node.scratch.write(
            "m.json",
            #"{"mirror_id":"next","source_service":"checkout","shadow_endpoint":"10.0.0.9:80","mode":"replay"}"#)
        try #require(try await node.lattice("mirror", "add", file).status == 0)
        let traffic = try node.scratch.write("traffic.gor", Self.traffic)
        try #require(try await node.lattice("mirror", "import", traffic, "--service", "checkout").status == 0)
        return node
    }

    private static let traffic =
        "1 111111111111111111111111 1700000000000000001\nGET /cart/1 HTTP/1.1\r\nHost: shop\r\n\r\n\n🐵🙈🙉\n"
        + "2 111111111111111111111111 1700000000000000009 4000000\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\n🐵🙈🙉\n"

    private static func rows(_ ended: Ended) throws -> [[String: Any]] {
        try ended.output.split(separator: "\n").map { try JSONObject.members(of: String($0)) }
    }

    @Test func `tells who did what, to whom and why, and escapes what they wrote`() async throws {
        let node = try await Self.node()
        let table = try await node.lattice("audit")
        #expect(table.status == 0, "\(table)")
        #expect(!table.output.contains("\u{1B}") && table.output.contains("scaled"), "\(table)")
        let rows = try Self.rows(try await node.lattice("audit", "--json", "--service", "checkout"))
        #expect(
            rows.map { "\($0["actor"] ?? "") \($0["action"] ?? "") \($0["object"] ?? "")" } == [
                "alice registry.deregistered checkout-1", "alice mirror.shadows_allowed ",
                "unverified mirror.added next",
            ])
        #expect(rows[1]["reason"] as? String == "INC-42" && rows[1]["detail"] as? String == "10.0.0.0/8:*")
        let removals = try await node.lattice("query", "removals", "--json")
        #expect(removals.output.contains("operator:alice") && removals.output.contains("service:checkout"))
        let byAlice = try Self.rows(try await node.lattice("audit", "--json", "--actor", "alice", "--limit", "1"))
        #expect(byAlice.count == 1)
        #expect(try await node.lattice("audit", "--actor", "nobody").output.contains("nothing administrative"))
        for mistake in [
            ["--kind", "mirror.captured"], ["--follow", "--offline"], ["--anchor", "x"], ["--limit", "0"],
        ] {
            #expect(try await node.lattice(["audit"] + mistake).status == 2, "\(mistake)")
        }
    }

    @Test func `tells of exports and of contents that were read, before the file is there`() async throws {
        let node = try await Self.node()
        let file = node.scratch.path("c.json")
        let exported = try await node.lattice(
            "mirror", "export", "checkout", "--from", "1", "--to", "999", "--output", file, "--as", "alice", "--reason",
            "INC-42")
        try #require(exported.status == 0, "\(exported)")
        let rows = try Self.rows(try await node.lattice("audit", "--json", "--kind", "audit"))
        #expect(rows.map { $0["action"] as? String } == ["audit.contents_read", "audit.exported"])
        #expect(rows.allSatisfy { $0["actor"] as? String == "alice" && $0["reason"] as? String == "INC-42" })
        #expect((rows[1]["detail"] as? String)?.contains("1 captures as case, records 1 to 999, to ") == true)
        // Whoever does not say who it is is named by the machine, and shown as unverified.
        _ = try await node.lattice(
            "mirror", "export", "checkout", "--from", "1", "--to", "999", "--format", "gor", "--output", file)
        let last = try #require(
            try Self.rows(try await node.lattice("audit", "--json", "--kind", "audit.exported")).last)
        #expect((last["actor"] as? String)?.hasPrefix("unverified") == true)
    }

    @Test func `goes on as events come`() async throws {
        let node = try await Self.node()
        let follower = try LatticeProcess(
            ["audit", "--follow", "--kind", "mirror.disabled", "--nats", node.natsURL], in: node.scratch)
        _ = try await node.lattice("mirror", "disable", "next", "--as", "alice", "--reason", "deploy")
        let isHeard = try await eventually {
            follower.output.contains("alice  mirror.disabled  checkout  next  deploy")
        }
        #expect(isHeard, "\(follower.output) \(follower.errors)")
        follower.send(SIGKILL)
    }

    @Test func `says the same from the disk, and where each event stands in the chain`() async throws {
        let node = try await Self.node()
        let live = try await node.lattice("audit", "--json")
        let offline = try await LatticeProcess.run(
            ["audit", "--offline", "--data", node.data, "--json"], in: node.scratch)
        #expect(offline.status == 0 && offline.output == live.output)
        _ = try await node.stop()
        let proved = try await LatticeProcess.run(
            ["audit", "--verify", "--data", node.data, "--json"], in: node.scratch)
        #expect(proved.status == 0, "\(proved)")
        for row in try Self.rows(proved) {
            #expect((row["segment"] as? String)?.isEmpty == false && row["anchored"] as? Bool == false)
        }
        let table = try await LatticeProcess.run(["audit", "--verify", "--data", node.data], in: node.scratch)
        #expect(table.output.contains("are whole") && table.output.contains("checksum only"), "\(table)")
        // Somebody who changes a record is found, whatever the trail says.
        let segment = try #require(
            try FileManager.default.contentsOfDirectory(atPath: node.data).first { $0.hasSuffix(".log") })
        var bytes = try Data(contentsOf: URL(fileURLWithPath: node.data + "/" + segment))
        let place = try #require(bytes.range(of: Data("INC-42".utf8)))
        bytes[place.lowerBound] ^= 1
        try bytes.write(to: URL(fileURLWithPath: node.data + "/" + segment))
        let found = try await LatticeProcess.run(["audit", "--verify", "--data", node.data], in: node.scratch)
        #expect(found.status == 4, "\(found)")
    }

    @Test func `holds events against anchors that were kept elsewhere`() async throws {
        let scratch = try Scratch()
        _ = try await LatticeProcess.run(["anchors", "keygen", "--out", scratch.path("key")], in: scratch)
        _ = try await LatticeProcess.run(["anchors", "keygen", "--out", scratch.path("other")], in: scratch)
        let bus = try await RunningNode(scratch, data: "bus")
        let node = try await RunningNode(
            scratch,
            ["--http", "none", "--nats", bus.natsURL, "--prefix", "two", "--anchor-key", scratch.path("key")])
        let collector = try LatticeProcess(
            [
                "anchors", "collect", "--nats", bus.natsURL, "--prefix", "two", "--public", scratch.path("key.pub"),
                "--out", scratch.path("anchors"), "--count", "1",
            ], in: scratch)
        #expect(try await eventually { collector.errors.contains("collecting") })
        _ = try await node.lattice("mirror", "allow", "checkout", "--prefix", "two", "--as", "alice")
        #expect(try await node.stop().status == 0)
        #expect(try await collector.end().status == 0)
        func audit(_ key: String) async throws -> Ended {
            try await LatticeProcess.run(
                [
                    "audit", "--verify", "--data", node.data, "--anchor", scratch.path("anchors"), "--anchor-public",
                    scratch.path(key), "--json", "--actor", "alice",
                ], in: scratch)
        }
        let good = try await audit("key.pub")
        #expect(good.status == 0, "\(good)")
        #expect(try Self.rows(good).map { $0["anchored"] as? Bool } == [true], "\(good)")
        let bad = try await audit("other.pub")
        #expect(bad.status == 1, "\(bad)")
    }

    @Test func `traces that leave are told first, and can be read back`() async throws {
        let node = try await ReceiverNode()
        let answer = try await node.post("otlp_http", "/v1/traces", OTLPExample.request(note: "plain"))
        try #require(answer.status == 200, "\(answer)")
        for format in ["otlp", "jaeger"] {
            let file = node.node.scratch.path("\(format).json")
            let ended = try await node.node.lattice(
                "trace", "export", OTLPExample.trace, "--format", format, "--output", file, "--as", "alice")
            try #require(ended.status == 0, "\(ended)")
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600 && Scratch.text(file).contains(OTLPExample.trace))
            let other = try await RunningNode(try Scratch())
            let back = try await other.lattice("import", file, "--json")
            #expect(back.status == 0 && back.output.contains(#""refused":0"#), "\(back)")
            let shown = try await other.lattice("trace", "show", OTLPExample.trace)
            #expect(shown.status == 0 && shown.output.contains("shop: GET /"), "\(shown)")
        }
        let rows = try Self.rows(try await node.node.lattice("audit", "--json", "--kind", "audit.exported"))
        #expect(rows.count == 2 && rows.allSatisfy { $0["actor"] as? String == "alice" })
        #expect((rows[1]["detail"] as? String)?.contains(OTLPExample.trace) == true, "\(rows)")
        let nobody = try await node.node.lattice("trace", "export", String(repeating: "9", count: 32))
        #expect(nobody.status == 1, "\(nobody)")
        #expect(try Self.rows(try await node.node.lattice("audit", "--json", "--kind", "audit")).count == 2)
    }

    @Test func `a restored node is fenced until alice resumes it, and the trail says so`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        try await node.register("checkout", "checkout-1")
        let made = try await LatticeProcess.run(["backup", scratch.path("copy"), "--data", node.data], in: scratch)
        #expect(made.status == 0, "\(made)")
        #expect(try await node.lattice("query", "status").output.contains("performed"))
        #expect(try await node.stop().status == 0)
        let restored = try await RunningNode(scratch, data: "copy")
        let fenced = try await restored.lattice("query", "status", "--json")
        #expect(try fenced.json["directives_fenced"] as? Bool == true, "\(fenced)")
        let resumed = try await restored.lattice(
            "directives", "resume", "--as", "alice", "--reason", "the old machine is off")
        #expect(resumed.status == 0, "\(resumed)")
        #expect(try await restored.lattice("query", "status").output.contains("performed"))
        let told = try await restored.lattice("audit", "--kind", "policy.directives_resumed")
        #expect(told.output.contains("alice") && told.output.contains("the old machine is off"), "\(told)")
        #expect(try await restored.stop().status == 0)
        let marked = try await LatticeProcess.run(["directives", "fence", "--data", restored.data], in: scratch)
        #expect(marked.status == 0 && marked.output.contains("fenced behind record"), "\(marked)")
        let nowhere = try await LatticeProcess.run(
            ["directives", "fence", "--data", scratch.path("nowhere")], in: scratch)
        #expect(nowhere.status == 1, "\(nowhere)")
    }
}
