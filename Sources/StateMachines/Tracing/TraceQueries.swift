// Questions about single traces to one part of the collector. Tags, logs and links are read back from the log by the host.

package import EventModel

/// What the collector itself knows of a span.
package struct SpanFacts: Sendable, Hashable {
    package var traceID: TraceID
    package var key: SpanKey
    package var parentSpanID: SpanID?
    package var serviceName: String
    package var operationName: String
    package var kind: SpanKind
    package var status: SpanStatus
    package var startTime: Timestamp
    package var duration: Nanoseconds
    /// Where it ran; empty: not known.
    package var host: String
    /// Where all of it stands.
    package var position: EventPosition

    /// The span without tags, logs and links; its host stands among the tags of its process.
    package var span: TraceSpan {
        TraceSpan(
            spanID: key.spanID, traceID: traceID, parentSpanID: parentSpanID, serviceName: serviceName,
            operationName: operationName, kind: kind, status: status, startTime: startTime,
            endTime: startTime + duration, resource: host.isEmpty ? [] : [SpanTag("host.id", host)])
    }
}

/// One trace as a part holds it.
package struct TraceFacts: Sendable, Hashable {
    package var traceID: TraceID
    /// By start, then by id.
    package var spans: [SpanFacts]
    /// Nil: not settled yet.
    package var verdict: TraceVerdict?

    /// The trace with what the collector itself knows: tree, times, services (`assemble` of Specification.md).
    package func tree(asOf: AsOf) -> TraceTree { TraceAnalysis.assemble(traceID, spans.map(\.span), asOf: asOf) }

    /// Both halves of a span (`get_span` of Specification.md).
    package func span(_ id: SpanID) -> [SpanFacts] { spans.filter { $0.key.spanID == id } }

    /// The spans that name this one as their parent, and the server's half of its id, by start (`children` of
    /// Specification.md).
    package func children(of parent: SpanID) -> [SpanFacts] {
        let clients = Set(spans.filter { !$0.key.isServerHalf }.map(\.key.spanID))
        return spans.filter { span in
            // The server's half of a shared id hangs under the client's, whatever parent it names.
            let isShared = span.key.isServerHalf && clients.contains(span.key.spanID)
            return isShared ? span.key.spanID == parent : span.parentSpanID == parent
        }
    }
}

extension TraceCollector {
    /// Traces that are resident in this part.
    package var traceCount: Int { partitions.reduce(0) { $0 + $1.slotByID.count } }
    /// Spans that are resident in this part.
    package var spanCount: Int { partitions.reduce(0) { $0 + $1.spanCount } }
    /// Spans whose service, operation or peer was counted under `__other__`.
    package var overflowedNames: UInt64 { names.overflowCount }

    /// The series of this part. Windows are numbered from the epoch, five minutes each; nil: all that are kept.
    package func series(windows: ClosedRange<Int64>? = nil) -> TraceSeries { TraceSeries(series, names, windows) }

    func facts(_ row: SpanRow, _ traceID: TraceID) -> SpanFacts {
        SpanFacts(
            traceID: traceID, key: SpanKey(spanID: SpanID(row.spanID), isServerHalf: row.isServerHalf),
            parentSpanID: row.parentID == 0 ? nil : SpanID(row.parentID), serviceName: names.nodes[Int(row.service)],
            operationName: names.operations[Int(row.operation)].name, kind: row.spanKind, status: row.spanStatus,
            startTime: Timestamp(nanoseconds: row.start), duration: Nanoseconds(row.duration),
            host: names.hosts[Int(row.host)],
            position: EventPosition(sequence: SequenceNumber(row.sequence), index: row.index))
    }

    /// Whether a trace is resident in this part.
    package func holds(_ traceID: TraceID) -> Bool { trace(traceID) != nil }

    /// A trace; nil where it is not resident or in another part.
    package func facts(of traceID: TraceID) -> TraceFacts? {
        guard let trace = trace(traceID) else { return nil }
        return TraceFacts(traceID: traceID, spans: spans(of: traceID), verdict: trace.verdict)
    }

    /// Every span of a trace, by start and id; empty where it is not resident or in another part.
    package func spans(of traceID: TraceID) -> [SpanFacts] {
        let rows = (trace(traceID)?.rows ?? []).sorted(by: SpanRow.precedes)
        return rows.map { facts($0, traceID) }
    }

    /// Both halves of a span (`get_span` of Specification.md).
    package func span(_ traceID: TraceID, _ spanID: SpanID) -> [SpanFacts] {
        facts(of: traceID)?.span(spanID) ?? []
    }

    /// The children of a span (`children` of Specification.md), by start.
    package func children(_ traceID: TraceID, _ parent: SpanID) -> [SpanFacts] {
        facts(of: traceID)?.children(of: parent) ?? []
    }
}
