// What can be asked: resolve, failover, topology, and by name.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Resolving` {
    @Test func `the answer is in order of the ids' bytes`() {
        var story = Story()
        let ids = ["b", "a", "Z", "\u{E9}", "e\u{301}", "~", "a-10", "a-9"]
        story.serve(ids)
        let sorted = ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        #expect(story.ids().map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
    }

    @Test func `an unknown service has no instances`() {
        #expect(Story().ids("nobody").isEmpty)
    }

    @Test func `the region is a filter`() {
        var story = Story()
        story.serve(["a"], region: "eu")
        story.serve(["b"], region: "us")
        #expect(story.ids(region: "us") == ["b"])
        #expect(story.ids(region: "asia").isEmpty)
    }

    @Test func `a lower weight than asked for is left out`() {
        var story = Story()
        story.serve(["a"], weight: 10)
        story.serve(["b"], weight: 11)
        #expect(story.ids(minimumWeight: 11) == ["b"])
    }

    @Test func `below the panic threshold all are answered if asked to`() {
        var story = Story()
        story.serve(["a", "b", "c"])
        story.happens(
            healthReported(["a", "c"].map { report($0, healthy: false, checked: story.now) }))
        #expect(story.ids() == ["b"])
        #expect(story.ids(allowPanic: true) == ["a", "b", "c"])
        #expect(story.registry.resolve(serviceName: "checkout", allowPanic: true).panic)
        #expect(!story.registry.resolve(serviceName: "checkout").panic)
    }

    @Test func `half of the service healthy is no panic`() {
        var story = Story()
        story.serve(["a", "b"])
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        #expect(story.ids(allowPanic: true) == ["b"])
    }

    @Test func `a limit says how many it left out`() {
        var story = Story()
        story.serve(["a", "b", "c"])
        let answer = story.registry.resolve(serviceName: "checkout", limit: 2)
        #expect(answer.instances.map(\.instance.instanceID) == ["a", "b"])
        #expect(answer.omitted == 1)
    }

    @Test func `an answer says at which record it is true`() {
        var story = Story()
        story.serve(["a"])
        let answer = story.registry.resolve(serviceName: "checkout")
        #expect(answer.asOf == AsOf(sequence: SequenceNumber(1), recordedAt: story.now))
    }
}

@Suite struct `Failover` {
    @Test func `healthy first, then by region, weight descending and id, without the excluded regions`() {
        var story = Story()
        story.serve(["u2", "u1"], region: "us", weight: 5)
        story.serve(["u3"], region: "us", weight: 50)
        story.serve(["e1", "e2"], region: "eu")
        story.serve(["x"], region: "ap")
        story.happens(healthReported([report("e1", healthy: false, checked: story.now)]))
        let answer = story.registry.failoverCandidates(serviceName: "checkout", excludedRegions: ["ap"])
        #expect(answer.instances.map(\.instance.instanceID) == ["e2", "u3", "u1", "u2", "e1"])
        let cut = story.registry.failoverCandidates(serviceName: "checkout", excludedRegions: [], limit: 1)
        #expect(cut.instances.map(\.instance.instanceID) == ["x"] && cut.omitted == 5)
    }

    @Test func `an excluded region is known by its bytes`() {
        var story = Story()
        story.serve(["a"], region: "caf\u{E9}")
        let answer = story.registry.failoverCandidates(serviceName: "checkout", excludedRegions: ["cafe\u{301}"])
        #expect(answer.instances.count == 1)
        #expect(story.ids(region: "cafe\u{301}").isEmpty)
    }
}

@Suite struct `Topology` {
    @Test func `services by region and zone with their healthy ones and weights`() {
        var story = Story()
        story.serve(["b"], of: "cart", region: "us", zone: "us-1", weight: 1)
        story.serve(["a1", "a2"], region: "eu", zone: "eu-2", weight: 10)
        story.serve(["a3"], region: "eu", zone: "eu-1", weight: 3)
        story.happens(healthReported([report("a1", healthy: false, checked: story.now)]))
        let services = story.registry.serviceTopology().services
        #expect(services.map(\.serviceName) == ["cart", "checkout"])
        #expect(services[1].instances == 3 && services[1].healthy == 2 && services[1].weight == 23)
        #expect(services[1].zones.map(\.zone) == ["eu-1", "eu-2"])
        #expect(services[1].zones[1].instances == 2 && services[1].zones[1].healthy == 1)
        #expect(services[1].zones[1].weight == 20)
        #expect(story.registry.serviceTopology(withZones: false).services.allSatisfy { $0.zones.isEmpty })
    }

    @Test func `another service's change does not touch a service's sequence`() {
        var story = Story()
        story.serve(["a"])
        story.serve(["b"], of: "cart")
        story.happens(deregistered(["b"], of: "cart"), changes: ["cart"])
        #expect(story.changedSequence("checkout") == 1)
        #expect(story.changedSequence("cart") == 3)
    }

    @Test func `heartbeats and load change no sequence`() {
        var story = Story()
        story.serve(["a"])
        story.happens(heartbeat(["a"]), changes: [])
        story.happens(load("a", 2), changes: [])
        #expect(story.changedSequence("checkout") == 1)
    }

    @Test func `a recorded selection changes nothing`() {
        var story = Story()
        story.serve(["a"])
        let selection = InstanceSelection(
            traceID: [], candidates: ["a"], chosen: "a", strategy: .roundRobin, asOf: SequenceNumber(1), seed: 0)
        story.happens(
            .registry(.instanceSelected(Batch(serviceName: "checkout", events: [selection]))), changes: [])
    }
}

@Suite struct `Queries by name` {
    @Test(arguments: RegistryQueryName.allCases)
    func `each query is answered`(name: RegistryQueryName) throws {
        var story = Story()
        story.serve(["a"])
        story.happens(deregistered(["a"]))
        story.serve(["a"])
        var query = RegistryQuery()
        query.serviceName = "checkout"
        query.instanceID = "a"
        #expect(try !story.registry.answer(name, query).isEmpty)
    }

    @Test(arguments: [RegistryQueryName.resolve, .select, .failoverCandidates, .instance])
    func `a query without its name is an invalid argument`(name: RegistryQueryName) {
        let error = #expect(throws: QueryError.self) { try Story().registry.answer(name, RegistryQuery()) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func `an instance that is not registered is not found`() {
        var query = RegistryQuery()
        query.instanceID = "a"
        let error = #expect(throws: QueryError.self) { try Story().registry.answer(.instance, query) }
        #expect(error?.code == .notFound)
    }

    @Test func `a selection without instances is not found`() {
        var query = RegistryQuery()
        query.serviceName = "checkout"
        let error = #expect(throws: QueryError.self) { try Story().registry.select(query) }
        #expect(error?.code == .notFound)
    }
}
