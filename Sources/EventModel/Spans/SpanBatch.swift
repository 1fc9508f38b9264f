// Spans of one service as they came, left in their encoding and read in place (schemas/lattice/v1/trace_events.proto).

/// The facts of tracing.
public enum TraceEvent: Sendable, Hashable {
    case spansReceived(SpanBatch)

    /// Whose facts these are; equals the subject's token.
    public var serviceName: String {
        switch self {
        case .spansReceived(let batch): batch.serviceName
        }
    }

    /// How many events the message carries.
    public var count: Int {
        switch self {
        case .spansReceived(let batch): batch.count
        }
    }
}

/// A batch of spans; strings are located, not built.
public struct SpanBatch: Sendable, Hashable {
    public let serviceName: String
    /// How many spans there are.
    public var count: Int { views.count }
    /// What the machines look at in each span.
    package let views: [SpanView]
    /// The host that the process says it runs on; empty: it does not say.
    package let host: Range<Int>
    /// The encoded batch.
    package let facts: ArraySlice<UInt8>

    /// Judges the whole batch by the frozen rules of the log's format.
    package init(facts: ArraySlice<UInt8>) throws(DecodeError) {
        let bytes = facts.span
        var service = ""
        var views: [SpanView] = []
        var resourceCount = 0
        var names = SpanTagNames()
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: bytes) {
            switch field.number {
            case 1: service = try FieldRules.identifier(facts, field, "service_name")
            case 2:
                guard field.isBytes else { throw DecodeError("malformed", "spans") }
                guard views.count < Limits.eventsPerMessage else { throw DecodeError("too_many", "spans") }
                do {
                    views.append(try SpanView(bytes, field.range))
                } catch {
                    throw DecodeError(error.code, "spans[\(views.count)].\(error.field)")
                }
            case 3:
                try SpanRules.checkTag(bytes, field, "resource", &resourceCount)
                names.read(bytes, field.range)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(service, "service_name")
        if views.isEmpty { throw DecodeError("missing", "spans") }
        self.serviceName = service
        self.views = views
        host = names.host
        self.facts = facts
    }

    /// A batch of values. Nil where they break the rules: other services, too many tags, too long texts.
    package init?(serviceName: String, spans: [TraceSpan]) {
        var writer = WireWriter(capacity: 64 + spans.count * 256)
        writer.field(1, serviceName)
        for span in spans { writer.message(2) { inner in SpanEncoding.write(span, &inner) } }
        for tag in spans.first?.resource ?? [] { writer.message(3) { inner in SpanEncoding.write(tag, &inner) } }
        guard let batch = try? SpanBatch(facts: writer.bytes[...]) else { return nil }
        self = batch
    }

    /// The spans as values.
    public var spans: [TraceSpan] { SpanDecoding.spans(self) }

    /// One of the spans as a value; nil where there are fewer.
    package func span(at index: Int) -> TraceSpan? { SpanDecoding.span(self, at: index) }

    /// Batches with the same bytes are the same.
    public static func == (left: Self, right: Self) -> Bool { left.facts == right.facts }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) { hasher.combine(facts) }
}
