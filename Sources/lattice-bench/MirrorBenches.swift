// What mirrors cost: the decision on a request, the comparison of two answers, durable captures.

import NodeRuntime
import ArgumentParser
import EventModel
import Messaging
import NATSMessaging
import MeshRules
import StateMachines

/// `should-mirror [--mirrors 10]`.
struct ShouldMirrorBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "should-mirror", abstract: "Nanoseconds to decide which mirrors of a service copy a request.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Mirrors of the service.") var mirrors = 10
    @Option(help: "Decisions a run.") var decisions = 2_000_000

    func run() async throws {
        var report = Report("should-mirror", common)
        report.condition("mirrors", "\(mirrors): sampled, filtered by two globs, full, in turn")
        report.condition("decisions", "\(decisions)")
        let selection = MirrorSelection((0..<mirrors).map { Self.mirror($0) })
        let intents = ["GET /cart/{id}", "POST /orders", "GET /catalogue/{category}/items", "GET /health"]
        let seeds = (0..<1_024).map { "01J9ZQ7YB3K8\($0)" }
        for _ in 0..<common.runs {
            var taken: UInt64 = 0
            let start = ContinuousClock.now
            for number in 0..<decisions {
                taken &+= selection.selected(intent: intents[number & 3], sampleSeed: seeds[number & 1_023])
            }
            let seconds = start.duration(to: .now).inSeconds
            guard taken > 0 else { throw BenchError("nothing was ever mirrored") }
            report.run([("ns", seconds * 1e9 / Double(decisions))])
        }
        report.finish()
    }

    private static func mirror(_ number: Int) -> MirrorConfiguration {
        MirrorConfiguration(
            mirrorID: "m\(number)", sourceService: "checkout", shadowEndpoint: "10.0.0.1:80",
            mode: [.sampled, .filtered, .full][number % 3], sampleRateBasisPoints: 500,
            includeIntents: ["GET /cart*", "GET /catalogue/*"], excludeIntents: ["*health*"])
    }
}

/// `compare --bytes 10240 [--equal]`.
struct CompareBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Pairs of JSON bodies compared in a second, three ignore rules, one core.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Bytes of a body.") var bytes = 10_240
    @Flag(help: "The bytes are equal (default: values, an ignored member and a member's order differ).") var equal =
        false
    @Option(help: "Pairs a run (default: 20000, or 1000000 where they are equal).") var pairs: Int?

    func run() async throws {
        var report = Report("compare", common)
        let count = pairs ?? (equal ? 1_000_000 : 20_000)
        report.condition("bytes", "\(bytes)")
        report.condition("equal", "\(equal)")
        report.condition("pairs", "\(count)")
        let rules = try ComparisonRules(ignoreFields: ["request_id", "/items/*/updated_at", "trace"])
        let production = ObservedResponse(body: Self.body(bytes, price: 12, stamp: 1))
        let other = Self.body(bytes, price: equal ? 12 : 13, stamp: equal ? 1 : 2)
        let shadow = ObservedResponse(body: other)
        let expected: ComparisonVerdict = equal ? .equal : .different
        for _ in 0..<common.runs {
            let start = ContinuousClock.now
            var found = 0
            for _ in 0..<count {
                let comparison = compareResponses(production: production, shadow: shadow, rules: rules)
                if comparison.verdict == expected { found += 1 }
            }
            let seconds = start.duration(to: .now).inSeconds
            guard found == count else { throw BenchError("\(found) of \(count) were \(expected)") }
            report.run([("pairs_per_second", Double(count) / seconds)])
        }
        report.finish()
    }

    /// An order with many items, as services answer.
    static func body(_ bytes: Int, price: Int, stamp: Int) -> [UInt8] {
        var text = #"{"request_id":"r-\#(stamp)","status":"open","items":["#
        var number = 0
        while text.utf8.count < bytes - 160 {
            if number > 0 { text += "," }
            let last = number == 7 ? price : number
            text +=
                #"{"id":\#(number),"name":"article number \#(number)","price":\#(last).50,"tags":["a","b"],"#
                + #""updated_at":"2026-11-24T08:00:0\#(stamp)Z","stock":{"eu":\#(number * 3),"us":null}}"#
            number += 1
        }
        text += #"],"total":\#(number),"trace":{"id":"\#(stamp)"},"filler":""#
        text += String(repeating: "x", count: max(0, bytes - text.utf8.count - 2)) + "\"}"
        return Array(text.utf8)
    }
}

/// `capture --batch 16 [--bytes 1024]`.
struct CaptureBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Captured requests a second from publisher to folded state, contents sealed, log fsynced.")

    @OptionGroup var common: CommonOptions
    @Option(help: "Requests a message.") var batch = 16
    @Option(help: "Bytes of the answer that is kept of each.") var bytes = 1_024
    @Option(help: "Requests a run.") var requests = 480_000
    @Option(help: "Messages under way at most.") var window = 1_024

    func run() async throws {
        var report = Report("capture", common)
        report.condition("batch", "\(batch)")
        report.condition("bytes", "\(bytes)")
        report.condition("requests", "\(requests)")
        report.condition("fsync", "always, group commit; AES-256-GCM")
        report.condition("mirrors", "1, sampled 1 %, no shadow is sent to")
        for _ in 0..<common.runs {
            report.run([("requests_per_second", Double(requests / batch * batch) / (try await measure()))])
        }
        report.finish()
    }

    private func measure() async throws -> Double {
        let stage = try await Stage.open(common)
        let running = try await stage.startNode()
        let publisher = try await stage.connect("publisher", atOnce: false)
        try await running.waitUntilApplied(2)
        try publisher.publish(contentsOf: CaptureMessages.mirror(endpoint: "10.0.0.9:80"))
        try await publisher.flush(timeout: .seconds(10))
        try await running.waitUntilApplied(4)
        let messages = CaptureMessages.make(batch: batch, bytes: bytes, count: max(512, 16_384 / batch))
        let count = requests / batch
        let before = running.node.appliedSequence.rawValue
        let accepted = await running.node.status().acceptedEvents
        let start = ContinuousClock.now
        var sent = 0
        while sent < count {
            let chunk = min(64, count - sent)
            try publisher.publish(contentsOf: (sent..<sent + chunk).map { messages[$0 % messages.count] })
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

/// Messages of a source that is mirrored.
enum CaptureMessages {
    /// Allows a shadow and adds one mirror.
    static func mirror(endpoint: String, mode: MirrorMode = .sampled, loopback: Bool = false) -> [Message] {
        let allowed = MirrorEvent.shadowsAllowed(
            ShadowsAllowed(sourceService: "checkout", endpoints: [endpoint], allowLoopback: loopback))
        let configuration = MirrorConfiguration(
            mirrorID: "m", sourceService: "checkout", shadowEndpoint: endpoint, mode: mode,
            timeout: .milliseconds(200))
        return [allowed, .added(Batch(serviceName: "checkout", events: [configuration]))].compactMap { event in
            EventCodec.encode(.mirror(event)).map { type, facts in
                Message(subject: "lattice.events.mirror.checkout.\(type.name)", payload: facts)
            }
        }
    }

    /// Captures with ids that do not repeat within what a node remembers.
    static func make(batch: Int, bytes: Int, count: Int) -> [Message] {
        let body = CompareBench.body(max(bytes, 200), price: 12, stamp: 1)
        return (0..<count).map { number in
            message((0..<batch).map { capture("r-\(number)-\($0)", body: body) })
        }
    }

    static func capture(_ id: String, body: [UInt8]) -> MadeCapture {
        let request = ObservedRequest(
            requestID: id, intent: "GET /cart/{id}", target: "/cart/\(id)",
            headers: [HeaderField(name: "accept", value: "application/json")])
        return makeCapture(
            request,
            response: ObservedResponse(
                headers: [HeaderField(name: "content-type", value: "application/json")], body: body),
            latency: .milliseconds(4))
    }

    static func message(_ captures: [MadeCapture]) -> Message {
        Message(
            subject: "lattice.events.mirror.checkout.captured",
            headers: [MessageHeader("Content-Type", "application/protobuf")],
            payload: captureMessage(captures, of: "checkout"))
    }
}
