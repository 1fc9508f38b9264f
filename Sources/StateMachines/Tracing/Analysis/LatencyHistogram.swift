// Counts of durations in the fixed layout of HdrHistogram (G. Tene) with three significant digits.
//
// Our own and not hdrhistogram-swift: that one keeps its counts densely (55,000 of them over the range of 64 bits) and
// grows by resizing, where decision 14 asks for sparse counts, a fixed layout and integers; subtraction, which revising a
// late span needs, it does not have at all. The bins are the same, so either's results can be merged into the other.

package import EventModel

/// A sparse histogram over all non-negative durations in nanoseconds; merging and subtracting lose nothing.
///
/// A value and its bin's bounds differ by less than 0.1 %. Counts may be negative in one part of a whole, where another
/// part holds what this one took back; totals and percentiles mean something for the whole only.
package struct LatencyHistogram: Sendable, Hashable {
    private static let halfBits = 10
    /// Bins in use, ascending…
    package private(set) var bins: [UInt16] = []
    /// …and how many values each has; never zero.
    package private(set) var counts: [Int32] = []

    package init() {}

    /// Puts bins of a checkpoint together; nil where they are not ascending or empty.
    package init?(bins: [UInt16], counts: [Int32]) {
        guard bins.count == counts.count, zip(bins, bins.dropFirst()).allSatisfy({ $0 < $1 }), !counts.contains(0),
            bins.last ?? 0 <= Self.bin(of: .max)
        else { return nil }
        self.bins = bins
        self.counts = counts
    }

    /// The same from the numbers of a checkpoint.
    init?(bins: [UInt32], counts: [UInt32]) {
        self.init(
            bins: bins.map { UInt16(truncatingIfNeeded: $0) }, counts: counts.map { Int32(bitPattern: $0) })
    }

    package var isEmpty: Bool { bins.isEmpty }
    /// How many values there are.
    package var count: UInt64 { UInt64(max(0, counts.reduce(Int64(0)) { $0 + Int64($1) })) }

    /// The bin of a value; negative ones count as zero.
    package static func bin(of value: Int64) -> UInt16 {
        let value = UInt64(max(0, value))
        let shift = max(0, 63 - halfBits - value.leadingZeroBitCount)
        return UInt16(shift << halfBits) + UInt16(value >> UInt64(shift))
    }

    /// The values of a bin, both ends included.
    package static func values(of bin: UInt16) -> ClosedRange<Int64> {
        let shift = max(0, Int(bin >> UInt16(halfBits)) - 1)
        let low = UInt64(Int(bin) - shift << halfBits) << UInt64(shift)
        return Int64(low)...Int64(low + (1 << UInt64(shift)) - 1)
    }

    private func place(_ bin: UInt16) -> Int {
        var (low, high) = (0, bins.count)
        while low < high {
            let middle = (low + high) / 2
            if bins[middle] < bin { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds a value; saturating.
    package mutating func add(_ value: Int64) { add(bin: Self.bin(of: value), count: 1) }

    /// Takes one value back that was added before, here or in another part.
    package mutating func remove(_ value: Int64) { add(bin: Self.bin(of: value), count: -1) }

    private mutating func add(bin: UInt16, count: Int32) {
        let place = place(bin)
        guard place < bins.count && bins[place] == bin else {
            bins.insert(bin, at: place)
            counts.insert(count, at: place)
            return
        }
        let sum = counts[place].addingReportingOverflow(count)
        counts[place] = sum.overflow ? (count > 0 ? .max : .min) : sum.partialValue
        if counts[place] == 0 {
            bins.remove(at: place)
            counts.remove(at: place)
        }
    }

    /// Adds all values of another one.
    package mutating func merge(_ other: LatencyHistogram) {
        for (bin, count) in zip(other.bins, other.counts) { add(bin: bin, count: count) }
    }

    /// Takes all values of another one back.
    package mutating func subtract(_ other: LatencyHistogram) {
        for (bin, count) in zip(other.bins, other.counts) { add(bin: bin, count: count == .min ? .max : -count) }
    }

    /// The value that so many basis points of the values do not exceed (10,000: the largest); nil where there is none.
    package func percentile(basisPoints: UInt32) -> Nanoseconds? {
        let total = count
        if total == 0 { return nil }
        let (high, low) = total.multipliedFullWidth(by: UInt64(min(basisPoints, 10_000)))
        let (quotient, remainder) = UInt64(10_000).dividingFullWidth((high, low))
        let rank = max(1, quotient + (remainder > 0 ? 1 : 0))
        var seen: UInt64 = 0
        for (bin, count) in zip(bins, counts) {
            seen += UInt64(max(0, count))
            if seen >= rank { return Nanoseconds(Self.values(of: bin).upperBound) }
        }
        return nil
    }

    /// How many values are at most this one, as far as the bins tell them apart.
    package func count(atMost value: Int64) -> UInt64 {
        let last = Self.bin(of: value)
        return zip(bins, counts).prefix { $0.0 <= last }.reduce(0) { $0 + UInt64(max(0, $1.1)) }
    }

    /// The median of the distances from the median, both to the bins' precision; nil where there is no value.
    package func medianAndDeviation() -> (median: Int64, deviation: Int64)? {
        guard let median = percentile(basisPoints: 5_000)?.rawValue else { return nil }
        let distances = zip(bins, counts).map { bin, count in
            (distance: (Self.values(of: bin).upperBound - median).magnitude, count: UInt64(max(0, count)))
        }.sorted { $0.distance < $1.distance }
        let half = (count + 1) / 2
        var seen: UInt64 = 0
        for (distance, count) in distances {
            seen += count
            if seen >= half { return (median, Int64(clamping: distance)) }
        }
        return (median, 0)
    }
}
