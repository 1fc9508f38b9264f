// What is ordinary for an operation: the durations of its roots in the previous five minutes of the log (decision 20).

import EventModel

/// Durations of roots by operation, in the log's present window and in the one before.
struct AnomalyBaseline: Sendable {
    private(set) var window = Int64.min
    private var present: [UInt32: LatencyHistogram] = [:]
    private var previous: [UInt32: LatencyHistogram] = [:]
    /// Limits of the previous window, worked out once.
    private var limits: [UInt32: (median: Int64, limit: Int64)] = [:]

    /// Moves on to the window of this moment.
    mutating func advance(to time: Timestamp, _ settings: TraceSettings) {
        let next = SeriesKey.window(of: time.rawValue)
        if next <= window { return }
        previous = next == window + 1 ? present : [:]
        present = [:]
        window = next
        workOutLimits(settings)
    }

    /// The limits under these settings.
    mutating func workOutLimits(_ settings: TraceSettings) {
        limits = [:]
        for (operation, histogram) in previous where histogram.count >= settings.anomalySamples {
            guard let (median, deviation) = histogram.medianAndDeviation() else { continue }
            limits[operation] = (median, Self.limit(median: median, deviation: deviation, settings))
        }
    }

    /// median + k × max(1.4826 × MAD, 5 % of the median, floor), in integers and saturating.
    static func limit(median: Int64, deviation: Int64, _ settings: TraceSettings) -> Int64 {
        let isHuge = deviation > Int64.max / 2
        let scaled = isHuge ? .max : deviation / 10_000 * 14_826 + deviation % 10_000 * 14_826 / 10_000
        let width = max(scaled, median / 20, settings.anomalyFloor.rawValue)
        let (product, overflow) = width.multipliedReportingOverflow(by: settings.anomalyFactor)
        let (sum, isTooMuch) = median.addingReportingOverflow(product)
        return overflow || isTooMuch ? .max : sum
    }

    mutating func add(_ operation: UInt32, _ duration: Int64) {
        present[operation, default: LatencyHistogram()].add(duration)
    }

    /// What the previous window allows; nil: it had too few samples.
    func limit(of operation: UInt32) -> (median: Int64, limit: Int64)? { limits[operation] }

    func write(_ writer: inout WireWriter) {
        writer.field(1, window)
        for (number, histograms) in [(2, present), (3, previous)] {
            for (operation, histogram) in histograms.sorted(by: { $0.key < $1.key }) {
                writer.message(number) { inner in
                    inner.field(1, operation)
                    inner.packed(2, histogram.bins.map { UInt32($0) })
                    inner.packed(3, histogram.counts.map { UInt32(bitPattern: $0) })
                }
            }
        }
    }

    init() {}

    init?(_ nested: CheckpointReader, _ settings: TraceSettings) {
        var reader = nested
        while let field = reader.next() {
            switch field.number {
            case 1: window = field.signed
            case 2, 3:
                guard let (operation, histogram) = Self.entry(reader.nested(field)) else { return nil }
                if field.number == 2 { present[operation] = histogram } else { previous[operation] = histogram }
            default: return nil
            }
        }
        guard reader.isComplete else { return nil }
        workOutLimits(settings)
    }

    private static func entry(_ nested: CheckpointReader) -> (UInt32, LatencyHistogram)? {
        var reader = nested
        var operation: UInt32 = 0
        var (bins, counts): ([UInt32], [UInt32]) = ([], [])
        while let field = reader.next() {
            switch field.number {
            case 1: operation = UInt32(truncatingIfNeeded: field.value)
            case 2: bins = reader.packed(field)
            case 3: counts = reader.packed(field)
            default: return nil
            }
        }
        guard reader.isComplete, let histogram = LatencyHistogram(bins: bins, counts: counts) else { return nil }
        return (operation, histogram)
    }
}
