// Choosing an instance locally: the same as the registry would, near before far, without whom this process avoids.

import EventModel
import MeshRules
import TestKit
import Testing

@testable import LatticeClient

@Suite struct `A local balancer` {
    // MARK: Views

    private struct Member {
        var id: String
        var region = "eu"
        var zone = "1"
        var weight: UInt32 = 100
        var health = HealthState.healthy
        var connections: UInt32 = 0
    }

    private func view(_ members: [Member]) -> ServiceView {
        let standing = ServiceStanding()
        let instances = members.sorted { $0.id.precedesInBytes($1.id) }.map { member in
            ServedInstance(
                InstanceSnapshot(
                    instance: ServiceInstance(
                        instanceID: member.id, serviceName: "cart", endpoint: "10.0.0.1:80", region: member.region,
                        zone: member.zone, weight: member.weight, metadata: [], registeredAt: .zero,
                        lastHeartbeat: .zero, incarnation: 1),
                    health: member.health, status: nil, activeConnections: member.connections),
                changedAt: SequenceNumber(1), standing: InstanceStanding(instanceID: member.id, service: standing))
        }
        return ServiceView(
            serviceName: "cart", instances: instances, asOf: AsOf(sequence: SequenceNumber(7), recordedAt: .zero),
            isProtected: false, generation: 1, standing: standing)
    }

    private func balancer(
        _ strategy: SelectionStrategy = .powerOfTwo, region: String = "", zone: String = "",
        failover: LocalBalancer.RegionFailover = .anyRegion, panic: Int = 5_000
    ) -> LocalBalancer {
        var options = LocalBalancer.Options()
        options.strategy = strategy
        options.locality = Locality(region: region, zone: zone)
        options.regionFailover = failover
        options.panicBasisPoints = panic
        options.seed = 1
        return LocalBalancer(options)
    }

    private func chosen(_ balancer: LocalBalancer, _ view: ServiceView, _ count: Int = 200) -> Set<String> {
        Set((0..<count).compactMap { _ in balancer.choose(from: view)?.instance.id })
    }

    // MARK: Strategies

    @Test(arguments: SelectionStrategy.allCases)
    func `chooses what the registry chooses`(strategy: EventModel.SelectionStrategy) throws {
        var dice = SplitMix64(state: 0x5DC)
        for _ in 0..<400 {
            let count = Int(dice.next(below: 12)) + 1
            let isMixed = dice.next(below: 2) == 0
            let members = (0..<count).map { index in
                Member(
                    id: "i-\(index)", weight: isMixed ? UInt32(dice.next(below: 40) * dice.next(below: 25)) : 100,
                    connections: UInt32(dice.next(below: 4)))
            }
            let view = view(members)
            let candidates = view.instances.map {
                SelectionCandidate(
                    instanceID: $0.id, weight: $0.weight, activeConnections: UInt64($0.reportedConnections))
            }
            let (seed, cursor) = (dice.next(), dice.next(below: 10_000))
            let expected = try #require(
                Selection.choose(candidates, strategy: strategy, seed: seed, cursor: cursor))
            let balancer = balancer(strategy)
            let choice = try #require(balancer.choose(from: view, seed: seed, cursor: cursor))
            #expect(isSame(choice.instance.id, candidates[expected], of: candidates, strategy))
            // Without one of them it is as if that one were not there.
            let tried = view.instances[Int(dice.next(below: UInt64(count)))]
            let rest = candidates.filter { $0.instanceID != tried.id }
            let second = balancer.choose(from: view, excluding: [tried.standing], seed: seed, cursor: cursor)
            let again = Selection.choose(rest, strategy: strategy, seed: seed, cursor: cursor)
            #expect((second == nil) == (again == nil))
            if let second, let again { #expect(isSame(second.instance.id, rest[again], of: rest, strategy)) }
        }
    }

    /// The same instance, or, where loads decide, one with the same load for its weight.
    private func isSame(
        _ id: String, _ expected: SelectionCandidate, of candidates: [SelectionCandidate],
        _ strategy: EventModel.SelectionStrategy
    ) -> Bool {
        if strategy == .weightedRandom || strategy == .roundRobin { return id == expected.instanceID }
        guard let chosen = candidates.first(where: { $0.instanceID == id }) else { return false }
        return chosen.activeConnections * UInt64(max(1, expected.weight))
            == expected.activeConnections * UInt64(max(1, chosen.weight))
    }

    /// Ten thousand choices, one after the other and sixteen at once: each instance gets its weight's share, within four
    /// standard deviations of dice that obey it, and within a request at each of the sixteen places.
    @Test(arguments: SelectionStrategy.allCases, [1, 16])
    func `every strategy obeys weights`(strategy: EventModel.SelectionStrategy, atOnce: Int) throws {
        let weights: [UInt32] = [90, 10]
        let view = view(weights.enumerated().map { Member(id: "i-\($0.offset)", weight: $0.element, connections: 0) })
        let balancer = balancer(strategy)
        var (counts, open): ([String: Int], [ServedInstance]) = ([:], [])
        let total = 10_000
        for _ in 0..<total {
            // The oldest ends: every request takes as long as any other.
            if open.count == atOnce { open.removeFirst().standing.connectionClosed() }
            let instance = try #require(balancer.choose(from: view)?.instance)
            instance.standing.connectionOpened()
            open.append(instance)
            counts[instance.id, default: 0] += 1
        }
        let share = Double(counts["i-1"] ?? 0) / Double(total)
        let deviation = 4 * (0.1 * 0.9 / Double(total)).squareRoot()
        let granularity = atOnce == 1 ? 0 : 1 / Double(atOnce)
        #expect(abs(share - 0.1) <= deviation + granularity, "\(strategy): \(share)")
    }

    @Test(arguments: [EventModel.SelectionStrategy.leastConnections, .powerOfTwo])
    func `one request after the other does not go to the smallest id for ever`(
        strategy: EventModel.SelectionStrategy
    ) {
        let view = view((0..<4).map { Member(id: "i-\($0)") })
        var counts: [String: Int] = [:]
        let balancer = balancer(strategy)
        for _ in 0..<4_000 {
            if let choice = balancer.choose(from: view) { counts[choice.instance.id, default: 0] += 1 }
        }
        #expect(counts.count == 4 && counts.values.allSatisfy { (850...1_150).contains($0) }, "\(counts)")
    }

    @Test func `counts its own connections and what others report, once`() {
        let view = view([Member(id: "a", connections: 5), Member(id: "b", connections: 3)])
        let (a, b) = (view.instances[0].standing, view.instances[1].standing)
        let balancer = balancer(.leastConnections)
        #expect(chosen(balancer, view, 4) == ["b"])
        for _ in 0..<4 { b.connectionOpened() }
        #expect(chosen(balancer, view, 4) == ["a"])
        // What we told the registry is in its sum.
        b.reportedByUs = 3
        #expect(b.activeConnections == 4 && chosen(balancer, view, 4) == ["b"])
        a.reportedByUs = 5
        #expect(chosen(balancer, view, 4) == ["a"])
        for _ in 0..<5 { b.connectionClosed() }
        #expect(b.activeConnections == 0)
    }

    @Test func `round robin takes each in its turn, by weight`() {
        let view = view([Member(id: "a", weight: 500), Member(id: "b"), Member(id: "c")])
        let balancer = balancer(.roundRobin)
        let order = (0..<14).compactMap { _ in balancer.choose(from: view)?.instance.id }
        #expect(order.joined() == "aabacaaaabacaa")
    }

    // MARK: Where

    @Test func `stays in its zone, then in its region, then goes anywhere`() throws {
        let members = [
            Member(id: "a", region: "eu", zone: "1"), Member(id: "b", region: "eu", zone: "2"),
            Member(id: "c", region: "us", zone: "1"), Member(id: "d", region: "ap", zone: "1"),
        ]
        let all = view(members)
        #expect(chosen(balancer(region: "eu", zone: "1"), all) == ["a"])
        #expect(balancer(region: "eu", zone: "1").choose(from: all)?.reach == .zone)
        #expect(chosen(balancer(region: "eu", zone: "3"), all) == ["a", "b"])
        #expect(chosen(balancer(region: "eu"), all) == ["a", "b"])
        #expect(chosen(balancer(region: "sa", zone: "1"), all) == ["a", "b", "c", "d"])
        #expect(chosen(balancer(), all) == ["a", "b", "c", "d"])
        let balancer = balancer(region: "eu", zone: "1")
        let tried = ["a", "b"].compactMap { all.instance($0)?.standing }
        #expect(balancer.choose(from: all, excluding: [tried[0]])?.instance.id == "b")
        let far = try #require(balancer.choose(from: all, excluding: tried))
        #expect(["c", "d"].contains(far.instance.id) && far.reach == .any)
        #expect(balancer.choose(from: all, excluding: all.instances.map(\.standing)) == nil)
    }

    @Test func `fails over to regions in order, if told so`() {
        let all = view([
            Member(id: "a", region: "eu"), Member(id: "b", region: "us"), Member(id: "c", region: "ap"),
            Member(id: "d", region: "ap", weight: 200),
        ])
        let balancer = balancer(.weightedRandom, region: "eu", failover: .inOrder)
        #expect(chosen(balancer, all) == ["a"])
        all.instance("a")?.standing.isEjected = true
        #expect(chosen(balancer, all) == ["c", "d"])
        #expect(all.failoverCandidates(excludedRegions: ["eu"]).map(\.id) == ["d", "c", "b"])
    }

    @Test func `those without weight are the last resort`() {
        let all = view([Member(id: "a", zone: "1", weight: 0), Member(id: "b", zone: "2")])
        let balancer = balancer(region: "eu", zone: "1")
        #expect(chosen(balancer, all) == ["b"])
        let b = all.instances[1].standing
        #expect(balancer.choose(from: all, excluding: [b])?.instance.id == "a")
    }

    // MARK: Whom not

    @Test func `takes healthy ones, or all where too few are`() {
        let two = view([Member(id: "a"), Member(id: "b", health: .unhealthy)])
        #expect(chosen(balancer(), two) == ["a"])
        let three = view([Member(id: "a"), Member(id: "b", health: .unhealthy), Member(id: "c", health: .stale)])
        #expect(chosen(balancer(), three) == ["a", "b", "c"])
        #expect(balancer().choose(from: three)?.isPanic == true)
        #expect(chosen(balancer(panic: 0), three) == ["a"])
        #expect(balancer(panic: 0).choose(from: view([Member(id: "b", health: .stale)])) == nil)
        #expect(balancer().choose(from: view([])) == nil)
    }

    @Test func `avoids who is ejected, as long as there is another`() {
        let all = view([Member(id: "a"), Member(id: "b")])
        let balancer = balancer()
        #expect(chosen(balancer, all) == ["a", "b"])
        all.instances[0].standing.isEjected = true
        #expect(chosen(balancer, all) == ["b"])
        all.instances[1].standing.isEjected = true
        #expect(chosen(balancer, all) == ["a", "b"])
        all.instances[0].standing.isEjected = false
        #expect(chosen(balancer, all) == ["a"])
    }

    // MARK: Explaining

    @Test func `a recorded choice names all that could have been chosen`() throws {
        let all = view([Member(id: "a"), Member(id: "b"), Member(id: "c", zone: "2")])
        let balancer = balancer(region: "eu", zone: "1")
        #expect(balancer.choose(from: all)?.candidates.isEmpty == true)
        let tried = [all.instances[0].standing]
        let choice = try #require(
            balancer.choose(from: all, excluding: tried, recordsCandidates: true, seed: 5))
        let trace = TraceID(high: 1, low: 2)
        let event = choice.selection(traceID: trace)
        #expect(event.candidates == ["b"] && event.chosen == "b" && event.seed == 5)
        #expect(event.asOf == SequenceNumber(7) && event.strategy == .powerOfTwo && event.traceID == trace.bytes)
        #expect(choice.selection(traceID: nil).traceID.isEmpty)
    }

    @Test func `endpoints are taken apart`() {
        func instance(_ endpoint: String) -> ServedInstance {
            ServedInstance(
                InstanceSnapshot(
                    instance: ServiceInstance(
                        instanceID: "a", serviceName: "cart", endpoint: endpoint, region: "", zone: "", weight: 1,
                        metadata: [MetadataEntry(key: "version", value: "2")], registeredAt: .zero,
                        lastHeartbeat: .zero, incarnation: 1),
                    health: .healthy, status: nil, activeConnections: 0),
                changedAt: .origin, standing: InstanceStanding(instanceID: "a", service: ServiceStanding()))
        }
        let six = instance("[fd00::1]:8080")
        #expect(six.host == "fd00::1" && six.port == 8_080 && six.metadata("version") == "2")
        let name = instance("cart.internal:80")
        #expect(name.host == "cart.internal" && name.port == 80 && name.metadata("region") == nil)
        #expect(instance("cart").host == "cart" && instance("cart").port == 0)
    }
}
