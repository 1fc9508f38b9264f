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
    public let count: Int
    /// The encoded batch.
    package let facts: ArraySlice<UInt8>

    /// Judges the whole batch by the frozen rules of the log's format.
    package init(facts: ArraySlice<UInt8>) throws(DecodeError) {
        let bytes = facts.span
        var service = ""
        var count = 0
        var resourceCount = 0
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: bytes) {
            switch field.number {
            case 1: service = try FieldRules.identifier(facts, field, "service_name")
            case 2:
                guard field.isBytes else { throw DecodeError("malformed", "spans") }
                guard count < Limits.eventsPerMessage else { throw DecodeError("too_many", "spans") }
                do {
                    try SpanRules.checkSpan(bytes, field.range)
                } catch {
                    throw DecodeError(error.code, "spans[\(count)].\(error.field)")
                }
                count += 1
            case 3: try SpanRules.checkTag(bytes, field, "resource", &resourceCount)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(service, "service_name")
        if count == 0 { throw DecodeError("missing", "spans") }
        self.serviceName = service
        self.count = count
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

    /// Walks over the spans; pass `facts.span` at each step.
    package func makeCursor() -> SpanCursor { SpanCursor(count: facts.count) }

    /// The spans as values.
    public var spans: [TraceSpan] { SpanDecoding.spans(self) }

    /// One of the spans as a value; nil where there are fewer.
    package func span(at index: Int) -> TraceSpan? { SpanDecoding.span(self, at: index) }
}

/// What the machines look at in one span, its texts still in the batch.
package struct SpanView: Sendable {
    package var traceID = TraceID(high: 0, low: 0)
    package var spanID = SpanID(0)
    /// Zero: a root.
    package var parentID = SpanID(0)
    package var operation = 0..<0
    package var peer = 0..<0
    /// Nil: not said, which means internal.
    package var kind = SpanKind.internal
    package var status: SpanStatus?
    package var start: Int64 = 0
    package var end: Int64 = 0
    package var tagCount = 0
    /// The whole message.
    package var body = 0..<0

    /// The id with the half.
    package var key: SpanKey { SpanKey(spanID: spanID, isServerHalf: kind == .server) }
}

/// Walks over an encoded batch of spans that was judged before.
package struct SpanCursor: Sendable {
    private var cursor: WireCursor

    init(count: Int) { cursor = WireCursor(0..<count) }

    /// The next span; nil at the end.
    package mutating func next(in bytes: borrowing Span<UInt8>) -> SpanView? {
        while let field = cursor.next(in: bytes) {
            if field.number == 2 && field.isBytes { return SpanCursor.read(bytes, field.range) }
        }
        return nil
    }

    /// Reads the fields of one span; fields that are not judged are passed over.
    package static func read(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> SpanView {
        var view = SpanView()
        view.body = range
        var inner = WireCursor(range)
        while let field = inner.next(in: bytes) {
            switch field.number {
            case 1: view.traceID = TraceID(high: word(bytes, field.start), low: word(bytes, field.start + 8))
            case 2: view.spanID = SpanID(word(bytes, field.start))
            case 3: view.parentID = SpanID(field.range.isEmpty ? 0 : word(bytes, field.start))
            case 4: view.operation = field.range
            case 5: view.kind = SpanKind(rawValue: UInt32(truncatingIfNeeded: field.value)) ?? .internal
            case 6: view.status = SpanStatus(rawValue: UInt32(truncatingIfNeeded: field.value))
            case 7: view.start = field.signed
            case 8: view.end = field.signed
            case 9: view.tagCount += 1
            case 12: view.peer = field.range
            default: break
            }
        }
        return view
    }

    @inline(__always)
    private static func word(_ bytes: borrowing Span<UInt8>, _ start: Int) -> UInt64 {
        var result: UInt64 = 0
        for index in 0..<8 { result = result << 8 | UInt64(bytes[start + index]) }
        return result
    }
}

extension SpanView {
    /// The key and the text of a tag; the text is empty where the value is none.
    package static func tag(
        in bytes: borrowing Span<UInt8>, _ range: Range<Int>
    ) -> (key: Range<Int>, text: Range<Int>) {
        var (key, text) = (0..<0, 0..<0)
        var inner = WireCursor(range)
        while let part = inner.next(in: bytes) {
            if part.number == 1 { key = part.range }
            if part.number >= 2 && part.number <= 7 { text = part.number == 2 ? part.range : 0..<0 }
        }
        return (key, text)
    }
}
