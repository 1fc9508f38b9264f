// What is answered about traces, as values.

public import EventModel

/// A trace as the collector has assembled it.
public struct CollectedTrace: Sendable, Hashable {
    /// The position that this is true for.
    public var asOf: AsOf
    /// Which trace.
    public var traceID: TraceID
    /// By start, then by id.
    public var spans: [TraceSpan]
    /// The place of each span's parent among the spans; nil for roots, and where the parent is missing.
    public var parents: [Int?]
    /// The root that starts first; nil: none has come.
    public var rootIndex: Int?
    /// From the earliest start to the latest end.
    public var totalDuration: Nanoseconds
    /// How many services took part.
    public var serviceCount: Int
    /// Spans that did not end well.
    public var errorCount: Int
    /// One root and nothing missing.
    public var isComplete: Bool
}

/// One trace of a list.
public struct TraceSummary: Sendable, Hashable {
    /// Which trace.
    public var traceID: TraceID
    /// The service of its root, or of the span that starts first.
    public var serviceName: String
    /// The operation of the same span.
    public var operationName: String
    /// The earliest start.
    public var startTime: Timestamp
    /// To the latest end.
    public var duration: Nanoseconds
    /// How many spans have come.
    public var spanCount: Int
    /// How many of them did not end well.
    public var errorCount: Int
}

/// A part of a trace that its end waited for.
public struct CriticalSection: Sendable, Hashable {
    /// The span that ran.
    public var spanID: SpanID
    /// Its service.
    public var serviceName: String
    /// Its operation.
    public var operationName: String
    /// When the section begins.
    public var startTime: Timestamp
    /// How long it is.
    public var duration: Nanoseconds
}

/// How one service calls another.
public struct ServiceDependency: Sendable, Hashable {
    /// Who calls.
    public var parent: String
    /// Who is called.
    public var child: String
    /// Calls that were collected.
    public var callCount: UInt64
    /// How many of them did not end well.
    public var errorCount: UInt64
}

/// Reads answers (schemas/lattice/v1/trace_queries.proto); of each only what the values above hold.
enum TraceAnswerReader {
    /// One page of a trace.
    struct Page {
        var trace: CollectedTrace
        var nextPageToken = ""
    }

    /// A process of the spans of a page.
    private struct Resource {
        var service = ""
        var tags: [SpanTag] = []
    }

    static func trace(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> Page {
        let bytes = Array(payload)
        var page = Page(
            trace: CollectedTrace(
                asOf: AsOf(sequence: .origin, recordedAt: .zero), traceID: TraceID(high: 0, low: 0), spans: [],
                parents: [], rootIndex: nil, totalDuration: .zero, serviceCount: 0, errorCount: 0, isComplete: false))
        var resources: [Resource] = []
        var rows: [Range<Int>] = []
        try each(bytes, 0..<bytes.count) { field in
            switch field.number {
            case 1: page.trace.asOf = asOf(bytes, field)
            case 2: page.trace.traceID = TraceID(bytes: bytes[field.range]) ?? page.trace.traceID
            case 3: rows.append(field.range)
            case 4: resources.append(resource(bytes, field.range))
            case 6: page.nextPageToken = text(bytes, field)
            case 7: page.trace.rootIndex = Int(clamping: field.value)
            case 8: page.trace.totalDuration = Nanoseconds(field.signed)
            case 10: page.trace.serviceCount = Int(clamping: field.value)
            case 11: page.trace.errorCount = Int(clamping: field.value)
            case 15: page.trace.isComplete = field.value != 0
            default: break
            }
        }
        for row in rows {
            let (span, parent) = try collected(bytes, row, resources)
            page.trace.spans.append(span)
            page.trace.parents.append(parent)
        }
        return page
    }

    private static func collected(
        _ bytes: [UInt8], _ range: Range<Int>, _ resources: [Resource]
    ) throws(DecodeError) -> (span: TraceSpan, parent: Int?) {
        var body = range.lowerBound..<range.lowerBound
        var place = 0
        var parent: Int?
        try each(bytes, range) { field in
            switch field.number {
            case 1: body = field.range
            case 2: place = Int(clamping: field.value)
            case 3: parent = Int(clamping: field.value)
            default: break
            }
        }
        let resource = resources.indices.contains(place) ? resources[place] : Resource()
        let span = try SpanDecoding.checkedSpan(bytes, body, service: resource.service, resource: resource.tags)
        return (span, parent)
    }

    private static func resource(_ bytes: [UInt8], _ range: Range<Int>) -> Resource {
        var result = Resource()
        try? each(bytes, range) { field in
            if field.number == 1 { result.service = text(bytes, field) }
            if field.number == 2 { result.tags.append(SpanDecoding.tag(bytes, field.range)) }
        }
        return result
    }

    static func summaries(
        _ payload: ArraySlice<UInt8>
    ) throws(DecodeError) -> (traces: [TraceSummary], nextPageToken: String) {
        let bytes = Array(payload)
        var (traces, token): ([TraceSummary], String) = ([], "")
        try each(bytes, 0..<bytes.count) { field in
            if field.number == 2 { traces.append(summary(bytes, field.range)) }
            if field.number == 3 { token = text(bytes, field) }
        }
        return (traces, token)
    }

    private static func summary(_ bytes: [UInt8], _ range: Range<Int>) -> TraceSummary {
        var result = TraceSummary(
            traceID: TraceID(high: 0, low: 0), serviceName: "", operationName: "", startTime: .zero, duration: .zero,
            spanCount: 0, errorCount: 0)
        try? each(bytes, range) { field in
            switch field.number {
            case 1: result.traceID = TraceID(bytes: bytes[field.range]) ?? result.traceID
            case 3: result.serviceName = text(bytes, field)
            case 4: result.operationName = text(bytes, field)
            case 5: result.startTime = Timestamp(nanoseconds: field.signed)
            case 6: result.duration = Nanoseconds(field.signed)
            case 7: result.spanCount = Int(clamping: field.value)
            case 8: result.errorCount = Int(clamping: field.value)
            default: break
            }
        }
        return result
    }

    static func sections(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> [CriticalSection] {
        let bytes = Array(payload)
        var result: [CriticalSection] = []
        try each(bytes, 0..<bytes.count) { field in
            if field.number == 5 { result.append(section(bytes, field.range)) }
        }
        return result
    }

    private static func section(_ bytes: [UInt8], _ range: Range<Int>) -> CriticalSection {
        var result = CriticalSection(
            spanID: SpanID(0), serviceName: "", operationName: "", startTime: .zero, duration: .zero)
        try? each(bytes, range) { field in
            switch field.number {
            case 1: result.spanID = SpanID(bytes: bytes[field.range]) ?? result.spanID
            case 2: result.serviceName = text(bytes, field)
            case 3: result.operationName = text(bytes, field)
            case 4: result.startTime = Timestamp(nanoseconds: field.signed)
            case 5: result.duration = Nanoseconds(field.signed)
            default: break
            }
        }
        return result
    }

    static func dependencies(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> [ServiceDependency] {
        let bytes = Array(payload)
        var result: [ServiceDependency] = []
        try each(bytes, 0..<bytes.count) { field in
            if field.number == 2 { result.append(dependency(bytes, field.range)) }
        }
        return result
    }

    private static func dependency(_ bytes: [UInt8], _ range: Range<Int>) -> ServiceDependency {
        var result = ServiceDependency(parent: "", child: "", callCount: 0, errorCount: 0)
        try? each(bytes, range) { field in
            switch field.number {
            case 1: result.parent = text(bytes, field)
            case 2: result.child = text(bytes, field)
            case 3: result.callCount = field.value
            case 4: result.errorCount = field.value
            default: break
            }
        }
        return result
    }

    // MARK: Fields

    private static func each(
        _ bytes: [UInt8], _ range: Range<Int>, _ take: (WireField) -> Void
    ) throws(DecodeError) {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) { take(field) }
        if !cursor.isComplete { throw DecodeError("malformed", "answer") }
    }

    private static func text(_ bytes: [UInt8], _ field: WireField) -> String {
        String(decoding: bytes[field.range], as: UTF8.self)
    }

    private static func asOf(_ bytes: [UInt8], _ field: WireField) -> AsOf {
        var result = AsOf(sequence: .origin, recordedAt: .zero)
        try? each(bytes, field.range) { part in
            if part.number == 1 { result.sequence = SequenceNumber(part.value) }
            if part.number == 2 { result.recordedAt = Timestamp(nanoseconds: part.signed) }
        }
        return result
    }
}
