// The program with shadows that answer with anything, and what of a request a shadow gets to see.

import Foundation
import TestKit
import Testing

/// A shadow that answers each request with the next of some bytes, ends the connection, and keeps what it received.
private final class BytesServer: Sendable {
    private let process: Process
    private let log: String
    let port: Int

    private static let script = """
        import binascii, socket, sys, threading
        log = open(sys.argv[1], "ab", buffering=0)
        answers = [binascii.unhexlify(text) for text in sys.argv[2:]]
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        print(listener.getsockname()[1], flush=True)
        number = 0
        while True:
            connection, _ = listener.accept()
            connection.settimeout(5)
            data = b""
            try:
                while b"\\r\\n\\r\\n" not in data:
                    part = connection.recv(65536)
                    if not part: break
                    data += part
                log.write(data)
                connection.sendall(answers[number % len(answers)])
            except OSError:
                pass
            number += 1
            connection.close()
        """

    init(_ scratch: Scratch, _ answers: [String]) throws {
        log = scratch.path("received-\(UUID().uuidString)")
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["python3", "-c", Self.script, log]
            + answers.map {
                $0.utf8.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
            }
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte.first != 0x0A { line += byte }
        port = try #require(Int(String(decoding: line, as: UTF8.self)))
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    var received: String { Scratch.text(log) }
}

@Suite(.serialized) struct `Hostile shadows of the program` {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    /// The first are those that ended the process.
    private static let attacks = [
        "HTTP/1.1 000 \r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 000 Nothing\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 000\r\n\r\nhello", "HTTP/1.1 099 \r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 1000 \r\n\r\nhello",
        "HTTP/1.1 -1 \r\n\r\nhello", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello", "<html>",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "",
    ]

    /// GoReplay's form of requests, with production's answers.
    private static func traffic(_ requests: [String], from first: Int = 0) -> String {
        requests.enumerated().map { number, line in
            let id = String(repeating: "0", count: 20) + "\(1_000 + first + number)"
            return "1 \(id) 17000000000000000\(10 + number)\n\(line) HTTP/1.1\r\nHost: shop\r\n\r\n\n🐵🙈🙉\n"
                + "2 \(id) 1700000000000000099 4000000\n\(ok)\n🐵🙈🙉\n"
        }.joined()
    }

    private static func mirrored(_ node: RunningNode, to port: Int, _ more: String = "") async throws {
        _ = try await node.lattice("mirror", "allow", "checkout", "--endpoint", "127.0.0.1:*", "--loopback")
        let file = try node.scratch.write(
            "m.json",
            #"{"mirror_id":"next","source_service":"checkout","shadow_endpoint":"127.0.0.1:\#(port)","mode":"full"\#(more)}"#
        )
        try #require(try await node.lattice("mirror", "add", file).status == 0)
    }

    @Test func `end no node: each copy has its outcome, and the node answers on`() async throws {
        let node = try await RunningNode(try Scratch())
        // An answer that is one in between keeps the breaker closed.
        let shadow = try BytesServer(node.scratch, Self.attacks.flatMap { [$0, Self.ok] })
        try await Self.mirrored(node, to: shadow.port)
        let requests = Self.attacks.indices.flatMap { ["GET /attack/\($0)", "GET /good/\($0)"] }
        for (number, request) in requests.enumerated() {
            let file = try node.scratch.write("\(number).gor", Self.traffic([request], from: number))
            let ended = try await node.lattice("mirror", "import", file, "--service", "checkout")
            try #require(ended.status == 0, "\(ended)")
            let path = request.dropFirst(4)
            let isSent = try await eventually { shadow.received.contains("GET \(path) HTTP/1.1\r\n") }
            #expect(isSent, "\(request)")
        }
        let failed = Self.attacks.count
        let isTold = try await eventually {
            try await node.lattice("mirror", "ledger", "next", "--json").output.contains("\"count\":\(failed)")
        }
        let ledger = try await node.lattice("mirror", "ledger", "next")
        #expect(isTold && ledger.output.contains("dispatch_failed"), "\(ledger)")
        #expect(try await node.stop().status == 0)
    }

    @Test func `end no check either: it says what came, and does not pass`() async throws {
        let scratch = try Scratch()
        let node = try await RunningNode(scratch)
        let file = try scratch.write("t.gor", Self.traffic(["GET /a"]))
        _ = try await node.lattice("mirror", "import", file, "--service", "checkout")
        let caseFile = scratch.path("checkout.case.json")
        let exported = try await node.lattice(
            "mirror", "export", "checkout", "--from", "1", "--to", "999", "--output", caseFile)
        try #require(exported.status == 0, "\(exported)")
        for attack in Self.attacks {
            let shadow = try BytesServer(scratch, [attack])
            let ended = try await LatticeProcess.run(
                ["mirror", "check", caseFile, "--target", "127.0.0.1:\(shadow.port)", "--speed", "max", "--loopback"],
                in: scratch)
            #expect(ended.status == 1, "\(attack) \(ended)")
        }
    }

    @Test func `get the request line that was captured, byte for byte`() async throws {
        let node = try await RunningNode(try Scratch())
        let shadow = try BytesServer(node.scratch, [Self.ok])
        try await Self.mirrored(node, to: shadow.port, #","allow_writes":true"#)
        let lines = [
            "DELETE /t4/customers/M%FCller", "GET /?x=1", "GET /a?q=a%20b&filter[x]=1", "GET /100%", "GET /|{}^\"<>`",
            "GET //a//b", "GET /a?", "PUT /%2f%00;x",
        ]
        let file = try node.scratch.write("t.gor", Self.traffic(lines))
        let ended = try await node.lattice("mirror", "import", file, "--service", "checkout")
        try #require(ended.status == 0, "\(ended)")
        for line in lines {
            let hasCome = try await eventually { shadow.received.contains("\(line) HTTP/1.1\r\nhost: 127.0.0.1:") }
            #expect(hasCome, "\(line): \(shadow.received)")
        }
    }
    @Test func `end no command with files of any times and lengths`() async throws {
        let node = try await RunningNode(try Scratch())
        let request = "GET /a HTTP/1.1\r\nHost: shop\r\nContent-Length: -5\r\n\r\nbody"
        let times = ["-1", "9223372036854775807", "-9223372036854775808", "0"]
        let text = times.enumerated().map { number, time in
            let id = String(repeating: "0", count: 23) + "\(number)"
            return "1 \(id) \(time)\n\(request)\n🐵🙈🙉\n"
                + "2 \(id) 9223372036854775807\nHTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok\n🐵🙈🙉\n"
        }.joined()
        let file = try node.scratch.write("t.gor", text)
        let imported = try await node.lattice("mirror", "import", file, "--service", "checkout")
        #expect((0...2).contains(imported.status), "\(imported)")
        for format in ["case", "gor"] {
            let exported = try await node.lattice(
                "mirror", "export", "checkout", "--from", "1", "--to", "999", "--format", format, "--output",
                node.scratch.path("out.\(format)"))
            #expect((0...2).contains(exported.status), "\(exported)")
        }
        let shadow = try BytesServer(node.scratch, [Self.ok])
        let checked = try await LatticeProcess.run(
            [
                "mirror", "check", node.scratch.path("out.case"), "--target", "127.0.0.1:\(shadow.port)", "--speed",
                "max", "--loopback",
            ], in: node.scratch)
        #expect((0...2).contains(checked.status), "\(checked)")
    }
}
