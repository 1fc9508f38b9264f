// The golden examples of schemas/golden: what every message looks like as JSON and as bytes, for ever.

import EventModel
import Foundation

/// One example: its JSON and its bytes.
struct GoldenExample: Sendable, CustomStringConvertible {
    /// What kind of message it is.
    enum Kind: Sendable, Hashable {
        case event(EventType)
        case message(MessageKind)
    }

    /// The message's name and the case, as in the file's name.
    let name: String
    let kind: Kind
    /// The canonical JSON, laid out for people.
    let json: [UInt8]
    /// The canonical bytes.
    let bytes: [UInt8]

    var description: String { name }

    /// The folder of the schemas.
    static let schemas = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("schemas")

    private static let folder = schemas.appendingPathComponent("golden")

    /// All of them, by name. Traps on a file that belongs to no message or cannot be read.
    static let all: [GoldenExample] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".json") }.sorted().map { load(String($0.dropLast(5))) }
    }()

    /// The examples of events.
    static let events = all.filter { if case .event = $0.kind { true } else { false } }

    /// One example by its name.
    static func named(_ name: String) -> GoldenExample {
        guard let example = all.first(where: { $0.name == name }) else { preconditionFailure("no example \(name)") }
        return example
    }

    private static func load(_ name: String) -> GoldenExample {
        guard let kind = kind(of: String(name.prefix { $0 != "." })),
            let json = FileManager.default.contents(atPath: folder.appendingPathComponent(name + ".json").path)
        else { preconditionFailure("schemas/golden/\(name).json belongs to no message") }
        let bytes = hexadecimal(folder.appendingPathComponent(name + ".hex"))
        return GoldenExample(name: name, kind: kind, json: Array(json), bytes: bytes ?? record(name, kind, Array(json)))
    }

    private static func kind(of name: String) -> Kind? {
        if let type = EventType.allCases.first(where: { $0.name == name }) { return .event(type) }
        return MessageKind(rawValue: name).map(Kind.message)
    }

    /// Writes the bytes of a new example where LATTICE_GOLDEN_RECORD is set; existing examples are never touched.
    private static func record(_ name: String, _ kind: Kind, _ json: [UInt8]) -> [UInt8] {
        guard ProcessInfo.processInfo.environment["LATTICE_GOLDEN_RECORD"] != nil else {
            preconditionFailure("schemas/golden/\(name).hex is missing; LATTICE_GOLDEN_RECORD=1 writes it")
        }
        guard let bytes = try? binary(json, kind) else { preconditionFailure("\(name).json is refused") }
        let digits = bytes.map { hexadecimal($0) }
        let lines = stride(from: 0, to: digits.count, by: 32).map { start in
            digits[start..<min(start + 32, digits.count)].joined() + "\n"
        }
        let file = folder.appendingPathComponent(name + ".hex")
        try? Data(lines.joined().utf8).write(to: file)
        return bytes
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }

    private static func hexadecimal(_ file: URL) -> [UInt8]? {
        guard let content = FileManager.default.contents(atPath: file.path) else { return nil }
        let digits = content.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    /// JSON into bytes by the transcoder.
    static func binary(_ json: [UInt8], _ kind: Kind) throws(DecodeError) -> [UInt8] {
        switch kind {
        case .event(let type): try JSONTranscoder.binary(fromJSON: json, type: type)
        case .message(let kind): try JSONTranscoder.binary(fromJSON: json, kind: kind)
        }
    }

    /// Bytes into JSON by the transcoder.
    static func json(_ bytes: [UInt8], _ kind: Kind) throws(DecodeError) -> [UInt8] {
        switch kind {
        case .event(let type): try JSONTranscoder.json(fromBinary: bytes, type: type)
        case .message(let kind): try JSONTranscoder.json(fromBinary: bytes, kind: kind)
        }
    }

    /// JSON without the white space between its tokens.
    static func compact(_ json: [UInt8]) -> String {
        var result: [UInt8] = []
        var isInString = false
        var isEscaped = false
        for byte in json {
            if isInString || ![0x20, 0x0A, 0x0D, 0x09].contains(byte) { result.append(byte) }
            if byte == UInt8(ascii: "\"") && !isEscaped { isInString.toggle() }
            isEscaped = isInString && byte == UInt8(ascii: "\\") && !isEscaped
        }
        return String(decoding: result, as: UTF8.self)
    }
}
