// Answers that end with their connection, over TLS: whole after a close_notify, and cut without one (RFC 9112, 9.8).

import Foundation
import NIOSSL
import TestKit
import Testing

@testable import Gateway

@Suite struct `The end of an answer over TLS` {
    /// Answers each connection with what has no length; the path says whether it takes its leave.
    private static let server = """
        import socket, ssl, sys
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            plain, _ = listener.accept()
            try:
                sealed = context.wrap_socket(plain, server_side=True)
                head = sealed.recv(65536)
                while b"\\r\\n\\r\\n" not in head: head += sealed.recv(65536)
                sealed.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\nsealed")
                if b"/whole" in head:
                    try: sealed.unwrap()
                    except OSError: pass
                sealed.close()
            except OSError: plain.close()
        """

    @Test(.enabled(if: Strangers.python(importing: "ssl") != nil, "no python3 with ssl here"))
    func `without a close_notify it is cut`() async throws {
        let directory = NSTemporaryDirectory() + "lattice-sealed-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try CertificateFixtures.make(in: directory)
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: Strangers.python(importing: "ssl") ?? "")
        process.arguments = ["-c", Self.server, directory + "/server.pem", directory + "/server.key"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(directory + "/ca.pem")
        var rule = RouteRule(service: "shop")
        rule.endpoints = ["127.0.0.1:\(line.filter(\.isNumber))"]
        rule.tls = UpstreamTLS(context: try NIOSSLContext(configuration: configuration), serverName: nil)
        let edge = try await Edge.open(rules: [rule])
        let client = try await FrameClient.connect(edge.port)
        for _ in 0..<3 {
            let whole = try await client.get("/whole")
            #expect(whole.isEnded && whole.body == "sealed", "\(whole)")
            let cut = try await client.get("/cut")
            #expect(cut.status == 200 && !cut.isEnded && cut.reset != nil, "\(cut)")
        }
        #expect(client.goAway == nil)
        await client.close()
        await edge.close()
    }
}
