// `lattice gateway` as a process: its file, its signals, its end.

import Foundation
import TestKit
import Testing

@Suite struct `The gateway as a process` {
    @Test func `a file with a mistake is refused and the field is named`() async throws {
        let scratch = try Scratch()
        let file = scratch.path("gateway.yaml")
        for (text, place) in [
            ("routes: 5", "routes: is no list"), ("routes:\n  - path: /", "routes[0].service: is missing"),
            ("routes:\n  - service: a\n    timeout: 5", "routes[0].timeout"),
            ("routes:\n  - service: a\n    colour: red", "routes[0].colour: is not known"),
            ("routes:\n  - service: a\n    strategy: best", "routes[0].strategy"),
            ("routes:\n  - service: a\n  - service: b", "routes[1]: host and path"),
        ] {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let ended = try await LatticeProcess.run(["gateway", "--config", file, "--check"], in: scratch)
            #expect(ended.status == 2, "\(text)")
            #expect(ended.errors.contains(place), "\(ended.errors)")
        }
        try "routes:\n  - service: a\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await LatticeProcess.run(["gateway", "--config", file, "--check"], in: scratch).status == 0)
    }

    @Test func `the admin listener does not leave loopback unless told`() async throws {
        let scratch = try Scratch()
        let file = scratch.path("gateway.yaml")
        try "routes:\n  - service: a\n".write(toFile: file, atomically: true, encoding: .utf8)
        let ended = try await LatticeProcess.run(
            ["gateway", "--config", file, "--admin", "0.0.0.0:0"], in: scratch)
        #expect(ended.status == 2 && ended.errors.contains("--insecure"))
    }

    /// The first line of a gateway that has one endpoint behind it, and its process.
    private func start(
        _ scratch: Scratch, _ file: String, _ options: [String] = []
    ) async throws -> (process: LatticeProcess, listen: String, admin: String) {
        let process = try LatticeProcess(
            ["gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"] + options,
            in: scratch)
        _ = try await eventually(within: .seconds(20)) { process.output.contains("\n") || !process.isRunning }
        let facts = try JSONObject.members(of: process.output)
        return (process, try #require(facts["listen"] as? String), try #require(facts["admin"] as? String))
    }

    @Test(.enabled(if: Curl.path != nil, "no curl here"))
    func `the admin listener answers for its own names, and tells methods`() async throws {
        let scratch = try Scratch()
        let file = try scratch.write("gateway.yaml", "routes:\n  - service: a\n    endpoints: [\"127.0.0.1:9\"]\n")
        let gateway = try await start(scratch, file, ["--admin-host", "gate.internal"])
        for path in ["/healthz", "/status", "/instances", "/metrics", "/routes"] {
            let url = gateway.admin + path
            let statuses = try await Curl.statuses(
                [
                    CurlRequest(url: url), CurlRequest(url: url, headers: ["Host: gate.internal:8502"]),
                    CurlRequest(url: url, method: "HEAD"), CurlRequest(url: url, headers: ["Host: evil.example"]),
                    CurlRequest(url: url, headers: ["Host: gate.internal.evil.example"]),
                    CurlRequest(url: url, headers: ["Host:"]), CurlRequest(url: url, method: "DELETE"),
                ], in: scratch)
            #expect(statuses == [200, 200, 200, 421, 421, 400, 405], "\(path)")
        }
        let mistake = try await LatticeProcess.run(
            ["gateway", "--config", file, "--admin-host", "http://x"], in: scratch)
        #expect(mistake.status == 2, "\(mistake)")
    }

    @Test func `a changed file is taken after SIGHUP and by itself, a bad one is refused, and SIGTERM ends it`()
        async throws
    {
        let scratch = try Scratch()
        let routes = { (path: String) in
            "routes:\n  - path: \(path)\n    service: a\n    endpoints: [\"127.0.0.1:9\"]\n"
        }
        let file = try scratch.write("gateway.yaml", routes("/one"))
        let gateway = try await start(scratch, file)
        let paths = { try await ReceiverNode.get(gateway.admin + "/routes").text }
        #expect(try await paths().contains("/one"))
        #expect(try await ReceiverNode.get(gateway.listen + "/two").status == 404)
        _ = try scratch.write("gateway.yaml", routes("/two"))
        gateway.process.send(SIGHUP)
        #expect(try await eventually(within: .seconds(10)) { try await paths().contains("/two") })
        #expect(try await ReceiverNode.get(gateway.listen + "/two").status == 502)
        _ = try scratch.write("gateway.yaml", "routes: 5")
        gateway.process.send(SIGHUP)
        #expect(try await eventually(within: .seconds(10)) { gateway.process.errors.contains("routes: is no list") })
        #expect(try await paths().contains("/two"))
        _ = try scratch.write("gateway.yaml", routes("/three"))
        #expect(try await eventually(within: .seconds(10)) { try await paths().contains("/three") }, "without a signal")
        gateway.process.send(SIGTERM)
        #expect(try await gateway.process.end().status == 0)
    }

    @Test func `TLS from files, and a certificate without its key is a mistake`() async throws {
        let scratch = try Scratch()
        try CertificateFixtures.make(in: scratch.directory)
        let file = try scratch.write(
            "gateway.yaml", "routes:\n  - service: a\n    endpoints: [\"127.0.0.1:9\"]\n")
        let (chain, key) = (scratch.path("server.pem"), scratch.path("server.key"))
        let gateway = try await start(scratch, file, ["--cert", chain, "--key", key])
        #expect(gateway.listen.hasPrefix("https://"))
        let curl = try LatticeProcess(
            [
                "-s", "--cacert", scratch.path("ca.pem"), "-w", "%{http_code} %{http_version}", "-o", "/dev/null",
                gateway.listen,
            ], in: scratch, program: URL(fileURLWithPath: "/usr/bin/curl"))
        #expect(try await curl.end().output == "502 2")
        gateway.process.send(SIGTERM)
        #expect(try await gateway.process.end().status == 0)
        for options in [["--cert", chain], ["--cert", chain, "--key", scratch.path("client.key")]] {
            let ended = try await LatticeProcess.run(
                ["gateway", "--config", file, "--listen", "127.0.0.1:0", "--admin", "none"] + options, in: scratch)
            #expect(ended.status != 0 && ended.errors.contains("key"), "\(ended)")
        }
    }
}
