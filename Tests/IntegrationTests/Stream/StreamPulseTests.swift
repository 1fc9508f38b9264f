// A node whose stream takes nothing is not ready, says why, and is ready again when it does.

import NodeRuntime
import EventModel
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `whose stream takes nothing` {
        private static func settings(_ messages: Int) -> [UInt8] {
            Array(
                (#"{"name":"MESH","subjects":["lattice.events.>"],"storage":"file","discard":"new","max_msgs":\#(messages)}"#)
                    .utf8)
        }

        @Test func `because it is full, is not ready and says so once`() async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                let made = try await client.bus.request(
                    Message(subject: "$JS.API.STREAM.CREATE.MESH", payload: Self.settings(20)), timeout: .seconds(5))
                try #require(!String(decoding: made.payload, as: UTF8.self).contains(#""error""#))
                let node = try await stage.node(stream: "MESH") { $0.tickInterval = .milliseconds(50) }
                let isTold = try await eventually { node.node.unreadiness.contains("stream_refuses") }
                #expect(isTold, "\(node.node.unreadiness)")
                #expect(try await client.status()["intake"].text == "stream_refuses")
                // Several ticks more are refused, and nothing more is said.
                let second = try await eventually { try await client.status()["intake"].text == "stream_refuses" }
                #expect(second)
                #expect(stage.words.count(of: "the stream is in trouble") == 1)
                _ = try await client.bus.request(
                    Message(subject: "$JS.API.STREAM.UPDATE.MESH", payload: Self.settings(1_000_000)),
                    timeout: .seconds(5))
                let isWell = try await eventually { node.node.isReady }
                #expect(isWell, "\(node.node.unreadiness)")
            }
        }
    }
}
