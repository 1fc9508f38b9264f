// What a bad shadow costs production: the same requests with such a shadow and with none, run in turn.

import NodeRuntime
import ArgumentParser
import Dispatcher
import EventModel
import EventStore
import Foundation
import Messaging
import NATSMessaging
import StateMachines
import Queries

/// `shadow --fault dead,slow,lying`.
struct ShadowBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shadow",
        abstract: "Latency of the production path with a bad shadow against none, paired runs; and memory.",
        discussion: """
            The production path of one request here: resolve the service over NATS, make its capture (redaction too), \
            publish it. A real HTTP process is the shadow: dead (nobody listens), slow (5 s), lying (another body). It \
            runs at nice 19, since a shadow has a machine of its own; the node has not.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "dead, slow, lying; separated by commas.") var fault = "dead,slow,lying"
    @Option(help: "Requests a run.") var requests = 2_500
    @Option(help: "Requests a second, evenly; one at a time.") var rate = 500

    private var faults: [String] { fault.split(separator: ",").map(String.init) }

    func validate() throws {
        guard rate > 0, requests > 0 else { throw ValidationError("--rate and --requests are positive") }
        for name in faults where !["dead", "slow", "lying"].contains(name) {
            throw ValidationError("--fault takes dead, slow, lying, not '\(name)'")
        }
    }

    func run() async throws {
        var report = Report("shadow", common)
        report.condition("faults", faults.joined(separator: ", "))
        report.condition("shadow", "a process at nice 19 on the same processors")
        report.condition(
            "requests", "\(requests) a run, \(rate) a second; every request mirrored, shadow deadline 200 ms")
        for _ in 0..<common.runs {
            var figures: [(String, Double)] = []
            for name in faults {
                let alone = try await measure(nil)
                let with = try await measure(name)
                figures += [
                    ("\(name)_p50_ms", with.p50), ("none_before_\(name)_p50_ms", alone.p50),
                    ("\(name)_p99_ms", with.p99), ("none_before_\(name)_p99_ms", alone.p99),
                    ("\(name)_memory_growth_mib", with.growth), ("none_before_\(name)_memory_growth_mib", alone.growth),
                ]
            }
            report.run(figures)
        }
        report.finish()
    }

    private struct Figures {
        var p50: Double
        var p99: Double
        var growth: Double
    }

    private func measure(_ fault: String?) async throws -> Figures {
        let stage = try await Stage.open(common)
        let sender = HTTPShadowSender(
            ShadowSenderConfiguration(
                credentialsDirectory: "/nonexistent", markKey: Array(repeating: 7, count: 32),
                now: { PosixStorage().now() }))
        let running = try await stage.startNode(shadows: sender)
        let customer = try await stage.connect("customer", atOnce: true)
        let shadow = try fault.map { try FaultyShadow($0) }
        try await running.waitUntilApplied(2)
        if let shadow {
            try customer.publish(
                contentsOf: CaptureMessages.mirror(endpoint: shadow.endpoint, mode: .full, loopback: true))
            try await customer.flush(timeout: .seconds(5))
            try await running.waitUntilApplied(4)
        }
        let body = CompareBench.body(1_024, price: 12, stamp: 1)
        var sample = LatencySample()
        let queries = QueryClient(bus: customer, prefix: "lattice", timeout: .seconds(5))
        let memory = Self.residentMiB
        let pause = Duration.nanoseconds(1_000_000_000 / rate)
        var next = ContinuousClock.now
        for number in 0..<requests {
            next = max(next + pause, .now)
            try await Task.sleep(until: next, clock: .continuous)
            let start = ContinuousClock.now
            _ = try await queries.ask(.registry(.resolve), Self.question)
            try customer.publish(CaptureMessages.message([CaptureMessages.capture("r-\(number)", body: body)]))
            sample.add(start.duration(to: .now))
        }
        let growth = Self.residentMiB - memory
        await customer.close()
        await running.stop()
        await sender.shutdown()
        shadow?.end()
        await stage.close()
        return Figures(p50: sample.milliseconds(50), p99: sample.milliseconds(99), growth: growth)
    }

    private static let question: [UInt8] = {
        var query = RegistryQuery()
        query.serviceName = "checkout"
        return query.encode()
    }()

    private static var residentMiB: Double {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * 4_096 / 1_048_576
    }
}

/// A shadow in a process of its own.
private final class FaultyShadow {
    private let process: Process?
    /// Its end tells the process to end, whatever becomes of this one.
    private let lifeline = Pipe()
    let endpoint: String

    private static let script = """
        import http.server, json, os, sys, threading, time
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        slow = sys.argv[1] == "slow"
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *a): pass
            def do_GET(self):
                if slow: time.sleep(5)
                body = json.dumps({"items": [], "lie": self.path}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try: self.wfile.write(body)
                except OSError: pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    init(_ fault: String) throws {
        if fault == "dead" {
            process = nil
            // The discard service's port: nobody listens there.
            endpoint = "127.0.0.1:9"
            return
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["nice", "-n", "19", "python3", "-c", Self.script, fault]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = lifeline
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte.first != 0x0A { line += byte }
        self.process = process
        endpoint = "127.0.0.1:\(String(decoding: line, as: UTF8.self))"
    }

    func end() {
        try? lifeline.fileHandleForWriting.close()
        process?.waitUntilExit()
    }
}
