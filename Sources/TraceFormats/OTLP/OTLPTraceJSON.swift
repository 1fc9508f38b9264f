// Collected spans as OTLP's JSON, which version 3 of Jaeger's API answers with.

package import EventModel
import FoundationEssentials
import SwiftProtobuf

/// `{"resourceSpans":[…]}`
package struct OTLPTracesJSON: Encodable {
    struct Value: Encodable {
        let tag: Lattice_V1_SpanTag

        enum CodingKeys: CodingKey { case stringValue, boolValue, intValue, doubleValue, bytesValue }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            switch tag.value {
            case .stringValue(let text), .jsonValue(let text): try container.encode(text, forKey: .stringValue)
            case .boolValue(let bit): try container.encode(bit, forKey: .boolValue)
            case .intValue(let number): try container.encode("\(number)", forKey: .intValue)
            case .doubleValue(let number) where number.isFinite: try container.encode(number, forKey: .doubleValue)
            case .doubleValue(let number):
                let text = number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
                try container.encode(text, forKey: .doubleValue)
            case .bytesValue(let bytes): try container.encode(bytes.base64EncodedString(), forKey: .bytesValue)
            case nil: break
            }
        }
    }

    struct Attribute: Encodable {
        var key: String
        var value: Value

        init(_ tag: Lattice_V1_SpanTag) {
            key = tag.key
            value = Value(tag: tag)
        }

        init(_ key: String, _ text: String) {
            self.init(
                .with {
                    $0.key = key
                    $0.stringValue = text
                })
        }
    }

    struct Resource: Encodable { var attributes: [Attribute] }

    struct Scope: Encodable {
        var name: String
        var version: String
    }

    struct Event: Encodable {
        var timeUnixNano: String
        var name: String
        var attributes: [Attribute]
    }

    struct Link: Encodable {
        var traceId: String
        var spanId: String
        var traceState: String
        var attributes: [Attribute]
    }

    struct Status: Encodable {
        var code: Int
        var message: String
    }

    struct Span: Encodable {
        var traceId: String
        var spanId: String
        var parentSpanId: String?
        var traceState: String
        var name: String
        var kind: Int
        var startTimeUnixNano: String
        var endTimeUnixNano: String
        var attributes: [Attribute]
        var events: [Event]
        var links: [Link]
        var status: Status
    }

    struct ScopeSpans: Encodable {
        var scope: Scope
        var spans: [Span]
    }

    struct ResourceSpans: Encodable {
        var resource: Resource
        var scopeSpans: [ScopeSpans]
    }

    var resourceSpans: [ResourceSpans]

    package init(_ traces: [Lattice_V1_TraceAnswer]) { resourceSpans = traces.flatMap { Self.resourceSpans($0) } }

    /// The spans of a trace by process, in the order of the answer; each change of the library begins a group.
    private static func resourceSpans(_ trace: Lattice_V1_TraceAnswer) -> [ResourceSpans] {
        trace.resources.enumerated().compactMap { index, resource in
            var groups: [ScopeSpans] = []
            for collected in trace.spans where Int(collected.resourceIndex) == index {
                let scope = Scope(name: collected.span.scopeName, version: collected.span.scopeVersion)
                if let last = groups.last, last.scope.name == scope.name, last.scope.version == scope.version {
                    groups[groups.count - 1].spans.append(span(collected.span))
                } else {
                    groups.append(ScopeSpans(scope: scope, spans: [span(collected.span)]))
                }
            }
            if groups.isEmpty { return nil }
            var attributes = resource.tags.map { Attribute($0) }
            if !attributes.contains(where: { $0.key == "service.name" }) {
                attributes.insert(Attribute("service.name", resource.serviceName), at: 0)
            }
            return ResourceSpans(resource: Resource(attributes: attributes), scopeSpans: groups)
        }
    }

    private static func span(_ span: Lattice_V1_Span) -> Span {
        Span(
            traceId: span.traceID.hexadecimal, spanId: span.spanID.hexadecimal,
            parentSpanId: span.parentSpanID.isEmpty ? nil : span.parentSpanID.hexadecimal, traceState: span.traceState,
            name: span.operationName, kind: kind(span.kind), startTimeUnixNano: "\(span.startTime)",
            endTimeUnixNano: "\(span.endTime)", attributes: span.tags.map { Attribute($0) },
            events: span.logs.map {
                Event(timeUnixNano: "\($0.time)", name: $0.name, attributes: $0.fields.map { Attribute($0) })
            },
            links: span.links.map {
                Link(
                    traceId: $0.traceID.hexadecimal, spanId: $0.spanID.hexadecimal, traceState: $0.traceState,
                    attributes: $0.tags.map { Attribute($0) })
            },
            status: status(span))
    }

    private static func kind(_ kind: Lattice_V1_SpanKind) -> Int {
        switch SpanKind(rawValue: UInt32(kind.rawValue)) {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        case nil: 0
        }
    }

    private static func status(_ span: Lattice_V1_Span) -> Status {
        let status = SpanStatus(rawValue: UInt32(span.status.rawValue)) ?? .ok
        return Status(code: status == .ok ? 0 : 2, message: span.statusMessage)
    }
}
