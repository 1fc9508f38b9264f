// What events mean in a log: how it begins, who refuses what nobody has, and the way out of what got in all the same.

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
    @Suite(.serialized) struct `and what events mean` {
        private static let stream = "MESH"

        private static func withStream(
            _ story: (Stage, Client, JetStreamAdministration) async throws -> Void
        ) async throws {
            try await Stage.with(jetStream: true) { stage in
                let client = try await stage.client()
                let administration = JetStreamAdministration(client.bus)
                try await administration.ensureStream(
                    StreamConfiguration(name: stream, subjects: ["lattice.events.>"]))
                try await story(stage, client, administration)
            }
        }

        /// Puts an event into the stream; its sequence.
        private static func put(
            _ kind: EventType, _ owner: String, _ json: String, _ client: Client,
            _ administration: JetStreamAdministration, id: String? = nil
        ) async throws -> UInt64 {
            var event = try client.event(kind, owner, json)
            if let id { event.headers.append(MessageHeader("Nats-Msg-Id", id)) }
            return try await administration.publishAcknowledged(event, timeout: .seconds(10)).sequence.rawValue
        }

        /// So slow that a machine with much to do takes nobody's leadership away.
        private static func steadyTicks(_ configuration: inout NodeConfiguration) {
            configuration.tickInterval = .milliseconds(250)
        }

        private static func versions(_ node: RunningNode) throws -> [SequenceNumber: UInt32] {
            var versions: [SequenceNumber: UInt32] = [:]
            for record in try node.records(.semanticsActivated) {
                if case .policy(.semanticsActivated(let version, _)) = record.event {
                    versions[record.sequence] = version
                }
            }
            return versions
        }

        // MARK: How a log begins

        @Test func `begins a new log with the newest semantics, once`() async throws {
            try await Stage.with { stage in
                let client = try await stage.client()
                for _ in 0..<3 {
                    let node = try await stage.node()
                    #expect(try await client.status()["semantics_version"].number == 2)
                    #expect(try await client.status()["semantics_supported"].number == 2)
                    #expect(try Self.versions(node) == [SequenceNumber(1): 2])
                    await node.stop()
                }
            }
        }

        @Test func `begins an empty stream with them, whoever of several nodes is first`() async throws {
            try await Self.withStream { stage, client, administration in
                async let first = stage.node(in: "one", stream: Self.stream)
                async let second = stage.node(in: "two", stream: Self.stream)
                let nodes = [try await first, try await second]
                let last = try await Self.put(
                    .registered, "s", Client.registration("s", ["a"]), client, administration)
                for node in nodes {
                    try await node.waitUntilApplied(last)
                    #expect(try Self.versions(node) == [SequenceNumber(1): 2])
                    #expect(await node.node.status().semanticsVersion == 2)
                }
            }
        }

        @Test func `leaves a stream that has messages its own semantics`() async throws {
            try await Self.withStream { stage, client, administration in
                _ = try await Self.put(.registered, "s", Client.registration("s", ["a"]), client, administration)
                for round in 0..<2 {
                    let node = try await stage.node(stream: Self.stream)
                    let last = try await Self.put(
                        .registered, "s", Client.registration("s", ["b\(round)"]), client, administration)
                    try await node.waitUntilApplied(last)
                    #expect(try Self.versions(node).isEmpty)
                    #expect(await node.node.status().semanticsVersion == 1)
                    await node.stop()
                }
            }
        }

        // MARK: At the door

        @Test func `refuses what would stop it, as the only one who orders, and lives on`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let before = node.node.appliedSequence
                for version in [3, 9_999, Int(UInt32.max), 1, 0] {
                    for encoding in Encoding.allCases {
                        let reply = try await client.tell(
                            .semanticsActivated, "bob", #"{"version":\#(version)}"#, as: encoding)
                        #expect(reply["outcome"].text == "rejected", "\(version): \(reply)")
                        #expect(reply["reason"].text == "unsupported_semantics", "\(version): \(reply)")
                    }
                }
                for sequence in [0, 1, 2, 99] {
                    let reply = try await client.tell(.recordSkipped, "bob", #"{"sequence":"\#(sequence)"}"#)
                    #expect(reply["outcome"].text == "rejected" && reply["reason"].text == "not_skippable", "\(reply)")
                }
                #expect(node.node.appliedSequence == before, "nothing of it is in the log")
                #expect(try await client.register("s", ["a"])["outcome"].text == "accepted")
                #expect(
                    try await client.tell(.semanticsActivated, "bob", #"{"version":2}"#)["outcome"].text == "accepted")
                await node.stop()
                let again = try await stage.node()
                #expect(try await client.ids("s") == ["a"])
                await again.stop()
            }
        }

        @Test func `keeps an older log's semantics until they are activated, and then no door opens back`() async throws
        {
            try await Stage.with { stage in
                try Self.writeOldLog(stage.directory.path + "/data")
                let node = try await stage.node()
                let client = try await stage.client()
                #expect(try await client.status()["semantics_version"].number == 1)
                let reply = try await client.tell(.semanticsActivated, "alice", #"{"version":2}"#)
                #expect(reply["outcome"].text == "accepted", "\(reply)")
                #expect(try await client.status()["semantics_version"].number == 2)
                let back = try await client.tell(.semanticsActivated, "alice", #"{"version":1}"#)
                #expect(back["outcome"].text == "rejected", "\(back)")
                let digest = await node.digest()
                await node.stop()
                let again = try await stage.node()
                #expect(try await client.status()["semantics_version"].number == 2)
                let past = try await client.query("node.digest", #"{"at_sequence":"\#(digest.prefix { $0 != " " })"}"#)
                #expect(past["machines"].items.allSatisfy { digest.contains($0["digest"].text) })
                await again.stop()
            }
        }

        /// A log of a time before there was a second version; with a record at which this version stops, if wanted.
        private static func writeOldLog(_ directory: String, activating version: UInt32? = nil) throws {
            let (log, _) = try EventLog.open(directory: directory)
            try log.setSource(.core)
            var events: [(Event, String)] = [
                (.clock(.nodeResumed(nodeID: "n", reason: "start")), "clock.node_resumed"),
                (.clock(.leadershipClaimed(nodeID: "n", epoch: 1)), "clock.leadership_claimed"),
            ]
            if let version {
                events.append(
                    (.policy(.semanticsActivated(version: version, reason: "")), "policy.bob.semantics_activated"))
            }
            var frames = FrameBatch()
            for (index, (event, subject)) in events.enumerated() {
                let (type, facts) = try #require(EventCodec.encode(event))
                try frames.append(
                    sequence: SequenceNumber(UInt64(index + 1)),
                    recordedAt: Timestamp(nanoseconds: 1_790_000_000_000_000_000 + Int64(index)),
                    eventType: type.rawValue, schemaVersion: 1, subject: Array(subject.utf8), facts: facts)
            }
            try log.append(frames)
            try log.commit()
            try log.close()
        }

        @Test func `stops at a log that an older version let be stopped, at each start`() async throws {
            try await Stage.with { stage in
                try Self.writeOldLog(stage.directory.path + "/data", activating: 9_999)
                for _ in 0..<2 { #expect(try await stage.failureOfStart() == "unsupported_semantics") }
            }
        }

        // MARK: Over a stream

        @Test func `stops over a stream at what it lacks, and goes on when that is skipped, the same on every node`()
            async throws
        {
            try await Self.withStream { stage, client, administration in
                let folders = ["one", "two"]
                var nodes: [RunningNode] = []
                for folder in folders { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                let served = try await Self.put(
                    .registered, "s", Client.registration("s", ["a"]), client, administration)
                for node in nodes { try await node.waitUntilApplied(served) }
                let bad = try await Self.put(
                    .semanticsActivated, "bob", #"{"version":9999}"#, client, administration, id: "typo")
                for node in nodes { #expect(try await node.failure() == "unsupported_semantics") }
                for folder in folders + folders {
                    #expect(
                        try await stage.failureOfStart(in: folder, stream: Self.stream) == "unsupported_semantics")
                }
                // Life goes on while nobody listens, with the same id, too; then somebody says what to do.
                _ = try await Self.put(.registered, "t", Client.registration("t", ["b"]), client, administration)
                _ = try await Self.put(
                    .recordSkipped, "bob", #"{"sequence":"\#(served)"}"#, client, administration)
                let skip = try await Self.put(
                    .recordSkipped, "alice", #"{"sequence":"\#(bad)","reason":"a typo"}"#, client, administration)
                let after = try await Self.put(
                    .registered, "u", Client.registration("u", ["c"]), client, administration)
                nodes = []
                for folder in folders { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                for node in nodes { try await node.waitUntilApplied(after) }
                for (service, id) in [("s", "a"), ("t", "b"), ("u", "c")] {
                    #expect(try await client.ids(service, #","min_sequence":"\#(after)""#) == [id])
                }
                #expect(try await client.status()["semantics_version"].number == 2)
                try await Self.expectOneStory(nodes, folders, stage, through: after, bad: bad, skip: skip)
                let trail = try await client.query("audit.trail")["entries"].items
                let entry = try #require(trail.first { $0["sequence"].number == Int(skip) })
                #expect(entry["actor"].text == "alice" && entry["action"].text == "policy.record_skipped")
                #expect(entry["detail"].text == "record \(bad)" && entry["reason"].text == "a typo")
                for node in nodes { await node.stop() }
                // One who never saw any of it stops once, where the others did, and then knows the way.
                #expect(await Self.failureOfLife(stage, "three") == "unsupported_semantics")
                let third = try await stage.node(in: "three", stream: Self.stream)
                try await third.waitUntilApplied(after)
                try await Self.expectOneStory([third], ["three"], stage, through: after, bad: bad, skip: skip)
            }
        }

        /// Why a node ended by itself that could be started.
        private static func failureOfLife(_ stage: Stage, _ folder: String) async -> String? {
            do {
                return try await stage.node(in: folder, stream: Self.stream).failure()
            } catch {
                return (error as? NodeFailure)?.code
            }
        }

        /// Every way to a state leads to the same one, and the outcomes tell what was skipped.
        private static func expectOneStory(
            _ nodes: [RunningNode], _ folders: [String], _ stage: Stage, through last: UInt64, bad: UInt64, skip: UInt64
        ) async throws {
            var seen: [UInt64: [MachineDigest]] = [:]
            for (node, folder) in zip(nodes, folders) {
                let timeline = Timeline(
                    reader: node.node.reader,
                    checkpoints: CheckpointStore(directory: stage.directory.path + "/\(folder)/checkpoints"))
                let fresh = CheckpointStore(directory: stage.directory.path + "/\(folder)/none")
                let traveller = TimeTraveller(reader: node.node.reader, checkpoints: fresh)
                for sequence in [bad - 1, bad, bad + 1, skip, last].map({ SequenceNumber($0) }) {
                    var (near, far) = (try timeline.state(at: sequence), try traveller.state(at: sequence))
                    let digests = near.digests()
                    #expect(far.digests() == digests)
                    #expect(near.admission.semanticsVersion == 2)
                    if let other = seen[sequence.rawValue] { #expect(other == digests) }
                    seen[sequence.rawValue] = digests
                }
                #expect(try traveller.outcome(of: SequenceNumber(bad)).verdict == .opaque)
                #expect(try traveller.outcome(of: SequenceNumber(skip)).accepted == 1)
                let refused = try traveller.outcome(of: SequenceNumber(skip - 1))
                #expect(refused.refused.map(\.reason) == [.notSkippable])
                var bisection = Bisection(timeline, try MeshExpression("count(instances) >= 3"))
                guard case .found(let finding) = try bisection.bisect(from: .origin, to: SequenceNumber(last)) else {
                    Issue.record("nothing was found")
                    continue
                }
                #expect(finding.sequence == SequenceNumber(last))
            }
        }

        @Test func `stops where an activation that it took is skipped, and folds anew as the others do`() async throws {
            try await Self.withStream { stage, client, administration in
                _ = try await Self.put(.registered, "s", Client.registration("s", ["a"]), client, administration)
                let folders = ["one", "two"]
                var nodes: [RunningNode] = []
                for folder in folders { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                let activated = try await Self.put(
                    .semanticsActivated, "alice", #"{"version":2}"#, client, administration)
                for node in nodes { try await node.waitUntilApplied(activated) }
                for node in nodes { #expect(await node.node.status().semanticsVersion == 2) }
                _ = try await Self.put(
                    .recordSkipped, "alice", #"{"sequence":"\#(activated)"}"#, client, administration)
                for node in nodes { #expect(try await node.failure() == "record_skipped") }
                nodes = []
                for folder in folders { nodes.append(try await stage.node(in: folder, stream: Self.stream)) }
                let last = try await Self.put(
                    .registered, "s", Client.registration("s", ["b"]), client, administration)
                for node in nodes {
                    try await node.waitUntilApplied(last)
                    #expect(await node.node.status().semanticsVersion == 1)
                }
                let position = min(nodes[0].node.appliedSequence, nodes[1].node.appliedSequence)
                var states: [[MachineDigest]] = []
                for (node, folder) in zip(nodes, folders) {
                    let checkpoints = CheckpointStore(directory: stage.directory.path + "/\(folder)/checkpoints")
                    var state = try TimeTraveller(reader: node.node.reader, checkpoints: checkpoints).state(
                        at: position)
                    states.append(state.digests())
                }
                #expect(states[0] == states[1])
            }
        }

        // MARK: What records claim

        @Test(arguments: [1, 2])
        func `keeps its leader whatever slot a tick claims`(_ version: Int) async throws {
            try await Self.withStream { stage, client, administration in
                if version == 1 {
                    _ = try await Self.put(.registered, "s", Client.registration("s", ["a"]), client, administration)
                }
                var nodes: [RunningNode] = []
                for folder in ["one", "two"] {
                    nodes.append(try await stage.node(in: folder, stream: Self.stream, Self.steadyTicks))
                }
                let leads = try await eventually { try nodes[1].records(.tick).count >= 5 }
                #expect(leads)
                let before = await nodes[0].node.status()
                #expect(before.semanticsVersion == version)
                for slot: UInt64 in [.max, .max - 1, 1 << 63, 1 << 62, 0] {
                    _ = try await Self.put(.tick, "", #"{"slot":"\#(slot)"}"#, client, administration)
                }
                let count = try nodes[1].records(.tick).count
                // More ticks than anybody waits for who hears none.
                let goesOn = try await eventually { try nodes[1].records(.tick).count >= count + 15 }
                #expect(goesOn)
                for node in nodes {
                    let status = await node.node.status()
                    #expect(status.leaderEpoch == before.leaderEpoch && status.leaderID == before.leaderID)
                    await node.stop()
                }
                // The same from disk.
                let again = try await stage.node(in: "one", stream: Self.stream, Self.steadyTicks)
                let epoch = try await eventually { await again.node.status().leaderID == again.node.id }
                #expect(epoch)
                let known = await again.node.status().leaderEpoch
                let ticks = try again.records(.tick).count
                let ticksOn = try await eventually { try again.records(.tick).count >= ticks + 15 }
                #expect(ticksOn)
                #expect(await again.node.status().leaderEpoch == known)
            }
        }
    }
}
