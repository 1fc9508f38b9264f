// Corrects the difference between hosts' clocks for views; stored spans keep their times.
// Source of the rule: jaegertracing/jaeger, adjuster/clockskew.go, as told in Meanings.md.

package import EventModel

extension TraceAnalysis {
    /// The greatest shift unless configured otherwise.
    package static let maximumSkewDefault = Nanoseconds.seconds(1)

    /// The same tree with its spans moved so that children lie within their parents where that is possible.
    ///
    /// - Parameter maximum: larger shifts are not made and leave a warning; 0: none is made.
    package static func adjusted(_ tree: TraceTree, maximum: Nanoseconds = maximumSkewDefault) -> TraceTree {
        let correction = SkewCorrection(tree.forest, hosts: hosts(of: tree.spans), maximum: maximum)
        var result = tree
        for (index, delta) in correction.moves.enumerated() where delta != 0 {
            shift(&result.spans[index], by: Nanoseconds(delta))
        }
        result.warnings += correction.refused.map { SpanWarning(span: $0.span, text: refusal($0.delta, maximum)) }
        result.isRaw = false
        result.totalDuration = extent(result.spans)
        return result
    }

    /// Hosts by number; 0: unknown.
    private static func hosts(of spans: [TraceSpan]) -> [Int] {
        var numbers: [ByteName: Int] = [:]
        return spans.map { span in
            guard let host = span.host else { return 0 }
            let next = numbers.count + 1
            let number = numbers[ByteName(host), default: next]
            if number == next { numbers[ByteName(host)] = next }
            return number
        }
    }

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

/// How the spans of a trace are moved so that children lie within their parents where that is possible.
struct SkewCorrection {
    /// The nodes at their new times.
    private(set) var nodes: [SpanNode]
    /// Nanoseconds by which each was moved; 0: it stays.
    private(set) var moves: [Int64]
    /// Those that would have been moved further than is permitted, parents before children.
    private(set) var refused: [(span: Int, delta: Int64)] = []

    /// - Parameter hosts: of each node; 0: unknown.
    init(_ forest: TraceForest, hosts: [Int], maximum: Nanoseconds) {
        nodes = forest.nodes
        moves = Array(repeating: 0, count: nodes.count)
        // A span that may not be moved hands its difference down to spans of its host all the same.
        var shifts = moves
        for index in forest.order {
            let parent = forest.parents[index]
            if parent >= 0 {
                let isSameHost = hosts[index] != 0 && hosts[index] == hosts[parent]
                shifts[index] = isSameHost ? shifts[parent] : Self.skew(nodes[index], in: nodes[parent])
            }
            let delta = shifts[index]
            if delta == 0 { continue }
            if delta.magnitude > UInt64(max(0, maximum.rawValue)) {
                refused.append((index, delta))
            } else {
                moves[index] = delta
                nodes[index].start = (nodes[index].startTime + Nanoseconds(delta)).rawValue
                nodes[index].end = (nodes[index].endTime + Nanoseconds(delta)).rawValue
            }
        }
    }

    var isEmpty: Bool { moves.allSatisfy { $0 == 0 } }

    /// How far a child has to be moved; the parent stands where it was moved to.
    private static func skew(_ child: SpanNode, in parent: SpanNode) -> Int64 {
        if child.duration > parent.duration {
            return child.start < parent.start ? (parent.startTime - child.startTime).rawValue : 0
        }
        if child.start >= parent.start && child.end <= parent.end { return 0 }
        // The way there and the way back are taken to be equally long.
        let slack = (parent.duration.rawValue &- child.duration.rawValue) / 2
        return (parent.startTime + Nanoseconds(slack) - child.startTime).rawValue
    }
}

extension SpanNode {
    fileprivate var startTime: Timestamp { Timestamp(nanoseconds: start) }
    fileprivate var endTime: Timestamp { Timestamp(nanoseconds: end) }
    fileprivate var duration: Nanoseconds { endTime - startTime }
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
