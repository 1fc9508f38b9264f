// The protocols of the edge as curl speaks them: HTTP/2 with and without TLS, HTTP/1.1 over TLS; and TLS to the services.

import EventModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import TestKit
import Testing

@testable import Gateway

/// Certificates of one test.
private final class Certificates {
    let directory = NSTemporaryDirectory() + "lattice-edge-\(UUID().uuidString)"

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try CertificateFixtures.make(in: directory)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func path(_ name: String) -> String { directory + "/" + name }

    /// A listener with one of the two: `server` bears name and address, `named` the name alone.
    func listener(_ name: String) throws -> TLSConfiguration {
        .makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(path("\(name).pem")).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: path("\(name).key"), format: .pem)))
    }

    /// What trusts those who are signed by one of the two authorities.
    func client(_ authority: String) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(path(authority))
        return try NIOSSLContext(configuration: configuration)
    }
}

/// curl, as people have it.
private enum Curl {
    struct Answer {
        var status = 0
        var version = ""
        var body = ""
    }

    static func get(_ arguments: [String]) async throws -> Answer {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        process.arguments = ["-s", "--max-time", "20", "-w", "\n%{http_code} %{http_version}"] + arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: pipe.fileHandleForReading.readDataToEndOfFile())
            }
        }
        process.waitUntilExit()
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: "\n") else { return Answer() }
        let facts = text[text.index(after: end)...].split(separator: " ")
        return Answer(
            status: Int(facts.first ?? "") ?? 0, version: String(facts.last ?? ""), body: String(text[..<end]))
    }
}

@Suite struct `Protocols of the edge` {
    @Test func `HTTP2 by prior knowledge`() async throws {
        let service = try await HTTPService.start("a")
        let edge = try await Edge.open([service])
        let one = try await Curl.get(["--http2-prior-knowledge", "http://127.0.0.1:\(edge.port)/x?y=1"])
        #expect(one.status == 200 && one.version == "2" && one.body == "a")
        let heard = try #require(service.heard.first)
        #expect(heard.target == "/x?y=1" && heard.header("host") == "127.0.0.1:\(edge.port)")
        #expect(heard.header("traceparent") != nil && heard.header("via")?.hasPrefix("2") == true)
        await edge.close()
        await service.stop()
    }

    @Test func `bodies go both ways over HTTP2, larger than a window`() async throws {
        let service = try await HTTPService.start("a", .echo)
        let edge = try await Edge.open([service])
        let directory = NSTemporaryDirectory() + "lattice-body-\(UUID().uuidString)"
        let text = String(repeating: "0123456789abcdef", count: 50_000)
        try text.write(toFile: directory, atomically: true, encoding: .utf8)
        let answer = try await Curl.get(
            ["--http2-prior-knowledge", "--data-binary", "@\(directory)", "http://127.0.0.1:\(edge.port)/echo"])
        #expect(answer.status == 200 && answer.body == text)
        try FileManager.default.removeItem(atPath: directory)
        await edge.close()
        await service.stop()
    }

    @Test func `over TLS the client chooses HTTP2 or HTTP1`() async throws {
        let certificates = try Certificates()
        let service = try await HTTPService.start("a")
        let tls = try certificates.listener("server")
        let edge = try await Edge.open([service]) { $0.tls = tls }
        let url = "https://127.0.0.1:\(edge.port)/"
        let trust = ["--cacert", certificates.path("ca.pem")]
        for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
            let answer = try await Curl.get(trust + [option, url])
            #expect(answer.status == 200 && answer.version == version && answer.body == "a")
        }
        let many = try await Curl.get(
            trust + ["--http2", "--parallel", "-o", "/dev/null", url + "many/[1-40]"])
        #expect(many.status == 200 && many.version == "2")
        #expect(service.heard.count == 42, "many streams of one connection")
        #expect(service.heard.allSatisfy { $0.header("x-forwarded-proto") == "https" })
        #expect(try await Curl.get(["--cacert", certificates.path("other-ca.pem"), url]).status == 0)
        // Who speaks no TLS loses the connection, and others are unharmed.
        let plain = try await RawClient.connect(edge.port)
        await plain.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        try await waitFor { plain.isClosed }
        #expect(try await Curl.get(trust + [url]).status == 200)
        await edge.close()
        await service.stop()
    }

    @Test func `services are pending to over TLS, and only to those whose certificate fits`() async throws {
        let certificates = try Certificates()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let context = try NIOSSLContext(configuration: try certificates.listener("named"))
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Sealed())
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        var rules: [RouteRule] = []
        for (path, authority, name) in [
            ("/good", "ca.pem", "localhost"), ("/stranger", "other-ca.pem", "localhost"),
            ("/name", "ca.pem", "elsewhere"),
        ] {
            var rule = RouteRule(service: String(path.dropFirst()))
            (rule.path, rule.endpoints) = (path, ["127.0.0.1:\(port)"])
            rule.tls = UpstreamTLS(context: try certificates.client(authority), serverName: name)
            rules.append(rule)
        }
        let edge = try await Edge.open(rules: rules)
        #expect(try await edge.get("/good").answerBody == "sealed")
        #expect(try await edge.get("/stranger").status == 502)
        #expect(try await edge.get("/name").status == 502)
        await edge.close()
        try await listener.close().get()
        try await group.shutdownGracefully()
    }
}

/// Answers every request with one word.
private final class Sealed: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = Self.unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "6"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "sealed")))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }
}
