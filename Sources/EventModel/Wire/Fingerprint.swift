// SipHash with 128-bit and 64-bit results: the one hash behind digests, fingerprints and look-up tables.
// Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the reference code's 128-bit
// variant. Chosen because it is specified to the bit, small, and good on the short inputs that entities are.

/// The state of SipHash between blocks.
private struct SipState {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    init(key0: UInt64, key1: UInt64, wide: Bool) {
        v0 = key0 ^ 0x736f_6d65_7073_6575
        v1 = key1 ^ 0x646f_7261_6e64_6f6d
        v2 = key0 ^ 0x6c79_6765_6e65_7261
        v3 = key1 ^ 0x7465_6462_7974_6573
        if wide { v1 ^= 0xEE }
    }

    @inline(__always)
    mutating func round() {
        v0 = v0 &+ v1
        v1 = (v1 << 13 | v1 >> 51) ^ v0
        v0 = v0 << 32 | v0 >> 32
        v2 = v2 &+ v3
        v3 = (v3 << 16 | v3 >> 48) ^ v2
        v0 = v0 &+ v3
        v3 = (v3 << 21 | v3 >> 43) ^ v0
        v2 = v2 &+ v1
        v1 = (v1 << 17 | v1 >> 47) ^ v2
        v2 = v2 << 32 | v2 >> 32
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64, rounds: Int) {
        v3 ^= word
        for _ in 0..<rounds { round() }
        v0 ^= word
    }

    @inline(__always)
    mutating func absorb(_ bytes: borrowing Span<UInt8>, range: Range<Int>, rounds: Int) {
        var offset = range.lowerBound
        while range.upperBound - offset >= 8 {
            absorb(bytes.littleEndianWord(at: offset), rounds: rounds)
            offset += 8
        }
        let tail = SipState.word(bytes, at: offset, count: range.upperBound - offset)
        absorb(tail | UInt64(truncatingIfNeeded: range.count) << 56, rounds: rounds)
    }

    @inline(__always)
    static func word(_ bytes: borrowing Span<UInt8>, at offset: Int, count: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<count { word |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        return word
    }

    var folded: UInt64 { v0 ^ v1 ^ v2 ^ v3 }
}

extension Digest {
    /// SipHash-2-4-128 of some bytes under the key 00 01 02 … 0f, which is part of the digest's definition.
    package static func of(_ bytes: borrowing Span<UInt8>, range: Range<Int>) -> Digest {
        var state = SipState(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908, wide: true)
        state.absorb(bytes, range: range, rounds: 2)
        state.v2 ^= 0xEE
        for _ in 0..<4 { state.round() }
        let low = state.folded
        state.v1 ^= 0xDD
        for _ in 0..<4 { state.round() }
        return Digest(high: state.folded, low: low)
    }

    /// SipHash-2-4-128 of some bytes.
    package static func of(_ bytes: [UInt8]) -> Digest { of(bytes.span, range: 0..<bytes.count) }
}

/// The fingerprint that decides between two spans of one key and as many tags (decision 18).
package enum ContentHash {
    /// SipHash-1-3 of some bytes under the key 00 01 02 … 0f; the same on every machine.
    package static func of(_ bytes: borrowing Span<UInt8>, range: Range<Int>) -> UInt64 {
        var state = SipState(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908, wide: false)
        state.absorb(bytes, range: range, rounds: 1)
        state.v2 ^= 0xFF
        for _ in 0..<3 { state.round() }
        return state.folded
    }

    /// SipHash-1-3 of some bytes.
    package static func of(_ bytes: [UInt8]) -> UInt64 { of(bytes.span, range: 0..<bytes.count) }
}

/// Hashing for look-up tables, keyed so that nobody outside can prepare collisions. Never part of a digest.
package enum TableHash {
    /// SipHash-1-3 of some bytes under a key of this process.
    package static func of(_ bytes: borrowing Span<UInt8>, range: Range<Int>, key: UInt64) -> UInt64 {
        var state = SipState(key0: key, key1: ~key, wide: false)
        state.absorb(bytes, range: range, rounds: 1)
        state.v2 ^= 0xFF
        for _ in 0..<3 { state.round() }
        return state.folded
    }
}
