// What JSON is taken, what it becomes, and by which word the rest is refused.

import EventModel
import Foundation
import SwiftProtobuf
import Testing

@Suite struct `JSON transcoder` {
    // MARK: Taken

    @Test(arguments: [
        ("1768478400000000001", 1_768_478_400_000_000_001), ("\"1768478400000000001\"", 1_768_478_400_000_000_001),
        ("\"-1\"", -1), ("\"2026-01-15T12:00:00Z\"", 1_768_478_400_000_000_000),
        ("\"2026-01-15t12:00:00.000000001z\"", 1_768_478_400_000_000_001),
        ("\"2026-01-15T13:30:00.5+01:30\"", 1_768_478_400_500_000_000),
        ("\"2026-01-15T13:30:00\\u002b01:30\"", 1_768_478_400_000_000_000),
        ("\"2026-01-14T12:01:00-23:59\"", 1_768_478_400_000_000_000),
        ("\"1970-01-01T00:00:00-00:00\"", 0), ("\"2000-02-29T00:00:00Z\"", 951_782_400_000_000_000),
        ("\"1969-12-31T23:59:59.999999999Z\"", -1), ("\"2262-04-11T23:47:16.854775807Z\"", Int64.max),
        ("\"1677-09-21T00:12:43.145224192Z\"", Int64.min),
    ])
    func `times are numbers, decimal strings or RFC 3339`(_ text: String, _ nanoseconds: Int64) throws {
        #expect(try heartbeat("\"occurred_at\":\(text)").occurredAt == Timestamp(nanoseconds: nanoseconds))
        #expect(try heartbeat("\"incarnation\":\(text)").incarnation == nanoseconds)
    }

    @Test(arguments: [
        ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("4BF92F3577B34DA6A3CE929D0E0E4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("a3ce929D0e0e4736", "0000000000000000a3ce929d0e0e4736"),
        ("00000000000000000000000000000001", "00000000000000000000000000000001"),
    ])
    func `trace ids are hexadecimal in either case, padded on the left, written in lower case`(
        _ given: String, _ written: String
    ) throws {
        let bytes = try selection("\"trace_id\":\"\(given)\"")
        let json = String(decoding: try JSONTranscoder.json(fromBinary: bytes, type: .instanceSelected), as: UTF8.self)
        #expect(json == "{\"service_name\":\"s\",\"events\":[{\"trace_id\":\"\(written)\"}]}")
    }

    @Test func `strategies are taken in lower and upper case and as numbers, and written in lower case`() throws {
        for strategy in SelectionStrategy.allCases {
            for given in ["\"\(strategy.name)\"", "\"\(strategy.name.uppercased())\"", "\(strategy.rawValue)"] {
                let bytes = try selection("\"strategy\":\(given)")
                let json = try JSONTranscoder.json(fromBinary: bytes, type: .instanceSelected)
                #expect(String(decoding: json, as: UTF8.self).contains("\"strategy\":\"\(strategy.name)\""))
            }
        }
    }

    @Test func `text that looks like a time, an id or a strategy stays as it is`() throws {
        let json = #"""
            {"service_name":"2026-01-15T12:00:00Z","events":[{"instance_id":"trace_id","metadata":[
            {"key":"strategy","value":"weighted_random"},{"key":"occurred_at","value":"\ud83e\udd86 \u00e9\/\"\\\n"}]}]}
            """#
        let bytes = try JSONTranscoder.binary(fromJSON: Array(json.utf8), type: .registered)
        let event = try EventCodec.decode(type: EventType.registered.rawValue, schemaVersion: 1, facts: bytes[...])
        guard case .registry(.registered(let batch)) = event else { preconditionFailure("not a registration") }
        #expect(batch.serviceName == "2026-01-15T12:00:00Z")
        #expect(batch.events[0].metadata[0] == MetadataEntry(key: "strategy", value: "weighted_random"))
        #expect(batch.events[0].metadata[1] == MetadataEntry(key: "occurred_at", value: "🦆 é/\"\\\n"))
    }

    @Test func `text in the place of a choice keeps its escapes`() throws {
        for text in [#"x\",\"part\":\"y"#, #"\\"#, #"\u0000\n"#, "é\\u00e9", String(repeating: "k", count: 300)] {
            let json = #"{"source_service":"s","events":[{"paths":[{"kind":"\#(text)"}]}]}"#
            let bytes = try JSONTranscoder.binary(fromJSON: Array(json.utf8), type: .responseCompared)
            let back = try JSONTranscoder.json(fromBinary: bytes, type: .responseCompared)
            #expect(try JSONTranscoder.binary(fromJSON: back, type: .responseCompared) == bytes, "\(text)")
            let message = try Lattice_V1_ResponsesCompared(serializedBytes: bytes)
            let plain = try JSONDecoder().decode(String.self, from: Data("\"\(text)\"".utf8))
            #expect(message.events[0].paths[0].kind == plain && message.events[0].paths[0].part.isEmpty, "\(text)")
        }
    }

    @Test func `the order of members and null do not matter`() throws {
        let given =
            #" { "events" : [ { "weight" : null, "instance_id" : "a" } ] , "fail_fast":true,"service_name":"s"} "#
        let canonical = #"{"service_name":"s","events":[{"instance_id":"a"}],"fail_fast":true}"#
        let bytes = try JSONTranscoder.binary(fromJSON: Array(given.utf8), type: .registered)
        #expect(try JSONTranscoder.json(fromBinary: bytes, type: .registered) == Array(canonical.utf8))
    }

    // MARK: Refused

    @Test(arguments: [
        ("", "malformed", "message"), ("[]", "malformed", "message"), ("{", "malformed", "message"),
        ("{}}", "malformed", "message"), ("{}{}", "malformed", "message"), ("{\"a\"}", "malformed", "a"),
        ("\u{FEFF}{}", "malformed", "message"), ("{,}", "malformed", "message"), ("{'slot':1}", "malformed", "message"),
        (#"{"slot":1,}"#, "malformed", "message"), (#"{"slot":01}"#, "malformed", "slot"),
        (#"{"slot":+1}"#, "malformed", "slot"), (#"{"slot":.5}"#, "malformed", "slot"),
        (#"{"slot":NaN}"#, "malformed", "slot"), (#"{"slot":Infinity}"#, "malformed", "slot"),
        (#"{"slot":tru}"#, "malformed", "slot"), (#"{"slot":1.5}"#, "malformed", "message"),
        (#"{"slot":-1}"#, "malformed", "message"), (#"{"slot":18446744073709551616}"#, "malformed", "message"),
        (#"{"slot":true}"#, "malformed", "message"), (#"{"slot":[1]}"#, "malformed", "message"),
        (#"{"slot":1,"slot":1}"#, "duplicate_field", "slot"), (#"{"extra":1}"#, "unknown_field", "extra"),
        (#"{"Slot":1}"#, "unknown_field", "Slot"), (#"{"sl\u006ft":1}"#, "unknown_field", "?"),
        (#"{"":1}"#, "unknown_field", "?"), (#"{"a secret":1}"#, "unknown_field", "?"),
        ("{\"slot\":\"\u{01}\"}", "malformed", "slot"), (#"{"slot":"\x"}"#, "malformed", "slot"),
        (#"{"slot":"\u12"}"#, "malformed", "slot"), (#"{"slot":"\ud800"}"#, "invalid_utf8", "slot"),
        (#"{"slot":"\udc00"}"#, "invalid_utf8", "slot"), (#"{"slot":"\ud800\u0041"}"#, "invalid_utf8", "slot"),
    ])
    func `what is not exactly a message is refused by code and member`(
        _ json: String, _ code: String, _ field: String
    ) {
        #expect(refusal(Array(json.utf8), .tick) == "\(code): \(field)")
    }

    @Test(arguments: [
        ("\"serviceName\":\"s\"", "unknown_field: events[0].serviceName"),
        ("\"extra\":{}", "unknown_field: extra"),
        ("\"instance_id\":\"a\",\"instance_id\":\"a\"", "duplicate_field: events[0].instance_id"),
        ("\"occurred_at\":\"yesterday\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15 12:00:00Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15T12:00:00\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15T12:00:00.Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15T12:00:00.0000000001Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-12-31T23:59:60Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-02-29T00:00:00Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"1900-02-29T00:00:00Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15T24:00:00Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2026-01-15T12:00:00+24:00\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"2262-04-11T23:47:16.854775808Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"1677-09-21T00:12:43.145224191Z\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"\"", "malformed: events[0].occurred_at"),
        ("\"occurred_at\":\"9223372036854775808\"", "malformed: message"),
    ])
    func `a heartbeat's members are refused where they stand`(_ members: String, _ expected: String) {
        #expect(refusal(envelope(members), .heartbeat) == expected)
    }

    @Test(arguments: [
        ("\"trace_id\":\"00000000000000000000000000000000\"", "malformed: events[0].trace_id"),
        ("\"trace_id\":\"0000000000000000\"", "malformed: events[0].trace_id"),
        ("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e473\"", "malformed: events[0].trace_id"),
        ("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e473g\"", "malformed: events[0].trace_id"),
        ("\"trace_id\":\"S/kvNXezTaajzpKdDg5HNg==\"", "malformed: events[0].trace_id"),
        ("\"strategy\":\"fastest\"", "unknown_enum_value: events[0].strategy"),
        ("\"strategy\":\"Weighted_Random\"", "unknown_enum_value: events[0].strategy"),
        ("\"strategy\":\"\"", "unknown_enum_value: events[0].strategy"),
        ("\"strategy\":5", "unknown_enum_value: events[0].strategy"),
        ("\"strategy\":-1", "unknown_enum_value: events[0].strategy"),
    ])
    func `a selection's members are refused where they stand`(_ members: String, _ expected: String) {
        #expect(refusal(envelope(members), .instanceSelected) == expected)
    }

    @Test func `a single event without its envelope is refused`() {
        #expect(refusal(Array(#"{"instance_id":"a"}"#.utf8), .heartbeat) == "unknown_field: instance_id")
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(
            refusal(Array(#"{"reason":""#.utf8) + [0xC0, 0x80] + Array("\"}".utf8), .nodeResumed)
                == "invalid_utf8: message")
    }

    @Test func `nesting is taken to 64 and refused at 65, however long it goes on`() {
        for depth in [65, 10_000] {
            let json = "{\"slot\":" + String(repeating: "[", count: depth)
            #expect(refusal(Array(json.utf8), .tick)?.hasPrefix("too_deep: slot[0]") == true)
        }
        let deepest = "{\"slot\":" + String(repeating: "[", count: 63) + String(repeating: "]", count: 63) + "}"
        #expect(refusal(Array(deepest.utf8), .tick) == "malformed: message")
    }

    @Test func `a megabyte is taken, one byte more is refused`() throws {
        let bare = #"{"slot":"7"}"#
        let padded = bare + String(repeating: " ", count: Limits.messageBytes - bare.utf8.count)
        #expect(try JSONTranscoder.binary(fromJSON: Array(padded.utf8), type: .tick) == [0x08, 0x07])
        #expect(refusal(Array((padded + " ").utf8), .tick) == "too_long: message")
    }

    @Test func `an object of many members is refused before looking for doubles gets slow`() {
        let members = (0..<20_000).map { "\"m\($0)\":0" }.joined(separator: ",")
        #expect(refusal(Array("{\(members)}".utf8), .tick) == "too_many: m128")
    }

    @Test(arguments: [#""NaN""#, #""Infinity""#, #""-Infinity""#, "1e400", "-1e400"])
    func `a number that is none is refused`(_ number: String) {
        let json = Array("{\"retention_days_left\":\(number)}".utf8)
        #expect(throws: DecodeError.self) { try JSONTranscoder.binary(fromJSON: json, kind: .nodeStatus) }
    }

    @Test func `bytes with a number that is none have no JSON`() throws {
        let bytes: [UInt8] = try Lattice_V1_NodeStatus.with { $0.retentionDaysLeft = .nan }.serializedBytes()
        #expect(throws: DecodeError.self) { try JSONTranscoder.json(fromBinary: bytes, kind: .nodeStatus) }
    }

    @Test func `bytes that are not protobuf have no JSON`() {
        #expect(throws: DecodeError.self) { try JSONTranscoder.json(fromBinary: [0x08][...], kind: .nodeQuery) }
        #expect(throws: DecodeError.self) {
            try JSONTranscoder.json(fromBinary: [0x0A, 0x01, 0xFF], type: .nodeResumed)
        }
    }

    // MARK: Helpers

    private func envelope(_ members: String) -> [UInt8] {
        let isOutside = members.hasPrefix("\"extra\"")
        let json =
            isOutside
            ? "{\"service_name\":\"s\",\(members)}" : "{\"service_name\":\"s\",\"events\":[{\(members)}]}"
        return Array(json.utf8)
    }

    private func selection(_ members: String) throws(DecodeError) -> [UInt8] {
        try JSONTranscoder.binary(fromJSON: envelope(members), type: .instanceSelected)
    }

    private func heartbeat(_ members: String) throws -> HeartbeatView {
        let json = envelope("\"instance_id\":\"a\",\(members)")
        let bytes = try JSONTranscoder.binary(fromJSON: json, type: .heartbeat)
        let event = try EventCodec.decode(type: EventType.heartbeat.rawValue, schemaVersion: 1, facts: bytes[...])
        guard case .registry(.heartbeat(let batch)) = event else { preconditionFailure("not a heartbeat") }
        var cursor = batch.makeCursor()
        let first = cursor.next(in: batch.facts.span)
        return try #require(first)
    }

    private func refusal(_ json: [UInt8], _ type: EventType) -> String? {
        do {
            _ = try JSONTranscoder.binary(fromJSON: json, type: type)
            return nil
        } catch {
            return error.description
        }
    }
}
