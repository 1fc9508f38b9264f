// Collected spans as Jaeger's traces.

package import EventModel
import FoundationEssentials

extension JaegerTraceJSON {
    /// A trace as Jaeger would give it.
    package init(_ answer: Lattice_V1_TraceAnswer) {
        traceID = answer.traceID.hexadecimal
        spans = answer.spans.map { JaegerSpanJSON($0) }
        processes = [:]
        for (index, resource) in answer.resources.enumerated() {
            processes[JaegerSpanJSON.processID(UInt32(index))] = JaegerProcessJSON(
                serviceName: resource.serviceName, tags: resource.tags.map { JaegerTagJSON($0) })
        }
    }
}

extension JaegerSpanJSON {
    static func processID(_ index: UInt32) -> String { "p\(index + 1)" }

    init(_ collected: Lattice_V1_CollectedSpan) {
        let span = collected.span
        traceID = span.traceID.hexadecimal
        spanID = span.spanID.hexadecimal
        operationName = span.operationName
        startTime = span.startTime / 1_000
        duration = (span.endTime - span.startTime) / 1_000
        references = Self.references(span)
        tags = Self.tags(span)
        logs = span.logs.map { log in
            var fields = log.fields.map { JaegerTagJSON($0) }
            let hasEvent = fields.contains { $0.key == "event" }
            if !log.name.isEmpty && !hasEvent { fields.insert(JaegerTagJSON("event", .string(log.name)), at: 0) }
            return Log(timestamp: log.time / 1_000, fields: fields)
        }
        processID = Self.processID(collected.resourceIndex)
        warnings = collected.warnings
    }

    /// The parent first, then the links.
    private static func references(_ span: Lattice_V1_Span) -> [Reference] {
        var references: [Reference] = []
        if !span.parentSpanID.isEmpty {
            references.append(
                Reference(
                    refType: "CHILD_OF", traceID: span.traceID.hexadecimal, spanID: span.parentSpanID.hexadecimal))
        }
        return references
            + span.links.map { link in
                let isChild = link.tags.contains {
                    $0.key == "opentracing.ref_type" && $0.value == .stringValue("child_of")
                }
                return Reference(
                    refType: isChild ? "CHILD_OF" : "FOLLOWS_FROM", traceID: link.traceID.hexadecimal,
                    spanID: link.spanID.hexadecimal)
            }
    }

    /// The span's own tags, and what has a field of its own with us but is a tag with Jaeger.
    private static func tags(_ span: Lattice_V1_Span) -> [JaegerTagJSON] {
        var tags = span.tags.map { JaegerTagJSON($0) }
        func add(_ key: String, _ value: JaegerTagJSON.Value, if isWanted: Bool) {
            if isWanted && !tags.contains(where: { $0.key == key }) { tags.append(JaegerTagJSON(key, value)) }
        }
        let kind = SpanKind(rawValue: UInt32(span.kind.rawValue))
        if let kind { add("span.kind", .string(kind.name), if: true) }
        let status = SpanStatus(rawValue: UInt32(span.status.rawValue)) ?? .ok
        add("error", .bool(true), if: status != .ok)
        add("otel.status_code", .string("ERROR"), if: status != .ok)
        add("lattice.status", .string(status.name), if: status == .timeout || status == .cancelled)
        add("otel.status_description", .string(span.statusMessage), if: !span.statusMessage.isEmpty)
        add("peer.service", .string(span.peerService), if: !span.peerService.isEmpty)
        add("otel.scope.name", .string(span.scopeName), if: !span.scopeName.isEmpty)
        add("otel.scope.version", .string(span.scopeVersion), if: !span.scopeVersion.isEmpty)
        add("w3c.tracestate", .string(span.traceState), if: !span.traceState.isEmpty)
        return tags
    }
}

extension JaegerTagJSON {
    init(_ tag: Lattice_V1_SpanTag) {
        key = tag.key
        switch tag.value {
        case .stringValue(let text), .jsonValue(let text): value = .string(text)
        case .boolValue(let bit): value = .bool(bit)
        case .intValue(let number): value = .int(number)
        case .doubleValue(let number): value = .float(number)
        case .bytesValue(let bytes): value = .binary(bytes.base64EncodedString())
        case nil: value = .string("")
        }
    }
}

extension Data {
    /// Two digits a byte, lower case.
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
