// Files that people write in YAML, of which JSON is a part, as values that say what they are.

import Foundation
import StateMachines
import Yams

/// Reads one document of a file.
enum YAMLFile {
    /// Bytes of such a file.
    private static let bytesMaximum = 1 << 20

    /// The document of a file.
    ///
    /// - Throws: what is wrong with the file, not with what it says.
    static func read(_ path: String) throws(CommandFailure) -> SpecificationValue {
        guard let node = try document(path) else { throw CommandFailure(.usage, "\(path) is empty") }
        do {
            return try value(node, depth: 0)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.usage, "\(path): \(error)")
        }
    }

    /// The document of a file with the places of its values; nil where it is empty.
    static func document(_ path: String) throws(CommandFailure) -> Node? {
        guard let content = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.usage, "\(path) can not be read")
        }
        guard content.count <= bytesMaximum, let text = String(validating: content, as: UTF8.self) else {
            throw CommandFailure(.usage, "\(path) is no text of at most 1 MiB")
        }
        do {
            return try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure(.usage, "\(path): \(error)")
        }
    }

    /// YAML as the core schema has it (YAML 1.2.2, section 10.3), numbers as they were written.
    private static func value(_ node: Node, depth: Int) throws -> SpecificationValue {
        guard depth < 16 else { throw CommandFailure(.usage, "the file is nested too deeply") }
        switch node {
        case .scalar(let scalar): return value(scalar)
        case .sequence(let sequence): return .list(try sequence.map { try value($0, depth: depth + 1) })
        case .mapping(let mapping):
            return .object(
                try mapping.map { pair in
                    guard let name = pair.key.string else { throw CommandFailure(.usage, "a name is no text") }
                    return SpecificationMember(name, try value(pair.value, depth: depth + 1))
                })
        case .alias: throw CommandFailure(.usage, "aliases are not taken")
        }
    }

    /// A plain value, as what it says it is.
    static func value(_ scalar: Node.Scalar) -> SpecificationValue {
        guard scalar.style == .plain || scalar.style == .any else { return .text(scalar.string) }
        switch scalar.string {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .boolean(true)
        case "false", "False", "FALSE": return .boolean(false)
        default:
            let text = scalar.string
            let isNumber = text.utf8.first.map { $0 >= 0x30 && $0 <= 0x39 } ?? false
            let isPlain = text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2E }
            return isNumber && isPlain && text.utf8.count { $0 == 0x2E } <= 1 ? .number(text) : .text(text)
        }
    }
}
