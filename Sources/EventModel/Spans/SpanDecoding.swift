// Spans of a judged batch as values, for answers and views.

/// Builds values from a batch.
package enum SpanDecoding {
    /// A message `Span` from somewhere else than a batch: an answer, say.
    ///
    /// - Throws: what the rules of the log's format say of it.
    package static func checkedSpan(
        _ bytes: [UInt8], _ range: Range<Int>, service: String, resource: [SpanTag]
    ) throws(DecodeError) -> TraceSpan {
        try span(bytes, SpanView(bytes.span, range), service, resource)
    }

    static func spans(_ batch: SpanBatch) -> [TraceSpan] {
        let bytes = Array(batch.facts)
        let resource = resource(bytes)
        return batch.views.map { span(bytes, $0, batch.serviceName, resource) }
    }

    static func span(_ batch: SpanBatch, at index: Int) -> TraceSpan? {
        guard batch.views.indices.contains(index) else { return nil }
        let bytes = Array(batch.facts)
        return span(bytes, batch.views[index], batch.serviceName, resource(bytes))
    }

    /// What the process says of itself.
    private static func resource(_ bytes: [UInt8]) -> [SpanTag] {
        var resource: [SpanTag] = []
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 3 { resource.append(tag(bytes, field.range)) }
        }
        return resource
    }

    private static func span(
        _ bytes: [UInt8], _ view: SpanView, _ service: String, _ resource: [SpanTag]
    ) -> TraceSpan {
        var result = TraceSpan(
            spanID: view.spanID, traceID: view.traceID, parentSpanID: view.parentID.isValid ? view.parentID : nil,
            serviceName: service, operationName: text(bytes, view.operation), kind: view.kind,
            status: view.status ?? .ok, startTime: Timestamp(nanoseconds: view.start),
            endTime: Timestamp(nanoseconds: view.end), resource: resource, peerService: text(bytes, view.peer))
        var cursor = WireCursor(view.body)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 9: result.tags.append(tag(bytes, field.range))
            case 10: result.logs.append(log(bytes, field.range))
            case 11: result.links.append(link(bytes, field.range))
            case 13: result.statusMessage = text(bytes, field.range)
            case 14: result.traceState = text(bytes, field.range)
            case 15: result.scopeName = text(bytes, field.range)
            case 16: result.scopeVersion = text(bytes, field.range)
            default: break
            }
        }
        return result
    }

    /// A message `SpanTag`; what is not one reads as nothing.
    package static func tag(_ bytes: [UInt8], _ range: Range<Int>) -> SpanTag {
        var result = SpanTag("", "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.key = text(bytes, field.range)
            case 2: result.value = .string(text(bytes, field.range))
            case 3: result.value = .bool(field.value != 0)
            case 4: result.value = .int(field.signed)
            case 5: result.value = .double(Double(bitPattern: field.value))
            case 6: result.value = .bytes(Array(bytes[field.range]))
            case 7: result.value = .json(text(bytes, field.range))
            default: break
            }
        }
        return result
    }

    private static func log(_ bytes: [UInt8], _ range: Range<Int>) -> SpanLog {
        var result = SpanLog(time: .zero)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.time = Timestamp(nanoseconds: field.signed)
            case 2: result.name = text(bytes, field.range)
            case 3: result.fields.append(tag(bytes, field.range))
            default: break
            }
        }
        return result
    }

    private static func link(_ bytes: [UInt8], _ range: Range<Int>) -> SpanLink {
        var result = SpanLink(traceID: TraceID(high: 0, low: 0), spanID: SpanID(0))
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.traceID = TraceID(bytes: bytes[field.range]) ?? result.traceID
            case 2: result.spanID = SpanID(bytes: bytes[field.range]) ?? result.spanID
            case 3: result.traceState = text(bytes, field.range)
            case 4: result.tags.append(tag(bytes, field.range))
            default: break
            }
        }
        return result
    }

    private static func text(_ bytes: [UInt8], _ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }
}
