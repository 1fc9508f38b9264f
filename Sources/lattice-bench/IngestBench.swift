// Durable ingest: heartbeats from a publisher through NATS, the log and its fsync into the registry.

import NodeRuntime
import ArgumentParser
import EventModel
import Messaging
import NATSMessaging

/// `ingest --batch 64 [--source jetstream]`.
struct IngestBench: AsyncParsableCommand {
    enum Source: String, ExpressibleByArgument, CaseIterable { case core, jetstream }

    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Events a second from publisher to folded state, log fsynced.",
        discussion: """
            core: live, a publisher keeps at most --window messages under way (core NATS can not make it wait).
            jetstream: a backlog is put into a stream first; the time from the node's first pull to the last event applied.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Heartbeats a message.") var batch = 64
    @Option(help: "Where the events come from.") var source = Source.core
    @Option(help: "Events a run.") var events: Int?
    @Option(help: "Instances in the registry.") var instances = 10_000
    @Option(help: "Messages under way at most (core).") var window = 8_192

    func run() async throws {
        var report = Report("ingest", common)
        let total = events ?? (batch == 1 ? 1_000_000 : 6_400_000)
        report.condition("batch", "\(batch)")
        report.condition("source", source.rawValue)
        report.condition("events", "\(total)")
        report.condition("instances", "\(instances)")
        report.condition("fsync", "always, group commit")
        for _ in 0..<common.runs {
            let seconds = source == .core ? try await core(total) : try await jetStream(total)
            report.run([("events_per_second", Double(total / batch * batch) / seconds)])
        }
        report.finish()
    }

    private func core(_ total: Int) async throws -> Double {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let publisher = try await stage.connect("publisher", atOnce: false)
        let mesh = Mesh(instances: instances)
        try await register(mesh, publisher, running)
        let heartbeats = mesh.heartbeats(batch: batch, prefix: "lattice")
        let count = total / batch
        let before = running.node.appliedSequence.rawValue
        let accepted = await running.node.status().acceptedEvents
        let start = ContinuousClock.now
        var sent = 0
        while sent < count {
            let chunk = min(256, count - sent)
            try publisher.publish(contentsOf: (sent..<sent + chunk).map { heartbeats[$0 % heartbeats.count] })
            sent += chunk
            while sent - Int(running.node.appliedSequence.rawValue - before) > window {
                try await Task.sleep(for: .microseconds(100))
            }
        }
        try await publisher.flush(timeout: .seconds(10))
        try await running.waitUntilApplied(before + UInt64(count))
        try await running.waitUntilAccepted(accepted + UInt64(count * batch))
        let seconds = start.duration(to: .now).inSeconds
        await publisher.close()
        await running.stop()
        await stage.close()
        return seconds
    }

    private func register(_ mesh: Mesh, _ publisher: NATSMessageBus, _ running: RunningNode) async throws {
        // The first records are the node's own: wait for them, so that the count below is right.
        try await running.waitUntilApplied(2)
        let registrations = mesh.registrations(prefix: "lattice")
        try publisher.publish(contentsOf: registrations)
        try await publisher.flush(timeout: .seconds(10))
        while await running.node.status().acceptedEvents < UInt64(instances) {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func jetStream(_ total: Int) async throws -> Double {
        let stage = try await Stage.open(common, jetStream: true)
        let administration = try await stage.connect("administration", atOnce: true)
        let streams = JetStreamAdministration(administration)
        _ = try await streams.ensureStream(StreamConfiguration(name: "LATTICE", subjects: ["lattice.events.>"]))
        let publisher = try await stage.connect("publisher", atOnce: false)
        let mesh = Mesh(instances: instances)
        try publisher.publish(contentsOf: mesh.registrations(prefix: "lattice"))
        let heartbeats = mesh.heartbeats(batch: batch, prefix: "lattice")
        let count = total / batch
        for start in stride(from: 0, to: count, by: 512) {
            try publisher.publish(
                contentsOf: (start..<min(start + 512, count)).map { heartbeats[$0 % heartbeats.count] })
            try await publisher.flush(timeout: .seconds(30))
        }
        let last = UInt64(mesh.serviceCount + count)
        while try await streams.status(of: "LATTICE").lastSequence.rawValue < last {
            try await Task.sleep(for: .milliseconds(20))
        }
        let bus = try await stage.connect("stream", atOnce: true)
        let source = try JetStreamSource(bus: bus, stream: "LATTICE", fingerprint: { $0.fingerprint })
        let start = ContinuousClock.now
        let running = try await stage.startNode({ $0.mode = .jetStream(stream: "LATTICE") }, stream: source)
        try await running.waitUntilApplied(last)
        let seconds = start.duration(to: .now).inSeconds
        let accepted = await running.node.status().acceptedEvents
        guard accepted >= UInt64(count * batch) else { throw BenchError("\(accepted) of \(count * batch) accepted") }
        await running.stop()
        for connection in [publisher, administration, bus] { await connection.close() }
        await stage.close()
        return seconds
    }
}
