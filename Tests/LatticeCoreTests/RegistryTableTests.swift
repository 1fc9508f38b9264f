// The registry's rows of Specification.md, each with what it does in the caller's own process.

import EventModel
import LatticeCore
import Testing

@Suite struct `The specification's registry` {
    private let clock = SetClock()

    private func instance(
        _ id: String, of service: String = "cart", region: String = "eu", weight: UInt32 = 100
    ) -> ServiceInstance {
        ServiceInstance(
            instanceID: id, serviceName: service, endpoint: "10.0.0.\(id.utf8.count):8080", region: region, zone: "a",
            weight: weight)
    }

    private func registry(_ instances: ServiceInstance...) throws -> LocalRegistry {
        var registry = try createRegistry(clock: clock.reading)
        for instance in instances { try registry.register(instance) }
        return registry
    }

    private func names(_ answer: InstancesAnswer) -> [String] { answer.instances.map(\.instance.instanceID) }

    @Test func `ServiceInstance, the type`() throws {
        var told = instance("a", weight: 7)
        told.metadata = [MetadataEntry(key: "version", value: "2")]
        told.registeredAt = Timestamp(nanoseconds: 1)
        let found = try #require(try registry(told).resolve("cart").instances.first?.instance)
        #expect(found.instanceID == "a" && found.serviceName == "cart" && found.endpoint == "10.0.0.1:8080")
        #expect(found.region == "eu" && found.zone == "a" && found.weight == 7 && found.metadata == told.metadata)
        #expect(found.registeredAt == clock.now && found.lastHeartbeat == clock.now)
    }

    @Test func `HealthStatus, the type`() throws {
        var registry = try registry(instance("a"))
        let status = HealthStatus(
            instanceID: "a", healthy: false, latency: .milliseconds(12), consecutiveFailures: 4, lastCheck: clock.now,
            reason: "503")
        try registry.updateHealth(status)
        let found = registry.resolve("cart", healthyOnly: false).instances.first?.status
        #expect(found == status && found?.latencyMs == 12)
    }

    @Test func `ServiceRegistry, the type`() throws {
        var registry = try registry(instance("a"))
        let fork = registry
        try registry.deregister("a")
        #expect(registry.instanceCount == 0 && fork.instanceCount == 1)
        #expect(registry.digest != fork.digest)
        #expect(registry.asOf.sequence > fork.asOf.sequence)
    }

    @Test func `register(instance)`() throws {
        var registry = try registry()
        #expect(try registry.register(instance("a")).replaced == [])
        #expect(try registry.register(instance("a", weight: 50)).replaced == [0])
        #expect(registry.resolve("cart").instances.map(\.instance.weight) == [50])
        expectRefusal(.wrongService) { try registry.register(instance("a", of: "web")) }
        expectRefusal(.weightOutOfRange) { try registry.register(instance("b", weight: 1_001)) }
        var astray = instance("b")
        astray.endpoint = "127.0.0.1:80"
        expectRefusal(.invalidEndpoint) { try registry.register(astray) }
        var earlier = instance("a")
        earlier.incarnation = -1
        expectRefusal(.staleIncarnation) { try registry.register(earlier) }
        let before = registry.asOf
        expectMalformed("instance_id") { try registry.register(instance(String(repeating: "x", count: 257))) }
        expectMalformed("service_name") { try registry.register(instance("b", of: "")) }
        #expect(registry.asOf == before && registry.instanceCount == 1)
    }

    @Test func `deregister(instance_id)`() throws {
        var registry = try registry(instance("a"), instance("bb"))
        try registry.deregister("a", reason: "done")
        #expect(names(registry.resolve("cart")) == ["bb"])
        let removal = try #require(registry.removals("cart").removals.first)
        #expect(removal.instanceID == "a" && removal.kind == .deregistered && removal.reason == "done")
        expectRefusal(.unknownInstance) { try registry.deregister("a") }
    }

    @Test func `heartbeat(instance_id)`() throws {
        var registry = try registry(instance("a"), instance("bb"), instance("ccc"))
        clock.pass(20)
        for id in ["bb", "ccc"] { try registry.heartbeat(id) }
        clock.pass(11)
        #expect(names(registry.resolve("cart")) == ["bb", "ccc"])
        try registry.heartbeat("a")
        #expect(names(registry.resolve("cart")) == ["a", "bb", "ccc"])
        #expect(registry.resolve("cart").instances.first?.instance.lastHeartbeat == clock.now)
        expectRefusal(.unknownInstance) { try registry.heartbeat("dddd") }
    }

    @Test func `update_health(status)`() throws {
        var registry = try registry(instance("a"), instance("bb"))
        func report(_ healthy: Bool, failures: UInt32 = 0, latency: Nanoseconds = .zero) throws {
            clock.pass(1)
            try registry.updateHealth(
                HealthStatus(
                    instanceID: "a", healthy: healthy, latency: latency, consecutiveFailures: failures,
                    lastCheck: clock.now))
        }
        func failures() -> UInt32? {
            registry.resolve("cart", healthyOnly: false).instances.first?.status?.consecutiveFailures
        }
        try report(false)
        try report(false)
        #expect(failures() == 2 && names(registry.resolve("cart")) == ["bb"])
        try report(false, failures: 9)
        #expect(failures() == 9)
        try report(true)
        #expect(failures() == 0 && names(registry.resolve("cart")) == ["a", "bb"])
        expectRefusal(.negativeLatency) { try report(false, latency: Nanoseconds(-1)) }
        expectRefusal(.stale) {
            try registry.updateHealth(
                HealthStatus(instanceID: "a", healthy: false, lastCheck: Timestamp(nanoseconds: 1)))
        }
        expectRefusal(.unknownInstance) {
            try registry.updateHealth(HealthStatus(instanceID: "x", healthy: true, lastCheck: clock.now))
        }
    }

    @Test func `resolve(service_name, region, healthy_only, min_weight)`() throws {
        var registry = try registry(
            instance("a"), instance("bb", region: "us"), instance("ccc", weight: 10), instance("z", of: "web"))
        try registry.updateHealth(HealthStatus(instanceID: "a", healthy: false, lastCheck: clock.now))
        #expect(names(registry.resolve("cart")) == ["bb", "ccc"])
        #expect(names(registry.resolve("cart", healthyOnly: false)) == ["a", "bb", "ccc"])
        #expect(names(registry.resolve("cart", region: "us")) == ["bb"])
        #expect(names(registry.resolve("cart", minimumWeight: 11)) == ["bb"])
        #expect(registry.resolve("nobody").instances.isEmpty)
        try registry.updateHealth(HealthStatus(instanceID: "bb", healthy: false, lastCheck: clock.now))
        let panic = registry.resolve("cart", allowPanic: true)
        #expect(panic.panic && names(panic) == ["a", "bb", "ccc"])
    }

    @Test func `select_instance(service_name, region, strategy)`() throws {
        var registry = try registry(instance("a"), instance("bb", region: "us"), instance("ccc", weight: 0))
        let answer = try registry.selectInstance("cart", region: "us")
        #expect(answer.instance.instance.instanceID == "bb" && answer.candidates == ["bb"])
        let (one, other) = (try registry.selectInstance("cart", seed: 7), try registry.selectInstance("cart", seed: 7))
        #expect(one == other)
        for seed in 0..<50 {
            #expect(try registry.selectInstance("cart", seed: UInt64(seed)).instance.instance.instanceID != "ccc")
        }
        #expect(throws: LocalError.self) { try registry.selectInstance("nobody") }
        do {
            _ = try registry.selectInstance("")
            Issue.record("nobody was asked for")
        } catch {
            #expect("\(error)".contains("service_name"))
        }
    }

    @Test func `weighted-random, round-robin, least-connections`() throws {
        var registry = try registry(instance("a", weight: 900), instance("bb"))
        func chosen(_ strategy: SelectionStrategy, seed: UInt64? = nil) throws -> String {
            try registry.selectInstance("cart", strategy: strategy, seed: seed).instance.instance.instanceID
        }
        let drawn = try (0..<1_000).filter { try chosen(.weightedRandom, seed: UInt64($0)) == "a" }.count
        #expect((850...950).contains(drawn), "nine of ten, not \(drawn)")
        let round = try (0..<20).map { _ in try chosen(.roundRobin) }
        #expect(round.contains("a") && round.contains("bb"))
        try registry.reportLoad("a", activeConnections: 40)
        try registry.reportLoad("bb", activeConnections: 1)
        #expect(try chosen(.leastConnections) == "bb")
        try registry.reportLoad("bb", activeConnections: 400)
        #expect(try chosen(.leastConnections) == "a")
        expectRefusal(.unknownInstance) { try registry.reportLoad("x", activeConnections: 1) }
        #expect(SelectionStrategy(name: "power-of-two") == .powerOfTwo)
    }

    @Test func `stale_instances()`() throws {
        var registry = try registry(instance("a"), instance("bb"), instance("z", of: "web"))
        clock.pass(30)
        #expect(registry.staleInstances().instances.isEmpty)
        try registry.heartbeat("bb")
        clock.pass(1)
        #expect(names(registry.staleInstances()) == ["a", "z"])
        #expect(names(registry.staleInstances("web")) == ["z"])
        registry.advance()
        #expect(names(registry.staleInstances("cart")) == ["a"])
    }

    @Test func `service_topology()`() throws {
        let registry = try registry(instance("a"), instance("bb", region: "us", weight: 5), instance("z", of: "web"))
        #expect(registry.serviceTopology().services.map(\.serviceName) == ["cart", "web"])
        let cart = try #require(registry.serviceTopology("cart").services.first)
        #expect(cart.instances == 2 && cart.healthy == 2 && cart.weight == 105)
        #expect(cart.zones.map(\.region) == ["eu", "us"] && cart.zones.map(\.instances) == [1, 1])
        #expect(registry.serviceTopology("nobody").services.isEmpty)
    }

    @Test func `create_registry(config)`() throws {
        var registry = try createRegistry(
            RegistryConfiguration(staleAfter: .seconds(2), allowLoopback: true), clock: clock.reading)
        var local = instance("a")
        local.endpoint = "127.0.0.1:80"
        try registry.register(local)
        clock.pass(3)
        #expect(names(registry.staleInstances()) == ["a"])
        try registry.configure(RegistryConfiguration(staleAfter: .seconds(5)))
        #expect(registry.staleInstances().instances.isEmpty)
        expectRefusal(.invalidSetting) {
            _ = try createRegistry(RegistryConfiguration(staleAfter: .zero), clock: clock.reading)
        }
        let today = try createRegistry().asOf.recordedAt
        #expect(today > clock.now)
    }

    @Test func `bulk_register(registry, instances, fail_fast)`() throws {
        var registry = try registry()
        let list = [
            instance("a"), instance("z", of: "web"), instance("bb", weight: 2_000), instance("ccc"),
            instance("y", of: "web"),
        ]
        let answer = try bulkRegister(&registry, list)
        #expect(answer.accepted == 4 && answer.refused == [Refusal(index: 2, reason: .weightOutOfRange)])
        var other = try createRegistry(clock: clock.reading)
        let stopped = try bulkRegister(&other, list, failFast: true)
        #expect(stopped.accepted == 2 && names(other.resolve("cart")) == ["a"])
        #expect(stopped.refused.map(\.index) == [2, 3, 4])
        #expect(stopped.refused.map(\.reason) == [.weightOutOfRange, .notAttempted, .notAttempted])
        let again = try bulkRegister(&registry, [instance("a"), instance("new")])
        let none = try bulkRegister(&registry, [])
        #expect(again.replaced == [0] && none.accepted == 0 && none.verdict == .accepted)
        let before = registry.instanceCount
        expectMalformed("region") {
            try bulkRegister(&registry, [instance("n"), instance("o", region: String(repeating: "r", count: 300))])
        }
        #expect(registry.instanceCount == before)
        // More than stand in one message of a mebibyte.
        var many = (0..<300).map { instance("many-\($0)", of: "many") }
        for index in many.indices {
            many[index].metadata = [MetadataEntry(key: "k", value: String(repeating: "v", count: 4_096))]
        }
        let taken = try bulkRegister(&registry, many)
        #expect(taken.accepted == 300)
    }

    @Test func `health_check_sweep(registry, health_results, evict_threshold)`() throws {
        var registry = try registry(instance("a"), instance("bb"), instance("ccc"), instance("z", of: "web"))
        func status(_ id: String, _ healthy: Bool, failures: UInt32 = 0) -> HealthStatus {
            HealthStatus(instanceID: id, healthy: healthy, consecutiveFailures: failures, lastCheck: clock.now)
        }
        let first = try healthCheckSweep(
            &registry, [status("a", false, failures: 2), status("nobody", true), status("bb", true)],
            evictThreshold: 3)
        #expect(first.accepted == 2 && first.refused == [Refusal(index: 1, reason: .unknownInstance)])
        #expect(first.consequences.isEmpty && names(registry.resolve("cart")) == ["bb", "ccc"])
        clock.pass(1)
        let second = try healthCheckSweep(
            &registry, [status("a", false), status("bb", false, failures: 3), status("z", false, failures: 9)])
        #expect(second.consequences.map(\.instanceID) == ["a"], "the guard lets one of three go, and no last one")
        #expect(registry.removals("cart").removals.first?.reason == "health_sweep")
        clock.pass(1)
        let third = try healthCheckSweep(&registry, [status("bb", false, failures: 90)], evictThreshold: 0)
        #expect(third.accepted == 1 && third.consequences.isEmpty)
    }

    @Test func `failover_candidates(registry, service_name, exclude_regions)`() throws {
        var registry = try registry(
            instance("a"), instance("bb", region: "us", weight: 10), instance("ccc", region: "us", weight: 20),
            instance("dddd", region: "asia"))
        #expect(names(failoverCandidates(registry, "cart", excludedRegions: ["eu"])) == ["dddd", "ccc", "bb"])
        try registry.updateHealth(HealthStatus(instanceID: "dddd", healthy: false, lastCheck: clock.now))
        #expect(names(failoverCandidates(registry, "cart", excludedRegions: ["eu"])) == ["ccc", "bb", "dddd"])
        #expect(failoverCandidates(registry, "cart", excludedRegions: ["eu", "us", "asia"]).instances.isEmpty)
        #expect(names(failoverCandidates(registry, "cart")) == ["a", "ccc", "bb", "dddd"])
    }

    @Test func `SERVICE_SLO["discovery"]`() {
        #expect(SERVICE_SLO["discovery"]?.latencyMs == 15 && SERVICE_SLO["discovery"]?.availability == 0.9999)
    }

    @Test func `who is silent for long is evicted by the clock alone`() throws {
        var registry = try registry(instance("a"), instance("bb"), instance("ccc"))
        for _ in 0..<64 {
            clock.pass(10)
            for id in ["bb", "ccc"] { try registry.heartbeat(id) }
        }
        #expect(names(registry.resolve("cart", healthyOnly: false)) == ["bb", "ccc"])
        #expect(registry.removals().removals.map(\.reason) == ["heartbeat_timeout"])
        clock.pass(2_000)
        #expect(registry.instanceCount == 2 && registry.resolve("cart").protected, "who is missing is too many")
    }

    @Test func `a clock that jumps far, or back, is taken as it is`() throws {
        var registry = try registry(instance("a"))
        clock.pass(365 * 86_400)
        registry.advance()
        #expect(registry.asOf.recordedAt == clock.now && registry.asOf.sequence < SequenceNumber(7_300))
        clock.pass(-400 * 86_400)
        try registry.register(instance("dddd"))
        #expect(registry.resolve("cart").instances.last?.instance.instanceID == "dddd")
        #expect(registry.asOf.recordedAt == clock.now)
    }
}
