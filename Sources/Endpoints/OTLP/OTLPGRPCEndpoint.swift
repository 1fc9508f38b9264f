// OTLP over gRPC: `TraceService.Export`. Source of the rules: opentelemetry.io/docs/specs/otlp, OTLP/gRPC.

import EventModel
import FoundationEssentials
package import Logging
import NIOCore
package import ServiceLifecycle
import SwiftProtobuf
import TraceFormats

/// Takes spans from OpenTelemetry's exporters and collectors, over HTTP/2.
package struct OTLPGRPCEndpoint: Sendable {
    private static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    private let configuration: ReceiverConfiguration
    private let delivery: SpanDelivery
    private let budget: ReceiverBudget
    private let metrics = ReceiverMetrics("otlp_grpc")

    package init(_ configuration: ReceiverConfiguration, delivery: SpanDelivery, budget: ReceiverBudget) {
        self.configuration = configuration
        self.delivery = delivery
        self.budget = budget
    }

    /// The listener as a service; `onListening` is told the port. Throws what TLS refuses.
    package func service(logger: Logger, onListening: @escaping @Sendable (Int) async -> Void) throws -> any Service {
        let method = GRPCMethod(
            path: Self.path, admits: { configuration.admits($0) }, messageBytes: ReceiverLimits.bodyBytes,
            budget: budget, call: { await export($0) }, onRefusal: { metrics.countFailure() })
        return try GRPCServer(method, configuration, onListening: onListening)
    }

    private func export(_ message: GRPCMessage) async -> GRPCAnswer {
        do throws(GRPCStatus) {
            guard let encoding = message.encoding else { return .message(try await answer(message.bytes)) }
            let packed = ByteBuffer(bytes: message.bytes)
            let outcome: Result<[UInt8], GRPCStatus>
            do throws(ReceiverFailure) {
                outcome = try await budget.unpack(packed, encoding: encoding.rawValue) { bytes in
                    do throws(GRPCStatus) {
                        return .success(try await answer(bytes))
                    } catch {
                        return .failure(error)
                    }
                }
            } catch {
                throw Self.status(error, encoding)
            }
            return .message(try outcome.get())
        } catch {
            if error.retryAfter == nil { metrics.countFailure() }
            return .status(error)
        }
    }

    /// A packing that is none is no fault of OTLP's; gRPC has a status for it.
    private static func status(_ failure: ReceiverFailure, _ encoding: GRPCEncoding) -> GRPCStatus {
        guard case .malformed = failure else { return GRPCStatus(failure) }
        return GRPCStatus(.internalError, "the message is not \(encoding.rawValue), as grpc-encoding says")
    }

    private func answer(_ bytes: [UInt8]) async throws(GRPCStatus) -> [UInt8] {
        let translation: SpanTranslation
        do throws(MalformedInput) {
            translation = try OTLPTranslation.translate(bytes)
        } catch {
            throw GRPCStatus(.invalidArgument, "the message is no ExportTraceServiceRequest of OTLP: \(error.reason)")
        }
        let report = await delivery.deliver(translation)
        metrics.count(report)
        if let trouble = report.trouble { throw GRPCStatus(ReceiverFailure(trouble)) }
        return OTLPResponse.success(report.refusals, false)
    }
}
