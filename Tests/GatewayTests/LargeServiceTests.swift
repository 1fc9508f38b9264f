// A hundred thousand instances of one service as SDK and gateway see them: whole at first, then by what changes.

import EventModel
import Foundation
import LatticeClient
import Messaging
import NATSMessaging
import TestKit
import Testing

@testable import Gateway

@Suite struct `A service with a hundred thousand instances` {
    private static let count = 100_000

    private static func register(_ stage: MeshStage, _ numbers: Range<Int>) async throws {
        let metadata = [MetadataEntry(key: "version", value: "1.4.2"), MetadataEntry(key: "rack", value: "r17")]
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 2_000) {
            let events = (start..<min(start + 2_000, numbers.upperBound)).map { number in
                Registration(
                    instanceID: "shop-\(100_000 + number)", endpoint: "10.0.0.1:8080", weight: 100,
                    metadata: metadata, incarnation: 1)
            }
            let event = Event.registry(.registered(Registered(serviceName: "shop", events: events)))
            let (_, facts) = try #require(EventCodec.encode(event))
            let answer = try await stage.client.request(
                Message(
                    subject: "lattice.events.registry.shop.registered",
                    headers: [MessageHeader("Content-Type", "application/protobuf")], payload: facts),
                timeout: .seconds(20))
            try #require(try OutcomeNotice.decode(answer.payload[...]).acceptedCount == UInt32(events.count))
        }
    }

    @Test func `is known to the SDK and to the gateway, and so is each change`() async throws {
        let stage = try await MeshStage.open()
        try await Self.register(stage, 0..<Self.count)
        let connection = MeshConnection(bus: stage.client, requestTimeout: .seconds(20), logger: Edge.quiet)
        let replica = RegistryReplica(connection)
        let task = Task { await replica.run() }
        let view = try #require(await replica.view(of: "shop", within: .seconds(60)))
        // It may have been asked for while they registered.
        try await waitFor("the SDK's replica has all of them") {
            replica.view(of: "shop")?.instances.count == Self.count
        }
        #expect(view.instances.allSatisfy { $0.metadata.count == 2 })
        try await waitFor("the gateway has all of them") {
            stage.gateway.shared.registryClusters.first?.view.targets.count == Self.count
        }
        #expect(stage.mesh.replica.view(of: "shop")?.instances.allSatisfy(\.metadata.isEmpty) == true)
        try await stage.tell(
            "registry.shop.deregistered",
            #"{"service_name":"shop","events":[{"instance_id":"shop-150000","incarnation":"1","reason":"scaled in"}]}"#)
        try await Self.register(stage, Self.count..<Self.count + 2)
        try await waitFor("both have heard of what changed") {
            [replica, stage.mesh.replica].allSatisfy { replica in
                guard let view = replica.view(of: "shop") else { return false }
                return view.instances.count == Self.count + 1 && view.instance("shop-150000") == nil
                    && view.instance("shop-200001") != nil
            }
        }
        task.cancel()
        await task.value
        await stage.close()
    }
}
