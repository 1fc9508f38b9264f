// The gateway's figures, as swift-metrics sends them on.

import Metrics
import NIOCore

/// Counters and timers, made once.
final class GatewayFigures: Sendable {
    private let answers = (1...5).map {
        Counter(label: "lattice_gateway_requests_total", dimensions: [("class", "\($0)xx")])
    }
    private let cancelledRequests = Counter(
        label: "lattice_gateway_requests_total", dimensions: [("class", "cancelled")])
    private let durations = Timer(label: "lattice_gateway_request")
    private let retries = Counter(label: "lattice_gateway_retries_total")
    private let exhausted = Counter(label: "lattice_gateway_retry_budget_exhausted_total")
    private let failures = Counter(label: "lattice_gateway_attempts_failed_total")
    private let captures = Counter(label: "lattice_gateway_captures_total")
    private let capturesDropped = Counter(label: "lattice_gateway_captures_dropped_total")

    func ended(status: UInt, took: TimeAmount) {
        guard status >= 100 else { return cancelledRequests.increment() }
        // Whoever gets a status that nobody has defined takes it for a 500 (RFC 9110, 15).
        answers[min(5, Int(status) / 100) - 1].increment()
        durations.recordNanoseconds(took.nanoseconds)
    }

    func retried() { retries.increment() }
    func budgetExhausted() { exhausted.increment() }
    func attemptFailed() { failures.increment() }

    func refused(_ reason: String) {
        Counter(label: "lattice_gateway_refused_total", dimensions: [("reason", reason)]).increment()
    }

    func healthChanged(_ change: HealthChange) {
        if !change.isHealthy { Self.ejections(change.service).increment() }
    }

    /// Services come from the routes, so there are as many as somebody wrote down.
    private static func ejections(_ service: String) -> Counter {
        Counter(label: "lattice_gateway_ejections_total", dimensions: [("service", service)])
    }

    func captured(isKept: Bool) { (isKept ? captures : capturesDropped).increment() }

    // MARK: Gauges

    func ejected(_ service: String, _ count: Int) {
        // Zero is a figure too.
        Self.ejections(service).increment(by: 0)
        Gauge(label: "lattice_gateway_ejected_instances", dimensions: [("service", service)]).record(count)
    }

    func stale(_ service: String, _ isStale: Bool) {
        Gauge(label: "lattice_gateway_registry_stale", dimensions: [("service", service)]).record(isStale ? 1 : 0)
    }

    /// What a publisher could not hand on since the start.
    func dropped(_ what: String, _ count: UInt64) {
        Gauge(label: "lattice_gateway_events_lost", dimensions: [("kind", what)]).record(count)
    }
}
