// The registry, the mirror and the collector of LatticeCore fold what a node folds: the same records, the same digests.

import EventModel
import LatticeCore
import StateMachines
import Synchronization
import Testing

/// A node's state and the clock of what stands beside it, over the same records.
private final class NodeBeside: Sendable {
    private let time = Mutex(Timestamp(nanoseconds: Story.beginning))
    private let mesh = Mutex(MeshState())

    init() { append(.policy(.semanticsActivated(version: Semantics.newest.version, reason: ""))) }

    var now: Timestamp { time.withLock { $0 } }

    func append(_ event: Event) {
        let now = now
        mesh.withLock { mesh in
            _ = mesh.apply(EventRecord(sequence: mesh.moment.sequence.next, recordedAt: now, event: event))
        }
    }

    /// Ticks once a second, as a node does.
    func pass(_ seconds: Int) {
        for _ in 0..<seconds {
            time.withLock { $0 = $0 + .seconds(1) }
            append(.clock(.tick(slot: UInt64(now.rawValue / 1_000_000_000))))
        }
    }

    func digest(_ machine: String) -> Digest? {
        mesh.withLock { mesh in mesh.digests().first { $0.machine == machine }?.digest }
    }
}

@Suite struct `What LatticeCore folds is what a node folds` {
    private let node = NodeBeside()

    private func registration(_ id: String) -> Registration { Registration(instanceID: id, endpoint: "10.0.0.1:80") }
    private func instance(_ id: String) -> ServiceInstance {
        ServiceInstance(instanceID: id, serviceName: "cart", endpoint: "10.0.0.1:80")
    }

    @Test func `of the registry`() throws {
        var registry = try createRegistry(clock: { [node] in node.now })
        try bulkRegister(&registry, [instance("a"), instance("b"), instance("c")])
        node.append(
            .registry(.registered(Registered(serviceName: "cart", events: ["a", "b", "c"].map(registration)))))
        node.pass(40)
        registry.advance()
        #expect(registry.digest == node.digest("registry"), "who is silent is stale on both")
        try healthCheckSweep(
            &registry, [HealthStatus(instanceID: "b", healthy: false, consecutiveFailures: 3, lastCheck: node.now)])
        let report = HealthReport(
            instanceID: "b", healthy: false, consecutiveFailures: 3, lastCheck: node.now)
        node.append(
            .registry(.healthSwept(HealthSwept(serviceName: "cart", events: [report], evictThreshold: 3))))
        try registry.heartbeat("c")
        let facts = EventCodec.heartbeats(service: "cart", instances: ["c"], incarnation: 0)
        node.append(.registry(.heartbeat(Heartbeats(serviceName: "cart", count: 1, facts: facts[...]))))
        node.pass(700)
        registry.advance()
        #expect(registry.digest == node.digest("registry"))
        #expect(registry.resolve("cart").protected, "who is missing is too many")
    }

    @Test func `of the mirror`() throws {
        var mirror = LocalMirror(clock: { [node] in node.now })
        let configuration = MirrorConfiguration(
            mirrorID: "m", sourceService: "cart", shadowEndpoint: "shadow:80", mode: .full)
        try mirror.allowShadows(["shadow:80"], of: "cart")
        node.append(.mirror(.shadowsAllowed(ShadowsAllowed(sourceService: "cart", endpoints: ["shadow:80"]))))
        try mirror.addMirror(configuration)
        node.append(.mirror(.added(Batch(serviceName: "cart", events: [configuration]))))
        for id in 0..<40 {
            node.pass(2)
            try mirror.capture(MirroredRequest(requestID: "\(id)", sourceService: "cart", intent: "read"))
            let fact = RequestCapture(requestID: "\(id)", intent: "read", pathHash: Digest.of([UInt8(ascii: "/")]).low)
            node.append(.mirror(.captured(Batch(serviceName: "cart", events: [fact]))))
        }
        #expect(mirror.digest == node.digest("mirror"))
        try mirror.drain("m", limit: 3)
        node.append(.mirror(.drained(MirrorDrained(sourceService: "cart", mirrorID: "m", limit: 3))))
        #expect(mirror.digest == node.digest("mirror") && mirror.pendingCount("m") == 28)
    }

    @Test func `of the collector`() throws {
        var collector = try createCollector(clock: { [node] in node.now })
        for number in 1...20 as ClosedRange<UInt64> {
            let spans = [1, 2].map { id in
                TraceSpan(
                    spanID: SpanID(id), traceID: TraceID(high: 0, low: number), parentSpanID: id == 1 ? nil : SpanID(1),
                    serviceName: "web", operationName: "o", kind: .server, startTime: node.now,
                    endTime: node.now + .milliseconds(Int64(number)))
            }
            collector.ingestBatch(spans)
            node.append(.trace(.spansReceived(try #require(SpanBatch(serviceName: "web", spans: spans)))))
            node.pass(7)
        }
        collector.advance()
        #expect(collector.digest == node.digest("tracing") && collector.spanCount == 40)
    }
}
