// Real HTTP servers as primary and shadow: a process each, on loopback.

import Dispatcher
import EventModel
import EventStore
import Foundation
import FoundationNetworking
import Glibc
import Messaging
import NATSMessaging
import MeshRules
import StateMachines
import TestKit

/// A server of one temper, see shadow.py.
final class ShadowServer: Sendable {
    enum Temper: String, Sendable, CaseIterable {
        case same, lying, noisy, slow, redirect, huge, bomb, headers, broken
    }

    private let process: Process
    let port: Int

    init(_ temper: Temper, redirectingTo other: Int = 0) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("shadow.py")
        process.arguments = ["python3", script.path, temper.rawValue, "\(other)"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte.first != 0x0A { line += byte }
        guard let found = Int(String(decoding: line, as: UTF8.self)) else { throw StageError("no shadow") }
        port = found
    }

    deinit { end() }

    var endpoint: String { "127.0.0.1:\(port)" }

    /// Ends it; whoever connects now is refused.
    func kill() {
        end()
        while process.isRunning { Thread.sleep(forTimeInterval: 0.005) }
    }

    private func end() { if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) } }

    /// One answer, as a gateway would see it.
    func get(_ target: String) async throws -> ObservedResponse {
        guard let url = URL(string: "http://\(endpoint)\(target)") else { throw StageError("no URL") }
        let (data, response) = try await URLSession.shared.data(from: url)
        guard let http = response as? HTTPURLResponse else { throw StageError("no HTTP") }
        let headers = http.allHeaderFields.map { HeaderField(name: "\($0.key)", value: "\($0.value)") }
        return ObservedResponse(status: UInt32(http.statusCode), headers: headers, body: Array(data))
    }

    /// What it was asked, in order.
    func requests() async throws -> [JSON] {
        try JSON(text: try await get("/__log").body).items
    }
}

/// What the stories of the mirror share: a source with a primary, mirrors, captures.
struct MirrorPlay {
    let client: Client
    let primary: ShadowServer
    static let source = "checkout"
    static let markKey = Array("0123456789abcdef0123456789abcdef".utf8)

    init(_ client: Client) throws {
        self.client = client
        primary = try ShadowServer(.same)
    }

    /// Somebody who sends for a node, with credentials in a folder.
    static func sender(_ folder: String = "/nowhere", places: Int = 32) -> HTTPShadowSender {
        var configuration = ShadowSenderConfiguration(
            credentialsDirectory: folder, markKey: markKey, now: { PosixStorage().now() })
        configuration.placesPerShadow = places
        return HTTPShadowSender(configuration)
    }

    @discardableResult
    func allow(_ endpoints: [String] = ["127.0.0.1:*"], loopback: Bool = true) async throws -> JSON {
        let list = endpoints.map { "\"\($0)\"" }.joined(separator: ",")
        return try await client.tell(
            .shadowsAllowed, Self.source,
            #"{"source_service":"checkout","endpoints":[\#(list)],"allow_loopback":\#(loopback)}"#)
    }

    @discardableResult
    func add(_ id: String, _ endpoint: String, _ more: String = #","mode":"full""#) async throws -> JSON {
        try await client.tell(
            .mirrorAdded, Self.source,
            #"{"source_service":"checkout","events":[{"mirror_id":"\#(id)","shadow_endpoint":"\#(endpoint)"\#(more)}]}"#
        )
    }

    @discardableResult
    func change(_ kind: EventType, _ id: String) async throws -> JSON {
        try await client.tell(
            kind, Self.source, #"{"source_service":"checkout","events":[{"mirror_id":"\#(id)","reason":"test"}]}"#)
    }

    /// Asks the primary, and publishes what a gateway would of it; answers the outcome.
    @discardableResult
    func serve(
        _ id: String, target: String? = nil, method: String = "GET", body: String = "", headers: [HeaderField] = [],
        payloadLimit: Int = 16_384, hasShadowMark: Bool = false
    ) async throws -> JSON {
        let target = target ?? "/cart/\(id)"
        let answer = try await primary.get(target)
        let request = ObservedRequest(
            requestID: id, intent: "GET /cart/{id}", method: method, target: target, headers: headers,
            body: Array(body.utf8), hasShadowMark: hasShadowMark)
        return try await publish([makeCapture(request, response: answer, payloadLimit: payloadLimit)])
    }

    func publish(_ captures: [MadeCapture]) async throws -> JSON {
        var message = try client.event(.requestCaptured, Self.source, "{}")
        message.payload = captureMessage(captures, of: Self.source)
        return try await client.ask(message)
    }

    /// The counts of one mirror.
    func stats(_ id: String) async throws -> JSON {
        try await client.query("mirror.stats", #"{"mirror_id":"\#(id)"}"#)["mirrors"][0]
    }

    /// Waits until a count has a value.
    func wait(_ id: String, _ name: String, _ value: Int = 1) async throws {
        let isSo = try await eventually { try await stats(id)[name].number >= value }
        if !isSo { throw StageError("\(name) is \(try await stats(id))") }
    }

    /// Waits until the ledger has a reason so often.
    func wait(_ id: String, ledger reason: String, _ count: Int = 1) async throws {
        let isSo = try await eventually { try await ledger(id, reason) >= count }
        if !isSo { throw StageError("the ledger is \(try await stats(id))") }
    }

    func ledger(_ id: String, _ reason: String) async throws -> Int {
        try await stats(id)["ledger"].items.first { $0["reason"].text == reason }?["count"].number ?? 0
    }
}

/// Makes streams for stories.
struct JetStreamAdministrationOf {
    private let administration: JetStreamAdministration

    init(_ client: Client) { administration = JetStreamAdministration(client.bus) }

    func ensure(_ stream: String) async throws {
        try await administration.ensureStream(StreamConfiguration(name: stream, subjects: ["lattice.events.>"]))
    }
}
