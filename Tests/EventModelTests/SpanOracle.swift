// Spans as the generated code has them: values to compare with, and random ones.

import EventModel
import Foundation
import SwiftProtobuf
import TestKit

/// Generated spans into values.
enum SpanOracle {
    static func span(_ span: Lattice_V1_Span, of batch: Lattice_V1_SpansReceived) -> TraceSpan {
        TraceSpan(
            spanID: SpanID(bytes: span.spanID) ?? SpanID(0),
            traceID: TraceID(bytes: span.traceID) ?? TraceID(high: 0, low: 0),
            // An id of zeros stands for none.
            parentSpanID: SpanID(bytes: span.parentSpanID).flatMap { $0.isValid ? $0 : nil },
            serviceName: batch.serviceName, operationName: span.operationName,
            kind: SpanKind(rawValue: UInt32(truncatingIfNeeded: span.kind.rawValue)) ?? .internal,
            status: SpanStatus(rawValue: UInt32(truncatingIfNeeded: span.status.rawValue)) ?? .ok,
            startTime: Timestamp(nanoseconds: span.startTime), endTime: Timestamp(nanoseconds: span.endTime),
            tags: span.tags.map(tag), logs: span.logs.map(log), links: span.links.map(link),
            resource: batch.resource.map(tag), peerService: span.peerService, statusMessage: span.statusMessage,
            traceState: span.traceState, scopeName: span.scopeName, scopeVersion: span.scopeVersion)
    }

    private static func tag(_ tag: Lattice_V1_SpanTag) -> SpanTag {
        let value: TagValue =
            switch tag.value {
            case .stringValue(let text): .string(text)
            case .boolValue(let value): .bool(value)
            case .intValue(let value): .int(value)
            case .doubleValue(let value): .double(value)
            case .bytesValue(let value): .bytes(Array(value))
            case .jsonValue(let text): .json(text)
            case nil: .string("")
            }
        return SpanTag(key: tag.key, value: value)
    }

    private static func log(_ log: Lattice_V1_SpanLog) -> SpanLog {
        SpanLog(time: Timestamp(nanoseconds: log.time), name: log.name, fields: log.fields.map(tag))
    }

    private static func link(_ link: Lattice_V1_SpanLink) -> SpanLink {
        SpanLink(
            traceID: TraceID(bytes: link.traceID) ?? TraceID(high: 0, low: 0),
            spanID: SpanID(bytes: link.spanID) ?? SpanID(0), traceState: link.traceState, tags: link.tags.map(tag))
    }

    static func hasUnknownFields(_ batch: Lattice_V1_SpansReceived) -> Bool {
        isUnknown(batch.resource)
            || batch.spans.contains { span in
                !span.unknownFields.data.isEmpty || isUnknown(span.tags)
                    || span.logs.contains { !$0.unknownFields.data.isEmpty || isUnknown($0.fields) }
                    || span.links.contains { !$0.unknownFields.data.isEmpty || isUnknown($0.tags) }
            }
    }

    private static func isUnknown(_ tags: [Lattice_V1_SpanTag]) -> Bool {
        tags.contains { !$0.unknownFields.data.isEmpty }
    }
}

extension SeededGenerator {
    /// A random batch that the hand-written codec must take.
    mutating func spansReceived() -> Lattice_V1_SpansReceived {
        Lattice_V1_SpansReceived.with {
            $0.serviceName = text(atMost: 256, allowsEmpty: false)
            $0.spans = (0...below(4)).map { _ in span() }
            $0.resource = tags()
        }
    }

    private mutating func span() -> Lattice_V1_Span {
        Lattice_V1_Span.with {
            $0.traceID = identifier(16)
            $0.spanID = identifier(8)
            if oneIn(2) { $0.parentSpanID = identifier(8) }
            $0.operationName = text(atMost: 256)
            $0.kind = Lattice_V1_SpanKind(rawValue: below(6)) ?? .unspecified
            $0.status = Lattice_V1_SpanStatus(rawValue: below(5)) ?? .unspecified
            $0.startTime = Int64(bitPattern: number())
            $0.endTime = Int64(bitPattern: number())
            $0.tags = tags()
            $0.logs = (0..<below(3)).map { _ in log() }
            $0.links = (0..<below(3)).map { _ in link() }
            $0.peerService = text(atMost: 256)
            $0.statusMessage = text(atMost: 4_096)
            $0.traceState = text(atMost: 4_096)
            $0.scopeName = text(atMost: 256)
            $0.scopeVersion = text(atMost: 256)
        }
    }

    private mutating func identifier(_ count: Int) -> Data {
        Data([1] + (1..<count).map { _ in UInt8(truncatingIfNeeded: next()) })
    }

    private mutating func log() -> Lattice_V1_SpanLog {
        Lattice_V1_SpanLog.with {
            $0.time = Int64(bitPattern: number())
            $0.name = text(atMost: 256)
            $0.fields = tags()
        }
    }

    private mutating func link() -> Lattice_V1_SpanLink {
        Lattice_V1_SpanLink.with {
            $0.traceID = identifier(16)
            $0.spanID = identifier(8)
            $0.traceState = text(atMost: 4_096)
            $0.tags = tags()
        }
    }

    private mutating func tags() -> [Lattice_V1_SpanTag] {
        (0..<below(4)).map { _ in
            Lattice_V1_SpanTag.with {
                $0.key = text(atMost: 256)
                switch below(6) {
                case 0: $0.stringValue = text(atMost: 4_096)
                case 1: $0.boolValue = oneIn(2)
                case 2: $0.intValue = Int64(bitPattern: number())
                case 3: $0.doubleValue = Double(below(1_000_000)) / 64
                case 4: $0.bytesValue = Data((0..<below(20)).map { _ in UInt8(truncatingIfNeeded: next()) })
                default: $0.jsonValue = "[\(below(100))]"
                }
            }
        }
    }
}
