// Every name of the specification, called as a user of the package calls it: what does not compile here breaks users.

import EventModel
import LatticeCore
import Testing

@Suite struct `The specification's names` {
    @Test func `of the registry`() throws {
        var registry: LocalRegistry = try createRegistry(RegistryConfiguration(), clock: LocalTime.wallClock)
        let instance = ServiceInstance(instanceID: "a", serviceName: "cart", endpoint: "10.0.0.1:80")
        let status = HealthStatus(instanceID: "a", healthy: true, latency: .milliseconds(1), lastCheck: .zero)
        let outcomes: [OutcomeAnswer] = [
            try registry.register(instance), try registry.heartbeat("a"), try registry.updateHealth(status),
            try registry.reportLoad("a", activeConnections: 1, reporter: "me"),
            try bulkRegister(&registry, [instance], failFast: true),
            try healthCheckSweep(&registry, [status], evictThreshold: 3),
        ]
        #expect(outcomes.map(\.accepted) == [1, 1, 1, 1, 1, 1])
        let answers: [InstancesAnswer] = [
            registry.resolve("cart", region: "", healthyOnly: true, minimumWeight: 1, allowPanic: false),
            registry.staleInstances("cart"), failoverCandidates(registry, "cart", excludedRegions: ["us"]),
        ]
        #expect(answers.map(\.instances.count) == [1, 0, 1])
        let selection: SelectionAnswer = try registry.selectInstance(
            "cart", region: "", strategy: .roundRobin, seed: 1)
        let topology: TopologyAnswer = registry.serviceTopology("cart")
        #expect(selection.candidates == ["a"] && topology.services.count == 1)
        let gone: OutcomeAnswer = try registry.deregister("a", reason: "done")
        #expect(gone.accepted == 1 && registry.removals("cart").removals.count == 1)
    }

    @Test func `of the mirror`() async throws {
        var mirror = LocalMirror(clock: LocalTime.wallClock)
        let configuration: MirrorConfiguration = try createMirrorFromSpec(
            .object([
                "mirror_id": .string("m"), "source_service": .string("cart"), "shadow_endpoint": .string("shadow:80"),
                "mode": .string("full"),
            ]))
        try mirror.allowShadows(["shadow:*"], of: "cart", allowLoopback: false)
        let outcomes: [OutcomeAnswer] = [
            try mirror.addMirror(configuration), try mirror.disableMirror("m"), try mirror.enableMirror("m"),
        ]
        let takers: [String] = try mirror.capture(
            requestID: "1", traceID: [], sourceService: "cart", intent: "read", payload: [], headers: [])
        #expect(outcomes.count == 3 && takers == ["m"] && mirror.pendingCount("m") == 1)
        #expect(mirror.shouldMirror(configuration, intent: "read", sampleSeed: "1"))
        let handler: ShadowHandler = { _ in ShadowAnswer(.succeeded, status: 200) }
        let results: [MirrorResult] = try await batchDispatch(
            &mirror, "m", batchSize: 10, concurrency: 2, shadowHandler: handler)
        let request = MirroredRequest(requestID: "2", sourceService: "cart", intent: "read")
        let result: MirrorResult = try await dispatchToShadow(
            request, production: MirroredResponse(), shadowEndpoint: "shadow:80", timeout: .seconds(1),
            shadowHandler: handler)
        let report: DifferenceReport = analyzeDiffs(results + [result], thresholdBasisPoints: 100)
        #expect(report.comparedCount == 2 && report.passes)
        let comparison: ComparisonResult = try compareResponses(
            production: MirroredResponse(), shadow: MirroredResponse(status: 404), ignoreFields: ["at"])
        let drained: [MirroredRequest] = try mirror.drain("m", limit: 5)
        let stats: MirrorsAnswer = mirror.stats()
        #expect(comparison.differenceCount == 1 && drained.isEmpty && stats.mirrors.count == 1)
        let removed: OutcomeAnswer = try mirror.removeMirror("m")
        #expect(removed.accepted == 1)
    }

    @Test func `of the collector`() throws {
        var collector: LocalCollector = try createCollector(TracesConfiguration(), clock: LocalTime.wallClock)
        let id = TraceID(high: 0, low: 1)
        let now = LocalTime.wallClock()
        let span = TraceSpan(
            spanID: SpanID(1), traceID: id, serviceName: "web", operationName: "GET /", kind: .server,
            startTime: now, endTime: now + .milliseconds(5))
        let outcomes: [OutcomeAnswer] = [try collector.ingest(span), collector.ingestBatch([span])]
        let tree: TraceTree = try #require(collector.assemble(id))
        let found: TraceSpan? = collector.getSpan(id, SpanID(1))
        let children: [TraceSpan] = collector.children(id, SpanID(1))
        let rows: [LatencyBreakdown] = collector.latencyBreakdown(id)
        let path: CriticalPath? = collector.criticalPath(id)
        #expect(outcomes.count == 2 && found == span && children.isEmpty && rows.count == 1 && path?.root == 0)
        let anomalous: [JudgedTrace] = collector.anomalousTraces(limit: 5)
        let percentiles: [UInt32: Nanoseconds] = collector.serviceLatencyPercentiles("web", [5_000])
        let incomplete: [TraceID] = collector.incompleteTraces()
        let pruned: Int = collector.pruneExpired()
        #expect(anomalous.isEmpty && percentiles.count == 1 && incomplete.isEmpty && pruned == 0)
        let graph: FlameGraphText = traceToFlamegraph(tree)
        let objective = ServiceObjective(latency: .seconds(1), availabilityBasisPoints: 9_900)
        let reports: [ComplianceReport] = sloComplianceReport(collector, ["web": objective])
        let calls: CallGraph = dependencyGraph(collector)
        let slow: [TraceSpan] = slowSpanAnalysis(collector, threshold: .milliseconds(1), limit: 5)
        #expect(!graph.folded.isEmpty && reports.count == 1 && calls.edges.isEmpty && slow == [span])
        let headers: [HeaderField] = injectTraceContext([], traceID: id, spanID: SpanID(1), sampled: true)
        let context: TraceContext? = extractTraceContext(headers)
        #expect(context?.traceID == id && throwsMissing)
    }

    /// `spanFromDict` throws for an empty dictionary.
    private var throwsMissing: Bool {
        do throws(DecodeError) {
            _ = try spanFromDict(.object([:]))
            return false
        } catch {
            return error.code == "missing"
        }
    }
}
