// Resident memory of a node: the shipped executable as a process of its own.

import ArgumentParser
import EventModel
import Foundation
import Messaging
import NATSMessaging
import Queries

/// `memory --instances 100000` or `memory --spans 1000000`.
struct MemoryBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory", abstract: "Resident memory of `lattice serve` (the executable beside this one).")

    @OptionGroup var common: CommonOptions
    @Option(help: "Instances in the registry.") var instances = 100_000

    @Option(help: "Measure the memory of so many resident spans instead.") var spans = 0

    func run() async throws {
        if spans > 0 { return try await measureSpans() }
        var report = Report("memory", common)
        report.condition("instances", "\(instances), each beating twice")
        report.condition("process", "lattice serve alone, after a checkpoint of all of it")
        for _ in 0..<common.runs {
            let stage = try await Stage.open(common)
            let node = try await NodeProcess.start(stage)
            let bus = try await stage.connect("publisher", atOnce: false)
            try await publish(on: bus, node)
            report.run([("resident_mb", try node.megabytes("VmRSS")), ("peak_mb", try node.megabytes("VmHWM"))])
            await bus.close()
            node.end()
            await stage.close()
        }
        report.finish()
    }

    private func publish(on bus: NATSMessageBus, _ node: NodeProcess) async throws {
        let mesh = Mesh(instances: instances)
        for round in 0..<3 {
            let messages =
                round == 0 ? mesh.registrations(prefix: "lattice") : mesh.heartbeats(batch: 50, prefix: "lattice")
            for start in stride(from: 0, to: messages.count, by: 100) {
                try bus.publish(contentsOf: Array(messages[start..<min(start + 100, messages.count)]))
                try await bus.flush(timeout: .seconds(10))
            }
            let wanted = UInt64(instances * (round + 1))
            while try await node.acceptedEvents(bus) < wanted { try await Task.sleep(for: .milliseconds(10)) }
        }
        let last = try await node.acceptedMessages(bus)
        while try await node.checkpointSequence(bus) < last { try await Task.sleep(for: .milliseconds(50)) }
    }
}

extension MemoryBench {
    /// What a node's resident memory grows by for each span that it retains.
    private func measureSpans() async throws {
        var report = Report("memory", common)
        let mesh = SpanMesh(batch: 64)
        report.condition("spans", "\(spans), 6 tags, \(mesh.bytesPerSpan) bytes each, traces of 8")
        report.condition("process", "lattice serve alone, with one checkpoint written before the spans")
        for _ in 0..<common.runs {
            let stage = try await Stage.open(common)
            let node = try await NodeProcess.start(stage)
            let bus = try await stage.connect("publisher", atOnce: true)
            let before = try node.megabytes("VmRSS")
            for first in stride(from: 0, to: spans / 64, by: 64) {
                let chunk = (first..<min(first + 64, spans / 64)).map { mesh.message($0) }
                try bus.publish(contentsOf: chunk.dropLast())
                if let last = chunk.last { _ = try await bus.request(last, timeout: .seconds(30)) }
            }
            let after = try node.megabytes("VmRSS")
            let bytes = (after - before) * 1_048_576 / Double(spans / 64 * 64)
            report.run([("bytes_per_span", bytes), ("resident_mb", after)])
            await bus.close()
            node.end()
            await stage.close()
        }
        report.finish()
    }
}

/// `lattice serve` as a child process.
struct NodeProcess {
    private let process: Process

    static func start(_ stage: Stage) async throws -> NodeProcess {
        let executable = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("lattice")
        guard FileManager.default.isExecutableFile(atPath: executable.path) else {
            throw BenchError("no lattice beside lattice-bench: swift build -c release --product lattice")
        }
        let process = Process()
        process.executableURL = executable
        process.arguments = [
            "serve", "--nats", stage.server.url, "--data", stage.directory + "/data", "--allow-loopback", "--http",
            "none",
            "--bytes-per-second", "0", "--checkpoint-interval", "1s",
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let node = NodeProcess(process: process)
        let bus = try await stage.connect("probe", atOnce: true)
        for _ in 0..<100 {
            if (try? await node.acceptedEvents(bus)) != nil { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        await bus.close()
        return node
    }

    func acceptedEvents(_ bus: NATSMessageBus) async throws -> UInt64 { try await status(bus, "accepted_events") }

    func acceptedMessages(_ bus: NATSMessageBus) async throws -> UInt64 { try await status(bus, "accepted_messages") }

    func checkpointSequence(_ bus: NATSMessageBus) async throws -> UInt64 {
        try await status(bus, "checkpoint_sequence")
    }

    private func status(_ bus: NATSMessageBus, _ name: String) async throws -> UInt64 {
        let queries = QueryClient(bus: bus, prefix: "lattice", timeout: .seconds(5))
        let answer = try await queries.ask(.node(.status), Array("{}".utf8), as: .json)
        let object = try JSONSerialization.jsonObject(with: Data(answer)) as? [String: Any]
        return (object?[name] as? String).flatMap { UInt64($0) } ?? (object?[name] as? Int).map { UInt64($0) } ?? 0
    }

    /// A figure of the process's memory in MiB: `VmRSS` now, `VmHWM` at its highest.
    func megabytes(_ name: String) throws -> Double {
        let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        let kilobytes = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Double($0) } ?? 0
        return kilobytes / 1_024
    }

    /// Ends the process; its data are thrown away.
    func end() {
        process.terminate()
        process.waitUntilExit()
    }
}
