// Spans that began before the kept windows are counted from the traces that are resident, each once.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Spans older than the windows` {
    /// web calls cart, cart asks mysql: as long ago as is said, before the story begins.
    private func call(_ trace: UInt64, secondsAgo: Int64) -> [TraceSpan] {
        [
            spanMs(1, 0, 100, trace: trace, service: "web"),
            spanMs(2, in: 1, 10, 90, trace: trace, service: "web", kind: .client),
            spanMs(3, in: 2, 20, 80, trace: trace, service: "cart", status: .error),
            spanMs(4, in: 3, 30, 70, trace: trace, service: "cart", kind: .client, peer: "mysql"),
        ].map { span in
            var span = span
            span.startTime = span.startTime + .seconds(-secondsAgo)
            span.endTime = span.endTime + .seconds(-secondsAgo)
            return span
        }
    }

    @Test func `an old file has services, latency and dependencies as a new one has`() {
        var (old, new) = (CollectorStory(), CollectorStory())
        old.receives(call(1, secondsAgo: 7 * 86_400))
        new.receives(call(1, secondsAgo: 0))
        #expect(old.collector.series().services.isEmpty && old.collector.series().dependencyGraph.edges.isEmpty)
        let (found, expected) = (old.collector.seriesWithOlderSpans(), new.collector.seriesWithOlderSpans())
        #expect(found.spanMetrics == expected.spanMetrics && !found.spanMetrics.isEmpty)
        #expect(found.dependencyGraph == expected.dependencyGraph)
        #expect(found.dependencyGraph.edges.map(\.child) == ["mysql", "cart"])
        #expect(found.older == OlderSpans(counted: 4) && expected.older == OlderSpans())
        let objectives = ["cart": ServiceObjective(latency: .seconds(1), availabilityBasisPoints: 9_000)]
        #expect(found.complianceReport(NamedObjectives(objectives))[0].errorCount == 1)
    }

    @Test func `what the windows hold is not counted again`() {
        var story = CollectorStory()
        story.receives(call(1, secondsAgo: 0))
        story.receives(call(2, secondsAgo: 86_400))
        let series = story.collector.seriesWithOlderSpans()
        #expect(series.services.map(\.callCount) == [4, 4] && series.older.counted == 4)
        #expect(story.collector.seriesWithOlderSpans(windows: 0...1).services.isEmpty)
    }

    @Test func `a trace whose windows were forgotten is counted until its time is over`() {
        var story = CollectorStory()
        story.append(.policy(.tracesConfigured(Self.change { $0.timeToLive = .seconds(7_200) })))
        story.receives(call(1, secondsAgo: 0))
        story.pass(4_000)
        #expect(story.collector.series().services.isEmpty)
        #expect(story.collector.seriesWithOlderSpans().services.map(\.callCount) == [2, 2])
        story.pass(4_000)
        #expect(story.collector.seriesWithOlderSpans().services.isEmpty)
    }

    private static func change(_ body: (inout TracesConfiguration) -> Void) -> TracesConfiguration {
        var change = TracesConfiguration()
        body(&change)
        return change
    }

    @Test func `a time that is asked for selects among the old, too`() {
        var story = CollectorStory()
        story.receives(call(1, secondsAgo: 86_400))
        story.receives(call(2, secondsAgo: 2 * 86_400))
        let day = Timestamp(nanoseconds: Story.beginning) + .seconds(-86_400)
        let windows = TraceSeries.windows(from: day + .seconds(-60), to: day + .seconds(60))
        let series = story.collector.seriesWithOlderSpans(windows: windows)
        #expect(series.services.map(\.callCount) == [2, 2] && series.older == OlderSpans(counted: 4))
    }

    @Test func `parts add up, and nothing of it is state`() {
        var story = CollectorStory()
        for trace in 1...40 { story.receives(call(UInt64(trace), secondsAgo: Int64(trace) * 1_000)) }
        var sum = story.parts[0].seriesWithOlderSpans()
        for part in story.parts.dropFirst() { sum.merge(part.seriesWithOlderSpans()) }
        let whole = story.collector.seriesWithOlderSpans()
        #expect(sum.spanMetrics == whole.spanMetrics && sum.dependencyGraph == whole.dependencyGraph)
        #expect(sum.older == whole.older && whole.services.map(\.callCount) == [80, 80])
        story.expectOneState()
    }

    @Test func `of very many in one partition the latest traces are counted, and the rest is told`() {
        var story = CollectorStory()
        let partition = TraceCollector.partition(of: TraceID(high: 0, low: 1))
        let ids = (1...99_999).filter { TraceCollector.partition(of: TraceID(high: 0, low: $0)) == partition }.prefix(3)
        for id in ids {
            story.receives(
                (1...UInt64(2_500)).map { index in
                    var span = spanMs(index, 0, 10, trace: id, operation: "o\(id)", kind: .internal)
                    span.startTime = span.startTime + .seconds(-86_400)
                    span.endTime = span.endTime + .seconds(-86_400)
                    return span
                })
        }
        let series = story.collector.seriesWithOlderSpans()
        #expect(series.older == OlderSpans(counted: 5_000, omitted: 2_500))
        #expect(series.operations(of: "checkout").map(\.operationName) == ids.dropFirst().map { "o\($0)" }.sorted())
    }
}
