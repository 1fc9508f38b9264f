// Records as tools print them.

import EventModel
import Foundation
import SwiftProtobuf
import Testing

@Suite struct `Records as JSON` {
    @Test func `a record prints its event on one line`() {
        let example = GoldenExample.named("heartbeat.typical")
        let line = record(subject: "registry.checkout.heartbeat", type: 3, facts: example.bytes)
        #expect(line == GoldenExample.compact(GoldenExample.named("event_record.typical").json))
    }

    @Test func `what this version does not know is printed as it came`() {
        let expected =
            #"{"sequence":"4711","recorded_at":"1768478400000000000","subject":"trace.s.spans","event_type":999,"#
            + #""schema_version":1,"opaque":"AAH/"}"#
        #expect(record(subject: "trace.s.spans", type: 999, facts: [0x00, 0x01, 0xFF]) == expected)
        #expect(
            record(subject: "registry.s.heartbeat", type: 3, facts: [0x00, 0x01, 0xFF]).contains(#""opaque":"AAH/""#))
        #expect(record(subject: "clock.tick", type: 16, version: 2, facts: [0x08, 0x01]).contains(#""opaque":"CAE=""#))
    }

    @Test func `text that is not UTF-8, and line ends, do not break the line`() throws {
        let line = JSONTranscoder.recordJSON(
            sequence: .end, recordedAt: Timestamp(nanoseconds: -1), subject: [0x61, 0xFF, 0x0A][...],
            messageID: [0xC0, 0x22][...], eventType: 16, schemaVersion: 1, facts: [][...], attachment: [0x01][...])
        #expect(!line.contains(0x0A))
        let bytes = try JSONTranscoder.binary(fromJSON: line, kind: .eventRecord)
        let record = try Lattice_V1_EventRecord(serializedBytes: bytes)
        #expect(record.sequence == .max)
        #expect(record.recordedAt == -1)
        #expect(record.subject == "a\u{FFFD}\n")
        #expect(record.messageID == "\u{FFFD}\"")
        #expect(record.attachment.elementsEqual([0x01]))
        #expect(record.event == .tick(Lattice_V1_Tick()))
    }

    @Test func `every golden event prints under its own name`() {
        for example in GoldenExample.events {
            guard case .event(let type) = example.kind else { continue }
            let line = record(subject: "a.b.c", type: type.rawValue, facts: example.bytes)
            #expect(line.hasSuffix("\"\(type.name)\":\(GoldenExample.compact(example.json))}"), "\(example.name)")
        }
    }

    private func record(subject: String, type: UInt16, version: UInt8 = 1, facts: [UInt8]) -> String {
        let line = JSONTranscoder.recordJSON(
            sequence: SequenceNumber(4711), recordedAt: Timestamp(nanoseconds: 1_768_478_400_000_000_000),
            subject: Array(subject.utf8)[...], messageID: [], eventType: type, schemaVersion: version,
            facts: facts[...], attachment: [])
        return String(decoding: line, as: UTF8.self)
    }
}
