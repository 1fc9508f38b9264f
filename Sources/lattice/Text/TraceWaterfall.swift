// A trace drawn with characters: the tree on the left, the time on the right.

import EventModel

/// The lines of a waterfall; all text of spans is made safe to show.
struct TraceWaterfall {
    private static let nameShare = 0.42
    private let trace: Lattice_V1_TraceAnswer
    private let width: Int
    private let showsTags: Bool
    private let start: Int64
    private let duration: Int64
    /// The parts of each span that are on the critical path.
    private var critical: [Int: [Range<Int64>]] = [:]

    /// - Parameters:
    ///   - path: nil: nothing is marked.
    ///   - width: columns.
    init(_ trace: Lattice_V1_TraceAnswer, path: Lattice_V1_CriticalPathAnswer?, width: Int, showsTags: Bool) {
        self.trace = trace
        self.width = width
        self.showsTags = showsTags
        start = trace.spans.map(\.span.startTime).min() ?? 0
        duration = max(1, (trace.spans.map(\.span.endTime).max() ?? 0) - start)
        for section in path?.sections ?? [] {
            let end = section.startTime + max(0, section.durationNs)
            critical[Int(section.spanIndex), default: []].append(section.startTime..<end)
        }
    }

    var lines: [String] {
        var lines = [heading, ""]
        for (index, depth) in order {
            lines.append(line(index, depth))
            if showsTags { lines += tagLines(index, depth) }
            for warning in trace.spans[index].warnings {
                lines.append(indent(depth) + "  ~ " + Terminal.escaped(warning))
            }
        }
        if !trace.orphans.isEmpty { lines += ["", "\(trace.orphans.count) spans whose parent has not come"] }
        if !trace.cuts.isEmpty { lines.append("\(trace.cuts.count) cycles were cut") }
        return lines
    }

    private var heading: String {
        let id = TraceID(bytes: trace.traceID)?.description ?? ""
        return "trace \(id)  \(AnswerText.time(start))  \(ShortDuration.of(duration))  \(trace.spanCount) spans, "
            + "\(trace.serviceCount) services, \(trace.errorCount) errors\(trace.complete ? "" : ", incomplete")"
    }

    /// Parents before children, siblings by start, as the answer has them.
    private var order: [(index: Int, depth: Int)] {
        var children: [Int: [Int]] = [:]
        var tops: [Int] = []
        for (index, span) in trace.spans.enumerated() {
            if span.hasParentIndex, Int(span.parentIndex) < trace.spans.count {
                children[Int(span.parentIndex), default: []].append(index)
            } else {
                tops.append(index)
            }
        }
        var result: [(index: Int, depth: Int)] = []
        var stack = tops.reversed().map { (index: $0, depth: 0) }
        while let next = stack.popLast() {
            result.append(next)
            for child in (children[next.index] ?? []).reversed() { stack.append((child, next.depth + 1)) }
        }
        return result
    }

    private func indent(_ depth: Int) -> String { String(repeating: "  ", count: min(depth, 20)) }

    private func line(_ index: Int, _ depth: Int) -> String {
        let span = trace.spans[index].span
        let status = SpanStatus(rawValue: UInt32(span.status.rawValue)) ?? .ok
        let mark = status == .ok ? " " : "!"
        let name = indent(depth) + service(index) + ": " + Terminal.escaped(span.operationName)
        let nameWidth = Int(Double(width) * Self.nameShare)
        let time = ShortDuration.of(span.endTime - span.startTime)
        let timeText = String(repeating: " ", count: max(0, 9 - time.count)) + time
        return mark + fitted(name, nameWidth) + timeText + " " + bar(index, width - nameWidth - 12)
    }

    private func service(_ index: Int) -> String {
        let resource = Int(trace.spans[index].resourceIndex)
        return resource < trace.resources.count ? Terminal.escaped(trace.resources[resource].serviceName) : "?"
    }

    private func fitted(_ text: String, _ width: Int) -> String {
        if text.count > width { return text.prefix(width - 1) + "…" }
        return text + String(repeating: " ", count: width - text.count)
    }

    private func bar(_ index: Int, _ width: Int) -> String {
        let span = trace.spans[index].span
        let first = column(span.startTime, width)
        let last = max(first + 1, column(span.endTime, width))
        var bar = String(repeating: " ", count: first)
        for position in first..<min(last, width) { bar += isCritical(index, position, width) ? "█" : "░" }
        return bar
    }

    private func column(_ time: Int64, _ width: Int) -> Int {
        min(width - 1, Int(Double(time - start) / Double(duration) * Double(width)))
    }

    /// Whether some of the time behind a column is on the critical path.
    private func isCritical(_ index: Int, _ position: Int, _ width: Int) -> Bool {
        (critical[index] ?? []).contains { section in
            let first = column(section.lowerBound, width)
            return position >= first && position < max(first + 1, column(section.upperBound, width))
        }
    }

    private func tagLines(_ index: Int, _ depth: Int) -> [String] {
        let span = trace.spans[index].span
        var lines = span.tags.map { "\($0.key) = \(Self.text($0))" }
        if !span.statusMessage.isEmpty { lines.append("status = \(span.statusMessage)") }
        for log in span.logs {
            let fields = log.fields.map { "\($0.key)=\(Self.text($0))" }.joined(separator: " ")
            lines.append("+\(ShortDuration.of(log.time - span.startTime)) \(log.name) \(fields)")
        }
        return lines.map { indent(depth) + "    " + Terminal.escaped($0) }
    }

    private static func text(_ tag: Lattice_V1_SpanTag) -> String {
        switch tag.value {
        case .stringValue(let text), .jsonValue(let text): text
        case .boolValue(let bit): "\(bit)"
        case .intValue(let number): "\(number)"
        case .doubleValue(let number): "\(number)"
        case .bytesValue(let bytes): "\(bytes.count) bytes"
        case nil: ""
        }
    }
}
