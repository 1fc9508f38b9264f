// The SHA-256 of a file, the link of the log's chain.

/// A SHA-256.
package struct SegmentHash: Hashable, Sendable, CustomStringConvertible {
    static let byteCount = 32

    /// 32 bytes.
    package let bytes: [UInt8]

    init(bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount)
        self.bytes = bytes
    }

    /// What the first segment names as its predecessor.
    package static let zero = SegmentHash(bytes: [UInt8](repeating: 0, count: byteCount))

    /// Reads 64 hexadecimal digits.
    init?(hexadecimal text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(text), bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// 64 hexadecimal digits, lower case.
    package var description: String { Hexadecimal.text(bytes) }

    /// The SHA-256 of a file up to a byte, or of the whole file, read in pieces. Takes time proportional to its size.
    static func of(_ file: any LogFile, upTo end: UInt64 = .max) throws(EventStoreError) -> SegmentHash {
        var hash = RunningHash()
        var offset: UInt64 = 0
        while true {
            let bytes = try file.read(at: offset, count: Int(min(end - offset, 1 << 20)))
            if bytes.isEmpty { return hash.finish() }
            hash.update(bytes.span)
            offset += UInt64(bytes.count)
        }
    }
}

/// Bytes as text.
enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func bytes(_ text: some StringProtocol) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 2)
        for index in stride(from: 0, to: characters.count, by: 2) {
            guard let high = digits.firstIndex(of: characters[index]),
                let low = digits.firstIndex(of: characters[index + 1])
            else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
