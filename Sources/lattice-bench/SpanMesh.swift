// The traces that are measured: eight services, each with one span of every trace, six tags a span.

import EventModel
import EventStore
import Foundation
import Messaging

/// Makes batches of spans; only the trace ids differ between one round and the next.
struct SpanMesh: Sendable {
    private struct Template: Sendable {
        var subject: String
        var payload: [UInt8]
        /// Where the low half of each trace id begins.
        var places: [Int]
    }

    static let services = 8
    let batch: Int
    private let templates: [Template]

    /// `batch` spans a message, each of another trace.
    init(batch: Int, start: Int64 = Int64(Date().timeIntervalSince1970) * 1_000_000_000) {
        self.batch = batch
        templates = (0..<Self.services).map { Self.template($0, batch, start) }
    }

    var bytesPerSpan: Int { templates[0].payload.count / batch }

    /// Traces that `count` messages make; every eight messages complete `batch` of them.
    func message(_ index: Int, prefix: String = "lattice") -> Message {
        let template = templates[index % Self.services]
        return Message(subject: prefix + template.subject, payload: payload(index))
    }

    /// The facts of one message.
    func payload(_ index: Int) -> [UInt8] {
        let template = templates[index % Self.services]
        var payload = template.payload
        let first = UInt64(index / Self.services * batch)
        for (offset, place) in template.places.enumerated() {
            let id = (first + UInt64(offset) + 1) &* 0x9E37_79B9_7F4A_7C15
            for byte in 0..<8 { payload[place + byte] = UInt8(truncatingIfNeeded: id >> UInt64(56 - 8 * byte)) }
        }
        return payload
    }

    /// A trace of so many messages, by its place.
    func traceID(_ place: Int) -> TraceID {
        TraceID(high: Self.high, low: UInt64(place + 1) &* 0x9E37_79B9_7F4A_7C15)
    }

    private static let high: UInt64 = 0x4bf9_2f35_77b3_4da6

    private static func template(_ service: Int, _ batch: Int, _ start: Int64) -> Template {
        let marks = (0..<batch).map { 0x1234_5678_9ABC_0000 + UInt64($0) }
        let spans = marks.enumerated().map { span(service, $0.offset, $0.element, start) }
        let name = "service-\(service)"
        guard let batch = SpanBatch(serviceName: name, spans: spans),
            let facts = EventCodec.encode(.trace(.spansReceived(batch)))?.facts
        else { preconditionFailure("a batch that breaks the rules of the log") }
        let places = marks.compactMap { mark in
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: mark >> UInt64(56 - 8 * $0)) }
            return facts.firstRange(of: bytes)?.lowerBound
        }
        return Template(subject: ".events.trace.\(name).spans", payload: facts, places: places)
    }

    /// Even services serve, odd ones call.
    private static func span(_ service: Int, _ index: Int, _ mark: UInt64, _ start: Int64) -> TraceSpan {
        let from = start + Int64(service) * 1_000_000 + Int64(index) * 10_000
        let duration = Int64(20 - service) * 2_000_000 + Int64(index * index) * 1_000
        return TraceSpan(
            spanID: SpanID(UInt64(service + 1)), traceID: TraceID(high: high, low: mark),
            parentSpanID: service == 0 ? nil : SpanID(UInt64(service)), serviceName: "service-\(service)",
            operationName: "GET /api/v1/items/\(index % 10)", kind: service % 2 == 0 ? .server : .client,
            status: index % 50 == 7 ? .error : .ok, startTime: Timestamp(nanoseconds: from),
            endTime: Timestamp(nanoseconds: from + duration),
            tags: [
                SpanTag("http.request.method", "GET"), SpanTag("url.path", "/api/v1/items/\(index)"),
                SpanTag(key: "http.response.status_code", value: .int(200)), SpanTag("network.protocol.version", "1.1"),
                SpanTag("user.id", "user-\(index * 7919)"), SpanTag(key: "retry", value: .bool(false)),
            ])
    }
}

extension SpanMesh {
    /// Writes so many spans into a log, without NATS.
    func build(_ directory: String, spans: Int) throws {
        var options = EventLogOptions()
        options.durability = .never
        let (log, _) = try EventLog.open(directory: directory, options: options)
        try log.setSource(.core)
        var frames = FrameBatch()
        let now = Int64(Date().timeIntervalSince1970) * 1_000_000_000
        for index in 0..<spans / batch {
            let message = message(index)
            try frames.append(
                sequence: SequenceNumber(UInt64(index + 1)),
                recordedAt: Timestamp(nanoseconds: now + Int64(index) * 100_000),
                eventType: EventType.spansReceived.rawValue, schemaVersion: EventType.currentSchemaVersion,
                subject: Array(message.subject.utf8.dropFirst(15)), facts: message.payload)
            if frames.byteCount > 1 << 20 || index == spans / batch - 1 {
                try log.append(frames)
                try log.commit()
                frames.removeAll()
            }
        }
        try log.close()
    }
}
