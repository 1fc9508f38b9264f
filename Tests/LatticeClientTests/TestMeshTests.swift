// The mesh that users of the SDK test with: a real node in this process, without a server.

import EventModel
import LatticeClient
import LatticeClientTesting
import TestKit
import Testing

extension `The SDK` {
    @Suite struct `A mesh for tests of services` {
        @Test func `shows an announced service to a replica and forgets it when it leaves`() async throws {
            let mesh = try await TestMesh.start()
            let announcement = ServiceAnnouncement(
                mesh.connection, ServiceRegistration(service: "cart", instanceID: "cart-1", endpoint: "127.0.0.1:9001"))
            let replica = RegistryReplica(mesh.connection)
            let following = Task { await replica.run() }
            let announcing = Task { await announcement.run() }
            try await mesh.register("cart", instanceID: "cart-2", endpoint: "127.0.0.1:9002", zone: "a")
            #expect(
                try await eventually { replica.view(of: "cart")?.instances.map(\.id) == ["cart-1", "cart-2"] },
                "\(announcement.state)")
            #expect(replica.view(of: "cart")?.instance("cart-2")?.zone == "a")
            announcing.cancel()
            await announcing.value
            #expect(try await eventually { replica.view(of: "cart")?.instances.map(\.id) == ["cart-2"] })
            try await mesh.deregister("cart", instanceID: "cart-2")
            #expect(try await eventually { replica.view(of: "cart")?.instances.isEmpty == true })
            following.cancel()
            await following.value
            await mesh.stop()
        }

        @Test func `takes what is silent for stale once its clock has moved on`() async throws {
            let mesh = try await TestMesh.start()
            for number in 1...3 {
                try await mesh.register("cart", instanceID: "cart-\(number)", endpoint: "127.0.0.1:900\(number)")
            }
            let replica = RegistryReplica(mesh.connection)
            let following = Task { await replica.run() }
            let view = try #require(await replica.view(of: "cart", within: .seconds(10)))
            #expect(view.healthyCount == 3)
            try await mesh.advance(by: .seconds(100))
            #expect(
                try await eventually {
                    let view = replica.view(of: "cart")
                    return view.map { $0.healthyCount < 3 || $0.isProtected } == true
                })
            following.cancel()
            await following.value
            await mesh.stop()
        }

        @Test func `says the registry's word where it refuses`() async throws {
            let mesh = try await TestMesh.start()
            let failure = await #expect(throws: TestMesh.Failure.self) {
                try await mesh.register("cart", instanceID: "cart-1", endpoint: "not an endpoint")
            }
            #expect(failure?.description.isEmpty == false)
            await mesh.stop()
            await mesh.stop()
        }
    }
}
