// Who can reach the HTTP listener and how: TLS, the refusal to be open, readiness with its reasons.

import Foundation
import TestKit
import Testing

@Suite struct `The HTTP listener` {
    /// Runs a command that is no part of the project; its output.
    private func run(_ arguments: [String]) async throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// A certificate for localhost, signed by itself, as `openssl` makes it.
    private func certificate(_ scratch: Scratch, _ name: String = "listener") async throws -> (
        cert: String, key: String
    ) {
        let (cert, key) = (scratch.path(name + ".pem"), scratch.path(name + ".key"))
        let made = try await run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key,
            "-out", cert,
        ])
        try #require(made.status == 0, "openssl makes a certificate")
        return (cert, key)
    }

    private static let ask = """
        import ssl, sys, urllib.request, urllib.error
        context = ssl.create_default_context(cafile=None if sys.argv[2] == "none" else sys.argv[2])
        try: print(urllib.request.urlopen(sys.argv[1], context=context, timeout=15).read().decode())
        except urllib.error.HTTPError as error: print(error.code, error.read().decode())
        except Exception as error: print("failed", error)
        """

    @Test func `speaks TLS with a certificate of its own, to who trusts it`() async throws {
        let scratch = try Scratch()
        let (cert, key) = try await certificate(scratch)
        let node = try await RunningNode(
            scratch, ["--http", "127.0.0.1:0", "--http-cert", cert, "--http-key", key])
        #expect(node.httpURL.hasPrefix("https://127.0.0.1:"))
        let answer = try await run(["python3", "-c", Self.ask, node.httpURL + "/healthz", cert])
        #expect(answer.output.hasPrefix("ok"), "\(answer)")
        let other = try await certificate(scratch, "other")
        let refused = try await run(["python3", "-c", Self.ask, node.httpURL + "/healthz", other.cert])
        #expect(refused.output.hasPrefix("failed") && refused.output.contains("CERTIFICATE_VERIFY"), "\(refused)")
        let plain = node.httpURL.replacingOccurrences(of: "https://", with: "http://")
        let unspoken = try await run(["python3", "-c", Self.ask, plain + "/healthz", cert])
        #expect(unspoken.output.hasPrefix("failed"), "\(unspoken)")
    }

    @Test func `beyond loopback needs TLS and a token, or the word`() async throws {
        let scratch = try Scratch()
        let (cert, key) = try await certificate(scratch)
        let token = try scratch.write("token", String(repeating: "0123456789abcdef", count: 2))
        func serve(_ options: String...) async throws -> Ended {
            try await LatticeProcess.run(
                ["serve", "--data", scratch.path("data"), "--http", "0.0.0.0:0"] + options, in: scratch)
        }
        let bare = try await serve()
        #expect(bare.status == 2 && bare.errors.contains("TLS") && bare.errors.contains("a token"), "\(bare)")
        let withoutTLS = try await serve("--http-token-file", token)
        #expect(withoutTLS.status == 2 && withoutTLS.errors.contains("--http-cert"), "\(withoutTLS)")
        let withoutToken = try await serve("--http-cert", cert, "--http-key", key)
        #expect(withoutToken.status == 2 && withoutToken.errors.contains("--http-token-file"), "\(withoutToken)")
        let half = try await serve("--http-cert", cert, "--insecure")
        #expect(half.status == 2 && half.errors.contains("together"), "\(half)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("data")))

        let node = try await RunningNode(
            scratch, ["--http", "0.0.0.0:0", "--http-cert", cert, "--http-key", key, "--http-token-file", token])
        let url = node.httpURL.replacingOccurrences(of: "0.0.0.0", with: "127.0.0.1")
        #expect(try await run(["python3", "-c", Self.ask, url + "/healthz", cert]).output.hasPrefix("ok"))
        #expect(try await node.stop().status == 0)
        let insecure = try await RunningNode(scratch, ["--http", "0.0.0.0:0", "--insecure"])
        #expect(insecure.httpURL.hasPrefix("http://"))
    }

    @Test func `does not start with a key of another certificate, or with none`() async throws {
        let scratch = try Scratch()
        let (cert, key) = try await certificate(scratch)
        let other = try await certificate(scratch, "other")
        for (cert, key) in [(cert, other.key), (key, key), (scratch.path("nowhere"), key)] {
            let ended = try await LatticeProcess.run(
                [
                    "serve", "--data", scratch.path("data"), "--http", "127.0.0.1:0", "--http-cert", cert, "--http-key",
                    key,
                ],
                in: scratch)
            #expect(ended.status == 1 && ended.errors.contains("TLS listener"), "\(ended)")
        }
    }

    @Test func `says why the node is not ready, and that it is again`() async throws {
        let scratch = try Scratch()
        let bus = try await RunningNode(scratch, data: "bus", ["--http", "none"])
        let node = try await RunningNode(
            scratch, ["--http", "127.0.0.1:0", "--nats", bus.natsURL, "--prefix", "two"])
        func readiness() async throws -> String {
            try await run(["python3", "-c", Self.ask, node.httpURL + "/readyz", "none"]).output
        }
        let isReady = try await eventually { try await readiness().contains(#"{"ready":true}"#) }
        #expect(isReady)
        _ = try await bus.stop()
        let isTold = try await eventually { try await readiness().contains("intake_disconnected") }
        #expect(isTold)
        #expect(try await readiness().hasPrefix("503"))
    }
}
