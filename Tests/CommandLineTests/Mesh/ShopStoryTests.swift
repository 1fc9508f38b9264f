// A recorded story with a known truth: each command that asks the past finds it, and touches nothing.

import EventModel
import Foundation
import TestKit
import Testing

/// The story's log on disk; made once, since every command only reads it.
final class ShopLog: Sendable {
    let scratch: Scratch
    let data: String
    let truth: ShopStory.Truth

    private static let made = Task { try ShopLog() }

    static func shared() async throws -> ShopLog { try await made.value }

    private init() throws {
        scratch = try Scratch()
        data = scratch.path("shop")
        var story = ShopStory()
        try story.write(into: data)
        truth = story.truth
    }

    func lattice(_ arguments: String...) async throws -> Ended { try await run(arguments) }

    func run(_ arguments: [String]) async throws -> Ended {
        try await LatticeProcess.run(arguments + ["--data", data], in: scratch)
    }

    /// Every file of the directory with its contents.
    func files() throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in FileManager.default.subpaths(atPath: data) ?? [] {
            found[name] = FileManager.default.contents(atPath: data + "/" + name) ?? Data()
        }
        try #require(!found.isEmpty)
        return found
    }
}

extension [String: Any] {
    fileprivate func rows(_ path: String...) -> [[String: Any]] {
        var here: Any? = self
        for name in path { here = (here as? [String: Any])?[name] }
        return here as? [[String: Any]] ?? []
    }

    fileprivate func text(_ name: String) -> String { self[name] as? String ?? "" }
    fileprivate func number(_ name: String) -> UInt64 { (self[name] as? NSNumber)?.uint64Value ?? 0 }
}

@Suite struct `The story of the shop` {
    /// `LATTICE_SHOP_STORY=DIR` writes its log there: what the README shows, and what the history was recorded from.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["LATTICE_SHOP_STORY"] != nil))
    func `the story can be written down`() throws {
        let directory = try #require(ProcessInfo.processInfo.environment["LATTICE_SHOP_STORY"])
        var story = ShopStory()
        try story.write(into: directory)
    }

    @Test func `the recorded history is this story`() async throws {
        let shop = try await ShopLog.shared()
        let histories = BuiltProgram.repository.appendingPathComponent("Tests/Histories").path
        let copy = shop.scratch.path("recorded")
        let imported = try await LatticeProcess.run(
            ["log", "import", histories + "/shop-1.lattice", "--data", copy], in: shop.scratch)
        #expect(imported.status == 0, "\(imported)")
        let against = try await shop.lattice("verify", "--against", copy, "--json")
        #expect(against.status == 0, "\(against)")
        #expect(
            try against.json["is_equal"] as? Bool == true
                && against.json.number("last_equal") == shop.truth.last.rawValue)
        let ladder = try await shop.lattice("verify", "--against", histories + "/shop-1.digests")
        #expect(ladder.status == 0, "\(ladder)")
    }

    @Test func `at shows who was there before and after the eviction`() async throws {
        let shop = try await ShopLog.shared()
        let evicted = shop.truth.evicted.rawValue
        func ids(_ point: UInt64) async throws -> [String] {
            let ended = try await shop.lattice("at", "\(point)", "query", "resolve", "checkout", "--all", "--json")
            return try ended.json.rows("instances").map { ($0["instance"] as? [String: Any] ?? $0).text("instance_id") }
        }
        #expect(try await ids(evicted - 1) == ["checkout-1", "checkout-2", "checkout-3"])
        #expect(try await ids(evicted) == ["checkout-1", "checkout-2"])
        #expect(try await ids(shop.truth.registeredAnew.rawValue) == ["checkout-1", "checkout-2", "checkout-3"])
    }

    @Test func `diff names the eviction, the deployment with its slowness, and the new shadow`() async throws {
        let shop = try await ShopLog.shared()
        let evicted = shop.truth.evicted.rawValue
        let first = try await shop.lattice("diff", "\(evicted - 1)", "\(evicted)", "--json").json
        let gone = try #require(first.rows("instances").first)
        #expect(gone.text("instance_id") == "checkout-3" && gone.text("reason") == "heartbeat_timeout")
        let rest = try await shop.lattice("diff", "\(shop.truth.deployed.rawValue - 1)", "\(shop.truth.last)", "--json")
            .json
        #expect(rest.rows("instances").map { $0.text("instance_id") } == ["payment-2"])
        #expect(rest.rows("changes").contains { $0.text("field") == "metadata.version" && $0.text("after") == "1.5.0" })
        let payment = try #require(rest.rows("calls").first { $0.text("service_name") == "payment" })
        let (before, between) = (payment["before"] as? [String: Any], payment["between"] as? [String: Any])
        #expect((before?.number("p99_ns") ?? .max) < 20_000_000 && (between?.number("p99_ns") ?? 0) > 180_000_000)
        #expect(
            rest.rows("mirror_changes").contains { $0.text("field") == "shadow" && $0.text("after") == "10.9.0.2:8080" }
        )
    }

    @Test func `bisect finds the three records`() async throws {
        let shop = try await ShopLog.shared()
        let truth = shop.truth
        for (expression, record) in [
            ("any(removals, instance == 'checkout-3' and kind == 'evicted')", truth.evicted),
            ("any(instances, metadata('version') == '1.5.0')", truth.deployed),
            ("mirror('checkout-next').different >= 1", truth.firstDifference),
        ] {
            for extra in [[], ["--scan"]] {
                let ended = try await shop.run(["bisect", "--where", expression, "--json"] + extra)
                #expect(try ended.json.text("sequence") == "\(record)", "\(expression): \(ended)")
            }
        }
    }

    @Test func `a walk finds them too`() async throws {
        let shop = try await ShopLog.shared()
        let process = Process()
        process.executableURL = LatticeProcess.executable
        process.arguments = ["step", "--data", shop.data, "--at", "1"]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, output)
        try process.run()
        let lines = """
            until any(removals, instance == 'checkout-3')
            back
            until any(instances, metadata('version') == '1.5.0')
            until mirror('checkout-next').different >= 1
            quit

            """
        try input.fileHandleForWriting.write(contentsOf: Data(lines.utf8))
        try input.fileHandleForWriting.close()
        let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        let starts = said.split(separator: "\n").compactMap { UInt64($0.prefix { $0.isNumber }) }
        let evicted = shop.truth.evicted.rawValue
        #expect(
            starts == [1, evicted, evicted - 1, shop.truth.deployed.rawValue, shop.truth.firstDifference.rawValue],
            "\(said)")
    }

    @Test func `explain names the deployment as the first guess about the slow trace`() async throws {
        let shop = try await ShopLog.shared()
        let trace = shop.truth.slowTrace.description
        let ended = try await shop.lattice("explain", "trace", trace, "--json")
        let facts = try ended.json
        let hop = try #require(facts.rows("hops").first { $0.text("service_name") == "payment" }, "\(ended)")
        #expect(hop.rows("choices").first?.number("sequence") == shop.truth.slowSelection.rawValue)
        #expect(hop.rows("choices").first?.text("chosen") == "payment-2" && hop["is_certain"] as? Bool == true)
        #expect(hop.rows("instances").map { $0.text("instance_id") } == ["payment-1", "payment-2"])
        let guess = try #require(facts.rows("guesses").first?["fact"] as? [String: Any])
        #expect(guess.text("kind") == "restarted" && guess.number("sequence") == shop.truth.deployed.rawValue)
        #expect(guess.text("before") == "version 1.4.2" && guess.text("after") == "version 1.5.0")
        #expect(guess.text("relation") == "before" && guess["is_of_chosen"] as? Bool == true)
        let worst = try #require(facts.rows("critical_path").first)
        #expect(worst.text("operation_name") == "POST /charge")
        #expect((176_000_000...184_000_000).contains(worst.number("growth_ns")))
        let kinds = Set(facts.rows("facts").map { $0.text("kind") })
        #expect(kinds.isSuperset(of: ["registered", "health", "evicted", "restarted", "settings", "mirror"]))
        let healthy = try #require(facts["healthy"] as? [String: Any])
        #expect(healthy["is_earlier"] as? Bool == true && healthy.number("candidates") > 100)
        let slow = facts.rows("calls").first { $0.text("instance_id") == "payment-2" }
        #expect(slow?["is_chosen"] as? Bool == true)
    }

    @Test func `explain is text for people, too, and says what is a guess`() async throws {
        let shop = try await ShopLog.shared()
        let ended = try await shop.lattice("explain", "trace", shop.truth.slowTrace.description)
        for words in [
            "checkout -> payment  POST /charge", "payment-2 chosen by round_robin", "version 1.5.0",
            "checkout-3 evicted, it was stale by registry: heartbeat_timeout", "critical path",
            "Order: everything above",
            "Guess: payment spends 182ms more on the critical path; record \(shop.truth.deployed), of the instance that was",
            "the log does not say so",
        ] { #expect(ended.output.contains(words), "\(words): \(ended)") }
    }

    @Test func `a trace that was forgotten long ago, or asked for early, is explained from its own records`()
        async throws
    {
        let shop = try await ShopLog.shared()
        let trace = shop.truth.slowTrace.description
        let early = try await shop.lattice("explain", "trace", trace, "--at", "\(shop.truth.slowSelection)")
        #expect(early.status == 1 && early.errors.contains("no span of trace"), "\(early)")
        let past = try await shop.lattice(
            "explain", "trace", trace, "--at", "\(shop.truth.slowSelection.rawValue + 3)", "--json")
        #expect(try past.json.number("spans") == 3, "\(past)")
    }

    @Test func `whatif keeps the instance that was evicted wrongly`() async throws {
        let shop = try await ShopLog.shared()
        let ended = try await shop.lattice("whatif", "--evict-after", "10m", "--json")
        let row = try #require(try ended.json.rows("evictions", "different").first, "\(ended)")
        #expect(row.text("instance_id") == "checkout-3" && row.number("recorded") == shop.truth.evicted.rawValue)
        #expect(row["changed"] == nil && row.number("heard_again") == shop.truth.heardAgain.rawValue)
        let text = try await shop.lattice("whatif", "--evict-after", "10m")
        #expect(
            text.output.contains("would have stayed; it was heard again at record \(shop.truth.heardAgain)"), "\(text)")
        #expect(text.output.contains("unknown_instance: 1 as recorded, 0 under"), "\(text)")
        let none = try await shop.lattice("whatif", "--evict-after", "30s")
        #expect(none.output.contains("no decision would have been different"), "\(none)")
    }

    @Test func `whatif chooses again, filters again, judges again`() async throws {
        let shop = try await ShopLog.shared()
        let chosen = try await shop.lattice("whatif", "--strategy", "least_connections", "--json").json
        let selections = try #require(chosen["selections"] as? [String: Any])
        #expect(selections.number("count") == selections.number("reproduced") && selections.number("count") == 576)
        let shares = selections.rows("shares").filter { $0.text("service_name") == "payment" }
        #expect(shares.map { $0.number("recorded") } == [144, 144] && shares.map { $0.number("changed") } == [288, 0])
        let mirrored = try await shop.lattice("whatif", "--mirror", "checkout-next", "--include", "cart", "--json").json
        let sum = try #require(mirrored.rows("mirrors", "sums").first)
        #expect(sum.number("captured") == 144 && sum.number("would_be_copied") == 72)
        #expect(sum.number("differences") == sum.number("differences_lost") && sum.number("differences") > 10)
        #expect(sum["places_never_seen"] as? [String] == ["body /total value"])
        let judged = try await shop.lattice("whatif", "--anomaly-threshold", "100ms", "--json").json
        let traces = try #require(judged["traces"] as? [String: Any])
        #expect(traces.number("changed") > 50 && traces.number("judged") > 280)
        let objectives = try await shop.lattice("whatif", "--slo", "payment=50ms,99", "--json").json
        let windows = objectives.rows("objectives", "different")
        #expect(windows.map { $0["kept_changed"] as? Bool } == [true, false, false], "\(windows)")
    }

    @Test func `verify finds the record at which a story with a twist parts from this one`() async throws {
        let shop = try await ShopLog.shared()
        let other = shop.scratch.path("twisted")
        var story = ShopStory(hasTwist: true)
        try story.write(into: other)
        let ended = try await shop.lattice("verify", "--against", other, "--json")
        #expect(try ended.status == 1 && ended.json.number("first_different") == story.truth.twist.rawValue, "\(ended)")
    }

    @Test func `nothing that asks the past changes a byte of the directory`() async throws {
        let shop = try await ShopLog.shared()
        let before = try shop.files()
        let trace = shop.truth.slowTrace.description
        for arguments in [
            ["whatif", "--evict-after", "20m", "--stale-after", "5s", "--guard-service", "10000", "--panic", "9000"],
            ["whatif", "--strategy", "power_of_two"], ["whatif", "--sample", "1%"],
            ["whatif", "--anomaly-factor", "2", "--slo", "web=30ms,99.9"], ["explain", "trace", trace],
            ["at", "-1m", "query", "services"], ["diff", "1", "-0s"], ["bisect", "--where", "sequence > 100"],
            ["replay"],
        ] {
            let ended = try await shop.run(arguments)
            #expect(ended.status == 0, "\(arguments): \(ended)")
        }
        #expect(try shop.files() == before)
    }

    @Test(
        arguments: [
            (["explain", "trace", "ffffffffffffffffffffffffffffffff"], 1, "no span of trace"),
            (["explain", "trace", "xyz"], 2, "xyz"), (["explain", "trace"], 2, "id"),
            (["explain", "trace", "51070000000000000000000000000001", "--at", "999999"], 1, "outside of the log"),
            (["explain", "trace", "51070000000000000000000000000001", "--at", "soon"], 2, "no point in a log"),
            (
                [
                    "explain", "trace", "51070000000000000000000000000001", "--healthy",
                    "ffffffffffffffffffffffffffffffff",
                ], 1, "to hold it against"
            ),
            (["explain", "spans"], 2, "no command"), (["whatif"], 2, "at least one setting"),
            (["whatif", "--mirror", "checkout-next"], 2, "what is to be different"),
            (["whatif", "--mirror", "nobody", "--sample", "1%"], 1, "nobody"),
            (["whatif", "--stale-after", "1ms"], 2, "stale_after lies in 100ms"),
            (["whatif", "--strategy", "best"], 2, "best"),
            (["whatif", "--mode", "some"], 2, "some"), (["whatif", "--slo", "web"], 2, "web"),
            (["whatif", "--slo", "web=none"], 2, "nothing to compare"),
            (["whatif", "--anomaly-factor", "0"], 2, "1 to 1000"), (["whatif", "--sample", "200%"], 2, "200%"),
            (["whatif", "--evict-after", "1h", "--from", "999999"], 1, "outside of the log"),
            (["whatif", "--evict-after", "1h", "--from", "5", "--to", "4"], 2, "does not lie before"),
        ])
    func `what can not be asked is said, with a status`(
        _ arguments: [String], _ status: Int32, _ words: String
    ) async throws {
        let shop = try await ShopLog.shared()
        let ended = try await shop.run(arguments)
        #expect(ended.status == status && ended.errors.contains(words), "\(arguments): \(ended)")
    }

    @Test func `a damaged log ends every command with the status for it`() async throws {
        let shop = try await ShopLog.shared()
        let copy = shop.scratch.path("damaged-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: shop.data, toPath: copy)
        let name = try #require(
            FileManager.default.subpaths(atPath: copy)?.first { $0.hasSuffix(".log") })
        let path = copy + "/" + name
        var bytes = try #require(FileManager.default.contents(atPath: path))
        for offset in bytes.count / 4..<bytes.count / 4 + 64 { bytes[offset] ^= 0xFF }
        try bytes.write(to: URL(fileURLWithPath: path))
        let trace = shop.truth.slowTrace.description
        for arguments in [
            ["at", "2000", "query", "services"], ["diff", "1", "2000"], ["bisect", "--where", "sequence > 2000"],
            ["step", "--at", "2000"], ["explain", "trace", trace], ["whatif", "--evict-after", "1h"],
            ["verify"], ["verify", "--against", shop.data], ["replay"],
        ] {
            let ended = try await LatticeProcess.run(arguments + ["--data", copy], in: shop.scratch)
            #expect(ended.status == 4, "\(arguments): \(ended)")
        }
        let nowhere = shop.scratch.path("nowhere")
        for arguments in [["explain", "trace", trace], ["whatif", "--evict-after", "1h"], ["diff", "1"]] {
            let ended = try await LatticeProcess.run(arguments + ["--data", nowhere], in: shop.scratch)
            #expect(ended.status == 1 && ended.errors.contains("--data"), "\(arguments): \(ended)")
        }
    }
}
