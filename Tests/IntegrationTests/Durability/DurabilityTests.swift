// What was acknowledged is there after a stop, a crash, damage to a checkpoint; what cannot be trusted is not.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import Synchronization
import TestKit
import Testing

/// Who was told that an instance is registered, and at which sequence.
private final class Acknowledgements: Sendable {
    private let told = Mutex<[String: Int]>([:])

    var sequences: [String: Int] { told.withLock { $0 } }

    /// One instance after the other, until nobody answers.
    func keepPublishing(_ client: Client, _ number: Int) async throws {
        for index in 0... {
            let id = "i-\(number)-\(index)"
            let event = try client.event(
                .registered, "s\(number)", Client.registration("s\(number)", [id]), as: .protobuf)
            guard let reply = try? await client.bus.request(event, timeout: .seconds(1)) else { return }
            let sequence = try JSON(reply, .outcomeAnswer)["sequence"].number
            told.withLock { $0[id] = sequence }
        }
    }
}

extension `A node` {
    @Suite(.serialized) struct `stopped and started` {
        /// What may have become of the checkpoints in between.
        enum Checkpoints: String, CaseIterable, Sendable {
            case kept, removed, damaged, cut
        }

        @Test(arguments: Checkpoints.allCases)
        func `has the same state at the same sequence`(_ checkpoints: Checkpoints) async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", (0..<50).map { "i\($0)" })
                await node.node.checkpoint()
                _ = try await client.tell(.heartbeat, "s", Client.heartbeats("s", ["i1", "i2"]), id: "beat")
                _ = try await client.tell(
                    .deregistered, "s", #"{"service_name":"s","events":[{"instance_id":"i3","incarnation":"1"}]}"#)
                let digest = await node.digest()
                let position = digest.prefix { $0 != " " }
                await node.stop()
                let files = stage.files(in: "data/checkpoints").filter { $0.hasSuffix(".ckpt") }
                #expect(files.count == 2)
                for file in files { try Self.spoil(stage.directory.path + "/data/checkpoints/" + file, checkpoints) }
                let again = try await stage.node()
                let past = try await client.query("node.digest", #"{"at_sequence":"\#(position)"}"#)
                #expect(past["as_of"]["sequence"].text == position)
                for machine in past["machines"].items {
                    #expect(digest.contains("\(machine["machine"].text)=\(machine["digest"].text)"))
                }
                #expect(try await client.ids("s").count == 49)
                let isSpoilt = checkpoints == .damaged || checkpoints == .cut
                #expect(stage.words.contain("checkpoint ignored") == isSpoilt)
                let repeated = try await client.tell(.heartbeat, "s", Client.heartbeats("s", ["i1"]), id: "beat")
                #expect(repeated["outcome"].text == "duplicate", "message ids are remembered across a restart")
                await again.stop()
            }
        }

        private static func spoil(_ path: String, _ how: Checkpoints) throws {
            switch how {
            case .kept: break
            case .removed: try FileManager.default.removeItem(atPath: path)
            case .damaged: try change(path) { $0[$0.count / 2] ^= 0x10 }
            case .cut: try change(path) { $0.removeLast($0.count / 2) }
            }
        }

        /// Changes the bytes of a file.
        static func change(_ path: String, _ body: (inout [UInt8]) -> Void) throws {
            var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
            body(&bytes)
            try Data(bytes).write(to: URL(filePath: path))
        }

        @Test func `cuts off a torn tail and reports it`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                await node.stop()
                let segment = try #require(stage.files(in: "data").last { $0.hasSuffix(".log") })
                let torn = [UInt8](repeating: 0x5A, count: 37)
                try Self.change(stage.directory.path + "/data/" + segment) { $0 += torn }
                let again = try await stage.node()
                #expect(again.node.recovery.tornTail?.byteCount == 37)
                #expect(again.node.recovery.tornTail?.discardedFrameCount == 0)
                #expect(try await client.ids("s") == ["a"])
                #expect(try await client.register("s", ["b"])["outcome"].text == "accepted")
            }
        }

        @Test func `does not start over a hole, and changes nothing`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                for index in 0..<20 { try await client.register("s", ["i\(index)"]) }
                await node.stop()
                let name = try #require(stage.files(in: "data").last { $0.hasSuffix(".log") })
                let path = stage.directory.path + "/data/" + name
                try Self.change(path) { $0[$0.count / 2] ^= 1 }
                let before = try Data(contentsOf: URL(filePath: path))
                #expect(try await stage.failureOfStart() == "log_damaged")
                #expect(try Data(contentsOf: URL(filePath: path)) == before)
                #expect(try await stage.failureOfStart() == "log_damaged", "the directory was given back")
            }
        }

        @Test func `shares its directory with nobody`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                #expect(try await stage.failureOfStart { $0.prefix = "another" } == "log_locked")
                await node.stop()
                #expect(try await stage.failureOfStart { $0.prefix = "another" } == "log_of_another_mesh")
                #expect(try await stage.failureOfStart() == nil)
            }
        }

        @Test func `shares its prefix with nobody in core mode`() async throws {
            try await Stage.with { stage in
                try await stage.node()
                #expect(try await stage.failureOfStart(in: "elsewhere") == "second_node")
                #expect(try await stage.failureOfStart(in: "elsewhere") { $0.prefix = "another" } == nil)
            }
        }

        @Test func `stopped under load, it loses nothing that it acknowledged`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let book = Acknowledgements()
                let publishers = (0..<8).map { number in Task { try await book.keepPublishing(client, number) } }
                let isBusy = try await eventually { book.sequences.count > 2_000 }
                #expect(isBusy)
                await node.stop()
                for publisher in publishers { try await publisher.value }
                let last = node.node.appliedSequence.rawValue
                let digest = await node.digest()
                let again = try await stage.node()
                let past = try await client.query("node.digest", #"{"at_sequence":"\#(last)"}"#)
                #expect(past["machines"].items.allSatisfy { digest.contains($0["digest"].text) })
                var kept: Set<String> = []
                for publisher in 0..<8 { kept.formUnion(try await client.ids("s\(publisher)")) }
                let told = book.sequences
                #expect(kept.isSuperset(of: told.keys), "\(Set(told.keys).subtracting(kept).count) lost")
                #expect(Set(told.values).count == told.count, "no sequence was given twice")
                // One request a publisher may have been written and not told before it gave up.
                #expect(kept.count - told.count <= 8)
                await again.stop()
            }
        }

        @Test func `takes what had arrived before it was told to stop, of every family`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                let beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                let policy = try client.event(.registryConfigured, "me", #"{"guard_windows":3}"#, as: .protobuf)
                let before = node.node.appliedSequence.rawValue
                try client.bus.publish(contentsOf: Array(repeating: beat, count: 3_000))
                try client.bus.publish(contentsOf: Array(repeating: policy, count: 500))
                try await client.bus.flush(timeout: .seconds(5))
                await node.stop()
                #expect(node.node.appliedSequence.rawValue >= before + 3_500)
            }
        }

        @Test func `answers every publisher whose event it took before it stops`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node()
                let client = try await stage.client()
                try await client.register("s", ["a"])
                let ear = try await client.listen("_INBOX.replies")
                var beat = try client.event(.heartbeat, "s", Client.heartbeats("s", ["a"]), as: .protobuf)
                beat.replyTo = "_INBOX.replies"
                let before = node.node.appliedSequence.rawValue
                try client.bus.publish(contentsOf: Array(repeating: beat, count: 5_000))
                try await client.bus.flush(timeout: .seconds(5))
                await node.stop()
                for _ in 0..<(node.node.appliedSequence.rawValue - before) { _ = try await ear.next() }
            }
        }

        @Test func `answers gone before its horizon, with the first record it has`() async throws {
            try await Stage.with { stage in
                let node = try await stage.node {
                    $0.log.segmentByteLimit = 16_384
                    $0.retention = RetentionLimits(byteCount: 40_000)
                    $0.checkpointsKept = 1
                }
                let client = try await stage.client()
                try await client.register("s", (0..<20).map { "i\($0)" })
                let beats = Client.heartbeats("s", (0..<20).map { "i\($0)" })
                let beat = try client.event(.heartbeat, "s", beats, as: .protobuf)
                for _ in 0..<300 { _ = try await client.ask(beat) }
                let segments = stage.files(in: "data").filter { $0.hasSuffix(".log") }.count
                await node.node.checkpoint()
                let isTrimmed = try await eventually { node.node.reader.firstRetained.rawValue > 2 }
                #expect(isTrimmed)
                #expect(stage.files(in: "data").filter { $0.hasSuffix(".log") }.count < segments)
                let first = node.node.reader.firstRetained
                let error = try await client.query("registry.resolve", #"{"service_name":"s","at_sequence":"2"}"#)
                #expect(error["code"].text == "gone")
                #expect(error["sequence"].text == "\(first)")
                let outcome = try await client.query("registry.resolve", #"{"service_name":"s","at_time":"1"}"#)
                #expect(outcome["code"].text == "gone")
                let digest = await node.digest()
                await node.stop()
                let again = try await stage.node()
                #expect(try await client.ids("s").count == 20)
                let position = digest.prefix { $0 != " " }
                let past = try await client.query("node.digest", #"{"at_sequence":"\#(position)"}"#)
                #expect(past["machines"].items.allSatisfy { digest.contains($0["digest"].text) })
                await again.stop()
                // Nothing else leads to the state of a trimmed log: without its checkpoint it is refused.
                try FileManager.default.removeItem(atPath: stage.directory.path + "/data/checkpoints")
                #expect(try await stage.failureOfStart() == "log_failed")
            }
        }

        @Test func `refuses a service that says too much, and no other`() async throws {
            try await Stage.with { stage in
                let clock = TestClock()
                try await stage.node(clock: clock) { $0.bytesPerSecond = 10_000 }
                let client = try await stage.client()
                let much = Client.registration("loud", (0..<100).map { "i\($0)" })
                let first = try await client.tell(.registered, "loud", much)
                #expect(first["outcome"].text == "accepted")
                let second = try await client.tell(.registered, "loud", much)
                let third = try await client.tell(.registered, "loud", much)
                #expect([second, third].contains { $0["reason"].text == "rate_limited" })
                #expect(try await client.register("quiet", ["q"])["outcome"].text == "accepted")
                clock.advance(.seconds(2))
                #expect(try await client.tell(.registered, "loud", much)["outcome"].text == "accepted")
            }
        }
    }
}
