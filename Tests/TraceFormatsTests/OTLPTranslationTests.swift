// OTLP into batches: every attribute survives, what breaks a rule is refused with its reason, secrets go.

import EventModel
import Foundation
import MeshRules
@testable import TraceFormats
import SwiftProtobuf
import TestKit
import Testing

@Suite struct `OTLP in protobuf` {
    private func translate(_ request: OTLPRequest) throws -> SpanTranslation {
        let data: Data = try request.serializedData()
        return try OTLPTranslation.translate(Array(data))
    }

    private func request(_ change: (inout OTLPSpan) -> Void) -> OTLPRequest {
        var maker = OTLPMaker(numbers: SeededGenerator(seed: 7))
        var span = OTLPSpan()
        let made = maker.span()
        span.traceID = made.traceID
        span.spanID = made.spanID
        span.name = "GET /"
        span.startTimeUnixNano = 1_700_000_000_000_000_000
        span.endTimeUnixNano = 1_700_000_000_000_000_500
        change(&span)
        return .with {
            $0.resourceSpans = [
                .with {
                    $0.resource.attributes = [Self.attribute("service.name", "shop")]
                    $0.scopeSpans = [.with { $0.spans = [span] }]
                }
            ]
        }
    }

    private static func attribute(_ key: String, _ text: String) -> OTLPAttribute {
        .with {
            $0.key = key
            $0.value.stringValue = text
        }
    }

    @Test(arguments: 0..<64 as Range<UInt64>)
    func `what comes out is what went in, to the attribute`(seed: UInt64) throws {
        var maker = OTLPMaker(numbers: SeededGenerator(seed: seed))
        for _ in 0..<8 {
            let request = maker.request()
            let translated = try translate(request)
            #expect(translated.refusals.isEmpty, "\(translated.refusals.summary)")
            let wanted = OTLPOracle.spans(request)
            let found = try translated.spans()
            // Services and processes that come twice are put together, so only the order within one is kept.
            func sorted(_ spans: [TraceSpan]) -> [TraceSpan] { spans.sorted { $0.spanID < $1.spanID } }
            try #require(found.count == wanted.count)
            for (one, other) in zip(sorted(found), sorted(wanted)) { #expect(one == other) }
        }
    }

    @Test(arguments: 0..<32 as Range<UInt64>)
    func `JSON says the same as protobuf`(seed: UInt64) throws {
        var maker = OTLPMaker(numbers: SeededGenerator(seed: seed))
        let request = maker.request()
        let json = try OTLPJSONMaker.json(request)
        let fromJSON = try OTLPTranslation.translate(try OTLPJSON.protobuf(json))
        #expect(fromJSON == (try translate(request)))
    }

    @Test func `any cut or changed byte gives a translation or a refusal, never a trap`() throws {
        var maker = OTLPMaker(numbers: SeededGenerator(seed: 99))
        for _ in 0..<40 {
            let data: Data = try maker.request().serializedData()
            var bytes = Array(data)
            for _ in 0..<50 where !bytes.isEmpty {
                bytes[maker.below(bytes.count)] = UInt8(maker.below(256))
                if let translated = try? OTLPTranslation.translate(bytes) { _ = try translated.spans() }
                if let translated = try? OTLPTranslation.translate(Array(bytes.prefix(maker.below(bytes.count)))) {
                    _ = try translated.spans()
                }
            }
        }
    }

    @Test func `bytes that are no protobuf are malformed`() {
        #expect(throws: MalformedInput.self) { try OTLPTranslation.translate([0xFF, 0xFF, 0xFF]) }
        #expect(throws: MalformedInput.self) { try OTLPTranslation.translate(Array("{}".utf8)) }
        #expect(throws: Never.self) { try OTLPTranslation.translate([]) }
    }

    @Test func `a span without ids or times, or that ends before it starts, is refused alone and with its reason`()
        throws
    {
        let changes: [(String, (inout OTLPSpan) -> Void)] = [
            ("malformed: trace_id", { $0.traceID = Data(count: 16) }),
            ("malformed: trace_id", { $0.traceID = Data([1]) }),
            ("malformed: span_id", { $0.spanID = Data(count: 8) }),
            ("malformed: parent_span_id", { $0.parentSpanID = Data([1, 2]) }),
            ("missing: start_time", { $0.startTimeUnixNano = 0 }),
            ("end_before_start: end_time", { $0.endTimeUnixNano = 1 }),
            ("too_many: tags", { span in span.attributes = (0..<129).map { Self.attribute("k\($0)", "v") } }),
            ("too_long: key", { $0.attributes = [Self.attribute(String(repeating: "k", count: 257), "v")] }),
        ]
        for (reason, change) in changes {
            var request = request(change)
            request.resourceSpans[0].scopeSpans[0].spans += self.request { _ in }.resourceSpans[0].scopeSpans[0].spans
            let translated = try translate(request)
            #expect(translated.refusals.summary == "1 × \(reason)")
            #expect(translated.spanCount == 1)
        }
    }

    @Test(arguments: [
        ("tags", "key"), ("tags", "string_value"), ("operation_name", ""), ("status_message", ""), ("trace_state", ""),
        ("scope_name", ""),
    ])
    func `bytes that are no UTF-8 refuse their span, wherever they stand`(field: String, part: String) throws {
        let mark = "zqzqz"
        var request = request { span in
            if field == "tags" {
                span.attributes = [Self.attribute(part == "key" ? mark : "k", part == "key" ? "v" : mark)]
            }
            if field == "operation_name" { span.name = mark }
            if field == "status_message" { span.status.message = mark }
            if field == "trace_state" { span.traceState = mark }
        }
        if field == "scope_name" { request.resourceSpans[0].scopeSpans[0].scope.name = mark }
        #expect(try translate(request).spanCount == 1)
        var bytes: [UInt8] = try request.serializedBytes()
        let place = try #require(bytes.firstRange(of: Array(mark.utf8)))
        bytes[place.lowerBound + 2] = 0xFF
        let translated = try OTLPTranslation.translate(bytes)
        #expect(translated.spanCount == 0)
        #expect(translated.refusals.summary == "1 × invalid_utf8: \(part.isEmpty ? field : part)")
    }

    @Test func `names of secrets are known in any case and behind any prefix`() {
        for name in SecretNames.headers + SecretNames.members {
            let variants = [name, name.uppercased(), name.replacing("-", with: "_"), name.replacing("_", with: "-")]
            for variant in variants {
                #expect(SpanSecrets.kind(variant) == .secret, "\(variant)")
                #expect(SpanSecrets.kind("a." + variant) == (name == "code" ? .plain : .secret), "a.\(variant)")
                #expect(SpanSecrets.kind(variant + "s") == .plain, "\(variant)s")
            }
        }
        for name in ["url.full", "http.url", "HTTP.Target"] { #expect(SpanSecrets.kind(name) == .address, "\(name)") }
        #expect(SpanSecrets.kind("url.query") == .query)
        for name in ["", "k", "e", "ie", "url.path", "note"] { #expect(SpanSecrets.kind(name) == .plain, "\(name)") }
    }

    @Test func `texts above the limit are cut at a character and the span says so`() throws {
        let long = String(repeating: "ä", count: 3_000)
        let translated = try translate(
            request { span in
                span.attributes = [Self.attribute("db.statement", long)]
                span.name = long
                span.events = [.with { $0.attributes = [Self.attribute("exception.stacktrace", long)] }]
            })
        let span = try translated.onlySpan()
        #expect(span.text("db.statement") == String(repeating: "ä", count: 2_048))
        #expect(span.operationName == String(repeating: "ä", count: 128))
        #expect(span.tags.last == SpanTag(key: "lattice.texts_cut", value: .int(3)))
    }

    @Test func `secrets in tags, events, resources and addresses do not leave`() throws {
        var request = request { span in
            span.attributes = [
                Self.attribute("http.request.header.authorization", "Bearer abc"),
                Self.attribute("user.password", "hunter2"), Self.attribute("code", "123"),
                Self.attribute("error.code", "E42"),
                Self.attribute("url.full", "https://joe:pw@example.com/a?x=1&Access%5FToken=abc#f"),
                Self.attribute("http.target", "/a?x=1"), Self.attribute("url.query", "id_token=1&y=2"),
                .with {
                    $0.key = "form"
                    $0.value.kvlistValue.values = [Self.attribute("password", "p"), Self.attribute("name", "n")]
                },
            ]
            span.events = [.with { $0.attributes = [Self.attribute("X-Api-Key", "k")] }]
        }
        request.resourceSpans[0].resource.attributes.append(Self.attribute("deploy.token", "t"))
        let span = try translate(request).onlySpan()
        #expect(span.text("http.request.header.authorization") == "[redacted]")
        #expect(span.text("user.password") == "[redacted]")
        #expect(span.text("code") == "[redacted]")
        #expect(span.text("error.code") == "E42")
        #expect(span.text("url.full") == "https://[redacted]@example.com/a?x=1&Access%5FToken=[redacted]")
        #expect(span.text("http.target") == "/a?x=1")
        #expect(span.text("url.query") == "id_token=[redacted]&y=2")
        #expect(span.text("form") == #"{"password":"[redacted]","name":"n"}"#)
        #expect(span.logs[0].fields == [SpanTag("X-Api-Key", "[redacted]")])
        #expect(span.tag("deploy.token") == .string("[redacted]"))
    }

    @Test func `a service's spans of one process are one message, of another one another`() throws {
        let one = request { _ in }
        var twice = one
        twice.resourceSpans += one.resourceSpans
        #expect(try translate(twice).messages.map(\.spanCount) == [2])
        twice.resourceSpans[1].resource.attributes.append(Self.attribute("service.instance.id", "b"))
        #expect(try translate(twice).messages.map(\.spanCount) == [1, 1])
        twice.resourceSpans[1].resource.attributes = []
        #expect(try translate(twice).messages.map(\.serviceName) == ["shop", "unknown_service"])
    }

    @Test func `messages stay below the limit of the bus`() throws {
        let text = String(repeating: "x", count: 4_000)
        var request = request { span in
            span.attributes = (0..<20).map { Self.attribute("k\($0)", text) }
        }
        let span = request.resourceSpans[0].scopeSpans[0].spans[0]
        request.resourceSpans[0].scopeSpans[0].spans = [OTLPSpan](repeating: span, count: 40)
        let translated = try translate(request)
        #expect(translated.messages.count == 4)
        #expect(translated.spanCount == 40)
        #expect(translated.messages.allSatisfy { $0.payload.count <= SpanBatches.payloadBytes })
    }

    @Test func `attributes nested too deep refuse their span`() throws {
        var value = OTLPAnyValue.with { $0.stringValue = "x" }
        for _ in 0..<70 { value = .with { $0.arrayValue.values = [value] } }
        let translated = try translate(
            request { span in
                span.attributes = [
                    .with {
                        $0.key = "deep"
                        $0.value = value
                    }
                ]
            })
        #expect(translated.refusals.summary == "1 × too_deep: attributes")
    }
}

/// Protobuf's JSON with ids in hexadecimal, as OTLP has it.
enum OTLPJSONMaker {
    static func json(_ request: OTLPRequest) throws -> [UInt8] {
        var options = JSONEncodingOptions()
        options.alwaysPrintEnumsAsInts = true
        let data: Data = try request.jsonUTF8Data(options: options)
        let object = try JSONSerialization.jsonObject(with: data)
        return Array(try JSONSerialization.data(withJSONObject: fixed(object)))
    }

    private static func fixed(_ value: Any) -> Any {
        if let list = value as? [Any] { return list.map(fixed) }
        guard let members = value as? [String: Any] else { return value }
        return Dictionary(
            uniqueKeysWithValues: members.map { key, value in
                let isID = ["traceId", "spanId", "parentSpanId"].contains(key)
                guard isID, let text = value as? String, let bytes = Data(base64Encoded: text) else {
                    return (key, fixed(value))
                }
                return (key, bytes.map { String(format: "%02X", $0) }.joined())
            })
    }
}
