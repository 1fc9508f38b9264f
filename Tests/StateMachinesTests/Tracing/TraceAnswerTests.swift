// Answers about traces as bytes: what the generated code reads in them, and that it would write the same.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Answers about traces` {
    private let asOf = AsOf(sequence: SequenceNumber(4_711), recordedAt: Timestamp(nanoseconds: 7))
    private let one = TraceID(high: 0, low: 1)

    private func collector() -> TraceCollector {
        var story = CollectorStory()
        for trace in UInt64(1)...3 {
            story.receives([
                spanMs(1, 0, 100, trace: trace, service: "web"),
                spanMs(2, in: 1, 10, 80, trace: trace, service: "web", kind: .client),
                spanMs(3, in: 2, 20, 70, trace: trace, service: "cart", status: trace == 2 ? .error : .ok),
                spanMs(4, in: 3, 30, 60, trace: trace, service: "cart", kind: .client, peer: "mysql"),
                spanMs(9, in: 8, 1, 2, trace: trace, service: "cart", kind: .internal),
            ])
        }
        story.pass(20)
        return story.collector
    }

    /// The answer's JSON; the generated code must read all of it and write the same bytes.
    private func json(_ reply: TraceReply, _ kind: MessageKind, at location: SourceLocation = #_sourceLocation)
        -> String
    {
        let bytes = reply.encode(asOf: asOf)
        do {
            let json = try JSONTranscoder.json(fromBinary: bytes, kind: kind)
            #expect(try JSONTranscoder.binary(fromJSON: json, kind: kind) == bytes, sourceLocation: location)
            let text = String(decoding: json, as: UTF8.self)
            #expect(text.hasPrefix(#"{"as_of":{"sequence":"4711","recorded_at":"7"}"#), sourceLocation: location)
            return text
        } catch {
            Issue.record("\(error)", sourceLocation: location)
            return ""
        }
    }

    private func tree(_ trace: UInt64 = 1) -> TraceTree {
        collector().facts(of: TraceID(high: 0, low: trace))!.tree(asOf: asOf)
    }

    @Test func `a page of a trace`() {
        let tree = tree()
        let spans = tree.spans.enumerated().map { index, span in
            CollectedSpan(
                span, at: EventPosition(sequence: SequenceNumber(9), index: UInt32(index)),
                parentIndex: tree.structure.parents[index], selfTime: .milliseconds(1), warnings: ["", "odd"])
        }
        let verdict = TraceVerdict(
            isSlow: true, isOverThreshold: true, hasError: true, duration: Nanoseconds(3), limit: Nanoseconds(2),
            median: Nanoseconds(1))
        let page = TracePage(tree: tree, spans: spans, offset: 2, nextPageToken: "7", verdict: verdict)
        let text = json(.trace(page), .traceAnswer)
        #expect(text.contains(#""offset":2,"next_page_token":"7","root_index":0,"total_duration_ns":"100000000""#))
        #expect(text.contains(#""orphans":[1]"#) && text.contains(#""warnings":["","odd"]"#))
        #expect(text.contains(#""verdict":{"slow":true,"over_threshold":true,"error":true,"duration_ns":"3""#))
        #expect(text.contains(#""resources":[{"service_name":"web"},{"service_name":"cart"}]"#))
    }

    @Test func `spans by themselves`() {
        let spans = collector().slowSpans(threshold: .zero, limit: 2).map { CollectedSpan($0.span, at: $0.position) }
        let text = json(.spans(spans, omitted: 3), .spansAnswer)
        #expect(text.contains(#""omitted":3"#) && text.contains(#""sequence":"1""#))
    }

    @Test func `lists of traces`() {
        let text = json(.traces(collector().search(TraceCriteria()), nextPageToken: "t"), .tracesAnswer)
        #expect(text.contains(#""next_page_token":"t""#) && text.contains(#""has_root":true"#))
        #expect(text.contains(#"{"service_name":"cart","span_count":3,"error_count":1}"#))
        #expect(text.contains(#""verdict":{"error":true"#))
    }

    @Test func `services and operations`() {
        let series = collector().series()
        #expect(json(.operations(series.services), .operationsAnswer).contains(#""call_count":"9","error_count":"1""#))
        let text = json(.operations(series.operations(of: "cart")), .operationsAnswer)
        #expect(text.contains(#""kind":"server","call_count":"3""#) && text.contains(#""p50_ns":"#))
    }

    @Test func `percentiles`() throws {
        let found = collector().series().percentiles(service: "web", operation: "o", basisPoints: [0, 10_000])
        let text = json(.percentiles(try #require(found)), .percentilesAnswer)
        #expect(text.contains(#""operation_name":"o","call_count":"6""#) && text.contains(#""basis_points":10000"#))
    }

    @Test func `a breakdown of latency`() {
        let rows = TraceAnalysis.latencyBreakdown(tree(2))
        let text = json(.latencyBreakdown(one, rows), .latencyBreakdownAnswer)
        #expect(text.contains(#""span_count":3,"error_count":1,"error_rate":0.333"#))
    }

    @Test func `a critical path, whole and cut`() throws {
        let tree = tree()
        let path = try #require(TraceAnalysis.criticalPath(tree))
        let text = json(.criticalPath(CriticalPathPage(tree, path, limit: 100)), .criticalPathAnswer)
        #expect(text.contains(#""share_basis_points":5000"#) && !text.contains("omitted"))
        #expect(
            json(.criticalPath(CriticalPathPage(tree, path, limit: 1)), .criticalPathAnswer).contains(#""omitted":9"#))
    }

    @Test func `who calls whom`() {
        let text = json(.dependencies(collector().series().dependencyGraph), .dependenciesAnswer)
        #expect(text.contains(#""parent":"cart","child":"mysql","call_count":"3","child_virtual":true"#))
        #expect(text.contains(#""parent":"web","child":"cart","call_count":"3","error_count":"1""#))
    }

    @Test func `objectives`() {
        let objectives = ["cart": ServiceObjective(latency: .milliseconds(60), availabilityBasisPoints: 5_000)]
        let text = json(.compliance(collector().series().complianceReport(NamedObjectives(objectives))), .sloAnswer)
        #expect(text.contains(#""request_count":"3","error_count":"1","compliant":true,"compliance":0.666"#))
    }

    @Test func `flame graphs and comparisons`() {
        let graph = FlameGraph(tree())
        #expect(json(.flamegraph(one, folded: graph.folded, json: ""), .flamegraphAnswer).contains("web: o;web: o"))
        #expect(json(.flamegraph(one, folded: "", json: graph.json), .flamegraphAnswer).contains("children"))
        var other = tree(2)
        other.spans[0].operationName = "else"
        let text = json(.comparison(TraceComparison(tree(), other)), .comparisonAnswer)
        #expect(text.contains(#""operation_name":"else","count_after":1"#) && text.contains(#""path":["web: else"]"#))
    }

    @Test func `counts of the collector`() {
        var stats = collector().stats
        for (offset, field) in CollectorCounters.fields.enumerated() {
            stats.counters[keyPath: field] = UInt64(offset + 3)
        }
        stats.overflowedNames = 11
        stats.merge(
            CollectorStats(
                traceCount: 1, spanCount: 2, counters: CollectorCounters(), overflowedNames: 11,
                settings: TraceSettings()))
        let text = json(.stats(stats), .collectorStats)
        #expect(
            text.contains(#""trace_count":"4","span_count":"17","duplicates":"3","replaced":"4","dropped_spans":"5""#))
        #expect(text.contains(#""overflowed_edges":"10","overflowed_names":"11""#))
        #expect(text.contains(#""settings":{"time_to_live_ns":"3600000000000","spans_per_trace":20000,"#))
        #expect(text.contains(#""objectives":[{"service_name":"discovery","latency_ns":"15000000","#))
    }

    @Test func `answers without rows`() {
        #expect(json(.traces([], nextPageToken: ""), .tracesAnswer).hasSuffix("}}"))
        #expect(json(.operations([]), .operationsAnswer).hasSuffix("}}"))
        #expect(json(.dependencies(DependencyGraph()), .dependenciesAnswer).hasSuffix("}}"))
        #expect(json(.spans([], omitted: 0), .spansAnswer).hasSuffix("}}"))
    }
}

@Suite struct `Questions about traces` {
    private func refusal(_ body: (inout WireWriter) -> Void) -> String {
        var writer = WireWriter()
        body(&writer)
        do throws(DecodeError) {
            _ = try TraceQuery.decode(writer.bytes[...])
            return ""
        } catch {
            return error.description
        }
    }

    @Test func `an empty question has every default`() throws {
        #expect(try TraceQuery.decode([]) == TraceQuery())
    }

    @Test func `ids of zeros are as good as none, others must be whole`() throws {
        var writer = WireWriter()
        writer.field(1, [UInt8](repeating: 0, count: 16))
        writer.field(2, [UInt8](repeating: 0, count: 8))
        #expect(try TraceQuery.decode(writer.bytes[...]) == TraceQuery())
        #expect(refusal { $0.field(1, [UInt8](repeating: 1, count: 15)) } == "malformed: trace_id")
        #expect(refusal { $0.field(2, [UInt8](repeating: 1, count: 9)) } == "malformed: span_id")
        #expect(refusal { $0.field(20, [UInt8](repeating: 1, count: 8)) } == "malformed: other_trace_id")
    }

    @Test func `numbers have their ranges`() {
        #expect(refusal { $0.field(6, Int64(-1)) } == "out_of_range: min_duration_ns")
        #expect(refusal { $0.field(17, Int64(-1)) } == "out_of_range: max_clock_skew_ns")
        #expect(refusal { $0.packed(18, [5_000, 10_001]) } == "out_of_range: percentile_basis_points")
        #expect(refusal { $0.field(18, UInt64(10_001)) } == "out_of_range: percentile_basis_points")
        #expect(refusal { $0.message(18) { inner in inner.append([0x80]) } } == "malformed: percentile_basis_points")
        #expect(refusal { $0.message(21) { inner in inner.field(3, UInt32(10_001)) } } == "out_of_range: objectives")
    }

    @Test func `lists have their bounds`() {
        #expect(refusal { writer in for _ in 0..<17 { writer.message(5) { _ in } } } == "too_many: tags")
        #expect(refusal { writer in for _ in 0..<1_025 { writer.message(21) { _ in } } } == "too_many: objectives")
        #expect(refusal { $0.packed(18, Array(repeating: 1, count: 1_025)) } == "too_many: percentile_basis_points")
        #expect(refusal { $0.field(3, String(repeating: "x", count: 257)) } == "too_long: service_name")
        #expect(
            refusal { $0.message(5) { inner in inner.field(2, String(repeating: "x", count: 4_097)) } }
                == "too_long: tags.value")
    }

    @Test func `fields of another type are refused, unknown ones passed over`() {
        #expect(refusal { $0.field(5, UInt64(1)) } == "malformed: tags")
        #expect(refusal { $0.field(21, UInt64(1)) } == "malformed: objectives")
        #expect(refusal { $0.field(3, UInt64(1)) } == "malformed: service_name")
        #expect(refusal { $0.field(99, UInt64(1)) } == "")
        #expect(refusal { $0.append([0xFF]) } == "malformed: request")
    }
}
