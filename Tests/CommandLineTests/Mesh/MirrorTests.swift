// Mirrors from the command line: specifications, tables, replays, files, erasure.

import Foundation
import TestKit
import Testing

/// A small HTTP server in a process of its own; its answers hold `price`, which the test chooses.
private final class PriceServer: Sendable {
    private let process: Process
    let port: Int

    private static let script = """
        import http.server, json, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *a): pass
            def do_GET(self):
                secret = sys.argv[2] if len(sys.argv) > 2 else None
                if secret and self.headers.get("Authorization") != secret:
                    return self.send_error(401)
                body = json.dumps({"path": self.path, "price": float(sys.argv[1])}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    /// - Parameter secret: what the header `authorization` must say, else the answer is 401.
    init(price: String, secret: String? = nil) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script, price] + (secret.map { [$0] } ?? [])
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte.first != 0x0A { line += byte }
        port = try #require(Int(String(decoding: line, as: UTF8.self)))
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
}

@Suite(.serialized) struct `Mirrors from the command line` {
    /// GoReplay's form of three requests whose answers have a price of 12.5.
    private static let traffic: String = (1...3).map { number in
        let body = #"{"path": "/cart/\#(number)", "price": 12.5}"#
        let id = String(repeating: "\(number)", count: 24)
        return "1 \(id) 170000000000000000\(number)\nGET /cart/\(number) HTTP/1.1\r\nHost: shop\r\n"
            + "Authorization: Bearer hunter2\r\nAccept: application/json\r\n\r\n\n🐵🙈🙉\n"
            + "2 \(id) 1700000000000000009 4000000\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)\n🐵🙈🙉\n"
    }.joined()

    private static func imported(_ node: RunningNode) async throws {
        let file = try node.scratch.write("traffic.gor", traffic)
        let ended = try await node.lattice("mirror", "import", file, "--service", "checkout")
        try #require(ended.status == 0 && ended.output.contains("3 captured, 0 refused"), "\(ended)")
    }

    private static func export(_ node: RunningNode, _ more: String...) async throws -> Ended {
        try await node.lattice(["mirror", "export", "checkout", "--from", "1", "--to", "999"] + more)
    }

    @Test func `a specification in YAML becomes a mirror, and a table shows it`() async throws {
        let node = try await RunningNode(try Scratch())
        let file = try node.scratch.write(
            "m.yaml",
            """
            mirror_id: next
            source_service: checkout
            shadow_endpoint: 10.0.0.9:8080
            mode: sampled
            sample_rate: 2.5%   # of all requests
            ignore_fields: [request_id, "/items/*/at"]
            """)
        let refused = try await node.lattice("mirror", "add", file)
        #expect(refused.status == 1 && refused.output.contains("shadow_not_allowed"), "\(refused)")
        let allowed = try await node.lattice("mirror", "allow", "checkout", "--endpoint", "10.0.0.0/24:*")
        try #require(allowed.status == 0, "\(allowed)")
        let added = try await node.lattice("mirror", "add", file)
        try #require(added.status == 0, "\(added)")
        let listed = try await node.lattice("mirror", "ls", "--service", "checkout")
        #expect(listed.output.contains("2.50 %") && listed.output.contains("10.0.0.9:8080"), "\(listed)")
        #expect(listed.output.contains("allowed: 10.0.0.0/24:*"), "\(listed)")
        for (command, word) in [("disable", "disabled"), ("enable", "enabled")] {
            let changed = try await node.lattice("mirror", command, "next", "--reason", "test")
            #expect(changed.status == 0, "\(changed)")
            #expect(try await node.lattice("mirror", "ls").output.contains(word))
        }
        #expect(try await node.lattice("mirror", "stats", "next").output.contains("next"))
        #expect(try await node.lattice("mirror", "rm", "next").status == 0)
        #expect(try await node.lattice("mirror", "ls").output.contains("no mirrors"))
        #expect(try await node.lattice("mirror", "rm", "next").status == 1)
    }

    @Test(arguments: [
        (#"{"mirror_id":"m","source_service":"s"}"#, "shadow_endpoint is missing"),
        ("mirror_id: m\nsource_service: s\nshadow_endpoint: a:1\nsample_rate: 2\n", "sample_rate is not a share"),
        ("mirror_id: m\nsource_service: s\nshadow_endpoint: a:1\ntimeout: 2\n", "timeout is not known"),
        ("- mirror_id: m\n  source_service: s\n  shadow_endpoint: a:1\n- mirror_id: n\n", "mirror 2: source_service"),
        ("mirror_id: [m]\n", "mirror_id is not a text"), ("a: b: c\n", "m.yaml"), ("", "empty"),
    ]) func `what is wrong with a specification is said by field`(_ text: String, _ complaint: String) async throws {
        let scratch = try Scratch()
        let file = try scratch.write("m.yaml", text)
        let ended = try await LatticeProcess.run(["mirror", "add", file], in: scratch)
        #expect(ended.status == 2 && ended.errors.contains(complaint), "\(ended)")
    }

    @Test func `imported traffic is replayed against targets, good and bad, and the report tells them apart`()
        async throws
    {
        let node = try await RunningNode(try Scratch())
        try await Self.imported(node)
        let (good, bad) = (try PriceServer(price: "12.5"), try PriceServer(price: "13.5"))
        func replay(_ port: Int, _ more: String...) async throws -> Ended {
            try await node.lattice(
                [
                    "mirror", "replay", "checkout", "--from", "1", "--to", "999", "--target", "127.0.0.1:\(port)",
                    "--speed", "max", "--data", node.data,
                ] + more)
        }
        let refused = try await replay(good.port)
        #expect(refused.status == 1 && refused.errors.contains("allow-list"), "\(refused)")
        _ = try await node.lattice("mirror", "allow", "checkout", "--endpoint", "127.0.0.1:*", "--loopback")
        let same = try await replay(good.port)
        #expect(same.status == 0 && same.output.contains("3 sent: 3 equal") && same.output.contains("pass"), "\(same)")
        let other = try await replay(bad.port, "--color", "always")
        #expect(other.status == 1 && other.output.contains("body /price value"), "\(other)")
        #expect(other.output.contains("\u{1B}[32m12.5\u{1B}[0m") && other.output.contains("\u{1B}[31m13.5\u{1B}[0m"))
        let ignored = try await replay(bad.port, "--ignore", "price", "--json")
        #expect(ignored.status == 0)
        #expect(try ignored.json["equal"] as? Int == 3)
        let within = try await replay(bad.port, "--threshold", "100%", "--json")
        #expect(within.status == 0)
        #expect(try within.json["basis_points"] as? Int == 10_000)
    }

    @Test func `a replay to a mirror's shadow carries its credentials, and to another target not`() async throws {
        let node = try await RunningNode(try Scratch())
        let guarded = try PriceServer(price: "12.5", secret: "Bearer of-the-shadow")
        let other = try PriceServer(price: "12.5", secret: "Bearer of-the-shadow")
        let folder = node.data + "/shadow-auth"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "authorization: Bearer of-the-shadow".write(toFile: folder + "/next", atomically: true, encoding: .utf8)
        _ = try await node.lattice("mirror", "allow", "checkout", "--endpoint", "127.0.0.1:*", "--loopback")
        let file = try node.scratch.write(
            "m.json",
            #"{"mirror_id":"next","source_service":"checkout","shadow_endpoint":"127.0.0.1:\#(guarded.port)","#
                + #""mode":"replay","shadow_auth":"next"}"#)
        try #require(try await node.lattice("mirror", "add", file).status == 0)
        try await Self.imported(node)
        func replay(_ port: Int, _ more: String...) async throws -> Ended {
            try await node.lattice(
                [
                    "mirror", "replay", "checkout", "--from", "1", "--to", "999", "--speed", "max", "--target",
                    "127.0.0.1:\(port)", "--data", node.data,
                ] + more)
        }
        let welcome = try await replay(guarded.port)
        #expect(welcome.status == 0, "\(welcome)")
        let turnedAway = try await replay(other.port)
        #expect(turnedAway.status == 1 && turnedAway.output.contains("status"), "\(turnedAway)")
        #expect(try await replay(other.port, "--shadow-auth", "next").status == 0)
        let missing = try await replay(guarded.port, "--shadow-auth", "nobody")
        #expect(missing.status == 1 && missing.output.contains("no_credentials"), "\(missing)")
    }

    @Test func `a case file runs without a node`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("checkout", "checkout-1")
        try await Self.imported(node)
        let file = node.scratch.path("checkout.case.json")
        let exported = try await Self.export(node, "--output", file)
        try #require(exported.status == 0 && exported.output.contains("3 requests"), "\(exported)")
        let text = Scratch.text(file)
        #expect(!text.contains("hunter2") && text.contains("12.5"))
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        _ = try await node.stop()
        let (good, bad) = (try PriceServer(price: "12.5"), try PriceServer(price: "1"))
        func check(_ port: Int, _ more: String...) async throws -> Ended {
            try await LatticeProcess.run(
                ["mirror", "check", file, "--target", "127.0.0.1:\(port)", "--speed", "max"] + more, in: node.scratch)
        }
        #expect(try await check(good.port, "--loopback").status == 0)
        #expect(try await check(bad.port, "--loopback").status == 1)
        let refused = try await check(good.port)
        #expect(refused.status == 1 && refused.output.contains("address_refused"), "\(refused)")
        let broken = try node.scratch.write("broken.json", #"{"format":"lattice-regression-case","version":1}"#)
        let ended = try await LatticeProcess.run(
            ["mirror", "check", broken, "--target", "127.0.0.1:1"], in: node.scratch)
        #expect(ended.status == 2 && ended.errors.contains("source_service"), "\(ended)")
    }

    @Test func `a .gor file comes back as it went, redacted`() async throws {
        let node = try await RunningNode(try Scratch())
        try await Self.imported(node)
        let file = node.scratch.path("out.gor")
        let exported = try await Self.export(node, "--format", "gor", "--output", file)
        try #require(exported.status == 0, "\(exported)")
        let text = Scratch.text(file)
        #expect(text.components(separatedBy: "\n🐵🙈🙉\n").count == 7)
        #expect(text.contains("GET /cart/2 HTTP/1.1\r\n") && text.contains("Authorization: [redacted]"))
        #expect(!text.contains("hunter2"))
        let again = try await node.lattice("mirror", "import", file, "--service", "billing")
        #expect(again.output.contains("3 captured"), "\(again)")
        let repeated = try await node.lattice("mirror", "import", file, "--service", "billing")
        #expect(repeated.status == 0 || repeated.output.contains("3 refused") || repeated.output.contains("3 captured"))
        let broken = try node.scratch.write("broken.gor", "1 abc\nGET / HTTP/1.1\r\n\r\n")
        let ended = try await node.lattice("mirror", "import", broken, "--service", "x")
        #expect(ended.status == 2 && ended.errors.contains("payload 1"), "\(ended)")
    }

    @Test func `what live copies differ in is shown side by side, and fails a threshold`() async throws {
        let node = try await RunningNode(try Scratch())
        let bad = try PriceServer(price: "13.5")
        _ = try await node.lattice("mirror", "allow", "checkout", "--endpoint", "127.0.0.1:*", "--loopback")
        let file = try node.scratch.write(
            "m.json",
            #"{"mirror_id":"next","source_service":"checkout","shadow_endpoint":"127.0.0.1:\#(bad.port)","mode":"full"}"#
        )
        try #require(try await node.lattice("mirror", "add", file).status == 0)
        try await Self.imported(node)
        let isCompared = try await eventually {
            try await node.lattice("mirror", "stats", "next", "--json").output.contains(#""different":3"#)
        }
        let ledgerNow = try await node.lattice("mirror", "ledger")
        try #require(isCompared, "\(ledgerNow)")
        let shown = try await node.lattice("mirror", "diffs", "next", "--color", "never")
        #expect(shown.status == 0 && shown.output.contains("body /price"), "\(shown)")
        let sides = shown.output.split(separator: "\n").first { $0.contains(" | ") } ?? ""
        #expect(sides.contains("12.5") && sides.contains("13.5"), "\(shown)")
        #expect(try await node.lattice("mirror", "diffs", "next", "--threshold", "1%").status == 1)
        #expect(try await node.lattice("mirror", "diffs", "next", "--threshold", "100%", "--json").status == 0)
        let ledger = try await node.lattice("mirror", "ledger", "next")
        #expect(ledger.output.contains("nothing was skipped"), "\(ledger)")
    }

    @Test func `an erased day reads erased`() async throws {
        let node = try await RunningNode(try Scratch())
        try await Self.imported(node)
        let formatter = DateFormatter()
        formatter.dateFormat = "yyyy-MM-dd"
        formatter.timeZone = TimeZone(identifier: "UTC")
        let erased = try await node.lattice(
            "erase", "--service", "checkout", "--day", formatter.string(from: Date()), "--reason", "asked")
        #expect(erased.status == 0, "\(erased)")
        let exported = try await Self.export(node, "--output", node.scratch.path("gone.json"))
        #expect(exported.output.contains("0 requests") && exported.output.contains("3 cut or erased"), "\(exported)")
        let wrong = try await node.lattice("erase", "--service", "checkout", "--day", "yesterday")
        #expect(wrong.status == 2, "\(wrong)")
    }
}
