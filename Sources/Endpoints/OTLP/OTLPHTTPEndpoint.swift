// OTLP over HTTP: `POST /v1/traces` in protobuf and JSON. Source of the rules: opentelemetry.io/docs/specs/otlp,
// OTLP/HTTP.

import EventModel
import FoundationEssentials
package import Logging
package import ServiceLifecycle
import SwiftProtobuf
import TraceFormats

/// Takes spans from OpenTelemetry's exporters and collectors.
package struct OTLPHTTPEndpoint: Sendable {
    private static let protobuf = "application/x-protobuf"
    private static let json = "application/json"
    private let listener: ReceiverListener
    private let delivery: SpanDelivery
    private let metrics = ReceiverMetrics("otlp_http")

    package init(_ configuration: ReceiverConfiguration, delivery: SpanDelivery, budget: ReceiverBudget) {
        listener = ReceiverListener(configuration: configuration, budget: budget)
        self.delivery = delivery
    }

    /// The listener as a service; `onListening` is told the port. Throws what TLS refuses.
    package func service(logger: Logger, onListening: @escaping @Sendable (Int) async -> Void) throws -> any Service {
        try listener.service(
            path: "v1/traces", logger: logger, failure: { failure($0, $1) }, onListening: onListening,
            handler: { type, body in await answer(type, body) })
    }

    private func answer(_ type: String, _ body: [UInt8]) async -> ReceiverAnswer {
        do throws(MalformedInput) {
            guard type == Self.protobuf || type == Self.json else {
                return failure(.unsupportedType("Content-Type is \(Self.protobuf) or \(Self.json)"), type)
            }
            let request = type == Self.json ? try OTLPJSON.protobuf(body) : body
            let report = await delivery.deliver(try OTLPTranslation.translate(request))
            metrics.count(report)
            if let trouble = report.trouble { return failure(ReceiverFailure(trouble), type) }
            return ReceiverAnswer(
                status: 200, type: type, body: OTLPResponse.success(report.refusals, type == Self.json))
        } catch {
            return failure(.malformed("malformed: \(error.reason)"), type)
        }
    }

    /// A failure as `google.rpc.Status`, in the content type of the request.
    private func failure(_ failure: ReceiverFailure, _ type: String) -> ReceiverAnswer {
        if failure.status < 429 { metrics.countFailure() }
        let isJSON = type != Self.protobuf
        return ReceiverAnswer(
            status: failure.status, type: isJSON ? Self.json : Self.protobuf,
            body: OTLPAnswer.status(failure, isJSON), retryAfter: failure.retryAfter)
    }
}

/// The bodies that OTLP answers with.
enum OTLPAnswer {
    /// `google.rpc.Status`: code and message.
    static func status(_ failure: ReceiverFailure, _ isJSON: Bool) -> [UInt8] {
        if isJSON {
            return Array(#"{"code":\#(failure.code.rawValue),"message":\#(JSONWriting.quoted(failure.message))}"#.utf8)
        }
        var writer = WireWriter()
        writer.field(1, failure.code.rawValue)
        writer.field(2, failure.message)
        return writer.bytes
    }
}
