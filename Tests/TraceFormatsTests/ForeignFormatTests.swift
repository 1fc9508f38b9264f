// Zipkin's and Jaeger's JSON into batches.

import EventModel
import Foundation
import TraceFormats
import Testing

@Suite struct `Zipkin spans` {
    private func span(_ json: String) throws -> TraceSpan {
        try ZipkinSpans.translate(Array("[\(json)]".utf8)).onlySpan()
    }

    @Test func `every field has its place`() throws {
        let span = try span(
            """
            {"traceId":"4d1e00c0db9010db86154a4ba6e91385","parentId":"86154a4ba6e91385","id":"4d1e00c0db9010db",
             "kind":"CLIENT","name":"get","timestamp":1472470996199000,"duration":207000,
             "localEndpoint":{"serviceName":"frontend","ipv4":"10.0.0.1","ipv6":"2001:db8::c001","port":80},
             "remoteEndpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000},
             "annotations":[{"timestamp":1472470996238000,"value":"foo"}],"debug":true,
             "tags":{"http.path":"/api","n":7,"clnt/finagle.version":"6.45.0"}}
            """)
        #expect(span.traceID.description == "4d1e00c0db9010db86154a4ba6e91385")
        #expect(span.spanID.description == "4d1e00c0db9010db")
        #expect(span.parentSpanID?.description == "86154a4ba6e91385")
        #expect(span.serviceName == "frontend" && span.operationName == "get" && span.kind == .client)
        #expect(span.startTime.rawValue == 1_472_470_996_199_000_000)
        #expect(span.duration == .milliseconds(207))
        #expect(span.peerService == "backend")
        #expect(
            span.resource == [
                SpanTag("ip", "10.0.0.1"), SpanTag("ipv6", "2001:db8::c001"), SpanTag(key: "port", value: .int(80)),
            ])
        #expect(
            span.tags == [
                SpanTag("clnt/finagle.version", "6.45.0"), SpanTag("http.path", "/api"),
                SpanTag(key: "n", value: .int(7)), SpanTag("network.peer.address", "192.168.99.101"),
                SpanTag(key: "network.peer.port", value: .int(9_000)), SpanTag(key: "zipkin.debug", value: .bool(true)),
            ])
        #expect(span.logs == [SpanLog(time: Timestamp(nanoseconds: 1_472_470_996_238_000_000), name: "foo")])
        #expect(span.status == .ok)
    }

    @Test func `ids of sixteen digits are padded, and a tag named error is one`() throws {
        let span = try span(
            #"{"traceId":"978883983d506fa5","id":"1","timestamp":5,"tags":{"error":"boom"},"shared":true,"kind":"SERVER"}"#
        )
        #expect(span.traceID.description == "0000000000000000978883983d506fa5")
        #expect(span.spanID.description == "0000000000000001")
        #expect(span.status == .error && span.statusMessage == "boom")
        #expect(span.key.isServerHalf && span.text("zipkin.shared") == "true")
        #expect(span.serviceName == "unknown_service" && span.operationName == "unknown")
    }

    @Test func `what can not be a span is refused, what is no list is malformed`() throws {
        let refused = try ZipkinSpans.translate(
            Array(#"[{"traceId":"xyz","id":"1","timestamp":5},{"traceId":"a","id":"1"}]"#.utf8))
        #expect(refused.spanCount == 0 && refused.refusals.total == 2)
        #expect(refused.refusals.summary == "1 × malformed: traceId; 1 × missing: start_time")
        for text in ["", "{}", "[1]", #"[{"id":"1"}]"#, String(repeating: "[", count: 100)] {
            #expect(throws: MalformedInput.self) { try ZipkinSpans.translate(Array(text.utf8)) }
        }
    }

    @Test func `secrets and long texts are treated as everywhere`() throws {
        let long = String(repeating: "y", count: 5_000)
        let span = try span(
            #"{"traceId":"a","id":"1","timestamp":5,"tags":{"password":"p","http.url":"/?code=1","sql":"\#(long)"}}"#)
        #expect(span.text("password") == "[redacted]")
        #expect(span.text("http.url") == "/?code=[redacted]")
        #expect(span.text("sql")?.utf8.count == 4_096)
        #expect(span.text("lattice.texts_cut") == "1")
    }
}

@Suite struct `Jaeger traces` {
    private let trace = """
        {"traceID":"1a","spans":[{"traceID":"1a","spanID":"2","operationName":"op","flags":3,
        "references":[{"refType":"FOLLOWS_FROM","traceID":"1a","spanID":"7"},{"refType":"CHILD_OF","traceID":"1a","spanID":"1"},
        {"refType":"CHILD_OF","traceID":"ff","spanID":"9"}],
        "startTime":1695943858155643,"duration":518,"processID":"p1","warnings":["clock"],
        "tags":[{"key":"span.kind","type":"string","value":"server"},{"key":"n","type":"int64","value":"42"},
        {"key":"f","type":"float64","value":2},{"key":"b","type":"binary","value":"0aff"},{"key":"error","type":"bool","value":true}],
        "logs":[{"timestamp":1695943858155700,"fields":[{"key":"event","type":"string","value":"retry"},
        {"key":"token","type":"string","value":"t"}]}]}],
        "processes":{"p1":{"serviceName":"shop","tags":[{"key":"ip","type":"string","value":"10.0.0.1"}]}}}
        """

    @Test func `every field has its place`() throws {
        let span = try JaegerTraces.translate(Array(trace.utf8)).onlySpan()
        #expect(span.traceID.description == "0000000000000000000000000000001a")
        #expect(span.parentSpanID == SpanID(1))
        #expect(span.serviceName == "shop" && span.operationName == "op" && span.kind == .server)
        #expect(span.status == .error)
        #expect(span.duration == Nanoseconds(518_000))
        #expect(span.resource == [SpanTag("ip", "10.0.0.1")])
        #expect(
            span.tags == [
                SpanTag("span.kind", "server"), SpanTag(key: "n", value: .int(42)),
                SpanTag(key: "f", value: .double(2)), SpanTag(key: "b", value: .bytes([10, 255])),
                SpanTag(key: "error", value: .bool(true)), SpanTag(key: "jaeger.flags", value: .int(3)),
                SpanTag(key: "jaeger.warnings", value: .json(#"["clock"]"#)),
            ])
        #expect(span.links.map(\.spanID) == [SpanID(7), SpanID(9)])
        #expect(span.links.map { $0.tags[0].value.description } == ["follows_from", "child_of"])
        #expect(span.logs[0].name == "retry")
        #expect(span.logs[0].fields == [SpanTag("event", "retry"), SpanTag("token", "[redacted]")])
    }

    @Test func `an answer of the query API and a list are understood like the trace itself`() throws {
        let one = try JaegerTraces.translate(Array(trace.utf8))
        #expect(try JaegerTraces.translate(Array("[\(trace)]".utf8)) == one)
        #expect(try JaegerTraces.translate(Array(#"{"data":[\#(trace)],"total":0,"errors":null}"#.utf8)) == one)
        #expect(throws: MalformedInput.self) { try JaegerTraces.translate(Array(#"{"data":7}"#.utf8)) }
    }
}

@Suite(.enabled(if: ConformanceFiles.areHere, "the conformance cases are not beside this checkout"))
struct `Traces of others` {
    @Test func `every Zipkin file is taken whole`() throws {
        for name in try ConformanceFiles.names("zipkin") {
            let bytes = try ConformanceFiles.bytes("zipkin/" + name)
            let count = try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]]).count
            let translated = try ZipkinSpans.translate(bytes)
            #expect(translated.refusals.isEmpty, "\(name): \(translated.refusals.summary)")
            #expect(try translated.spans().count == count, "\(name)")
        }
    }

    @Test func `every Jaeger line is taken whole`() throws {
        for name in try ConformanceFiles.names("jaeger") {
            for line in try ConformanceFiles.bytes("jaeger/" + name).split(separator: 10) {
                let members = try #require(JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
                let translated = try JaegerTraces.translate(Array(line))
                #expect(translated.refusals.isEmpty, "\(name): \(translated.refusals.summary)")
                #expect(try translated.spans().count == (members["spans"] as? [Any])?.count, "\(name)")
            }
        }
    }

    @Test func `the examples of OTLP keep their attributes`() throws {
        let example = try OTLPTranslation.translate(
            OTLPJSON.protobuf(ConformanceFiles.bytes("otlp/trace.json"))
        ).onlySpan()
        #expect(example.traceID.description == "5b8efff798038103d269b633813fc60c")
        #expect(example.spanID.description == "eee19b7ec3c1b174")
        #expect(example.parentSpanID?.description == "eee19b7ec3c1b173")
        #expect(example.serviceName == "my.service" && example.operationName == "I'm a server span")
        #expect(example.kind == .server && example.duration == .seconds(1))
        #expect(example.scopeName == "my.library" && example.scopeVersion == "1.0.0")
        #expect(example.text("my.span.attr") == "some value")
        #expect(example.text("otel.scope.my.scope.attribute") == "some scope attribute")
        let others = try OTLPTranslation.translate(
            OTLPJSON.protobuf(ConformanceFiles.bytes("otlp/otlp2jaeger-in.json"))
        ).spans()
        #expect(others.count == 2)
        #expect(others.allSatisfy { $0.tag("peer.service") == .string("telemetrygen-client") })
    }
}
