// Keys, anchors collected beside a node, and what `lattice verify` makes of them.

import Foundation
import TestKit
import Testing

@Suite struct `lattice anchors` {
    /// A node with a key, and its anchors after a clean end.
    private func anchored(_ scratch: Scratch) async throws -> (data: String, copy: String, anchors: String) {
        let made = try await LatticeProcess.run(["anchors", "keygen", "--out", scratch.path("key")], in: scratch)
        try #require(made.status == 0, "\(made)")
        let bus = try await RunningNode(scratch, data: "bus")
        let node = try await RunningNode(
            scratch,
            ["--http", "none", "--nats", bus.natsURL, "--prefix", "two", "--anchor-key", scratch.path("key")])
        let collector = try LatticeProcess(
            [
                "anchors", "collect", "--nats", bus.natsURL, "--prefix", "two", "--public", scratch.path("key.pub"),
                "--out", scratch.path("anchors"), "--count", "2",
            ], in: scratch)
        let listens = try await eventually { collector.errors.contains("collecting") }
        try #require(listens, "\(collector.errors)")
        _ = try await node.lattice(
            "publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80", "--prefix", "two")
        #expect(try await node.stop().status == 0)
        try FileManager.default.copyItem(atPath: node.data, toPath: scratch.path("copy"))
        let again = try await RunningNode(
            scratch,
            ["--http", "none", "--nats", bus.natsURL, "--prefix", "two", "--anchor-key", scratch.path("key")])
        #expect(try await again.stop().status == 0)
        #expect(try await collector.end().status == 0)
        return (node.data, scratch.path("copy"), scratch.path("anchors"))
    }

    private func verify(_ scratch: Scratch, _ data: String, _ anchors: String, key: String = "key.pub") async throws
        -> Ended
    {
        try await LatticeProcess.run(
            ["verify", "--data", data, "--anchor", anchors, "--anchor-public", scratch.path(key), "--json"],
            in: scratch)
    }

    @Test func `are confirmed by the log, and contradicted by an older copy of it`() async throws {
        let scratch = try Scratch()
        let (data, copy, anchors) = try await anchored(scratch)
        let good = try await verify(scratch, data, anchors)
        #expect(good.status == 0, "\(good)")
        #expect(good.output.contains(#""confirmed":2"#) && good.output.contains(#""digests_confirmed":2"#), "\(good)")
        #expect(good.output.contains(#""tail":0"#), "the end of a clean stop is anchored: \(good)")
        let text = try await LatticeProcess.run(
            ["verify", "--data", data, "--anchor", anchors, "--anchor-public", scratch.path("key.pub")], in: scratch)
        #expect(text.output.contains("not anchored: the 0 records"), "\(text)")

        let short = try await verify(scratch, copy, anchors)
        #expect(short.status == 1 && short.output.contains("missing"), "\(short)")
    }

    @Test func `prove nothing when they are missing, of another log, or of another key`() async throws {
        let scratch = try Scratch()
        let (data, _, anchors) = try await anchored(scratch)
        let none = try await verify(scratch, data, try scratch.write("empty", ""))
        #expect(none.status == 1, "\(none)")
        let other = try await verify(scratch, scratch.path("bus"), anchors)
        #expect(other.status == 1 && other.output.contains(#""foreign":2"#), "\(other)")
        _ = try await LatticeProcess.run(["anchors", "keygen", "--out", scratch.path("other")], in: scratch)
        let wrong = try await verify(scratch, data, anchors, key: "other.pub")
        #expect(wrong.status == 1 && wrong.output.contains(#""wrongly_signed":2"#), "\(wrong)")
        let damaged = try await verify(scratch, data, try scratch.write("damaged", "{\"head\":7}\n"))
        #expect(damaged.status == 1 && damaged.errors.contains("line 1"), "\(damaged)")
        let forged = Scratch.text(anchors).replacingOccurrences(of: #""sequence":""#, with: #""sequence":"1"#)
        let changed = try await verify(scratch, data, try scratch.write("forged", forged))
        #expect(changed.status == 1, "\(changed)")
    }

    @Test func `need a key that is its owner's alone and lies elsewhere`() async throws {
        let scratch = try Scratch()
        _ = try await LatticeProcess.run(["anchors", "keygen", "--out", scratch.path("key")], in: scratch)
        let path = scratch.path("key")
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
        #expect(mode?.intValue == 0o600)
        let second = try await LatticeProcess.run(["anchors", "keygen", "--out", path], in: scratch)
        #expect(second.status == 1 && second.errors.contains("exists"), "\(second)")
        func serve(_ key: String) async throws -> Ended {
            try await LatticeProcess.run(
                ["serve", "--data", scratch.path("data"), "--http", "none", "--anchor-key", key], in: scratch)
        }
        try FileManager.default.createDirectory(atPath: scratch.path("data"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: path, toPath: scratch.path("data/key"))
        let inside = try await serve(scratch.path("data/key"))
        #expect(inside.status == 1 && inside.errors.contains("data directory"), "\(inside)")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let open = try await serve(path)
        #expect(open.status == 1 && open.errors.contains("chmod 600"), "\(open)")
        let publicKey = try await serve(path + ".pub")
        #expect(publicKey.status == 1, "\(publicKey)")
        let nothing = try await serve(scratch.path("nowhere"))
        #expect(nothing.status == 1 && nothing.errors.contains("keygen"), "\(nothing)")
    }
}
