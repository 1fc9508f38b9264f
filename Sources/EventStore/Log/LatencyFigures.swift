// How long fdatasync takes: counts in buckets, eight to each power of two.

/// Latencies in nanoseconds; a bucket's bounds are at most an eighth apart.
package struct LatencyFigures: Hashable, Sendable {
    private var buckets = [UInt64](repeating: 0, count: 64 * Self.parts)
    /// How many were measured.
    package private(set) var count: UInt64 = 0
    /// Their sum.
    package private(set) var totalNanoseconds: UInt64 = 0
    /// The longest.
    package private(set) var maximumNanoseconds: UInt64 = 0
    /// Buckets to a power of two.
    private static let parts = 8

    package init() {}

    mutating func note(_ nanoseconds: UInt64) {
        buckets[Self.bucket(of: nanoseconds)] += 1
        count += 1
        totalNanoseconds &+= nanoseconds
        maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    }

    /// Values below eight have a bucket each; from there on the three bits behind the first one decide.
    private static func bucket(of value: UInt64) -> Int {
        if value < UInt64(parts) { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - 2) * parts + Int(value >> UInt64(exponent - 3)) % parts
    }

    /// The largest value of a bucket.
    private static func upperBound(of bucket: Int) -> UInt64 {
        if bucket < parts { return UInt64(bucket) }
        let shift = UInt64(bucket / parts - 1)
        return (UInt64(parts + bucket % parts + 1) << shift) &- 1
    }

    /// An upper bound, at most an eighth too large, of the latency that so many percent stay below.
    package func nanoseconds(percentile: Int) -> UInt64 {
        let wanted = (count * UInt64(percentile) + 99) / 100
        var seen: UInt64 = 0
        for (bucket, number) in buckets.enumerated() {
            seen += number
            if seen >= wanted, seen > 0 { return min(maximumNanoseconds, Self.upperBound(of: bucket)) }
        }
        return 0
    }

    /// What was measured since an earlier moment of the same log; its maximum is that of the whole time.
    package func since(_ earlier: LatencyFigures) -> LatencyFigures {
        var rest = self
        for index in buckets.indices { rest.buckets[index] -= min(buckets[index], earlier.buckets[index]) }
        rest.count -= min(count, earlier.count)
        rest.totalNanoseconds &-= earlier.totalNanoseconds
        return rest
    }
}
