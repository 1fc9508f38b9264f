// A span from a dictionary, as a program without the schemas would give it.

/// A value as JSON knows them.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// A member of an object; nil where there is none, where it is null, and where this is no object.
    public subscript(member: String) -> JSONValue? {
        guard case .object(let members) = self, let value = members[member], value != .null else { return nil }
        return value
    }
}

/// Creates a span from a dictionary (`span_from_dict` of Specification.md).
///
/// Ids are hexadecimal, times nanoseconds since the epoch as a number or as decimal text, or RFC 3339. `tags` is an
/// object or a list of `{key, value}`; `logs` a list of `{time, name, fields}`; `links` of `{trace_id, span_id, tags}`.
/// - Throws: `missing` with the name of the first field of `REQUIRED_SPAN_FIELDS` that is not there; `malformed`,
///   `unknown_enum_value`, `too_long`, `too_many`, `end_before_start` with the field's name.
public func spanFromDict(_ data: JSONValue) throws(DecodeError) -> TraceSpan {
    let reader = SpanReader(data: data)
    for field in SpanReader.requiredInOrder where data[field] == nil { throw DecodeError("missing", field) }
    let start = try reader.time("start_time")
    let end = try reader.time("end_time")
    if end < start { throw DecodeError("end_before_start", "end_time") }
    guard let status = SpanStatus(name: try reader.text("status")) else {
        throw DecodeError("unknown_enum_value", "status")
    }
    var span = TraceSpan(
        spanID: try reader.spanID("span_id"), traceID: try reader.traceID("trace_id"),
        serviceName: try reader.required("service_name"), operationName: try reader.required("operation_name"),
        status: status, startTime: start, endTime: end)
    if data["parent_span_id"] != nil, try !reader.text("parent_span_id").isEmpty {
        span.parentSpanID = try reader.spanID("parent_span_id")
    }
    if data["kind"] != nil {
        guard let kind = SpanKind(name: try reader.text("kind")) else {
            throw DecodeError("unknown_enum_value", "kind")
        }
        span.kind = kind
    }
    if data["peer_service"] != nil { span.peerService = try reader.text("peer_service") }
    if data["status_message"] != nil { span.statusMessage = try reader.text("status_message") }
    if let tags = data["tags"] { span.tags = try SpanReader.tags(tags, "tags") }
    if let logs = data["logs"] { span.logs = try SpanReader.list(logs, "logs", SpanReader.log) }
    if let links = data["links"] { span.links = try SpanReader.list(links, "links", SpanReader.link) }
    return span
}

/// Reads the members of a span's dictionary.
private struct SpanReader {
    let data: JSONValue

    /// The required fields as the specification orders them.
    static let requiredInOrder = [
        "span_id", "trace_id", "service_name", "operation_name", "start_time", "end_time", "status",
    ]

    func text(_ name: String) throws(DecodeError) -> String {
        guard case .string(let text) = data[name] else { throw DecodeError("malformed", name) }
        let limit = name == "status_message" ? Limits.valueBytes : Limits.identifierBytes
        guard text.utf8.count <= limit else { throw DecodeError("too_long", name) }
        return text
    }

    /// Text that must not be empty.
    func required(_ name: String) throws(DecodeError) -> String {
        let text = try text(name)
        if text.isEmpty { throw DecodeError("missing", name) }
        return text
    }

    func spanID(_ name: String) throws(DecodeError) -> SpanID {
        guard let id = SpanID(hexadecimal: try text(name)) else { throw DecodeError("malformed", name) }
        return id
    }

    func traceID(_ name: String) throws(DecodeError) -> TraceID {
        let text = try text(name)
        guard [16, 32].contains(text.utf8.count), let id = TraceID(hexadecimal: text) else {
            throw DecodeError("malformed", name)
        }
        return id
    }

    func time(_ name: String) throws(DecodeError) -> Timestamp {
        switch data[name] {
        case .int(let value): return Timestamp(nanoseconds: value)
        case .string(let text):
            guard let value = Int64(text) ?? JSONTime.nanoseconds(Array(text.utf8)) else {
                throw DecodeError("malformed", name)
            }
            return Timestamp(nanoseconds: value)
        default: throw DecodeError("malformed", name)
        }
    }

    static func list<Element>(
        _ value: JSONValue, _ name: String, _ read: (JSONValue) throws(DecodeError) -> Element
    ) throws(DecodeError) -> [Element] {
        guard case .array(let elements) = value else { throw DecodeError("malformed", name) }
        guard elements.count <= Limits.tagsPerSpan else { throw DecodeError("too_many", name) }
        var result: [Element] = []
        for element in elements { result.append(try read(element)) }
        return result
    }

    static func log(_ value: JSONValue) throws(DecodeError) -> SpanLog {
        let reader = SpanReader(data: value)
        var log = SpanLog(time: try reader.time(value["timestamp"] == nil ? "time" : "timestamp"))
        if value["name"] != nil { log.name = try reader.text("name") }
        if let fields = value["fields"] { log.fields = try tags(fields, "fields") }
        return log
    }

    static func link(_ value: JSONValue) throws(DecodeError) -> SpanLink {
        let reader = SpanReader(data: value)
        var link = SpanLink(traceID: try reader.traceID("trace_id"), spanID: try reader.spanID("span_id"))
        if let tags = value["tags"] { link.tags = try Self.tags(tags, "tags") }
        return link
    }

    /// The members of an object in order of their names, or a list of `{key, value}` in its own.
    static func tags(_ value: JSONValue, _ name: String) throws(DecodeError) -> [SpanTag] {
        guard case .object(let members) = value else { return try list(value, name, tag) }
        guard members.count <= Limits.tagsPerSpan else { throw DecodeError("too_many", name) }
        var result: [SpanTag] = []
        for key in members.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            result.append(try checked(SpanTag(key: key, value: tagValue(members[key] ?? .null))))
        }
        return result
    }

    private static func tag(_ value: JSONValue) throws(DecodeError) -> SpanTag {
        guard case .string(let key) = value["key"] else { throw DecodeError("missing", "key") }
        return try checked(SpanTag(key: key, value: tagValue(value["value"] ?? .null)))
    }

    private static func checked(_ tag: SpanTag) throws(DecodeError) -> SpanTag {
        guard tag.key.utf8.count <= Limits.identifierBytes else { throw DecodeError("too_long", "key") }
        switch tag.value {
        case .string(let text), .json(let text):
            guard text.utf8.count <= Limits.valueBytes else { throw DecodeError("too_long", "value") }
        default: break
        }
        return tag
    }

    private static func tagValue(_ value: JSONValue) -> TagValue {
        switch value {
        case .null: .string("")
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .string(let value): .string(value)
        case .array, .object: .json(JSONWriting.of(value))
        }
    }
}

/// JSON as text, members in order of their names.
package enum JSONWriting {
    /// One piece that is still to be written.
    private enum Piece {
        case value(JSONValue)
        case text(String)
    }

    package static func of(_ value: JSONValue) -> String {
        var result = ""
        var stack = [Piece.value(value)]
        while let piece = stack.popLast() {
            switch piece {
            case .text(let text): result += text
            case .value(.null): result += "null"
            case .value(.bool(let value)): result += value ? "true" : "false"
            case .value(.int(let value)): result += String(value)
            case .value(.double(let value)): result += value.isFinite ? String(value) : "null"
            case .value(.string(let value)): result += quoted(value)
            case .value(.array(let elements)): stack += reversed(elements.map { [.value($0)] }, "[", "]")
            case .value(.object(let members)):
                let keys = members.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
                stack += reversed(keys.map { [.text(quoted($0) + ":"), .value(members[$0] ?? .null)] }, "{", "}")
            }
        }
        return result
    }

    private static func reversed(_ groups: [[Piece]], _ open: String, _ close: String) -> [Piece] {
        var pieces = [Piece.text(open)]
        for (index, group) in groups.enumerated() {
            if index > 0 { pieces.append(.text(",")) }
            pieces += group
        }
        return (pieces + [.text(close)]).reversed()
    }

    /// Text as a JSON string (RFC 8259, section 7).
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20: result += "\\u00" + HexadecimalDigits.text(UInt64(scalar.value)).suffix(2)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
