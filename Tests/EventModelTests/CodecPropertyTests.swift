// The hand-written codec against the generated code: on random events, and on bytes that went wrong.

import EventModel
import Foundation
import SwiftProtobuf
import TestKit
import Testing

@Suite struct `Event codec against the generated code` {
    @Test(arguments: EventType.allCases)
    func `random events are read alike and written byte for byte`(_ type: EventType) throws {
        var random = SeededGenerator(seed: 0x5EED_0001 + UInt64(type.rawValue))
        for _ in 0..<150 { try CodecComparison.roundTrip(type, &random) }
    }

    @Test func `random questions are read and written byte for byte`() throws {
        var random = SeededGenerator(seed: 0x5EED_0002)
        for _ in 0..<300 {
            let bytes: [UInt8] = try random.registryQuery().serializedBytes()
            #expect(try RegistryQuery.decode(bytes[...]).encode() == bytes)
        }
    }

    @Test(arguments: EventType.allCases)
    func `mutated bytes are read alike, or refused for a documented reason`(_ type: EventType) throws {
        var random = SeededGenerator(seed: 0x5EED_0003 + UInt64(type.rawValue))
        for _ in 0..<700 { try CodecComparison.mutation(type, &random) }
    }

    @Test func `a slice from the middle of a buffer is read as a whole one is`() throws {
        for example in GoldenExample.events {
            guard case .event(let type) = example.kind else { continue }
            let framed = [0xFF, 0xFF, 0xFF] + example.bytes + [0xFF]
            let event = try EventCodec.decode(
                type: type.rawValue, schemaVersion: 1, facts: framed[3..<3 + example.bytes.count])
            #expect(ReadEvent(event) == (try Oracle.read(type, example.bytes)))
        }
    }

    @Test func `random questions that went wrong never crash`() throws {
        var random = SeededGenerator(seed: 0x5EED_0004)
        for _ in 0..<2_000 {
            let bytes: [UInt8] = try random.registryQuery().serializedBytes()
            let wrong = random.mutated(bytes, with: bytes)
            if let query = try? RegistryQuery.decode(wrong[...]) {
                let generated = try Lattice_V1_RegistryQuery(serializedBytes: wrong)
                #expect(query.serviceName == generated.serviceName)
                #expect(query.excludedRegions == generated.excludeRegions)
                #expect(query.localLoads.map(\.instanceID) == generated.localLoads.map(\.instanceID))
            }
            _ = try? NodeQuery.decode(wrong[...])
        }
    }
}

/// One step of a comparison, for the tests above and for the long run.
enum CodecComparison {
    /// A random event through both codecs.
    static func roundTrip(_ type: EventType, _ random: inout SeededGenerator) throws {
        let bytes: [UInt8] = try random.message(type).serializedBytes()
        let event = try EventCodec.decode(type: type.rawValue, schemaVersion: 1, facts: bytes[...])
        let encoded = try #require(EventCodec.encode(event))
        #expect(encoded.type == type)
        #expect(encoded.facts == bytes)
        #expect(ReadEvent(event) == (try Oracle.read(type, bytes)))
    }

    /// A random event, mutated, through both decoders.
    static func mutation(_ type: EventType, _ random: inout SeededGenerator) throws {
        let bytes: [UInt8] = try random.message(type).serializedBytes()
        let other: [UInt8] = try random.message(type).serializedBytes()
        try compare(type, random.mutated(bytes, with: other))
    }

    /// Both decoders on one input.
    static func compare(_ type: EventType, _ bytes: [UInt8]) throws {
        let generated = try? Oracle.message(type, bytes)
        do {
            let event = try EventCodec.decode(type: type.rawValue, schemaVersion: 1, facts: bytes[...])
            #expect(generated != nil, "taken, but not protobuf: \(type) \(bytes)")
            guard generated != nil else { return }
            #expect(ReadEvent(event) == (try Oracle.read(type, bytes)), "read differently: \(type) \(bytes)")
            let encoded = try #require(EventCodec.encode(event))
            let again = try EventCodec.decode(type: type.rawValue, schemaVersion: 1, facts: encoded.facts[...])
            #expect(again == event, "does not survive encoding: \(type) \(bytes)")
        } catch let error as DecodeError {
            guard let generated else { return }
            #expect(isDocumented(error, generated, bytes), "refused for no reason, \(error): \(type) \(bytes)")
        }
    }

    /// Why the hand-written codec refuses what protobuf takes: bounds, required fields and unknown enum values always;
    /// `malformed` only for a known field of another wire type or a group (which protobuf keeps as unknown fields), a
    /// varint of more than 64 bits (which SwiftProtobuf cuts), a tag of more than five bytes, or a trace id that is not 16.
    private static func isDocumented(
        _ error: DecodeError, _ message: any SwiftProtobuf.Message, _ bytes: [UInt8]
    ) -> Bool {
        switch error.code {
        case "too_long", "too_many", "missing", "unknown_enum_value": true
        case "malformed":
            hasUnknownFields(message) || hasLongVarint(bytes) || error.field.hasSuffix("trace_id")
                || error.field.hasSuffix("span_id")
        default: false
        }
    }

    private static func hasUnknownFields(_ message: any SwiftProtobuf.Message) -> Bool {
        if !message.unknownFields.data.isEmpty { return true }
        switch message {
        case let message as Lattice_V1_Registered:
            return message.events.contains { event in
                hasUnknownFields(event) || event.metadata.contains { hasUnknownFields($0) }
            }
        case let message as Lattice_V1_Deregistered: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_Heartbeats: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_HealthReported: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_LoadReported: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_HealthSwept: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_InstancesSelected: return message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_SpansReceived: return SpanOracle.hasUnknownFields(message)
        default: return MirrorOracle.hasUnknownFields(message)
        }
    }

    private static func hasLongVarint(_ bytes: [UInt8]) -> Bool {
        var run = 0
        for byte in bytes {
            if run >= 9 && byte > 1 || run >= 5 && byte == 0 { return true }
            run = byte >= 0x80 ? run + 1 : 0
        }
        return false
    }
}
