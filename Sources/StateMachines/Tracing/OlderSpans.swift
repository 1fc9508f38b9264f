// Spans that began before the windows of the series: counted when somebody asks, from the traces that are resident.

import EventModel

/// How many spans of an answer are older than the windows that are kept.
package struct OlderSpans: Sendable, Hashable {
    package var counted: UInt64 = 0
    /// Older ones that were left out, since one question counts a bounded number of them.
    package var omitted: UInt64 = 0

    package init(counted: UInt64 = 0, omitted: UInt64 = 0) {
        self.counted = counted
        self.omitted = omitted
    }

    package mutating func merge(_ other: OlderSpans) {
        counted += other.counted
        omitted += other.omitted
    }

    /// The two fields of an answer.
    func write(_ number: Int, _ writer: inout WireWriter) {
        writer.field(number, counted)
        writer.field(number + 1, omitted)
    }
}

extension TraceCollector {
    /// The series of this part with the spans that began before the windows which are kept, as far as their traces are
    /// resident: what was imported from an old file, or came very late. Every span is counted once, since the windows
    /// hold exactly the spans that began within them.
    ///
    /// - Parameter windows: as of `series`.
    /// - Complexity: linear in the traces that are resident, and in the older spans up to the bound of each partition.
    package func seriesWithOlderSpans(windows: ClosedRange<Int64>? = nil) -> TraceSeries {
        var result = series(windows: windows)
        for partition in partitions { partition.countOlder(than: series.horizon, windows, into: &result) }
        return result
    }
}

extension TracePartition {
    /// No further trace is begun when so many older spans were counted.
    static let olderSpansMaximum: UInt64 = 4_096

    /// Counts spans that began before a window, of the traces that came last first.
    fileprivate func countOlder(than horizon: Int64, _ windows: ClosedRange<Int64>?, into sum: inout TraceSeries) {
        if horizon <= 0 { return }
        let bound = horizon * SeriesKey.windowLength.rawValue
        var counted: UInt64 = 0
        for id in newestFirst {
            guard let trace = trace(id), trace.start < bound else { continue }
            let isEnough = counted >= Self.olderSpansMaximum
            for place in trace.rows.indices {
                let window = SeriesKey.window(of: trace.rows[place].start)
                guard window < horizon, windows?.contains(window) ?? true else { continue }
                if isEnough {
                    sum.older.omitted += 1
                } else {
                    counted += 1
                    forEachSeries(of: place, in: trace) { key in sum.add(key, trace.rows[place].duration) }
                }
            }
        }
        sum.older.counted += counted
    }
}
