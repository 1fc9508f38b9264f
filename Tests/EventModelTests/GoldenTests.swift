// The golden examples hold: JSON, bytes, the hand-written codec and the generated code say the same.

import EventModel
import Foundation
import Testing

@Suite struct `Golden examples` {
    /// Examples that leave a default unsaid which the hand-written encoder says.
    private static let spelledOut: Set<String> = ["instance_selected.required", "registry_query.required"]

    @Test(arguments: GoldenExample.all) func `JSON decodes to the bytes`(_ example: GoldenExample) throws {
        #expect(try GoldenExample.binary(example.json, example.kind) == example.bytes)
    }

    @Test(arguments: GoldenExample.all) func `the bytes give the same JSON`(_ example: GoldenExample) throws {
        let json = try GoldenExample.json(example.bytes, example.kind)
        #expect(String(decoding: json, as: UTF8.self) == GoldenExample.compact(example.json))
    }

    @Test(arguments: GoldenExample.events)
    func `the hand-written codec reads what the generated code reads`(_ example: GoldenExample) throws {
        guard case .event(let type) = example.kind else { return }
        let event = try decode(type, example.bytes)
        #expect(ReadEvent(event) == (try Oracle.read(type, example.bytes)))
    }

    @Test(arguments: GoldenExample.events)
    func `the hand-written codec writes the bytes that it read`(_ example: GoldenExample) throws {
        guard case .event(let type) = example.kind, !Self.spelledOut.contains(example.name) else { return }
        let encoded = try #require(EventCodec.encode(try decode(type, example.bytes)))
        #expect(encoded.type == type)
        #expect(encoded.facts == example.bytes)
    }

    @Test func `every event type and every message has a typical, a full and a minimal example`() {
        let names = Set(GoldenExample.all.map(\.name))
        for message in EventType.allCases.map(\.name) + MessageKind.allCases.map(\.rawValue) {
            for variant in ["typical", "full", "required"] { #expect(names.contains("\(message).\(variant)")) }
        }
    }

    @Test func `every file in the folder is an example's JSON or its bytes`() throws {
        let files = try FileManager.default.contentsOfDirectory(
            atPath: GoldenExample.schemas.appendingPathComponent("golden").path)
        let expected = GoldenExample.all.flatMap { ["\($0.name).hex", "\($0.name).json"] }
        #expect(files.sorted() == expected.sorted())
    }

    @Test func `questions are read and written as their examples say`() throws {
        for example in GoldenExample.all where !Self.spelledOut.contains(example.name) {
            switch example.kind {
            case .message(.registryQuery):
                #expect(try RegistryQuery.decode(example.bytes[...]).encode() == example.bytes)
            case .message(.traceQuery): #expect(try TraceQuery.decode(example.bytes[...]).encode() == example.bytes)
            case .message(.mirrorQuery): #expect(try MirrorQuery.decode(example.bytes[...]).encode() == example.bytes)
            case .message(.auditQuery): #expect(try AuditQuery.decode(example.bytes[...]).encode() == example.bytes)
            case .message(.nodeQuery): #expect(try NodeQuery.decode(example.bytes[...]).encode() == example.bytes)
            default: break
            }
        }
    }

    private func decode(_ type: EventType, _ bytes: [UInt8]) throws(DecodeError) -> Event {
        try EventCodec.decode(type: type.rawValue, schemaVersion: EventType.currentSchemaVersion, facts: bytes[...])
    }
}
