// Several nodes on one JetStream stream: the same log and state, one voice, and a stop where the stream is another.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import StateMachines
import TestKit
import Testing

extension `A node` {
    @Suite(.serialized) struct `on a stream` {
        private static let stream = "MESH"

        private static func with(
            serverConfiguration: String? = nil,
            _ story: (Stage, Client, JetStreamAdministration) async throws -> Void
        ) async throws {
            try await Stage.with(jetStream: true, serverConfiguration: serverConfiguration) { stage in
                let client = try await stage.client()
                let administration = JetStreamAdministration(client.bus)
                try await create(administration)
                try await story(stage, client, administration)
            }
        }

        private static func create(_ administration: JetStreamAdministration) async throws {
            try await administration.ensureStream(
                StreamConfiguration(name: stream, subjects: ["lattice.events.>"]))
        }

        private static func quickTicks(_ configuration: inout NodeConfiguration) {
            configuration.tickInterval = .milliseconds(50)
        }

        /// Publishes registrations of a service each, acknowledged by the stream; answers the last sequence.
        @discardableResult
        private static func publish(
            _ numbers: Range<Int>, _ client: Client, _ administration: JetStreamAdministration
        ) async throws -> UInt64 {
            var last: UInt64 = 0
            for number in numbers {
                let text = Client.registration("s\(number % 50)", ["i\(number)"])
                var event = try client.event(.registered, "s\(number % 50)", text, as: .protobuf)
                event.headers = [MessageHeader("Nats-Msg-Id", "r\(number)")]
                let stored = try await administration.publishAcknowledged(event, timeout: .seconds(10))
                last = stored.sequence.rawValue
            }
            return last
        }

        /// Waits until one of the nodes leads by the log, as all of them know it.
        private static func leader(_ nodes: [RunningNode], notEpoch epoch: UInt64 = 0) async throws -> RunningNode {
            for _ in 0..<3_000 {
                var states: [NodeStatus] = []
                for node in nodes { states.append(await node.node.status()) }
                let isAgreed = states.allSatisfy {
                    $0.leaderID == states[0].leaderID && $0.leaderEpoch == states[0].leaderEpoch
                }
                if isAgreed, states[0].leaderEpoch > epoch, let found = states.firstIndex(where: \.isLeader) {
                    return nodes[found]
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            throw StageError("nobody leads")
        }

        @Test func `holds what its peers hold at each sequence, also after it was away without its checkpoints`()
            async
            throws
        {
            try await Self.with { stage, client, administration in
                var nodes: [RunningNode] = []
                for folder in ["one", "two"] { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                _ = try await Self.leader(nodes)
                let first = try await Self.publish(0..<200, client, administration)
                for node in nodes { try await node.waitUntilApplied(first) }
                #expect(await nodes[0].digest() == nodes[1].digest())
                await nodes[1].stop()
                try FileManager.default.removeItem(atPath: stage.directory.path + "/two/checkpoints")
                let second = try await Self.publish(200..<400, client, administration)
                nodes[1] = try await stage.node(in: "two", stream: Self.stream)
                for node in nodes { try await node.waitUntilApplied(second) }
                // A node that comes back may still say so: compare where both have been.
                let position = min(nodes[0].node.appliedSequence, nodes[1].node.appliedSequence)
                var states: [[MachineDigest]] = []
                for (node, folder) in zip(nodes, ["one", "two"]) {
                    let checkpoints = CheckpointStore(directory: stage.directory.path + "/\(folder)/checkpoints")
                    let traveller = TimeTraveller(reader: node.node.reader, checkpoints: checkpoints)
                    var state = try traveller.state(at: position)
                    states.append(state.digests())
                }
                #expect(states[0] == states[1])
                #expect(try await client.query("registry.services")["services"].items.count == 50)
            }
        }

        @Test func `claims, ticks in slots that come once, and is followed by another with the next epoch`()
            async throws
        {
            try await Self.with { stage, client, administration in
                var nodes: [RunningNode] = []
                for folder in ["one", "two"] {
                    nodes.append(try await stage.node(in: folder, stream: Self.stream, Self.quickTicks))
                }
                let leader = try await Self.leader(nodes)
                let follower = try #require(nodes.first { $0 !== leader })
                let epoch = await leader.node.status().leaderEpoch
                let hasTicked = try await eventually { try follower.records(.tick).count >= 10 }
                #expect(hasTicked)
                await leader.stop()
                let next = try await Self.leader([follower], notEpoch: epoch)
                #expect(next === follower)
                let count = try follower.records(.tick).count
                let goesOn = try await eventually { try follower.records(.tick).count >= count + 10 }
                #expect(goesOn)
                let slots = try follower.records(.tick).map { record -> UInt64 in
                    guard case .clock(.tick(let slot)) = record.event else { return 0 }
                    #expect(!String(decoding: record.messageID, as: UTF8.self).contains("\(slot)"))
                    return slot
                }
                #expect(slots == slots.sorted())
                #expect(Set(slots).count == slots.count, "each slot once")
                let resumed = try follower.records(.nodeResumed).map { record -> String in
                    guard case .clock(.nodeResumed(let id, _)) = record.event else { return "" }
                    return id
                }
                #expect(resumed.contains(leader.node.id) && resumed.contains(follower.node.id))
                #expect(try await client.status()["leader_id"].text == follower.node.id)
                await follower.stop()
            }
        }

        @Test func `speaks with one replies, before and after the leader goes`() async throws {
            try await Self.with { stage, client, administration in
                var nodes: [RunningNode] = []
                for folder in ["one", "two", "three"] {
                    nodes.append(try await stage.node(in: folder, stream: Self.stream, Self.quickTicks))
                }
                for round in 0..<2 {
                    let leader = try await Self.leader(nodes, notEpoch: UInt64(round))
                    let inbox = "_INBOX.round\(round)"
                    let ear = try await client.listen(inbox)
                    let changes = try await client.listen("lattice.changes.registry.s")
                    for number in 0..<50 {
                        let text = Client.registration("s", ["i\(round)-\(number)"])
                        var event = try client.event(.registered, "s", text, as: .protobuf)
                        event.headers = [MessageHeader("Lattice-Reply", inbox)]
                        try client.bus.publish(event)
                    }
                    var sequences: Set<Int> = []
                    for _ in 0..<50 {
                        sequences.insert(try JSON(try await ear.next(), .outcomeAnswer)["sequence"].number)
                    }
                    #expect(sequences.count == 50)
                    let last = UInt64(sequences.max() ?? 0)
                    for node in nodes { try await node.waitUntilApplied(last) }
                    for bus in nodes { #expect(await bus.node.status().asOf.sequence.rawValue >= last) }
                    _ = try await client.status()
                    #expect(try ear.heard().isEmpty, "only the leader replies")
                    _ = try changes.heard()
                    await leader.stop()
                    nodes.removeAll { $0 === leader }
                }
            }
        }

        @Test func `goes on ticking when the leader's clock is set back an hour`() async throws {
            try await Self.with { stage, client, administration in
                let clock = TestClock()
                let one = try await stage.node(in: "one", clock: clock, stream: Self.stream, Self.quickTicks)
                _ = try await Self.leader([one])
                let two = try await stage.node(in: "two", stream: Self.stream, Self.quickTicks)
                let hasTicked = try await eventually { try two.records(.tick).count >= 3 }
                #expect(hasTicked)
                let epoch = await two.node.status().leaderEpoch
                clock.advance(.seconds(-3_600))
                let count = try two.records(.tick).count
                let goesOn = try await eventually { try two.records(.tick).count >= count + 20 }
                #expect(goesOn)
                #expect(await two.node.status().leaderEpoch == epoch, "nobody thought that the leader was gone")
                #expect(await one.node.status().isLeader)
            }
        }

        @Test func `keeps what it does not understand as opaque records, the same on every node`() async throws {
            try await Self.with(serverConfiguration: "max_payload: 33554432\nmax_pending: 134217728\n") {
                stage, client, administration in
                var nodes: [RunningNode] = []
                for folder in ["one", "two"] { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                _ = try await Self.leader(nodes)
                let garbage: [(String, [UInt8])] = [
                    ("registry.s.registered", [0xFF, 0xFF]), ("registry.s.exploded", [1]), ("fashion.s.changed", []),
                    ("registry.s.registered", Array(Client.registration("other", ["a"]).utf8)),
                    ("mirror.s.captured", [1, 2]), ("registry.s.registered", Array("{".utf8)),
                    ("registry.s.registered", [UInt8](repeating: 7, count: 2 << 20)),
                    ("registry.s.registered", [UInt8](repeating: 7, count: 20 << 20)),
                ]
                for (subject, payload) in garbage {
                    let message = Message(subject: "lattice.events." + subject, payload: payload)
                    let reply = try await client.askByHeader(message)
                    #expect(reply["outcome"].text == "opaque", "\(subject)")
                    let outcome = try await client.query(
                        "node.outcome",
                        #"{"sequence":"\#(reply["sequence"].text)","min_sequence":"\#(reply["sequence"].text)"}"#)
                    #expect(outcome["outcome"].text == "opaque")
                }
                let last = try await Self.publish(0..<1, client, administration)
                for node in nodes { try await node.waitUntilApplied(last) }
                #expect(await nodes[0].digest() == nodes[1].digest())
                #expect(try await client.ids("s0", #","min_sequence":"\#(last)""#) == ["i0"])
                #expect(try await client.status()["rejected_messages"].number == 0)
                await nodes[1].stop()
                nodes[1] = try await stage.node(in: "two", stream: Self.stream)
                try await nodes[1].waitUntilApplied(last)
            }
        }

        @Test func `tells a repeated message id behind the stream's own window`() async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                let administration = JetStreamAdministration(client.bus)
                try await administration.ensureStream(
                    StreamConfiguration(
                        name: Self.stream, subjects: ["lattice.events.>"], duplicateWindow: .milliseconds(100)))
                let node = try await stage.node(stream: Self.stream)
                _ = try await Self.leader([node])
                let text = Client.registration("s", ["a"])
                let first = try await client.tell(.registered, "s", text, id: "once", byHeader: true)
                #expect(first["outcome"].text == "accepted")
                // The stream forgets the id in a moment, the log does not.
                let isRepeated = try await eventually {
                    let event = try client.event(.registered, "s", text)
                    var message = event
                    message.headers = [MessageHeader("Nats-Msg-Id", "once")]
                    let stored = try await administration.publishAcknowledged(message, timeout: .seconds(5))
                    return !stored.isDuplicate
                }
                #expect(isRepeated)
                let counted = try await eventually { try await client.status()["duplicate_messages"].number >= 1 }
                #expect(counted)
                #expect(try await client.ids("s") == ["a"])
            }
        }

        @Test func `takes each message exactly once, however often it is stopped and its server killed`() async throws {
            try await Self.with { stage, client, administration in
                var node = try await stage.node(stream: Self.stream)
                for round in 0..<4 {
                    let last = try await Self.publish(round * 100..<round * 100 + 50, client, administration)
                    if round == 2 {
                        await stage.killServer()
                        try await stage.restartServer()
                        let isBack = try await eventually { client.bus.state == .connected }
                        #expect(isBack)
                    } else {
                        await node.stop()
                    }
                    _ = try await Self.publish(round * 100 + 50..<round * 100 + 100, client, administration)
                    if round != 2 { node = try await stage.node(stream: Self.stream) }
                    try await node.waitUntilApplied(last + 50)
                }
                let status = try await administration.status(of: Self.stream)
                try await node.waitUntilApplied(status.lastSequence.rawValue)
                let records = try node.records(.registered)
                #expect(records.count == 400)
                #expect(Set(records.map(\.sequence)).count == 400)
                #expect(Set(records.map { Array($0.messageID) }).count == 400)
                let services = try await client.query("registry.services")["services"].items
                #expect(services.reduce(0) { $0 + $1["instances"].number } == 400)
            }
        }
    }
}
