// Lists page by page: nothing is missed, nothing comes twice, everything fits a message, and changes add up.

import EventModel
import MeshRules
import Testing

@testable import StateMachines

@Suite struct `Pages of lists` {
    /// NATS' own limit.
    private static let messageBytes = 1_048_576

    private static func resolve(_ service: String = "checkout", limit: UInt32 = 0) -> RegistryQuery {
        var query = RegistryQuery()
        query.serviceName = service
        query.healthyOnly = false
        query.limit = limit
        return query
    }

    /// All pages of a query, each asked behind the one before; each must fit a message, some of them as JSON, too.
    private static func pages(
        _ name: RegistryQueryName, _ query: RegistryQuery, of registry: ServiceRegistry, asJSON: Bool = false,
        at location: SourceLocation = #_sourceLocation
    ) throws -> [[UInt8]] {
        var query = query
        var pages: [[UInt8]] = []
        while true {
            let page = try registry.answer(name, query)
            #expect(page.count <= messageBytes, sourceLocation: location)
            if asJSON, pages.count % 20 == 0 {
                let json = try JSONTranscoder.json(fromBinary: page, kind: name.answer)
                #expect(json.count <= messageBytes, sourceLocation: location)
            }
            pages.append(page)
            query.pageToken =
                switch name.answer {
                case .instancesAnswer: try InstancesAnswer.decode(page[...]).nextPageToken
                case .topologyAnswer: try TopologyAnswer.decode(page[...]).nextPageToken
                default: try RemovalsAnswer.decode(page[...]).nextPageToken
                }
            if query.pageToken.isEmpty { return pages }
            try #require(pages.count < 200_000, "pages without an end")
        }
    }

    private static func instances(_ pages: [[UInt8]]) throws -> [InstanceSnapshot] {
        try pages.flatMap { try InstancesAnswer.decode($0[...]).instances }
    }

    @Test func `a hundred thousand instances with metadata come whole, in pages that fit`() throws {
        var story = Story()
        let metadata = [MetadataEntry(key: "version", value: "1.4.2"), MetadataEntry(key: "rack", value: "r17")]
        for batch in 0..<50 {
            let events = (0..<2_000).map { number in
                var event = instance("checkout-\(100_000 + batch * 2_000 + number)", zone: "eu-\(number % 3)")
                event.metadata = metadata
                return event
            }
            story.append(registered(events))
        }
        let pages = try Self.pages(.resolve, Self.resolve(limit: 10_000), of: story.registry, asJSON: true)
        #expect(pages.count > 1)
        let found = try Self.instances(pages)
        #expect(found.count == 100_000 && found.allSatisfy { $0.instance.metadata == metadata })
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.instance.instanceID < $1.instance.instanceID })
        let first = try InstancesAnswer.decode(pages[0][...])
        #expect(first.omitted == 100_000 - UInt32(first.instances.count))
        var bare = Self.resolve(limit: 10_000)
        bare.withoutMetadata = true
        let plain = try InstancesAnswer.decode(try story.registry.answer(.resolve, bare)[...])
        #expect(
            plain.instances.allSatisfy(\.instance.metadata.isEmpty) && plain.instances.count > first.instances.count)
        // Whoever knows no pages gets what they always got: everything.
        let whole = story.registry.resolve(serviceName: "checkout")
        #expect(whole.instances.count == 100_000 && whole.nextPageToken.isEmpty && whole.omitted == 0)
    }

    @Test func `an instance that alone is more than a page comes by itself`() throws {
        var story = Story()
        for id in ["a", "b", "c"] {
            var event = instance(id)
            event.metadata = (0..<100).map {
                MetadataEntry(key: "k\($0)", value: String(repeating: "x", count: 4_096))
            }
            story.append(registered([event]))
        }
        let found = try Self.pages(.resolve, Self.resolve(limit: 100), of: story.registry, asJSON: true).map {
            try InstancesAnswer.decode($0[...])
        }
        #expect(found.map(\.instances.count) == [1, 1, 1] && found.map(\.omitted) == [2, 1, 0])
    }

    /// A mesh of several services, regions, zones and states of health, with removals.
    private static func mesh(_ dice: inout SplitMix64) -> Story {
        var story = Story()
        for service in ["cart", "checkout", "web"] {
            let count = Int(dice.next() % 40) + 1
            let events = (0..<count).map { number in
                instance(
                    "\(service)-\(number)", region: ["", "ap", "eu"][Int(dice.next() % 3)],
                    zone: "z\(dice.next() % 5)", weight: UInt32(dice.next() % 4))
            }
            story.append(registered(events, of: service))
            let sick = events.filter { _ in dice.next() % 4 == 0 }.map {
                report($0.instanceID, healthy: false, checked: story.now)
            }
            story.append(healthReported(sick, of: service))
        }
        story.pass(60, evicting: nil)
        story.append(heartbeat((0..<40).map { "web-\($0)" }, of: "web"))
        story.tick()
        for service in ["cart", "checkout"] {
            story.append(deregistered((0..<9).map { "\(service)-\($0)" }, of: service))
        }
        return story
    }

    @Test(arguments: 0..<12) func `pages of any size are the whole, row by row`(seed: Int) throws {
        var dice = SplitMix64(state: UInt64(seed) &+ 0x5EED)
        let registry = Self.mesh(&dice).registry
        for limit in [1, 3, 7, 1_000] as [UInt32] {
            var query = Self.resolve("checkout", limit: limit)
            query.healthyOnly = dice.next() % 2 == 0
            query.region = ["", "eu"][Int(dice.next() % 2)]
            query.minimumWeight = UInt32(dice.next() % 3)
            let whole = registry.resolve(
                serviceName: "checkout", region: query.region, healthyOnly: query.healthyOnly,
                minimumWeight: query.minimumWeight)
            #expect(try Self.instances(Self.pages(.resolve, query, of: registry)) == whole.instances)
            query = RegistryQuery()
            query.limit = limit
            #expect(
                try Self.instances(Self.pages(.staleInstances, query, of: registry))
                    == registry.staleInstances().instances)
            let removals = try Self.pages(.removals, query, of: registry).flatMap {
                try RemovalsAnswer.decode($0[...]).removals
            }
            #expect(removals == registry.removals(limit: 1_000).removals && !removals.isEmpty)
            for name in [RegistryQueryName.services, .topology] {
                let services = try Self.pages(name, query, of: registry).flatMap {
                    try TopologyAnswer.decode($0[...]).services
                }
                #expect(services == registry.serviceTopology(withZones: name == .topology).services)
            }
            query.serviceName = "checkout"
            query.excludedRegions = dice.next() % 2 == 0 ? ["ap"] : []
            let candidates = registry.failoverCandidates(
                serviceName: "checkout", excludedRegions: query.excludedRegions)
            #expect(
                try Self.instances(Self.pages(.failoverCandidates, query, of: registry)) == candidates.instances)
        }
    }

    @Test func `zones that do not fit a page go on behind it`() throws {
        var story = Story()
        let events = (0..<1_500).map { number in
            instance("a-\(number)", region: String(repeating: "r", count: 200), zone: "zone-\(10_000 + number)")
        }
        story.append(registered(events))
        var query = RegistryQuery()
        query.limit = 1_000
        let pages = try Self.pages(.topology, query, of: story.registry, asJSON: true).map {
            try TopologyAnswer.decode($0[...])
        }
        #expect(pages.count > 1 && pages.allSatisfy { $0.services.count == 1 && $0.services[0].instances == 1_500 })
        #expect(pages.flatMap { $0.services[0].zones } == story.registry.serviceTopology().services[0].zones)
    }

    // MARK: Changes

    /// What a resolver sees of an instance; heartbeats and the figures of checks are no changes.
    private struct Seen: Equatable {
        let instance: ServiceInstance
        let health: HealthState
        let connections: UInt32

        init(_ snapshot: InstanceSnapshot) {
            var instance = snapshot.instance
            instance.lastHeartbeat = .zero
            self.instance = instance
            health = snapshot.health
            connections = snapshot.activeConnections
        }
    }

    private static func apply(_ changes: InstancesAnswer, to known: [InstanceSnapshot]) -> [InstanceSnapshot] {
        var byID = Dictionary(uniqueKeysWithValues: known.map { ($0.instance.instanceID, $0) })
        for id in changes.left { byID[id] = nil }
        for instance in changes.instances { byID[instance.instance.instanceID] = instance }
        return byID.values.sorted { $0.instance.instanceID.precedesInBytes($1.instance.instanceID) }
    }

    /// One more record about `checkout`, of any kind.
    private static func step(_ story: inout Story, _ dice: inout SplitMix64) {
        let ids = (0..<Int(dice.next() % 4) + 1).map { _ in "a-\(dice.next() % 12)" }
        switch dice.next() % 9 {
        case 0, 1:
            story.append(
                registered(
                    Set(ids).sorted().map {
                        instance($0, region: ["eu", "us"][Int(dice.next() % 2)], weight: UInt32(dice.next() % 3))
                    }))
        case 2: story.append(deregistered(ids))
        case 3: story.append(healthReported([report(ids[0], healthy: dice.next() % 2 == 0, checked: story.now)]))
        case 4: story.append(load(ids[0], UInt32(dice.next() % 3), by: "gw-\(dice.next() % 2)"))
        case 5: story.append(heartbeat(ids))
        case 6: story.append(registered([instance("b")], of: "cart"))
        default: story.pass(Int64(dice.next() % 4 + 1) * 10, evicting: nil)
        }
    }

    @Test(arguments: 0..<24) func `what changed since any record makes the old answer the new one`(seed: Int) throws {
        var dice = SplitMix64(state: UInt64(seed) &+ 0xC0FFEE)
        var story = Story()
        story.serve(names(0..<6))
        var query = Self.resolve()
        query.healthyOnly = seed % 2 == 0
        query.region = seed % 3 == 0 ? "eu" : ""
        var answers: [InstancesAnswer] = []
        for _ in 0..<80 {
            answers.append(story.registry.members(query, after: nil))
            Self.step(&story, &dice)
        }
        let now = story.registry.members(query, after: nil)
        for old in answers {
            var known = old.instances
            query.changedSince = old.asOf.sequence
            query.limit = UInt32(dice.next() % 5) + 1
            query.pageToken = ""
            for page in try Self.pages(.resolve, query, of: story.registry) {
                let changes = try InstancesAnswer.decode(page[...])
                #expect(changes.changedSince == old.asOf.sequence)
                #expect(changes.instances.count + changes.left.count <= Int(query.limit))
                known = Self.apply(changes, to: known)
            }
            #expect(known.map(Seen.init) == now.instances.map(Seen.init), "since \(old.asOf.sequence)")
        }
        query.changedSince = now.asOf.sequence
        let nothing = story.registry.members(query, after: nil)
        #expect(nothing.instances.isEmpty && nothing.left.isEmpty && nothing.changedSince == now.asOf.sequence)
    }

    @Test func `changes that are not known any more come as the whole`() throws {
        var story = Story()
        story.serve(names(0..<3))
        let early = story.registry.moment.sequence
        story.append(deregistered(["a-00"]))
        let restored = try #require(ServiceRegistry(checkpoint: story.registry.encodeCheckpoint(), indexKey: 7))
        var query = Self.resolve()
        query.changedSince = early
        #expect(story.registry.members(query, after: nil).left == ["a-00"])
        let whole = restored.members(query, after: nil)
        #expect(whole.changedSince == .origin && whole.instances.count == 2 && whole.left.isEmpty)
        // Of what came after the checkpoint it knows, and of the future nobody does.
        query.changedSince = restored.moment.sequence
        #expect(restored.members(query, after: nil).changedSince == restored.moment.sequence)
        query.changedSince = restored.moment.sequence.next
        #expect(restored.members(query, after: nil).changedSince == .origin)
        // More have left than the registry remembers.
        for round in 0..<5 {
            let ids = (0..<1_000).map { "x-\(round)-\($0)" }
            story.append(registered(ids.map { instance($0) }))
            story.append(deregistered(ids))
        }
        query.changedSince = early
        #expect(story.registry.members(query, after: nil).changedSince == .origin)
    }

    // MARK: Questions that make no sense

    @Test func `a token of another query, and a made-up one, are refused`() {
        var story = Story()
        story.serve(names(0..<3))
        var query = Self.resolve()
        let tokens: [(RegistryQueryName, String)] = [
            (.resolve, "a.b"), (.resolve, "%"), (.resolve, "a%2db"), (.staleInstances, "a"), (.removals, "a.b.c"),
            (.removals, "1.2"), (.failoverCandidates, "healthy.eu.x.a"), (.failoverCandidates, "eu"),
            (.services, "a.b.c"), (.topology, "a.b"),
        ]
        for (name, token) in tokens {
            query.pageToken = token
            let error = #expect(throws: QueryError.self, "\(name) \(token)") { try story.registry.answer(name, query) }
            #expect(error?.code == .invalidArgument)
        }
        query.pageToken = ""
        query.changedSince = SequenceNumber(1)
        query.allowPanic = true
        let error = #expect(throws: QueryError.self) { try story.registry.answer(.resolve, query) }
        #expect(error?.code == .invalidArgument)
    }
}
