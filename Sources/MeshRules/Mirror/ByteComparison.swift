// Two bodies byte by byte, in blocks without a branch for each byte.

/// Compares bytes.
enum ByteComparison {
    private static let blockBytes = 64

    /// Whether both have the same bytes.
    static func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        one.count == other.count && commonCount(one, other) == one.count
    }

    /// How many bytes they have in common from the beginning.
    static func commonCount(_ one: [UInt8], _ other: [UInt8]) -> Int {
        let (left, right) = (one.span, other.span)
        let count = min(left.count, right.count)
        var offset = 0
        while count - offset >= blockBytes, isBlockEqual(left, right, offset) { offset += blockBytes }
        while offset < count, left[offset] == right[offset] { offset += 1 }
        return offset
    }

    @inline(__always)
    private static func isBlockEqual(
        _ one: borrowing Span<UInt8>, _ other: borrowing Span<UInt8>, _ offset: Int
    ) -> Bool {
        let left = one.extracting(offset..<offset + blockBytes)
        let right = other.extracting(offset..<offset + blockBytes)
        var difference: UInt8 = 0
        for index in 0..<blockBytes { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
