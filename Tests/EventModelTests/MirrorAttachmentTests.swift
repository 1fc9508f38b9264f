// The attachments of the mirror family: what is written is read again, by the generated code too.

import EventModel
import SwiftProtobuf
import TestKit
import Testing

@Suite struct `Attachments of the mirror` {
    private static let captured = [
        CapturedContent(
            target: "/cart?token=[redacted]", requestHeaders: [HeaderField(name: "Accept", value: "*/*")],
            requestBody: [0, 0xFF],
            responseHeaders: [HeaderField(name: "a", value: ""), HeaderField(name: "", value: "é")],
            responseBody: Array(repeating: 7, count: 300)),
        CapturedContent(),
    ]

    private static let compared = [
        ComparedContent(
            sides: [.init(path: "/a/0", production: "1", shadow: "2"), .init(path: "", production: "", shadow: "x")],
            notes: ["not JSON", ""]),
        ComparedContent(),
    ]

    @Test func `captured contents are read as they were written`() throws {
        let bytes = MirrorAttachment.encode(Self.captured)
        #expect(try MirrorAttachment.captured(bytes[...]) == Self.captured)
        let generated = try Lattice_V1_CapturedContents(serializedBytes: bytes)
        let again: [UInt8] = try generated.serializedBytes()
        #expect(again == bytes)
        #expect(generated.entries[0].requestHeaders[0].name == "Accept")
        #expect(generated.entries.count == 2)
    }

    @Test func `compared contents are read as they were written`() throws {
        let bytes = MirrorAttachment.encode(Self.compared)
        #expect(try MirrorAttachment.compared(bytes[...]) == Self.compared)
        let generated = try Lattice_V1_ComparedContents(serializedBytes: bytes)
        let again: [UInt8] = try generated.serializedBytes()
        #expect(again == bytes)
    }

    @Test func `an empty attachment has no entries`() throws {
        #expect(try MirrorAttachment.captured([]).isEmpty)
        #expect(MirrorAttachment.encode([CapturedContent]()).isEmpty)
    }

    @Test func `a slice of a larger buffer is read as a whole one is`() throws {
        let framed = [0xFF] + MirrorAttachment.encode(Self.captured) + [0xFF]
        #expect(try MirrorAttachment.captured(framed[1..<framed.count - 1]) == Self.captured)
    }

    @Test func `damaged attachments are refused or read, never more than that`() {
        var random = SeededGenerator(seed: 0x5EED_0011)
        let (one, other) = (MirrorAttachment.encode(Self.captured), MirrorAttachment.encode(Self.compared))
        for _ in 0..<3_000 {
            let bytes = random.mutated(one, with: other)
            if let entries = try? MirrorAttachment.captured(bytes[...]) {
                #expect((try? MirrorAttachment.captured(MirrorAttachment.encode(entries)[...])) == entries)
            }
            _ = try? MirrorAttachment.compared(random.mutated(other, with: one)[...])
        }
    }
}
