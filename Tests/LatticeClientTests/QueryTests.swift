// Typed questions: now, in the past, after a write of one's own; and each failure by its name.

import NodeRuntime
import EventModel
import Messaging
import NATSMessaging
import TestKit
import Testing

@testable import LatticeClient

extension `The SDK` {
    @Suite(.serialized) struct `A typed question` {
        @Test func `asks the registry whatever it knows`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let registry = connection.registry
                try await stage.register("cart", ["a@eu/1", "b@us/1", "c@us/2"], connection)
                let sick = HealthReport(
                    instanceID: "c", healthy: false, latency: .milliseconds(3), consecutiveFailures: 2,
                    lastCheck: WallClock.now, reason: "timeout")
                try await stage.tell(
                    .registry(.healthReported(Batch(serviceName: "cart", events: [sick]))), connection)
                #expect(try await registry.resolve("cart").instances.map(\.instance.instanceID) == ["a", "b"])
                let all = try await registry.resolve("cart", healthyOnly: false)
                #expect(all.instances.map(\.health) == [.healthy, .healthy, .unhealthy])
                #expect(
                    all.instances[2].status?.reason == "timeout" && all.instances[2].status?.latency == sick.latency)
                #expect(try await registry.resolve("cart", region: "us").instances.count == 1)
                #expect(try await registry.resolve("cart", healthyOnly: false, limit: 1).omitted == 2)
                let one = try await registry.select("cart", strategy: .roundRobin, cursor: 1)
                #expect(one.instance.instance.instanceID == "b" && one.cursor == 2 && one.candidates == ["a", "b"])
                let again = try await registry.select("cart", strategy: .weightedRandom, seed: 9)
                #expect(
                    try await registry.select("cart", strategy: .weightedRandom, seed: 9).instance == again.instance)
                #expect(try await registry.instance("b").instances.first?.instance.region == "us")
                #expect(try await registry.staleInstances("cart").instances.isEmpty)
                let candidates = try await registry.failoverCandidates("cart", excludedRegions: ["eu"])
                #expect(candidates.instances.map(\.instance.instanceID) == ["b", "c"])
                #expect(try await registry.services().services.map(\.serviceName) == ["cart"])
                let topology = try await registry.topology("cart").services[0]
                #expect(topology.instances == 3 && topology.healthy == 2 && topology.weight == 300)
                #expect(
                    topology.zones.map { "\($0.region)/\($0.zone):\($0.healthy)" } == ["eu/1:1", "us/1:1", "us/2:0"])
            }
        }

        @Test func `travels in time and waits for its own writes`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let registry = connection.registry
                let before = try await stage.register("cart", ["a"], connection)
                let after = try await stage.register("cart", ["a", "b"], connection)
                try await stage.deregister("cart", "b", connection)
                let past = try await registry.resolve("cart", at: ReadPosition(atSequence: before))
                #expect(past.instances.count == 1 && past.asOf.sequence == before)
                let then = try await registry.resolve("cart", at: ReadPosition(atSequence: after))
                #expect(then.instances.map(\.instance.instanceID) == ["a", "b"])
                let now = try await registry.resolve("cart", at: ReadPosition(minimumSequence: after))
                #expect(now.instances.count == 1 && now.asOf.sequence > after)
                let removal = try await registry.removals("cart", instance: "b").removals
                #expect(removal.count == 1 && removal[0].reason == "test" && removal[0].kind == .deregistered)
                #expect(removal[0].position.sequence > after && removal[0].serviceName == "cart")
            }
        }

        @Test func `names each failure`() async throws {
            func code(_ body: () async throws -> Void) async -> MeshError.Code? {
                do {
                    try await body()
                    return nil
                } catch {
                    return (error as? MeshError)?.code
                }
            }
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let registry = connection.registry
                #expect(await code { _ = try await registry.instance("nobody") } == .notFound)
                #expect(await code { _ = try await registry.resolve("") } == .invalidArgument)
                #expect(await code { _ = try await registry.select("nobody") } == .notFound)
                let far = ReadPosition(atSequence: SequenceNumber(1_000_000))
                #expect(await code { _ = try await registry.services(at: far) } == .notYet)
                #expect(await code { _ = try await connection.traces.trace(TraceID(high: 1, low: 1)) } == .notFound)
                await stage.stopNode()
                #expect(await code { _ = try await registry.services() } == .noNode)
                await stage.killServer()
                #expect(try await eventually { !connection.isConnected })
                #expect(await code { _ = try await registry.services() } == .notConnected)
                await connection.close()
                #expect(await code { _ = try await registry.services() } == .closed)
            }
        }

        @Test func `finds traces, their critical path and who calls whom`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let publisher = SpanPublisher(connection)
                let start = WallClock.now
                for number in UInt64(1)...3 {
                    let trace = TraceID(high: 9, low: number)
                    func span(_ id: UInt64, _ parent: UInt64?, _ service: String, _ kind: EventModel.SpanKind) {
                        publisher.publish(
                            EventModel.TraceSpan(
                                spanID: SpanID(id), traceID: trace, parentSpanID: parent.map { SpanID($0) },
                                serviceName: service, operationName: "op", kind: kind,
                                status: number == 3 && parent == nil ? .error : .ok, startTime: start,
                                endTime: start + .milliseconds(parent == nil ? 10 : 6)))
                    }
                    span(1, nil, "web", .client)
                    span(2, 1, "cart", .server)
                }
                #expect(await publisher.flush(within: .seconds(10)))
                var search = TraceSearch()
                search.service = "web"
                #expect(try await eventually { try await connection.traces.search(search).count == 3 })
                search.failed = true
                let failed = try await connection.traces.search(search)
                #expect(failed.map(\.traceID.low) == [3] && failed[0].spanCount == 2 && failed[0].errorCount == 1)
                #expect(failed[0].serviceName == "web" && failed[0].duration == .milliseconds(10))
                #expect(failed[0].startTime == start && failed[0].operationName == "op")
                search.failed = nil
                search.limit = 2
                #expect(try await connection.traces.search(search).count == 2)
                search.minimumDuration = .seconds(1)
                #expect(try await connection.traces.search(search).isEmpty)
                let path = try await connection.traces.criticalPath(TraceID(high: 9, low: 1))
                #expect(path.map(\.serviceName) == ["web", "cart"] && path[0].duration == .milliseconds(4))
                let links = try await connection.traces.dependencies()
                #expect(links.map { "\($0.parent)>\($0.child):\($0.callCount)" } == ["web>cart:3"])
            }
        }

        /// What somebody who uses the SDK would write.
        private struct Trail: Decodable {
            struct Entry: Decodable { var action: String }
            var entries: [Entry]?
        }

        private struct Filter: Encodable {
            var actions: [String]
            var limit: Int
        }

        @Test func `asks any query of any family, by its name`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                try await stage.register("cart", ["a", "b"], connection)
                for query in QueryName.allCases {
                    do throws(MeshError) {
                        let answer = try await connection.ask(query, reader: "frank")
                        #expect(answer.first == UInt8(ascii: "{"), "\(query)")
                    } catch {
                        // Asked for nothing in particular, it says what it needs.
                        #expect([.invalidArgument, .notFound].contains(error.code), "\(query) \(error)")
                        #expect(!error.message.contains("no query is answered"), "\(query) \(error)")
                    }
                }
                let trail: Trail = try await connection.ask(
                    .audit(.trail), Filter(actions: ["policy.semantics_activated"], limit: 5))
                #expect(trail.entries?.map(\.action) == ["policy.semantics_activated"])
                let error = await #expect(throws: MeshError.self) {
                    let _: Trail = try await connection.ask(.audit(.trail), ["nonsense": 1])
                }
                #expect(error?.code == .invalidArgument)
                let pages = try await connection.registry.resolve("cart", limit: 1)
                #expect(pages.nextPageToken == "a" && pages.omitted == 1)
                let next = try await connection.registry.resolve("cart", limit: 1, page: pages.nextPageToken)
                #expect(next.instances.map(\.instance.instanceID) == ["b"] && next.nextPageToken.isEmpty)
            }
        }

        @Test func `connects as users of the SDK do`() async throws {
            try await MeshStage.with { stage in
                var configuration = MeshConfiguration(servers: [stage.server.url], name: "user")
                configuration.requestTimeout = .seconds(5)
                let connection = try await MeshConnection.connect(configuration)
                #expect(try await eventually { connection.isConnected })
                #expect(try await connection.registry.services().services.isEmpty)
                await connection.close()
                configuration.credentials = .credentialsFile("/nowhere/user.creds")
                configuration.tls = MeshConfiguration.TLS(authorityFile: "/nowhere/ca.pem")
                await #expect(throws: MeshError.self) { _ = try await MeshConnection.connect(configuration) }
            }
        }
    }
}
