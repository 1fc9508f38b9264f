// Zipkin's spans, version 2 in JSON, as ours. Source of the fields: zipkin.io/zipkin-api, zipkin2-api.yaml.

import EventModel

/// Translates lists of Zipkin's spans.
package enum ZipkinSpans {
    /// The spans in messages by service and endpoint, and what was refused.
    ///
    /// A span without a start takes that of its first annotation; one without a duration ends where it starts.
    /// - Throws: where the JSON is not a list of spans.
    package static func translate(_ json: [UInt8]) throws(MalformedInput) -> SpanTranslation {
        let list = try ForeignJSON.decode([ZipkinSpan].self, json, "a list of Zipkin spans")
        var batches = SpanBatches()
        for span in list {
            do throws(MalformedInput) {
                let translated = try span.translated().fitForLog()
                if let objection = translated.objection {
                    batches.refuse(objection)
                } else {
                    batches.append(translated)
                }
            } catch {
                batches.refuse(error.reason)
            }
        }
        return batches.finish()
    }
}

/// A span as Zipkin writes it.
private struct ZipkinSpan: Decodable {
    struct Endpoint: Decodable {
        var serviceName: String?
        var ipv4: String?
        var ipv6: String?
        var port: Int64?
    }

    struct Annotation: Decodable {
        var timestamp: Microseconds
        var value: String
    }

    var traceId: String
    var id: String
    var parentId: String?
    var name: String?
    var kind: String?
    var timestamp: Microseconds?
    var duration: Microseconds?
    var localEndpoint: Endpoint?
    var remoteEndpoint: Endpoint?
    var annotations: [Annotation]?
    var tags: [String: ForeignValue]?
    var debug: Bool?
    var shared: Bool?

    func translated() throws(MalformedInput) -> TraceSpan {
        guard let trace = ForeignID.trace(traceId) else { throw MalformedInput("malformed: traceId") }
        guard let own = ForeignID.span(id) else { throw MalformedInput("malformed: id") }
        let start = timestamp?.nanoseconds ?? annotations?.first?.timestamp.nanoseconds ?? 0
        let end = start.addingReportingOverflow(duration?.nanoseconds ?? 0)
        var span = TraceSpan(
            spanID: own, traceID: trace, parentSpanID: try parent(), serviceName: service,
            operationName: name.flatMap { $0.isEmpty ? nil : $0 } ?? "unknown", kind: spanKind,
            startTime: Timestamp(nanoseconds: start),
            endTime: Timestamp(nanoseconds: end.overflow ? .max : end.partialValue))
        span.tags = (tags ?? [:]).sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { key, value in
            SpanTag(key: key, value: value.tagValue)
        }
        span.tags += Self.address(remoteEndpoint, "network.peer.address", "network.peer.ipv6", "network.peer.port")
        if debug == true { span.tags.append(SpanTag(key: "zipkin.debug", value: .bool(true))) }
        if shared == true { span.tags.append(SpanTag(key: "zipkin.shared", value: .bool(true))) }
        span.peerService = remoteEndpoint?.serviceName ?? ""
        span.resource = Self.address(localEndpoint, "ip", "ipv6", "port")
        span.logs = (annotations ?? []).map(Self.log)
        judge(&span)
        return span
    }

    private var service: String {
        guard let name = localEndpoint?.serviceName, !name.isEmpty else { return "unknown_service" }
        return name
    }

    private func parent() throws(MalformedInput) -> SpanID? {
        guard let parentId, parentId.contains(where: { $0 != "0" }) else { return nil }
        guard let parent = ForeignID.span(parentId) else { throw MalformedInput("malformed: parentId") }
        return parent
    }

    private var spanKind: SpanKind { kind.flatMap { SpanKind(name: $0) } ?? .internal }

    /// A tag `error` means one, whatever it says, but for "false"; its text is the message.
    private func judge(_ span: inout TraceSpan) {
        if tags?["otel.status_code"]?.value == .string("ERROR") { span.status = .error }
        guard let error = tags?["error"]?.tagValue.description, error != "false" else { return }
        span.status = .error
        if error != "true" { span.statusMessage = error }
    }

    /// Address and port of an endpoint, version 4 before version 6.
    private static func address(
        _ endpoint: Endpoint?, _ first: String, _ second: String, _ port: String
    ) -> [SpanTag] {
        guard let endpoint else { return [] }
        var tags: [SpanTag] = []
        let addresses = [endpoint.ipv4, endpoint.ipv6].compactMap { $0 }.filter { !$0.isEmpty }
        if let one = addresses.first { tags.append(SpanTag(first, one)) }
        if addresses.count > 1 { tags.append(SpanTag(second, addresses[1])) }
        if let number = endpoint.port, number != 0 { tags.append(SpanTag(key: port, value: .int(number))) }
        return tags
    }

    /// An annotation; what is too long for a name stands whole among the fields.
    private static func log(_ annotation: Annotation) -> SpanLog {
        let time = Timestamp(nanoseconds: annotation.timestamp.nanoseconds)
        guard annotation.value.utf8.count > Limits.identifierBytes else {
            return SpanLog(time: time, name: annotation.value)
        }
        return SpanLog(time: time, name: "annotation", fields: [SpanTag("value", annotation.value)])
    }
}
