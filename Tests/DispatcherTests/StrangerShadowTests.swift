// Servers that know nothing of this project as shadows: nginx, lighttpd, Python's http.server.

import EventModel
import Foundation
import Glibc
import NIOCore
import NIOPosix
import TestKit
import Testing

@testable import Dispatcher

/// A server of others with one file, on a port of loopback.
private final class StrangerServer {
    static let content = #"{"items": [\#(String(repeating: "1, ", count: 400))1], "total": 42}"#

    let endpoint: String
    private let folder: String
    private let process = Process()

    /// - Parameter arguments: of the program, from the folder with `data.json` and the port.
    init(_ program: String, _ arguments: (_ folder: String, _ port: Int) throws -> [String]) async throws {
        folder = FileManager.default.temporaryDirectory.path + "/lattice-stranger-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.content.write(toFile: folder + "/data.json", atomically: true, encoding: .utf8)
        let probe = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = probe.localAddress?.port ?? 0
        try await probe.close()
        endpoint = "127.0.0.1:\(port)"
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = try arguments(folder, port)
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Asks until the server answers at all.
    func wait(_ sender: HTTPShadowSender) async throws {
        for _ in 0..<500 {
            if await sender.send(ShadowRequest(to: endpoint, "GET", "/data.json")).outcome == .succeeded { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("the server does not answer")
    }

    static func nginx(_ program: String) async throws -> StrangerServer {
        try await StrangerServer(program) { folder, port in
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(folder)/\($0);" }
            try """
            daemon off; master_process off; pid \(folder)/pid; error_log \(folder)/error;
            events {}
            http {
                access_log off; \(paths.joined(separator: " ")) types { application/json json; }
                gzip on; gzip_min_length 1; gzip_types application/json; keepalive_requests 3;
                server {
                    listen 127.0.0.1:\(port); root \(folder);
                    location /echo/ { return 200 "$request_uri"; }
                }
            }
            """.write(toFile: folder + "/conf", atomically: true, encoding: .utf8)
            return ["-c", folder + "/conf", "-p", folder, "-e", folder + "/error"]
        }
    }

    static func lighttpd(_ program: String) async throws -> StrangerServer {
        try await StrangerServer(program) { folder, port in
            try """
            server.document-root = "\(folder)"
            server.bind = "127.0.0.1"
            server.port = \(port)
            server.max-keep-alive-requests = 3
            mimetype.assign = ( ".json" => "application/json" )
            """.write(toFile: folder + "/conf", atomically: true, encoding: .utf8)
            return ["-D", "-f", folder + "/conf"]
        }
    }

    static func python(_ program: String) async throws -> StrangerServer {
        try await StrangerServer(program) { folder, port in
            ["-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, "\(port)"]
        }
    }
}

@Suite(.serialized) struct `Strangers as shadows` {
    private func serve(_ server: StrangerServer, validates: Bool) async throws {
        try await withSender(hasBreaker: false) { sender in
            try await server.wait(sender)
            var request = ShadowRequest(to: server.endpoint, "GET", "/data.json")
            request.headers = [HeaderField(name: "Accept-Encoding", value: "gzip")]
            var tag = ""
            // More than a connection may carry, so that it ends in between.
            for _ in 0..<20 {
                let answer = await sender.send(request)
                #expect(answer.status == 200 && String(decoding: answer.body, as: UTF8.self) == StrangerServer.content)
                tag = answer.headers.first { $0.name.lowercased() == "etag" }?.value ?? ""
            }
            request.method = "HEAD"
            for _ in 0..<5 {
                let answer = await sender.send(request)
                #expect(answer.status == 200 && answer.body.isEmpty, "\(answer)")
            }
            for _ in 0..<5 {
                let missing = await sender.send(ShadowRequest(to: server.endpoint, "GET", "/missing"))
                #expect(missing.outcome == .succeeded && missing.status == 404)
                let write = await sender.send(ShadowRequest(to: server.endpoint, "PATCH", "/data.json", body: [1, 2]))
                #expect(write.outcome == .succeeded && write.status >= 400, "\(write)")
            }
            if validates {
                request.method = "GET"
                request.headers = [HeaderField(name: "If-None-Match", value: tag)]
                for _ in 0..<5 { #expect(await sender.send(request).status == 304) }
            }
        }
    }

    @Test(.enabled(if: Strangers.program("nginx") != nil, "no nginx here"))
    func `nginx answers, packed, and gets targets as they were captured`() async throws {
        let server = try await StrangerServer.nginx(try #require(Strangers.program("nginx")))
        try await serve(server, validates: true)
        try await withSender { sender in
            for target in ["M%FCller", "a//b?x[y]=%5B", "%2f", ";a=b", "|{}^\"<>`\\", "?", "?a%20b", "\u{FC}"] {
                let answer = await sender.send(ShadowRequest(to: server.endpoint, "GET", "/echo/\(target)"))
                #expect(String(decoding: answer.body, as: UTF8.self) == "/echo/\(target)")
            }
        }
    }

    @Test(.enabled(if: Strangers.program("lighttpd") != nil, "no lighttpd here"))
    func `lighttpd answers`() async throws {
        try await serve(try await .lighttpd(try #require(Strangers.program("lighttpd"))), validates: true)
    }

    @Test(.enabled(if: Strangers.program("python3") != nil, "no python3 here"))
    func `Python's server answers, one connection for each request`() async throws {
        try await serve(try await .python(try #require(Strangers.program("python3"))), validates: false)
    }
}
