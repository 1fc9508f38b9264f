// The table of settings. It is read off the declarations of the command line, so that option, variable of the environment,
// key of `--config` and line of `--print-config` cannot differ in name, kind, default or help.

import ArgumentParser
import Foundation

/// One setting of a command.
struct Setting: Sendable {
    /// The key in `--config`: `retention_age`.
    let key: String
    let kind: SettingKind
    let isRepeated: Bool
    /// `--no-…` turns it off.
    let hasInversion: Bool
    /// The default as it is written; nil where nothing is set.
    let standard: String?
    let help: String
    /// The title above it in the help.
    let section: String

    var option: String { "--" + key.replacing("_", with: "-") }
    var inversion: String { "--no-" + key.replacing("_", with: "-") }

    /// Variables of the environment, the first one by the rule, the others from before there was a rule.
    var variables: [String] {
        let older = ["token": ["LATTICE_NATS_TOKEN"], "password": ["LATTICE_NATS_PASSWORD"]]
        return ["LATTICE_" + key.uppercased()] + (older[key] ?? [])
    }

    /// What no file and no output may hold; a file that is named by another setting holds it.
    var isSecret: Bool { key == "token" || key == "password" }
}

/// The settings of a command, in the order of its help.
struct SettingTable: Sendable {
    let settings: [Setting]
    /// Of everything that the command takes, actions included; as keys.
    let names: Set<String>
    private let byKey: [String: Int]

    /// What is asked of one run, and is no setting.
    private static let actions: Set = ["config", "print_config", "check", "version", "help", "json_wire"]

    /// The table of a command or of a group of options.
    init(of type: any ParsableArguments.Type) {
        let arguments = Self.arguments(of: type)
        let names = Set(arguments.compactMap(\.key))
        let settings = arguments.compactMap { argument -> Setting? in
            guard let key = argument.key, !Self.actions.contains(key), argument.kind != "positional" else { return nil }
            if key.hasPrefix("no_"), names.contains(String(key.dropFirst(3))) { return nil }
            let isFlag = argument.kind == "flag"
            let hasInversion = isFlag && names.contains("no_" + key)
            let kind: SettingKind = isFlag ? .boolean : SettingKind.named(argument.valueName ?? "") ?? .text
            return Setting(
                key: key, kind: kind, isRepeated: argument.isRepeating, hasInversion: hasInversion,
                standard: argument.defaultValue ?? (isFlag && !hasInversion ? "false" : nil),
                help: argument.abstract ?? "", section: argument.sectionTitle ?? "")
        }
        self.init(settings, names: names)
    }

    init(_ settings: [Setting], names: Set<String> = []) {
        self.settings = settings
        self.names = names
        byKey = Dictionary(
            settings.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    subscript(key: String) -> Setting? { byKey[key].map { settings[$0] } }
    var keys: [String] { settings.map(\.key) }

    /// The same with some of the settings only.
    func filter(_ isIncluded: (Setting) -> Bool) -> SettingTable {
        SettingTable(settings.filter(isIncluded), names: names)
    }

    /// The setting whose option a word of the command line is, and whether it is turned off there.
    func option(_ name: String) -> (setting: Setting, isInverted: Bool)? {
        guard name.hasPrefix("--") else { return nil }
        let key = String(name.dropFirst(2)).replacing("-", with: "_")
        if let setting = self[key] { return (setting, false) }
        guard key.hasPrefix("no_"), let setting = self[String(key.dropFirst(3))], setting.hasInversion else {
            return nil
        }
        return (setting, true)
    }

    // MARK: What the parser tells of a command

    private struct Dump: Decodable {
        struct Command: Decodable { var arguments: [DumpedArgument]? }
        var command: Command
    }

    /// An argument as `--experimental-dump-help` has it.
    private struct DumpedArgument: Decodable {
        struct Name: Decodable { var name: String }
        var kind: String
        var isRepeating: Bool
        var preferredName: Name?
        var valueName: String?
        var defaultValue: String?
        var abstract: String?
        var sectionTitle: String?

        var key: String? { preferredName?.name.replacing("-", with: "_") }
    }

    private static func arguments(of type: any ParsableArguments.Type) -> [DumpedArgument] {
        do {
            return try JSONDecoder().decode(Dump.self, from: Data(type._dumpHelp().utf8)).command.arguments ?? []
        } catch {
            preconditionFailure("the parser's description of a command is its own JSON: \(error)")
        }
    }
}
