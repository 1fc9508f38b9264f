// Acknowledged publishes and queries: latency and rate as a client sees them.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Messaging
import NATSMessaging
import Queries

/// So many clients, each asking its next question when the last one was answered.
struct ClosedLoop {
    let bus: NATSMessageBus
    let clients: Int
    let duration: Duration
    let makeRequest: @Sendable (Int) -> Message
    let check: @Sendable (Message) -> Bool

    /// Latencies and answers a second.
    func run() async throws -> (latencies: LatencySample, perSecond: Double) {
        let start = ContinuousClock.now
        let end = start.advanced(by: duration)
        let latencies = try await withThrowingTaskGroup(of: LatencySample.self) { group in
            for client in 0..<clients {
                group.addTask { try await ask(client, until: end) }
            }
            var all = LatencySample()
            for try await sample in group { all.add(sample) }
            return all
        }
        return (latencies, Double(latencies.count) / start.duration(to: .now).inSeconds)
    }

    private func ask(_ client: Int, until end: ContinuousClock.Instant) async throws -> LatencySample {
        var sample = LatencySample()
        while true {
            let start = ContinuousClock.now
            if start >= end { return sample }
            let answer = try await bus.request(makeRequest(client), timeout: .seconds(5))
            guard check(answer) else { throw BenchError("unexpected answer on \(answer.subject)") }
            sample.add(start.duration(to: .now))
        }
    }
}

/// `publish --publishers N`.
struct PublishBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Acknowledged publishes: durable and applied, then answered.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Publishers, each with one event under way.") var publishers = 1
    @Option(help: "Seconds a run.") var seconds = 5

    func run() async throws {
        var report = Report("publish", common)
        report.condition("publishers", "\(publishers), one heartbeat each under way, one connection")
        report.condition("fsync", "always, group commit")
        for _ in 0..<common.runs {
            let stage = try await Stage.open(common)
            let running = try await stage.startNode()
            let bus = try await stage.connect("publishers", atOnce: true)
            let mesh = Mesh(instances: 1_000)
            for message in mesh.registrations(prefix: "lattice") {
                _ = try await bus.request(message, timeout: .seconds(5))
            }
            let heartbeats = mesh.heartbeats(batch: 1, prefix: "lattice")
            let loop = ClosedLoop(
                bus: bus, clients: publishers, duration: .seconds(seconds),
                makeRequest: { heartbeats[$0 % heartbeats.count] },
                check: { (try? OutcomeNotice.decode($0.payload[...]))?.acceptedCount == 1 })
            let before = try await Self.settledSync(running)
            let (latencies, perSecond) = try await loop.run()
            let sync = try await Self.settledSync(running).since(before)
            report.run(
                [
                    ("p50_ms", latencies.milliseconds(50)), ("p99_ms", latencies.milliseconds(99)),
                    ("events_per_second", perSecond),
                ] + Self.limit(perSecond, latencies.count, sync))
            await bus.close()
            await running.stop()
            await stage.close()
        }
        report.finish()
    }
}

extension PublishBench {
    /// What the node's fdatasync took so far: its figures are of the last second.
    private static func settledSync(_ running: RunningNode) async throws -> LatencyFigures {
        try await Task.sleep(for: .milliseconds(1_300))
        return running.node.syncLatency
    }

    /// The share of the rate that the disk alone would permit with groups of this size, one fdatasync after the other; and
    /// the share of the time in which an fdatasync ran.
    private static func limit(
        _ perSecond: Double, _ events: Int, _ sync: LatencyFigures
    ) -> [(String, Double)] {
        // Ticks are groups of their own; a few of them in a run.
        let eventsPerGroup = Double(events) / Double(max(1, sync.count))
        let median = Double(sync.nanoseconds(percentile: 50)) / 1e9
        guard median > 0 else { return [] }
        let busy = Double(sync.totalNanoseconds) / 1e9 * perSecond / Double(max(1, events))
        return [
            ("events_per_group", eventsPerGroup), ("fsync_p50_ms", median * 1e3),
            ("of_fsync_limit", perSecond / (eventsPerGroup / median)), ("fsync_share", busy),
        ]
    }
}

/// `query --clients N` or `query --background-rate R`.
struct QueryBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "`resolve` of a service with 10 instances over NATS.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Clients, each with one question under way.") var clients = 1
    @Option(help: "Heartbeats a second that come in meanwhile, one a message.") var backgroundRate = 0
    @Option(help: "Seconds a run.") var seconds = 5

    func run() async throws {
        var report = Report("query", common)
        report.condition("clients", "\(clients) on one connection")
        report.condition("background_rate", "\(backgroundRate)")
        for _ in 0..<common.runs { report.run(try await measure()) }
        report.finish()
    }

    private func measure() async throws -> [(String, Double)] {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let bus = try await stage.connect("clients", atOnce: true)
        let mesh = Mesh(instances: 10_000)
        for message in mesh.registrations(prefix: "lattice") + [Self.asked] {
            _ = try await bus.request(message, timeout: .seconds(5))
        }
        var query = RegistryQuery()
        query.serviceName = "asked"
        let question = QueryClient(bus: bus, prefix: "lattice", timeout: .seconds(5))
            .question(.registry(.resolve), query.encode())
        let loop = ClosedLoop(
            bus: bus, clients: clients, duration: .seconds(seconds),
            makeRequest: { _ in question }, check: { $0.payload.count > 300 })
        let background = Task { try await publishInBackground(stage, mesh) }
        let (latencies, perSecond) = try await loop.run()
        background.cancel()
        let sent = try await background.value
        await bus.close()
        await running.stop()
        await stage.close()
        return [
            ("p50_ms", latencies.milliseconds(50)), ("p99_ms", latencies.milliseconds(99)),
            ("queries_per_second", perSecond), ("background_per_second", Double(sent) / Double(seconds)),
        ]
    }

    private static var asked: Message {
        let events = (0..<10).map {
            Registration(
                instanceID: "asked-\($0)", endpoint: "10.9.9.\($0 + 1):8080", region: "region-\($0 % 3)",
                zone: "zone-\($0)", incarnation: 1)
        }
        let event = Event.registry(.registered(Registered(serviceName: "asked", events: events)))
        return Message(
            subject: "lattice.events.registry.asked.registered", payload: EventCodec.encode(event)?.facts ?? [])
    }

    /// Heartbeats at a steady rate, in steps of a millisecond.
    private func publishInBackground(_ stage: Stage, _ mesh: Mesh) async throws -> Int {
        if backgroundRate == 0 { return 0 }
        let bus = try await stage.connect("background", atOnce: false)
        let heartbeats = mesh.heartbeats(batch: 1, prefix: "lattice")
        let start = ContinuousClock.now
        var sent = 0
        while !Task.isCancelled {
            let due = Int(start.duration(to: .now).inSeconds * Double(backgroundRate))
            if due > sent {
                try bus.publish(contentsOf: (sent..<due).map { heartbeats[$0 % heartbeats.count] })
                sent = due
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
        await bus.close()
        return sent
    }
}
