// One OTLP span after the other into our encoding, fields in the canonical order (schemas/lattice/v1/trace_events.proto).

import EventModel
import MeshRules

/// Writes into one buffer that is used again and again.
struct OTLPSpanWriter {
    private(set) var body = WireWriter(capacity: 4_096)
    /// What was written last keeps the rules of the log's format for certain: all its texts are short and of ASCII. False
    /// says nothing.
    private(set) var isPlain = false
    private var cutCount: UInt64 = 0
    /// Where the attributes of the present span lie.
    private var attributes: [Range<Int>] = []

    mutating func begin() {
        body.removeAll()
        cutCount = 0
    }

    mutating func text(_ number: Int, _ text: String) { body.field(number, text) }

    /// Where the parts of a span lie.
    private struct Located {
        var traceID = 0..<0
        var spanID = 0..<0
        var parentID = 0..<0
        var state = 0..<0
        var name = 0..<0
        var statusMessage = 0..<0
        var kind: UInt64 = 0
        var status: UInt64 = 0
        var start: UInt64 = 0
        var end: UInt64 = 0
        var droppedTags: UInt64 = 0
        var droppedEvents: UInt64 = 0
        var droppedLinks: UInt64 = 0
        var hasEvents = false
        var hasLinks = false
    }

    /// Writes a span; what was in the buffer before is gone.
    mutating func span(_ bytes: [UInt8], _ range: Range<Int>, _ scope: OTLPScope) throws(OTLPProblem) {
        let span = try locate(bytes, range)
        try Self.check(bytes, span)
        begin()
        isPlain = isPlain(bytes.span, span, scope)
        body.element(1, bytes[span.traceID])
        body.element(2, bytes[span.spanID])
        if !Self.isZero(bytes, span.parentID) { body.element(3, bytes[span.parentID]) }
        let name = cut(bytes, span.name, Limits.identifierBytes)
        // "Empty value is equivalent to an unknown span name" (trace.proto).
        if name.isEmpty { body.field(4, "unknown") } else { body.element(4, bytes[name]) }
        body.field(5, Self.kind(span.kind))
        let isError = span.status == 2
        body.field(6, isError ? SpanStatus.error.rawValue : SpanStatus.ok.rawValue)
        body.fixed64(7, span.start)
        body.fixed64(8, span.end)
        for index in attributes.indices { try tag(9, bytes, attributes[index]) }
        body.append(scope.tags)
        // Not said and said to be well are one here; OpenTelemetry's tag for formats without its status tells them apart.
        if span.status == 1 { note(9, "otel.status_code", Array("OK".utf8)[...]) }
        note(9, "otel.dropped_attributes_count", span.droppedTags)
        note(9, "otel.dropped_events_count", span.droppedEvents)
        note(9, "otel.dropped_links_count", span.droppedLinks)
        if span.hasEvents { try events(bytes, range) }
        if span.hasLinks { try links(bytes, range) }
        body.field(13, bytes[cut(bytes, span.statusMessage, Limits.valueBytes)])
        body.field(14, bytes[span.state])
        body.field(15, bytes[cut(bytes, scope.name, Limits.identifierBytes)])
        body.field(16, bytes[cut(bytes, scope.version, Limits.identifierBytes)])
        noteCuts(9)
    }

    /// Whether a span keeps the rules if its attributes do.
    private func isPlain(_ bytes: borrowing Span<UInt8>, _ span: Located, _ scope: OTLPScope) -> Bool {
        // Some tags are ours.
        attributes.count + 8 <= Limits.tagsPerSpan && scope.tags.isEmpty && !span.hasEvents && !span.hasLinks
            && span.state.count <= Limits.valueBytes && bytes.isASCII(span.name) && bytes.isASCII(span.statusMessage)
            && bytes.isASCII(span.state) && bytes.isASCII(scope.name) && bytes.isASCII(scope.version)
    }

    private mutating func locate(_ bytes: [UInt8], _ range: Range<Int>) throws(OTLPProblem) -> Located {
        attributes.removeAll(keepingCapacity: true)
        var span = Located()
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: span.traceID = try OTLPFields.content(field, "trace_id")
            case 2: span.spanID = try OTLPFields.content(field, "span_id")
            case 3: span.state = try OTLPFields.content(field, "trace_state")
            case 4: span.parentID = try OTLPFields.content(field, "parent_span_id")
            case 5: span.name = try OTLPFields.content(field, "name")
            case 6: span.kind = try OTLPFields.number(field, .varint, "kind")
            case 7: span.start = try OTLPFields.number(field, .fixed64, "start_time_unix_nano")
            case 8: span.end = try OTLPFields.number(field, .fixed64, "end_time_unix_nano")
            case 9: attributes.append(try OTLPFields.content(field, "attributes"))
            case 10: span.droppedTags = field.value
            case 11: span.hasEvents = try OTLPFields.content(field, "events").lowerBound >= 0
            case 12: span.droppedEvents = field.value
            case 13: span.hasLinks = try OTLPFields.content(field, "links").lowerBound >= 0
            case 14: span.droppedLinks = field.value
            case 15: try Self.status(bytes, OTLPFields.content(field, "status"), &span)
            default: break
            }
        }
        try OTLPFields.finish(cursor, "span")
        return span
    }

    private static func status(
        _ bytes: [UInt8], _ range: Range<Int>, _ span: inout Located
    ) throws(OTLPProblem) {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 2: span.statusMessage = try OTLPFields.content(field, "status.message")
            case 3: span.status = try OTLPFields.number(field, .varint, "status.code")
            default: break
            }
        }
        try OTLPFields.finish(cursor, "status")
    }

    /// What the log would not want (Tracing.md, What is taken).
    private static func check(_ bytes: [UInt8], _ span: Located) throws(OTLPProblem) {
        guard span.traceID.count == 16, !isZero(bytes, span.traceID) else { throw .refused("malformed: trace_id") }
        guard span.spanID.count == 8, !isZero(bytes, span.spanID) else { throw .refused("malformed: span_id") }
        guard span.parentID.isEmpty || span.parentID.count == 8 else { throw .refused("malformed: parent_span_id") }
        guard span.start > 0 else { throw .refused("missing: start_time") }
        guard span.start <= UInt64(Int64.max), span.end <= UInt64(Int64.max) else {
            throw .refused("malformed: end_time")
        }
        guard span.end >= span.start else { throw .refused("end_before_start: end_time") }
    }

    private static func isZero(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        for index in range where bytes[index] != 0 { return false }
        return true
    }

    /// `SPAN_KIND_…` of OTLP in our numbers; 0: not said.
    private static func kind(_ kind: UInt64) -> UInt32 {
        switch kind {
        case 1: SpanKind.internal.rawValue
        case 2: SpanKind.server.rawValue
        case 3: SpanKind.client.rawValue
        case 4: SpanKind.producer.rawValue
        case 5: SpanKind.consumer.rawValue
        default: 0
        }
    }

    // MARK: Parts

    private mutating func tags(_ number: Int, _ bytes: [UInt8], _ range: Range<Int>, field: Int) throws(OTLPProblem) {
        var cursor = WireCursor(range)
        while let part = cursor.next(in: bytes.span) {
            if part.number == field { try tag(number, bytes, OTLPFields.content(part, "attributes")) }
        }
    }

    private mutating func events(_ bytes: [UInt8], _ range: Range<Int>) throws(OTLPProblem) {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 11 { try part(10, bytes, field.range, Self.event) }
        }
    }

    private mutating func links(_ bytes: [UInt8], _ range: Range<Int>) throws(OTLPProblem) {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 13 { try part(11, bytes, field.range, Self.link) }
        }
    }

    /// Writes a nested message with a writer of its own, since it can fail halfway.
    private mutating func part(
        _ number: Int, _ bytes: [UInt8], _ range: Range<Int>,
        _ write: (inout OTLPSpanWriter, [UInt8], Range<Int>) throws(OTLPProblem) -> Void
    ) throws(OTLPProblem) {
        var inner = OTLPSpanWriter()
        try write(&inner, bytes, range)
        cutCount += inner.cutCount
        body.element(number, inner.body.bytes[...])
    }

    private static func event(
        _ writer: inout OTLPSpanWriter, _ bytes: [UInt8], _ range: Range<Int>
    ) throws(OTLPProblem) {
        var name = 0..<0
        var (time, dropped) = (UInt64(0), UInt64(0))
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: time = try OTLPFields.number(field, .fixed64, "events.time_unix_nano")
            case 2: name = try OTLPFields.content(field, "events.name")
            case 4: dropped = field.value
            default: break
            }
        }
        try OTLPFields.finish(cursor, "events")
        if time > 0 { writer.body.fixed64(1, time) }
        writer.body.field(2, bytes[writer.cut(bytes, name, Limits.identifierBytes)])
        try writer.tags(3, bytes, range, field: 3)
        writer.note(3, "otel.dropped_attributes_count", dropped)
    }

    private static func link(
        _ writer: inout OTLPSpanWriter, _ bytes: [UInt8], _ range: Range<Int>
    ) throws(OTLPProblem) {
        var (traceID, spanID, state) = (0..<0, 0..<0, 0..<0)
        var dropped: UInt64 = 0
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: traceID = try OTLPFields.content(field, "links.trace_id")
            case 2: spanID = try OTLPFields.content(field, "links.span_id")
            case 3: state = try OTLPFields.content(field, "links.trace_state")
            case 5: dropped = field.value
            default: break
            }
        }
        try OTLPFields.finish(cursor, "links")
        writer.body.field(1, bytes[traceID])
        writer.body.field(2, bytes[spanID])
        writer.body.field(3, bytes[state])
        try writer.tags(4, bytes, range, field: 4)
        writer.note(4, "otel.dropped_attributes_count", dropped)
    }

    // MARK: Tags

    /// Writes an attribute as a tag, without its secrets and within the limits.
    mutating func tag(
        _ number: Int, _ bytes: [UInt8], _ range: Range<Int>, named prefix: String = ""
    ) throws(OTLPProblem) {
        if prefix.isEmpty, let (key, text) = OTLPFields.shortText(bytes.span, range),
            SpanSecrets.kind(bytes.span, key) == .plain
        {
            return body.shortPair(number, of: bytes, key, text)
        }
        let (key, value) = try OTLPFields.keyValue(bytes, range)
        isPlain = isPlain && value.isScalar && key.count <= Limits.identifierBytes && bytes.span.isASCII(key)
        switch SpanSecrets.kind(bytes.span, key) {
        case .plain: break
        case .secret: return tag(number, prefix, bytes[key], text: Array(SecretNames.mark.utf8)[...])
        case .address, .query:
            if case .string(let content) = value {
                let text = String(decoding: bytes[content], as: UTF8.self)
                let name = String(decoding: bytes[key], as: UTF8.self)
                let tag = SpanSecrets.redacted(SpanTag(name, text))
                let clean = Array(tag.value.description.utf8)
                let end = cut(clean, 0..<clean.count, Limits.valueBytes)
                return self.tag(number, prefix, bytes[key], text: clean[end])
            }
        }
        try plainTag(number, prefix, bytes, key, value)
    }

    private mutating func plainTag(
        _ number: Int, _ prefix: String, _ bytes: [UInt8], _ key: Range<Int>, _ value: OTLPValue
    ) throws(OTLPProblem) {
        switch value {
        case .string(let range):
            let text = cut(bytes, range, Limits.valueBytes)
            if prefix.isEmpty { return body.pair(number, of: bytes, (1, key), (2, text)) }
            tag(number, prefix, bytes[key], text: bytes[text])
        case .bool(let bits):
            tag(number, prefix, bytes[key]) { inner in inner.optionalField(3, bits == 0 ? 0 : 1) }
        case .int(let bits): tag(number, prefix, bytes[key]) { inner in inner.optionalField(4, bits) }
        case .double(let bits): tag(number, prefix, bytes[key]) { inner in inner.fixed64(5, bits) }
        case .bytes(let range):
            let kept = range.prefix(Limits.valueBytes)
            if kept.count < range.count { cutCount += 1 }
            tag(number, prefix, bytes[key]) { inner in inner.element(6, bytes[kept]) }
        case .none, .array, .object:
            var text = OTLPJSONText(bytes)
            try text.write(value, depth: 0)
            let json = text.text
            if json.count > Limits.valueBytes {
                // What is cut is no JSON any more.
                return tag(number, prefix, bytes[key], text: json[cut(json, 0..<json.count, Limits.valueBytes)])
            }
            tag(number, prefix, bytes[key]) { inner in inner.element(7, json[...]) }
        }
    }

    private mutating func tag(_ number: Int, _ prefix: String, _ key: ArraySlice<UInt8>, text: ArraySlice<UInt8>) {
        tag(number, prefix, key) { inner in inner.element(2, text) }
    }

    private mutating func tag(
        _ number: Int, _ prefix: String, _ key: ArraySlice<UInt8>, _ value: (inout WireWriter) -> Void
    ) {
        body.message(number) { inner in
            if prefix.isEmpty { inner.field(1, key) } else { inner.field(1, Array(prefix.utf8) + key) }
            value(&inner)
        }
    }

    /// A tag of ours about what the sender dropped; nothing for zero.
    mutating func note(_ number: Int, _ key: String, _ count: UInt64) {
        if count == 0 { return }
        tag(number, "", Array(key.utf8)[...]) { inner in inner.optionalField(4, count) }
    }

    /// A tag of ours with a text; nothing for none.
    mutating func note(_ number: Int, _ key: String, _ text: ArraySlice<UInt8>) {
        if !text.isEmpty { tag(number, "", Array(key.utf8)[...], text: text.prefix(Limits.valueBytes)) }
    }

    /// Says how many texts were cut.
    mutating func noteCuts(_ number: Int) { note(number, SpanText.cutTag, cutCount) }

    private mutating func cut(_ bytes: [UInt8], _ range: Range<Int>, _ limit: Int) -> Range<Int> {
        if range.count <= limit { return range }
        cutCount += 1
        return SpanText.cut(bytes, range, limit)
    }
}
