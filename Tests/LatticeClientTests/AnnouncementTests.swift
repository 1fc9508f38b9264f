// A process tells the registry that it serves, whatever happens to NATS, to the node and to its successor.

import NodeRuntime
import EventModel
import Messaging
import NATSMessaging
import ServiceLifecycle
import TestKit
import Testing
import Tracing

@testable import LatticeClient

extension `The SDK` {
    @Suite(.serialized) struct `An announcement` {
        private static var quick: ServiceAnnouncement.Options {
            var options = ServiceAnnouncement.Options()
            options.heartbeatInterval = .milliseconds(50)
            options.retryDelay = .milliseconds(20)
            options.retryDelayMaximum = .milliseconds(200)
            options.outcomeTimeout = .seconds(1)
            return options
        }

        private static func registration(
            _ id: String = "cart-1", endpoint: String = "10.0.0.7:8080", incarnation: Int64? = nil
        ) -> ServiceRegistration {
            ServiceRegistration(
                service: "cart", instanceID: id, endpoint: endpoint, locality: Locality(region: "eu", zone: "1"),
                weight: 50, metadata: [MetadataEntry(key: "version", value: "2")], incarnation: incarnation)
        }

        private func isRegistered(_ announcement: ServiceAnnouncement) async throws -> Bool {
            try await eventually { if case .registered = announcement.state { true } else { false } }
        }

        private func instance(_ connection: MeshConnection, _ id: String = "cart-1") async -> InstanceSnapshot? {
            try? await connection.registry.instance(id).instances.first
        }

        @Test(arguments: [false, true])
        func `begins with registering and ends with taking itself out`(jetStream: Bool) async throws {
            try await MeshStage.with(jetStream: jetStream) { stage in
                let connection = try await stage.connect()
                let announcement = ServiceAnnouncement(connection, Self.registration(), options: Self.quick) { 7 }
                let group = ServiceGroup(
                    configuration: .init(services: [.init(service: announcement)], logger: connection.logger))
                let running = Task { try await group.run() }
                #expect(try await isRegistered(announcement))
                let first = try #require(await instance(connection))
                #expect(first.instance.region == "eu" && first.instance.zone == "1" && first.instance.weight == 50)
                #expect(first.instance.metadata == [MetadataEntry(key: "version", value: "2")])
                #expect(first.instance.incarnation == announcement.registration.incarnation)
                let beats = try await eventually {
                    let now = await instance(connection)
                    return now?.activeConnections == 7
                        && (now?.instance.lastHeartbeat ?? .zero) > first.instance.lastHeartbeat
                }
                #expect(beats)
                await group.triggerGracefulShutdown()
                try await running.value
                #expect(announcement.state == .deregistered)
                let removal = try #require(try await connection.registry.removals("cart").removals.first)
                #expect(removal.kind == .deregistered && removal.reason == "shutdown")
            }
        }

        @Test func `comes back when the registry has given it up`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let announcement = ServiceAnnouncement(connection, Self.registration(), options: Self.quick)
                stage.run { await announcement.run() }
                #expect(try await isRegistered(announcement))
                let event = Deregistration(
                    instanceID: "cart-1", incarnation: announcement.registration.incarnation, reason: "operator")
                try await stage.tell(
                    .registry(.deregistered(Batch(serviceName: "cart", events: [event]))), connection)
                #expect(try await eventually { await instance(connection) != nil })
                #expect(try await isRegistered(announcement))
            }
        }

        @Test func `outlives nats-server`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let announcement = ServiceAnnouncement(connection, Self.registration(), options: Self.quick)
                stage.run { await announcement.run() }
                #expect(try await isRegistered(announcement))
                await stage.killServer()
                #expect(try await eventually { !connection.isConnected })
                try await stage.restartServer()
                let after = WallClock.now
                #expect(
                    try await eventually { (await instance(connection)?.instance.lastHeartbeat ?? .zero) > after })
            }
        }

        @Test func `waits for a NATS that is not there yet`() async throws {
            try await MeshStage.with(node: false) { stage in
                await stage.killServer()
                let connection = try await stage.connect()
                let announcement = ServiceAnnouncement(connection, Self.registration(), options: Self.quick)
                stage.run { await announcement.run() }
                var states = announcement.states.makeAsyncIterator()
                guard case .pending = await states.next() else { throw StageFailure("\(announcement.state)") }
                try await stage.restartServer()
                try await stage.startNode()
                #expect(try await isRegistered(announcement))
            }
        }

        @Test func `registers with a node that has lost everything`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let announcement = ServiceAnnouncement(connection, Self.registration(), options: Self.quick)
                stage.run { await announcement.run() }
                #expect(try await isRegistered(announcement))
                await stage.stopNode()
                try await stage.startNode(in: "other")
                #expect(try await eventually { await instance(connection) != nil })
            }
        }

        @Test func `an old process keeps silent and does not remove its successor`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let old = ServiceAnnouncement(connection, Self.registration(incarnation: 1), options: Self.quick)
                let running = stage.run { await old.run() }
                #expect(try await isRegistered(old))
                let young = ServiceAnnouncement(connection, Self.registration(incarnation: 2), options: Self.quick)
                stage.run { await young.run() }
                #expect(try await isRegistered(young))
                #expect(try await eventually { old.state == .superseded })
                running.cancel()
                await running.value
                #expect(await instance(connection)?.instance.incarnation == 2)
                #expect(old.state == .superseded)
            }
        }

        @Test func `says what the registry refuses, and tries again when that is mended`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                let wrong = Self.registration(endpoint: "169.254.169.254:80")
                let announcement = ServiceAnnouncement(connection, wrong, options: Self.quick)
                stage.run { await announcement.run() }
                #expect(try await eventually { announcement.state == .refused(reason: "invalid_endpoint") })
                announcement.update { $0.endpoint = "10.0.0.7:80" }
                #expect(try await isRegistered(announcement))
                announcement.update { $0.weight = 0 }
                #expect(try await eventually { await instance(connection)?.instance.weight == 0 })
            }
        }

        @Test func `lives with the shipped permissions of a service`() async throws {
            try await MeshStage.with(roles: true) { stage in
                let connection = try await stage.connect("checkout", user: "checkout")
                let bus = try #require(connection.bus as? NATSMessageBus)
                let registration = ServiceRegistration(
                    service: "checkout", instanceID: "c-1", endpoint: "10.0.0.1:80")
                let announcement = ServiceAnnouncement(connection, registration, options: Self.quick) { 1 }
                let running = stage.run { await announcement.run() }
                var options = LatticeTracer.Options()
                options.sampling = .all
                let tracer = LatticeTracer(service: "checkout", connection, options: options)
                stage.run { await tracer.run() }
                let replica = RegistryReplica(connection)
                stage.run { await replica.run() }
                #expect(try await isRegistered(announcement))
                #expect(try await eventually { replica.view(of: "checkout")?.instances.map(\.id) == ["c-1"] })
                #expect(try await connection.registry.select("checkout").instance.instance.instanceID == "c-1")
                tracer.withSpan("pay") { _ in }
                #expect(await tracer.flush(within: .seconds(10)))
                running.cancel()
                await running.value
                #expect(announcement.state == .deregistered)
                #expect(bus.permissionViolations == [])
            }
        }
    }
}
