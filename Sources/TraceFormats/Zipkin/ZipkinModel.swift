// Zipkin's JSON as its UI reads it. Source of the fields: openzipkin/zipkin-api, zipkin2-api.yaml.

package import EventModel
import FoundationEssentials

/// One span; what is absent is left out.
package struct ZipkinSpanJSON: Encodable {
    struct Endpoint: Encodable, Hashable {
        var serviceName: String?
        var ipv4: String?
        var ipv6: String?
        var port: Int64?

        var isEmpty: Bool { self == Endpoint() }
    }

    struct Annotation: Encodable {
        /// Microseconds.
        var timestamp: Int64
        var value: String
    }

    var traceId: String
    var parentId: String?
    var id: String
    var kind: String?
    var name: String
    /// Microseconds.
    var timestamp: Int64
    /// Microseconds, at least one.
    var duration: Int64
    var localEndpoint: Endpoint?
    var remoteEndpoint: Endpoint?
    var annotations: [Annotation]
    package var tags: [String: String]
    var debug: Bool?
    /// The server's half of an id that its client has, too.
    var shared: Bool?
}

extension ZipkinSpanJSON {
    /// The spans of a trace, both halves of shared ids.
    package static func spans(of trace: Lattice_V1_TraceAnswer) -> [ZipkinSpanJSON] {
        trace.spans.map { ZipkinSpanJSON($0, of: trace) }
    }

    package init(_ collected: Lattice_V1_CollectedSpan, of trace: Lattice_V1_TraceAnswer) {
        let span = collected.span
        let resource =
            trace.resources.indices.contains(Int(collected.resourceIndex))
            ? trace.resources[Int(collected.resourceIndex)] : Lattice_V1_TraceResource()
        traceId = Self.traceID(span.traceID.hexadecimal)
        parentId = span.parentSpanID.isEmpty ? nil : span.parentSpanID.hexadecimal
        id = span.spanID.hexadecimal
        kind = Self.kind(span.kind)
        name = span.operationName
        timestamp = span.startTime / 1_000
        // Durations of less than one are rounded up.
        duration = max(1, (span.endTime - span.startTime) / 1_000)
        var texts = Self.texts(span.tags)
        let own = Self.texts(resource.tags)
        localEndpoint = Self.endpoint(resource.serviceName, own, "ip", "ipv6", "port")
        remoteEndpoint = Self.endpoint(
            span.peerService.isEmpty ? texts["peer.service"] ?? "" : span.peerService, texts, "network.peer.address",
            "network.peer.ipv6", "network.peer.port")
        annotations = span.logs.map { log in
            Annotation(timestamp: log.time / 1_000, value: Self.annotation(log))
        }
        debug = texts.removeValue(forKey: "zipkin.debug") == "true" ? true : nil
        shared = texts.removeValue(forKey: "zipkin.shared") == "true" ? true : nil
        for name in ["network.peer.address", "network.peer.ipv6", "network.peer.port"] { texts[name] = nil }
        // What the process says of itself has no place of its own with Zipkin.
        for (key, value) in own where texts[key] == nil && !["ip", "ipv6", "port"].contains(key) { texts[key] = value }
        if span.status != .ok && span.status != .unspecified && texts["error"] == nil {
            texts["error"] = span.statusMessage.isEmpty ? "true" : span.statusMessage
        }
        tags = texts
    }

    /// Ids of eight bytes are shown as their senders wrote them.
    private static func traceID(_ digits: String) -> String {
        digits.hasPrefix("0000000000000000") ? String(digits.dropFirst(16)) : digits
    }

    private static func kind(_ kind: Lattice_V1_SpanKind) -> String? {
        switch kind {
        case .client: "CLIENT"
        case .server: "SERVER"
        case .producer: "PRODUCER"
        case .consumer: "CONSUMER"
        default: nil
        }
    }

    private static func texts(_ tags: [Lattice_V1_SpanTag]) -> [String: String] {
        Dictionary(tags.map { ($0.key, text($0)) }) { first, _ in first }
    }

    private static func text(_ tag: Lattice_V1_SpanTag) -> String {
        switch tag.value {
        case .stringValue(let text), .jsonValue(let text): text
        case .boolValue(let bit): bit ? "true" : "false"
        case .intValue(let number): "\(number)"
        case .doubleValue(let number): "\(number)"
        case .bytesValue(let bytes): bytes.base64EncodedString()
        case nil: ""
        }
    }

    private static func endpoint(
        _ name: String, _ texts: [String: String], _ first: String, _ second: String, _ port: String
    ) -> Endpoint? {
        var endpoint = Endpoint(serviceName: name.isEmpty ? nil : name)
        for address in [texts[first], texts[second]].compactMap({ $0 }) where !address.isEmpty {
            if address.contains(":") { endpoint.ipv6 = address } else { endpoint.ipv4 = address }
        }
        endpoint.port = texts[port].flatMap { Int64($0) }
        return endpoint.isEmpty ? nil : endpoint
    }

    /// An annotation has a value only: the name, or all fields as JSON where there are some.
    private static func annotation(_ log: Lattice_V1_SpanLog) -> String {
        if log.fields.isEmpty { return log.name }
        if log.name == "annotation", log.fields.count == 1, log.fields[0].key == "value" { return text(log.fields[0]) }
        var fields = texts(log.fields)
        if !log.name.isEmpty { fields["event"] = log.name }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(fields)).map { String(decoding: $0, as: UTF8.self) } ?? log.name
    }
}
