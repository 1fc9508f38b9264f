// Spans for a collector in hand: each list is a record of a log that nobody keeps, without what stands before the fold.

import EventModel

@testable import StateMachines

/// A collector with these settings.
func createCollector(_ settings: TraceSettings = TraceSettings()) -> TraceCollector { TraceCollector(settings) }

extension TraceCollector {
    /// Ingests a span as the next record of a log (`ingest`).
    @discardableResult
    mutating func ingest(_ span: TraceSpan, at recordedAt: Timestamp) -> Outcome {
        ingestBatch([span], at: recordedAt)
    }

    /// Ingests spans, one record for each service in the order in which they first occur (`ingest_batch`). Indices of
    /// refusals are those of the list; spans that break the frozen rules of the log are `not_attempted`.
    @discardableResult
    mutating func ingestBatch(_ spans: [TraceSpan], at recordedAt: Timestamp) -> Outcome {
        var places: [ByteName: [Int]] = [:]
        var services: [ByteName] = []
        for (index, span) in spans.enumerated() {
            let name = ByteName(span.serviceName)
            if places[name] == nil { services.append(name) }
            places[name, default: []].append(index)
        }
        var outcome = Outcome()
        for service in services {
            let own = places[service] ?? []
            guard let batch = SpanBatch(serviceName: service.text, spans: own.map { spans[$0] }) else {
                for index in own { outcome.refuse(index, .notAttempted) }
                continue
            }
            let part = append(.trace(.spansReceived(batch)), at: recordedAt)
            outcome.accepted += part.accepted
            for refusal in part.refused { outcome.refuse(own[Int(refusal.index)], refusal.reason) }
        }
        outcome.refused.sort { $0.index < $1.index }
        return outcome
    }

    /// Removes the traces whose time is over by then, and judges those that have settled (`prune_expired`).
    mutating func pruneExpired(at recordedAt: Timestamp) { _ = append(.clock(.tick(slot: 0)), at: recordedAt) }

    private mutating func append(_ event: Event, at recordedAt: Timestamp) -> Outcome {
        let next = Moment(
            sequence: moment.sequence.next, recordedAt: recordedAt, logTime: max(moment.logTime, recordedAt),
            expiryTime: moment.expiryTime)
        let record = EventRecord(sequence: next.sequence, recordedAt: recordedAt, event: event)
        return apply(AdmittedRecord(record: record, moment: next))
    }

    /// A span without what stands in the log only; of two halves the client's (`get_span`).
    func getSpan(_ traceID: TraceID, _ spanID: SpanID) -> TraceSpan? { span(traceID, spanID).first?.span }
}
