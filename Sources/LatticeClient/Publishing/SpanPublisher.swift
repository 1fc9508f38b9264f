// Publishes spans in batches, one service to a message.

internal import EventModel
internal import Messaging
public import ServiceLifecycle

/// Takes spans over from the threads that made them and publishes them as `<prefix>.events.trace.<service>.spans`.
///
/// Who hands a span over never waits for the network: what does not fit into the queue is dropped and counted. What is in the
/// queue stays there until a node has it on disk, however often node or NATS go away meanwhile. Run it as a service; it
/// publishes what is left when the service group shuts down.
public final class SpanPublisher: Service {
    private let publisher: BatchPublisher<String, TraceSpan>

    public init(_ connection: MeshConnection, limits: PublisherLimits = PublisherLimits()) {
        publisher = BatchPublisher(connection, limits, parallel: { _ in 8 }) { service, spans, bytesMaximum in
            SpanMessages(connection.subject(.spansReceived, of: service), service, bytesMaximum).encode(spans)
        }
    }

    /// Takes a span over; false: the queue was full, and it is lost.
    @discardableResult
    package func publish(_ span: TraceSpan) -> Bool {
        publisher.add(span.serviceName, span, bytes: span.estimatedBytes)
    }

    /// What has become of all spans.
    public var figures: PublisherFigures { publisher.figures }

    /// Publishes until the task is cancelled or the service group shuts down.
    public func run() async { await publisher.run() }

    /// Sends what waits without waiting for company.
    func hurry() { publisher.hurry() }

    /// Publishes what waits and returns when it is recorded; false where it was not within `limit`.
    @discardableResult
    public func flush(within limit: Duration = .seconds(2)) async -> Bool { await publisher.flush(within: limit) }
}

extension TraceSpan {
    /// Roughly what the encoded span takes, without encoding it.
    fileprivate var estimatedBytes: Int {
        var result = 96 + operationName.utf8.count + statusMessage.utf8.count + traceState.utf8.count
        for tag in tags { result += tag.estimatedBytes }
        for log in logs { result += 24 + log.name.utf8.count + log.fields.reduce(0) { $0 + $1.estimatedBytes } }
        for link in links { result += 40 + link.tags.reduce(0) { $0 + $1.estimatedBytes } }
        return result
    }
}

extension SpanTag {
    fileprivate var estimatedBytes: Int {
        switch value {
        case .string(let text), .json(let text): 8 + key.utf8.count + text.utf8.count
        case .bytes(let bytes): 8 + key.utf8.count + bytes.count
        default: 18 + key.utf8.count
        }
    }
}

/// Spans of one service as messages.
private struct SpanMessages {
    let subject: String
    let service: String
    let bytesMaximum: Int

    init(_ subject: String, _ service: String, _ bytesMaximum: Int) {
        self.subject = subject
        self.service = service
        self.bytesMaximum = bytesMaximum
    }

    /// A message has one resource: that of the process whose spans they are.
    func encode(_ spans: [TraceSpan]) -> [EncodedBatch] {
        var result: [EncodedBatch] = []
        var rest = spans[...]
        while let first = rest.first {
            let same = rest.prefix { $0.resource == first.resource }
            rest = rest.dropFirst(same.count)
            result += encode(same, first.resource)
        }
        return result
    }

    private func encode(_ spans: ArraySlice<TraceSpan>, _ resource: [SpanTag]) -> [EncodedBatch] {
        if let batch = message(spans, resource) { return [batch] }
        // Too large, or one of them breaks the rules: half by half, down to the one.
        if spans.count <= 1 { return [] }
        let middle = spans.startIndex + spans.count / 2
        return encode(spans[..<middle], resource) + encode(spans[middle...], resource)
    }

    private func message(_ spans: ArraySlice<TraceSpan>, _ resource: [SpanTag]) -> EncodedBatch? {
        var writer = WireWriter(capacity: 128 + spans.count * 256)
        writer.field(1, service)
        for span in spans { writer.message(2) { inner in SpanEncoding.write(span, &inner) } }
        for tag in resource { tag.write(3, &writer) }
        guard writer.bytes.count <= bytesMaximum, (try? SpanBatch(facts: writer.bytes[...])) != nil else { return nil }
        return EncodedBatch(
            message: Message(
                subject: subject, headers: [MessageHeader("Content-Type", "application/protobuf")],
                payload: writer.bytes),
            count: spans.count)
    }
}
