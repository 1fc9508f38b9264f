// Clocks that jump, servers that go away, directories that are taken: what a node does at night.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import TestKit
import Testing

@Suite struct `A node at night` {
    private func settings(_ configuration: inout NodeConfiguration) {
        configuration.registry.staleAfter = .milliseconds(300)
        configuration.registry.evictAfter = .milliseconds(500)
        configuration.registry.guardLastInstance = .milliseconds(100)
    }

    @Test func `an instance that stopped beating is evicted, with reason and position`() async throws {
        let mesh = try await RunningMesh.open(settings)
        for id in ["a", "b"] { try await mesh.register(id) }
        try await mesh.wait {
            _ = try await mesh.publish(
                "registry.checkout.heartbeat", #"{"service_name":"checkout","events":[{"instance_id":"a"}]}"#)
            return try await mesh.answer("registry.removals").removals?.first?.instance_id == "b"
        }
        let removal = try await mesh.answer("registry.removals").removals?.first
        #expect(removal?.kind == "evicted" && removal?.reason == "heartbeat_timeout" && removal?.actor == "registry")
        #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids == ["a"])
        await mesh.close()
    }

    @Test func `a clock step of an hour forth and back evicts nobody`() async throws {
        let mesh = try await RunningMesh.open()
        for id in ["a", "b", "c"] { try await mesh.register(id) }
        for step in [3_600, -3_600, 3_600, -7_200] as [Int64] {
            mesh.clock.step(seconds: step)
            let before = mesh.node.appliedSequence.rawValue
            try await mesh.wait { mesh.node.appliedSequence.rawValue > before + 2 }
        }
        let answer = try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#)
        #expect(answer.ids == ["a", "b", "c"] && answer.instances?.allSatisfy { $0.health == "healthy" } == true)
        await mesh.close()
    }

    @Test func `a paused process evicts nobody`() async throws {
        let mesh = try await RunningMesh.open()
        for id in ["a", "b", "c"] { try await mesh.register(id) }
        await mesh.stopNode()
        mesh.clock.step(seconds: 86_400)
        try await mesh.restart()
        let before = mesh.node.appliedSequence.rawValue
        try await mesh.wait { mesh.node.appliedSequence.rawValue > before + 5 }
        #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids == ["a", "b", "c"])
        await mesh.close()
    }

    @Test func `a directory has one writer and a prefix one node`() async throws {
        let mesh = try await RunningMesh.open()
        await #expect {
            _ = try await RunningMesh.startNode(mesh.directory, mesh.server, mesh.clock) { $0.prefix = "other" }
        } throws: { ($0 as? NodeFailure)?.code == "log_locked" }
        await #expect {
            _ = try await RunningMesh.startNode(mesh.directory + "/second", mesh.server, mesh.clock) { _ in }
        } throws: { ($0 as? NodeFailure)?.code == "second_node" }
        await mesh.close()
    }

    @Test func `a damaged checkpoint is ignored, a damaged log stops the node`() async throws {
        let mesh = try await RunningMesh.open()
        for number in 0..<10 { try await mesh.register("i-\(number)") }
        let digest = try await mesh.answer("node.digest")
        try await mesh.restart(between: {
            let checkpoints = mesh.directory + "/data/checkpoints"
            for name in try FileManager.default.contentsOfDirectory(atPath: checkpoints) {
                try Self.flip(checkpoints + "/" + name, at: 0.5)
            }
        })
        let sequence = digest.as_of?.sequence ?? ""
        let past = try await mesh.answer("node.digest", #"{"at_sequence":"\#(sequence)"}"#)
        #expect(past.machines == digest.machines)
        await mesh.stopNode()
        let segment = try #require(
            FileManager.default.contentsOfDirectory(atPath: mesh.directory + "/data").first { $0.hasSuffix(".log") })
        try Self.flip(mesh.directory + "/data/" + segment, at: 0.4)
        await #expect {
            _ = try await RunningMesh.startNode(mesh.directory, mesh.server, mesh.clock) { _ in }
        } throws: { ($0 as? NodeFailure)?.code == "log_damaged" }
        await mesh.close()
    }

    @Test func `a torn tail is cut and nothing acknowledged is lost`() async throws {
        let mesh = try await RunningMesh.open()
        try await mesh.register("a")
        try await mesh.restart(between: {
            let data = mesh.directory + "/data/"
            let segment = try #require(
                FileManager.default.contentsOfDirectory(atPath: data).first { $0.hasSuffix(".log") })
            let handle = try #require(FileHandle(forWritingAtPath: data + segment))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data([200, 0, 0, 0, 1, 2, 3]))
            try handle.close()
        })
        #expect(mesh.node.recovery.tornTail != nil)
        #expect(try await mesh.answer("registry.resolve", #"{"service_name":"checkout"}"#).ids == ["a"])
        await mesh.close()
    }

    @Test func `a service that says too much is told so`() async throws {
        let mesh = try await RunningMesh.open { $0.bytesPerSecond = 2_000 }
        let padding = String(repeating: "x", count: 3_000)
        _ = try await mesh.register("a", more: #","metadata":[{"key":"k","value":"\#(padding)"}]"#)
        let outcome = try await mesh.register("b", more: #","metadata":[{"key":"k","value":"\#(padding)"}]"#)
        #expect(outcome.outcome == "rejected" && outcome.reason == "rate_limited")
        #expect(try await mesh.register("c", service: "payment").outcome == "accepted")
        await mesh.close()
    }

    private static func flip(_ path: String, at share: Double) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        data[Int(Double(data.count) * share)] ^= 0x10
        try data.write(to: URL(fileURLWithPath: path))
    }
}

@Suite struct `Nodes on one stream` {
    private struct Cluster {
        let directory: String
        let server: EmbeddedNATSServer
        let client: NATSMessageBus

        static func open() async throws -> Cluster {
            let directory = NSTemporaryDirectory() + "lattice-stream-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: directory + "/nats", withIntermediateDirectories: true)
            var options = EmbeddedNATSServer.Options(directory: directory + "/nats")
            options.jetStreamDirectory = directory + "/nats/jetstream"
            let server = try await EmbeddedNATSServer.start(options)
            let cluster = Cluster(
                directory: directory, server: server, client: try await RunningMesh.connect(server, "client"))
            try await cluster.ensureStream()
            return cluster
        }

        func ensureStream() async throws {
            _ = try await JetStreamAdministration(client).ensureStream(
                StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"]))
        }

        func startNode(_ name: String) async throws -> (node: Node, buses: [NATSMessageBus]) {
            var configuration = NodeConfiguration(directory: directory + "/" + name)
            configuration.mode = .jetStream(stream: "LATTICE")
            configuration.tickInterval = .milliseconds(100)
            let buses = [
                try await RunningMesh.connect(server, "intake"), try await RunningMesh.connect(server, "answers"),
            ]
            let environment = NodeEnvironment(
                intakeBus: buses[0], answerBus: buses[1],
                stream: try JetStreamSource(bus: buses[0], stream: "LATTICE") { $0.fingerprint },
                clock: SteppedClock().clock, logger: RunningMesh.quiet)
            do {
                let node = try await Node.start(configuration, environment)
                return (node, buses)
            } catch {
                for bus in buses { await bus.close() }
                throw error
            }
        }

        func register(_ id: String) throws {
            let body = #"{"service_name":"checkout","events":[{"instance_id":"\#(id)","endpoint":"10.0.0.1:80"}]}"#
            try client.publish(
                Message(subject: "lattice.events.registry.checkout.registered", payload: Array(body.utf8)))
        }

        func wait(until condition: () async throws -> Bool) async throws {
            let end = ContinuousClock.now.advanced(by: .seconds(20))
            while ContinuousClock.now < end {
                if try await condition() { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            Issue.record("it did not happen within 20 s")
        }

        func close() async {
            await client.close()
            await server.terminate()
            try? FileManager.default.removeItem(atPath: directory)
        }
    }

    private func stop(_ running: (node: Node, buses: [NATSMessageBus])) async {
        await running.node.stop()
        for bus in running.buses { await bus.close() }
    }

    @Test func `hold the same state at the same sequence, also after one was away`() async throws {
        let cluster = try await Cluster.open()
        let first = try await cluster.startNode("first")
        var second = try await cluster.startNode("second")
        for number in 0..<50 { try cluster.register("i-\(number)") }
        try cluster.client.publish(Message(subject: "lattice.events.registry.checkout.registered", payload: [1, 2, 3]))
        try await cluster.wait { first.node.appliedSequence.rawValue > 51 && second.node.appliedSequence.rawValue > 51 }
        await stop(second)
        for number in 50..<100 { try cluster.register("i-\(number)") }
        second = try await cluster.startNode("second")
        try await cluster.wait {
            let left = await first.node.digests()
            let right = await second.node.digests()
            return left.asOf.sequence.rawValue > 100 && left == right
        }
        await stop(second)
        await stop(first)
        await cluster.close()
    }

    @Test func `have one leader, and another one when it goes`() async throws {
        let cluster = try await Cluster.open()
        let first = try await cluster.startNode("first")
        try await cluster.wait { await first.node.status().isLeader }
        let second = try await cluster.startNode("second")
        try await cluster.wait { await second.node.status().leaderID == first.node.id }
        #expect(await !second.node.status().isLeader)
        await stop(first)
        try await cluster.wait { await second.node.status().isLeader }
        #expect(await second.node.status().leaderEpoch >= 2)
        await stop(second)
        await cluster.close()
    }

    @Test func `refuse a stream that was deleted and made anew`() async throws {
        let cluster = try await Cluster.open()
        let running = try await cluster.startNode("first")
        try cluster.register("a")
        try await cluster.wait { running.node.appliedSequence.rawValue >= 1 }
        await stop(running)
        try await JetStreamAdministration(cluster.client).deleteStream("LATTICE")
        try await cluster.ensureStream()
        for number in 0..<200 { try cluster.register("other-\(number)") }
        await #expect {
            _ = try await cluster.startNode("first")
        } throws: { ($0 as? NodeFailure)?.code == "stream_rolled_back" }
        await cluster.close()
    }
}
