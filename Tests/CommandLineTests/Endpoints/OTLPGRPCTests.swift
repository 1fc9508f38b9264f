// OTLP over gRPC, spoken by other people's clients to a running node: grpcio, OpenTelemetry's exporter, curl, h2load.

import Foundation
import TestKit
import Testing

@Suite struct `OTLP over gRPC` {
    private static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    private static let grpc = PythonEnvironment.grpc

    /// Calls with grpcio; prints one JSON object a line: name, code, details, whether RetryInfo came.
    private static let calls = """
        import concurrent.futures, grpc, json, os, sys
        path = sys.argv[2]
        channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.max_send_message_length", -1)])
        def call(name, body, path=path, compression=None, timeout=20, metadata=None):
            method = channel.unary_unary(path, request_serializer=lambda x: x, response_deserializer=lambda x: x)
            try:
                _, call = method.with_call(body, timeout=timeout, compression=compression, metadata=metadata)
                code, details, trailing = call.code(), call.details(), call.trailing_metadata()
            except grpc.RpcError as error:
                code, details, trailing = error.code(), error.details(), error.trailing_metadata()
            retry = any(key == "grpc-status-details-bin" for key, _ in trailing or ())
            print(json.dumps({"name": name, "code": code.name, "details": details, "retry": retry}))
        call("empty", b"")
        call("large", os.urandom(5_000_000))
        call("large, packed", os.urandom(5_000_000), compression=grpc.Compression.Gzip)
        call("large, unpacked", bytes(30_000_000), compression=grpc.Compression.Gzip)
        call("garbage", b"\\xff\\xff\\xff")
        call("garbage, packed", b"\\xff" * 2000, compression=grpc.Compression.Deflate)
        call("unknown", b"", path="/grpc.health.v1.Health/Check")
        call("odd metadata", b"", metadata=[("grpc-trace-bin", b"\\x00\\xff"), ("x", "y" * 4000)])
        method = channel.unary_unary(path, request_serializer=lambda x: x, response_deserializer=lambda x: x)
        for future in [method.future(b"", timeout=20) for _ in range(1000)]:
            assert future.code() == grpc.StatusCode.OK, future
        channel.close()
        channel = grpc.insecure_channel(sys.argv[1])
        call("last", b"")
        """

    @Test(.enabled(if: grpc != nil, "no python3 with grpcio here, and PyPI can not be reached"))
    func `grpcio is told what is wrong, finally where it is final`() async throws {
        let node = try await ReceiverNode()
        let script = try node.node.scratch.write("calls.py", Self.calls)
        let address = try node.url("otlp_grpc").replacingOccurrences(of: "grpc://", with: "")
        let (status, output) = try #require(Self.grpc).run(script: script, [address, Self.path])
        try #require(status == 0, "\(output)")
        let lines = try output.split(separator: "\n").filter { $0.hasPrefix("{") }
            .map { try JSONObject.members(of: String($0)) }
        let codes = lines.map { "\($0["name"] ?? ""): \($0["code"] ?? "")" }
        #expect(
            codes == [
                "empty: OK", "large: RESOURCE_EXHAUSTED", "large, packed: RESOURCE_EXHAUSTED",
                "large, unpacked: RESOURCE_EXHAUSTED", "garbage: INVALID_ARGUMENT", "garbage, packed: INVALID_ARGUMENT",
                "unknown: UNIMPLEMENTED", "odd metadata: OK", "last: OK",
            ], "\(output)")
        #expect(lines.allSatisfy { $0["retry"] as? Bool == false })
        #expect("\(lines[1]["details"] ?? "")".contains("4 MiB") && "\(lines[4]["details"] ?? "")".contains("OTLP"))
    }

    /// Exports spans above the limit with OpenTelemetry's exporter; prints the result and what was logged.
    private static let tooLarge = """
        import logging, sys
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult, SimpleSpanProcessor
        import random, string
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
        class Keeper(SpanExporter):
            spans = []
            def export(self, spans): self.spans += spans; return SpanExportResult.SUCCESS
        keeper, provider = Keeper(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(keeper))
        for number in range(60):
            noise = "".join(random.choices(string.ascii_letters + string.digits + "äöü", k=100_000))
            with provider.get_tracer("t").start_as_current_span("s", attributes={"noise": noise}): pass
        packing = Compression.Gzip if sys.argv[2] == "gzip" else Compression.NoCompression
        exporter = OTLPSpanExporter(endpoint=sys.argv[1], insecure=True, compression=packing, timeout=20)
        print("RESULT", exporter.export(keeper.spans).name)
        print("RESULT", exporter.export(keeper.spans[:1]).name)
        """

    @Test(
        .enabled(
            if: PythonEnvironment.openTelemetry != nil,
            "no python3 with opentelemetry-sdk and its OTLP exporters here, and PyPI can not be reached"),
        arguments: ["none", "gzip"])
    func `OpenTelemetry's exporter is told that a batch is too large, and goes on`(packing: String) async throws {
        let node = try await ReceiverNode()
        let script = try node.node.scratch.write("large.py", Self.tooLarge)
        let address = try node.url("otlp_grpc").replacingOccurrences(of: "grpc://", with: "")
        let python = try #require(PythonEnvironment.openTelemetry)
        let (status, output) = python.run(script: script, [address, packing])
        try #require(status == 0, "\(output)")
        let results = output.split(separator: "\n").filter { $0.hasPrefix("RESULT") }
        #expect(results == ["RESULT FAILURE", "RESULT SUCCESS"], "\(output)")
        // That this one tries again a while is its own way: it looks for no RetryInfo (OTLP, Failures).
        #expect(output.contains("RESOURCE_EXHAUSTED") && output.contains("4 MiB"), "\(output)")
        #expect(!output.contains("CANCELLED"), "\(output)")
    }

    @Test(.enabled(if: Strangers.program("curl") != nil, "no curl here"))
    func `curl is told what this port is for`() async throws {
        let node = try await ReceiverNode()
        let url = try node.url("otlp_grpc").replacingOccurrences(of: "grpc://", with: "http://") + Self.path
        func ask(_ arguments: String...) throws -> String {
            try run("curl", ["-s", "-m", "15", "-i", "--http2-prior-knowledge"] + arguments + [url]).lowercased()
        }
        let json = try ask("-H", "content-type: application/json", "-d", "{}")
        #expect(json.hasPrefix("http/2 415") && json.contains("grpc-message: the content-type of grpc"), "\(json)")
        let get = try ask()
        #expect(get.hasPrefix("http/2 405") && get.contains("allow: post"), "\(get)")
        let form = try ask("-H", "content-type: application/grpc", "-d", "\u{1}\u{1}")
        #expect(form.hasPrefix("http/2 200") && form.contains("grpc-status: 13"), "\(form)")
        let negative = try ask("-H", "content-type: application/grpc", "-H", "grpc-timeout: -1S", "-X", "POST")
        #expect(negative.contains("grpc-status: 12"), "a call without a message: \(negative)")
    }

    @Test(.enabled(if: Strangers.program("h2load") != nil, "no h2load here"))
    func `h2load is answered on many connections and streams`() async throws {
        let node = try await ReceiverNode()
        let body = node.node.scratch.path("body")
        try Data([0, 0, 0, 0, 0]).write(to: URL(fileURLWithPath: body))
        let url = try node.url("otlp_grpc").replacingOccurrences(of: "grpc://", with: "http://") + Self.path
        let output = try run(
            "h2load",
            [
                "-n", "4000", "-c", "20", "-m", "50", "-d", body, "-H", "content-type: application/grpc", "-H",
                "te: trailers", url,
            ])
        #expect(output.contains("4000 succeeded, 0 failed"), "\(output)")
    }

    private func run(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: try #require(Strangers.program(program)))
        process.arguments = arguments
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
