// Questions about traces, and how they are read from the wire (trace_queries.proto).

/// A tag that a span, or its process, must have; the value as text.
public struct TagFilter: Sendable, Hashable {
    public var key: String
    public var value: String
    /// Whatever its value; an event of the span with this name is as good.
    public var anyValue: Bool

    public init(key: String, value: String, anyValue: Bool = false) {
        self.key = key
        self.value = value
        self.anyValue = anyValue
    }
}

/// An objective with the service that it is for.
public struct NamedObjective: Sendable, Hashable {
    public var serviceName: String
    public var objective: ServiceObjective

    public init(serviceName: String, objective: ServiceObjective) {
        self.serviceName = serviceName
        self.objective = objective
    }
}

/// A question about traces: the fields of `TraceQuery`; each query reads those it needs.
public struct TraceQuery: Sendable, Hashable {
    /// Nil: not said.
    public var traceID: TraceID?
    /// `span` and `children`: which one.
    public var spanID: SpanID?
    public var serviceName = ""
    public var operationName = ""
    /// All of them on one span. At most 16.
    public var tags: [TagFilter] = []
    /// Of the whole trace.
    public var minimumDuration = Nanoseconds.zero
    /// Zero: none.
    public var maximumDuration = Nanoseconds.zero
    /// Only traces with a span that failed, or only those without; nil: both.
    public var error: Bool?
    /// Both included; zero: no bound.
    public var startTimeMinimum = Timestamp.zero
    public var startTimeMaximum = Timestamp.zero
    /// 0: the query's own default.
    public var limit: UInt32 = 0
    /// What the page before gave; empty: the first page.
    public var pageToken = ""
    public var position = ReadPosition.now
    /// Times as they were sent.
    public var raw = false
    /// Larger corrections are not made; nil: one second.
    public var maximumClockSkew: Nanoseconds?
    /// 0 to 10,000; empty: the median, 90, 95 and 99 %.
    public var percentileBasisPoints: [UInt32] = []
    /// `slow_spans`: longer than this.
    public var threshold = Nanoseconds.zero
    /// `compare`: held against `traceID`.
    public var otherTraceID: TraceID?
    /// `slo`; empty: those that policy events set, at first the contracts of the specification.
    public var objectives: [NamedObjective] = []
    /// `flamegraph`: `folded`, which is the default, or `json`.
    public var format = ""
    /// `search`: what the span of service, operation and tags is; nil: any.
    public var spanKind: SpanKind?
    /// `search`: whom that span calls.
    public var peerName = ""
    /// `search`: of that span.
    public var minimumSpanDuration = Nanoseconds.zero
    /// Zero: none.
    public var maximumSpanDuration = Nanoseconds.zero

    public init() {}
}

/// The names of the queries about traces: the last token of the subject.
public enum TraceQueryName: String, Sendable, Hashable, CaseIterable {
    case trace
    case span
    case children
    case search
    case services
    case operations
    case latencyBreakdown = "latency_breakdown"
    case criticalPath = "critical_path"
    case anomalies
    case percentiles
    case incomplete
    case dependencies
    case slowSpans = "slow_spans"
    case slo
    case flamegraph
    case compare
    case stats
}

extension TraceQuery {
    /// Reads a request; an empty payload is a request without fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> TraceQuery {
        var query = TraceQuery()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            try query.read(field, payload)
        }
        try FieldRules.finish(cursor, "request")
        return query
    }

    private mutating func read(_ field: WireField, _ payload: ArraySlice<UInt8>) throws(DecodeError) {
        switch field.number {
        case 1: traceID = try Self.traceID(payload, field, "trace_id")
        case 2: spanID = try Self.spanID(payload, field)
        case 3: serviceName = try FieldRules.identifier(payload, field, "service_name")
        case 4: operationName = try FieldRules.identifier(payload, field, "operation_name")
        case 5: tags.append(try Self.tag(field, payload, tags.count))
        case 6: minimumDuration = try Self.duration(field, "min_duration_ns")
        case 7: maximumDuration = try Self.duration(field, "max_duration_ns")
        case 8: error = try FieldRules.number(field, "error") != 0
        case 9: startTimeMinimum = try FieldRules.time(field, "start_time_min")
        case 10: startTimeMaximum = try FieldRules.time(field, "start_time_max")
        case 11: limit = try FieldRules.small(field, "limit")
        case 12: pageToken = try FieldRules.identifier(payload, field, "page_token")
        case 13...15: try position.read(field)
        default: try readMore(field, payload)
        }
    }

    private mutating func readMore(_ field: WireField, _ payload: ArraySlice<UInt8>) throws(DecodeError) {
        switch field.number {
        case 16: raw = try FieldRules.number(field, "raw") != 0
        case 17: maximumClockSkew = try Self.duration(field, "max_clock_skew_ns")
        case 18: try readPercentiles(field, payload)
        case 19: threshold = try Self.duration(field, "threshold_ns")
        case 20: otherTraceID = try Self.traceID(payload, field, "other_trace_id")
        case 21: objectives.append(try Self.objective(field, payload, objectives.count))
        case 22: format = try FieldRules.identifier(payload, field, "format")
        case 23: spanKind = try Self.kind(field)
        case 24: peerName = try FieldRules.identifier(payload, field, "peer_name")
        case 25: minimumSpanDuration = try Self.duration(field, "min_span_duration_ns")
        case 26: maximumSpanDuration = try Self.duration(field, "max_span_duration_ns")
        default: break
        }
    }

    private static func traceID(
        _ payload: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString
    ) throws(DecodeError) -> TraceID? {
        guard field.isBytes, field.range.isEmpty || field.range.count == 16 else {
            throw DecodeError("malformed", "\(name)")
        }
        let offset = payload.startIndex
        let id = TraceID(bytes: payload[offset + field.start..<offset + field.end])
        return id.flatMap { $0.isValid ? $0 : nil }
    }

    private static func spanID(_ payload: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> SpanID? {
        guard field.isBytes, field.range.isEmpty || field.range.count == 8 else {
            throw DecodeError("malformed", "span_id")
        }
        let offset = payload.startIndex
        let id = SpanID(bytes: payload[offset + field.start..<offset + field.end])
        return id.flatMap { $0.isValid ? $0 : nil }
    }

    /// Nil: unspecified.
    private static func kind(_ field: WireField) throws(DecodeError) -> SpanKind? {
        let value = try FieldRules.small(field, "span_kind")
        if value == 0 { return nil }
        guard let kind = SpanKind(rawValue: value) else { throw DecodeError("unknown_enum_value", "span_kind") }
        return kind
    }

    private static func duration(_ field: WireField, _ name: StaticString) throws(DecodeError) -> Nanoseconds {
        let value = try FieldRules.signed(field, name)
        guard value >= 0 else { throw DecodeError("out_of_range", "\(name)") }
        return Nanoseconds(value)
    }

    private static func tag(
        _ field: WireField, _ payload: ArraySlice<UInt8>, _ count: Int
    ) throws(DecodeError) -> TagFilter {
        guard field.isBytes else { throw DecodeError("malformed", "tags") }
        guard count < Limits.tagFilters else { throw DecodeError("too_many", "tags") }
        var filter = TagFilter(key: "", value: "")
        var inner = WireCursor(field.range)
        while let field = inner.next(in: payload.span) {
            switch field.number {
            case 1: filter.key = try FieldRules.identifier(payload, field, "tags.key")
            case 2: filter.value = try FieldRules.text(payload, field, "tags.value", limit: Limits.valueBytes)
            case 3: filter.anyValue = try FieldRules.number(field, "tags.any_value") != 0
            default: break
            }
        }
        try FieldRules.finish(inner, "tags")
        return filter
    }

    private static func objective(
        _ field: WireField, _ payload: ArraySlice<UInt8>, _ count: Int
    ) throws(DecodeError) -> NamedObjective {
        guard field.isBytes else { throw DecodeError("malformed", "objectives") }
        guard count < Limits.objectives else { throw DecodeError("too_many", "objectives") }
        var result = NamedObjective(
            serviceName: "", objective: ServiceObjective(latency: .zero, availabilityBasisPoints: 0))
        var inner = WireCursor(field.range)
        while let field = inner.next(in: payload.span) {
            switch field.number {
            case 1: result.serviceName = try FieldRules.identifier(payload, field, "objectives.service_name")
            case 2: result.objective.latency = try duration(field, "objectives.latency_ns")
            case 3:
                let points = try FieldRules.small(field, "objectives.availability_basis_points")
                guard points <= 10_000 else { throw DecodeError("out_of_range", "objectives") }
                result.objective.availabilityBasisPoints = points
            default: break
            }
        }
        try FieldRules.finish(inner, "objectives")
        return result
    }

    /// Packed, as proto3 writes them, or one by one.
    private mutating func readPercentiles(
        _ field: WireField, _ payload: ArraySlice<UInt8>
    ) throws(DecodeError) {
        if !field.isBytes { return try appendPercentile(try FieldRules.number(field, "percentile_basis_points")) }
        var (value, shift): (UInt64, UInt64) = (0, 0)
        let offset = payload.startIndex
        for byte in payload[offset + field.start..<offset + field.end] {
            value |= UInt64(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 {
                try appendPercentile(value)
                (value, shift) = (0, 0)
            } else if shift > 63 {
                throw DecodeError("malformed", "percentile_basis_points")
            }
        }
        if shift > 0 { throw DecodeError("malformed", "percentile_basis_points") }
    }

    private mutating func appendPercentile(_ value: UInt64) throws(DecodeError) {
        guard percentileBasisPoints.count < Limits.objectives else {
            throw DecodeError("too_many", "percentile_basis_points")
        }
        guard value <= 10_000 else { throw DecodeError("out_of_range", "percentile_basis_points") }
        percentileBasisPoints.append(UInt32(value))
    }

    /// The request as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, traceID?.bytes ?? [])
        writer.field(2, spanID?.bytes ?? [])
        writer.field(3, serviceName)
        writer.field(4, operationName)
        for tag in tags {
            writer.message(5) { inner in
                inner.field(1, tag.key)
                inner.field(2, tag.value)
                inner.field(3, tag.anyValue)
            }
        }
        writer.field(6, minimumDuration)
        writer.field(7, maximumDuration)
        writer.optionalField(8, error.map { $0 ? 1 : 0 })
        writer.field(9, startTimeMinimum)
        writer.field(10, startTimeMaximum)
        writer.field(11, limit)
        writer.field(12, pageToken)
        position.write(&writer)
        writer.field(16, raw)
        writer.optionalField(17, maximumClockSkew.map { UInt64(bitPattern: $0.rawValue) })
        writer.packed(18, percentileBasisPoints)
        writer.field(19, threshold)
        writer.field(20, otherTraceID?.bytes ?? [])
        for named in objectives { writer.message(21) { inner in named.write(&inner) } }
        writer.field(22, format)
        writer.field(23, spanKind?.rawValue ?? 0)
        writer.field(24, peerName)
        writer.field(25, minimumSpanDuration)
        writer.field(26, maximumSpanDuration)
        return writer.bytes
    }
}
