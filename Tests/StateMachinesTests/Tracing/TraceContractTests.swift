// The names of the specification's tracing collector (Specification.md) do what it says.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `The contract of tracing` {
    private let now = Timestamp(nanoseconds: Story.beginning)
    private let trace = TraceID(high: 0, low: 1)

    @Test func `spans are ingested, assembled, found and analysed`() throws {
        var collector = createCollector()
        #expect(collector.ingest(spanMs(1, 0, 100, service: "web"), at: now).accepted == 1)
        let rest = [spanMs(2, in: 1, 10, 90, service: "web", kind: .client), spanMs(3, in: 2, 20, 80, service: "cart")]
        #expect(collector.ingestBatch(rest, at: now).accepted == 2)
        let tree = try #require(collector.assemble(trace))
        #expect(tree.structure.isComplete && tree.serviceCount == 2 && tree.totalDurationMs == 100)
        #expect(collector.getSpan(trace, SpanID(3))?.serviceName == "cart")
        #expect(collector.getSpan(trace, SpanID(9)) == nil && collector.assemble(TraceID(high: 0, low: 9)) == nil)
        #expect(collector.children(trace, SpanID(1)).map(\.key.spanID) == [SpanID(2)])
        #expect(collector.latencyBreakdown(trace).map(\.serviceName).sorted() == ["cart", "web"])
        #expect(collector.criticalPath(trace)?.sections.reduce(0) { $0 + $1.duration.rawValue } == 100_000_000)
        #expect(collector.serviceLatencyPercentiles("cart", [5_000])[5_000]?.rawValue ?? 0 >= 60_000_000)
        #expect(dependencyGraph(collector).edges.map(\.child) == ["cart"])
        #expect(slowSpanAnalysis(collector, threshold: .milliseconds(70), limit: 5).count == 2)
        #expect(traceToFlamegraph(tree).folded.contains("web: o"))
        let objective = ServiceObjective(latency: .milliseconds(50), availabilityBasisPoints: 9_000)
        #expect(sloComplianceReport(collector, ["cart": objective]).map(\.slowCount) == [1])
        #expect(sloComplianceReport(collector).map(\.serviceName) == ["discovery", "mirror", "tracing"])
    }

    @Test func `what is refused is named by its place in the list`() {
        var collector = createCollector()
        let spans = [
            spanMs(1, 0, 100, service: "web"), spanMs(3, in: 1, 20, 80, service: "cart"),
            spanMs(4, in: 1, 50, 10, service: "web"),
        ]
        let outcome = collector.ingestBatch(spans, at: now)
        #expect(outcome.accepted == 2)
        #expect(outcome.refused == [Refusal(index: 2, reason: .endBeforeStart)])
    }

    @Test func `expired traces are pruned by the time that is given`() {
        var collector = createCollector()
        collector.ingest(spanMs(1, 0, 100), at: now)
        collector.pruneExpired(at: now + .seconds(3_600))
        #expect(collector.traceCount == 1)
        collector.pruneExpired(at: now + .seconds(3_601))
        #expect(collector.traceCount == 0 && collector.incompleteTraces().isEmpty)
    }
}
