// The seeded source of randomness of these tests.
// Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).

/// A random number generator whose whole sequence follows from its seed, so that a failure can be repeated.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

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
