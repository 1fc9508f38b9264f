// What a difference says of calls, operations and edges between two points, and that it is empty between equal ones.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Differences of a mesh` {
    /// A call of web to cart that takes so long.
    private func call(
        _ story: inout Story, _ number: UInt64, milliseconds: Int64, operation: String = "GET /",
        status: SpanStatus = .ok, callee: String = "cart"
    ) {
        let start = story.now
        func span(_ id: UInt64, _ parent: UInt64?, _ service: String, _ kind: SpanKind) -> TraceSpan {
            TraceSpan(
                spanID: SpanID(id), traceID: TraceID(high: 0, low: number), parentSpanID: parent.map { SpanID($0) },
                serviceName: service, operationName: operation, kind: kind, status: status, startTime: start,
                endTime: start + .milliseconds(milliseconds))
        }
        story.append(
            .trace(
                .spansReceived(
                    SpanBatch(serviceName: "web", spans: [span(1, nil, "web", .server), span(2, 1, "web", .client)])!)))
        story.append(.trace(.spansReceived(SpanBatch(serviceName: callee, spans: [span(3, 2, callee, .server)])!)))
    }

    @Test func `calls between the points are told from those before`() {
        var story = Story()
        for number in 1...100 { call(&story, UInt64(number), milliseconds: 10) }
        let old = story.state
        for number in 101...150 {
            call(&story, UInt64(number), milliseconds: 40, status: number > 145 ? .error : .ok)
        }
        let difference = MeshDifference(from: old, to: story.state)
        let shift = difference.shifts.first { $0.subject == "cart" }
        #expect(shift?.before.callCount == 100 && shift?.between.callCount == 50 && shift?.between.errorCount == 5)
        let median = shift?.between.latency.percentile(basisPoints: 5_000)?.rawValue ?? 0
        #expect((40_000_000...40_040_000).contains(median))
        #expect(difference.operationsCome.isEmpty && difference.operationsSilent.isEmpty)
        #expect(difference.edgesCome.isEmpty && difference.edgesKept.map(\.child) == ["cart"])
    }

    @Test func `new edges and operations, and operations that fell silent, are named`() {
        var story = Story()
        call(&story, 1, milliseconds: 10)
        let old = story.state
        call(&story, 2, milliseconds: 10, operation: "POST /buy", callee: "payment")
        let difference = MeshDifference(from: old, to: story.state)
        #expect(difference.edgesCome.map(\.child) == ["payment"])
        #expect(Set(difference.operationsCome.map(\.operationName)) == ["POST /buy"])
        #expect(Set(difference.operationsSilent.map(\.serviceName)) == ["cart", "web"])
    }

    @Test func `equal states do not differ`() {
        var story = Story()
        story.serve(["a", "b"])
        call(&story, 1, milliseconds: 10)
        let difference = MeshDifference(from: story.state, to: story.state)
        #expect(difference.isEmpty && difference.shifts.count == 2)
    }

    @Test func `weights, health and restarts are changes`() {
        var story = Story()
        story.serve(["a", "b", "c"])
        let old = story.state
        story.append(registered([instance("a", weight: 7, incarnation: 2)]))
        story.append(healthReported([report("b", healthy: false, checked: story.now)]))
        story.append(deregistered(["c"], reason: "bye"))
        let difference = MeshDifference(from: old, to: story.state)
        #expect(difference.instances.map(\.kind) == [.restarted, .went])
        #expect(difference.instances[1].removal?.reason == "bye")
        #expect(difference.changes.map(\.field).sorted() == ["health", "weight"])
    }
}
