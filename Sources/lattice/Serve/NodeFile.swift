// The file in which a running node says how to reach it.

import EventModel
import Foundation
import Glibc

/// `node.json` in the data directory; there while `lattice serve` runs.
struct NodeFile: Codable, Sendable, Hashable {
    var natsURL: String
    var httpURL: String?
    var prefix: String
    var processID: Int32

    enum CodingKeys: String, CodingKey {
        case natsURL = "nats"
        case httpURL = "http"
        case prefix
        case processID = "pid"
    }

    static func path(in directory: String) -> String { directory + "/node.json" }

    /// Nil where there is none, or its process is gone.
    static func read(in directory: String) -> NodeFile? {
        guard let data = FileManager.default.contents(atPath: path(in: directory)),
            let file = try? JSONDecoder().decode(NodeFile.self, from: data)
        else { return nil }
        let isAlive = kill(file.processID, 0) == 0 || errno == EPERM
        return isAlive ? file : nil
    }

    func write(in directory: String) throws {
        try Data((JSONOutput.encode(self) + "\n").utf8).write(
            to: URL(fileURLWithPath: Self.path(in: directory)), options: .atomic)
    }

    static func remove(in directory: String) { try? FileManager.default.removeItem(atPath: path(in: directory)) }
}

/// Values of this program as JSON.
enum JSONOutput {
    /// One line, or several for a person; members in order of their names.
    static func encode(_ value: some Encodable, isPretty: Bool = false, isSnakeCase: Bool = false) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
        if isSnakeCase { encoder.keyEncodingStrategy = .convertToSnakeCase }
        do {
            return String(decoding: JSONVisible.escaped(Array(try encoder.encode(value))), as: UTF8.self)
        } catch {
            preconditionFailure("plain values have a JSON form: \(error)")
        }
    }
}
