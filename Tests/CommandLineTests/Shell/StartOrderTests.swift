// Whatever starts first waits for the rest: NATS, the stream, the users of nats.conf.

import Foundation
import NATSMessaging
import TestKit
import Testing

/// A nats-server that comes, goes and changes while others live by it; always on one port.
private final class Harbour {
    let scratch: Scratch
    let port: UInt16
    private(set) var server: EmbeddedNATSServer?

    var url: String { "nats://127.0.0.1:\(port)" }

    /// A port that is free, with nobody there yet.
    init(_ scratch: Scratch) async throws {
        self.scratch = scratch
        port = try await Self.freePort(scratch)
    }

    static func freePort(_ scratch: Scratch) async throws -> UInt16 {
        let server = try await EmbeddedNATSServer.start(EmbeddedNATSServer.Options(directory: scratch.directory))
        defer { Task { await server.terminate() } }
        await server.terminate()
        return server.port
    }

    func open(jetStream: Bool = false, _ configuration: String = "") async throws {
        var options = EmbeddedNATSServer.Options(directory: scratch.directory)
        options.port = port
        options.configurationFile = try scratch.write("nats.conf", configuration)
        if jetStream { options.jetStreamDirectory = scratch.path("jetstream") }
        server = try await EmbeddedNATSServer.start(options)
    }

    func reload(_ configuration: String) throws {
        _ = try scratch.write("nats.conf", configuration)
        kill(try #require(server).processID, SIGHUP)
    }

    func close() async {
        await server?.terminate()
        server = nil
    }
}

@Suite struct `What starts before its NATS` {
    /// A node with an HTTP listener on a port of its own, which does not print it before it is ready.
    private func startNode(
        _ harbour: Harbour, _ options: [String] = []
    ) async throws -> (process: LatticeProcess, http: String) {
        let http = "127.0.0.1:\(try await Harbour.freePort(harbour.scratch))"
        let process = try LatticeProcess(
            ["serve", "--data", "data", "--json", "--http", http, "--nats", harbour.url] + options,
            in: harbour.scratch)
        let lives = try await eventually(within: .seconds(20)) { await Self.status(http, "/healthz") == 200 }
        try #require(lives, "no listener while it waits: \(process.errors)")
        return (process, "http://" + http)
    }

    private static func status(_ address: String, _ path: String) async -> Int? {
        let url = address.hasPrefix("http") ? address : "http://" + address
        return (try? await ReceiverNode.get(url + path))?.status
    }

    private static func readiness(_ url: String) async -> String {
        (try? await ReceiverNode.get(url + "/readyz"))?.text ?? ""
    }

    private func register(_ harbour: Harbour, _ options: [String] = []) async throws -> Ended {
        try await LatticeProcess.run(
            ["publish", "register", "checkout", "--id", "a", "--endpoint", "10.0.0.1:80", "--nats", harbour.url]
                + options, in: harbour.scratch)
    }

    private static func count(_ text: String, in output: String) -> Int {
        output.components(separatedBy: text).count - 1
    }

    @Test func `a node says so once, is not ready, and takes events when NATS is there`() async throws {
        let harbour = try await Harbour(try Scratch())
        let (node, http) = try await startNode(harbour)
        #expect(try await eventually { await Self.readiness(http).contains("nats_not_connected") })
        #expect(await Self.status(http, "/readyz") == 503)
        #expect(Self.count("waiting for NATS", in: node.errors) == 1, "\(node.errors)")
        #expect(try await register(harbour).status == 3, "a short command does not wait")
        try await harbour.open()
        #expect(try await eventually(within: .seconds(20)) { await Self.status(http, "/readyz") == 200 })
        #expect(try await register(harbour).status == 0)
        #expect(Self.count("waiting for NATS", in: node.errors) == 1, "\(node.errors)")
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
        await harbour.close()
    }

    @Test func `a node ends at once when it is told to, and does not wait at all with --no-wait`() async throws {
        let harbour = try await Harbour(try Scratch())
        let (node, _) = try await startNode(harbour)
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
        let impatient = try await LatticeProcess.run(
            ["serve", "--data", "other", "--http", "none", "--nats", harbour.url, "--no-wait"], in: harbour.scratch)
        #expect(impatient.status == 3, "\(impatient)")
    }

    @Test func `a node waits for a stream that nobody speaks for`() async throws {
        let harbour = try await Harbour(try Scratch())
        try await harbour.open()
        let (node, http) = try await startNode(harbour, ["--stream", "MESH"])
        #expect(try await eventually { await Self.readiness(http).contains("stream_unavailable") })
        #expect(node.isRunning && Self.count("waiting to start", in: node.errors) == 1, "\(node.errors)")
        await harbour.close()
        try await harbour.open(jetStream: true)
        #expect(
            try await eventually(within: .seconds(30)) { await Self.status(http, "/readyz") == 200 }, "\(node.errors)")
        #expect(try await register(harbour).status == 0)
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
        let impatient = try await LatticeProcess.run(
            [
                "serve", "--data", "other", "--http", "none", "--nats", "nats://127.0.0.1:9", "--stream", "MESH",
                "--no-wait",
            ],
            in: harbour.scratch)
        #expect(impatient.status == 3, "\(impatient)")
        await harbour.close()
    }

    @Test func `a gateway and a service wait as well, and find each other`() async throws {
        let harbour = try await Harbour(try Scratch())
        let file = try harbour.scratch.write("gateway.yaml", "routes:\n  - service: cart\n")
        let gateway = try LatticeProcess(
            ["gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"]
                + ["--nats", harbour.url], in: harbour.scratch)
        let service = try LatticeProcess(
            ["--name", "cart", "--port", "0", "--heartbeat", "200ms", "--nats", harbour.url], in: harbour.scratch,
            program: BuiltProgram.url("example-service"))
        #expect(
            try await eventually(within: .seconds(20)) {
                gateway.output.contains("\n") && service.output.contains("http://")
            })
        let facts = try JSONObject.members(of: gateway.output)
        let (listen, admin) = (try #require(facts["listen"] as? String), try #require(facts["admin"] as? String))
        #expect(await Self.status(admin, "/healthz") == 200)
        #expect(await Self.readiness(admin).contains("nats_not_connected"))
        #expect(Self.count("waiting for NATS", in: gateway.errors) == 1, "\(gateway.errors)")
        try await harbour.open()
        let (node, _) = try await startNode(harbour, ["--allow-loopback"])
        #expect(try await eventually(within: .seconds(30)) { await Self.status(admin, "/readyz") == 200 })
        #expect(
            try await eventually(within: .seconds(30)) { await Self.status(listen, "/") == 200 }, "\(service.errors)")
        for process in [gateway, service, node] {
            process.send(SIGTERM)
            #expect(try await process.end().status == 0)
        }
        let impatient = try await LatticeProcess.run(
            ["gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "none", "--no-wait"]
                + ["--nats", "nats://127.0.0.1:9"], in: harbour.scratch)
        #expect(impatient.status == 3, "\(impatient)")
        await harbour.close()
    }

    private static func users(_ names: String...) -> String {
        let list = names.map { "{ user: \($0), password: x }" }.joined(separator: ", ")
        return "authorization { users: [ \(list) ] }"
    }

    @Test func `nobody stays away when users are missing from nats.conf for a while`() async throws {
        let harbour = try await Harbour(try Scratch())
        try await harbour.open(Self.users("mesh", "asker"))
        let password = ["LATTICE_NATS_PASSWORD": "x"]
        let asker = ["--user", "asker", "--password", "x"]
        let (node, http) = try await startNode(harbour, ["--user", "mesh", "--password", "x", "--allow-loopback"])
        let file = try harbour.scratch.write("gateway.yaml", "routes:\n  - service: cart\n")
        let gateway = try LatticeProcess(
            ["gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"]
                + ["--nats", harbour.url, "--user", "mesh"], in: harbour.scratch, environment: password)
        let service = try LatticeProcess(
            ["--name", "cart", "--port", "0", "--heartbeat", "200ms", "--user", "mesh", "--nats", harbour.url],
            in: harbour.scratch, environment: password, program: BuiltProgram.url("example-service"))
        let tail = try LatticeProcess(
            ["tail", "--json", "--nats", harbour.url, "--user", "mesh"], in: harbour.scratch, environment: password)
        let everybody = [node, gateway, service, tail]
        #expect(
            try await eventually(within: .seconds(20)) {
                gateway.output.contains("\n") && tail.output.contains("heartbeat")
            })
        let facts = try JSONObject.members(of: gateway.output)
        let listen = try #require(facts["listen"] as? String)
        #expect(try await eventually(within: .seconds(30)) { await Self.status(listen, "/") == 200 })

        try harbour.reload(Self.users("asker"))
        let areOut = try await eventually(within: .seconds(40)) {
            everybody.allSatisfy { $0.errors.contains("waiting for NATS") }
        }
        let words = everybody.map { $0.errors.suffix(400) }.joined(separator: "\n")
        #expect(areOut, "\(words)")
        #expect(await Self.readiness(http).contains("disconnected"))
        for process in everybody { #expect(process.isRunning) }
        #expect(await Self.status(listen, "/") == 200, "the gateway goes on with what it knows")

        try harbour.reload(Self.users("mesh", "asker"))
        #expect(try await eventually(within: .seconds(30)) { await Self.status(http, "/readyz") == 200 })
        #expect(try await register(harbour, asker).status == 0)
        let isHeard = try await eventually(within: .seconds(30)) { tail.output.contains(#""instance_id":"a""#) }
        #expect(isHeard, "\(tail.output.suffix(500)) \(tail.errors)")
        let beats = Self.count("heartbeat", in: tail.output)
        #expect(try await eventually(within: .seconds(30)) { Self.count("heartbeat", in: tail.output) > beats + 2 })
        for process in everybody { process.send(SIGTERM) }
        for process in everybody { _ = try await process.end() }
        await harbour.close()
    }
}
