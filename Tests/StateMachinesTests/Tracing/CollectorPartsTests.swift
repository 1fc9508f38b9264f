// The collector in parts: state and digest are those of the whole, whatever the number of parts.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Collector in parts` {
    private func call(_ trace: UInt64, _ start: Int64 = 0) -> [TraceSpan] {
        [
            spanMs(1, start, start + 90, trace: trace, service: "web"),
            spanMs(2, in: 1, start + 10, start + 80, trace: trace, service: "web", kind: .client),
            spanMs(3, in: 2, start + 20, start + 70, trace: trace, service: "cart"),
            spanMs(4, in: 3, start + 30, start + 60, trace: trace, service: "cart", kind: .client, peer: "mysql"),
        ]
    }

    @Test func `a collector with nothing in it equals the sum of its parts`() {
        var story = CollectorStory()
        story.expectOneState()
    }

    @Test func `spans of many traces add up`() {
        var story = CollectorStory()
        for trace in 1...200 { story.receives(call(UInt64(trace))) }
        #expect(story.collector.traceCount == 200 && story.collector.spanCount == 800)
        #expect(story.parts.map(\.traceCount).reduce(0, +) == 200)
        #expect(story.parts.allSatisfy { $0.traceCount > 20 })
        story.expectOneState()
    }

    @Test func `what one part counted before a restart another one can take back`() {
        var story = CollectorStory()
        for trace in 1...40 { story.receives([call(UInt64(trace))[1]]) }
        story.restarts()
        for trace in 1...40 { story.receives(call(UInt64(trace))) }
        story.expectOneState()
        let graph = TraceCollector(joining: story.parts).series().dependencyGraph
        #expect(graph.edges.map(\.callCount) == [40, 40])
        #expect(graph == story.collector.series().dependencyGraph)
    }

    @Test func `a fork goes its own way`() {
        var story = CollectorStory()
        story.receives(call(1))
        let fork = story.collector
        let bytes = fork.encodeCheckpoint()
        story.receives(call(2))
        #expect(fork.encodeCheckpoint() == bytes && fork.traceCount == 1)
        #expect(story.collector.traceCount == 2)
    }

    @Test func `a partition is one of 256, and all are in use`() {
        let partitions = Set((1...4_096).map { TraceCollector.partition(of: TraceID(high: 0, low: UInt64($0))) })
        #expect(partitions == Set(0..<256))
    }

    @Test func `bytes that are no checkpoint are refused`() {
        var story = CollectorStory()
        for trace in 1...3 { story.receives(call(UInt64(trace))) }
        story.pass(60)
        let bytes = story.collector.encodeCheckpoint()
        #expect(TraceCollector(checkpoint: []) == nil)
        #expect(TraceCollector(checkpoint: Array(bytes.dropLast())) == nil)
        #expect(TraceCollector(checkpoint: [0x7F] + bytes) == nil)
        for place in stride(from: 0, to: bytes.count, by: 7) {
            var damaged = bytes
            damaged[place] ^= 0xFF
            // Whatever it is taken for, nothing traps, and it can be written again.
            _ = TraceCollector(checkpoint: damaged)?.encodeCheckpoint()
        }
    }
}
