// Zipkin's collector: `POST /api/v2/spans` in JSON. Source of the rules: zipkin.io/zipkin-api, zipkin2-api.yaml.

import EventModel
import HTTPTypes
package import Listeners
package import Logging
package import ServiceLifecycle
import TraceFormats

/// Takes spans from Zipkin's reporters.
package struct ZipkinEndpoint: Sendable {
    private let listener: ReceiverListener
    private let delivery: SpanDelivery
    private let metrics = ReceiverMetrics("zipkin")

    package init(_ configuration: ReceiverConfiguration, delivery: SpanDelivery, budget: ReceiverBudget) {
        listener = ReceiverListener(configuration: configuration, budget: budget)
        self.delivery = delivery
    }

    /// The listener as a service; `onListening` is told the port. Throws what TLS refuses.
    ///
    /// - Parameter queries: what the same listener answers to readers of traces.
    package func service(
        logger: Logger, queries: Routes? = nil, onListening: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        try listener.service(
            path: "api/v2/spans", logger: logger, failure: { failure, _ in self.failure(failure) }, routes: queries,
            onListening: onListening,
            handler: { type, body in await answer(type, body) })
    }

    /// 202 once the spans are durable. Zipkin knows no partial success: what was refused is told in a header, and 400
    /// says that nothing was taken.
    private func answer(_ type: String, _ body: [UInt8]) async -> ReceiverAnswer {
        guard type == "application/json" else { return failure(.unsupportedType("Content-Type is application/json")) }
        do throws(MalformedInput) {
            let report = await delivery.deliver(try ZipkinSpans.translate(body))
            metrics.count(report)
            if let trouble = report.trouble { return failure(ReceiverFailure(trouble)) }
            if report.refusals.isEmpty { return ReceiverAnswer(status: 202) }
            if report.acceptedCount == 0 { return failure(.malformed(report.refusals.summary)) }
            let summary = report.refusals.summary.replacing("×", with: "x")
            return ReceiverAnswer(status: 202, headers: [("lattice-refused", summary)])
        } catch {
            return failure(.malformed(error.reason))
        }
    }

    private func failure(_ failure: ReceiverFailure) -> ReceiverAnswer {
        if failure.status < 429 { metrics.countFailure() }
        return ReceiverAnswer(
            status: failure.status, type: "text/plain; charset=utf-8", body: Array((failure.message + "\n").utf8),
            retryAfter: failure.retryAfter)
    }
}
