// The answer to a question for a critical path (trace_queries.proto, `CriticalPathAnswer`).

package import EventModel

/// A critical path as it is shown: sections and slacks up to a limit, with the names of their spans.
package struct CriticalPathPage: Sendable, Hashable {
    /// What is said of a span.
    package struct Place: Sendable, Hashable {
        /// Among all spans of the trace.
        var index: Int
        var spanID: SpanID
        var serviceName: String
        var operationName: String
    }

    private struct Section: Sendable, Hashable {
        var place: Place
        var start: Timestamp
        var duration: Nanoseconds
    }

    private struct Slack: Sendable, Hashable {
        var index: Int
        var value: Nanoseconds
        var spanID: SpanID
    }

    private let traceID: TraceID
    private let root: Place
    private let duration: Nanoseconds
    private let sections: [Section]
    private let shares: [ServiceShare]
    /// Smallest first.
    private let slacks: [Slack]
    private let omitted: Int
    /// The sum of all sections, in nanoseconds.
    private let total: Int64

    /// - Parameters:
    ///   - duration: the root's.
    ///   - place: what is said of the span with this index.
    init(
        traceID: TraceID, _ path: CriticalPath, duration: Nanoseconds, limit: Int, _ place: (Int) -> Place
    ) {
        self.traceID = traceID
        self.duration = duration
        root = place(path.root)
        shares = path.shares
        total = path.sections.reduce(Int64(0)) { $0 &+ $1.duration.rawValue }
        sections = path.sections.prefix(limit).map {
            Section(place: place($0.span), start: $0.start, duration: $0.duration)
        }
        let known = path.slack.enumerated().compactMap { index, slack in slack.map { (index, $0) } }.sorted {
            $0.1 != $1.1 ? $0.1 < $1.1 : $0.0 < $1.0
        }
        slacks = known.prefix(limit).map { Slack(index: $0.0, value: $0.1, spanID: place($0.0).spanID) }
        omitted = max(0, path.sections.count - limit) + max(0, known.count - limit)
    }

    /// The path of an assembled trace.
    package init(_ tree: TraceTree, _ path: CriticalPath, limit: Int) {
        self.init(traceID: tree.traceID, path, duration: tree.spans[path.root].duration, limit: limit) { index in
            let span = tree.spans[index]
            return Place(
                index: index, spanID: span.spanID, serviceName: span.serviceName, operationName: span.operationName)
        }
    }

    func write(_ writer: inout WireWriter) {
        writer.field(2, traceID.bytes)
        writer.field(3, root.spanID.bytes)
        writer.field(4, duration)
        for section in sections {
            writer.message(5) { inner in
                inner.field(1, section.place.spanID.bytes)
                inner.field(2, section.place.serviceName)
                inner.field(3, section.place.operationName)
                inner.field(4, section.start)
                inner.field(5, section.duration)
                inner.field(6, UInt32(section.place.index))
            }
        }
        for share in shares {
            writer.message(6) { inner in
                inner.field(1, share.serviceName)
                inner.field(2, share.duration)
                inner.field(3, basisPoints(share.duration.rawValue))
            }
        }
        for slack in slacks {
            writer.message(7) { inner in
                inner.field(1, slack.spanID.bytes)
                inner.field(2, slack.value)
                inner.field(3, UInt32(slack.index))
            }
        }
        writer.field(8, UInt32(clamping: omitted))
    }

    /// Of the total.
    private func basisPoints(_ part: Int64) -> UInt32 {
        total <= 0 ? 0 : UInt32(Double(part) * 10_000 / Double(total))
    }
}
