// The numbers of the frame format; the DocC page on the log format says the same in words.

/// Sizes and positions in a frame and in a durable mark. All numbers are little-endian.
enum FrameFormat {
    /// Bytes before those that `length` counts: the length itself and the checksum.
    static let prefixByteCount = 8
    /// Bytes of a frame before its variable fields.
    static let headerByteCount = 48
    /// The smallest `length` of a frame.
    static let minimumLength = headerByteCount - prefixByteCount
    /// The largest whole frame.
    static let maximumByteCount = 16 << 20

    /// The `length` of a durable mark, which tells it from a frame.
    static let markLength = 24
    /// The whole size of a durable mark.
    static let markByteCount = prefixByteCount + markLength
    /// The first eight bytes of a mark's content: "LFDURABL".
    static let markMagic: UInt64 = 0x4c42_4152_5544_464c

    /// In the place of a length: here the frames end and a sealed segment's index begins.
    static let footerMarker = UInt32.max
}

/// What a frame says of itself beyond its fields. Unknown bits are kept as they are.
package struct FrameFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The facts could not be understood when they were logged; they are kept as they came.
    package static let opaque = FrameFlags(rawValue: 1 << 0)
    /// The attachment is ciphertext; its key lies elsewhere and can be destroyed.
    package static let sealedAttachment = FrameFlags(rawValue: 1 << 1)
}
