// Spans on their way into messages: one message per service and process, cut where a message would grow too large.

package import EventModel

/// A payload for `<prefix>.events.trace.<service>.spans`.
package struct SpanMessage: Sendable, Hashable {
    package var serviceName: String
    /// `SpansReceived` in protobuf.
    package var payload: [UInt8]
    package var spanCount: Int
}

/// Spans that were not taken, by reason.
package struct SpanRefusals: Sendable, Hashable {
    private var counts: [String: Int] = [:]
    package private(set) var total = 0
    private static let reasonsMaximum = 16

    package init() {}

    package var isEmpty: Bool { total == 0 }

    /// Counts spans under a reason; of more reasons than can be told the rest is counted together.
    package mutating func add(_ reason: String, _ count: Int = 1) {
        if count == 0 { return }
        total += count
        let isKnown = counts[reason] != nil || counts.count < Self.reasonsMaximum
        counts[isKnown ? reason : "other", default: 0] += count
    }

    package mutating func add(_ other: SpanRefusals) {
        for (reason, count) in other.counts { add(reason, count) }
    }

    /// `2 × too_many: tags; 1 × missing: trace_id`, the most frequent first.
    package var summary: String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) × \($0.key)" }
            .joined(separator: "; ")
    }
}

/// What foreign bytes came to.
package struct SpanTranslation: Sendable, Hashable {
    package var messages: [SpanMessage] = []
    package var refusals = SpanRefusals()

    package init(messages: [SpanMessage] = []) { self.messages = messages }

    package var spanCount: Int { messages.reduce(0) { $0 + $1.spanCount } }
}

/// Puts encoded spans into as few messages as there are services and processes (Tracing.md; Limits.md).
package struct SpanBatches: Sendable {
    /// A payload leaves room for the headers, which the server counts too.
    package static let payloadBytes = Limits.messageBytes - 4_096
    /// Fewer than may be, so that a service's rate can be judged in portions (Limits.md, The node).
    package static let spansPerMessage = 4_096

    private struct Batch {
        var serviceName: String
        var start: [UInt8]
        var writer: WireWriter
        var spanCount = 0
    }

    private var batches: [Batch] = []
    private var indexByStart: [[UInt8]: Int] = [:]
    private var current = 0
    private var result = SpanTranslation()

    package init() {}

    /// The batch that the next spans belong to.
    ///
    /// - Parameter start: the encoded fields of the batch before its spans: service and process.
    mutating func select(serviceName: String, start: [UInt8]) {
        if let index = indexByStart[start] {
            current = index
            return
        }
        current = batches.count
        indexByStart[start] = current
        batches.append(Batch(serviceName: serviceName, start: start, writer: WireWriter(copying: start[...])))
    }

    /// The batch of a service and a process; refuses what no batch may say.
    mutating func select(serviceName: String, resource: [SpanTag]) throws(DecodeError) {
        var writer = WireWriter()
        writer.field(1, serviceName)
        for tag in resource { writer.message(3) { inner in SpanEncoding.write(tag, &inner) } }
        try Self.check(start: writer.bytes)
        select(serviceName: serviceName, start: writer.bytes)
    }

    /// Judges service and process by the frozen rules of the log's format.
    static func check(start: [UInt8]) throws(DecodeError) {
        var writer = WireWriter(copying: start[...])
        writer.message(2) { inner in
            inner.field(1, [UInt8](repeating: 1, count: 16))
            inner.field(2, [UInt8](repeating: 1, count: 8))
        }
        _ = try SpanBatch(facts: writer.bytes[...])
    }

    /// Adds an encoded span to the selected batch, after judging it by the frozen rules of the log's format.
    ///
    /// - Parameter isJudged: it is known to keep them.
    mutating func append(_ span: [UInt8], isJudged: Bool = false) {
        assert(!isJudged || (try? SpanView(span.span, 0..<span.count)) != nil)
        if !isJudged {
            do throws(DecodeError) {
                _ = try SpanView(span.span, 0..<span.count)
            } catch {
                return refuse(error.description)
            }
        }
        // A tag of one byte and at most four bytes of length.
        let growth = span.count + 5
        if batches[current].writer.bytes.count + growth > Self.payloadBytes
            || batches[current].spanCount == Self.spansPerMessage
        {
            close(current)
        }
        guard batches[current].start.count + growth <= Self.payloadBytes else { return refuse("message_too_large") }
        batches[current].writer.element(2, span[...])
        batches[current].spanCount += 1
    }

    /// Adds a span as a value; its service and process select the batch.
    package mutating func append(_ span: TraceSpan) {
        do throws(DecodeError) {
            try select(serviceName: span.serviceName, resource: span.resource)
        } catch {
            return refuse(error.description)
        }
        append(span.encoded)
    }

    package mutating func refuse(_ reason: String, _ count: Int = 1) { result.refusals.add(reason, count) }

    /// All messages, in the order in which their services came first.
    package mutating func finish() -> SpanTranslation {
        for index in batches.indices { close(index) }
        return result
    }

    private mutating func close(_ index: Int) {
        guard batches[index].spanCount > 0 else { return }
        result.messages.append(
            SpanMessage(
                serviceName: batches[index].serviceName, payload: batches[index].writer.bytes,
                spanCount: batches[index].spanCount))
        batches[index].writer = WireWriter(copying: batches[index].start[...])
        batches[index].spanCount = 0
    }
}
