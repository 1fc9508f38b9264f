// What connections cost that say nothing, and requests that no client sends.

import Foundation
import FoundationNetworking
import Glibc
import TestKit
import Testing

@Suite(.serialized) struct `Silent connections` {
    /// Opens connections to each port, says so, and holds them until it is ended.
    private static let holder = """
        import socket, sys, time
        held = []
        for port in sys.argv[2:]:
            for _ in range(int(sys.argv[1])):
                held.append(socket.create_connection(("127.0.0.1", int(port)), timeout=5))
        print("held", flush=True)
        time.sleep(100)
        """

    /// A node with a limit of open files, and the facts of its banner.
    private static func start(_ scratch: Scratch, limit: String) async throws -> (LatticeProcess, [String: Any]) {
        let arguments = ["serve", "--data", scratch.path("data"), "--json", "--jaeger", "127.0.0.1:0"]
        let node = try LatticeProcess(
            ["-c", "ulimit \(limit); exec \"$0\" \"$@\"", LatticeProcess.executable.path] + arguments
                + ReceiverNode.listeners, in: scratch, program: URL(fileURLWithPath: "/bin/bash"))
        _ = try await eventually(within: .seconds(20)) { node.output.contains("\n") || !node.isRunning }
        return (node, try JSONObject.members(of: node.output))
    }

    private static func port(_ facts: [String: Any], _ listener: String) throws -> String {
        let url = try #require(facts[listener] as? String)
        return String(try #require(URL(string: url)?.port))
    }

    private static func hold(_ count: Int, _ ports: [String], _ scratch: Scratch) async throws -> LatticeProcess {
        let holder = try LatticeProcess(
            ["python3", "-c", Self.holder, "\(count)"] + ports, in: scratch,
            program: URL(fileURLWithPath: "/usr/bin/env"))
        let isHeld = try await eventually(within: .seconds(60)) { holder.output.contains("held") || !holder.isRunning }
        try #require(isHeld && holder.isRunning, "\(holder.errors)")
        return holder
    }

    private static func isHealthy(_ facts: [String: Any]) async throws -> Bool {
        let listener = try #require(facts["http"] as? String)
        let url = try #require(URL(string: listener + "/healthz"))
        let answer = try? await URLSession.shared.data(for: URLRequest(url: url, timeoutInterval: 2))
        return (answer?.1 as? HTTPURLResponse)?.statusCode == 200
    }

    @Test func `take no descriptor from the log, and give the listener back`() async throws {
        let scratch = try Scratch()
        let (node, facts) = try await Self.start(scratch, limit: "-n 400")
        let ports = try ["http", "jaeger", "zipkin", "otlp_http"].map { try Self.port(facts, $0) }
        let holder = try await Self.hold(60, ports, scratch)
        let told = try await LatticeProcess.run(
            [
                "publish", "register", "checkout", "--id", "c-1", "--endpoint", "10.0.0.1:80", "--nats",
                try #require(facts["nats"] as? String),
            ], in: scratch)
        #expect(told.status == 0, "\(told)")
        let isAnswered = try await eventually(within: .seconds(120)) { try await Self.isHealthy(facts) }
        #expect(isAnswered && holder.isRunning)
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
    }

    @Test func `are as many as the system allows, not as the shell says`() async throws {
        let scratch = try Scratch()
        let (node, facts) = try await Self.start(scratch, limit: "-S -n 128")
        _ = try await Self.hold(200, [try Self.port(facts, "http")], scratch)
        let isAnswered = try await eventually(within: .seconds(20)) { try await Self.isHealthy(facts) }
        #expect(isAnswered)
        node.send(SIGTERM)
        #expect(try await node.end().status == 0)
    }
}

@Suite struct `Requests that no client sends` {
    /// Sends bytes and returns the first line of what comes back.
    private static func firstLine(of bytes: String, to url: String, _ scratch: Scratch) async throws -> String {
        let script = """
            import socket, sys
            with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as connection:
                connection.sendall(sys.argv[2].encode("utf-8").decode("unicode_escape").encode("latin-1"))
                print(connection.makefile("rb").readline().decode("latin-1").strip())
            """
        let port = try #require(URL(string: url)?.port)
        let ended = try await LatticeProcess(
            ["python3", "-c", script, "\(port)", bytes], in: scratch, program: URL(fileURLWithPath: "/usr/bin/env")
        ).end()
        return ended.output.split(separator: "\n").first.map(String.init) ?? ""
    }

    @Test func `are answered with 400, on every listener, and the node goes on`() async throws {
        let node = try await ReceiverNode(["--jaeger", "127.0.0.1:0"])
        let requests = [
            #"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"#,
            #"GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n"#,
            #"GET /healthz HTTP/1.1\r\n\r\n"#, #"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n"#,
            #"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"#,
            #"POST /v1/traces HTTP/1.1\r\nHost: \x80\xff\r\nContent-Length: 0\r\n\r\n"#,
            #"GET /healthz HTTP/1.1\r\nHost: local host\r\n\r\n"#, #"nonsense\r\n\r\n"#,
        ]
        for listener in ["http", "jaeger", "zipkin", "otlp_http"] {
            for request in requests {
                let line = try await Self.firstLine(of: request, to: try node.url(listener), node.node.scratch)
                #expect(line.hasPrefix("HTTP/1.1 400"), "\(listener) \(request) \(line)")
            }
        }
        let whole = #"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"#
        #expect(
            try await Self.firstLine(of: whole, to: try node.url("http"), node.node.scratch).hasPrefix("HTTP/1.1 200"))
    }
}
