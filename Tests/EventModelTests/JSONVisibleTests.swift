// JSON that is shown has no character that a terminal or an editor acts upon, and says the same.

import EventModel
import Foundation
import Testing

@Suite struct `JSON that is shown` {
    /// Whether a character is acted upon: controls, separators of lines, marks of direction.
    private static func isActor(_ scalar: UnicodeScalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    @Test func `every character of Unicode is kept, and none is acted upon`() throws {
        for start in stride(from: UInt32(0), through: 0x10FFFF, by: 0x1000) {
            var text = ""
            text.unicodeScalars.append(contentsOf: (start..<start + 0x1000).compactMap { UnicodeScalar($0) })
            let json = JSONVisible.escaped([UInt8](try JSONEncoder().encode([text])))
            let shown = try #require(String(validating: json, as: UTF8.self))
            #expect(!shown.unicodeScalars.contains(where: Self.isActor), "\(start)")
            let back = try JSONDecoder().decode([String].self, from: Data(json))
            // Not by `==`, which takes characters that mean the same for equal.
            #expect(back.first.map { Array($0.unicodeScalars) } == Array(text.unicodeScalars), "\(start)")
        }
    }

    @Test func `what has nothing to escape stays as it is, and so does what is cut in a character`() {
        for bytes: [UInt8] in [
            [], Array(#"{"a":"ü→é€🐵"}"#.utf8), [0xE2], [0xE2, 0x80], [0xC2], [0xD8], [0xE2, 0x80, 0xA7], [0xC2, 0xA0],
        ] {
            #expect(JSONVisible.escaped(bytes) == bytes)
        }
        #expect(JSONVisible.escaped("\u{202E}\u{9B}\u{7F}") == #"\u202e\u009b\u007f"#)
    }
}
