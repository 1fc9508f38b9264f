// The walk over protobuf at its edges: long varints, false lengths, groups.

import EventModel
import SwiftProtobuf
import Testing

@Suite struct `Wire cursor` {
    @Test func `varints of every length are read as the generated code reads them`() throws {
        for shift in 0..<64 {
            for value: UInt64 in [1 << shift, 1 << shift &- 1, .max >> shift] {
                let bytes: [UInt8] = try Lattice_V1_Tick.with { $0.slot = value }.serializedBytes()
                #expect(slot(bytes) == value)
                var writer = WireWriter()
                writer.field(1, value)
                #expect(writer.bytes == bytes)
            }
        }
    }

    @Test func `a varint may be longer than needed, up to ten bytes`() throws {
        for padding in 0...8 {
            let bytes: [UInt8] = [0x08, 0x85] + Array(repeating: 0x80, count: padding) + [0x00]
            #expect(slot(bytes) == 5)
            #expect(try Lattice_V1_Tick(serializedBytes: bytes).slot == 5)
        }
    }

    @Test func `the tenth byte of a varint carries one bit`() throws {
        let nine = [UInt8](repeating: 0xFF, count: 9)
        #expect(slot([0x08] + nine + [0x01]) == .max)
        for last in UInt8(2)..<128 {
            #expect(slot([0x08] + nine + [last]) == nil)
            // The generated code cuts what does not fit; a log must not hold two readings of one payload.
            #expect(try Lattice_V1_Tick(serializedBytes: [0x08] + nine + [last]).slot >= UInt64(Int64.max))
        }
    }

    @Test func `a varint of eleven bytes, and one that does not end, are refused by both`() {
        for bytes: [UInt8] in [
            [0x08] + Array(repeating: 0x80, count: 10) + [0x00], [0x08] + Array(repeating: 0xFF, count: 9),
            [0x08, 0x80], [0x08],
        ] {
            #expect(slot(bytes) == nil)
            #expect((try? Lattice_V1_Tick(serializedBytes: bytes)) == nil)
        }
    }

    @Test(
        arguments: [
            [0x00, 0x01], [0x07], [0x0E, 0x00], [0x0F, 0x00], [0x0B, 0x0C], [0x0C], [0x09, 1, 2, 3, 4, 5, 6, 7],
            [0x0D, 1, 2, 3], [0x0A, 0x02, 0x01], [0x0A, 0x80],
            [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            [0x80, 0x80, 0x80, 0x80, 0x10, 0x00],
        ] as [[UInt8]])
    func `field zero, unknown wire types, groups and false lengths are refused`(_ bytes: [UInt8]) {
        var cursor = WireCursor(0..<bytes.count)
        while cursor.next(in: bytes.span) != nil {}
        #expect(!cursor.isComplete)
        #expect(!cursor.isWellFormed)
    }

    @Test func `the largest field number is read, fixed fields are little-endian`() {
        let bytes: [UInt8] = [0xF8, 0xFF, 0xFF, 0xFF, 0x0F, 0x07, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1D, 1, 2, 3, 4]
        var cursor = WireCursor(0..<bytes.count)
        let last = cursor.next(in: bytes.span)
        #expect(last?.number == 536_870_911)
        #expect(last?.value == 7)
        #expect(cursor.next(in: bytes.span)?.value == 0x0807_0605_0403_0201)
        #expect(cursor.next(in: bytes.span)?.value == 0x0403_0201)
        #expect(cursor.next(in: bytes.span) == nil)
        #expect(cursor.isComplete)
    }

    @Test func `a cursor stays inside of its range`() {
        let bytes: [UInt8] = [0x08, 0x01, 0x0A, 0x05, 0x08, 0x02]
        var cursor = WireCursor(2..<4)
        #expect(cursor.next(in: bytes.span) == nil)
        #expect(!cursor.isComplete)
        var inner = WireCursor(4..<6)
        #expect(inner.next(in: bytes.span)?.value == 2)
        #expect(inner.isComplete)
    }

    @Test func `nested messages of any length carry their length`() throws {
        for count in [0, 1, 126, 127, 128, 129, 16_383, 16_384, 20_000] {
            let text = String(repeating: "x", count: count)
            var writer = WireWriter()
            writer.field(1, "checkout")
            writer.message(2) { inner in
                inner.message(6) { $0.field(2, text) }
            }
            let message = Lattice_V1_Registered.with {
                $0.serviceName = "checkout"
                $0.events = [
                    Lattice_V1_Registration.with { $0.metadata = [Lattice_V1_MetadataEntry.with { $0.value = text }] }
                ]
            }
            #expect(writer.bytes == (try message.serializedBytes()))
        }
    }

    private func slot(_ bytes: [UInt8]) -> UInt64? {
        guard case .clock(.tick(let slot))? = try? EventCodec.decode(type: 16, schemaVersion: 1, facts: bytes[...])
        else { return nil }
        return slot
    }
}
