// Servers and clients that know nothing of this project, with the gateway between them.

import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import TestKit
import Testing

@testable import Gateway

/// A server of others on a port of its own, with one file.
private final class Stranger {
    let directory = NSTemporaryDirectory() + "lattice-stranger-\(UUID().uuidString)"
    let port: Int
    private var process = Process()

    var endpoint: String { "127.0.0.1:\(port)" }

    init(_ program: String, _ arguments: (_ directory: String, _ port: Int) throws -> [String]) async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try "hello\n".write(toFile: directory + "/index.html", atomically: true, encoding: .utf8)
        port = try await Self.freePort()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = try arguments(directory, port)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let port = port
        try await waitFor("\(program) listens") {
            guard let client = try? await RawClient.connect(port) else { return false }
            await client.close()
            return true
        }
    }

    private static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close().get()
        return port
    }

    func stop() {
        // A child inherits which signals are held back; this one cannot be.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: directory)
    }

    static func lighttpd() async throws -> Stranger {
        try await Stranger(Strangers.program("lighttpd") ?? "") { directory, port in
            let text = """
                server.document-root = "\(directory)"
                server.bind = "127.0.0.1"
                server.port = \(port)
                index-file.names = ("index.html")
                """
            try text.write(toFile: directory + "/lighttpd.conf", atomically: true, encoding: .utf8)
            return ["-D", "-f", directory + "/lighttpd.conf"]
        }
    }

    static func nginx() async throws -> Stranger {
        try await Stranger(Strangers.program("nginx") ?? "") { directory, port in
            let text = """
                daemon off; master_process off; pid \(directory)/nginx.pid; error_log /dev/null;
                events {}
                http {
                    access_log off;
                    client_body_temp_path \(directory)/a; proxy_temp_path \(directory)/b; fastcgi_temp_path \(directory)/c;
                    uwsgi_temp_path \(directory)/d; scgi_temp_path \(directory)/e;
                    server { listen 127.0.0.1:\(port); root \(directory); }
                }
                """
            try text.write(toFile: directory + "/nginx.conf", atomically: true, encoding: .utf8)
            return ["-p", directory, "-c", directory + "/nginx.conf"]
        }
    }

    /// Python's own, with persistent connections; what is sent to it comes back.
    static func python() async throws -> Stranger {
        try await Stranger(Strangers.python(importing: "http.server") ?? "") { directory, port in
            let text = """
                import http.server
                class Handler(http.server.SimpleHTTPRequestHandler):
                    protocol_version = "HTTP/1.1"
                    wbufsize = 65536
                    disable_nagle_algorithm = True
                    def log_message(self, *arguments): pass
                    def body(self):
                        if self.headers.get("Transfer-Encoding", "") != "chunked":
                            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
                        result = b""
                        while True:
                            size = int(self.rfile.readline().split(b";")[0], 16)
                            result += self.rfile.read(size)
                            self.rfile.readline()
                            if size == 0: return result
                    def do_POST(self):
                        body = self.body()
                        self.send_response(200)
                        self.send_header("Content-Length", str(len(body)))
                        self.end_headers()
                        self.wfile.write(body)
                    do_PUT = do_POST
                class Server(http.server.ThreadingHTTPServer):
                    # Five by default: then connections are lost before anybody has seen them.
                    request_queue_size = 128
                Server(("127.0.0.1", \(port)), Handler).serve_forever()
                """
            try text.write(toFile: directory + "/server.py", atomically: true, encoding: .utf8)
            return ["-c", "import os; os.chdir('\(directory)'); exec(open('server.py').read())"]
        }
    }
}

/// Runs a client of others to its end.
private func run(_ program: String, _ arguments: [String], input: String? = nil) async throws -> String {
    let process = Process()
    let (output, feed) = (Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: Strangers.program(program) ?? "")
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    if input == nil { process.standardInput = FileHandle.nullDevice } else { process.standardInput = feed }
    try process.run()
    if let input {
        feed.fileHandleForWriting.write(Data(input.utf8))
        try feed.fileHandleForWriting.close()
    }
    let data = await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            continuation.resume(returning: output.fileHandleForReading.readDataToEndOfFile())
        }
    }
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
}

@Suite struct `Servers and clients of others` {
    private func edge(_ stranger: Stranger, isTLS: Bool = false) async throws -> Edge {
        var rule = RouteRule(service: "stranger")
        rule.endpoints = [stranger.endpoint]
        guard isTLS else { return try await Edge.open(rules: [rule]) }
        try CertificateFixtures.make(in: stranger.directory)
        let chain = try NIOSSLCertificate.fromPEMFile(stranger.directory + "/server.pem")
        let key = try NIOSSLPrivateKey(file: stranger.directory + "/server.key", format: .pem)
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        return try await Edge.open(rules: [rule]) { $0.tls = tls }
    }

    /// Persistent connections on both sides, one request after the other and many at once; `--http2` in clear text asks for an
    /// upgrade. (curl 7.88 fails by itself where it uses a connection of `--http2-prior-knowledge` again.)
    private func ask(_ stranger: Stranger) async throws {
        let (plain, sealed) = (try await edge(stranger), try await edge(stranger, isTLS: true))
        let url = "http://127.0.0.1:\(plain.port)/index.html"
        let sealedURL = "https://127.0.0.1:\(sealed.port)/index.html"
        for (version, url) in [("--http1.1", url), ("--http2", url), ("--http1.1", sealedURL), ("--http2", sealedURL)] {
            for method in [[], ["-I"]] {
                let statuses = try await run(
                    "curl",
                    ["-sk", "--max-time", "60", version, "-o", "/dev/null", "-w", "%{http_code}\n"] + method
                        + [url + "?[1-150]"])
                let counted = Dictionary(grouping: statuses.split(separator: "\n")) { $0 }.mapValues(\.count)
                #expect(counted == ["200": 150], "\(version) \(method) \(url)")
            }
        }
        if Strangers.program("h2load") != nil {
            for options in [["-m", "10"], ["--h1"]] {
                let text = try await run("h2load", ["-n", "600", "-c", "4"] + options + [url])
                #expect(text.contains("600 succeeded") && text.contains("600 2xx"), "\(options): \(text)")
            }
        }
        await plain.close()
        await sealed.close()
    }

    @Test(
        .enabled(
            if: Strangers.program("lighttpd") != nil && Strangers.program("curl") != nil, "no lighttpd or curl here"))
    func `lighttpd is asked well`() async throws {
        let stranger = try await Stranger.lighttpd()
        defer { stranger.stop() }
        try await ask(stranger)
    }

    @Test(.enabled(if: Strangers.program("nginx") != nil && Strangers.program("curl") != nil, "no nginx or curl here"))
    func `nginx is asked well`() async throws {
        let stranger = try await Stranger.nginx()
        defer { stranger.stop() }
        try await ask(stranger)
    }

    @Test(
        .enabled(
            if: Strangers.python(importing: "http.server") != nil && Strangers.program("curl") != nil,
            "no python3 or curl here"))
    func `Python's http server is asked well, with bodies of a length and without`() async throws {
        let stranger = try await Stranger.python()
        defer { stranger.stop() }
        try await ask(stranger)
        let edge = try await edge(stranger)
        let text = String(repeating: "0123456789abcdef", count: 20_000)
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for upload in [["-T", "-"], ["--data-binary", "@-"]] {
                for _ in 0..<5 {
                    let url = "http://127.0.0.1:\(edge.port)/echo"
                    let answer = try await run(
                        "curl", ["-s", "--max-time", "20", version] + upload + [url], input: text)
                    #expect(answer == text, "\(version) \(upload)")
                }
            }
        }
        await edge.close()
    }
}
