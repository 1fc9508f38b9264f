// How long fdatasync takes: counts in buckets of powers of two.

/// Latencies in nanoseconds, in 64 buckets; bucket n counts those below 2^n.
package struct LatencyFigures: Hashable, Sendable {
    private var buckets = [UInt64](repeating: 0, count: 65)
    /// How many were measured.
    package private(set) var count: UInt64 = 0
    /// Their sum.
    package private(set) var totalNanoseconds: UInt64 = 0
    /// The longest.
    package private(set) var maximumNanoseconds: UInt64 = 0

    mutating func note(_ nanoseconds: UInt64) {
        buckets[64 - nanoseconds.leadingZeroBitCount] += 1
        count += 1
        totalNanoseconds &+= nanoseconds
        maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    }

    /// An upper bound, at most twice too large, of the latency that so many percent stay below.
    package func nanoseconds(percentile: Int) -> UInt64 {
        let wanted = (count * UInt64(percentile) + 99) / 100
        var seen: UInt64 = 0
        for (bucket, number) in buckets.enumerated() {
            seen += number
            if seen >= wanted, seen > 0 { return min(maximumNanoseconds, bucket >= 64 ? .max : 1 << UInt64(bucket)) }
        }
        return 0
    }
}
