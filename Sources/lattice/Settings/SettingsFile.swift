// A file of settings, `--config`: keys of the table and their values, each with the line on which it stands.

import StateMachines
import Yams

/// What a file says, judged by the table.
struct SettingsFile {
    /// The values of one key.
    struct Entry {
        var texts: [String]
        var line: Int
        /// `null`.
        var leavesDefault: Bool
    }

    let path: String
    private(set) var entries: [String: Entry] = [:]
    /// Members that are no settings: the routes of a gateway.
    private(set) var others: [(key: String, node: Node)] = []

    /// Reads a file.
    ///
    /// - Parameter otherKeys: members that others read.
    /// - Throws: the first thing that is wrong, as `node.yaml, line 3: retention_age: '72' is …`.
    init(_ path: String, _ table: SettingTable, otherKeys: [String]) throws(CommandFailure) {
        self.path = path
        guard let document = try YAMLFile.document(path) else { return }
        guard case .mapping(let mapping) = document else {
            throw CommandFailure(.usage, "\(path): a file of settings is a mapping, KEY: VALUE on each line")
        }
        for (name, value) in mapping {
            guard let key = name.string, case .scalar(let scalar) = name else {
                throw CommandFailure(.usage, "\(path): a key is no text")
            }
            let line = scalar.mark?.line ?? 0
            if otherKeys.contains(key) {
                others.append((key, value))
                continue
            }
            do throws(SettingMistake) {
                let texts = try Self.texts(value, of: key, table, otherKeys)
                entries[key] = Entry(texts: texts, line: line, leavesDefault: texts.isEmpty && value.sequence == nil)
            } catch {
                throw CommandFailure(.usage, "\(path), line \(line): \(Terminal.escaped(error.text))")
            }
        }
    }

    private static func texts(
        _ value: Node, of key: String, _ table: SettingTable, _ otherKeys: [String]
    ) throws(SettingMistake) -> [String] {
        guard let setting = table[key] else {
            let guess = UsageHints.guess(key, among: table.keys + otherKeys)
            throw SettingMistake("`\(key)` is no setting\(guess)")
        }
        if setting.isSecret {
            throw SettingMistake("\(key) is a secret and does not stand here: \(key)_file names a file that holds it")
        }
        switch value {
        case .scalar(let scalar) where YAMLFile.value(scalar) == .null: return []
        case .scalar(let scalar) where !setting.isRepeated: return [try text(scalar, setting)]
        case .sequence(let sequence) where setting.isRepeated:
            var texts: [String] = []
            for node in sequence {
                guard case .scalar(let scalar) = node else {
                    throw SettingMistake("\(key) takes a list of plain values")
                }
                texts.append(try text(scalar, setting))
            }
            return texts
        case _ where setting.isRepeated: throw SettingMistake("\(key) takes a list: \(key): [\"…\", \"…\"]")
        default: throw SettingMistake("\(key) takes one value: \(setting.kind.form)")
        }
    }

    private static func text(_ scalar: Node.Scalar, _ setting: Setting) throws(SettingMistake) -> String {
        let text = scalar.string
        switch (YAMLFile.value(scalar), setting.kind.shape) {
        case (.boolean(let isOn), .boolean): return isOn ? "true" : "false"
        case (.boolean, _):
            throw SettingMistake("\(setting.key): \(text) is not \(setting.kind.form); put a text in quotes")
        case (.text, .number): throw SettingMistake("\(setting.key): '\(text)' is no number; \(setting.kind.form)")
        case (_, .boolean): throw SettingMistake("\(setting.key): '\(text)' is neither true nor false")
        default:
            try setting.judge(text)
            return text
        }
    }
}

/// Why a value cannot be taken.
struct SettingMistake: Error {
    let text: String

    init(_ text: String) { self.text = text }
}

extension Setting {
    /// Throws where a text is none of this kind.
    func judge(_ text: String) throws(SettingMistake) {
        guard kind.accepts(text) else { throw SettingMistake("\(key): '\(text)' cannot be taken: \(kind.form)") }
    }
}
