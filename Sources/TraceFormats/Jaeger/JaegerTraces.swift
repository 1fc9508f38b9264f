// Traces as Jaeger's query API and UI write them. Source of the fields: jaegertracing/jaeger, model/json.

import EventModel
import FoundationEssentials

/// Translates traces in Jaeger's JSON.
package enum JaegerTraces {
    /// Takes the answer of the query API (`{"data": […]}`), a trace, or a list of traces.
    ///
    /// - Throws: where the JSON is none of these.
    package static func translate(_ json: [UInt8]) throws(MalformedInput) -> SpanTranslation {
        let document = try ForeignJSON.decode(JaegerDocument.self, json, "a Jaeger trace")
        var batches = SpanBatches()
        for trace in document.traces {
            for span in trace.spans {
                do throws(MalformedInput) {
                    let translated = try span.translated(trace).fitForLog()
                    if let objection = translated.objection {
                        batches.refuse(objection)
                    } else {
                        batches.append(translated)
                    }
                } catch {
                    batches.refuse(error.reason)
                }
            }
        }
        return batches.finish()
    }
}

/// One of the three forms.
private struct JaegerDocument: Decodable {
    var traces: [JaegerTrace]

    private enum Key: CodingKey { case data }

    init(from decoder: any Decoder) throws {
        if var list = try? decoder.unkeyedContainer() {
            traces = []
            while !list.isAtEnd { traces.append(try list.decode(JaegerTrace.self)) }
        } else if let container = try? decoder.container(keyedBy: Key.self), container.contains(.data) {
            traces = try container.decode([JaegerTrace].self, forKey: .data)
        } else {
            traces = [try JaegerTrace(from: decoder)]
        }
    }
}

private struct JaegerTrace: Decodable {
    var spans: [JaegerSpan]
    var processes: [String: JaegerProcess]?
}

private struct JaegerProcess: Decodable {
    var serviceName: String
    var tags: [JaegerTag]?
}

private struct JaegerTag: Decodable {
    var key: String
    var type: String?
    var value: ForeignValue?

    /// The value by its stated type, or by its own where that does not fit.
    var tag: SpanTag {
        guard let value else { return SpanTag(key, "") }
        switch (type, value.value) {
        case ("int64", .string(let text)):
            return SpanTag(key: key, value: Int64(text).map { .int($0) } ?? .string(text))
        case ("float64", .int(let number)): return SpanTag(key: key, value: .double(Double(number)))
        case ("float64", .string(let text)):
            return SpanTag(key: key, value: Double(text).map { .double($0) } ?? .string(text))
        case ("bool", .string("true")): return SpanTag(key: key, value: .bool(true))
        case ("bool", .string("false")): return SpanTag(key: key, value: .bool(false))
        case ("binary", .string(let text)): return SpanTag(key: key, value: Self.binary(text))
        default: return SpanTag(key: key, value: value.tagValue)
        }
    }

    /// Jaeger's UI writes hexadecimal digits, its storage base64.
    private static func binary(_ text: String) -> TagValue {
        if text.utf8.count % 2 == 0, text.allSatisfy(\.isHexDigit) {
            let digits = Array(text.utf8)
            return .bytes(
                stride(from: 0, to: digits.count, by: 2).compactMap {
                    UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
                })
        }
        return Data(base64Encoded: text).map { .bytes(Array($0)) } ?? .string(text)
    }
}

private struct JaegerSpan: Decodable {
    struct Reference: Decodable {
        var refType: String?
        var traceID: String
        var spanID: String
    }

    struct Log: Decodable {
        var timestamp: Microseconds
        var fields: [JaegerTag]?
    }

    var traceID: String
    var spanID: String
    var parentSpanID: String?
    var operationName: String?
    var references: [Reference]?
    var flags: Int64?
    var startTime: Microseconds
    var duration: Microseconds?
    var tags: [JaegerTag]?
    var logs: [Log]?
    var processID: String?
    var process: JaegerProcess?
    var warnings: [String]?

    func translated(_ trace: JaegerTrace) throws(MalformedInput) -> TraceSpan {
        guard let traceID = ForeignID.trace(traceID) else { throw MalformedInput("malformed: traceID") }
        guard let own = ForeignID.span(spanID) else { throw MalformedInput("malformed: spanID") }
        let process = process ?? processID.flatMap { trace.processes?[$0] }
        let end = startTime.nanoseconds.addingReportingOverflow(duration?.nanoseconds ?? 0)
        var span = TraceSpan(
            spanID: own, traceID: traceID,
            serviceName: process.flatMap { $0.serviceName.isEmpty ? nil : $0.serviceName } ?? "unknown_service",
            operationName: operationName.flatMap { $0.isEmpty ? nil : $0 } ?? "unknown",
            startTime: Timestamp(nanoseconds: startTime.nanoseconds),
            endTime: Timestamp(nanoseconds: end.overflow ? .max : end.partialValue))
        span.resource = (process?.tags ?? []).map(\.tag)
        span.tags = (tags ?? []).map(\.tag)
        try refer(&span)
        span.logs = (logs ?? []).map(Self.log)
        judge(&span)
        return span
    }

    /// The first parent in the same trace is the parent, what it follows from comes after; all else is a link.
    private func refer(_ span: inout TraceSpan) throws(MalformedInput) {
        var links: [(isChild: Bool, link: SpanLink)] = []
        for reference in references ?? [] {
            guard let trace = ForeignID.trace(reference.traceID), let id = ForeignID.span(reference.spanID) else {
                throw MalformedInput("malformed: references")
            }
            links.append((reference.refType != "FOLLOWS_FROM", SpanLink(traceID: trace, spanID: id)))
        }
        let parent =
            links.firstIndex { $0.isChild && $0.link.traceID == span.traceID }
            ?? links.firstIndex { $0.link.traceID == span.traceID }
        if let parent {
            let found = links.remove(at: parent)
            span.parentSpanID = found.link.spanID
            if !found.isChild { span.tags.append(SpanTag("jaeger.parent_reference", "FOLLOWS_FROM")) }
        } else if let text = parentSpanID, text.contains(where: { $0 != "0" }) {
            span.parentSpanID = ForeignID.span(text)
        }
        span.links = links.map { isChild, link in
            var link = link
            link.tags = [SpanTag("opentracing.ref_type", isChild ? "child_of" : "follows_from")]
            return link
        }
    }

    /// Kind, status and what has no field of its own; the tags stay as they are.
    private func judge(_ span: inout TraceSpan) {
        if let kind = text("span.kind", span).flatMap({ SpanKind(name: $0) }) { span.kind = kind }
        if let peer = text("peer.service", span) { span.peerService = peer }
        if let name = text("otel.scope.name", span) ?? text("otel.library.name", span) { span.scopeName = name }
        if let version = text("otel.scope.version", span) ?? text("otel.library.version", span) {
            span.scopeVersion = version
        }
        if text("error", span) == "true" || text("otel.status_code", span) == "ERROR" { span.status = .error }
        if let message = text("otel.status_description", span) { span.statusMessage = message }
        if let flags, flags & ~1 != 0 { span.tags.append(SpanTag(key: "jaeger.flags", value: .int(flags))) }
        if let warnings, !warnings.isEmpty {
            let list = JSONWriting.of(.array(warnings.map { .string($0) }))
            span.tags.append(SpanTag(key: "jaeger.warnings", value: .json(list)))
        }
    }

    private func text(_ name: String, _ span: TraceSpan) -> String? {
        span.tags.first { $0.key == name }?.value.description
    }

    private static func log(_ log: Log) -> SpanLog {
        let fields = (log.fields ?? []).map(\.tag)
        let event = fields.first { $0.key == "event" }?.value.description ?? ""
        return SpanLog(
            time: Timestamp(nanoseconds: log.timestamp.nanoseconds),
            name: event.utf8.count > Limits.identifierBytes ? "" : event, fields: fields)
    }
}
