// Spans into their canonical bytes (schemas/lattice/v1/trace_events.proto).

extension TraceSpan {
    /// The canonical bytes of the message `Span`: all but the service and the process, which belong to the batch.
    package var encoded: [UInt8] {
        var writer = WireWriter(capacity: 256)
        SpanEncoding.write(self, &writer)
        return writer.bytes
    }

    /// The fingerprint that decides between two spans of one key and as many tags (decision 18).
    package var contentHash: UInt64 { ContentHash.of(encoded) }
}

extension SpanTag {
    /// The tag as a field of another message.
    package func write(_ number: Int, _ writer: inout WireWriter) {
        writer.message(number) { inner in SpanEncoding.write(self, &inner) }
    }
}

/// Writes spans and their parts.
package enum SpanEncoding {
    /// A span without its service and process.
    package static func write(_ span: TraceSpan, _ writer: inout WireWriter) {
        writer.field(1, span.traceID.bytes)
        writer.field(2, span.spanID.bytes)
        if let parent = span.parentSpanID { writer.field(3, parent.bytes) }
        writer.field(4, span.operationName)
        writer.field(5, span.kind.rawValue)
        writer.field(6, span.status.rawValue)
        writer.fixedField(7, span.startTime)
        writer.fixedField(8, span.endTime)
        for tag in span.tags { writer.message(9) { inner in write(tag, &inner) } }
        for log in span.logs { writer.message(10) { inner in write(log, &inner) } }
        for link in span.links { writer.message(11) { inner in write(link, &inner) } }
        writer.field(12, span.peerService)
        writer.field(13, span.statusMessage)
        writer.field(14, span.traceState)
        writer.field(15, span.scopeName)
        writer.field(16, span.scopeVersion)
    }

    /// A tag; its value is written even where it is empty or zero, so that its type is known.
    package static func write(_ tag: SpanTag, _ writer: inout WireWriter) {
        writer.field(1, tag.key)
        switch tag.value {
        case .string(let value): writer.element(2, value)
        case .bool(let value): writer.optionalField(3, value ? 1 : 0)
        case .int(let value): writer.optionalField(4, UInt64(bitPattern: value))
        case .double(let value): writer.fixed64(5, value.bitPattern)
        case .bytes(let value): writer.message(6) { inner in inner.append(value) }
        case .json(let value): writer.element(7, value)
        }
    }

    private static func write(_ log: SpanLog, _ writer: inout WireWriter) {
        writer.fixedField(1, log.time)
        writer.field(2, log.name)
        for field in log.fields { writer.message(3) { inner in write(field, &inner) } }
    }

    private static func write(_ link: SpanLink, _ writer: inout WireWriter) {
        writer.field(1, link.traceID.bytes)
        writer.field(2, link.spanID.bytes)
        writer.field(3, link.traceState)
        for tag in link.tags { writer.message(4) { inner in write(tag, &inner) } }
    }
}
