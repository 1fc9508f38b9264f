// The translation of OTLP written a second time, over swift-protobuf's objects: slow, plain, and what the fast one is
// compared with.

import EventModel
import Foundation
@testable import TraceFormats
import SwiftProtobuf
import TestKit

typealias OTLPRequest = Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceRequest
typealias OTLPSpan = Opentelemetry_Proto_Trace_V1_Span
typealias OTLPAttribute = Opentelemetry_Proto_Common_V1_KeyValue
typealias OTLPAnyValue = Opentelemetry_Proto_Common_V1_AnyValue

enum OTLPOracle {
    static func spans(_ request: OTLPRequest) -> [TraceSpan] {
        var result: [TraceSpan] = []
        for resource in request.resourceSpans {
            for scope in resource.scopeSpans {
                for sent in scope.spans {
                    var span = Self.span(sent)
                    span.resource = Self.resource(resource)
                    span.serviceName =
                        resource.resource.attributes.last { $0.key == "service.name" }?.value.stringValue ?? ""
                    if span.serviceName.isEmpty { span.serviceName = "unknown_service" }
                    add(scope, to: &span)
                    if sent.status.code == .ok { span.tags.append(SpanTag("otel.status_code", "OK")) }
                    note("otel.dropped_attributes_count", sent.droppedAttributesCount, &span.tags)
                    note("otel.dropped_events_count", sent.droppedEventsCount, &span.tags)
                    note("otel.dropped_links_count", sent.droppedLinksCount, &span.tags)
                    result.append(span)
                }
            }
        }
        return result
    }

    private static func resource(_ sent: Opentelemetry_Proto_Trace_V1_ResourceSpans) -> [SpanTag] {
        var tags = sent.resource.attributes.map(tag)
        note("otel.dropped_attributes_count", sent.resource.droppedAttributesCount, &tags)
        if !sent.schemaURL.isEmpty { tags.append(SpanTag("otel.resource.schema_url", sent.schemaURL)) }
        return tags
    }

    private static func add(_ scope: Opentelemetry_Proto_Trace_V1_ScopeSpans, to span: inout TraceSpan) {
        span.scopeName = scope.scope.name
        span.scopeVersion = scope.scope.version
        span.tags += scope.scope.attributes.map { tag($0, "otel.scope.") }
        if !scope.schemaURL.isEmpty { span.tags.append(SpanTag("otel.scope.schema_url", scope.schemaURL)) }
    }

    private static func note(_ key: String, _ count: UInt32, _ tags: inout [SpanTag]) {
        if count > 0 { tags.append(SpanTag(key: key, value: .int(Int64(count)))) }
    }

    private static func span(_ sent: OTLPSpan) -> TraceSpan {
        let kinds: [OTLPSpan.SpanKind: SpanKind] = [
            .server: .server, .client: .client, .producer: .producer, .consumer: .consumer,
        ]
        var span = TraceSpan(
            spanID: SpanID(bytes: sent.spanID)!, traceID: TraceID(bytes: sent.traceID)!,
            parentSpanID: SpanID(bytes: sent.parentSpanID).flatMap { $0.isValid ? $0 : nil }, serviceName: "",
            operationName: sent.name.isEmpty ? "unknown" : sent.name, kind: kinds[sent.kind] ?? .internal,
            status: sent.status.code == .error ? .error : .ok,
            startTime: Timestamp(nanoseconds: Int64(sent.startTimeUnixNano)),
            endTime: Timestamp(nanoseconds: Int64(sent.endTimeUnixNano)))
        span.tags = sent.attributes.map { tag($0) }
        span.logs = sent.events.map { event in
            var fields = event.attributes.map { tag($0) }
            note("otel.dropped_attributes_count", event.droppedAttributesCount, &fields)
            return SpanLog(
                time: Timestamp(nanoseconds: Int64(event.timeUnixNano)), name: event.name, fields: fields)
        }
        span.links = sent.links.map { link in
            var tags = link.attributes.map { tag($0) }
            note("otel.dropped_attributes_count", link.droppedAttributesCount, &tags)
            return SpanLink(
                traceID: TraceID(bytes: link.traceID)!, spanID: SpanID(bytes: link.spanID)!,
                traceState: link.traceState, tags: tags)
        }
        span.statusMessage = sent.status.message
        span.traceState = sent.traceState
        return span
    }

    static func tag(_ sent: OTLPAttribute) -> SpanTag { tag(sent, "") }

    static func tag(_ sent: OTLPAttribute, _ prefix: String) -> SpanTag {
        SpanTag(key: prefix + sent.key, value: value(sent.value))
    }

    private static func value(_ sent: OTLPAnyValue) -> TagValue {
        switch sent.value {
        case .stringValue(let text): .string(text)
        case .boolValue(let bit): .bool(bit)
        case .intValue(let number): .int(number)
        case .doubleValue(let number): .double(number)
        case .bytesValue(let bytes): .bytes(Array(bytes))
        default: .json(json(sent))
        }
    }

    private static func json(_ sent: OTLPAnyValue) -> String {
        switch sent.value {
        case .stringValue(let text): JSONWriting.quoted(text)
        case .boolValue(let bit): "\(bit)"
        case .intValue(let number): "\(number)"
        case .doubleValue(let number):
            number.isNaN ? "\"NaN\"" : number.isInfinite ? (number < 0 ? "\"-Infinity\"" : "\"Infinity\"") : "\(number)"
        case .bytesValue(let bytes): "\"\(bytes.base64EncodedString())\""
        case .arrayValue(let list): "[\(list.values.map { json($0) }.joined(separator: ","))]"
        case .kvlistValue(let list):
            "{\(list.values.map { "\(JSONWriting.quoted($0.key)):\(json($0.value))" }.joined(separator: ","))}"
        default: "null"
        }
    }
}

/// Requests by chance: every type of attribute, empty and missing parts, text of several scripts.
struct OTLPMaker {
    var numbers: SeededGenerator

    mutating func request() -> OTLPRequest {
        var request = OTLPRequest()
        for _ in 0...below(3) {
            var resource = Opentelemetry_Proto_Trace_V1_ResourceSpans()
            if chance(4) {
                resource.resource.attributes.append(attribute("service.name", .with { $0.stringValue = word() }))
            }
            resource.resource.attributes += attributes(4)
            if !chance(4) { resource.resource.droppedAttributesCount = UInt32(below(9)) }
            if !chance(3) { resource.schemaURL = "https://opentelemetry.io/schemas/1.\(below(40)).0" }
            for _ in 0..<below(3) { resource.scopeSpans.append(scopeSpans()) }
            request.resourceSpans.append(resource)
        }
        return request
    }

    private mutating func scopeSpans() -> Opentelemetry_Proto_Trace_V1_ScopeSpans {
        var scope = Opentelemetry_Proto_Trace_V1_ScopeSpans()
        if chance(4) {
            scope.scope.name = word()
            scope.scope.version = chance(2) ? "1.0" : ""
            scope.scope.attributes = attributes(2)
        }
        if !chance(3) { scope.schemaURL = "https://example.com/schema" }
        for _ in 0..<below(6) { scope.spans.append(span()) }
        return scope
    }

    mutating func span() -> OTLPSpan {
        var span = OTLPSpan()
        span.traceID = bytes(16)
        span.spanID = bytes(8)
        if chance(3) { span.parentSpanID = bytes(8) }
        if !chance(5) { span.parentSpanID = Data(count: 8) }
        if !chance(3) { span.traceState = "vendor=\(word())" }
        span.name = chance(9) ? word() : ""
        span.kind = OTLPSpan.SpanKind(rawValue: below(7)) ?? .unspecified
        span.startTimeUnixNano = UInt64(1_700_000_000_000_000_000 + below(1_000_000_000))
        span.endTimeUnixNano = span.startTimeUnixNano + UInt64(below(1_000_000))
        span.attributes = attributes(9)
        span.droppedAttributesCount = UInt32(chance(5) ? 0 : below(1_000))
        for _ in 0..<below(3) {
            span.events.append(
                .with {
                    $0.timeUnixNano = chance(6) ? span.startTimeUnixNano : 0
                    $0.name = chance(6) ? word() : ""
                    $0.attributes = attributes(3)
                    $0.droppedAttributesCount = UInt32(chance(3) ? 0 : 2)
                })
        }
        for _ in 0..<below(3) {
            span.links.append(
                .with {
                    $0.traceID = bytes(16)
                    $0.spanID = bytes(8)
                    $0.traceState = chance(2) ? "" : "a=b"
                    $0.attributes = attributes(2)
                })
        }
        if chance(2) { span.status.code = .init(rawValue: below(3)) ?? .unset }
        if !chance(3) { span.status.message = word() }
        span.flags = UInt32(below(1_024))
        return span
    }

    mutating func attributes(_ limit: Int) -> [OTLPAttribute] {
        (0..<below(limit + 1)).map { _ in attribute(word(), value(0)) }
    }

    private func attribute(_ key: String, _ value: OTLPAnyValue) -> OTLPAttribute {
        .with {
            $0.key = key
            $0.value = value
        }
    }

    private mutating func value(_ depth: Int) -> OTLPAnyValue {
        var value = OTLPAnyValue()
        switch below(depth > 3 ? 6 : 9) {
        case 0: value.stringValue = word()
        case 1: value.boolValue = chance(2)
        case 2: value.intValue = Int64(bitPattern: numbers.next())
        case 3:
            value.doubleValue = [0, -0.0, 1, 1e-7, .nan, .infinity, -.infinity, 1.5, 1e300].randomElement(
                using: &numbers)!
        case 4: value.bytesValue = bytes(below(9))
        case 5: break
        case 6: value.stringValue = ""
        case 7: value.arrayValue.values = (0..<below(4)).map { _ in self.value(depth + 1) }
        default: value.kvlistValue.values = (0..<below(4)).map { _ in attribute(word(), self.value(depth + 1)) }
        }
        return value
    }

    mutating func word() -> String {
        let words = [
            "http.method", "GET", "größe", "日本語", "a \"quoted\"\\ text\n\t\u{1}", "x", "🛰️", "db.statement",
            "SELECT 1", String(repeating: "long ", count: 40),
        ]
        return words.randomElement(using: &numbers)!
    }

    mutating func below(_ limit: Int) -> Int { Int(numbers.next() % UInt64(limit)) }

    /// True but for one of `n`.
    mutating func chance(_ n: Int) -> Bool { below(n) != 0 }

    private mutating func bytes(_ count: Int) -> Data {
        Data((0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next()) | 1 })
    }
}
