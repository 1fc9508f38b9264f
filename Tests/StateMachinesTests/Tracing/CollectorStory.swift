// Tells a story to a collector as one and in three parts at once, and fails where the two disagree.

import EventModel
import Testing

@testable import StateMachines

/// A log of spans as a test writes it, and what is collected from it.
struct CollectorStory {
    private(set) var collector: TraceCollector
    /// The same, by three actors.
    private(set) var parts: [TraceCollector]
    private(set) var sequence: UInt64 = 0
    /// The stamp of the next record.
    var now = Timestamp(nanoseconds: Story.beginning)
    private var slot: UInt64 = 0
    var semantics = Semantics.first

    init(_ settings: TraceSettings = TraceSettings()) {
        collector = TraceCollector(settings)
        parts = (0..<3).map { TraceCollector(settings, part: $0, of: 3) }
    }

    /// Appends batches, one for each service in the order in which they first occur; the last one's outcome.
    @discardableResult
    mutating func receives(_ spans: [TraceSpan], at location: SourceLocation = #_sourceLocation) -> Outcome {
        var services: [String] = []
        for span in spans where !services.contains(span.serviceName) { services.append(span.serviceName) }
        var outcome = Outcome()
        for service in services {
            let own = spans.filter { $0.serviceName == service }
            guard let batch = SpanBatch(serviceName: service, spans: own) else {
                Issue.record("the batch breaks the rules of the log", sourceLocation: location)
                continue
            }
            outcome = append(.trace(.spansReceived(batch)), at: location)
        }
        return outcome
    }

    /// Appends a record; both collectors must say the same of it.
    @discardableResult
    mutating func append(_ event: Event, at location: SourceLocation = #_sourceLocation) -> Outcome {
        sequence += 1
        var moment = Moment(
            sequence: SequenceNumber(sequence), recordedAt: now, logTime: now, expiryTime: .zero)
        moment.semantics = semantics
        let record = AdmittedRecord(
            record: EventRecord(
                sequence: SequenceNumber(sequence), recordedAt: now, messageID: [][...], event: event),
            moment: moment)
        let outcome = collector.apply(record)
        let shared = parts.indices.map { parts[$0].apply(record) }
        #expect(TraceCollector.combined(shared) == outcome, sourceLocation: location)
        return outcome
    }

    /// One tick at the present stamp.
    mutating func tick(at location: SourceLocation = #_sourceLocation) {
        slot += 1
        append(.clock(.tick(slot: slot)), at: location)
    }

    /// Lets time pass, then ticks.
    mutating func pass(_ seconds: Int64, at location: SourceLocation = #_sourceLocation) {
        now = now + .seconds(seconds)
        tick(at: location)
    }

    /// Digest and checkpoint depend neither on the number of parts nor on how the state came about.
    mutating func expectOneState(at location: SourceLocation = #_sourceLocation) {
        let digest = collector.digest()
        let bytes = collector.encodeCheckpoint()
        #expect(TraceCollector.combined(parts.indices.map { parts[$0].digest() }) == digest, sourceLocation: location)
        var joined = TraceCollector(joining: parts)
        #expect(joined.encodeCheckpoint() == bytes, sourceLocation: location)
        #expect(joined.digest() == digest, sourceLocation: location)
        guard var restored = TraceCollector(checkpoint: bytes) else {
            Issue.record("the checkpoint can not be read", sourceLocation: location)
            return
        }
        #expect(restored.digest() == digest, sourceLocation: location)
        #expect(restored.encodeCheckpoint() == bytes, sourceLocation: location)
        var split = restored.split(into: 5)
        #expect(TraceCollector.combined(split.indices.map { split[$0].digest() }) == digest, sourceLocation: location)
    }

    /// Goes on from its own checkpoint, in three other parts.
    mutating func restarts(at location: SourceLocation = #_sourceLocation) {
        guard let restored = TraceCollector(checkpoint: collector.encodeCheckpoint()) else {
            Issue.record("the checkpoint can not be read", sourceLocation: location)
            return
        }
        collector = restored
        parts = restored.split(into: 3)
    }
}

/// A span by a service that lies within the story's first minutes; times in milliseconds from its beginning.
func spanMs(
    _ id: UInt64, in parent: UInt64? = nil, _ start: Int64, _ end: Int64, trace: UInt64 = 1,
    service: String = "checkout", operation: String = "o", kind: SpanKind = .server, status: SpanStatus = .ok,
    peer: String = "", tags: [SpanTag] = []
) -> TraceSpan {
    TraceSpan(
        spanID: SpanID(id), traceID: TraceID(high: 0, low: trace), parentSpanID: parent.map { SpanID($0) },
        serviceName: service, operationName: operation, kind: kind, status: status,
        startTime: Timestamp(nanoseconds: Story.beginning + start * 1_000_000),
        endTime: Timestamp(nanoseconds: Story.beginning + end * 1_000_000), tags: tags, peerService: peer)
}
