// The SDK's replica asks for a service whole once, and then for what changed.

import EventModel
import LatticeClient
import Messaging
import StateMachines
import Testing

@Suite struct `A replica by change` {
    private static func ids(_ count: Int) -> [String] { (0..<count).map { "cart-\(100_000 + $0)" } }

    /// Asks again and again, since nobody here tells of changes.
    private static var restless: RegistryReplica.Options {
        var options = RegistryReplica.Options()
        options.refreshInterval = .milliseconds(20)
        options.keepsMetadata = false
        return options
    }

    private static func eventually(_ condition: () -> Bool) async throws -> Bool {
        for _ in 0..<2_000 {
            if condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    private static func following(
        _ node: FakeNode, _ story: (RegistryReplica) async throws -> Void
    ) async throws {
        let connection = MeshConnection(bus: node.bus, requestTimeout: .seconds(20))
        let replica = RegistryReplica(connection, options: restless)
        let task = Task { await replica.run() }
        try await story(replica)
        task.cancel()
        await task.value
        node.end()
    }

    @Test func `a hundred thousand instances are read once, without metadata, and then what changed`() async throws {
        let node = try FakeNode()
        node.register(Self.ids(100_000), metadata: [MetadataEntry(key: "version", value: "1.4.2")])
        try await Self.following(node) { replica in
            let view = try #require(await replica.view(of: "cart", within: .seconds(60)))
            #expect(view.instances.map(\.id) == Self.ids(100_000) && view.instances.allSatisfy(\.metadata.isEmpty))
            let standing = try #require(view.instance("cart-100001")).standing
            standing.connectionOpened()
            let pages = node.asked.count
            node.deregister(["cart-150000"])
            node.register(["cart-1", "cart-999999"])
            node.append(
                .healthReported(
                    Batch(
                        serviceName: "cart",
                        events: [HealthReport(instanceID: "cart-100002", healthy: false, lastCheck: .zero)])))
            let isKnown = try await Self.eventually {
                guard let view = replica.view(of: "cart") else { return false }
                return view.instances.count == 100_001 && view.instance("cart-150000") == nil
                    && view.instance("cart-1") != nil && view.instance("cart-999999") != nil
                    && view.instance("cart-100002")?.isHealthy == false
            }
            #expect(isKnown)
            let news = try #require(replica.view(of: "cart"))
            #expect(news.generation > view.generation)
            let isInOrder = zip(news.instances, news.instances.dropFirst()).allSatisfy { $0.id.precedesInBytes($1.id) }
            #expect(isInOrder)
            // What this process knows of an instance stays with it.
            #expect(news.instance("cart-100001")?.standing === standing && standing.activeConnections == 1)
            // Nothing was read again that was known.
            let later = node.asked.dropFirst(pages)
            #expect(!later.isEmpty && later.allSatisfy { $0.changedSince > .origin && $0.pageToken.isEmpty })
            let isBare = node.asked.allSatisfy { $0.withoutMetadata }
            #expect(isBare)
            let generation = news.generation
            try await Task.sleep(for: .milliseconds(200))
            #expect(replica.view(of: "cart")?.generation == generation, "nothing has changed")
        }
    }

    @Test func `every step of a service is followed, whatever it is`() async throws {
        let node = try FakeNode()
        node.register(Self.ids(20))
        var dice = SystemRandomNumberGenerator()
        try await Self.following(node) { replica in
            _ = try #require(await replica.view(of: "cart", within: .seconds(10)))
            for _ in 0..<40 {
                let some = (0..<3).map { _ in "cart-\(100_000 + Int.random(in: 0..<25, using: &dice))" }
                if Bool.random(using: &dice) { node.deregister(some) } else { node.register(Set(some).sorted()) }
                let wanted = node.registry.resolve(serviceName: "cart", healthyOnly: false)
                    .instances.map(\.instance.instanceID)
                let isKnown = try await Self.eventually { replica.view(of: "cart")?.instances.map(\.id) == wanted }
                try #require(isKnown, "\(wanted) \(replica.view(of: "cart")?.instances.map(\.id) ?? [])")
            }
        }
    }
}
