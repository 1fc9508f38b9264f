// Where the settings of a run come from: options of the command line over the environment over a file over the defaults.

import ArgumentParser

/// A command whose settings may stand in a file, and that prints them.
protocol ConfiguredCommand: ParsableCommand {
    /// Members of the file that are no settings.
    static var otherKeys: [String] { get }
    var printConfig: Bool { get }
    /// What is used where a setting without a default is not set, by its key.
    var derived: [String: String] { get }
}

/// Where a value comes from.
enum SettingOrigin: Sendable, Hashable {
    case file(String, line: Int)
    case variable(String)
    case option(String)

    var text: String {
        switch self {
        case .file(let path, let line): "\(path), line \(line)"
        case .variable(let name): "variable \(name)"
        case .option(let name): "option \(name)"
        }
    }
}

/// A line of arguments, completed by what environment and file say.
struct SettingSources {
    struct Value {
        var texts: [String]
        var origin: SettingOrigin
    }

    /// The words that name the command, what environment and file add, and what was typed.
    private(set) var arguments: [String]
    let table: SettingTable
    /// What is set, by key; all others have their defaults.
    private(set) var values: [String: Value] = [:]
    private(set) var file: SettingsFile?

    /// - Throws: a mistake in the environment or in the file. Those on the line are the parser's to find.
    init(
        _ typed: [String], of root: any ParsableCommand.Type, environment: [String: String]
    ) throws(CommandFailure) {
        let (command, names, rest) = UsageHints.resolved(typed, of: root)
        guard command.configuration.subcommands.isEmpty, typed.first != "help", !Self.asksForHelp(rest) else {
            arguments = typed
            table = SettingTable([])
            return
        }
        let all = SettingTable(of: command)
        let words = Self.spelled(Array(rest), all)
        table = Self.obeyed(command, all)
        arguments = []
        readOptions(words)
        var given = Set(values.keys)
        try readVariables(environment, unless: given)
        given.formUnion(values.keys)
        let config = Self.configPath(words, environment, all)
        if let configured = command as? any ConfiguredCommand.Type, let config {
            let file = try SettingsFile(config.path, table, otherKeys: configured.otherKeys)
            // `null` leaves the default, an empty list is one.
            for (key, entry) in file.entries where !isHidden(key, by: given) && !entry.leavesDefault {
                values[key] = Value(texts: entry.texts, origin: .file(config.path, line: entry.line))
            }
            self.file = file
        }
        let supplied = table.settings.flatMap { addition($0) }
        let path = names.split(separator: " ").dropFirst().map(String.init)
        arguments = path + (config.map { $0.isTyped ? [] : ["--config=\($0.path)"] } ?? []) + supplied + words
    }

    /// The words behind a command's name as the parser takes them: `--json=wire` is a flag of its own there.
    static func spelled(_ words: [String], _ table: SettingTable) -> [String] {
        guard table.names.contains("json_wire") else { return words }
        return words.flatMap { $0 == "--json=wire" ? ["--json", "--json-wire"] : [$0] }
    }

    /// The settings that a command takes from environment and file: all of a server, of others those that say which
    /// node they ask, and where a log lies.
    private static func obeyed(_ command: any ParsableCommand.Type, _ table: SettingTable) -> SettingTable {
        if command is any ConfiguredCommand.Type { return table }
        guard table["inbox_prefix"] == nil else {
            let shared = Set(SettingTable(of: ClientOptions.self).keys)
            return table.filter { shared.contains($0.key) }
        }
        return table.filter { $0.key == "data" && $0.standard != nil }
    }

    private static func asksForHelp(_ words: ArraySlice<String>) -> Bool {
        let others = ["--help", "-h", "--help-hidden", "--version", "--experimental-dump-help"]
        return words.contains {
            others.contains($0) || $0.hasPrefix("--generate-completion-script") || $0.hasPrefix("---")
        }
    }

    private static func configPath(
        _ words: [String], _ environment: [String: String], _ table: SettingTable
    ) -> (path: String, isTyped: Bool)? {
        guard table.names.contains("config") else { return nil }
        for (index, word) in words.enumerated().reversed() {
            if word.hasPrefix("--config=") { return (String(word.dropFirst("--config=".count)), true) }
            if word == "--config", index + 1 < words.count { return (words[index + 1], true) }
        }
        return environment["LATTICE_CONFIG"].flatMap { $0.isEmpty ? nil : ($0, false) }
    }

    // MARK: The sources

    private mutating func readOptions(_ words: [String]) {
        var words = words.prefix { $0 != "--" }
        while let word = words.popFirst() {
            let name = String(word.prefix { $0 != "=" })
            guard let (setting, isInverted) = table.option(name) else { continue }
            var text = isInverted ? "false" : "true"
            if name.count < word.count {
                text = String(word.dropFirst(name.count + 1))
            } else if setting.kind.shape != .boolean, let value = words.popFirst() {
                text = value
            }
            let earlier = setting.isRepeated ? values[setting.key]?.texts ?? [] : []
            values[setting.key] = Value(texts: earlier + [text], origin: .option(name))
        }
    }

    private mutating func readVariables(
        _ environment: [String: String], unless given: Set<String>
    ) throws(CommandFailure) {
        for setting in table.settings where !isHidden(setting.key, by: given) {
            guard let name = setting.variables.first(where: { !(environment[$0] ?? "").isEmpty }),
                let text = environment[name]
            else { continue }
            let texts = setting.isRepeated ? Self.split(text, setting) : [text]
            do throws(SettingMistake) {
                for text in texts { try setting.judge(text) }
            } catch {
                let told = setting.isSecret ? "\(setting.key) cannot be taken" : error.text
                throw CommandFailure(.usage, "variable \(name): \(Terminal.escaped(told))")
            }
            values[setting.key] = Value(texts: texts, origin: .variable(name))
        }
    }

    /// Several values of one variable stand apart by blanks, and where no value has a comma in it, by commas.
    private static func split(_ text: String, _ setting: Setting) -> [String] {
        let hasCommas = setting.kind.name == "url" || setting.kind.name == "name" || setting.kind.name == "origin"
        return text.split { $0 == " " || (hasCommas && $0 == ",") }.map(String.init)
    }

    /// Whether a higher source has said it, or something in its place.
    private func isHidden(_ key: String, by given: Set<String>) -> Bool {
        if given.contains(key) { return true }
        return !given.isDisjoint(with: rivals(of: key))
    }

    /// What makes no sense beside a setting: one proof of who this is, one way to a server.
    private func rivals(of key: String) -> Set<String> {
        let proofs: [Set<String>] = [
            ["creds"], ["nkey", "nkey_public"], ["token"], ["token_file"], ["user", "password", "password_file"],
        ]
        if let own = proofs.first(where: { $0.contains(key) }) {
            let others = proofs.filter { $0 != own }.reduce(into: Set<String>()) { $0.formUnion($1) }
            return key == "password"
                ? others.union(["password_file"]) : key == "password_file" ? others.union(["password"]) : others
        }
        switch key {
        // A directory that was typed says which node is meant.
        case "nats": return table["nats_port"] == nil ? ["data"] : ["nats_port"]
        case "nats_port": return ["nats"]
        default: return []
        }
    }

    // MARK: What comes of them

    /// The words that say what environment or file say.
    private func addition(_ setting: Setting) -> [String] {
        guard let value = values[setting.key] else { return [] }
        if case .option = value.origin { return [] }
        guard setting.kind.shape == .boolean else { return value.texts.map { "\(setting.option)=\($0)" } }
        return value.texts.flatMap { text in
            text == "true" ? [setting.option] : setting.hasInversion ? [setting.inversion] : []
        }
    }

    /// The parser's message, and where the settings come from that it names and that nobody typed.
    func explained(_ message: String) -> String {
        var seen: Set<String> = []
        let places = message.matches(of: /--[a-z][a-z-]*/).compactMap { match -> String? in
            guard let setting = table.option(String(match.output))?.setting, seen.insert(setting.key).inserted,
                let origin = values[setting.key]?.origin
            else { return nil }
            if case .option = origin { return nil }
            return "  \(setting.option) comes from \(Terminal.escaped(origin.text))"
        }
        guard !places.isEmpty else { return message }
        var lines = message.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let end = lines.firstIndex { $0.hasPrefix("Usage:") || $0.hasPrefix("Help:") } ?? lines.count
        lines.insert(contentsOf: places, at: end)
        return lines.joined(separator: "\n")
    }
}
