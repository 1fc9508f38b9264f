// The log by itself, replay from it, start-up with it, memory of a node.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import StateMachines

/// Writes logs without NATS.
struct LogFixture {
    let directory: String

    /// Registrations, then heartbeats in frames of `batch`; a checkpoint `behind` events before the end, if asked for.
    func build(events: Int, batch: Int, instances: Int, checkpointBehind behind: Int? = nil) throws {
        var options = EventLogOptions()
        options.durability = .never
        let (log, _) = try EventLog.open(directory: directory, options: options)
        try log.setSource(.core)
        let mesh = Mesh(instances: instances)
        let messages = mesh.heartbeats(batch: batch, prefix: "lattice")
        var sequence: UInt64 = 0
        var time: Int64 = 1_700_000_000_000_000_000
        var state = MeshState()
        var frames = FrameBatch()
        let checkpointAt = behind.map { (events - $0) / batch }
        func flush() throws {
            try log.append(frames)
            try log.commit()
            frames.removeAll()
        }
        for message in mesh.registrations(prefix: "lattice") {
            sequence += 1
            try add(message.payload, .registered, message.subject, sequence, time, &frames)
            try keep(frames, &state, when: checkpointAt != nil)
        }
        for index in 0..<events / batch {
            sequence += 1
            time += 1_000_000
            let message = messages[index % messages.count]
            try add(message.payload, .heartbeat, message.subject, sequence, time, &frames)
            if let checkpointAt, index <= checkpointAt { try keep(frames, &state, when: true) }
            if index == checkpointAt {
                try flush()
                try CheckpointCodec.save(
                    state, of: log.reader, to: CheckpointStore(directory: directory + "/checkpoints"),
                    createdAt: Timestamp(nanoseconds: time))
            }
            if frames.byteCount > 1 << 20 { try flush() }
        }
        try flush()
        try log.close()
    }

    private func add(
        _ facts: [UInt8], _ type: EventType, _ subject: String, _ sequence: UInt64, _ time: Int64,
        _ frames: inout FrameBatch
    ) throws {
        try frames.append(
            sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time), eventType: type.rawValue,
            schemaVersion: EventType.currentSchemaVersion, subject: Array(subject.utf8.dropFirst(15)), facts: facts)
    }

    private func keep(_ frames: FrameBatch, _ state: inout MeshState, when isWanted: Bool) throws {
        if isWanted, let last = frames.last { state.apply(EventRecord(last)) }
    }
}

/// `replay`.
struct ReplayBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Events a second from disk into the folded state.",
        discussion: """
            registry: heartbeats into the registry, one core. trace: spans with 6 tags into traces and all projections, \
            by the recovery of a node, on all cores.
            """)

    enum Family: String, ExpressibleByArgument, CaseIterable { case registry, trace }

    @OptionGroup var common: CommonOptions
    @Option(help: "Which events.") var family = Family.registry
    @Option(help: "Events in the log; of traces 2,000,000 unless said otherwise.") var events = 10_000_000
    @Option(help: "Events a frame.") var batch = 64
    @Option(help: "Instances in the registry.") var instances = 10_000
    @Option(help: "Actors that share the partitions of traces.") var parts = 2

    func run() async throws {
        if family == .trace { return try await replaySpans() }
        var report = Report("replay", common)
        report.condition("events", "\(events) in frames of \(batch)")
        report.condition("instances", "\(instances)")
        let directory = try Stage.makeDirectory(common) + "/data"
        try LogFixture(directory: directory).build(events: events, batch: batch, instances: instances)
        for _ in 0..<common.runs {
            let traveller = TimeTraveller(
                reader: try LogReader.open(directory: directory),
                checkpoints: CheckpointStore(directory: directory + "/checkpoints"))
            let start = ContinuousClock.now
            var state = try traveller.state(at: .end, fromZero: true)
            let seconds = start.duration(to: .now).inSeconds
            guard state.registry.instanceCount == instances else { throw BenchError("instances are missing") }
            report.run([("events_per_second", Double(events / batch * batch) / seconds)])
            _ = state.digests()
        }
        try FileManager.default.removeItem(atPath: (directory as NSString).deletingLastPathComponent)
        report.finish()
    }
}

extension ReplayBench {
    /// A node recovers a log of spans that has no checkpoint.
    private func replaySpans() async throws {
        let count = events == 10_000_000 ? 1_920_000 : events
        let mesh = SpanMesh(batch: batch)
        var report = Report("replay", common)
        report.condition("family", "trace")
        report.condition("events", "\(count) spans of \(mesh.bytesPerSpan) bytes in frames of \(batch), traces of 8")
        report.condition("parts", "\(parts)")
        for _ in 0..<common.runs {
            let stage = try await Stage.open(common)
            try mesh.build(stage.directory + "/data", spans: count)
            let start = ContinuousClock.now
            let running = try await stage.startNode({ $0.traceParts = parts })
            let seconds = start.duration(to: .now).inSeconds
            report.run([("events_per_second", Double(count / batch * batch) / seconds)])
            await running.stop()
            await stage.close()
        }
        report.finish()
    }
}

/// `log --batch 1000`.
struct LogBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Append of records with one fsync a batch.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Records a batch and fsync.") var batch = 1_000
    @Option(help: "Bytes of a record on disk.") var bytes = 256
    @Option(help: "Records a run.") var events = 3_000_000

    func run() async throws {
        var report = Report("log", common)
        report.condition("batch", "\(batch)")
        report.condition("bytes", "\(bytes)")
        for _ in 0..<common.runs { report.run(try measure()) }
        report.finish()
    }

    private func measure() throws -> [(String, Double)] {
        let parent = try Stage.makeDirectory(common)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        let (log, _) = try EventLog.open(directory: parent + "/data")
        let facts = [UInt8](repeating: 0x61, count: max(0, bytes - 48))
        var sequence: UInt64 = 0
        var frames = FrameBatch(reservingBytes: batch * bytes)
        let start = ContinuousClock.now
        for _ in 0..<events / batch {
            frames.removeAll()
            for _ in 0..<batch {
                sequence += 1
                try frames.append(
                    sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: Int64(sequence)),
                    eventType: 3, schemaVersion: 1, facts: facts)
            }
            try log.append(frames)
            try log.commit()
        }
        let seconds = start.duration(to: .now).inSeconds
        let status = try log.status()
        try log.close()
        return [
            ("events_per_second", Double(sequence) / seconds),
            ("fsync_p50_ms", Double(status.syncLatency.nanoseconds(percentile: 50)) / 1e6),
        ]
    }
}

/// `start`.
struct StartBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "From the start of a node to its first answer, with a log and a checkpoint.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Events in the log.") var events = 10_000_000
    @Option(help: "Events behind the newest checkpoint.") var behind = 1_000_000
    @Option(help: "Heartbeats a frame.") var batch = 64
    @Option(help: "Instances in the registry.") var instances = 10_000

    func run() async throws {
        var report = Report("start", common)
        report.condition("events", "\(events) in frames of \(batch), checkpoint \(behind) events behind")
        for _ in 0..<common.runs {
            let stage = try await Stage.open(common)
            try LogFixture(directory: stage.directory + "/data").build(
                events: events, batch: batch, instances: instances, checkpointBehind: behind)
            let start = ContinuousClock.now
            let running = try await stage.startNode()
            let seconds = start.duration(to: .now).inSeconds
            report.run([("seconds", seconds)])
            await running.stop()
            await stage.close()
        }
        report.finish()
    }
}
