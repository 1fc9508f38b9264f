// Little-endian reading and writing for headers, footers and files that are not on the hot path.

/// Collects bytes in little-endian order.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put<Value: FixedWidthInteger>(_ value: Value) {
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
    }

    mutating func put(_ values: some Sequence<UInt8>) { bytes.append(contentsOf: values) }

    mutating func putZeros(upTo count: Int) {
        precondition(bytes.count <= count)
        bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
    }

    /// Appends the CRC32C of everything so far.
    mutating func putChecksum() { put(Checksum.crc32c(bytes.span)) }
}

/// Takes little-endian values from bytes; after the end every value is nil.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var remainingCount: Int { rest.count }

    mutating func take<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
        guard let taken = take(count: Value.bitWidth / 8) else { return nil }
        var value: Value = 0
        for byte in taken.reversed() { value = (value << 8) | Value(truncatingIfNeeded: byte) }
        return value
    }

    mutating func take(count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, rest.count >= count else { return nil }
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return taken
    }
}
