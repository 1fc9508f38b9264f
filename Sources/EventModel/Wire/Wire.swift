// The protobuf wire format, read in place and written without intermediate objects.
// Source of the rules: protobuf.dev/programming-guides/encoding.

/// A field as found on the wire: its number and where its value lies.
///
/// Public, as is the cursor, because a function that is not is never inlined in another module.
public struct WireField: Sendable {
    /// From 1 to 536,870,911.
    public var number: Int
    /// How it is written.
    public var kind: WireKind
    /// The value of a varint, a 64-bit or a 32-bit field.
    public var value: UInt64
    /// Where the bytes of a length-delimited field begin, from the start of the span.
    public var start: Int
    /// One past their end.
    public var end: Int

    @inlinable @inline(__always)
    init(number: Int, kind: WireKind, value: UInt64 = 0, start: Int = 0, end: Int = 0) {
        self.number = number
        self.kind = kind
        self.value = value
        self.start = start
        self.end = end
    }

    /// Where the bytes of a length-delimited field lie.
    @inlinable public var range: Range<Int> { start..<end }
    /// The value as a number with a sign, as `int64` and `sfixed64` are.
    @inlinable public var signed: Int64 { Int64(bitPattern: value) }
    /// Whether it is length-delimited: text, bytes, a message.
    @inlinable public var isBytes: Bool { kind == .bytes }
    /// Whether it is a varint.
    @inlinable public var isVarint: Bool { kind == .varint }
}

/// The wire types that are in use; groups are refused.
public enum WireKind: UInt8, Sendable {
    /// `int32` to `uint64`, `bool`, `enum`.
    case varint = 0
    /// `fixed64`, `sfixed64`, `double`.
    case fixed64 = 1
    /// `string`, `bytes`, messages, packed numbers.
    case bytes = 2
    /// `fixed32`, `sfixed32`, `float`.
    case fixed32 = 5
}

/// Walks over the fields of one message inside a span. The span is passed at each step, so the cursor owns nothing.
public struct WireCursor: Sendable {
    @usableFromInline var offset: Int
    @usableFromInline let end: Int
    /// False once something was not protobuf; `next` then answers nil.
    public private(set) var isWellFormed = true

    /// A cursor over a part of a span.
    public init(_ range: Range<Int>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Where the next field begins.
    var place: Int { offset }

    /// True when every byte was read and understood.
    public var isComplete: Bool { isWellFormed && offset == end }

    /// The next field; nil at the end and where the bytes are not protobuf.
    ///
    /// Most fields are short texts with small numbers: a byte for the tag, a byte for the length. Those are read where
    /// this is called.
    @inlinable @inline(__always)
    public mutating func next(in bytes: borrowing Span<UInt8>) -> WireField? {
        let rest = end - offset
        if rest >= 2 {
            let (tag, count) = (bytes[offset], bytes[offset + 1])
            if tag & 0x87 == 2, tag > 7, count < 0x80, Int(count) <= rest - 2 {
                let start = offset + 2
                offset = start + Int(count)
                return WireField(number: Int(tag >> 3), kind: .bytes, start: start, end: offset)
            }
        }
        return nextOfAnyKind(in: bytes)
    }

    @usableFromInline
    mutating func nextOfAnyKind(in bytes: borrowing Span<UInt8>) -> WireField? {
        guard offset < end else { return nil }
        let start = offset
        // A tag of more than five bytes is refused as Google's C++ does; SwiftProtobuf takes it or not, by field.
        guard let tag = varint(in: bytes), offset - start <= 5, tag >> 3 != 0, tag >> 3 <= 536_870_911,
            let kind = WireKind(rawValue: UInt8(tag & 7))
        else { return fail() }
        var field = WireField(number: Int(tag >> 3), kind: kind)
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
        defer { offset += width }
        if width == 8 { return bytes.littleEndianWord(at: offset) }
        var result: UInt64 = 0
        for index in 0..<width { result |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        return result
    }
}

extension Span<UInt8> {
    /// Eight bytes, the first of them the lowest.
    ///
    /// - Precondition: all of them are within the span.
    @inline(__always)
    func littleEndianWord(at offset: Int) -> UInt64 {
        // One check for all of them, and the compiler makes one load of the eight.
        let word = extracting(offset..<offset + 8)
        var result: UInt64 = 0
        for index in 0..<8 { result |= UInt64(word[index]) << UInt64(8 * index) }
        return result
    }

    /// Whether a part is ASCII, which is UTF-8 too.
    ///
    /// - Precondition: the part is within the span.
    package func isASCII(_ range: Range<Int>) -> Bool {
        var offset = range.lowerBound
        while range.upperBound - offset >= 8 {
            if littleEndianWord(at: offset) & 0x8080_8080_8080_8080 != 0 { return false }
            offset += 8
        }
        var rest: UInt8 = 0
        while offset < range.upperBound {
            rest |= self[offset]
            offset += 1
        }
        return rest < 0x80
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
        if value < 0x80 { bytes.append(UInt8(truncatingIfNeeded: value)) } else { longVarint(value) }
    }

    private mutating func longVarint(_ value: UInt64) {
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
        fixed64(number, value.bitPattern)
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

    /// A nested message of two fields of bytes: what a tag with a text is. The first is left out where it is empty, the
    /// second has presence.
    ///
    /// - Parameters:
    ///   - first: up to 15, as is the second's number, and where its bytes lie in the source.
    package mutating func pair(
        _ number: Int, of source: [UInt8], _ first: (number: Int, range: Range<Int>),
        _ second: (number: Int, range: Range<Int>)
    ) {
        var size = Self.size(second.range.count)
        if !first.range.isEmpty { size += Self.size(first.range.count) }
        tag(number, .bytes)
        varint(UInt64(size))
        field(first.number, source[first.range])
        element(second.number, source[second.range])
    }

    /// The same of two fields that lie in the source with one byte of tag and one of length each, the first as number 1.
    ///
    /// - Parameters:
    ///   - number: of the message, up to 15; the second field becomes number 2.
    ///   - first: not empty.
    package mutating func shortPair(_ number: Int, of source: [UInt8], _ first: Range<Int>, _ second: Range<Int>) {
        bytes.append(UInt8(truncatingIfNeeded: number << 3 | 2))
        varint(UInt64(first.count + second.count + 4))
        bytes.append(contentsOf: source[first.lowerBound - 2..<first.upperBound])
        bytes.append(0x12)
        bytes.append(contentsOf: source[second.lowerBound - 1..<second.upperBound])
    }

    /// Bytes of a field with a number up to 15 and so much content.
    private static func size(_ count: Int) -> Int {
        var size = count + 2
        var rest = count >> 7
        while rest > 0 {
            rest >>= 7
            size += 1
        }
        return size
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
