// The local copy of the registry: what it knows, how it hears of changes, and what it says when it cannot know.

import NodeRuntime
import EventModel
import Messaging
import TestKit
import Testing

@testable import LatticeClient

extension `The SDK` {
    @Suite(.serialized) struct `A replica of the registry` {
        /// Asks without a notice only once in an hour, so that what is seen came by a notice.
        private static var byNotice: RegistryReplica.Options {
            var options = RegistryReplica.Options()
            options.refreshInterval = .seconds(3_600)
            options.retryDelay = .milliseconds(20)
            options.retryDelayMaximum = .milliseconds(100)
            return options
        }

        private static func ids(_ view: ServiceView?) -> [String] { view?.instances.map(\.id) ?? [] }

        @Test func `answers nothing at first, and then the service`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let sequence = try await stage.register("cart", ["b@eu/1", "a@us/2"], connection)
                let replica = RegistryReplica(connection, options: Self.byNotice)
                stage.run { await replica.run() }
                #expect(replica.view(of: "cart") == nil)
                #expect(!replica.freshness(of: "cart").isCurrent)
                let view = try #require(await replica.view(of: "cart", within: .seconds(10)))
                #expect(view.instances.map(\.id) == ["a", "b"])
                #expect(view.instances.map(\.region) == ["us", "eu"] && view.instances.map(\.zone) == ["2", "1"])
                #expect(view.instances[1].host == "10.0.0.1" && view.instances[1].port == 80)
                #expect(view.asOf.sequence >= sequence && view.generation == 1 && view.healthyCount == 2)
                #expect(replica.freshness(of: "cart") == .current(asOf: view.asOf.sequence))
                #expect(replica.freshness.isCurrent && replica.followed.map(\.service) == ["cart"])
                #expect(await replica.view(of: "nobody", within: .seconds(10))?.instances.isEmpty == true)
            }
        }

        @Test func `sees a change after its notice`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let replica = RegistryReplica(connection, options: Self.byNotice)
                replica.follow(["cart", "web"])
                stage.run { await replica.run() }
                #expect(await replica.view(of: "cart", within: .seconds(10))?.instances.isEmpty == true)
                try await stage.register("cart", ["a", "b"], connection)
                #expect(try await eventually { Self.ids(replica.view(of: "cart")) == ["a", "b"] })
                let unhealthy = HealthReport(instanceID: "b", healthy: false, lastCheck: WallClock.now)
                let sequence = try await stage.tell(
                    .registry(.healthReported(Batch(serviceName: "cart", events: [unhealthy]))), connection)
                #expect(try await eventually { replica.view(of: "cart")?.instance("b")?.isHealthy == false })
                let view = try #require(replica.view(of: "cart"))
                let (a, b) = (try #require(view.instance("a")), try #require(view.instance("b")))
                #expect(b.changedAt >= sequence && a.changedAt < sequence)
                try await stage.deregister("cart", "a", connection)
                #expect(try await eventually { Self.ids(replica.view(of: "cart")) == ["b"] })
                // The object for what this process knows stays with the process behind the id.
                #expect(replica.view(of: "cart")?.instance("b")?.standing === b.standing)
                try await stage.register("cart", ["b"], incarnation: 2, connection)
                #expect(try await eventually { replica.view(of: "cart")?.instance("b")?.incarnation == 2 })
                #expect(replica.view(of: "cart")?.instance("b")?.standing !== b.standing)
            }
        }

        @Test func `makes up for notices that never came`() async throws {
            let deaf = """
                authorization { users: [ { user: "deaf", password: "secret",
                  permissions: { subscribe: { deny: "lattice.changes.>" } } }, { user: "node", password: "secret" } ] }
                """
            try await MeshStage.with(configuration: deaf, node: false) { stage in
                // The node and the publisher are users without limits; the replica cannot hear notices.
                let publisher = try await stage.connect("publisher", user: "node")
                try await stage.startNode(as: "node")
                let connection = try await stage.connect("deaf", user: "deaf")
                var options = Self.byNotice
                options.refreshInterval = .milliseconds(50)
                let replica = RegistryReplica(connection, options: options)
                stage.run { await replica.run() }
                replica.follow(["cart"])
                #expect(await replica.view(of: "cart", within: .seconds(10)) != nil)
                try await stage.register("cart", ["a"], publisher)
                #expect(try await eventually { Self.ids(replica.view(of: "cart")) == ["a"] })
            }
        }

        @Test func `goes on with what it knows while the node is away, and says so`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                try await stage.register("cart", ["a"], connection)
                var options = Self.byNotice
                options.refreshInterval = .milliseconds(100)
                let replica = RegistryReplica(connection, options: options)
                stage.run { await replica.run() }
                let before = try #require(await replica.view(of: "cart", within: .seconds(10)))
                await stage.stopNode()
                var last = (since: Timestamp.zero, asOf: SequenceNumber.origin)
                let isSaid = try await eventually {
                    guard case .stale(let since, let asOf, let reason) = replica.freshness(of: "cart") else {
                        return false
                    }
                    last = (since, asOf)
                    return reason.hasPrefix("no_node")
                }
                #expect(isSaid && !replica.freshness.isCurrent)
                #expect(last.since > .zero && last.since <= WallClock.now && last.asOf >= before.asOf.sequence)
                #expect(Self.ids(replica.view(of: "cart")) == ["a"])
                try await stage.startNode()
                #expect(try await eventually { replica.freshness(of: "cart").isCurrent })
                #expect(replica.view(of: "cart")?.generation == before.generation)
            }
        }

        @Test func `outlives nats-server, and asks again for what it missed`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                try await stage.register("cart", ["a"], connection)
                let replica = RegistryReplica(connection, options: Self.byNotice)
                stage.run { await replica.run() }
                #expect(await replica.view(of: "cart", within: .seconds(10)) != nil)
                await stage.killServer()
                #expect(try await eventually { !replica.freshness(of: "cart").isCurrent })
                #expect(Self.ids(replica.view(of: "cart")) == ["a"])
                try await stage.restartServer()
                let other = try await stage.connect("other")
                #expect(try await eventually { (try? await stage.register("cart", ["a", "b"], other)) != nil })
                #expect(try await eventually { Self.ids(replica.view(of: "cart")) == ["a", "b"] })
                #expect(try await eventually { replica.freshness(of: "cart").isCurrent })
            }
        }

        @Test func `follows a node whose log began anew`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                for _ in 0..<5 { try await stage.register("cart", ["a"], connection) }
                var options = Self.byNotice
                options.refreshInterval = .milliseconds(50)
                let replica = RegistryReplica(connection, options: options)
                stage.run { await replica.run() }
                let before = try #require(await replica.view(of: "cart", within: .seconds(10)))
                await stage.stopNode()
                try await stage.startNode(in: "other") { $0.queryTimeout = .milliseconds(50) }
                #expect(try await eventually(within: .seconds(40)) { Self.ids(replica.view(of: "cart")) == [] })
                let after = try #require(replica.view(of: "cart"))
                #expect(after.asOf.sequence < before.asOf.sequence)
                try await stage.register("cart", ["z"], connection)
                #expect(try await eventually { Self.ids(replica.view(of: "cart")) == ["z"] })
            }
        }

        @Test func `tells watchers of each generation`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let replica = RegistryReplica(connection, options: Self.byNotice)
                stage.run { await replica.run() }
                var updates = replica.updates(of: "cart").makeAsyncIterator()
                #expect(await updates.next()?.instances.isEmpty == true)
                try await stage.register("cart", ["a"], connection)
                #expect(await updates.next()?.instances.map(\.id) == ["a"])
                // What changes nothing is no news.
                try await stage.register("web", ["w"], connection)
                try await stage.register("cart", ["a", "b"], connection)
                let view = await updates.next()
                #expect(view?.instances.map(\.id) == ["a", "b"] && view?.generation == 3)
            }
        }

        @Test func `follows no more services than it may`() {
            let connection = MeshConnection(bus: InMemoryMessageBus())
            var options = Self.byNotice
            options.servicesMaximum = 2
            let replica = RegistryReplica(connection, options: options)
            replica.follow(["a", "b", "c", ""])
            #expect(replica.followed.map(\.service) == ["a", "b"])
            #expect(replica.view(of: "c") == nil && replica.freshness(of: "c") == .unknown(reason: "not followed"))
        }

        @Test func `ends its watchers when it ends`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let replica = RegistryReplica(connection, options: Self.byNotice)
                let running = stage.run { await replica.run() }
                #expect(await replica.view(of: "cart", within: .seconds(10)) != nil)
                let updates = replica.updates(of: "cart")
                running.cancel()
                await running.value
                var last: ServiceView?
                for await view in updates { last = view }
                #expect(last != nil && !replica.freshness(of: "cart").isCurrent)
            }
        }
    }
}
