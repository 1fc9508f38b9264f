// The past of a long log: a state at an arbitrary point, a bisection, a difference, steps back.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import Messaging
import StateMachines

/// A log of mixed events with checkpoints, built once for several benchmarks where `--log` names it.
struct PastOptions: ParsableArguments {
    @Option(help: "Events in the log: heartbeats, spans and captures as 6 : 3 : 1.") var events = 10_000_000
    @Option(help: "Events between two checkpoints; a node writes one in five minutes, and keeps a few of them.")
    var checkpointEvery = 420_000
    @Option(help: "Events a second of the log's time.") var rate = 1_400
    @Option(help: ArgumentHelp("Use this log; it is built where there is none, and kept.", valueName: "dir"))
    var log: String?

    func validate() throws {
        if events < 10_000 { throw ValidationError("--events is at least 10000") }
        if checkpointEvery < 1_000 { throw ValidationError("--checkpoint-every is at least 1000") }
        if rate < 100 { throw ValidationError("--rate is at least 100") }
    }

    /// Runs a benchmark on the log; what was not named is removed.
    func with(
        _ common: CommonOptions, _ name: String, _ body: (Timeline, inout Report) throws -> Void
    ) throws {
        var report = Report(name, common)
        report.condition("events", "\(events): heartbeats, spans, captures 6 : 3 : 1; \(rate) a second of log time")
        report.condition("checkpoints", "every \(checkpointEvery) events; those are kept that a node keeps")
        let parent = try log ?? Stage.makeDirectory(common)
        defer { if log == nil { try? FileManager.default.removeItem(atPath: parent) } }
        let directory = parent + "/data"
        if !FileManager.default.fileExists(atPath: directory + "/MANIFEST") {
            try MixedLog(options: self, directory: directory).build()
        }
        let timeline = Timeline(
            reader: try LogReader.open(directory: directory),
            checkpoints: CheckpointStore(directory: directory + "/checkpoints"))
        try body(timeline, &report)
        report.finish()
    }
}

/// Writes the log.
private struct MixedLog {
    let options: PastOptions
    let directory: String
    private static let heartbeatsPerFrame = 60
    private static let spansPerFrame = 30
    private static let capturesPerFrame = 10
    private let mesh = Mesh(instances: 10_000)

    init(options: PastOptions, directory: String) {
        self.options = options
        self.directory = directory
    }

    func build() throws {
        var logOptions = EventLogOptions()
        logOptions.durability = .never
        let (log, _) = try EventLog.open(directory: directory, options: logOptions)
        try log.setSource(.core)
        let policy = NodeConfiguration(directory: directory)
        let checkpoints = CheckpointStore(
            directory: directory + "/checkpoints", keptCount: policy.checkpointsKept,
            olderCount: policy.olderCheckpoints)
        var writer = Writer(log: log, checkpoints: checkpoints)
        for message in mesh.registrations(prefix: "lattice") {
            try writer.add(.registered, Array(message.subject.utf8.dropFirst(15)), message.payload)
        }
        try addMirrors(&writer)
        let heartbeats = mesh.heartbeats(batch: Self.heartbeatsPerFrame, prefix: "lattice")
        let step = Int64(100_000_000_000 / options.rate)
        var (done, nextTick, slot) = (0, writer.time, UInt64(0))
        var nextCheckpoint = options.checkpointEvery
        while done < options.events {
            let round = done / 100
            let message = heartbeats[round % heartbeats.count]
            try writer.add(.heartbeat, Array(message.subject.utf8.dropFirst(15)), message.payload)
            try writer.add(spans(round, at: writer.time), "trace.web.spans")
            try writer.add(captures(round), "mirror.service-0.captured")
            writer.time += step
            done += 100
            if writer.time >= nextTick {
                slot += 1
                try writer.add(.clock(.tick(slot: slot)), "clock.tick")
                nextTick = writer.time + 5_000_000_000
            }
            if done >= nextCheckpoint {
                try writer.checkpoint()
                nextCheckpoint += options.checkpointEvery
            }
        }
        try writer.finish()
    }

    private func addMirrors(_ writer: inout Writer) throws {
        let allowed = ShadowsAllowed(sourceService: "service-0", endpoints: ["10.9.0.1:80"])
        try writer.add(.mirror(.shadowsAllowed(allowed)), "mirror.service-0.shadows_allowed")
        let mirror = MirrorConfiguration(
            mirrorID: "next", sourceService: "service-0", shadowEndpoint: "10.9.0.1:80", mode: .sampled,
            sampleRateBasisPoints: 100)
        try writer.add(
            .mirror(.added(Batch(serviceName: "service-0", events: [mirror]))), "mirror.service-0.added")
    }

    /// Ten traces of three spans; one operation becomes slow after two thirds of the log.
    private func spans(_ round: Int, at time: Int64) -> Event {
        let isLate = round * 100 > options.events / 3 * 2
        let spans = (0..<Self.spansPerFrame).map { index in
            let trace = UInt64(round * 10 + index / 3 + 1)
            let isSlow = isLate && index < 3
            let start = time + Int64(index % 3) * 1_000_000
            let length = Int64(3 - index % 3) * 10_000_000 + Int64(trace % 997) * 1_000
            return TraceSpan(
                spanID: SpanID(UInt64(index % 3 + 1)), traceID: TraceID(high: trace &* 0x9E37_79B9, low: trace),
                parentSpanID: index % 3 == 0 ? nil : SpanID(UInt64(index % 3)), serviceName: "web",
                operationName: "operation-\(index / 3)", kind: index % 3 == 0 ? .server : .internal,
                status: trace % 1_000 == 0 ? .error : .ok, startTime: Timestamp(nanoseconds: start),
                endTime: Timestamp(nanoseconds: start + (isSlow ? length * 10 : length)))
        }
        guard let batch = SpanBatch(serviceName: "web", spans: spans) else { return .opaque(reason: "spans") }
        return .trace(.spansReceived(batch))
    }

    private func captures(_ round: Int) -> Event {
        let captures = (0..<Self.capturesPerFrame).map { index in
            RequestCapture(requestID: "request-\(round)-\(index)", intent: "intent-\(index)")
        }
        return .mirror(.captured(Batch(serviceName: "service-0", events: captures)))
    }

    /// Appends records and folds them, so that checkpoints can be written on the way.
    private struct Writer {
        let log: EventLog
        let checkpoints: CheckpointStore
        var time: Int64 = 1_700_000_000_000_000_000
        private var sequence: UInt64 = 0
        private var state = MeshState()
        private var frames = FrameBatch()

        init(log: EventLog, checkpoints: CheckpointStore) {
            self.log = log
            self.checkpoints = checkpoints
        }

        mutating func add(_ event: Event, _ subject: String) throws {
            guard let (type, facts) = EventCodec.encode(event) else { throw BenchError("an event has no encoding") }
            try add(type, Array(subject.utf8), facts)
        }

        mutating func add(_ type: EventType, _ subject: [UInt8], _ facts: [UInt8]) throws {
            sequence += 1
            try frames.append(
                sequence: SequenceNumber(sequence), recordedAt: Timestamp(nanoseconds: time), eventType: type.rawValue,
                schemaVersion: EventType.currentSchemaVersion, subject: subject, facts: facts)
            if let last = frames.last { state.apply(EventRecord(last)) }
            if frames.byteCount > 1 << 20 { try flush() }
        }

        private mutating func flush() throws {
            try log.append(frames)
            try log.commit()
            frames.removeAll()
        }

        mutating func checkpoint() throws {
            try flush()
            try CheckpointCodec.save(state, of: log.reader, to: checkpoints, createdAt: Timestamp(nanoseconds: time))
            try checkpoints.prune()
        }

        mutating func finish() throws {
            try flush()
            try log.close()
        }
    }
}

/// Points of a log from a seed, the same in each run.
struct Dice {
    private var state: UInt64 = 42

    mutating func next(in range: ClosedRange<UInt64>) -> SequenceNumber {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return SequenceNumber(range.lowerBound + (state >> 16) % (range.upperBound - range.lowerBound + 1))
    }
}

/// Resident memory of this process in megabytes, its highest so far.
private func peakMegabytes() -> Double {
    let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? ""
    return (Double(line.split(whereSeparator: { !$0.isNumber }).first ?? "") ?? 0) / 1_024
}

/// `travel`.
struct TravelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "travel", abstract: "A state at arbitrary points of the log: the slowest of so many.",
        discussion: """
            With --while-ingesting a node is asked for arbitrary points of its past, one journey after the other, while half \
            of what it takes at most is offered to it: `ratio` is the share of that rate that it keeps, `ratio_alone` the \
            same without a traveller.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var past: PastOptions
    @Option(help: "Points a run.") var points = 5
    @Flag(help: "Measure a live node beside its intake instead.") var whileIngesting = false
    @Option(help: "Seconds of each part (--while-ingesting).") var seconds = 10

    func run() async throws {
        if whileIngesting {
            var report = Report("travel-while-ingesting", common)
            report.condition("offered", "half of the maximum, 64 heartbeats a message, for \(seconds) s")
            for _ in 0..<common.runs { try await LiveTravel(common: common, seconds: seconds).run(&report) }
            return report.finish()
        }
        try past.with(common, "travel") { timeline, report in
            var dice = Dice()
            for _ in 0..<common.runs {
                var slowest = 0.0
                for _ in 0..<points {
                    let point = dice.next(in: 1...timeline.reader.lastSequence.rawValue)
                    let start = ContinuousClock.now
                    let state = try timeline.state(at: point)
                    slowest = max(slowest, start.duration(to: .now).inSeconds)
                    guard state.moment.sequence == point else { throw BenchError("that is another point") }
                }
                report.run([("seconds", slowest), ("resident_mb", peakMegabytes())])
            }
        }
    }
}

/// `bisect`.
struct BisectBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bisect", abstract: "The first record at which a monotone expression is true.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var past: PastOptions
    @Option(name: .customLong("where"), help: "The expression.")
    var condition = "operation('web', 'operation-0').p99 > 150ms"

    func run() async throws {
        let expression = try MeshExpression(condition)
        try past.with(common, "bisect") { timeline, report in
            report.condition("expression", condition)
            for _ in 0..<common.runs {
                var bisection = Bisection(timeline, expression)
                let start = ContinuousClock.now
                guard case .found(let found) = try bisection.bisect(from: .origin, to: timeline.reader.lastSequence)
                else { throw BenchError("it was not found") }
                report.run([
                    ("seconds", start.duration(to: .now).inSeconds), ("sequence", Double(found.sequence.rawValue)),
                    ("evaluations", Double(found.evaluationCount)),
                ])
            }
        }
    }
}

/// `diff`.
struct DiffBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "The difference between two arbitrary points of the log.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var past: PastOptions

    func run() async throws {
        try past.with(common, "diff") { timeline, report in
            var dice = Dice()
            for _ in 0..<common.runs {
                let last = timeline.reader.lastSequence.rawValue
                let (one, other) = (dice.next(in: 1...last), dice.next(in: 1...last))
                let start = ContinuousClock.now
                let (old, new) = (try timeline.state(at: min(one, other)), try timeline.state(at: max(one, other)))
                let difference = MeshDifference(from: old, to: new)
                let seconds = start.duration(to: .now).inSeconds
                guard !difference.isEmpty else { throw BenchError("nothing differs") }
                report.run([("seconds", seconds)])
            }
        }
    }
}

/// `step`.
struct StepBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "One step back, from an arbitrary point, again and again.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var past: PastOptions
    @Option(help: "Steps a run.") var steps = 2_000

    func run() async throws {
        try past.with(common, "step") { timeline, report in
            var dice = Dice()
            for _ in 0..<common.runs {
                let last = timeline.reader.lastSequence.rawValue
                var stepper = try Stepper(timeline, at: dice.next(in: last / 2...last))
                var sample = LatencySample()
                for _ in 0..<steps {
                    let start = ContinuousClock.now
                    guard try stepper.back() else { throw BenchError("there is nothing before") }
                    sample.add(start.duration(to: .now))
                }
                report.run([
                    ("p50_ms", sample.milliseconds(50)), ("p99_ms", sample.milliseconds(99)),
                    ("max_ms", sample.milliseconds(100)), ("resident_mb", peakMegabytes()),
                ])
            }
        }
    }
}
