// The listeners for spans and their readers over TLS: real clients, certificates that openssl made for the test.

import Foundation
import TestKit
import Testing

@Suite struct `The listeners for spans over TLS` {
    private static let senders = String(repeating: "s", count: 32)
    private static let readers = String(repeating: "r", count: 32)
    private let scratch: Scratch
    private let guarding: [String]

    init() throws {
        scratch = try Scratch()
        try CertificateFixtures.make(in: scratch.path("."))
        guarding = [
            "--receiver-cert", scratch.path("server.pem"), "--receiver-key", scratch.path("server.key"),
            "--receiver-token-file", try scratch.write("senders", Self.senders), "--reader-token-file",
            try scratch.write("readers", Self.readers),
        ]
    }

    private func node() async throws -> ReceiverNode {
        try await ReceiverNode(guarding + ["--jaeger", "127.0.0.1:0"], scratch: scratch)
    }

    /// Asks with Python's own TLS: URL, trusted certificates, token, body to post or nothing.
    private static let ask = """
        import ssl, sys, urllib.request, urllib.error
        context = ssl.create_default_context(cafile=sys.argv[2])
        headers = {"Content-Type": "application/json"}
        if sys.argv[3]: headers["Authorization"] = "Bearer " + sys.argv[3]
        body = sys.argv[4].encode() if sys.argv[4] else None
        request = urllib.request.Request(sys.argv[1], data=body, headers=headers)
        try:
            answer = urllib.request.urlopen(request, context=context, timeout=15)
            print(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error: print(error.code, error.read().decode())
        except Exception as error: print("failed", error)
        """

    private func ask(_ url: String, trusting ca: String = "ca.pem", token: String, body: String = "") throws -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.ask, url, scratch.path(ca), token, body]
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    @Test func `spans are sent and read by who trusts the certificate and shows the token`() async throws {
        let node = try await node()
        for listener in ["otlp_http", "zipkin", "jaeger", "otlp_grpc"] {
            #expect(try node.url(listener).hasPrefix("https://127.0.0.1:"), "\(listener)")
        }
        let otlp = String(decoding: try OTLPExample.request(), as: UTF8.self)
        let zipkin = """
            [{"traceId":"ab","id":"7","name":"cron","timestamp":\(OTLPExample.seconds)000000,
              "localEndpoint":{"serviceName":"api"}}]
            """
        for (listener, path, body, status) in [
            ("otlp_http", "/v1/traces", otlp, "200"), ("zipkin", "/api/v2/spans", zipkin, "202"),
        ] {
            let url = try node.url(listener) + path
            let plain = url.replacingOccurrences(of: "https://", with: "http://")
            #expect(try ask(url, token: Self.senders, body: body).hasPrefix(status))
            #expect(try ask(url, token: "", body: body).hasPrefix("401"))
            #expect(try ask(url, token: Self.readers, body: body).hasPrefix("401"))
            let distrusted = try ask(url, trusting: "other-ca.pem", token: Self.senders, body: body)
            #expect(distrusted.hasPrefix("failed") && distrusted.contains("CERTIFICATE_VERIFY"), "\(distrusted)")
            #expect(try ask(plain, token: Self.senders, body: body).hasPrefix("failed"))
        }
        for (listener, path) in [("jaeger", "/api/services"), ("zipkin", "/api/v2/services")] {
            let url = try node.url(listener) + path
            let answer = try ask(url, token: Self.readers)
            #expect(answer.hasPrefix("200") && answer.contains("shop") && answer.contains("api"), "\(answer)")
            #expect(try ask(url, token: Self.senders).hasPrefix("401"))
            #expect(try ask(url, trusting: "other-ca.pem", token: Self.readers).hasPrefix("failed"))
        }
    }

    @Test(
        .enabled(
            if: PythonEnvironment.openTelemetry != nil,
            "no python3 with opentelemetry-sdk and its OTLP exporters here, and PyPI can not be reached"),
        arguments: [("http", "otlp_http"), ("grpc", "otlp_grpc")])
    func `OpenTelemetry's SDK exports over TLS with a token`(kind: String, listener: String) async throws {
        let node = try await node()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("export.py")
            .path
        let url = try node.url(listener)
        let ca = scratch.path("ca.pem")
        let python = try #require(PythonEnvironment.openTelemetry)
        let exported = python.run(script: script, [kind, url, ca, Self.senders])
        try #require(exported.status == 0, "\(exported.output)")
        let services = try await node.query("services")
        let operations = try #require(services["operations"] as? [[String: Any]])
        #expect(operations.map { $0["service_name"] as? String } == ["python-shop"])
        #expect(operations[0]["call_count"] as? Int == 22)
        let wrong = python.run(script: script, [kind, url, ca, Self.readers])
        #expect(wrong.status != 0, "\(wrong.output)")
    }

    @Test func `beyond loopback each needs TLS and its tokens, or the word`() async throws {
        func serve(_ options: [String]) async throws -> Ended {
            try await LatticeProcess.run(
                ["serve", "--data", scratch.path("data"), "--http", "none"] + options, in: scratch)
        }
        for (option, tokens) in [
            ("--otlp-http", ["senders"]), ("--otlp-grpc", ["senders"]), ("--zipkin", ["senders", "readers"]),
            ("--jaeger", ["readers"]),
        ] {
            let bare = try await serve([option, "0.0.0.0:0"])
            #expect(bare.status == 2 && bare.errors.contains("TLS (--receiver-cert"), "\(bare)")
            for token in tokens { #expect(bare.errors.contains("a token of \(token)"), "\(bare)") }
            let withoutTokens = try await serve([option, "0.0.0.0:0"] + guarding.prefix(4))
            #expect(withoutTokens.status == 2 && !withoutTokens.errors.contains("TLS"), "\(withoutTokens)")
            let withoutTLS = try await serve([option, "0.0.0.0:0"] + guarding.dropFirst(4))
            #expect(withoutTLS.status == 2 && !withoutTLS.errors.contains("a token"), "\(withoutTLS)")
        }
        let half = try await serve(["--receiver-cert", scratch.path("server.pem")])
        #expect(half.status == 2 && half.errors.contains("together"), "\(half)")
        let mixed = ["--receiver-cert", scratch.path("server.pem"), "--receiver-key", scratch.path("client.key")]
        let ended = try await serve(mixed)
        #expect(ended.status == 1 && ended.errors.contains("TLS listener"), "\(ended)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("data")))

        let open = ["--otlp-http", "0.0.0.0:0", "--zipkin", "0.0.0.0:0", "--jaeger", "0.0.0.0:0"]
        let node = try await RunningNode(scratch, ["--http", "none", "--otlp-grpc", "none"] + open + guarding)
        let jaeger = try #require(node.facts["jaeger"] as? String).replacingOccurrences(
            of: "0.0.0.0", with: "127.0.0.1")
        #expect(try ask(jaeger + "/api/services", token: Self.readers).hasPrefix("200"))
    }
}
