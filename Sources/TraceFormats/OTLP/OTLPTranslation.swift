// OTLP's `ExportTraceServiceRequest` into batches, read where it lies: no objects per attribute.
// Source of the fields: schemas/opentelemetry; of the rules: opentelemetry.io/docs/specs/otlp.

import EventModel

/// Why a request or one of its spans cannot be taken.
enum OTLPProblem: Error, Hashable {
    /// The bytes are not what they claim: nothing of the request is taken.
    case malformed(String)
    /// One span is not taken.
    case refused(String)
}

/// Translates whole requests.
package struct OTLPTranslation {
    private let bytes: [UInt8]
    private var batches = SpanBatches()
    private var writer = OTLPSpanWriter()

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The spans of a request in protobuf, in messages by service and process, and what was refused.
    ///
    /// - Throws: `malformed` with the message's name where the bytes are not protobuf.
    /// - Complexity: linear; one copy of each text.
    package static func translate(_ bytes: [UInt8]) throws(MalformedInput) -> SpanTranslation {
        var translation = OTLPTranslation(bytes)
        do throws(OTLPProblem) {
            try translation.request()
        } catch {
            switch error {
            case .malformed(let what), .refused(let what): throw MalformedInput(what)
            }
        }
        return translation.batches.finish()
    }

    private mutating func request() throws(OTLPProblem) {
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 1 { try resourceSpans(OTLPFields.content(field, "resource_spans")) }
        }
        try OTLPFields.finish(cursor, "request")
    }

    // MARK: Resource

    private mutating func resourceSpans(_ range: Range<Int>) throws(OTLPProblem) {
        var resource = 0..<0
        var schemaURL = 0..<0
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: resource = try OTLPFields.content(field, "resource")
            case 2: _ = try OTLPFields.content(field, "scope_spans")
            case 3: schemaURL = try OTLPFields.content(field, "schema_url")
            default: break
            }
        }
        try OTLPFields.finish(cursor, "resource_spans")
        let objection = try selectBatch(resource, schemaURL)
        cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 2 { try scopeSpans(field.range, objection) }
        }
    }

    /// Chooses the batch by what the process says of itself; answers why it can have none.
    private mutating func selectBatch(_ resource: Range<Int>, _ schemaURL: Range<Int>) throws(OTLPProblem) -> String? {
        let name = try serviceName(resource)
        writer.begin()
        writer.text(1, name)
        var dropped: UInt64 = 0
        var cursor = WireCursor(resource)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: try writer.tag(3, bytes, OTLPFields.content(field, "attributes"))
            case 2: dropped = field.value
            default: break
            }
        }
        writer.note(3, "otel.dropped_attributes_count", dropped)
        writer.note(3, "otel.resource.schema_url", bytes[schemaURL])
        writer.noteCuts(3)
        let start = writer.body.bytes
        do throws(DecodeError) {
            try SpanBatches.check(start: start)
        } catch {
            return error.description
        }
        batches.select(serviceName: name, start: start)
        return nil
    }

    /// The value of `service.name`; `unknown_service` where it is not said (OpenTelemetry, semantic conventions).
    private func serviceName(_ resource: Range<Int>) throws(OTLPProblem) -> String {
        var name = ""
        var cursor = WireCursor(resource)
        while let field = cursor.next(in: bytes.span) {
            guard field.number == 1 else { continue }
            let (key, value) = try OTLPFields.keyValue(bytes, OTLPFields.content(field, "attributes"))
            guard bytes[key].elementsEqual("service.name".utf8), case .string(let text) = value else { continue }
            name = String(decoding: bytes[text], as: UTF8.self)
        }
        try OTLPFields.finish(cursor, "resource")
        return name.isEmpty ? "unknown_service" : name
    }

    // MARK: Scope

    private mutating func scopeSpans(_ range: Range<Int>, _ objection: String?) throws(OTLPProblem) {
        var scope = OTLPScope()
        var schemaURL = 0..<0
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: scope = try self.scope(OTLPFields.content(field, "scope"))
            case 2: _ = try OTLPFields.content(field, "spans")
            case 3: schemaURL = try OTLPFields.content(field, "schema_url")
            default: break
            }
        }
        try OTLPFields.finish(cursor, "scope_spans")
        writer.begin()
        writer.note(9, "otel.scope.schema_url", bytes[schemaURL])
        scope.tags += writer.body.bytes
        cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            if field.number == 2 { try span(field.range, scope, objection) }
        }
    }

    private mutating func scope(_ range: Range<Int>) throws(OTLPProblem) -> OTLPScope {
        var scope = OTLPScope()
        writer.begin()
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: scope.name = try OTLPFields.content(field, "scope.name")
            case 2: scope.version = try OTLPFields.content(field, "scope.version")
            case 3: try writer.tag(9, bytes, OTLPFields.content(field, "attributes"), named: "otel.scope.")
            default: break
            }
        }
        try OTLPFields.finish(cursor, "scope")
        scope.tags = writer.body.bytes
        return scope
    }

    // MARK: Span

    private mutating func span(_ range: Range<Int>, _ scope: OTLPScope, _ objection: String?) throws(OTLPProblem) {
        if let objection { return batches.refuse(objection) }
        do throws(OTLPProblem) {
            try writer.span(bytes, range, scope)
        } catch {
            guard case .refused(let reason) = error else { throw error }
            return batches.refuse(reason)
        }
        batches.append(writer.body.bytes, isJudged: writer.isPlain)
    }
}

/// Bytes or text that are not in the format they claim.
package struct MalformedInput: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was found wrong; nothing of the content is in it.
    package var reason: String

    package init(_ reason: String) { self.reason = reason }

    package var description: String { reason }
}

/// The library that made spans.
struct OTLPScope {
    var name = 0..<0
    var version = 0..<0
    /// Encoded tags, for each of its spans.
    var tags: [UInt8] = []
}

/// An attribute's value, located.
enum OTLPValue {
    case none
    case string(Range<Int>)
    case bool(UInt64)
    case int(UInt64)
    case double(UInt64)
    case array(Range<Int>)
    case object(Range<Int>)
    case bytes(Range<Int>)

    /// Whether it is a number or a truth.
    var isScalar: Bool {
        switch self {
        case .bool, .int, .double: true
        case .none, .string, .array, .object, .bytes: false
        }
    }
}

/// Reads the parts that all messages share.
enum OTLPFields {
    static func content(_ field: WireField, _ name: StaticString) throws(OTLPProblem) -> Range<Int> {
        guard field.isBytes else { throw .malformed("\(name)") }
        return field.range
    }

    static func finish(_ cursor: WireCursor, _ name: StaticString) throws(OTLPProblem) {
        guard cursor.isComplete else { throw .malformed("\(name)") }
    }

    /// Name and value of a `KeyValue`.
    static func keyValue(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(OTLPProblem) -> (key: Range<Int>, value: OTLPValue) {
        var key = range.lowerBound..<range.lowerBound
        var value = OTLPValue.none
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: key = try content(field, "key")
            case 2: value = try self.value(bytes, content(field, "value"))
            default: break
            }
        }
        try finish(cursor, "key_value")
        return (key, value)
    }

    /// Name and text of a `KeyValue` as nearly all are: both of ASCII and of fewer than 128 bytes, the name not empty.
    static func shortText(
        _ bytes: borrowing Span<UInt8>, _ range: Range<Int>
    ) -> (key: Range<Int>, text: Range<Int>)? {
        let (start, end) = (range.lowerBound, range.upperBound)
        guard range.count > 6, bytes.isASCII(range), bytes[start] == 0x0A, bytes[start + 1] > 0 else { return nil }
        let value = start + 2 + Int(bytes[start + 1])
        guard end - value >= 4, bytes[value] == 0x12, value + 2 + Int(bytes[value + 1]) == end,
            bytes[value + 2] == 0x0A, value + 4 + Int(bytes[value + 3]) == end
        else { return nil }
        return (start + 2..<value, value + 4..<end)
    }

    /// The content of an `AnyValue`.
    static func value(_ bytes: [UInt8], _ range: Range<Int>) throws(OTLPProblem) -> OTLPValue {
        var value = OTLPValue.none
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: value = .string(try content(field, "string_value"))
            case 2: value = .bool(try number(field, .varint, "bool_value"))
            case 3: value = .int(try number(field, .varint, "int_value"))
            case 4: value = .double(try number(field, .fixed64, "double_value"))
            case 5: value = .array(try content(field, "array_value"))
            case 6: value = .object(try content(field, "kvlist_value"))
            case 7: value = .bytes(try content(field, "bytes_value"))
            default: break
            }
        }
        try finish(cursor, "value")
        return value
    }

    static func number(_ field: WireField, _ kind: WireKind, _ name: StaticString) throws(OTLPProblem) -> UInt64 {
        guard field.kind == kind else { throw .malformed("\(name)") }
        return field.value
    }
}
