// From a span of swift-distributed-tracing to one of the collector: kinds, status, attributes, bounds, secrets.

internal import EventModel
internal import Instrumentation
internal import MeshRules
internal import Tracing

/// A span that has ended.
struct SpanRecord {
    var origin: LatticeSpan.Origin
    var end: Timestamp
    var name: String
    var attributes: SpanAttributes
    var events: [SpanEvent]
    var links: [Tracing.SpanLink]
    var status: Tracing.SpanStatus?

    /// The span as it may leave the process: secrets replaced, texts cut to what the log's format takes.
    func traceSpan(service: String, resource: [SpanTag], scope: (name: String, version: String)) -> TraceSpan {
        TraceSpan(
            spanID: origin.place.spanID, traceID: origin.place.traceID, parentSpanID: origin.parent,
            serviceName: service, operationName: name.isEmpty ? "(unnamed)" : name.cut(to: Limits.identifierBytes),
            kind: origin.kind.spanKind, status: status?.code == .error ? .error : .ok, startTime: origin.start,
            endTime: end, tags: attributes.tags,
            logs: events.map { event in
                SpanLog(
                    time: Timestamp(nanoseconds: Int64(clamping: event.nanosecondsSinceEpoch)),
                    name: event.name.cut(to: Limits.identifierBytes), fields: event.attributes.tags)
            },
            links: links.compactMap { link in
                guard let place = link.context.tracePlace?.context else { return nil }
                return EventModel.SpanLink(
                    traceID: place.traceID, spanID: place.spanID, traceState: place.traceState.headerValue(),
                    tags: link.attributes.tags)
            },
            resource: resource, peerService: peer, statusMessage: (status?.message ?? "").cut(to: Limits.valueBytes),
            traceState: origin.place.traceState.headerValue(), scopeName: scope.name, scopeVersion: scope.version)
    }

    /// The other side of a call, as the attributes name it.
    private var peer: String {
        guard case .string(let name) = attributes.get("peer.service") else { return "" }
        return name.cut(to: Limits.identifierBytes)
    }
}

extension Tracing.SpanKind {
    fileprivate var spanKind: EventModel.SpanKind {
        switch self {
        case .server: .server
        case .client: .client
        case .producer: .producer
        case .consumer: .consumer
        case .internal: .internal
        }
    }
}

extension SpanAttributes {
    /// By name, so that equal attributes have one encoding.
    fileprivate var tags: [SpanTag] {
        var result: [SpanTag] = []
        forEach { name, value in
            if let value = value.tagValue {
                result.append(
                    SpanSecrets.redacted(SpanTag(key: name.cut(to: Limits.identifierBytes), value: value)).bounded)
            }
        }
        result.sort { $0.key.precedesInBytes($1.key) }
        return Array(result.prefix(Limits.tagsPerSpan))
    }
}

extension SpanTag {
    fileprivate var bounded: SpanTag {
        switch value {
        case .string(let text): SpanTag(key: key, value: .string(text.cut(to: Limits.valueBytes)))
        // Cut JSON is none any more.
        case .json(let text) where text.utf8.count > Limits.valueBytes:
            SpanTag(key: key, value: .string(text.cut(to: Limits.valueBytes)))
        default: self
        }
    }
}

extension SpanAttribute {
    fileprivate var tagValue: TagValue? {
        switch self {
        case .int32(let value): .int(Int64(value))
        case .int64(let value): .int(value)
        case .double(let value): .double(value)
        case .bool(let value): .bool(value)
        case .string(let value): .string(value)
        case .stringConvertible(let value): .string(value.description)
        case .int32Array(let values): .json(list(values.map(\.description)))
        case .int64Array(let values): .json(list(values.map(\.description)))
        // JSON has no words for what is no number.
        case .doubleArray(let values): .json(list(values.map { $0.isFinite ? "\($0)" : "null" }))
        case .boolArray(let values): .json(list(values.map(\.description)))
        case .stringArray(let values): .json(list(values.map(\.quoted)))
        // An array of `Int` comes as this.
        case .stringConvertibleArray(let values):
            .json(list(values.map { $0 is any BinaryInteger ? $0.description : $0.description.quoted }))
        default: nil
        }
    }

    private func list(_ elements: [String]) -> String { "[" + elements.joined(separator: ",") + "]" }
}

extension String {
    /// At most so many bytes, cut between characters' code points.
    fileprivate func cut(to limit: Int) -> String {
        if utf8.count <= limit { return self }
        var end = utf8.index(startIndex, offsetBy: limit)
        while end > startIndex, UTF8.isContinuation(utf8[end]) { end = utf8.index(before: end) }
        return String(self[..<end])
    }

    /// As a JSON string (RFC 8259, section 7).
    fileprivate var quoted: String {
        var result = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
