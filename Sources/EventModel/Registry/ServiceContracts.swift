// The contracts that the specification adds for each service: objectives and required fields.

/// What a service promises.
public struct ServiceObjective: Sendable, Hashable {
    /// A request slower than this does not comply.
    public var latency: Nanoseconds
    /// The share of requests that must end well, in basis points.
    public var availabilityBasisPoints: UInt32

    public init(latency: Nanoseconds, availabilityBasisPoints: UInt32) {
        self.latency = latency
        self.availabilityBasisPoints = availabilityBasisPoints
    }

    /// Milliseconds, as the specification writes it.
    public var latencyMs: Double { Double(latency.rawValue) / 1_000_000 }
    /// 0 to 1, as the specification writes it.
    public var availability: Double { Double(availabilityBasisPoints) / 10_000 }
}

/// The objectives of LatticeForge's own services, by name.
public let SERVICE_SLO: [String: ServiceObjective] = [
    "discovery": ServiceObjective(latency: .milliseconds(15), availabilityBasisPoints: 9_999),
    "mirror": ServiceObjective(latency: .milliseconds(5), availabilityBasisPoints: 9_990),
    "tracing": ServiceObjective(latency: .milliseconds(25), availabilityBasisPoints: 9_990),
]

/// What `spanFromDict` demands of a span.
public let REQUIRED_SPAN_FIELDS: Set<String> = [
    "span_id", "trace_id", "service_name", "operation_name", "start_time", "end_time", "status",
]
