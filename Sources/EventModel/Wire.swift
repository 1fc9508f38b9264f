// The protobuf wire format, read in place and written without intermediate objects.
// Source of the rules: protobuf.dev/programming-guides/encoding.

/// A field as found on the wire: its number and where its value lies.
package struct WireField: Sendable {
    package var number: Int
    package var kind: WireKind
    /// The value of a varint, a 64-bit or a 32-bit field.
    package var value: UInt64
    /// Where the bytes of a length-delimited field begin, from the start of the span.
    package var start: Int
    /// One past their end.
    package var end: Int

    @inlinable package var range: Range<Int> { start..<end }
    package var signed: Int64 { Int64(bitPattern: value) }
    @inlinable package var isBytes: Bool { kind == .bytes }
    @inlinable package var isVarint: Bool { kind == .varint }
}

/// The wire types that are in use; groups are refused.
package enum WireKind: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5
}

/// Walks over the fields of one message inside a span. The span is passed at each step, so the cursor owns nothing.
package struct WireCursor: Sendable {
    private var offset: Int
    private let end: Int
    /// False once something was not protobuf; `next` then answers nil.
    package private(set) var isWellFormed = true

    /// A cursor over a part of a span.
    package init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Where the next field begins.
    var place: Int { offset }

    /// True when every byte was read and understood.
    package var isComplete: Bool { isWellFormed && offset == end }

    /// The next field; nil at the end and where the bytes are not protobuf.
    package mutating func next(in bytes: borrowing Span<UInt8>) -> WireField? {
        guard offset < end else { return nil }
        let start = offset
        // A tag of more than five bytes is refused as Google's C++ does; SwiftProtobuf takes it or not, by field.
        guard let tag = varint(in: bytes), offset - start <= 5, tag >> 3 != 0, tag >> 3 <= 536_870_911,
            let kind = WireKind(rawValue: UInt8(tag & 7))
        else { return fail() }
        var field = WireField(number: Int(tag >> 3), kind: kind, value: 0, start: 0, end: 0)
        switch kind {
        case .varint:
            guard let value = varint(in: bytes) else { return fail() }
            field.value = value
        case .fixed64:
            guard let value = fixed(8, in: bytes) else { return fail() }
            field.value = value
        case .fixed32:
            guard let value = fixed(4, in: bytes) else { return fail() }
            field.value = value
        case .bytes:
            guard let count = varint(in: bytes), count <= UInt64(end - offset) else { return fail() }
            field.start = offset
            offset += Int(count)
            field.end = offset
        }
        return field
    }

    private mutating func fail() -> WireField? {
        isWellFormed = false
        return nil
    }

    /// Tags and lengths mostly have one byte.
    @inline(__always)
    private mutating func varint(in bytes: borrowing Span<UInt8>) -> UInt64? {
        guard offset < end else { return nil }
        let first = bytes[offset]
        if first >= 0x80 { return longVarint(in: bytes) }
        offset += 1
        return UInt64(first)
    }

    @inline(never)
    private mutating func longVarint(in bytes: borrowing Span<UInt8>) -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while offset < end {
            let byte = bytes[offset]
            offset += 1
            if shift == 63 && byte > 1 { return nil }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    private mutating func fixed(_ width: Int, in bytes: borrowing Span<UInt8>) -> UInt64? {
        guard end - offset >= width else { return nil }
        var result: UInt64 = 0
        for index in 0..<width { result |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += width
        return result
    }
}

/// Writes protobuf into a growing buffer, fields in the order of the calls. Zero values are left out, as proto3 does.
package struct WireWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// A writer that goes on behind these bytes.
    package init(copying start: ArraySlice<UInt8>) { bytes = Array(start) }

    /// Empties the buffer and keeps its memory.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    package mutating func varint(_ value: UInt64) {
        if value < 0x80 { return bytes.append(UInt8(truncatingIfNeeded: value)) }
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func tag(_ number: Int, _ kind: WireKind) {
        varint(UInt64(number) << 3 | UInt64(kind.rawValue))
    }

    package mutating func field(_ number: Int, _ value: UInt64) {
        if value == 0 { return }
        tag(number, .varint)
        varint(value)
    }

    package mutating func field(_ number: Int, _ value: Int64) { field(number, UInt64(bitPattern: value)) }
    package mutating func field(_ number: Int, _ value: UInt32) { field(number, UInt64(value)) }
    package mutating func field(_ number: Int, _ value: Int) { field(number, UInt64(bitPattern: Int64(value))) }
    package mutating func field(_ number: Int, _ value: Bool) { field(number, value ? 1 : 0 as UInt64) }
    package mutating func field(_ number: Int, _ value: SequenceNumber) { field(number, value.rawValue) }
    package mutating func field(_ number: Int, _ value: Timestamp) { field(number, value.rawValue) }
    package mutating func field(_ number: Int, _ value: Nanoseconds) { field(number, value.rawValue) }

    /// A field with presence: written even when it is zero.
    package mutating func optionalField(_ number: Int, _ value: UInt64?) {
        guard let value else { return }
        tag(number, .varint)
        varint(value)
    }

    package mutating func field(_ number: Int, _ value: Double) {
        if value == 0 { return }
        tag(number, .fixed64)
        var bits = value.bitPattern
        for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: bits))
            bits >>= 8
        }
    }

    /// Eight bytes, written even when they are zero.
    package mutating func fixed64(_ number: Int, _ value: UInt64) {
        tag(number, .fixed64)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// A moment as eight bytes.
    package mutating func fixedField(_ number: Int, _ value: Timestamp) {
        if value != .zero { fixed64(number, UInt64(bitPattern: value.rawValue)) }
    }

    /// Bytes as they are, for the inside of a length-delimited field.
    package mutating func append(_ content: [UInt8]) { bytes.append(contentsOf: content) }

    package mutating func field(_ number: Int, _ value: String) {
        if value.isEmpty { return }
        element(number, value)
    }

    /// A string as an element of a repeated field: written even when it is empty.
    package mutating func element(_ number: Int, _ value: String) {
        tag(number, .bytes)
        varint(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    package mutating func field(_ number: Int, _ value: [UInt8]) {
        if value.isEmpty { return }
        tag(number, .bytes)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func field(_ number: Int, _ value: ArraySlice<UInt8>) {
        if !value.isEmpty { element(number, value) }
    }

    /// Bytes as a field with presence: written even where they are none.
    package mutating func element(_ number: Int, _ value: ArraySlice<UInt8>) {
        tag(number, .bytes)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// Numbers, packed as proto3 packs them.
    package mutating func packed(_ number: Int, _ values: [UInt32]) {
        if values.isEmpty { return }
        message(number) { inner in
            for value in values { inner.varint(UInt64(value)) }
        }
    }

    /// A nested message; written even when it is empty.
    package mutating func message(_ number: Int, _ body: (inout WireWriter) -> Void) {
        tag(number, .bytes)
        let start = bytes.count
        bytes.append(0)
        body(&self)
        closeMessage(at: start)
    }

    /// Puts the length of what was written since `start` (where one byte was kept free) in front of it.
    private mutating func closeMessage(at start: Int) {
        let count = bytes.count - start - 1
        if count < 0x80 {
            bytes[start] = UInt8(count)
            return
        }
        var size = 1
        var rest = UInt64(count)
        while rest >= 0x80 {
            rest >>= 7
            size += 1
        }
        bytes.insert(contentsOf: repeatElement(0, count: size - 1), at: start)
        rest = UInt64(count)
        for index in start..<start + size - 1 {
            bytes[index] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
        }
        bytes[start + size - 1] = UInt8(rest)
    }
}
