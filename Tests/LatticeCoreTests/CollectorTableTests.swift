// The collector's rows of Specification.md, each with what it does in the caller's own process.

import EventModel
import LatticeCore
import Testing

@Suite struct `The specification's collector` {
    private let clock = SetClock()
    private let trace = TraceID(high: 0, low: 1)

    /// A span of a trace; times are milliseconds after the clock's.
    private func span(
        _ id: UInt64, in parent: UInt64? = nil, _ start: Int64, _ end: Int64, service: String = "web",
        kind: SpanKind = .server, status: SpanStatus = .ok, trace: UInt64 = 1
    ) -> TraceSpan {
        TraceSpan(
            spanID: SpanID(id), traceID: TraceID(high: 0, low: trace), parentSpanID: parent.map { SpanID($0) },
            serviceName: service, operationName: "o\(id)", kind: kind, status: status,
            startTime: clock.now + .milliseconds(start), endTime: clock.now + .milliseconds(end))
    }

    /// A call of web to cart, 100 ms long, and cart's own work on it.
    private func call(trace: UInt64 = 1) -> [TraceSpan] {
        [
            span(1, 0, 100, trace: trace), span(2, in: 1, 10, 90, kind: .client, trace: trace),
            span(3, in: 2, 20, 80, service: "cart", trace: trace),
        ]
    }

    private func collector(_ spans: [TraceSpan] = []) throws -> LocalCollector {
        var collector = try createCollector(clock: clock.reading)
        #expect(collector.ingestBatch(spans).refused.isEmpty)
        return collector
    }

    @Test func `SpanKind, the type`() throws {
        for kind in SpanKind.allCases {
            var collector = try collector()
            try collector.ingest(span(1, 0, 1, kind: kind))
            #expect(collector.getSpan(trace, SpanID(1))?.kind == kind && SpanKind(name: kind.name) == kind)
        }
        #expect(SpanKind.allCases.count == 5)
    }

    @Test func `SpanStatus, the type`() throws {
        for status in SpanStatus.allCases {
            let collector = try collector([span(1, 0, 1, status: status)])
            #expect(collector.getSpan(trace, SpanID(1))?.status == status)
            #expect(collector.assemble(trace)?.errorCount == (status == .ok ? 0 : 1))
        }
        #expect(SpanStatus.allCases.count == 4)
    }

    @Test func `Span, the type`() throws {
        var told = span(2, in: 1, 5, 8)
        told.tags = [SpanTag("http.route", "/cart"), SpanTag(key: "n", value: .int(7))]
        told.logs = [SpanLog(time: clock.now, name: "retry", fields: [SpanTag("k", "v")])]
        told.links = [SpanLink(traceID: trace, spanID: SpanID(9))]
        told.resource = [SpanTag("host.name", "h1")]
        told.statusMessage = "fine"
        let found = try #require(try collector([told]).getSpan(trace, SpanID(2)))
        #expect(found == told && found.durationMs == 3)
        // What one process says of itself is not said of another's spans.
        var other = span(3, in: 1, 5, 8)
        other.resource = [SpanTag("host.name", "h2")]
        let both = try collector([told, other])
        #expect(both.getSpan(trace, SpanID(2)) == told && both.getSpan(trace, SpanID(3)) == other)
    }

    @Test func `TraceTree, the type`() throws {
        let tree = try #require(try collector(call()).assemble(trace))
        #expect(tree.traceID == trace && tree.spans.count == 3 && tree.serviceCount == 2 && tree.errorCount == 0)
        #expect(tree.rootSpan?.spanID == SpanID(1) && tree.totalDurationMs == 100 && tree.structure.isComplete)
        #expect(tree.assembledAt.recordedAt == clock.now)
    }

    @Test func `LatencyBreakdown, the type`() throws {
        var spans = call()
        spans[2].status = .timeout
        let rows = try collector(spans).latencyBreakdown(trace)
        #expect(rows.map(\.serviceName) == ["cart", "web"])
        #expect(rows.map(\.totalMs) == [60, 180] && rows.map(\.selfMs) == [60, 40])
        #expect(rows.map(\.spanCount) == [1, 2] && rows.map(\.errorRate) == [1, 0])
    }

    @Test func `TraceCollector, the type`() throws {
        var collector = try collector(call())
        let fork = collector
        try collector.ingest(span(4, in: 1, 1, 2))
        #expect(collector.spanCount == 4 && fork.spanCount == 3 && collector.digest != fork.digest)
        #expect(collector.asOf.sequence > fork.asOf.sequence && collector.traceCount == 1)
    }

    @Test func `ingest(span), ingest_batch(spans)`() throws {
        var collector = try collector(call())
        #expect(try collector.ingest(call()[0]).accepted == 1)
        #expect(collector.spanCount == 3, "once, however often it comes")
        expectRefusal(.endBeforeStart) { try collector.ingest(span(5, 9, 8)) }
        expectRefusal(.invalidSpanID) { try collector.ingest(span(0, 1, 2)) }
        expectRefusal(.timeAhead) { try collector.ingest(span(5, 301_000, 302_000)) }
        expectRefusal(.notAttempted) {
            try collector.ingest(span(5, 1, 2, service: String(repeating: "s", count: 300)))
        }
        var long = span(6, 1, 2)
        long.operationName = String(repeating: "o", count: 5_000)
        let answer = collector.ingestBatch([span(7, 1, 2), long, span(8, 1, 2, service: "cart"), span(9, 3, 2)])
        #expect(answer.accepted == 2 && answer.refused.map(\.index) == [1, 3])
        #expect(answer.refused.map(\.reason) == [.notAttempted, .endBeforeStart])
        #expect(collector.ingestBatch([]).accepted == 0)
        #expect(collector.spanCount == 5)
        // More than stand in one message of a mebibyte.
        let many = (UInt64(100)..<2_100).map { id in
            var span = span(id, in: 1, 1, 2)
            span.tags = [SpanTag("padding", String(repeating: "x", count: 1_000))]
            return span
        }
        #expect(collector.ingestBatch(many).accepted == 2_000)
        #expect(collector.getSpan(trace, SpanID(2_099)) == many.last)
    }

    @Test func `assemble(trace_id)`() throws {
        let reversed = try collector(call().reversed())
        let tree = try #require(reversed.assemble(trace))
        #expect(tree.spans.map(\.spanID) == [1, 2, 3].map { SpanID($0) } && tree.structure.parents == [nil, 0, 1])
        #expect(reversed.assemble(TraceID(high: 0, low: 9)) == nil)
        let orphan = try #require(try collector([span(2, in: 1, 0, 5)]).assemble(trace))
        #expect(orphan.rootSpan == nil && orphan.structure.orphans == [0] && !orphan.warnings.isEmpty)
    }

    @Test func `get_span(trace_id, span_id)`() throws {
        let collector = try collector(call())
        #expect(collector.getSpan(trace, SpanID(3)) == call()[2])
        #expect(collector.getSpan(trace, SpanID(9)) == nil)
        #expect(collector.getSpan(TraceID(high: 0, low: 9), SpanID(3)) == nil)
    }

    @Test func `children(trace_id, parent_span_id)`() throws {
        let collector = try collector(call() + [span(4, in: 1, 5, 6)])
        #expect(collector.children(trace, SpanID(1)).map(\.spanID) == [SpanID(4), SpanID(2)])
        #expect(collector.children(trace, SpanID(3)).isEmpty && collector.children(trace, SpanID(77)).isEmpty)
    }

    @Test func `latency_breakdown(trace_id)`() throws {
        let overlapping = [span(1, 0, 100), span(2, in: 1, 10, 60, service: "a"), span(3, in: 1, 40, 80, service: "b")]
        let rows = try collector(overlapping).latencyBreakdown(trace)
        #expect(rows.map(\.serviceName) == ["a", "b", "web"] && rows.map(\.selfMs) == [50, 40, 30])
        #expect(try collector().latencyBreakdown(trace).isEmpty)
    }

    @Test func `critical_path(trace_id)`() throws {
        let collector = try collector(call())
        let path = try #require(collector.criticalPath(trace))
        let tree = try #require(collector.assemble(trace))
        #expect(path.sections.map { tree.spans[$0.span].spanID.rawValue } == [1, 2, 3, 2, 1])
        #expect(path.sections.reduce(0) { $0 + $1.duration.rawValue } == 100_000_000)
        #expect(path.shares.map(\.serviceName) == ["cart", "web"])
        #expect(try self.collector([span(2, in: 1, 0, 5)]).criticalPath(trace) == nil)
    }

    @Test func `anomalous_traces(limit)`() throws {
        var configuration = TracesConfiguration()
        configuration.anomalyThreshold = .milliseconds(50)
        var collector = try createCollector(configuration, clock: clock.reading)
        _ = collector.ingestBatch(
            call(trace: 1) + [span(1, 0, 10, trace: 2), span(1, 0, 10, status: .error, trace: 3)])
        #expect(collector.anomalousTraces().isEmpty, "nothing has settled")
        clock.pass(12)
        let found = collector.anomalousTraces()
        #expect(Set(found.map(\.traceID.low)) == [1, 3])
        let slow = try #require(found.first { $0.traceID == trace })
        #expect(slow.isOverThreshold && !slow.hasError && !slow.isSlow && slow.durationMs == 100 && slow.spanCount == 3)
        #expect(slow.serviceName == "web" && slow.operationName == "o1")
        #expect(found.first { $0.traceID.low == 3 }?.hasError == true)
        #expect(collector.anomalousTraces(limit: 1).count == 1 && collector.anomalousTraces(limit: -1).isEmpty)
    }

    @Test func `service_latency_percentiles(service_name, percentiles)`() throws {
        let spans = (1...100).map { span(UInt64($0), 0, Int64($0)) }
        let found = try collector(spans).serviceLatencyPercentiles("web", [5_000, 9_900, 10_000])
        for (point, exact) in [5_000: 50.0, 9_900: 99, 10_000: 100] as [UInt32: Double] {
            let told = Double(found[point]?.rawValue ?? 0) / 1_000_000
            #expect(told >= exact && told <= exact * 1.001, "\(point)")
        }
        #expect(try collector(spans).serviceLatencyPercentiles("web").count == 3)
        #expect(try collector(spans).serviceLatencyPercentiles("nobody").isEmpty)
    }

    @Test func `incomplete_traces()`() throws {
        var collector = try collector(call() + [span(2, in: 1, 0, 5, trace: 2), span(2, in: 1, 3, 5, trace: 3)])
        #expect(collector.incompleteTraces().map(\.low) == [3, 2])
        try collector.ingest(span(1, 0, 9, trace: 2))
        #expect(collector.incompleteTraces().map(\.low) == [3])
    }

    @Test func `prune_expired()`() throws {
        var collector = try collector(call())
        clock.pass(3_600)
        #expect(collector.pruneExpired() == 0)
        #expect(collector.traceCount == 1)
        clock.pass(1)
        #expect(collector.traceCount == 0, "questions are about now")
        #expect(collector.pruneExpired() == 1)
        #expect(collector.pruneExpired() == 0)
        #expect(collector.assemble(trace) == nil && collector.getSpan(trace, SpanID(1)) == nil)
    }

    @Test func `span_from_dict(data)`() throws {
        let data: [String: JSONValue] = [
            "span_id": .string("00000000000000ab"), "trace_id": .string("0000000000000000000000000000000c"),
            "service_name": .string("web"), "operation_name": .string("GET /"), "status": .string("ok"),
            "start_time": .int(clock.now.rawValue), "end_time": .int(clock.now.rawValue + 2_000_000),
            "tags": .object(["k": .string("v")]),
        ]
        let span = try spanFromDict(.object(data))
        var collector = try collector()
        try collector.ingest(span)
        #expect(collector.getSpan(TraceID(high: 0, low: 12), SpanID(0xAB)) == span && span.durationMs == 2)
        for field in REQUIRED_SPAN_FIELDS {
            var rest = data
            rest[field] = nil
            do {
                _ = try spanFromDict(.object(rest))
                Issue.record("nobody missed \(field)")
            } catch {
                #expect(error.code == "missing" && error.field == field)
            }
        }
    }

    @Test func `trace_to_flamegraph(trace)`() throws {
        let graph = traceToFlamegraph(try #require(try collector(call()).assemble(trace)))
        #expect(
            graph.folded == """
                web: o1 20000000
                web: o1;web: o2 20000000
                web: o1;web: o2;cart: o3 60000000

                """)
        #expect(graph.json.hasPrefix(#"{"name":"all","value":100000000,"children":[{"name":"web: o1""#))
    }

    @Test func `create_collector(config)`() throws {
        var configuration = TracesConfiguration(objectives: [])
        configuration.timeToLive = .seconds(5)
        configuration.spansPerTrace = 2
        var collector = try createCollector(configuration, clock: clock.reading)
        #expect(collector.ingestBatch(call()).refused == [Refusal(index: 2, reason: .tooManySpans)])
        clock.pass(6)
        #expect(collector.traceCount == 0)
        configuration.timeToLive = .zero
        expectRefusal(.invalidSetting) { _ = try createCollector(configuration, clock: clock.reading) }
        #expect(try createCollector().asOf.recordedAt > clock.now)
    }

    @Test func `inject_trace_context(headers, trace_id, span_id, sampled)`() {
        let headers = injectTraceContext(
            [HeaderField(name: "accept", value: "*/*")], traceID: trace, spanID: SpanID(2), sampled: true)
        #expect(headers.contains(HeaderField(name: "accept", value: "*/*")))
        #expect(
            headers.first { $0.name == "traceparent" }?.value
                == "00-00000000000000000000000000000001-0000000000000002-01")
    }

    @Test func `extract_trace_context(headers)`() {
        let headers = injectTraceContext([], traceID: trace, spanID: SpanID(2), sampled: false)
        let context = extractTraceContext(headers)
        #expect(context?.traceID == trace && context?.spanID == SpanID(2) && context?.isSampled == false)
        #expect(extractTraceContext([HeaderField(name: "traceparent", value: "00-0-0-0")]) == nil)
        #expect(extractTraceContext([]) == nil)
    }

    @Test func `slo_compliance_report(collector, slo_by_service)`() throws {
        let collector = try collector(
            [span(1, 0, 10), span(2, 0, 60), span(3, 0, 10, status: .error), span(4, 0, 10)])
        let objective = ServiceObjective(latency: .milliseconds(50), availabilityBasisPoints: 5_000)
        let row = try #require(sloComplianceReport(collector, ["web": objective]).first)
        #expect(row.serviceName == "web" && row.objective == objective && row.requestCount == 4)
        #expect(row.errorCount == 1 && row.slowCount == 1 && row.goodCount == 2 && row.compliance == 0.5)
        #expect(row.isCompliant && row.burnRate == 1 && row.errorBudgetLeft == 0)
        #expect(sloComplianceReport(collector).map(\.serviceName) == ["discovery", "mirror", "tracing"])
        #expect(sloComplianceReport(collector).allSatisfy { $0.isCompliant && $0.compliance == 1 })
        #expect(sloComplianceReport(collector, [:]).isEmpty)
    }

    @Test func `dependency_graph(collector)`() throws {
        var database = span(4, in: 3, 30, 40, service: "cart", kind: .client, status: .error)
        database.peerService = "postgres"
        let graph = dependencyGraph(try collector(call() + [database]))
        #expect(graph.edges.map(\.parent) == ["cart", "web"] && graph.edges.map(\.child) == ["postgres", "cart"])
        #expect(graph.edges.map(\.callCount) == [1, 1] && graph.edges.map(\.errorCount) == [1, 0])
        #expect(
            graph.edges.map(\.isChildVirtual) == [true, false] && graph.edges.map(\.isParentVirtual) == [false, false])
        #expect((graph.edges[1].latency(basisPoints: 5_000) ?? .zero) >= .milliseconds(60))
        #expect(graph.selfEdges.isEmpty && graph.unpairedCount == 0)
        #expect(dependencyGraph(try collector()).edges.isEmpty)
    }

    @Test func `slow_span_analysis(collector, threshold_ms, limit)`() throws {
        let collector = try collector(call())
        let slow = slowSpanAnalysis(collector, threshold: .milliseconds(60))
        #expect(slow.map(\.spanID) == [SpanID(1), SpanID(2)], "a span of the threshold's length is not slow")
        #expect(slowSpanAnalysis(collector, threshold: .zero, limit: 1) == [call()[0]])
        #expect(slowSpanAnalysis(collector, threshold: .zero, limit: -1).isEmpty)
    }

    @Test func `SERVICE_SLO["tracing"], REQUIRED_SPAN_FIELDS`() {
        #expect(SERVICE_SLO["tracing"]?.latencyMs == 25 && SERVICE_SLO["tracing"]?.availability == 0.999)
        #expect(
            REQUIRED_SPAN_FIELDS == [
                "span_id", "trace_id", "service_name", "operation_name", "start_time", "end_time", "status",
            ])
    }

    @Test func `spans of traces that are gone are forgotten, those of others are not`() throws {
        var configuration = TracesConfiguration()
        configuration.timeToLive = .seconds(60)
        var collector = try createCollector(configuration, clock: clock.reading)
        for trace in 1...400 as ClosedRange<UInt64> {
            clock.pass(1)
            var own = span(1, 0, 5, trace: trace)
            own.tags = [SpanTag("n", "\(trace)")]
            try collector.ingest(own)
            #expect(collector.getSpan(TraceID(high: 0, low: trace), SpanID(1)) == own)
        }
        #expect(collector.traceCount == 61)
        #expect(collector.getSpan(TraceID(high: 0, low: 340), SpanID(1))?.tag("n") == .string("340"))
    }
}
