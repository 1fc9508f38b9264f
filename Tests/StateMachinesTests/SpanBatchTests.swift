// Batches of spans in their encoding: what is taken, what is refused, and that nothing is lost.

import EventModel
import Testing

@Suite struct `Span batch` {
    private func refusal(_ body: (inout TraceSpan) -> Void) -> String? {
        var span = TraceSpan(
            spanID: SpanID(1), traceID: TraceID(high: 0, low: 1), serviceName: "checkout", operationName: "o",
            startTime: Timestamp(nanoseconds: 1), endTime: Timestamp(nanoseconds: 2))
        body(&span)
        var writer = WireWriter()
        writer.field(1, "checkout")
        writer.message(2) { inner in inner.append(span.encoded) }
        return refusal(writer.bytes)
    }

    private func refusal(_ bytes: [UInt8]) -> String? {
        do throws(DecodeError) {
            _ = try EventCodec.decode(type: EventType.spansReceived.rawValue, schemaVersion: 1, facts: bytes[...])
            return nil
        } catch {
            return error.description
        }
    }

    private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test func `every field of a span survives`() throws {
        let tags: [SpanTag] = [
            SpanTag("s", "é"), SpanTag(key: "b", value: .bool(false)), SpanTag(key: "i", value: .int(-1)),
            SpanTag(key: "d", value: .double(-0.0)), SpanTag(key: "y", value: .bytes([0, 255])),
            SpanTag(key: "j", value: .json("[1]")), SpanTag("", ""),
        ]
        let span = TraceSpan(
            spanID: SpanID(1), traceID: TraceID(high: 2, low: 3), parentSpanID: SpanID(4), serviceName: "checkout",
            operationName: "o", kind: .producer, status: .cancelled, startTime: Timestamp(nanoseconds: 5),
            endTime: Timestamp(nanoseconds: 6), tags: tags,
            logs: [SpanLog(time: Timestamp(nanoseconds: 7), name: "n", fields: tags)],
            links: [SpanLink(traceID: TraceID(high: 8, low: 9), spanID: SpanID(10), traceState: "a=1", tags: tags)],
            resource: tags, peerService: "p", statusMessage: "m", traceState: "b=2", scopeName: "l",
            scopeVersion: "1")
        let batch = try #require(SpanBatch(serviceName: "checkout", spans: [span, span]))
        #expect(batch.spans == [span, span] && batch.count == 2)
        let encoded = try #require(EventCodec.encode(.trace(.spansReceived(batch))))
        #expect(encoded.type == .spansReceived && encoded.facts == Array(batch.facts))
        #expect(EventType.spansReceived.family == .trace && TraceEvent.spansReceived(batch).serviceName == "checkout")
    }

    @Test func `ids are 16 and 8 bytes`() {
        var writer = WireWriter()
        writer.field(1, "checkout")
        writer.message(2) { inner in inner.field(1, [UInt8](repeating: 1, count: 15)) }
        #expect(refusal(writer.bytes) == "malformed: spans[0].trace_id")
        writer.removeAll()
        writer.field(1, "checkout")
        writer.message(2) { inner in inner.field(1, [UInt8](repeating: 1, count: 16)) }
        #expect(refusal(writer.bytes) == "missing: spans[0].span_id")
    }

    @Test func `the limits of Limits.md hold`() {
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0.operationName = text(256) } == nil)
        #expect(refusal { $0.operationName = text(257) } == "too_long: spans[0].operation_name")
        #expect(refusal { $0.peerService = text(257) } == "too_long: spans[0].peer_service")
        #expect(refusal { $0.statusMessage = text(4_097) } == "too_long: spans[0].status_message")
        #expect(refusal { $0.tags = [SpanTag("k", text(4_096))] } == nil)
        #expect(refusal { $0.tags = [SpanTag("k", text(4_097))] } == "too_long: spans[0].string_value")
        #expect(refusal { $0.tags = [SpanTag(text(257), "v")] } == "too_long: spans[0].key")
        #expect(refusal { $0.tags = Array(repeating: SpanTag("k", "v"), count: 128) } == nil)
        #expect(refusal { $0.tags = Array(repeating: SpanTag("k", "v"), count: 129) } == "too_many: spans[0].tags")
        let log = SpanLog(time: .zero)
        #expect(refusal { $0.logs = Array(repeating: log, count: 129) } == "too_many: spans[0].logs")
        let link = SpanLink(traceID: TraceID(high: 0, low: 1), spanID: SpanID(1))
        #expect(refusal { $0.links = Array(repeating: link, count: 129) } == "too_many: spans[0].links")
    }

    @Test func `a batch needs a service and a span`() {
        var writer = WireWriter()
        writer.field(1, "checkout")
        #expect(refusal(writer.bytes) == "missing: spans")
        #expect(SpanBatch(serviceName: "", spans: []) == nil)
    }

    @Test func `unknown kinds and statuses are refused`() {
        for (number, name) in [(5, "kind"), (6, "status")] {
            var writer = WireWriter()
            writer.field(1, "checkout")
            writer.message(2) { inner in inner.field(number, UInt32(9)) }
            #expect(refusal(writer.bytes) == "unknown_enum_value: spans[0].\(name)")
        }
    }

    @Test func `the machines see what they need without building text`() throws {
        let span = TraceSpan(
            spanID: SpanID(7), traceID: TraceID(high: 2, low: 3), parentSpanID: SpanID(4), serviceName: "s",
            operationName: "op", kind: .server, status: .error, startTime: Timestamp(nanoseconds: 5),
            endTime: Timestamp(nanoseconds: 6), tags: [SpanTag("a", "b"), SpanTag("c", "d")], peerService: "peer")
        let batch = try #require(SpanBatch(serviceName: "s", spans: [span]))
        let view = try #require(batch.views.first)
        #expect(view.traceID == span.traceID && view.key == SpanKey(spanID: SpanID(7), isServerHalf: true))
        #expect(view.parentID == SpanID(4) && view.status == .error && view.start == 5 && view.end == 6)
        #expect(view.tagCount == 2 && view.operation.count == 2 && view.peer.count == 4)
        let hash = ContentHash.of(batch.facts.span, range: view.body)
        #expect(hash == span.contentHash)
        #expect(batch.views.count == 1)
    }
}
