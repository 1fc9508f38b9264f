// OTLP over gRPC: `TraceService.Export`. Source of the rules: opentelemetry.io/docs/specs/otlp, OTLP/gRPC.

import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import Listeners
package import Logging
package import ServiceLifecycle
import SwiftProtobuf

/// Takes spans from OpenTelemetry's exporters and collectors, over HTTP/2.
package struct OTLPGRPCFace: Sendable {
    private typealias Empty = Google_Protobuf_Empty
    private typealias Answer = Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse

    private let configuration: ReceiverConfiguration
    private let delivery: SpanDelivery
    private let budget: ReceiverBudget
    private let metrics = ReceiverMetrics("otlp_grpc")

    package init(_ configuration: ReceiverConfiguration, delivery: SpanDelivery, budget: ReceiverBudget) {
        self.configuration = configuration
        self.delivery = delivery
        self.budget = budget
    }

    /// The listener as a service; `onListening` is told the port.
    package func service(logger: Logger, onListening: @escaping @Sendable (Int) async -> Void) -> any Service {
        GRPCListener(face: self, configuration: configuration, onListening: onListening)
    }

    fileprivate func export(
        _ request: ServerRequest<Google_Protobuf_Empty>
    ) async throws -> ServerResponse<Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse> {
        let authorization = request.metadata[stringValues: "authorization"].first { _ in true }
        guard configuration.admits(authorization) else {
            throw RPCError(code: .unauthenticated, message: ReceiverFailure.unauthorized.message)
        }
        // All of a request are unknown fields of a message without any: its bytes as they came.
        let bytes = Array(request.message.unknownFields.data)
        let outcome = await budget.spend(bytes.count) { () -> Result<SpanDelivery.Report, MalformedInput> in
            do throws(MalformedInput) {
                return .success(await delivery.deliver(try OTLPTranslation.translate(bytes)))
            } catch {
                return .failure(error)
            }
        }
        guard let outcome else { throw Self.comeAgain(.resourceExhausted, "too many requests under way") }
        switch outcome {
        case .failure(let error):
            metrics.countFailure()
            throw RPCError(code: .invalidArgument, message: "malformed: \(error.reason)")
        case .success(let report):
            metrics.count(report)
            switch report.trouble {
            case .backPressure(let reason): throw Self.comeAgain(.resourceExhausted, reason)
            case .unavailable(let reason): throw Self.comeAgain(.unavailable, "no node answers: \(reason)")
            case nil: return ServerResponse(message: OTLPAnswer.response(report.refusals))
            }
        }
    }

    /// A status with `RetryInfo`, without which exporters take "resource exhausted" for final.
    private static func comeAgain(_ code: RPCError.Code, _ message: String) -> GoogleRPCStatus {
        GoogleRPCStatus(code: code, message: message, details: .retryInfo(.init(delay: .seconds(1))))
    }
}

/// The one method, by its bytes.
private struct TraceService: RegistrableRPCService {
    let face: OTLPGRPCFace

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        let method = MethodDescriptor(
            fullyQualifiedService: "opentelemetry.proto.collector.trace.v1.TraceService", method: "Export")
        router.registerHandler(
            forMethod: method, deserializer: ProtobufDeserializer<Google_Protobuf_Empty>(),
            serializer: ProtobufSerializer<Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse>()
        ) { request, _ in
            let answer = try await face.export(try await ServerRequest(stream: request))
            return StreamingServerResponse(single: answer)
        }
    }
}

/// The server with the life of a service.
private struct GRPCListener: Service {
    let face: OTLPGRPCFace
    let configuration: ReceiverConfiguration
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        let transport = HTTP2ServerTransport.Posix(
            address: address, transportSecurity: security,
            config: .defaults { config in
                config.compression.enabledAlgorithms = [.gzip, .deflate]
                config.rpc.maxRequestPayloadSize = ReceiverLimits.bodyBytes
                config.http2.maxConcurrentStreams = 256
                config.http2.targetWindowSize = 1 << 20
            })
        let server = GRPCServer(transport: transport, services: [TraceService(face: face)])
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.serve() }
                group.addTask {
                    // A failure to bind is thrown by `serve` too, with its reason.
                    guard let address = try? await transport.listeningAddress else { return }
                    await onListening(address.ipv4?.port ?? address.ipv6?.port ?? 0)
                }
                try await group.waitForAll()
            }
        } onGracefulShutdown: {
            server.beginGracefulShutdown()
        }
    }

    private var security: HTTP2ServerTransport.Posix.TransportSecurity {
        guard let tls = configuration.tls else { return .plaintext }
        return .tls(
            certificateChain: [.file(path: tls.certificateFile, format: .pem)],
            privateKey: .file(path: tls.keyFile, format: .pem))
    }

    private var address: GRPCNIOTransportHTTP2Posix.SocketAddress {
        if configuration.host.contains(":") { return .ipv6(host: configuration.host, port: configuration.port) }
        let host = configuration.host == "localhost" ? "127.0.0.1" : configuration.host
        return .ipv4(host: host, port: configuration.port)
    }
}
