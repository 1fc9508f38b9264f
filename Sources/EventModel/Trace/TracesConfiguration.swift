// A change of the trace collector's settings, as an event (policy_events.proto, `TracesConfigured`).

/// A change of the trace collector's settings; nil leaves a value as it is. The ranges are `TraceSettings.applying`'s.
public struct TracesConfiguration: Sendable, Hashable {
    /// How long a trace stays resident after its first record, in the log's time.
    public var timeToLive: Nanoseconds?
    public var spansPerTrace: UInt32?
    /// A trace is judged when nothing came for so long.
    public var settleAfter: Nanoseconds?
    /// The k of decision 20: a root is slow beyond median + k × max(1.4826 × MAD, 5 % of the median, floor).
    public var anomalyFactor: UInt32?
    public var anomalyFloor: Nanoseconds?
    /// Roots that a baseline needs.
    public var anomalySamples: UInt32?
    /// A root that takes longer is out of the ordinary whatever its operation does; zero: none.
    public var anomalyThreshold: Nanoseconds?
    /// Windows of five minutes.
    public var seriesWindows: UInt32?
    /// Bounds on distinct names.
    public var services: UInt32?
    public var peers: UInt32?
    public var operationsPerService: UInt32?
    /// Of the services named here. One without latency and availability takes the service's objective away.
    public var objectives: [NamedObjective]
    public var reason: String

    public init(objectives: [NamedObjective] = [], reason: String = "") {
        self.objectives = objectives
        self.reason = reason
    }

    /// Whether nothing is changed.
    public var isEmpty: Bool { self == TracesConfiguration(reason: reason) }
}

extension TracesConfiguration {
    /// The numbers of the fields that are numbers, and of those that are not.
    private static let objectivesNumber = 12
    private static let reasonNumber = 15

    init(facts: ArraySlice<UInt8>) throws(DecodeError) {
        self.init()
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1...11: take(field.number, try FieldRules.number(field, "number"))
            case Self.objectivesNumber:
                guard objectives.count < Limits.objectives else { throw DecodeError("too_many", "objectives") }
                objectives.append(try Self.objective(field, facts))
            case Self.reasonNumber: reason = try FieldRules.text(facts, field, "text", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
    }

    private mutating func take(_ number: Int, _ value: UInt64) {
        let duration = Nanoseconds(Int64(bitPattern: value))
        let small = UInt32(truncatingIfNeeded: value)
        switch number {
        case 1: timeToLive = duration
        case 2: spansPerTrace = small
        case 3: settleAfter = duration
        case 4: anomalyFactor = small
        case 5: anomalyFloor = duration
        case 6: anomalySamples = small
        case 7: anomalyThreshold = duration
        case 8: seriesWindows = small
        case 9: services = small
        case 10: peers = small
        default: operationsPerService = small
        }
    }

    /// What is out of range is for the collector to refuse: this validation is frozen with the log's format.
    private static func objective(
        _ field: WireField, _ facts: ArraySlice<UInt8>
    ) throws(DecodeError) -> NamedObjective {
        guard field.isBytes else { throw DecodeError("malformed", "objectives") }
        var result = NamedObjective(
            serviceName: "", objective: ServiceObjective(latency: .zero, availabilityBasisPoints: 0))
        var inner = WireCursor(field.range)
        while let field = inner.next(in: facts.span) {
            switch field.number {
            case 1: result.serviceName = try FieldRules.identifier(facts, field, "objectives.service_name")
            case 2: result.objective.latency = Nanoseconds(try FieldRules.signed(field, "objectives.latency_ns"))
            case 3:
                result.objective.availabilityBasisPoints = try FieldRules.small(
                    field, "objectives.availability_basis_points")
            default: break
            }
        }
        try FieldRules.finish(inner, "objectives")
        return result
    }

    func write(_ writer: inout WireWriter) {
        func duration(_ number: Int, _ value: Nanoseconds?) {
            writer.optionalField(number, value.map { UInt64(bitPattern: $0.rawValue) })
        }
        func small(_ number: Int, _ value: UInt32?) { writer.optionalField(number, value.map { UInt64($0) }) }
        duration(1, timeToLive)
        small(2, spansPerTrace)
        duration(3, settleAfter)
        small(4, anomalyFactor)
        duration(5, anomalyFloor)
        small(6, anomalySamples)
        duration(7, anomalyThreshold)
        small(8, seriesWindows)
        small(9, services)
        small(10, peers)
        small(11, operationsPerService)
        for named in objectives { writer.message(Self.objectivesNumber) { inner in named.write(&inner) } }
        writer.field(Self.reasonNumber, reason)
    }
}

extension NamedObjective {
    /// The fields of `ServiceObjective`.
    package func write(_ writer: inout WireWriter) {
        writer.field(1, serviceName)
        writer.field(2, objective.latency)
        writer.field(3, objective.availabilityBasisPoints)
    }
}
