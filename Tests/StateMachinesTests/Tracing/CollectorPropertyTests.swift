// Random traces: order, repetition, parts and restarts change nothing in what the collector answers.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Collector under chance` {
    /// Everything that the collector answers, but for positions in the log.
    private struct Answers: Equatable {
        var spans: [[TraceSpan]]
        var structures: [TraceStructure]
        var paths: [CriticalPath?]
        var breakdowns: [[LatencyBreakdown]]
        var metrics: [SpanMetric]
        var graph: DependencyGraph
        var found: [TraceID]
        var incomplete: [TraceID]
        var slow: [SpanKey]

        init(_ collector: TraceCollector, _ traces: [TraceID]) {
            let trees = traces.map { collector.facts(of: $0)!.tree(asOf: Moment.origin.asOf) }
            spans = trees.map(\.spans)
            structures = trees.map(\.structure)
            paths = trees.map { TraceAnalysis.criticalPath($0) }
            breakdowns = trees.map { TraceAnalysis.latencyBreakdown($0) }
            metrics = collector.series().spanMetrics
            graph = collector.series().dependencyGraph
            found = collector.search(TraceCriteria()).map(\.traceID)
            incomplete = collector.incompleteTraces().map(\.traceID)
            slow = collector.slowSpans(threshold: .zero, limit: 50).map(\.key)
        }
    }

    /// Spans of several traces: shared ids, missing parents, repeats with other contents.
    private static func spans(_ maker: inout TraceMaker) -> [TraceSpan] {
        var result: [TraceSpan] = []
        for trace in 1...5 {
            for var span in maker.spans(5 + maker.below(60)) {
                span.traceID = TraceID(high: 0, low: UInt64(trace))
                span.startTime = span.startTime + Nanoseconds(Story.beginning)
                span.endTime = span.endTime + Nanoseconds(Story.beginning)
                if maker.below(10) == 0 { span.peerService = "db\(maker.below(3))" }
                if maker.below(12) != 0 { result.append(span) }
                if maker.below(8) == 0 {
                    span.kind = span.kind == .server ? .client : .server
                    result.append(span)
                }
                if maker.below(8) == 0 {
                    span.tags = [SpanTag("n", String(maker.below(9)))]
                    span.parentSpanID = SpanID(UInt64(maker.below(60) + 1))
                    result.append(span)
                }
            }
        }
        return result
    }

    @Test(arguments: 1...12) func `order and repetition change no answer`(_ seed: UInt64) {
        var maker = TraceMaker(seed: seed)
        let spans = Self.spans(&maker)
        let traces = Set(spans.map(\.traceID)).sorted()
        var first = CollectorStory()
        first.receives(spans)
        let expected = Answers(first.collector, traces)
        first.expectOneState()
        for _ in 0..<3 {
            let shuffled = maker.shuffled(spans + spans.filter { _ in maker.below(4) == 0 })
            var story = CollectorStory()
            var rest = shuffled[...]
            while !rest.isEmpty {
                let batch = rest.prefix(1 + maker.below(30))
                rest = rest.dropFirst(batch.count)
                story.receives(Array(batch))
                if maker.below(6) == 0 { story.restarts() }
            }
            #expect(Answers(story.collector, traces) == expected)
            #expect(Answers(TraceCollector(joining: story.parts), traces) == expected)
            story.expectOneState()
        }
    }

    @Test(arguments: 1...6) func `any number of parts has the state of the whole`(_ seed: UInt64) {
        var maker = TraceMaker(seed: seed &* 77)
        let count = 1 + maker.below(256)
        var whole = TraceCollector()
        var parts = TraceCollector().split(into: count)
        for step in 1...30 {
            let time = Timestamp(nanoseconds: Story.beginning + Int64(step) * 40_000_000_000)
            var event = Event.clock(.tick(slot: UInt64(step)))
            if step % 3 != 0, let batch = SpanBatch(serviceName: "s", spans: Self.spans(&maker)) {
                event = .trace(.spansReceived(batch))
            }
            let record = EventRecord(
                sequence: SequenceNumber(UInt64(step)), recordedAt: time, messageID: [][...], event: event)
            let moment = Moment(sequence: record.sequence, recordedAt: time, logTime: time, expiryTime: .zero)
            let admitted = AdmittedRecord(record: record, moment: moment)
            let outcome = whole.apply(admitted)
            #expect(TraceCollector.combined(parts.indices.map { parts[$0].apply(admitted) }) == outcome)
        }
        #expect(TraceCollector.combined(parts.indices.map { parts[$0].digest() }) == whole.digest())
        #expect(TraceCollector(joining: parts).encodeCheckpoint() == whole.encodeCheckpoint())
    }

    @Test(arguments: 1...10) func `the function over the spans and the machine agree on the tree`(_ seed: UInt64) {
        var maker = TraceMaker(seed: seed &* 1_001)
        let spans = Self.spans(&maker)
        var story = CollectorStory()
        story.receives(spans)
        for trace in Set(spans.map(\.traceID)).sorted() {
            let pure = TraceAnalysis.assemble(trace, spans, asOf: Moment.origin.asOf)
            let folded = story.collector.facts(of: trace)!.tree(asOf: Moment.origin.asOf)
            #expect(pure.structure == folded.structure && pure.spans.map(\.key) == folded.spans.map(\.key))
            #expect(TraceAnalysis.criticalPath(pure) == TraceAnalysis.criticalPath(folded))
        }
    }

    @Test(arguments: 1...40) func `the outline has the critical path of the tree, corrected and raw`(_ seed: UInt64) {
        var maker = TraceMaker(seed: seed &* 9_973)
        var spans = Self.spans(&maker)
        for index in spans.indices {
            // Some hosts, and clocks that are wrong by up to three seconds.
            if maker.below(3) != 0 { spans[index].tags.append(SpanTag("host.name", "h\(maker.below(4))")) }
            let skew = Nanoseconds.milliseconds(maker.below(2) == 0 ? 0 : Int64(maker.below(6_000)) - 3_000)
            (spans[index].startTime, spans[index].endTime) = (
                spans[index].startTime + skew, spans[index].endTime + skew
            )
        }
        var story = CollectorStory()
        story.receives(spans)
        for trace in Set(spans.map(\.traceID)).sorted() {
            let raw = story.collector.facts(of: trace)!.tree(asOf: Moment.origin.asOf)
            let rows = story.collector.rows(of: trace)!
            for maximum in [nil, Nanoseconds.zero, .seconds(1), .seconds(9)] {
                let tree = maximum.map { TraceAnalysis.adjusted(raw, maximum: $0) } ?? raw
                let limit = 1 + maker.below(30)
                let expected = TraceAnalysis.criticalPath(tree).map { CriticalPathPage(tree, $0, limit: limit) }
                #expect(TraceOutline(rows, maximumSkew: maximum).criticalPath(limit: limit) == expected)
            }
        }
    }
}
