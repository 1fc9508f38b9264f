// JSON whose text shows what it is: characters that a terminal or an editor acts upon stand there as `\u….`.

/// Makes JSON safe to show.
package enum JSONVisible {
    /// The same JSON with DEL, the controls of C1, the separators of lines and paragraphs, and the marks that turn the
    /// direction of writing as `\uXXXX`. They can stand in strings only, so the value stays the same. Controls below
    /// U+0020 are escaped in any JSON.
    package static func escaped(_ json: [UInt8]) -> [UInt8] {
        guard json.contains(where: { leaders.contains($0) }) else { return json }
        var result: [UInt8] = []
        result.reserveCapacity(json.count + 64)
        var index = 0
        while index < json.count {
            guard let (scalar, length) = actor(json, at: index) else {
                result.append(json[index])
                index += 1
                continue
            }
            result +=
                Array("\\u".utf8) + [scalar >> 12, scalar >> 8, scalar >> 4, scalar].map { digit(UInt8($0 & 15)) }
            index += length
        }
        return result
    }

    /// The same, of a text.
    package static func escaped(_ json: String) -> String {
        String(decoding: escaped(Array(json.utf8)), as: UTF8.self)
    }

    /// First bytes of what is escaped.
    private static let leaders: Set<UInt8> = [0x7F, 0xC2, 0xD8, 0xE2]

    /// A character that is acted upon, and its bytes of UTF-8; nil where there is another.
    private static func actor(_ json: [UInt8], at index: Int) -> (scalar: UInt16, length: Int)? {
        func byte(_ offset: Int) -> UInt8 { index + offset < json.count ? json[index + offset] : 0 }
        switch (byte(0), byte(1), byte(2)) {
        case (0x7F, _, _): return (0x7F, 1)
        case (0xC2, 0x80...0x9F, _): return (UInt16(byte(1)), 2)
        // The Arabic letter mark.
        case (0xD8, 0x9C, _): return (0x061C, 2)
        // Marks from left to right and back, separators, embeddings, overrides.
        case (0xE2, 0x80, 0x8E...0x8F), (0xE2, 0x80, 0xA8...0xAE): return (0x2000 + UInt16(byte(2) - 0x80), 3)
        // Isolates.
        case (0xE2, 0x81, 0xA6...0xA9): return (0x2040 + UInt16(byte(2) - 0x80), 3)
        default: return nil
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
