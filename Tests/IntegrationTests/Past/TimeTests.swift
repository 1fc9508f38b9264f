// Time as a node lives it: who is evicted, and who never is although a clock or the bus went astray.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `with a clock that we turn` {
        private static func settings(_ configuration: inout NodeConfiguration) {
            configuration.tickInterval = .seconds(1)
            configuration.registry.staleAfter = .seconds(10)
            configuration.registry.evictAfter = .seconds(20)
        }

        /// Lets seconds pass, in each of which these instances of `s` send a heartbeat.
        private static func pass(
            _ seconds: Int, _ clock: TestClock, _ client: Client, _ living: [String]
        ) async throws {
            for _ in 0..<seconds {
                clock.advance(.seconds(1))
                let reply = try await client.tell(.heartbeat, "s", Client.heartbeats("s", living))
                #expect(reply["refused"].items.isEmpty)
            }
        }

        private static func removals(_ client: Client) async throws -> [JSON] {
            try await client.query("registry.removals")["removals"].items
        }

        @Test func `evicts whoever is silent, at a tick, with the reason and the tick's position`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "silent"])
                try await Self.pass(29, clock, client, ["a", "b"])
                #expect(try await Self.removals(client).isEmpty)
                #expect(try await client.ids("s") == ["a", "b"], "stale is not healthy")
                #expect(try await client.ids("s", #","healthy_only":false"#).count == 3)
                let ear = try await client.listen("lattice.changes.registry.s")
                try await Self.pass(4, clock, client, ["a", "b"])
                let removal = try #require(try await Self.removals(client).first)
                #expect(removal["instance_id"].text == "silent")
                #expect(removal["kind"].text == "evicted")
                #expect(removal["reason"].text == "heartbeat_timeout")
                #expect(removal["actor"].text == "registry")
                #expect(removal["ordinal"].number == 1)
                let sequence = SequenceNumber(UInt64(removal["sequence"].number))
                let frame = try #require(try node.node.reader.frame(at: sequence))
                #expect(frame.eventType == EventType.tick.rawValue)
                #expect("\(frame.recordedAt.rawValue)" == removal["recorded_at"].text)
                #expect(try await client.ids("s", #","healthy_only":false"#) == ["a", "b"])
                #expect(try JSON(try await ear.next(), .changeNotice)["sequence"].text == "\(sequence)")
                let outcome = try await client.query("node.outcome", #"{"sequence":"\#(sequence)"}"#)
                #expect(outcome["consequences"][0]["instance_id"].text == "silent")
            }
        }

        @Test func `evicts nobody because it was paused for an hour`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "c"])
                try await Self.pass(25, clock, client, ["a", "b", "c"])
                clock.advance(.seconds(3_600))
                try await node.waitUntilApplied(node.node.appliedSequence.rawValue + 1)
                #expect(try await Self.removals(client).isEmpty)
                #expect(try await client.ids("s") == ["a", "b", "c"], "nobody is stale either")
                try await Self.pass(5, clock, client, ["a", "b", "c"])
                #expect(try await client.ids("s") == ["a", "b", "c"])
            }
        }

        @Test func `evicts nobody because its clock was set back and forward again`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "c"])
                try await Self.pass(25, clock, client, ["a", "b", "c"])
                let ticks = try node.records(.tick).count
                clock.advance(.seconds(-3_600))
                try await Self.pass(5, clock, client, ["a", "b", "c"])
                #expect(try node.records(.tick).count >= ticks + 5, "time goes on")
                clock.advance(.seconds(3_600))
                try await Self.pass(5, clock, client, ["a", "b", "c"])
                #expect(try await Self.removals(client).isEmpty)
                #expect(try await client.ids("s") == ["a", "b", "c"])
                #expect(try await client.status()["backward_clock_steps"].number == 1)
                // It has not forgotten how to: whoever is silent from now on goes.
                try await Self.pass(33, clock, client, ["a", "b"])
                #expect(try await Self.removals(client).map { $0["instance_id"].text } == ["c"])
            }
        }

        @Test func `evicts nobody because NATS was away for ten minutes, and records the gap`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "c"])
                try await client.register("single", ["only"])
                try await Self.pass(25, clock, client, ["a", "b", "c"])
                await stage.killServer()
                let isNoticed = try await eventually { !node.node.isReady && client.bus.state != .connected }
                #expect(isNoticed)
                try await clock.waitUntilRead()
                let ticks = try node.records(.tick).count
                for _ in 0..<20 {
                    clock.advance(.seconds(30))
                    try await clock.waitUntilRead()
                }
                #expect(try node.records(.tick).count == ticks, "nobody grows old whom nobody can hear")
                try await stage.restartServer()
                let isBack = try await eventually { node.node.isReady && client.bus.state == .connected }
                #expect(isBack)
                // The node answers on a connection of its own, which comes back when it does.
                let hasGap = try await eventually { (try? await client.status())?["gaps"].number == 1 }
                #expect(hasGap)
                #expect(try await client.status()["eviction_suspended"].isTrue)
                try await Self.pass(15, clock, client, ["a", "b", "c"])
                #expect(try await Self.removals(client).isEmpty)
                #expect(try await client.ids("s") == ["a", "b", "c"])
                #expect(try await client.ids("single", #","healthy_only":false"#) == ["only"])
                guard case .clock(.intakeGap(let id, let reason, _)) = try node.records(.intakeGap).first?.event else {
                    Issue.record("no gap in the log")
                    return
                }
                #expect(id == node.node.id)
                #expect(reason == "reconnected")
            }
        }

        @Test func `records that it came back, and evicts nobody for twice the stale timeout`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock, Self.settings)
                let client = try await stage.client()
                try await client.register("s", ["a", "b", "c"])
                try await Self.pass(29, clock, client, ["a", "b"])
                await node.stop()
                clock.advance(.seconds(3_600))
                let again = try await stage.node(clock: clock, Self.settings)
                #expect(try again.records(.nodeResumed).count == 2)
                #expect(try again.records(.leadershipClaimed).count == 2)
                try await Self.pass(19, clock, client, ["a", "b"])
                #expect(try await Self.removals(client).isEmpty, "the truce")
                try await Self.pass(15, clock, client, ["a", "b"])
                #expect(try await Self.removals(client).map { $0["instance_id"].text } == ["c"])
                await again.stop()
            }
        }

        @Test func `takes new time-outs from its start, and records them once`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                let node = try await stage.node(clock: clock) { $0.tickInterval = .seconds(1) }
                let client = try await stage.client()
                try await client.register("s", ["a", "b"])
                try await Self.pass(12, clock, client, ["a"])
                #expect(try await client.query("registry.stale_instances")["instances"].items.isEmpty)
                #expect(try node.records(.registryConfigured).isEmpty)
                await node.stop()
                var again = try await stage.node(clock: clock, Self.settings)
                #expect(try again.records(.registryConfigured).count == 1)
                let stale = try await client.query("registry.stale_instances")["instances"].items
                #expect(stale.map { $0["instance_id"].text } == ["b"])
                await again.stop()
                again = try await stage.node(clock: clock, Self.settings)
                #expect(try again.records(.registryConfigured).count == 1, "they are the same already")
                await again.stop()
            }
        }

        @Test func `takes settings of traces from its start, and records them once`() async throws {
            try await Stage.with { stage in
                var change = TracesConfiguration(reason: "test")
                change.timeToLive = .seconds(7_200)
                let wanted = change
                var node = try await stage.node { $0.traces = wanted }
                let client = try await stage.client()
                #expect(try node.records(.tracesConfigured).count == 1)
                let settings = try await client.query("trace.stats")["settings"]
                #expect(settings["time_to_live_ns"].text == "7200000000000")
                await node.stop()
                node = try await stage.node { $0.traces = wanted }
                #expect(try node.records(.tracesConfigured).count == 1, "they are the same already")
                await node.stop()
            }
        }
    }
}
