// Tracing: durable ingest of spans, replay of them, and the two questions that have a target.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import Queries

/// `spans --batch 64`.
struct SpansBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spans",
        abstract: "Spans a second from publisher to folded traces and projections, log fsynced.",
        discussion: """
            Live over core NATS; the publisher keeps at most --window messages under way, since core NATS can not make \
            it wait.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "Spans a message.") var batch = 64
    @Option(help: "Spans a run.") var spans = 1_920_000
    @Option(help: "Messages under way at most.") var window = 512
    @Option(help: "Actors that share the partitions.") var parts = 2

    func run() async throws {
        var report = Report("spans", common)
        let mesh = SpanMesh(batch: batch)
        report.condition("batch", "\(batch)")
        report.condition("spans", "\(spans), 6 tags, \(mesh.bytesPerSpan) bytes each, traces of 8")
        report.condition("parts", "\(parts)")
        report.condition("fsync", "always, group commit")
        for _ in 0..<common.runs {
            report.run([("spans_per_second", Double(spans / batch * batch) / (try await measure(mesh)))])
        }
        report.finish()
    }

    private func measure(_ mesh: SpanMesh) async throws -> Double {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode({ $0.traceParts = parts })
        let publisher = try await stage.connect("publisher", atOnce: false)
        try await running.waitUntilApplied(2)
        let before = running.node.appliedSequence.rawValue
        let accepted = await running.node.status().acceptedEvents
        let count = spans / batch
        let start = ContinuousClock.now
        var sent = 0
        while sent < count {
            let chunk = min(64, count - sent)
            try publisher.publish(contentsOf: (sent..<sent + chunk).map { mesh.message($0) })
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
}

/// What a question about a node full of spans costs.
struct TraceQueryStage {
    let stage: Stage
    let running: RunningNode
    let bus: NATSMessageBus

    static func open(_ common: CommonOptions, spans: [Message]) async throws -> TraceQueryStage {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let bus = try await stage.connect("asker", atOnce: true)
        for start in stride(from: 0, to: spans.count, by: 64) {
            let chunk = spans[start..<min(start + 64, spans.count)]
            try bus.publish(contentsOf: chunk.dropLast())
            guard let last = chunk.last else { continue }
            _ = try await bus.request(last, timeout: .seconds(30))
        }
        return TraceQueryStage(stage: stage, running: running, bus: bus)
    }

    /// Asks one after the other.
    func measure(
        _ count: Int, _ name: TraceQueryName, _ question: @Sendable (Int) -> [UInt8]
    ) async throws -> LatencySample {
        var sample = LatencySample()
        let queries = QueryClient(bus: bus, prefix: "lattice", timeout: .seconds(30))
        for index in 0..<count {
            let start = ContinuousClock.now
            _ = try await queries.ask(.trace(name), question(index))
            sample.add(start.duration(to: .now))
        }
        return sample
    }

    func close() async {
        await bus.close()
        await running.stop()
        await stage.close()
    }
}

/// `critical-path --spans 10000`.
struct CriticalPathBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "critical-path", abstract: "Assembly and critical path of one trace, asked over NATS.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Spans of the trace.") var spans = 10_000
    @Option(help: "Questions a run.") var questions = 100

    func run() async throws {
        var report = Report("critical-path", common)
        report.condition("spans", "\(spans), a random tree")
        for _ in 0..<common.runs {
            let stage = try await TraceQueryStage.open(common, spans: Self.trace(spans))
            var query = TraceQuery()
            query.traceID = TraceID(high: 1, low: 1)
            let payload = query.encode()
            let sample = try await stage.measure(questions, .criticalPath) { _ in payload }
            report.run([("p50_ms", sample.milliseconds(50)), ("p99_ms", sample.milliseconds(99))])
            await stage.close()
        }
        report.finish()
    }

    /// One trace: each span lies within an earlier one.
    static func trace(_ count: Int) -> [Message] {
        let start = Int64(Date().timeIntervalSince1970) * 1_000_000_000
        var spans: [TraceSpan] = []
        var state: UInt64 = 42
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % max(1, bound)
        }
        for index in 0..<count {
            let parent = index == 0 ? nil : spans[next(index)]
            let from = parent.map { $0.startTime.rawValue + Int64(next(Int($0.duration.rawValue / 2))) } ?? start
            let end = parent.map { min($0.endTime.rawValue, from + Int64(next(Int($0.duration.rawValue)))) }
            spans.append(
                TraceSpan(
                    spanID: SpanID(UInt64(index + 1)), traceID: TraceID(high: 1, low: 1), parentSpanID: parent?.spanID,
                    serviceName: "service", operationName: "operation-\(index % 20)",
                    kind: index % 2 == 0 ? .server : .client, startTime: Timestamp(nanoseconds: from),
                    endTime: Timestamp(nanoseconds: end ?? start + 10_000_000_000)))
        }
        return stride(from: 0, to: count, by: 64).compactMap { first in
            let part = Array(spans[first..<min(first + 64, count)])
            guard let batch = SpanBatch(serviceName: "service", spans: part) else { return nil }
            return Message(
                subject: "lattice.events.trace.service.spans",
                payload: EventCodec.encode(.trace(.spansReceived(batch)))?.facts ?? [])
        }
    }
}

/// `search --spans 1000000`.
struct SearchBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "The first page of a search by service, operation, error and duration, over NATS.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Spans that are resident.") var spans = 1_000_000
    @Option(help: "Questions a run.") var questions = 200

    func run() async throws {
        var report = Report("search", common)
        let mesh = SpanMesh(batch: 64)
        report.condition("spans", "\(spans), traces of 8")
        for _ in 0..<common.runs {
            let messages = (0..<spans / 64).map { mesh.message($0) }
            let stage = try await TraceQueryStage.open(common, spans: messages)
            let sample = try await stage.measure(questions, .search) { index in
                var query = TraceQuery()
                query.serviceName = "service-\(index % 8)"
                query.operationName = "GET /api/v1/items/\(index % 10)"
                query.minimumDuration = .milliseconds(Int64(index % 30))
                if index % 3 == 0 { query.error = true }
                return query.encode()
            }
            report.run([("p50_ms", sample.milliseconds(50)), ("p99_ms", sample.milliseconds(99))])
            await stage.close()
        }
        report.finish()
    }
}
