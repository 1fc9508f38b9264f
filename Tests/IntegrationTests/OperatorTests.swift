// What an operator hears and sees of a node: the guard, evictions, rejections, its life; and nothing from recovery.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `tells its operator` {
        private static func settings(_ configuration: inout NodeConfiguration) {
            configuration.tickInterval = .milliseconds(20)
            configuration.registry.staleAfter = .seconds(10)
            configuration.registry.evictAfter = .seconds(20)
        }

        private static func ids(_ count: Int) -> [String] { (0..<count).map { "i\($0 < 10 ? "0" : "")\($0)" } }

        /// Four seconds a step, in each of which the living send a heartbeat and a tick is applied.
        private static func pass(
            _ steps: Int, _ clock: TestClock, _ node: RunningNode, _ client: Client, _ living: [String]
        ) async throws {
            for _ in 0..<steps {
                // The tick may be applied before the heartbeat or after it.
                let before = node.node.appliedSequence.rawValue
                clock.advance(.seconds(4))
                if !living.isEmpty { _ = try await client.tell(.heartbeat, "s", Client.heartbeats("s", living)) }
                try await node.waitUntilApplied(before + (living.isEmpty ? 1 : 2))
            }
        }

        @Test func `when the guard closes and when it opens, once each, and shows it in status and sums`() async throws
        {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", Self.ids(6))
                try await Self.pass(8, clock, node, client, Array(Self.ids(6)[4...]))
                let isTold = try await eventually {
                    stage.words.contain("the eviction guard holds a service")
                }
                #expect(isTold)
                let status = try await client.status()
                #expect(status["guards"][0]["service_name"].text == "s")
                #expect(status["guards"][0]["protected_instances"].number == 4)
                #expect(status["instances"].number == 6 && status["protected_instances"].number == 4)
                #expect(status["healthy_instances"].number == 2 && status["guarded_services"].number == 1)
                try await Self.pass(2, clock, node, client, Self.ids(6))
                let hasOpened = try await eventually { stage.words.contain("the eviction guard lets a service go") }
                #expect(hasOpened)
                #expect(stage.words.count(of: "the eviction guard holds a service") == 1)
                #expect(try await client.status()["guarded_services"].number == 0)
            }
        }

        @Test func `of evictions with reason and sequence, and of many as a count`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", Self.ids(40))
                _ = try await client.tell(.guardReleased, "me", #"{"service_name":"s","reason":"scaled in"}"#)
                try await Self.pass(10, clock, node, client, ["i00"])
                let isOver = try await eventually {
                    try await Self.pass(1, clock, node, client, ["i00"])
                    return try await client.status()["evictions"].number == 39
                }
                #expect(isOver)
                let isFolded = try await eventually { stage.words.contain("more instances were evicted") }
                #expect(isFolded)
                #expect(stage.words.count(of: "an instance was evicted") == 10)
                #expect(stage.words.contain("heartbeat_timeout"))
                let status = try await client.status()
                #expect(status["recent_evictions"].items.count == 5)
                #expect(status["recent_evictions"][0]["reason"].text == "heartbeat_timeout")
            }
        }

        @Test func `nothing of what recovery folds again, and counts none of it`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let first = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", Self.ids(6))
                try await client.register("t", ["only"])
                _ = try await client.tell(.guardReleased, "me", #"{"service_name":"s","reason":"scaled in"}"#)
                try await Self.pass(12, clock, first, client, ["i00"])
                let hasEvicted = try await eventually { try await client.status()["evictions"].number == 5 }
                try #require(hasEvicted)
                await first.stop()
                try FileManager.default.removeItem(atPath: stage.directory.path + "/data/checkpoints")
                stage.words.forget()
                try await stage.node(clock: clock, Self.settings)
                #expect(try await client.status()["evictions"].number == 0)
                #expect(try await client.status()["recent_evictions"].items.count == 5, "the registry remembers them")
                #expect(!stage.words.contain("evicted"))
                #expect(stage.words.contain("ready"))
            }
        }

        @Test func `of its life: ready, a checkpoint, the end`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                #expect(stage.words.count(of: "notice ready") == 1)
                await node.node.checkpoint()
                #expect(stage.words.contain("checkpoint written"))
                await node.stop()
                #expect(stage.words.contain("notice stopping") && stage.words.contain("notice stopped"))
                try await stage.node()
                #expect(stage.words.contain("restored_from"))
            }
        }

        @Test func `of rejections by reason with a count, and seldom`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let nonsense = Message(subject: "lattice.events.registry.s.frobnicated", payload: [1, 2, 3])
                for _ in 0..<50 { _ = try await client.ask(nonsense) }
                let isTold = try await eventually { stage.words.contain("messages were rejected") }
                #expect(isTold)
                #expect(stage.words.count(of: "messages were rejected") <= 2)
                #expect(stage.words.contain("lattice.events.registry.s.frobnicated"))
            }
        }

        @Test func `says in STATS how it is, each node for itself`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                let question = Message(subject: "$SRV.STATS.lattice", payload: [])
                let answer = try JSON(text: try await client.bus.request(question, timeout: .seconds(10)).payload)
                let status = answer["endpoints"][0]["data"]
                #expect(status["node_id"].text == node.node.id && status["leader"].isTrue)
                #expect(status["healthy_instances"].number == 1 && status["unready_reasons"].items.isEmpty)
            }
        }

        @Test(arguments: ["lattice.events.registry.s.heartbeat", "$SRV.PING", "lattice.queries.registry.services"])
        func `answers STATS at inboxes only`(_ subject: String) async throws {
            try await Stage.with { stage in
                try await stage.node()
                let client = try await stage.client()
                let ear = try await client.listen(subject)
                try client.bus.publish(Message(subject: "$SRV.STATS.lattice", replyTo: subject, payload: []))
                let asked = Message(subject: "$SRV.STATS.lattice", payload: [])
                _ = try await client.bus.request(asked, timeout: .seconds(10))
                #expect(ear.pendingCount == 0)
            }
        }
    }
}
