// Random events through JSON, and JSON that went wrong.

import EventModel
import Foundation
import SwiftProtobuf
import TestKit
import Testing

@Suite struct `JSON transcoder on random input` {
    @Test(arguments: EventType.allCases)
    func `random events survive the way through JSON`(_ type: EventType) throws {
        var random = SeededGenerator(seed: 0x5EED_0005 + UInt64(type.rawValue))
        for _ in 0..<40 { try JSONComparison.roundTrip(type, &random) }
    }

    @Test(arguments: EventType.allCases)
    func `mutated JSON is refused or taken, and what is taken has one form`(_ type: EventType) throws {
        var random = SeededGenerator(seed: 0x5EED_0006 + UInt64(type.rawValue))
        for _ in 0..<300 { try JSONComparison.mutation(type, &random) }
    }

    @Test(arguments: GoldenExample.all)
    func `mutated examples never crash`(_ example: GoldenExample) throws {
        var random = SeededGenerator(seed: 0x5EED_0007)
        for _ in 0..<40 {
            _ = try? GoldenExample.binary(random.mutatedJSON(example.json), example.kind)
            _ = try? GoldenExample.json(random.mutated(example.bytes, with: example.bytes), example.kind)
        }
    }
}

/// One step of a comparison, for the tests above and for the long run.
enum JSONComparison {
    /// A random event into JSON and back.
    static func roundTrip(_ type: EventType, _ random: inout SeededGenerator) throws {
        let message = random.message(type)
        let bytes: [UInt8] = try message.serializedBytes()
        let json = try JSONTranscoder.json(fromBinary: bytes, type: type)
        #expect(!json.contains(UInt8(ascii: "\n")))
        if json.count > Limits.messageBytes { return }
        if json.contains(sequence: Array("\"trace_id\":\"00000000000000000000000000000000\"".utf8)) { return }
        #expect(
            try JSONTranscoder.binary(fromJSON: json, type: type) == bytes, "\(String(decoding: json, as: UTF8.self))")
    }

    /// A random event as JSON, mutated: whatever is taken must come back as it was taken.
    static func mutation(_ type: EventType, _ random: inout SeededGenerator) throws {
        let bytes: [UInt8] = try random.message(type).serializedBytes()
        let json = random.mutatedJSON(try JSONTranscoder.json(fromBinary: bytes, type: type))
        guard let taken = try? JSONTranscoder.binary(fromJSON: json, type: type) else { return }
        let canonical = try JSONTranscoder.json(fromBinary: taken, type: type)
        #expect(try JSONTranscoder.binary(fromJSON: canonical, type: type) == taken)
    }
}

extension [UInt8] {
    fileprivate func contains(sequence: [UInt8]) -> Bool {
        guard count >= sequence.count else { return false }
        return (0...count - sequence.count).contains { self[$0...].starts(with: sequence) }
    }
}

extension SeededGenerator {
    private static let tokens: [String] = [
        "{", "}", "[", "]", ":", ",", "\"", "null", "true", "NaN", "-Infinity", "1e400", "-0", "0.1", "1.5e3",
        "\\u0000",
        "\\ud800", "\\ud83e\\udd86", "\\", "\u{FEFF}", " ", "\n", "\"trace_id\":\"00\"", "\"strategy\":7,",
        "\"occurred_at\":\"2026-01-15T12:00:00Z\",", "\"events\":[", "\"extra\":1,", "18446744073709551616",
        "\"incarnation\":\"x\",",
    ]

    /// JSON with one to three things done to it.
    mutating func mutatedJSON(_ json: [UInt8]) -> [UInt8] {
        var result = json
        for _ in 0...below(3) {
            let place = below(result.count + 1)
            if oneIn(2) {
                result.insert(contentsOf: Self.tokens[below(Self.tokens.count)].utf8, at: place)
            } else {
                result = mutated(result, with: json)
            }
        }
        return result
    }
}
