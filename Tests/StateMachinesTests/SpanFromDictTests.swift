// Spans from dictionaries, and the contracts of the specification.

import EventModel
import Testing

@Suite struct `Span from a dictionary` {
    private static let minimal: [String: JSONValue] = [
        "span_id": .string("00000000000000AB"), "trace_id": .string("000000000000000a"),
        "service_name": .string("checkout"), "operation_name": .string("GET /"), "start_time": .int(10),
        "end_time": .string("30"), "status": .string("OK"),
    ]

    private func span(_ changes: [String: JSONValue]) throws -> TraceSpan {
        try spanFromDict(.object(Self.minimal.merging(changes) { $1 }))
    }

    private func error(_ changes: [String: JSONValue]) -> String? {
        do throws(DecodeError) {
            _ = try spanFromDict(.object(Self.minimal.merging(changes) { $1 }))
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `the required fields are enough`() throws {
        let span = try span([:])
        #expect(span.spanID == SpanID(0xAB) && span.traceID == TraceID(high: 0, low: 10))
        #expect(span.duration == Nanoseconds(20) && span.kind == .internal && span.parentSpanID == nil)
    }

    @Test(arguments: REQUIRED_SPAN_FIELDS.sorted())
    func `a missing field is named`(_ field: String) {
        #expect(error([field: .null]) == "missing: \(field)")
    }

    @Test func `all fields are read`() throws {
        let span = try span([
            "parent_span_id": .string("0000000000000001"), "kind": .string("client"), "status": .string("timeout"),
            "tags": .object(["b": .int(1), "a": .bool(true), "c": .array([.string("x\""), .double(0.5), .null])]),
            "logs": .array([.object(["timestamp": .int(12), "fields": .object(["event": .string("retry")])])]),
            "links": .array([
                .object(["trace_id": .string("000000000000000b"), "span_id": .string("0000000000000002")])
            ]),
            "peer_service": .string("db"), "status_message": .string("slow"),
        ])
        #expect(span.parentSpanID == SpanID(1) && span.kind == .client && span.status == .timeout && span.isError)
        #expect(span.tags.map(\.key) == ["a", "b", "c"])
        #expect(span.tag("c") == .json("[\"x\\u0022\",0.5,null]") || span.tag("c") == .json("[\"x\\\"\",0.5,null]"))
        #expect(span.logs == [SpanLog(time: Timestamp(nanoseconds: 12), fields: [SpanTag("event", "retry")])])
        #expect(span.links[0].spanID == SpanID(2) && span.peerService == "db" && span.statusMessage == "slow")
    }

    @Test func `tags as a list keep their order`() throws {
        let tags: [JSONValue] = ["z", "a"].map { .object(["key": .string($0), "value": .string("v")]) }
        #expect(try span(["tags": .array(tags)]).tags == [SpanTag("z", "v"), SpanTag("a", "v")])
    }

    @Test func `times may be RFC 3339`() throws {
        let span = try span([
            "start_time": .string("1970-01-01T00:00:00Z"), "end_time": .string("1970-01-01T00:00:01Z"),
        ])
        #expect(span.duration == .seconds(1))
    }

    @Test func `an end before the start is refused`() {
        #expect(error(["end_time": .int(9)]) == "end_before_start: end_time")
    }

    @Test func `ids that are zero or no digits are refused`() {
        #expect(error(["span_id": .string("0000000000000000")]) == "malformed: span_id")
        #expect(error(["trace_id": .string("xyz")]) == "malformed: trace_id")
        #expect(error(["parent_span_id": .string("1")]) == "malformed: parent_span_id")
    }

    @Test func `unknown choices are refused`() {
        #expect(error(["status": .string("fine")]) == "unknown_enum_value: status")
        #expect(error(["kind": .string("odd")]) == "unknown_enum_value: kind")
    }

    @Test func `what is too long or too much is refused`() {
        #expect(error(["operation_name": .string(String(repeating: "x", count: 257))]) == "too_long: operation_name")
        let many = (0...128).map { JSONValue.object(["key": .string("k\($0)")]) }
        #expect(error(["tags": .array(many)]) == "too_many: tags")
        #expect(error(["tags": .object(["k": .string(String(repeating: "x", count: 4_097))])]) == "too_long: value")
    }

    @Test func `what is no object lacks everything`() {
        #expect(throws: DecodeError.self) { try spanFromDict(.string("x")) }
    }

    @Test func `the contracts are those of the specification`() {
        #expect(SERVICE_SLO["discovery"]?.latencyMs == 15 && SERVICE_SLO["discovery"]?.availability == 0.9999)
        #expect(SERVICE_SLO["mirror"]?.latencyMs == 5 && SERVICE_SLO["mirror"]?.availability == 0.999)
        #expect(SERVICE_SLO["tracing"]?.latencyMs == 25 && SERVICE_SLO["tracing"]?.availability == 0.999)
        #expect(REQUIRED_SPAN_FIELDS.count == 7)
    }
}

@Suite struct `Trace and span ids` {
    @Test func `are padded, lower-cased and never zero`() {
        #expect(TraceID(hexadecimal: "ABCDEF0123456789")?.description == "0000000000000000abcdef0123456789")
        #expect(TraceID(hexadecimal: String(repeating: "0", count: 32)) == nil)
        #expect(SpanID(hexadecimal: "ABCDEF0123456789")?.description == "abcdef0123456789")
        #expect(SpanID(hexadecimal: "0000000000000000") == nil && SpanID(hexadecimal: "12") == nil)
    }

    @Test func `survive their bytes`() {
        let trace = TraceID(high: 0x0102_0304_0506_0708, low: 9)
        #expect(TraceID(bytes: trace.bytes) == trace && TraceID(bytes: [1]) == nil)
        #expect(SpanID(bytes: SpanID(77).bytes) == SpanID(77) && trace.bytes.first == 1)
    }
}
