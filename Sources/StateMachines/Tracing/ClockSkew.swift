// Corrects the difference between hosts' clocks for views; stored spans keep their times.
// Source of the rule: jaegertracing/jaeger, adjuster/clockskew.go, as told in domain.md.

package import EventModel

extension TraceAnalysis {
    /// The greatest shift unless configured otherwise.
    package static let maximumSkewDefault = Nanoseconds.seconds(1)

    /// The same tree with its spans moved so that children lie within their parents where that is possible.
    ///
    /// - Parameter maximum: larger shifts are not made and leave a warning; 0: none is made.
    package static func adjusted(_ tree: TraceTree, maximum: Nanoseconds = maximumSkewDefault) -> TraceTree {
        let forest = tree.forest
        let hosts = tree.spans.map(\.host)
        var result = tree
        var shifts = Array(repeating: Int64(0), count: tree.spans.count)
        for index in forest.order {
            let parent = forest.parents[index]
            if parent >= 0 {
                let isSameHost = hosts[index] != nil && hosts[index] == hosts[parent]
                shifts[index] = isSameHost ? shifts[parent] : skew(result.spans[index], in: result.spans[parent])
            }
            if shifts[index] == 0 { continue }
            if magnitude(shifts[index]) > UInt64(max(0, maximum.rawValue)) {
                result.warnings.append(SpanWarning(span: index, text: refusal(shifts[index], maximum)))
            } else {
                shift(&result.spans[index], by: Nanoseconds(shifts[index]))
            }
        }
        result.isRaw = false
        result.totalDuration = extent(result.spans)
        return result
    }

    /// How far a child has to be moved; the parent stands where it was moved to.
    private static func skew(_ child: TraceSpan, in parent: TraceSpan) -> Int64 {
        if child.duration > parent.duration {
            return child.startTime < parent.startTime ? (parent.startTime - child.startTime).rawValue : 0
        }
        if child.startTime >= parent.startTime && child.endTime <= parent.endTime { return 0 }
        // The way there and the way back are taken to be equally long.
        let slack = (parent.duration.rawValue &- child.duration.rawValue) / 2
        return (parent.startTime + Nanoseconds(slack) - child.startTime).rawValue
    }

    private static func magnitude(_ value: Int64) -> UInt64 { value.magnitude }

    private static func shift(_ span: inout TraceSpan, by delta: Nanoseconds) {
        span.startTime = span.startTime + delta
        span.endTime = span.endTime + delta
        for index in span.logs.indices { span.logs[index].time = span.logs[index].time + delta }
    }

    private static func refusal(_ delta: Int64, _ maximum: Nanoseconds) -> String {
        let shown = DurationText.of(delta)
        if maximum <= .zero { return "clock skew adjustment disabled; not applying calculated delta of \(shown)" }
        let limit = DurationText.of(maximum.rawValue)
        return "max clock skew adjustment delta of \(limit) exceeded; not applying calculated delta of \(shown)"
    }
}

/// Durations for people, in the largest unit that keeps every digit.
package enum DurationText {
    /// `1.5s`, `-45ms`, `7us`, `3ns`.
    package static func of(_ nanoseconds: Int64) -> String {
        let sign = nanoseconds < 0 ? "-" : ""
        let value = nanoseconds.magnitude
        for (unit, size) in [("s", UInt64(1_000_000_000)), ("ms", 1_000_000), ("us", 1_000)] where value >= size {
            return sign + String(value / size) + fraction(value % size, of: size) + unit
        }
        return sign + String(value) + "ns"
    }

    private static func fraction(_ rest: UInt64, of size: UInt64) -> String {
        if rest == 0 { return "" }
        var digits = String(String(size + rest).dropFirst())
        while digits.hasSuffix("0") { digits.removeLast() }
        return "." + digits
    }
}
