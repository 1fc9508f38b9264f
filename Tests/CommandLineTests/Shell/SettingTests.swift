// One table of settings: what is an option is a variable, a key of the file, a line of `--print-config` and a row of the
// page, for every option that the program has.

import Foundation
import TestKit
import Testing

/// A setting as the help of the program has it.
private struct DumpedSetting: Sendable {
    var key: String
    /// The name of its value; `boolean` for a flag.
    var kind: String
    var isRepeated: Bool
    var standard: String?
    var help: String

    var option: String { "--" + key.replacing("_", with: "-") }
    var variable: String { "LATTICE_" + key.uppercased() }
    var isSecret: Bool { key == "token" || key == "password" }
    var row: String {
        "| `\(key)` | \(isRepeated ? "list of " : "")\(kind) | \(standard.map { "`\($0)`" } ?? "") | \(help) |"
    }

    /// What is asked of one run and is no setting.
    private static let actions: Set = ["config", "print_config", "check", "version", "help", "json_wire"]

    static func all(of command: String, in scratch: Scratch) async throws -> [DumpedSetting] {
        let ended = try await LatticeProcess.run([command, "--experimental-dump-help"], in: scratch)
        let dump = try #require(try ended.json["command"] as? [String: Any])
        let arguments = try #require(dump["arguments"] as? [[String: Any]])
        let settings = arguments.compactMap { argument -> DumpedSetting? in
            guard let kind = argument["kind"] as? String, kind != "positional",
                let name = (argument["preferredName"] as? [String: Any])?["name"] as? String
            else { return nil }
            let key = name.replacing("-", with: "_")
            guard !actions.contains(key), key != "no_allow_loopback" else { return nil }
            let standard = argument["defaultValue"] as? String
            return DumpedSetting(
                key: key, kind: kind == "flag" ? "boolean" : argument["valueName"] as? String ?? "",
                isRepeated: argument["isRepeating"] as? Bool ?? false,
                standard: kind == "flag" && key != "allow_loopback" ? "false" : standard,
                help: argument["abstract"] as? String ?? "")
        }
        try #require(settings.count > 30)
        return settings
    }

    /// A value that is not the default.
    func sample(_ file: String) throws -> String {
        switch (key, kind) {
        case ("stream_replicas", _): "3"
        case ("header_bytes", _): "16KiB"
        case ("inbox_prefix", _): "_INBOX.abc"
        case (_, "boolean"): "true"
        case (_, "count"): "7"
        case (_, "port"): "4299"
        case (_, "percent"): "50"
        case (_, "size"): "2MiB"
        case (_, "duration"): "7m"
        case (_, "host:port"): "127.0.0.1:0"
        case (_, "policy"): "never"
        case (_, "networks"): "10.0.0.0/8"
        case (_, "percent[:room],…"): "70,80,90"
        case (_, "service=250ms,99.9"): "checkout=100ms,99"
        case (_, "format"): "json"
        case (_, "level"): "debug"
        case (_, "url"): "nats://127.0.0.1:9"
        case (_, "origin"): "https://shop.example"
        case (_, "file"): file
        case (_, "dir"), (_, "name"), (_, "text"), (_, "key"), (_, "id"): "abc"
        default: try #require(nil, "--\(key) has a kind without an example: \(kind)")
        }
    }

    /// Settings without which this one makes no sense.
    func companions(_ file: String) -> [(key: String, value: String)] {
        switch key {
        case "nkey": [("nkey_public", "abc")]
        case "nkey_public": [("nkey", file)]
        case "tls_cert": [("tls_key", file)]
        case "tls_key": [("tls_cert", file)]
        case "http_cert": [("http_key", file)]
        case "http_key": [("http_cert", file)]
        case "receiver_cert": [("receiver_key", file)]
        case "receiver_key": [("receiver_cert", file)]
        case "cert": [("key", file)]
        case "key": [("cert", file)]
        case "password", "password_file": [("user", "anna")]
        default: []
        }
    }

    /// The line of a file.
    func line(_ value: String) -> String {
        let isBare = kind == "boolean" || kind == "count" || kind == "port" || kind == "percent"
        let text = isBare ? value : "\"\(value)\""
        return "\(key): \(isRepeated ? "[\(text)]" : text)"
    }
}

@Suite(.serialized) struct `Settings` {
    private static let routes = "routes:\n  - service: web\n    timeout: 5s\n"

    private func ask(
        _ command: String, _ options: [String], file: String, in scratch: Scratch, _ environment: [String: String] = [:]
    ) async throws -> Ended {
        let config = try scratch.write("config.yaml", file + (command == "gateway" ? Self.routes : ""))
        return try await LatticeProcess.run(
            [command, "--print-config", "--config", config] + options, in: scratch, environment: environment)
    }

    /// The lines of settings, without what is said of their origin.
    private func values(_ output: String) -> [Substring] {
        output.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            line.prefix(upTo: line.firstRange(of: "  #")?.lowerBound ?? line.endIndex)
        }
    }

    /// Settings that can stand together; those that take each other's place stand alone, with what they need.
    private func groups(_ settings: [DumpedSetting]) -> [[DumpedSetting]] {
        let alone = [
            "creds", "nkey", "nkey_public", "token", "token_file", "user", "password", "password_file", "nats",
            "nats_port",
        ]
        let (together, others) = (
            settings.filter { !alone.contains($0.key) }, settings.filter { alone.contains($0.key) }
        )
        return [together]
            + others.map { setting in
                let keys = setting.companions("").map(\.key)
                return settings.filter { keys.contains($0.key) } + [setting]
            }
    }

    @Test(arguments: ["serve", "gateway"])
    func `an option is a variable, a key of the file and a line that is printed`(_ command: String) async throws {
        let scratch = try Scratch()
        let secret = try scratch.write("secret", "geheim\n")
        for group in groups(try await DumpedSetting.all(of: command, in: scratch)) {
            let values = try group.map { try $0.sample(secret) }
            let options = zip(group, values).flatMap { $0.kind == "boolean" ? [$0.option] : [$0.option, $1] }
            let typed = try await ask(command, options, file: "", in: scratch)
            let variables = Dictionary(uniqueKeysWithValues: zip(group.map(\.variable), values))
            let set = try await ask(command, [], file: "", in: scratch, variables)
            let lines = zip(group, values).map { $0.line($1) + "\n" }.joined()
            let filed = try await ask(command, [], file: lines, in: scratch)
            if let setting = group.first(where: \.isSecret) {
                for ended in [typed, set] {
                    #expect(ended.status == 0 && !ended.output.contains("\n\(setting.key): "), "\(ended)")
                }
                #expect(set.output.contains("# \(setting.key): set by variable \(setting.variable)"), "\(set)")
                #expect(filed.status == 2 && filed.errors.contains("\(setting.key)_file"), "\(filed)")
                continue
            }
            for ended in [typed, set, filed] { try #require(ended.status == 0, "\(group.map(\.key)): \(ended)") }
            for (index, (setting, value)) in zip(group, values).enumerated() {
                for (ended, origin) in [
                    (typed, "option \(setting.option)"), (set, "variable \(setting.variable)"),
                    (filed, "config.yaml, line \(index + 1)"),
                ] {
                    let line = ended.output.split(separator: "\n").first { $0.hasPrefix("\(setting.key): ") } ?? ""
                    #expect(line.contains(value) && line.hasSuffix(origin), "\(setting.key): \(line)")
                }
            }
            #expect(self.values(typed.output) == self.values(set.output))
            #expect(self.values(set.output) == self.values(filed.output))
            // What is printed is read, and says the same.
            let printed = try scratch.write("printed.yaml", filed.output)
            let again = try await LatticeProcess.run([command, "--print-config", "--config", printed], in: scratch)
            #expect(again.status == 0 && self.values(again.output) == self.values(filed.output), "\(again)")
        }
    }

    @Test func `an option stands over a variable, that over the file, and that over the default`() async throws {
        let scratch = try Scratch()
        let file = "retention_age: 1h\nlog_level: error\nhttp_host: [a.example]\n"
        let variables = ["LATTICE_RETENTION_AGE": "2h", "LATTICE_HTTP_HOST": "b.example c.example"]
        func age(_ options: [String], _ file: String, _ variables: [String: String]) async throws -> String {
            let ended = try await ask("serve", options, file: file, in: scratch, variables)
            try #require(ended.status == 0, "\(ended)")
            return String(ended.output.split(separator: "\n").first { $0.hasPrefix("retention_age: ") } ?? "")
        }
        #expect(try await age(["--retention-age=3h"], file, variables).contains("3h "))
        #expect(try await age([], file, variables).contains("2h "))
        #expect(try await age([], file, [:]).contains("1h "))
        #expect(try await age([], "", [:]).contains("72h "))
        #expect(try await age([], "retention_age: null\n", [:]).contains("72h "))
        // Lists are not added up, and one proof of who this is takes the place of another.
        let whole = try await ask(
            "serve", ["--user", "anna"], file: file, in: scratch, variables.merging(["LATTICE_TOKEN": "x"]) { $1 })
        #expect(whole.output.contains(#"http_host: ["b.example", "c.example"]"#), "\(whole)")
        #expect(whole.output.contains("\nuser: anna ") && whole.output.contains("# token: not set"), "\(whole)")
        // An empty variable is none.
        #expect(try await age([], file, ["LATTICE_RETENTION_AGE": ""]).contains("1h "))
    }

    @Test(arguments: [
        ("\nretention_agee: 1h\n", "line 2: `retention_agee` is no setting; did you mean `retention_age`?"),
        ("retention_age: 72\n", "line 1: retention_age: '72' cannot be taken: a duration has a unit"),
        ("spans_per_second: many\n", "line 1: spans_per_second: 'many' is no number"),
        ("insecure: yes\n", "line 1: insecure: 'yes' is neither true nor false"),
        ("prefix: true\n", "line 1: prefix: true is not"),
        ("http: [\"127.0.0.1:0\"]\n", "line 1: http takes one value"),
        ("http_host: node\n", "line 1: http_host takes a list"),
        ("http:\n  port: 1\n", "line 1: http takes one value"),
        ("retention_age: 1h\nretention_age: 2h\n", "retention_age"),
        ("password: geheim\n", "password_file names a file"),
        ("- a\n", "a file of settings is a mapping"),
        ("a: [\n", "config.yaml"),
        // What only the whole command can judge, with where it stands.
        ("stale_after: 10ms\n", "--stale-after comes from "),
        ("http: 0.0.0.0:8501\n", "--http comes from "),
    ])
    func `a mistake in the file is told with its place`(_ file: String, _ told: String) async throws {
        let ended = try await ask("serve", [], file: file, in: try Scratch())
        #expect(ended.status == 2 && ended.errors.contains(told), "\(ended)")
        #expect(!ended.errors.contains("geheim"), "\(ended)")
    }

    @Test func `a mistake in a variable names it, and help is there all the same`() async throws {
        let scratch = try Scratch()
        let variables = ["LATTICE_RETENTION_AGE": "72"]
        let ended = try await LatticeProcess.run(["serve", "--print-config"], in: scratch, environment: variables)
        #expect(ended.status == 2 && ended.errors.contains("LATTICE_RETENTION_AGE"), "\(ended)")
        let help = try await LatticeProcess.run(["serve", "--help"], in: scratch, environment: variables)
        #expect(help.status == 0 && help.output.contains("--retention-age"))
        // It is no setting of a client.
        let query = try await LatticeProcess.run(
            ["query", "services", "--nats", "nats://127.0.0.1:9", "--timeout", "1s"], in: scratch,
            environment: variables)
        #expect(query.status == 3, "\(query)")
    }

    @Test func `a gateway's file keeps its routes, and what is printed runs`() async throws {
        let scratch = try Scratch()
        let ended = try await ask("gateway", ["--body-bytes", "1MiB"], file: "zone: b\n", in: scratch)
        #expect(ended.status == 0 && ended.output.contains("\nroutes:\n"), "\(ended)")
        let printed = try scratch.write("printed.yaml", ended.output)
        let checked = try await LatticeProcess.run(["gateway", "--config", printed, "--check"], in: scratch)
        #expect(checked.status == 0 && checked.output.contains("1 routes"), "\(checked)")
        let mistake = try await ask("gateway", [], file: "route: 1\n", in: scratch)
        #expect(mistake.status == 2 && mistake.errors.contains("did you mean `routes`"), "\(mistake)")
    }

    @Test func `a password within an address is not printed`() async throws {
        let ended = try await LatticeProcess.run(
            ["serve", "--print-config", "--nats", "nats://anna:geheim@127.0.0.1:4222"], in: try Scratch())
        #expect(ended.status == 0 && !ended.output.contains("geheim") && ended.output.contains("anna:***@"), "\(ended)")
    }

    @Test func `a node runs with the settings of file and environment`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write(
            "node.yaml",
            "data: \(scratch.path("data"))\nhttp: none\njson: true\nprefix: two\notlp_http: none\notlp_grpc: none\n"
                + "zipkin: none\njaeger: none\n")
        let process = try LatticeProcess(
            ["serve"], in: scratch, environment: ["LATTICE_CONFIG": file, "LATTICE_HTTP": "127.0.0.1:0"])
        let isReady = try await eventually(within: .seconds(20)) { process.output.contains("\n") || !process.isRunning }
        #expect(isReady)
        let facts = try JSONObject.members(of: process.output)
        #expect(facts["prefix"] as? String == "two" && facts["http"] as? String != nil, "\(process.output)")
        let url = try #require(facts["nats"] as? String)
        // Clients take the same variables.
        let answer = try await LatticeProcess.run(
            ["query", "services"], in: scratch, environment: ["LATTICE_NATS": url, "LATTICE_PREFIX": "two"])
        #expect(answer.status == 0, "\(answer)")
        let byDirectory = try await LatticeProcess.run(
            ["query", "services"], in: scratch, environment: ["LATTICE_DATA": scratch.path("data")])
        #expect(byDirectory.status == 0, "\(byDirectory)")
        process.send(SIGTERM)
        #expect(try await process.end().status == 0)
    }

    @Test func `a directory in which no node runs is no other mesh`() async throws {
        let node = try await RunningNode(try Scratch())
        let event = ["publish", "register", "checkout", "--id", "x", "--endpoint", "10.0.0.1:80"]
        for (options, variables) in [
            (["--data", "./typo"], [:]), (["--data", "./typo"], ["LATTICE_NATS": node.natsURL]),
            (["--data", "./typo"], ["NATS_URL": node.natsURL]), ([], ["LATTICE_DATA": "./typo"]),
        ] as [([String], [String: String])] {
            let ended = try await LatticeProcess.run(event + options, in: node.scratch, environment: variables)
            #expect(
                ended.status == 3 && ended.errors.contains("no node runs on ./typo"), "\(options) \(variables) \(ended)"
            )
        }
        #expect(!(try await node.lattice("query", "services").output.contains("checkout")))
        // The server that is named is the one that is asked.
        #expect(try await node.lattice(event + ["--data", "./typo"]).status == 0)
    }

    @Test func `the secrets of NATS may stand in files`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("password", "geheim\n")
        let both = try await LatticeProcess.run(
            ["query", "services", "--user", "anna", "--password", "x", "--password-file", file], in: scratch)
        #expect(both.status == 2 && both.errors.contains("--password-file"), "\(both)")
        let absent = try await LatticeProcess.run(
            ["query", "services", "--token-file", scratch.path("nowhere")], in: scratch)
        #expect(absent.status == 2 && absent.errors.contains("there is no such file"), "\(absent)")
    }

    @Test(arguments: ["serve", "gateway"])
    func `the page has every setting as the help has it`(_ command: String) async throws {
        let file = BuiltProgram.repository.appendingPathComponent("Documentation/LatticeForge.docc/Settings.md")
        let page = try String(contentsOf: file, encoding: .utf8)
        let part = try #require(page.components(separatedBy: "\n## ").first { $0.hasPrefix("lattice \(command)\n") })
        let rows = part.split(separator: "\n").filter { $0.hasPrefix("| `") }.map(String.init)
        let expected = try await DumpedSetting.all(of: command, in: try Scratch()).map(\.row)
        for row in expected where !rows.contains(row) { Issue.record("Settings.md lacks\n\(row)") }
        #expect(rows.count == expected.count)
    }
}
