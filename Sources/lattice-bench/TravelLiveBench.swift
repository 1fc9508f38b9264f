// Journeys into the past beside live ingest: how much of the offered rate a node keeps.

import NodeRuntime
import ArgumentParser
import EventModel
import Messaging
import NATSMessaging
import Queries

/// `travel --while-ingesting`: half of what the node takes at most is offered, first alone, then with a travel worker.
struct LiveTravel {
    let common: CommonOptions
    let seconds: Int
    private static let batch = 64
    private static let instances = 10_000
    /// Messages under way at most while the maximum is measured.
    private static let window = 8_192

    private struct Counts {
        var answered = 0
        var failed = 0
    }

    func run(_ report: inout Report) async throws {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let publisher = try await stage.connect("publisher", atOnce: false)
        let mesh = Mesh(instances: Self.instances)
        try await running.waitUntilApplied(2)
        try publisher.publish(contentsOf: mesh.registrations(prefix: "lattice"))
        try await publisher.flush(timeout: .seconds(10))
        while await running.node.status().acceptedEvents < UInt64(Self.instances) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let heartbeats = mesh.heartbeats(batch: Self.batch, prefix: "lattice")
        let maximum = try await atMost(publisher, running, heartbeats)
        let alone = try await offer(maximum / 2, publisher, running, heartbeats)
        let bus = try await stage.connect("traveller", atOnce: true)
        let worker = Task { await travel(bus, running) }
        let share = try await offer(maximum / 2, publisher, running, heartbeats)
        worker.cancel()
        let counts = await worker.value
        report.run([
            ("ratio", share), ("ratio_alone", alone), ("maximum_per_second", maximum * Double(Self.batch)),
            ("journeys", Double(counts.answered)), ("journeys_failed", Double(counts.failed)),
        ])
        await bus.close()
        await publisher.close()
        await running.stop()
        await stage.close()
    }

    /// Messages a second with a publisher that never waits but for its window.
    private func atMost(
        _ publisher: NATSMessageBus, _ running: RunningNode, _ heartbeats: [Message]
    ) async throws -> Double {
        let before = running.node.appliedSequence.rawValue
        let start = ContinuousClock.now
        var sent = 0
        while start.duration(to: .now) < .seconds(seconds) {
            try publisher.publish(contentsOf: (sent..<sent + 256).map { heartbeats[$0 % heartbeats.count] })
            sent += 256
            while sent - Int(running.node.appliedSequence.rawValue - before) > Self.window {
                try await Task.sleep(for: .microseconds(100))
            }
        }
        try await publisher.flush(timeout: .seconds(10))
        let took = start.duration(to: .now).inSeconds
        let applied = Double(running.node.appliedSequence.rawValue - before)
        try await running.waitUntilApplied(before + UInt64(sent))
        return applied / took
    }

    /// Offers so many messages a second, whatever becomes of them; the share that was applied when the time was over.
    private func offer(
        _ rate: Double, _ publisher: NATSMessageBus, _ running: RunningNode, _ heartbeats: [Message]
    ) async throws -> Double {
        let before = running.node.appliedSequence.rawValue
        let start = ContinuousClock.now
        var sent = 0
        while true {
            let elapsed = start.duration(to: .now)
            let due = Int(min(elapsed, .seconds(seconds)).inSeconds * rate)
            if due > sent {
                try publisher.publish(contentsOf: (sent..<due).map { heartbeats[$0 % heartbeats.count] })
                sent = due
            }
            if elapsed >= .seconds(seconds) { break }
            try await Task.sleep(for: .milliseconds(2))
        }
        try await publisher.flush(timeout: .seconds(10))
        // Whatever is still under way then was not kept up with.
        let applied = Double(running.node.appliedSequence.rawValue - before)
        guard await running.node.status().gaps == 0 else { throw BenchError("messages were lost") }
        return min(1, applied / (Double(seconds) * rate))
    }

    /// One journey after the other to arbitrary points, until it is cancelled.
    private func travel(_ bus: NATSMessageBus, _ running: RunningNode) async -> Counts {
        var counts = Counts()
        var dice = Dice()
        let queries = QueryClient(bus: bus, prefix: "lattice", timeout: .seconds(15))
        while !Task.isCancelled {
            var query = RegistryQuery()
            query.serviceName = "service-1"
            query.position = ReadPosition(atSequence: dice.next(in: 1...running.node.appliedSequence.rawValue))
            let answer = try? await queries.ask(.registry(.services), query.encode())
            if answer != nil { counts.answered += 1 } else { counts.failed += 1 }
        }
        return counts
    }
}
