// The mesh as processes behind a gateway, under load, while one after the other is killed, stopped and brought back.

import Foundation
import TestKit
import Testing

/// nats-server, a node, a gateway, services and a shadow; everything can be killed.
private final class Chaos {
    let scratch: Scratch
    let natsURL: String
    private let natsPort: String
    private(set) var server: LatticeProcess
    private(set) var node: LatticeProcess
    let gateway: LatticeProcess
    let gatewayURL: String
    let adminURL: String

    init() async throws {
        scratch = try Scratch()
        server = try Self.startServer(scratch, "-1")
        natsPort = try await Self.port(scratch)
        natsURL = "nats://127.0.0.1:\(natsPort)"
        node = try Self.startNode(scratch, natsURL)
        let routes = try scratch.write(
            "gateway.yaml",
            """
            routes:
              - service: cart
                attempt_timeout: 500ms
                timeout: 10s
            """)
        let gateway = try LatticeProcess(
            [
                "gateway", "--config", routes, "--nats", natsURL, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                "--json", "--sample", "100", "--log-level", "error",
            ], in: scratch)
        self.gateway = gateway
        _ = try await eventually(within: .seconds(20)) { gateway.output.contains("\n") || !gateway.isRunning }
        let facts = try JSONObject.members(of: gateway.output)
        gatewayURL = try #require(facts["listen"] as? String)
        adminURL = try #require(facts["admin"] as? String)
        try await waitForNode()
    }

    /// Where the server listens that was told to take any port.
    private static func port(_ scratch: Scratch) async throws -> String {
        var url = ""
        _ = try await eventually(within: .seconds(10)) {
            let names = try FileManager.default.contentsOfDirectory(atPath: scratch.directory)
            guard let name = names.first(where: { $0.hasSuffix(".ports") }) else { return false }
            let text = Scratch.text(scratch.path(name))
            url = text.firstRange(of: "nats://").map { String(text[$0.lowerBound...].prefix { $0 != "\"" }) } ?? ""
            return !url.isEmpty
        }
        return try #require(url.split(separator: ":").last.map(String.init))
    }

    private static func startServer(_ scratch: Scratch, _ port: String) throws -> LatticeProcess {
        let path = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"]
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        return try LatticeProcess(
            ["-a", "127.0.0.1", "-p", port, "--ports_file_dir", scratch.directory], in: scratch,
            program: URL(fileURLWithPath: try #require(path)))
    }

    private static func startNode(_ scratch: Scratch, _ natsURL: String) throws -> LatticeProcess {
        try LatticeProcess(
            [
                "serve", "--data", scratch.path("data"), "--nats", natsURL, "--allow-loopback", "--http", "none",
                "--otlp-http", "none", "--otlp-grpc", "none", "--zipkin", "none", "--jaeger", "none", "--log-level",
                "error", "--stale-after", "3s", "--evict-after", "4s",
            ], in: scratch)
    }

    private func waitForNode() async throws {
        let isReady = try await eventually(within: .seconds(30)) {
            try await lattice("query", "status", "--json").status == 0
        }
        try #require(isReady, "\(node.errors)")
    }

    func lattice(_ arguments: String...) async throws -> Ended {
        try await LatticeProcess.run(arguments + ["--nats", natsURL], in: scratch)
    }

    func service(_ id: String, _ options: String...) async throws -> (process: LatticeProcess, endpoint: String) {
        let process = try LatticeProcess(
            [
                "--name", "cart", "--id", id, "--port", "0", "--nats", natsURL, "--sampling", "100", "--heartbeat",
                "1s",
            ] + options,
            in: scratch, program: BuiltProgram.url("example-service"))
        _ = try await eventually(within: .seconds(20)) { process.output.contains("http://") || !process.isRunning }
        let address = process.output.components(separatedBy: "http://").last ?? ""
        try #require(process.output.contains("http://"), "it does not listen: \(process.errors)")
        return (process, address.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    func instances() async throws -> [String] {
        let answer = try await ReceiverNode.get(adminURL + "/instances")
        return answer.text.components(separatedBy: "\"instance_id\":\"").dropFirst()
            .map { String($0.prefix { $0 != "\"" }) }.sorted()
    }

    func status() async throws -> [String: Any] { try await ReceiverNode.get(adminURL + "/status").json }

    /// How many requests the gateway captured since its start.
    func captured() async throws -> Int {
        let text = try await ReceiverNode.get(adminURL + "/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix("lattice_gateway_captures_total") }
        return line.flatMap { Double($0.split(separator: " ").last ?? "") }.map { Int($0) } ?? 0
    }

    func killNode() async throws {
        node.send(SIGKILL)
        _ = try await node.end()
    }

    func restartNode() async throws {
        node = try Self.startNode(scratch, natsURL)
        try await waitForNode()
    }

    func killServer() async throws {
        server.send(SIGKILL)
        _ = try await server.end()
    }

    func restartServer() throws { server = try Self.startServer(scratch, natsPort) }

    func stopNode() async throws -> Ended {
        node.send(SIGTERM)
        return try await node.end(within: 30)
    }
}

/// Clients with one connection each, who ask again and again and keep the status of each answer.
private final class Clients {
    private var processes: [LatticeProcess] = []
    private let scratch: Scratch
    private let url: String
    private(set) var statuses: [String: Int] = [:]

    init(_ scratch: Scratch, _ url: String) {
        self.scratch = scratch
        self.url = url
    }

    /// So many requests in all, from four clients, while `body` runs; returns when all have been answered.
    func load(_ requests: Int, while body: () async throws -> Void) async throws {
        let each = requests / 4
        processes = try (0..<4).map { number in
            try LatticeProcess(
                [
                    "--silent", "--max-time", "20", "--output", "/dev/null", "--write-out", "%{http_code}\n",
                    "\(url)/\(number)?n=[1-\(each)]",
                ], in: scratch, program: URL(fileURLWithPath: "/usr/bin/curl"))
        }
        try await body()
        for process in processes {
            let ended = try await process.end(within: 120)
            for line in ended.output.split(separator: "\n") { statuses[String(line), default: 0] += 1 }
        }
    }
}

@Suite(.serialized) struct `A mesh behind a gateway` {
    @Test func `whatever is killed or stopped, no request that can be repeated fails and no capture is lost`()
        async throws
    {
        let chaos = try await Chaos()
        var carts: [LatticeProcess] = []
        for id in ["cart-1", "cart-2", "cart-3"] { carts.append(try await chaos.service(id).process) }
        #expect(
            try await eventually(within: .seconds(20)) {
                try await chaos.instances() == ["cart-1", "cart-2", "cart-3"]
            })
        let shadow = try await mirror(chaos)
        let clients = Clients(chaos.scratch, chaos.gatewayURL)
        try await disturb(chaos, clients, carts, shadow)
        #expect(clients.statuses == ["200": 4_400])
        let new = try await chaos.service("cart-4")
        try await expectRecovery(chaos)
        new.process.send(SIGTERM)
        _ = try await new.process.end()
        #expect(try await chaos.stopNode().status == 0)
        let verified = try await LatticeProcess.run(
            ["verify", "--data", chaos.scratch.path("data")], in: chaos.scratch)
        #expect(verified.status == 0, "\(verified)")
    }

    /// A shadow that gets a copy of everything, and the gateway knows it.
    private func mirror(_ chaos: Chaos) async throws -> LatticeProcess {
        let shadow = try await chaos.service("shadow", "--no-announce")
        #expect(
            try await chaos.lattice("mirror", "allow", "cart", "--endpoint", shadow.endpoint, "--loopback").status == 0)
        let file = try chaos.scratch.write(
            "mirror.yaml",
            """
            mirror_id: m
            source_service: cart
            shadow_endpoint: \(shadow.endpoint)
            mode: full
            """)
        #expect(try await chaos.lattice("mirror", "add", file).status == 0)
        let isMirroring = try await eventually(within: .seconds(20)) {
            _ = try await ReceiverNode.get(chaos.gatewayURL + "/")
            return try await chaos.captured() > 0
        }
        #expect(isMirroring)
        return shadow.process
    }

    /// One after the other, under load: an instance, shadow and node, and NATS are killed; an instance and NATS are stopped.
    private func disturb(
        _ chaos: Chaos, _ clients: Clients, _ carts: [LatticeProcess], _ shadow: LatticeProcess
    ) async throws {
        try await clients.load(1_200) {
            carts[1].send(SIGKILL)
            try await Task.sleep(for: .milliseconds(300))
        }
        try await clients.load(1_200) {
            shadow.send(SIGKILL)
            try await chaos.killNode()
            try await chaos.restartNode()
        }
        try await clients.load(1_200) {
            try await chaos.killServer()
            try await Task.sleep(for: .milliseconds(500))
            try chaos.restartServer()
        }
        // A process that is stopped takes connections and says nothing: the delay of a link, up to its timeout.
        for stopped in [carts[2], chaos.server] {
            try await clients.load(400) {
                stopped.send(SIGSTOP)
                try await Task.sleep(for: .seconds(1))
                stopped.send(SIGCONT)
            }
        }
    }

    /// By itself: a new instance is found, a dead one is evicted, what was captured is recorded.
    private func expectRecovery(_ chaos: Chaos) async throws {
        let isFound = try await eventually(within: .seconds(40)) {
            try await chaos.instances() == ["cart-1", "cart-3", "cart-4"]
        }
        let known = try await chaos.instances()
        #expect(isFound, "\(known)")
        let isTold = try await eventually(within: .seconds(40)) {
            let status = try await chaos.status()
            let events = status["events"] as? [String: Any] ?? [:]
            return events["waiting"] as? Int == 0 && status["nats"] as? String == "connected"
        }
        let status = try await chaos.status()
        #expect(isTold, "\(status)")
        #expect((status["events"] as? [String: Any])?["lost"] as? Int == 0, "\(status)")
        #expect((status["spans"] as? [String: Any])?["lost"] as? Int == 0, "\(status)")
        let captured = try await chaos.captured()
        let stats = try await chaos.lattice("mirror", "stats", "m", "--json")
        let mirrors = try #require(stats.json["mirrors"] as? [[String: Any]], "\(stats)")
        #expect(captured >= 4_400 && "\(mirrors[0]["mirrored"] ?? "")" == "\(captured)", "\(captured) \(mirrors[0])")
    }
}
