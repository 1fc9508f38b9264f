// JSON for people's tools: what stands in it follows from the schema, all of it stands there, and it can be read back.

import EventModel
import Foundation
import TestKit
import Testing

@Suite struct `JSON for people` {
    private static let kinds = MessageKind.allCases.map(GoldenExample.Kind.message)
    private static let types = EventType.allCases.map(GoldenExample.Kind.event)

    @Test(arguments: kinds + types)
    func `has every field in the form of its schema, and means the same message`(_ kind: GoldenExample.Kind) throws {
        let shape = Self.shape(kind)
        for seed in 0..<60 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            let bytes = random.message(of: shape, depth: seed % 5 == 0 ? 0 : 4)
            let text = try Self.people(bytes, kind)
            let tree = try JSONDecoder().decode(JSONTree.self, from: Data(text))
            let findings = Self.findings(tree, shape, "message")
            #expect(findings.isEmpty, "seed \(seed): \(findings) in \(String(decoding: text, as: UTF8.self))")
            // The wire's own JSON, and what is read back, are the generated code's.
            let canonical = try GoldenExample.binary(try GoldenExample.json(bytes, kind), kind)
            #expect(
                try GoldenExample.binary(text, kind) == canonical,
                "seed \(seed): \(String(decoding: text, as: UTF8.self))")
        }
    }

    @Test func `a field with a number of 64 bits is a moment, a length of time, or a plain number`() {
        var seen: Set<String> = []
        for kind in Self.kinds + Self.types {
            Self.walk(Self.shape(kind), &seen) { field in
                guard case .int64 = field.kind else { return }
                let isLength = field.name.hasSuffix("_ns")
                let isPlain = ["int_value", "day"].contains(field.name)
                #expect([field.isTime, isLength, isPlain].count { $0 } == 1, "\(field.name)")
            }
        }
        #expect(seen.count > 60)
    }

    @Test func `reads as its examples`() throws {
        for example in GoldenExample.all where example.name.hasSuffix(".full") || example.name.hasSuffix(".required") {
            let text = try Self.people(example.bytes, example.kind)
            let file = GoldenExample.schemas.appendingPathComponent("people/\(example.name).json")
            let stored = FileManager.default.contents(atPath: file.path)
            if stored == nil, ProcessInfo.processInfo.environment["LATTICE_GOLDEN_RECORD"] != nil {
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text + [0x0A]).write(to: file)
            } else {
                let content = try #require(
                    stored, "schemas/people/\(example.name).json: LATTICE_GOLDEN_RECORD=1 writes it")
                #expect(String(decoding: text, as: UTF8.self) + "\n" == String(decoding: content, as: UTF8.self))
            }
        }
    }

    @Test func `says of nothing that it is nothing`() throws {
        let text = String(
            decoding: try JSONTranscoder.people(fromBinary: [], kind: .selectionAnswer), as: UTF8.self)
        #expect(
            text == #"{"as_of":null,"instance":null,"strategy":null,"seed":"0","cursor":"0","candidates":[],"#
                + #""protected":false,"panic":false}"#)
    }

    @Test func `bytes that are no message are refused`() {
        for bytes in [[0x08], [0x0A, 0x01, 0xFF], [0x0A, 0x05], [0x08, 0x01, 0x07]] as [[UInt8]] {
            for kind in [MessageKind.errorAnswer, .selectionAnswer] {
                if case .success(let text) = Result(catching: {
                    try JSONTranscoder.people(fromBinary: bytes, kind: kind)
                }) {
                    #expect((try? JSONSerialization.jsonObject(with: Data(text))) != nil)
                }
            }
            #expect(throws: DecodeError.self) { try JSONTranscoder.people(fromBinary: bytes, kind: .selectionAnswer) }
        }
    }

    @Test func `random bytes end nothing`() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            for kind in [MessageKind.eventRecord, .traceAnswer, .nodeStatus] {
                if let text = try? JSONTranscoder.people(fromBinary: bytes, kind: kind) {
                    #expect((try? JSONSerialization.jsonObject(with: Data(text))) != nil, "\(bytes)")
                }
            }
        }
    }

    // MARK: Helpers

    private static func shape(_ kind: GoldenExample.Kind) -> JSONShape {
        switch kind {
        case .event(let type): JSONShape.of(type)
        case .message(let kind): JSONShape.of(kind)
        }
    }

    private static func people(_ bytes: [UInt8], _ kind: GoldenExample.Kind) throws(DecodeError) -> [UInt8] {
        switch kind {
        case .event(let type): try JSONTranscoder.people(fromBinary: bytes, type: type)
        case .message(let kind): try JSONTranscoder.people(fromBinary: bytes, kind: kind)
        }
    }

    private static func walk(_ shape: JSONShape, _ seen: inout Set<String>, _ visit: (JSONShape.Field) -> Void) {
        for field in shape.fields {
            visit(field)
            guard case .message(let type) = field.kind, seen.insert("\(type)").inserted else { continue }
            walk(JSONShape.of(type), &seen, visit)
        }
    }

    /// What is not as the schema says.
    private static func findings(_ tree: JSONTree, _ shape: JSONShape, _ place: String) -> [String] {
        guard case .object(let members) = tree else { return ["\(place) is no object"] }
        var findings: [String] = []
        for field in shape.fields {
            let place = "\(place).\(field.name)"
            switch (members[field.name], field.presence) {
            case (nil, .choice): break
            case (nil, _): findings.append("\(place) is missing")
            case (.list(let list)?, .repeated): for element in list { findings += self.findings(element, field, place) }
            case (_?, .repeated): findings.append("\(place) is no list")
            case (let member?, _): findings += self.findings(member, field, place)
            }
        }
        let unknown = Set(members.keys).subtracting(shape.fields.map(\.name))
        return findings + unknown.map { "\(place).\($0) is no field" }
    }

    private static func findings(_ tree: JSONTree, _ field: JSONShape.Field, _ place: String) -> [String] {
        let isRight: Bool
        switch (field.kind, tree) {
        case (.message(let type), .object): return findings(tree, JSONShape.of(type), place)
        case (.choice, .null): isRight = true
        case (_, .null): if case .implied = field.presence { isRight = field.isTime } else { isRight = true }
        case (.bool, .boolean), (.string, .text), (.bytes, .text), (.double, .number): isRight = true
        case (.choice, .text(let name)): isRight = name == name.lowercased() && !name.hasSuffix("unspecified")
        case (.int64, .text(let text)), (.uint64, .text(let text)), (.sfixed64, .text(let text)):
            isRight = field.isTime ? text.hasSuffix("Z") && Timestamp(rfc3339: text) != nil : field.isText
        case (.int64, .number), (.uint64, .number): isRight = !field.isTime && !field.isText
        case (.int32, .number), (.uint32, .number): isRight = true
        default: isRight = false
        }
        return isRight ? [] : ["\(place) is \(tree)"]
    }
}

/// A value of JSON as it stands there: a number is no truth, and a text is no number.
private enum JSONTree: Decodable {
    case null
    case boolean(Bool)
    case number(Double)
    case text(String)
    case list([JSONTree])
    case object([String: JSONTree])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }
}

extension SeededGenerator {
    /// The bytes of a random message of this shape; deep messages have none below.
    mutating func message(of shape: JSONShape, depth: Int) -> [UInt8] {
        var writer = WireWriter()
        let choices = shape.fields.filter { if case .choice = $0.presence { true } else { false } }
        let chosen = choices.isEmpty ? nil : choices[below(choices.count)].number
        for field in shape.fields {
            switch field.presence {
            case .choice: if field.number == chosen { value(of: field, depth, &writer) }
            case .present, .implied: if !oneIn(3) { value(of: field, depth, &writer) }
            case .repeated: for _ in 0..<below(4) { value(of: field, depth, &writer) }
            }
        }
        return writer.bytes
    }

    private mutating func value(of field: JSONShape.Field, _ depth: Int, _ writer: inout WireWriter) {
        func varint(_ value: UInt64) {
            writer.tag(field.number, .varint)
            writer.varint(value)
        }
        func content(_ bytes: [UInt8]) { writer.element(field.number, bytes[...]) }
        switch field.kind {
        case .int32: varint(UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: number()))))
        case .uint32: varint(UInt64(UInt32(truncatingIfNeeded: number())))
        case .int64, .uint64: varint(number())
        case .bool: varint(oneIn(2) ? 1 : 0)
        case .choice: varint(UInt64(below(4)))
        case .sfixed64: writer.fixed64(field.number, number())
        case .double:
            let value = Double(bitPattern: number())
            writer.fixed64(field.number, value.isFinite ? value.bitPattern : 0)
        case .string: content(Array(text(atMost: 64).utf8))
        case .bytes where field.isIdentifier:
            let count = field.name.contains("trace") ? 16 : 8
            content(oneIn(4) ? [] : (0..<count).map { _ in UInt8(below(255) + 1) })
        case .bytes: content((0..<below(20)).map { _ in UInt8(truncatingIfNeeded: next()) })
        case .message(let type): content(depth == 0 ? [] : message(of: JSONShape.of(type), depth: depth - 1))
        case .unknown: preconditionFailure("\(field.name) is of no type that the schemas have")
        }
    }
}
