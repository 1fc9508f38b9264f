// What the collector takes: spans, batches, repeats, late and refused ones, and what it drops when it is full.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Span ingestion` {
    private func raw(_ change: (inout TraceSpan) -> Void) -> Outcome {
        var story = CollectorStory()
        var span = spanMs(1, 0, 10)
        change(&span)
        return story.receives([span])
    }

    @Test func `a span is collected under its trace`() {
        var story = CollectorStory()
        #expect(story.receives([spanMs(1, 0, 10)]).accepted == 1)
        #expect(story.collector.spanCount == 1 && story.collector.traceCount == 1)
        #expect(story.collector.spans(of: TraceID(high: 0, low: 1)).map(\.operationName) == ["o"])
        story.expectOneState()
    }

    @Test func `a batch is collected span by span`() {
        var story = CollectorStory()
        let outcome = story.receives((1...64).map { spanMs(UInt64($0), 0, 10, trace: UInt64($0 % 8 + 1)) })
        #expect(outcome.accepted == 64 && outcome.refused.isEmpty)
        #expect(story.collector.spanCount == 64 && story.collector.traceCount == 8)
        story.expectOneState()
    }

    @Test func `what is kept of a span is what was sent`() throws {
        var story = CollectorStory()
        story.receives([spanMs(7, in: 3, 5, 25, service: "cart", operation: "add", kind: .client, status: .timeout)])
        let facts = try #require(story.collector.spans(of: TraceID(high: 0, low: 1)).first)
        #expect(facts.key == SpanKey(spanID: SpanID(7), isServerHalf: false) && facts.parentSpanID == SpanID(3))
        #expect(facts.serviceName == "cart" && facts.operationName == "add")
        #expect(facts.kind == .client && facts.status == .timeout)
        #expect(facts.startTime.rawValue == Story.beginning + 5_000_000 && facts.duration == .milliseconds(20))
        #expect(facts.position == EventPosition(sequence: SequenceNumber(1), index: 0))
    }

    @Test func `a span with an id of zeros is refused`() {
        #expect(raw { $0.spanID = SpanID(0) }.refused.map(\.reason) == [.invalidSpanID])
        #expect(raw { $0.traceID = TraceID(high: 0, low: 0) }.refused.map(\.reason) == [.invalidTraceID])
    }

    @Test func `a span without an operation or a time is refused`() {
        #expect(raw { $0.operationName = "" }.refused.map(\.reason) == [.missingOperationName])
        #expect(raw { $0.startTime = .zero }.refused.map(\.reason) == [.missingTime])
        #expect(raw { $0.endTime = .zero }.refused.map(\.reason) == [.missingTime])
    }

    @Test func `a span without a status is refused`() throws {
        var body = WireWriter()
        body.field(1, TraceID(high: 0, low: 1).bytes)
        body.field(2, SpanID(1).bytes)
        body.field(4, "o")
        body.fixedField(7, Timestamp(nanoseconds: Story.beginning))
        body.fixedField(8, Timestamp(nanoseconds: Story.beginning))
        var writer = WireWriter()
        writer.field(1, "checkout")
        writer.message(2) { inner in inner.append(body.bytes) }
        var story = CollectorStory()
        let batch = try SpanBatch(facts: writer.bytes[...])
        #expect(story.append(.trace(.spansReceived(batch))).refused.map(\.reason) == [.missingStatus])
    }

    @Test func `a span that ends before it starts is refused`() {
        let outcome = raw { $0.endTime = $0.startTime + Nanoseconds(-1) }
        #expect(outcome.refused.map(\.reason) == [.endBeforeStart] && outcome.accepted == 0)
    }

    @Test func `a span may take no time at all`() {
        #expect(raw { $0.endTime = $0.startTime }.accepted == 1)
    }

    @Test func `a span may start five minutes ahead of the log and no more`() {
        func at(_ seconds: Int64) -> Outcome {
            raw {
                $0.startTime = Timestamp(nanoseconds: Story.beginning) + .seconds(seconds)
                $0.endTime = $0.startTime
            }
        }
        #expect(at(300).accepted == 1)
        #expect(at(301).refused.map(\.reason) == [.timeAhead])
    }

    @Test func `refusals name their index and the others are taken`() {
        var story = CollectorStory()
        var bad = spanMs(2, 0, 10)
        bad.operationName = ""
        let outcome = story.receives([spanMs(1, 0, 10), bad, spanMs(3, 0, 10), bad])
        #expect(outcome.accepted == 2 && outcome.refused.map(\.index) == [1, 3])
        story.expectOneState()
    }

    @Test func `an empty mesh answers with nothing`() {
        let collector = TraceCollector()
        let id = TraceID(high: 0, low: 1)
        #expect(collector.facts(of: id) == nil && collector.spans(of: id).isEmpty && collector.summary(of: id) == nil)
        #expect(collector.search(TraceCriteria()).isEmpty && collector.incompleteTraces().isEmpty)
        #expect(collector.anomalousTraces(limit: 9).isEmpty && collector.slowSpans(threshold: .zero, limit: 9).isEmpty)
        #expect(collector.series().spanMetrics.isEmpty && collector.series().dependencyGraph == DependencyGraph())
    }

    @Test func `other facts of the mesh only move time on`() {
        var story = CollectorStory()
        story.append(heartbeat(["a"]))
        story.append(.opaque(reason: "not understood"))
        #expect(story.collector.moment.sequence == SequenceNumber(2) && story.collector.traceCount == 0)
        story.expectOneState()
    }
}

@Suite struct `Span deduplication` {
    private let id = TraceID(high: 0, low: 1)

    @Test func `the same span twice is one span`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        #expect(story.receives([spanMs(1, 0, 10)]).accepted == 1)
        #expect(story.collector.spanCount == 1 && story.collector.counters.duplicates == 1)
        #expect(story.collector.counters.replaced == 0)
        story.expectOneState()
    }

    @Test func `of two spans with one id the one with more tags wins, whichever came first`() {
        let (poor, rich) = (spanMs(1, 0, 10), spanMs(1, 0, 30, tags: [SpanTag("a", "b")]))
        for order in [[poor, rich], [rich, poor]] {
            var story = CollectorStory()
            for span in order { story.receives([span]) }
            #expect(story.collector.spans(of: id).map(\.duration) == [.milliseconds(30)])
            #expect(story.collector.series().latency(service: "checkout").count == 1)
            story.expectOneState()
        }
    }

    @Test func `of two with as many tags the larger hash wins, whichever came first`() {
        let (one, other) = (spanMs(1, 0, 10), spanMs(1, 0, 20))
        var winners: [[Nanoseconds]] = []
        for order in [[one, other], [other, one]] {
            var story = CollectorStory()
            story.receives(order)
            winners.append(story.collector.spans(of: id).map(\.duration))
            story.expectOneState()
        }
        #expect(winners[0] == winners[1] && winners[0].count == 1)
        let pure = TraceAnalysis.assemble(id, [one, other], asOf: Moment.origin.asOf)
        #expect(pure.spans.map(\.duration) == winners[0], "the function and the machine choose alike")
    }

    @Test func `the client's and the server's half of a shared id are two spans`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 30, service: "web", kind: .client), spanMs(1, 10, 20, service: "cart")])
        #expect(story.collector.span(id, SpanID(1)).map(\.serviceName) == ["web", "cart"])
        #expect(story.collector.counters.duplicates == 0)
        story.expectOneState()
    }

    @Test func `the same ids in another trace are other spans`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10), spanMs(1, 0, 10, trace: 2)])
        #expect(story.collector.spanCount == 2 && story.collector.counters.duplicates == 0)
    }

    @Test func `a repeat that wins takes back what the loser counted`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10, service: "web", operation: "a", kind: .client, peer: "mysql")])
        story.receives([
            spanMs(
                1, 0, 20, service: "web", operation: "b", kind: .client, status: .error, peer: "redis",
                tags: [SpanTag("a", "b")])
        ])
        let series = story.collector.series()
        #expect(series.spanMetrics.map(\.operationName) == ["b"])
        #expect(series.dependencyGraph.edges.map(\.child) == ["redis"])
        #expect(series.dependencyGraph.edges.map(\.errorCount) == [1])
        story.expectOneState()
    }
}

@Suite struct `Bounds of the collector` {
    @Test func `a full trace takes no more spans, and counts them`() {
        var settings = TraceSettings()
        settings.spansPerTrace = 3
        var story = CollectorStory(settings)
        let outcome = story.receives((1...5).map { spanMs($0, 0, 10) })
        #expect(outcome.accepted == 3 && outcome.refused.map(\.reason) == [.tooManySpans, .tooManySpans])
        #expect(story.collector.counters.droppedSpans == 2 && story.collector.spanCount == 3)
        #expect(story.receives([spanMs(1, 0, 10)]).accepted == 1, "a repeat needs no room")
        story.expectOneState()
    }

    @Test func `a full partition gives up its oldest trace, and counts it`() {
        var settings = TraceSettings()
        settings.spansPerPartition = 4
        var story = CollectorStory(settings)
        let partition = TraceCollector.partition(of: TraceID(high: 0, low: 1))
        let ids = (1...9_999).filter { TraceCollector.partition(of: TraceID(high: 0, low: $0)) == partition }.prefix(4)
        for id in ids { story.receives([spanMs(1, 0, 10, trace: id), spanMs(2, in: 1, 0, 10, trace: id)]) }
        #expect(story.collector.traceCount == 2 && story.collector.spanCount == 4)
        #expect(story.collector.counters.evictedTraces == 2 && story.collector.counters.evictedSpans == 4)
        #expect(story.collector.facts(of: TraceID(high: 0, low: ids[0])) == nil)
        #expect(story.collector.series().latency(service: "checkout").count == 8, "what was counted stays counted")
        story.expectOneState()
    }

    @Test func `a trace that fills its partition alone stays`() {
        var settings = TraceSettings()
        settings.spansPerPartition = 2
        var story = CollectorStory(settings)
        story.receives((1...4).map { spanMs($0, 0, 10) })
        #expect(story.collector.spanCount == 4 && story.collector.counters.evictedTraces == 0)
    }

    @Test func `too many services are counted under __other__`() {
        var settings = TraceSettings()
        settings.names.services = 2
        var story = CollectorStory(settings)
        for (index, name) in ["a", "b", "c", "d"].enumerated() {
            story.receives([spanMs(1, 0, 10, trace: UInt64(index + 1), service: name)])
        }
        #expect(story.collector.series().services.map(\.serviceName) == ["__other__", "a", "b"])
        #expect(story.collector.overflowedNames == 4, "two services, and an operation of each")
        story.expectOneState()
    }

    @Test func `too many operations of a service are its __other__`() {
        var settings = TraceSettings()
        settings.names.operationsPerService = 2
        var story = CollectorStory(settings)
        story.receives((1...5).map { spanMs($0, 0, 10, operation: "o\($0)") })
        story.receives((1...3).map { spanMs($0, 0, 10, trace: 2, service: "cart", operation: "o\($0)") })
        let rows = story.collector.series().operations(of: "checkout")
        #expect(rows.map(\.operationName) == ["__other__", "o1", "o2"] && rows.map(\.callCount) == [3, 1, 1])
        #expect(story.collector.overflowedNames == 4)
        story.expectOneState()
    }

    @Test func `too many peers are __other__, and a peer that sends spans becomes a service`() {
        var settings = TraceSettings()
        settings.names.peers = 1
        var story = CollectorStory(settings)
        story.receives([
            spanMs(1, 0, 10, kind: .client, peer: "mysql"), spanMs(2, 0, 10, kind: .client, peer: "redis"),
        ])
        #expect(story.collector.series().dependencyGraph.edges.map(\.child) == ["__other__", "mysql"])
        story.receives([spanMs(9, 0, 10, trace: 2, service: "mysql")])
        let edge = story.collector.series().dependencyGraph.edges.last
        #expect(edge?.child == "mysql" && edge?.isChildVirtual == false)
        story.expectOneState()
    }

    @Test func `too many edges are one`() {
        var settings = TraceSettings()
        settings.edgesPerPartition = 1
        var story = CollectorStory(settings)
        story.receives((1...3).map { spanMs($0, 0, 10, kind: .client, peer: "db\($0)") })
        let graph = story.collector.series().dependencyGraph
        #expect(graph.edges.map(\.child) == ["db1"] && graph.edges.map(\.callCount) == [1])
        #expect(graph.selfEdges.map(\.callCount) == [2] && graph.selfEdges.map(\.parent) == ["__other__"])
        #expect(story.collector.counters.overflowedEdges == 2)
        story.expectOneState()
    }

    @Test func `names that Unicode deems equal are two services`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10, service: "caf\u{E9}")])
        story.receives([spanMs(1, 0, 10, trace: 2, service: "cafe\u{301}")])
        #expect(story.collector.series().services.count == 2)
        story.expectOneState()
    }
}

@Suite struct `Time to live` {
    private let id = TraceID(high: 0, low: 1)

    @Test func `a trace is resident for an hour of the log's time`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.pass(3_600)
        #expect(story.collector.traceCount == 1)
        story.pass(1)
        #expect(story.collector.traceCount == 0 && story.collector.counters.expiredTraces == 1)
        #expect(story.collector.spanCount == 0)
        story.expectOneState()
    }

    @Test func `it counts from the first span, not from the last`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.pass(3_500)
        story.receives([spanMs(2, in: 1, 3_000_000, 3_000_001)])
        story.pass(101)
        #expect(story.collector.traceCount == 0)
    }

    @Test func `only what is too old goes`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.pass(1_800)
        story.receives([spanMs(1, 0, 10, trace: 2)])
        story.pass(1_801)
        #expect(story.collector.facts(of: id) == nil)
        #expect(story.collector.facts(of: TraceID(high: 0, low: 2)) != nil)
        story.expectOneState()
    }

    @Test func `a trace that expired can begin anew`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.pass(4_000)
        story.receives([spanMs(2, in: 1, 3_999_000, 3_999_001)])
        #expect(story.collector.incompleteTraces().map(\.traceID) == [id])
        story.expectOneState()
    }

    @Test func `without ticks nothing expires`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.now = story.now + .seconds(9_999)
        story.receives([spanMs(1, 9_990_000, 9_990_001, trace: 2)])
        #expect(story.collector.traceCount == 2)
        story.tick()
        #expect(story.collector.traceCount == 1)
    }

    @Test func `series go by windows of five minutes, thirteen of them`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        #expect(story.collector.series().latency(service: "checkout").count == 1)
        story.pass(13 * 300)
        #expect(story.collector.series().latency(service: "checkout").isEmpty)
        story.expectOneState()
    }

    @Test func `a span from before all windows is collected, not counted`() {
        var story = CollectorStory()
        story.pass(1)
        #expect(story.receives([spanMs(1, -9_999_000, -9_998_000)]).accepted == 1)
        #expect(story.collector.spanCount == 1 && story.collector.series().latency(service: "checkout").isEmpty)
        story.expectOneState()
    }
}
