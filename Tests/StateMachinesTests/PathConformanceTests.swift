// Critical path, self time and clock skew against the cases of Jaeger and CRISP.

import EventModel
import Foundation
import Testing

@testable import StateMachines

@Suite(.enabled(if: Conformance.isPresent, Conformance.absence)) struct `Critical path among others` {
    private struct PathCase: Decodable {
        var id: String
        var spans: [PathCaseSpan]
        var expected_sections: [PathCaseSection]?
        var jaeger_ui_sections: [PathCaseSection]?
        var crisp_exclusive_by_span: [String: Int64]?
        var both_algorithms_agree: Bool?
    }

    private struct TracePath: Decodable {
        var traceID: String
        var sections: [PathCaseSection]
        var self_time_us: [String: Int64]
    }

    /// Where LatticeForge's path is not CRISP's, and why.
    private static let differencesFromCRISP: [String: String] = [
        "crisp-fixture-19": "overlapping siblings: CRISP lets C (205-305) give way to D (300-600) and cuts it; by "
            + "decision 21 a child is on the path only if it ended before the bound, so the overlap is its parent's",
        "crisp-fixture-20": "overlapping siblings, as in fixture 19",
        "crisp-inline-timeskew_graph": "overlapping siblings, as in fixture 19",
    ]

    private func path(_ spans: [PathCaseSpan]) -> (tree: TraceTree, sections: [PathCaseSection]?) {
        let names = CaseNames(spans.flatMap { [$0.spanId, $0.parentSpanId ?? $0.spanId] })
        let trace = TraceID(high: 0, low: 1)
        let converted = spans.map { span in
            TraceSpan(
                spanID: names.id(span.spanId), traceID: trace, parentSpanID: span.parentSpanId.map { names.id($0) },
                serviceName: span.service, operationName: span.name, kind: SpanKind(name: span.kind) ?? .internal,
                startTime: Timestamp(nanoseconds: span.start_us * 1_000),
                endTime: Timestamp(nanoseconds: span.end_us * 1_000))
        }
        let tree = TraceAnalysis.assemble(trace, converted, asOf: Moment.origin.asOf)
        let found = TraceAnalysis.criticalPath(tree)
        return (tree, found.map { sections($0, tree, names.name) })
    }

    private func sections(
        _ path: CriticalPath, _ tree: TraceTree, _ name: (SpanID) -> String
    ) -> [PathCaseSection] {
        path.sections.map { section in
            PathCaseSection(
                spanId: name(tree.spans[section.span].spanID), start_us: section.start.rawValue / 1_000,
                end_us: section.end.rawValue / 1_000)
        }
    }

    private func cases(_ prefix: String) throws -> [PathCase] {
        try Conformance.names(in: "critical_path", startingWith: prefix).map {
            try Conformance.read("critical_path/" + $0)
        }
    }

    @Test func `Jaeger's cases have Jaeger's path`() throws {
        for path in try cases("jaeger-") {
            #expect(self.path(path.spans).sections == path.expected_sections, "\(path.id)")
        }
    }

    @Test func `CRISP's cases have Jaeger's path too`() throws {
        for path in try cases("crisp-") {
            #expect(self.path(path.spans).sections == path.jaeger_ui_sections, "\(path.id)")
        }
    }

    @Test func `CRISP's cases have CRISP's time per span`() throws {
        for path in try cases("crisp-") {
            var sums: [String: Int64] = [:]
            for section in self.path(path.spans).sections ?? [] {
                sums[section.spanId, default: 0] += section.end_us - section.start_us
            }
            let isSame = sums == path.crisp_exclusive_by_span?.filter { $0.value != 0 }
            #expect(isSame == (Self.differencesFromCRISP[path.id] == nil), "\(path.id): \(sums)")
        }
    }

    @Test(arguments: ["dsb-social", "tw-hotel100", "tw-media100"])
    func `real traces have Jaeger's path but for children back to back`(_ name: String) throws {
        let traces: [JaegerTrace] = try Conformance.lines("traces/jaeger/\(name).jsonl")
        let expected: [TracePath] = try Conformance.lines("critical_path/\(name).expected.jsonl")
        var same = 0
        for (trace, expected) in zip(traces, expected) {
            let (id, spans) = try trace.traceSpans()
            let tree = TraceAnalysis.assemble(id, spans, asOf: Moment.origin.asOf)
            let path = try #require(TraceAnalysis.criticalPath(tree))
            let wanted = try expected.sections.map { section in
                PathCaseSection(
                    spanId: try JaegerTrace.id(section.spanId).description, start_us: section.start_us,
                    end_us: section.end_us)
            }
            if sections(path, tree, \.description) == wanted {
                same += 1
            } else {
                // Jaeger looks for a child that ended before the later one began, we for one that ended by then.
                #expect(hasBackToBack(tree), "\(trace.traceID) differs for no known reason")
            }
        }
        print("conformance: critical_path/\(name): \(same) of \(expected.count) equal to Jaeger's")
        #expect(traces.count == expected.count)
    }

    private func hasBackToBack(_ tree: TraceTree) -> Bool {
        let forest = tree.forest
        return forest.nodes.indices.contains { parent in
            let children = forest.children(parent)
            let starts = Set(children.map { forest.nodes[$0].start })
            return children.contains { starts.contains(forest.nodes[$0].end) }
        }
    }

    @Test(arguments: ["dsb-social", "tw-hotel100", "tw-media100"])
    func `real traces have Jaeger's self times`(_ name: String) throws {
        let traces: [JaegerTrace] = try Conformance.lines("traces/jaeger/\(name).jsonl")
        let expected: [TracePath] = try Conformance.lines("critical_path/\(name).expected.jsonl")
        for (trace, expected) in zip(traces, expected) {
            let (id, spans) = try trace.traceSpans()
            let tree = TraceAnalysis.assemble(id, spans, asOf: Moment.origin.asOf)
            let wanted = try expected.self_time_us.map { (try JaegerTrace.id($0.key), $0.value) }
            let found = zip(tree.spans, TraceAnalysis.selfTimes(tree.forest)).map {
                ($0.0.spanID, $0.1.rawValue / 1_000)
            }
            #expect(Dictionary(uniqueKeysWithValues: found) == Dictionary(uniqueKeysWithValues: wanted))
        }
    }
}

@Suite(.enabled(if: Conformance.isPresent, Conformance.absence)) struct `Self time among others` {
    private struct SelfTimes: Decodable {
        struct Case: Decodable {
            var about: String
            var span: [Int64]
            var children: [[Int64]]
            var expected_self: Int64
        }
        var cases: [Case]
    }

    @Test func `is Jaeger's`() throws {
        for example in try Conformance.read("critical_path/self_time.json", as: SelfTimes.self).cases {
            let parent = node(1, nil, example.span)
            let children = example.children.enumerated().map { node(UInt64($0 + 2), SpanID(1), $1) }
            let forest = TraceForest([parent] + children)
            #expect(TraceAnalysis.selfTimes(forest)[0] == Nanoseconds(example.expected_self), "\(example.about)")
        }
    }

    private func node(_ id: UInt64, _ parent: SpanID?, _ interval: [Int64]) -> SpanNode {
        SpanNode(
            key: SpanKey(spanID: SpanID(id), isServerHalf: false), parentID: parent, kind: .internal, service: 0,
            start: interval[0], end: interval[1])
    }
}

@Suite(.enabled(if: Conformance.isPresent, Conformance.absence)) struct `Clock skew among others` {
    private struct SkewCases: Decodable {
        struct Span: Decodable {
            var spanId: String
            var parentSpanId: String?
            var start_ms: Int64
            var duration_ms: Int64
            var host: String
            var events_ms: [Int64]
            var expected_start_ms: Int64
            var expected_events_ms: [Int64]
        }
        struct Case: Decodable {
            var id: String
            var max_adjust_ms: Int64
            var spans: [Span]
            var expected_warning: String?
        }
        var cases: [Case]
    }

    /// Where LatticeForge does otherwise than Jaeger, and why.
    private static let differences: [String: String] = [
        "jaeger-two-spans-with-the-same-ID": "no warning: two spans with one key are one span that came twice "
            + "(decision 18), counted as a duplicate; the times are Jaeger's"
    ]

    private func milliseconds(_ value: Int64) -> Timestamp { Timestamp(nanoseconds: value * 1_000_000) }

    private func span(_ span: SkewCases.Span) throws -> TraceSpan {
        TraceSpan(
            spanID: try #require(SpanID(hexadecimal: span.spanId)), traceID: TraceID(high: 0, low: 1),
            parentSpanID: span.parentSpanId.flatMap { SpanID(hexadecimal: $0) }, serviceName: "s",
            operationName: "o", startTime: milliseconds(span.start_ms),
            endTime: milliseconds(span.start_ms + span.duration_ms),
            logs: span.events_ms.map { SpanLog(time: milliseconds($0)) }, resource: [SpanTag("ip", span.host)])
    }

    @Test func `is adjusted as Jaeger does`() throws {
        for example in try Conformance.read("clock_skew/jaeger.json", as: SkewCases.self).cases {
            let raw = TraceAnalysis.assemble(
                TraceID(high: 0, low: 1), try example.spans.map(span), asOf: Moment.origin.asOf)
            let tree = TraceAnalysis.adjusted(raw, maximum: .milliseconds(example.max_adjust_ms))
            for span in example.spans {
                let found = try #require(tree.spans.first { $0.spanID.description == span.spanId })
                #expect(found.startTime == milliseconds(span.expected_start_ms), "\(example.id)")
                #expect(found.logs.map(\.time) == span.expected_events_ms.map(milliseconds), "\(example.id)")
                #expect(found.duration == .milliseconds(span.duration_ms), "\(example.id)")
            }
            let warnings = tree.warnings.map(\.text)
            if Self.differences[example.id] != nil {
                #expect(warnings.isEmpty && tree.duplicateCount == 1)
            } else {
                #expect(warnings == [example.expected_warning].compactMap(\.self), "\(example.id)")
            }
        }
    }
}
