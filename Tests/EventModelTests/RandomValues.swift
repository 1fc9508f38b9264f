// Random values of the kinds that messages carry.

import TestKit

extension SeededGenerator {
    /// True once in so many times.
    mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    /// A number below a bound that is above zero.
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    /// A number of any size, small ones and the ends more often than chance has them.
    mutating func number() -> UInt64 {
        switch below(8) {
        case 0: 0
        case 1: .max
        case 2: UInt64(Int64.max)
        case 3: 1 << 63
        case 4: UInt64(below(128))
        default: next() >> UInt64(below(64))
        }
    }

    /// Text of at most so many bytes of UTF-8.
    mutating func text(atMost limit: Int, allowsEmpty: Bool = true) -> String {
        if allowsEmpty && oneIn(6) { return "" }
        if oneIn(12) { return String(repeating: "x", count: limit) }
        let alphabet: [Character] = [
            "a", "Z", "0", "-", ".", "%", " ", "\"", "\\", "\n", "\0", "é", "€", "🦆", "\u{FEFF}",
        ]
        var result = ""
        for _ in 0...below(12) {
            let character = alphabet[below(alphabet.count)]
            if result.utf8.count + String(character).utf8.count > limit { break }
            result.append(character)
        }
        return result
    }
}
