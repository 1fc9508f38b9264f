// What pages an operator, seen from outside: `lattice status`, the figures, the alert rules, the lines of the log.

import Foundation
import FoundationNetworking
import Endpoints
import TestKit
import Testing

/// A node on which four of six instances of `checkout` fell silent at once.
private func nodeWithGuard(_ options: [String] = []) async throws -> RunningNode {
    let node = try await RunningNode(
        try Scratch(), ["--http", "127.0.0.1:0", "--stale-after", "500ms", "--disk-pressure", "none"] + options)
    for index in 1...6 { try await node.register("checkout", "checkout-\(index)") }
    let isHeld = try await eventually(within: .seconds(20)) {
        try await node.lattice("query", "status", "--json").json["guarded_services"] as? Int == 1
    }
    try #require(isHeld, "the guard holds")
    return node
}

private func page(_ node: RunningNode, _ path: String) async throws -> String {
    let url = try #require(URL(string: node.httpURL + path))
    return String(decoding: try await URLSession.shared.data(from: url).0, as: UTF8.self)
}

@Suite(.serialized) struct `What pages an operator` {
    @Test func `the guard is seen in every answer, figure and line`() async throws {
        let node = try await nodeWithGuard()
        let resolved = try await node.lattice("query", "resolve", "checkout")
        #expect(resolved.output.contains("protected, silent for "), "\(resolved)")
        let topology = try await node.lattice("query", "topology", "checkout")
        #expect(topology.output.contains("PROTECTED") && topology.output.contains("holds, silent for "), "\(topology)")
        let instance = try await node.lattice("query", "instance", "checkout-1", "--json").output
        #expect(instance.contains(#""protected":true"#) && instance.contains(#""silent_since":""#), "\(instance)")
        let one = try await node.lattice("query", "status").output
        #expect(one.contains("guard of checkout") && one.contains("the guard holds 1 service"), "\(one)")
        let areShown = try await eventually {
            let figures = try await page(node, "/metrics")
            return figures.contains(#"lattice_guard_active{service="checkout"} 1.0"#)
                && figures.contains(#"lattice_instances{health="protected",service="checkout"} 6.0"#)
                && figures.contains(#"lattice_instances{health="healthy",service="checkout"} 0.0"#)
                && figures.contains("\nlattice_protected_instances 6.0\n")
        }
        if !areShown { Issue.record("\(try await page(node, "/metrics"))") }
        let isTold = try await eventually { node.errors.contains("WARNING the eviction guard holds a service") }
        #expect(isTold, "\(node.errors)")
        #expect(node.errors.contains(" service=checkout "))
        let released = try await node.lattice("publish", "release-guard", "checkout", "--as", "alice")
        #expect(released.status == 0, "\(released)")
        let isOver = try await eventually { node.errors.contains("NOTICE the eviction guard lets a service go") }
        #expect(isOver, "\(node.errors)")
    }

    @Test func `status says it on at most twenty lines, and as JSON`() async throws {
        let node = try await nodeWithGuard()
        let said = try await node.lattice("status")
        #expect(said.status == 0, "a guard that has just closed wakes nobody: \(said)")
        #expect(said.output.split(separator: "\n").count <= 20)
        for text in [
            "NODE", try #require(try node.facts["node_id"] as? String), "guard holds 1 service",
            "6 of 6 silent, for ", "ticket  the eviction guard holds checkout", "instances 6: 6 protected",
        ] {
            #expect(said.output.contains(text), "\(text): \(said)")
        }
        #expect(!said.output.contains("DAYS  0") && said.output.contains("unknown"), "\(said)")
        let json = try await node.lattice("status", "--json").json
        let nodes = try #require(json["nodes"] as? [[String: Any]])
        #expect(nodes.count == 1 && nodes[0]["leader"] as? Bool == true && json["pages"] as? Bool == false)
        let problems = try #require(json["problems"] as? [[String: Any]])
        #expect(problems.contains { $0["severity"] as? String == "ticket" })
    }

    @Test func `status asks every node over a stream, and those only that are there`() async throws {
        let scratch = try Scratch()
        let first = try await RunningNode(scratch, data: "one", ["--http", "none", "--stream", "LATTICE"])
        let hasLeader = try await eventually(within: .seconds(15)) { try await first.lattice("status").status == 0 }
        if !hasLeader { Issue.record("\(try await first.lattice("status"))") }
        let second = try await RunningNode(
            scratch, data: "two", ["--http", "none", "--stream", "LATTICE", "--nats", first.natsURL])
        let said = try await second.lattice("status")
        for node in [first, second] {
            #expect(said.output.contains(try #require(try node.facts["node_id"] as? String)), "\(said)")
        }
        #expect(said.output.contains("2 nodes") && said.status == 0, "\(said)")
        #expect(second.errors.contains("NOTICE ready"))
        #expect(try await second.stop().status == 0)
        let alone = try await first.lattice("status", "--json").json
        #expect((alone["nodes"] as? [Any])?.count == 1)
    }

    @Test func `status ends with 3 where nobody answers, and --watch goes on`() async throws {
        let node = try await RunningNode(try Scratch())
        let nobody = try await node.lattice("status", "--prefix", "elsewhere", "--timeout", "500ms")
        #expect(nobody.status == 3 && nobody.errors.contains("elsewhere"), "\(nobody)")
        let watching = try LatticeProcess(
            ["status", "--watch", "--interval", "100ms", "--json", "--nats", node.natsURL], in: node.scratch)
        let hasLooked = try await eventually { watching.output.split(separator: "\n").count >= 3 }
        #expect(hasLooked, "\(watching.output) \(watching.errors)")
        watching.send(SIGTERM)
        _ = try await watching.end()
    }

    @Test func `a healthy node says nothing wrong of its disk`() async throws {
        let node = try await RunningNode(try Scratch())
        let text = try await node.lattice("query", "status")
        let line = try #require(
            text.output.split(separator: "\n").first { $0.hasPrefix("days until the disk is full") })
        #expect(line.hasSuffix("unknown"), "\(line): the log is younger than a minute")
        let json = try await node.lattice("query", "status", "--json").json
        #expect(json["retention_days_left"] as? Double == -1)
    }

    @Test func `disk pressure is said to whoever is refused, to the operator and in the status`() async throws {
        let node = try await RunningNode(try Scratch(), ["--http", "none", "--disk-pressure", "1,1,1"])
        let arguments = ["mirror", "allow", "checkout", "--endpoint", "*.staging:8080", "--as", "alice"]
        let isRefused = try await eventually { try await node.lattice(arguments).status == 1 }
        #expect(isRefused)
        let refused = try await node.lattice(arguments)
        #expect(refused.output.contains("disk_pressure") && refused.output.contains("`lattice status`"), "\(refused)")
        #expect(node.errors.contains("ERROR disk pressure: all but registry and policy are refused"), "\(node.errors)")
        try await node.register("checkout", "checkout-1")
        let said = try await node.lattice("status")
        #expect(said.status == 0 && said.output.contains("the disk is too full for all_but_registry"), "\(said)")
    }

    // MARK: Lines

    @Test func `a node's life is one line an event, as text and as JSON`() async throws {
        for format in ["text", "json"] {
            let node = try await RunningNode(try Scratch(), ["--http", "none", "--log-format", format])
            _ = try await node.lattice(
                "publish", "register", "x", "--id", "y", "--endpoint", "8.8.8.8:80", "--message-id", "once")
            let ended = try await node.stop()
            let lines = ended.errors.split(separator: "\n").map(String.init)
            var told: [String] = []
            for line in lines {
                if format == "json" {
                    let object = try JSONObject.members(of: line)
                    #expect(Set(object.keys) == ["fields", "level", "message", "time"], "\(line)")
                    told.append(try #require(object["message"] as? String))
                } else {
                    let parts = line.split(separator: " ", maxSplits: 2).map(String.init)
                    try #require(parts.count == 3, "\(line)")
                    #expect(parts[0].count == "2026-11-24T06:54:05.123Z".count && parts[0].hasSuffix("Z"), "\(line)")
                    #expect(parts[1] == parts[1].uppercased(), "\(line)")
                    told.append(String(parts[2].prefix { $0 != "=" }))
                }
            }
            for message in ["starting", "ready", "stopping", "checkpoint written", "stopped"] {
                #expect(told.count { $0.hasPrefix(message) } == 1, "\(message): \(ended.errors)")
            }
        }
    }

    // MARK: Alerts and Prometheus

    private static let alerts = BuiltProgram.repository.appendingPathComponent("Documentation/alerts.yml")

    /// The expressions of all panels.
    private static func panels() throws -> [String] {
        let file = BuiltProgram.repository.appendingPathComponent("Documentation/dashboard.json")
        let board = try JSONObject.members(of: String(contentsOf: file, encoding: .utf8))
        let panels = try #require(board["panels"] as? [[String: Any]])
        return panels.flatMap { ($0["targets"] as? [[String: Any]] ?? []).compactMap { $0["expr"] as? String } }
    }

    private static func rules() throws -> [(expression: String, runbook: String)] {
        let lines = try String(contentsOf: alerts, encoding: .utf8).split(separator: "\n").map(String.init)
        func values(_ key: String) -> [String] {
            lines.compactMap { line in
                line.firstRange(of: " \(key): ").map { String(line[$0.upperBound...]) }
            }
        }
        let (expressions, runbooks) = (values("expr"), values("runbook"))
        try #require(expressions.count == runbooks.count && expressions.count == values("- alert").count)
        return Array(zip(expressions, runbooks))
    }

    @Test func `every figure in an alert is published, and every figure published is explained`() async throws {
        let node = try await nodeWithGuard()
        let figures = try await page(node, "/metrics")
        let published = Set(
            figures.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
                String(line.prefix { $0 != "{" && $0 != " " })
            })
        let rules = try Self.rules()
        for rule in rules { #expect(rule.runbook.contains("Operations.md"), "\(rule.runbook)") }
        for expression in rules.map(\.expression) + (try Self.panels()) {
            let words = expression.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init)
            for name in words where name.hasPrefix("lattice_") || name.hasPrefix("process_") {
                #expect(MetricHelp.texts[name] != nil, "\(name) is published by nobody")
                if name.hasPrefix("lattice_gateway_") || name.hasPrefix("lattice_receiver_") { continue }
                #expect(published.contains(name), "\(name): \(figures)")
            }
        }
        #expect(published.isSuperset(of: ["process_resident_memory_bytes", "process_cpu_seconds_total"]))
        for name in published {
            let isExplained = figures.contains("# HELP \(name) ")
            let family = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map { name.dropLast($0.count) }
            #expect(isExplained || family.map { figures.contains("# HELP \($0) ") } == true, "\(name)")
        }
    }

    @Test(.enabled(if: Strangers.program("promtool") != nil, "no promtool here"))
    func `promtool finds nothing wrong with the rules and with the figures`() async throws {
        let promtool = try #require(Strangers.program("promtool"))
        let checked = try await Stranger.run(promtool, ["check", "rules", Self.alerts.path])
        #expect(checked.status == 0, "\(checked.output)")
        let node = try await nodeWithGuard()
        let file = try node.scratch.write("metrics.txt", try await page(node, "/metrics"))
        let found = try await Stranger.run(promtool, ["check", "metrics"], input: file)
        #expect(found.status == 0, "\(found.output)")
    }

    @Test(.enabled(if: Strangers.program("prometheus") != nil, "no prometheus here"))
    func `Prometheus scrapes a node and answers for its instances`() async throws {
        let node = try await nodeWithGuard()
        let target = node.httpURL.dropFirst("http://".count)
        let configuration = try node.scratch.write(
            "prometheus.yml",
            """
            global: { scrape_interval: 1s, evaluation_interval: 1s }
            rule_files: ["\(Self.alerts.path)"]
            scrape_configs:
              - job_name: lattice
                static_configs: [{ targets: ["\(target)"] }]

            """)
        let prometheus = try Stranger.start(
            try #require(Strangers.program("prometheus")),
            [
                "--config.file=\(configuration)", "--storage.tsdb.path=\(node.scratch.path("tsdb"))",
                "--web.listen-address=127.0.0.1:0",
            ])
        defer { prometheus.kill() }
        // It chooses the port, and says which.
        let listens = #/"Listening on" address=(127\.0\.0\.1:\d+)/#
        let isListening = try await eventually(within: .seconds(30)) { prometheus.output.contains(listens) }
        try #require(isListening, "\(prometheus.output)")
        let address = try #require(prometheus.output.firstMatch(of: listens)).output.1
        func ask(_ query: String) async throws -> String {
            var components = try #require(URLComponents(string: "http://\(address)/api/v1/query"))
            components.queryItems = [URLQueryItem(name: "query", value: query)]
            let request = URLRequest(url: try #require(components.url), timeoutInterval: 5)
            guard let (data, _) = try? await URLSession.shared.data(for: request) else { return "" }
            return String(decoding: data, as: UTF8.self)
        }
        let isAnswered = try await eventually(within: .seconds(30)) {
            try await ask(#"sum by (service) (lattice_instances{health="protected"})"#).contains(#","6"]"#)
        }
        if !isAnswered { Issue.record("\(try await ask("lattice_instances"))") }
        let alerts = try await eventually(within: .seconds(30)) {
            try await ask(#"ALERTS{alertname="LatticeGuardActive"}"#).contains(#""alertstate":"pending""#)
        }
        if !alerts { Issue.record("\(try await ask("ALERTS"))") }
    }
}
