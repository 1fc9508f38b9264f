// Every setting as it is used, as `--print-config` writes it and `--config` reads it.

import StateMachines
import Yams

/// Writes settings as YAML.
struct PrintedSettings {
    private let sources: SettingSources
    private let derived: [String: String]
    private static let commentColumn = 44

    init(_ sources: SettingSources, _ command: any ConfiguredCommand) {
        self.sources = sources
        derived = command.derived
    }

    /// One line for each setting, with where it comes from.
    var text: String {
        var lines = ["# Every setting as it is used. --config reads this file; secrets are not in it."]
        var section = ""
        for setting in sources.table.settings {
            if setting.section != section {
                section = setting.section
                lines += ["", "# \(section.isEmpty ? "Others" : section)"]
            }
            lines.append(line(setting))
        }
        for (key, node) in sources.file?.others ?? [] {
            let text = (try? Yams.serialize(node: Node([(Node(key), node)]))) ?? "# \(key) has no form"
            lines += [""] + text.split(separator: "\n").map(String.init)
        }
        return lines.joined(separator: "\n")
    }

    private func line(_ setting: Setting) -> String {
        let value = sources.values[setting.key]
        let origin = value?.origin.text ?? "default"
        if setting.isSecret {
            return "# \(setting.key): \(value == nil ? "not set" : "set by \(origin)"); secrets are not printed"
        }
        let texts = value?.texts ?? setting.standard.map { [$0] } ?? []
        var note = origin
        if texts.isEmpty, let derived = derived[setting.key] { note = "\(note): \(derived)" }
        if texts.contains(where: { Self.withoutPassword($0) != $0 }) { note += "; its password is not printed" }
        let shown = "\(setting.key): \(written(texts.map { Self.withoutPassword($0) }, setting))"
        let gap = String(repeating: " ", count: max(2, Self.commentColumn - shown.count))
        return shown + gap + "# " + Terminal.escaped(note)
    }

    private func written(_ texts: [String], _ setting: Setting) -> String {
        if setting.isRepeated { return "[" + texts.map { JSONOutput.encode($0) }.joined(separator: ", ") + "]" }
        guard let text = texts.first else { return "null" }
        if setting.kind.shape == .number { return UInt64(text).map { "\($0)" } ?? Double(text).map { "\($0)" } ?? text }
        return Self.isPlain(text, setting) ? text : JSONOutput.encode(text)
    }

    /// Whether a text stands for itself in YAML without quotes.
    private static func isPlain(_ text: String, _ setting: Setting) -> Bool {
        if setting.kind.shape != .text { return true }
        guard let first = text.utf8.first, first != 0x2D, text.last != ":" else { return false }
        let isWord = text.utf8.allSatisfy { byte in
            byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39
                || "-._/:+=".utf8.contains(byte)
        }
        let isText = YAMLFile.value(Node.Scalar(text, .implicit, .plain)) == .text(text)
        return isWord && (isText || setting.kind.name == "size")
    }

    /// A URL with `***` in the place of its password.
    private static func withoutPassword(_ text: String) -> String {
        guard let match = text.firstMatch(of: /^([a-z]+:\/\/[^\/@:]*):[^@]*@/) else { return text }
        return "\(match.1):***@" + text[match.range.upperBound...]
    }
}
