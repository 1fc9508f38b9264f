// A log belongs to one stream: what a node does when the stream is another one, is gone, or has lost what it needs.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `whose stream is not what it was` {
        private static let configuration = {
            var configuration = StreamConfiguration(name: "MESH", subjects: ["lattice.events.>"])
            // These stories are about a stream that lost something.
            configuration.deniesRemoval = false
            return configuration
        }()

        private static func with(
            _ story: (Stage, Client, JetStreamAdministration) async throws -> Void
        ) async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                let administration = JetStreamAdministration(client.bus)
                try await administration.ensureStream(configuration)
                try await story(stage, client, administration)
            }
        }

        private static func publish(
            _ count: Int, _ client: Client, _ administration: JetStreamAdministration
        ) async throws {
            for number in 0..<count {
                let event = try client.event(.registered, "s", Client.registration("s", ["i\(number)"]))
                _ = try await administration.publishAcknowledged(event, timeout: .seconds(10))
            }
        }

        @Test func `stops while it runs when the stream is made anew`() async throws {
            try await Self.with { stage, client, administration in
                let node = try await stage.node(stream: "MESH")
                try await Self.publish(5, client, administration)
                try await node.waitUntilApplied(5)
                try await administration.deleteStream("MESH")
                try await administration.ensureStream(Self.configuration)
                try await Self.publish(20, client, administration)
                #expect(try await node.failure() == "stream_rolled_back")
                #expect(try await stage.failureOfStart(stream: "MESH") == "stream_rolled_back")
                #expect(try await stage.failureOfStart(stream: "MESH") == "stream_rolled_back")
            }
        }

        @Test func `waits for a stream that is gone, says so, and still answers`() async throws {
            try await Self.with { stage, client, administration in
                let node = try await stage.node(stream: "MESH")
                try await Self.publish(5, client, administration)
                try await node.waitUntilApplied(5)
                try await administration.deleteStream("MESH")
                let isTold = try await eventually {
                    try await client.status()["intake"].text == "stream_not_found"
                }
                #expect(isTold)
                #expect(!node.node.isReady)
                #expect(try await client.ids("s").count == 5)
                try await administration.ensureStream(Self.configuration)
                #expect(try await node.failure() == "stream_rolled_back")
            }
        }

        @Test func `does not start where the stream no longer holds what comes next`() async throws {
            try await Self.with { stage, client, administration in
                let node = try await stage.node(stream: "MESH")
                try await Self.publish(5, client, administration)
                try await node.waitUntilApplied(5)
                await node.stop()
                try await Self.publish(5, client, administration)
                try await administration.purgeStream("MESH")
                #expect(try await stage.failureOfStart(stream: "MESH") == "stream_trimmed")
                #expect(try await stage.failureOfStart(in: "new", stream: "MESH") == "stream_history_missing")
            }
        }

        @Test func `goes on where all that was purged is in its log`() async throws {
            try await Self.with { stage, client, administration in
                let node = try await stage.node(stream: "MESH")
                try await Self.publish(5, client, administration)
                // Five events and the node's claim; the first tick is an hour away.
                try await node.waitUntilApplied(6)
                await node.stop()
                try await administration.purgeStream("MESH")
                let again = try await stage.node(stream: "MESH")
                try await Self.publish(6, client, administration)
                let isTaken = try await eventually { try await client.ids("s").count == 6 }
                #expect(isTaken)
                await again.stop()
            }
        }

        @Test func `does not start without a stream`() async throws {
            try await Self.with { stage, _, _ in
                let failure = try await stage.failureOfStart(stream: "NOBODY")
                #expect(failure == "stream_not_found")
            }
        }

        @Test func `feeds a log from one source only`() async throws {
            try await Self.with { stage, client, administration in
                let core = try await stage.node(in: "core")
                await core.stop()
                #expect(try await stage.failureOfStart(in: "core", stream: "MESH") == "stream_rolled_back")
                let streamed = try await stage.node(in: "streamed", stream: "MESH")
                try await Self.publish(1, client, administration)
                try await streamed.waitUntilApplied(1)
                await streamed.stop()
                #expect(try await stage.failureOfStart(in: "streamed") != nil)
            }
        }
    }
}
