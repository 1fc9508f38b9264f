// Ways in which bytes go wrong.

import TestKit
extension SeededGenerator {
    /// The bytes with one to four things done to them.
    mutating func mutated(_ bytes: [UInt8], with other: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0...below(4) { mutate(&result, other) }
        return result
    }

    private mutating func mutate(_ bytes: inout [UInt8], _ other: [UInt8]) {
        let place = below(bytes.count + 1)
        switch below(10) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8(below(8))
        case 1 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: next())
        case 2: bytes.removeSubrange(place...)
        case 3 where place < bytes.count: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
        case 4: splice(&bytes, other, at: place)
        case 5: bytes.insert(contentsOf: varint(of: number()), at: place)
        case 6: bytes.insert(contentsOf: Self.longVarints[below(Self.longVarints.count)], at: place)
        case 7: bytes.append(contentsOf: field())
        case 8: bytes.insert(contentsOf: field(), at: place)
        default: bytes.insert(UInt8(truncatingIfNeeded: next()), at: place)
        }
    }

    private mutating func splice(_ bytes: inout [UInt8], _ other: [UInt8], at place: Int) {
        let start = below(other.count + 1)
        let end = start + below(other.count - start + 1)
        bytes.insert(contentsOf: other[start..<end], at: place)
    }

    /// A field of any number and wire type, groups among them, often with a value that does not belong to it.
    private mutating func field() -> [UInt8] {
        let kind = UInt64(below(8))
        let number = oneIn(8) ? next() >> 32 : UInt64(below(20))
        var bytes = varint(of: number << 3 | kind)
        switch kind {
        case 0: bytes += varint(of: self.number())
        case 1: bytes += Array(repeating: 0xA5, count: 8)
        case 2:
            let content = oneIn(2) ? Array(text(atMost: 300).utf8) : [0xFF, 0xC0]
            bytes += varint(of: oneIn(6) ? self.number() : UInt64(content.count)) + content
        case 3: if oneIn(2) { bytes += varint(of: number << 3 | 4) }
        case 5: bytes += Array(repeating: 0x5A, count: 4)
        default: break
        }
        return bytes
    }

    /// Varints of ten bytes: the largest, one bit too many, and one byte too many.
    private static let longVarints: [[UInt8]] = [
        Array(repeating: 0xFF, count: 9) + [0x01], Array(repeating: 0xFF, count: 9) + [0x02],
        Array(repeating: 0x80, count: 9) + [0x7F], Array(repeating: 0x80, count: 10) + [0x00],
        Array(repeating: 0x80, count: 9) + [0x00],
    ]

    private func varint(of value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}
