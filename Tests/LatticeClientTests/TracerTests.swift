// The backend of swift-distributed-tracing: what is recorded, what travels, and what arrives at the collector.

import EventModel
import Foundation
import Instrumentation
import Messaging
import TestKit
import Testing
import Tracing

@testable import LatticeClient

/// Headers of a request, as a carrier.
private struct Headers: Injector, Extractor {
    typealias Carrier = [String: String]

    func inject(_ value: String, forKey key: String, into carrier: inout Carrier) { carrier[key] = value }
    func extract(key: String, from carrier: Carrier) -> String? {
        carrier.first { $0.key.lowercased() == key }?.value
    }
}

/// A tracer whose messages are read where they are published.
private struct Bench {
    let tracer: LatticeTracer
    let ledger: AcceptingLedger

    init(_ sampling: TraceSampling = .all, resource: [EventModel.SpanTag] = []) throws {
        let bus = InMemoryMessageBus()
        ledger = try AcceptingLedger(bus, "lattice.events.trace.>")
        var options = LatticeTracer.Options()
        options.sampling = sampling
        options.resource = resource
        options.scopeName = "tests"
        options.scopeVersion = "1"
        tracer = LatticeTracer(service: "shop", MeshConnection(bus: bus), options: options)
    }

    /// What was published until now.
    func spans() async throws -> [EventModel.TraceSpan] {
        guard await tracer.flush(within: .seconds(5)) else { throw StageFailure("not all spans have an outcome") }
        return try ledger.takeMessages().flatMap { try SpanBatch(facts: $0.payload[...]).spans }
    }

    func extracted(_ headers: [String: String]) -> InstrumentationContext {
        var context = InstrumentationContext.topLevel
        tracer.extract(headers, into: &context, using: Headers())
        return context
    }

    func injected(_ context: InstrumentationContext) -> [String: String] {
        var headers: [String: String] = [:]
        tracer.inject(context, into: &headers, using: Headers())
        return headers
    }
}

@Suite struct `A tracer` {
    private static let parent = "00-12345678901234567890123456789012-1234567890123456-"

    private struct Broken: Error, CustomStringConvertible {
        var description: String { "the till is empty" }
    }

    // MARK: Spans

    @Test func `a span says all that was said of it`() async throws {
        let bench = try Bench(resource: [EventModel.SpanTag("host.name", "one")])
        let elsewhere = bench.extracted(["traceparent": Self.parent + "01", "tracestate": "a=1"])
        let span = bench.tracer.startSpan("pay", context: .topLevel, ofKind: .client)
        span.operationName = "pay by card"
        span.attributes["peer.service"] = "bank"
        span.attributes["count"] = 3
        span.attributes["share"] = 0.5
        span.attributes["vip"] = true
        span.attributes["tags"] = ["a", "b\"\n"]
        span.attributes["sizes"] = [1, 2]
        span.addEvent(SpanEvent(name: "retry", attributes: ["attempt": 2]))
        span.addLink(Tracing.SpanLink(context: elsewhere, attributes: ["why": "retry"]))
        span.setStatus(SpanStatus(code: .error, message: "declined"))
        #expect(span.isRecording)
        span.end()
        #expect(!span.isRecording)
        let found = try #require(try await bench.spans().first)
        #expect(found.operationName == "pay by card" && found.kind == .client && found.parentSpanID == nil)
        #expect(found.status == .error && found.statusMessage == "declined" && found.peerService == "bank")
        #expect(found.serviceName == "shop" && found.scopeName == "tests" && found.scopeVersion == "1")
        #expect(found.resource == [EventModel.SpanTag("host.name", "one")])
        #expect(
            found.tags.map { "\($0.key)=\($0.value)" } == [
                "count=3", "peer.service=bank", "share=0.5", "sizes=[1,2]", #"tags=["a","b\"\u000a"]"#, "vip=true",
            ])
        #expect(found.logs.map(\.name) == ["retry"] && found.logs[0].fields == [.init(key: "attempt", value: .int(2))])
        #expect(found.links.map(\.traceID.description) == ["12345678901234567890123456789012"])
        #expect(found.links[0].traceState == "a=1" && found.links[0].tags == [EventModel.SpanTag("why", "retry")])
        #expect(found.endTime >= found.startTime && found.startTime > .zero)
    }

    @Test(arguments: [
        (Tracing.SpanKind.server, EventModel.SpanKind.server), (.client, .client), (.producer, .producer),
        (.consumer, .consumer), (.internal, .internal),
    ])
    func `kinds are kept`(kind: Tracing.SpanKind, expected: EventModel.SpanKind) async throws {
        let bench = try Bench()
        bench.tracer.withSpan("work", ofKind: kind) { _ in }
        #expect(try await bench.spans().map(\.kind) == [expected])
    }

    @Test func `spans within each other are parent and child`() async throws {
        let bench = try Bench()
        await bench.tracer.withSpan("outer") { _ in
            await bench.tracer.withSpan("inner") { _ in await Task.yield() }
        }
        let spans = try await bench.spans()
        #expect(spans.map(\.operationName) == ["inner", "outer"])
        #expect(spans[0].parentSpanID == spans[1].spanID && spans[0].traceID == spans[1].traceID)
    }

    @Test func `an error is an event and the status`() async throws {
        let bench = try Bench()
        #expect(throws: Broken.self) {
            try bench.tracer.withSpan("pay") { _ in throw Broken() }
        }
        let span = try #require(try await bench.spans().first)
        #expect(span.status == .error && span.logs.map(\.name) == ["exception"])
        #expect(span.logs[0].fields.contains(EventModel.SpanTag("exception.message", "the till is empty")))
    }

    @Test func `after its end nothing of a span changes`() async throws {
        let bench = try Bench()
        let span = bench.tracer.startSpan("pay")
        span.end()
        span.operationName = "other"
        span.attributes["late"] = 1
        span.end()
        let spans = try await bench.spans()
        #expect(spans.map(\.operationName) == ["pay"] && spans[0].tags.isEmpty)
    }

    @Test func `secrets do not leave the process, and long texts are cut`() async throws {
        let bench = try Bench()
        bench.tracer.withSpan(String(repeating: "x", count: 300)) { span in
            span.attributes["http.request.header.authorization"] = "Bearer s3cret"
            span.attributes["url.full"] = "https://me:s3cret@shop/pay?token=s3cret&id=7"
            span.attributes["body"] = String(repeating: "ü", count: 4_000)
        }
        let span = try #require(try await bench.spans().first)
        #expect(!span.tags.contains { "\($0.value)".contains("s3cret") })
        #expect(span.tag("url.full")?.description.contains("id=7") == true)
        #expect(span.operationName.utf8.count == 256)
        #expect(span.tag("body")?.description.utf8.count == 4_096)
    }

    // MARK: Sampling

    @Test func `a trace that is not sampled costs no message, and its context travels`() async throws {
        let bench = try Bench(TraceSampling(basisPoints: 0))
        let headers = bench.tracer.withSpan("pay") { span -> [String: String] in
            #expect(!span.isRecording && span.context.isTraceSampled == false)
            return bench.injected(span.context)
        }
        #expect(try await bench.spans().isEmpty)
        let context = bench.extracted(headers)
        #expect(context.isTraceSampled == false && context.traceID != nil)
        #expect(headers["traceparent"]?.hasSuffix("-02") == true)
    }

    @Test func `the sender's decision holds`() async throws {
        for (flags, sampling, isRecorded) in [("01", TraceSampling(basisPoints: 0), true), ("00", .all, false)] {
            let bench = try Bench(sampling)
            let context = bench.extracted(["traceparent": Self.parent + flags])
            bench.tracer.withSpan("pay", context: context) { _ in }
            let spans = try await bench.spans()
            #expect(spans.count == (isRecorded ? 1 : 0))
            #expect(spans.allSatisfy { $0.traceID.description == "12345678901234567890123456789012" })
            #expect(spans.allSatisfy { $0.parentSpanID?.description == "1234567890123456" })
        }
    }

    @Test func `who leaves the decision to us gets it by the hash of the id`() throws {
        let bench = try Bench(TraceSampling(basisPoints: 5_000))
        var recorded = 0
        for number in UInt64(1)...200 {
            let id = TraceID(high: 7, low: number)
            let context = bench.extracted(["b3": "\(id)-1234567890123456"])
            #expect(context.isTraceSampled == nil)
            bench.tracer.withSpan("pay", context: context) { span in
                #expect(span.isRecording == TraceSampling(basisPoints: 5_000).records(id))
                recorded += span.isRecording ? 1 : 0
            }
        }
        #expect((60...140).contains(recorded))
    }

    @Test func `a share of the traces is recorded, the same ones everywhere`() {
        let ids = (0..<20_000).map { TraceID(high: UInt64($0) &* 0x9E37_79B9_7F4A_7C15, low: UInt64($0)) }
        let recorded = ids.filter(TraceSampling.standard.records)
        #expect((1_800...2_200).contains(recorded.count))
        // What is recorded at a small share is recorded at a larger one too.
        #expect(recorded.allSatisfy(TraceSampling(basisPoints: 2_000).records))
        #expect(ids.allSatisfy(TraceSampling.all.records))
    }

    // MARK: Propagation

    @Test func `tracestate and baggage go along`() throws {
        let bench = try Bench()
        let context = bench.extracted([
            "traceparent": Self.parent + "03", "tracestate": "a=1,b=2", "baggage": "user=u%201;p=1,plan=gold",
        ])
        #expect(context.baggage("user") == "u 1" && context.spanID?.description == "1234567890123456")
        var headers = bench.tracer.withSpan("pay", context: context) { span -> [String: String] in
            var inner = span.context
            inner.setBaggage("plan", nil)
            inner.setBaggage("shop", "7")
            return bench.injected(inner)
        }
        #expect(headers["tracestate"] == "a=1,b=2" && headers["baggage"] == "user=u%201;p=1,shop=7")
        #expect(headers["traceparent"]?.hasPrefix("00-12345678901234567890123456789012-") == true)
        #expect(headers["traceparent"]?.hasSuffix("-03") == true)
        headers = bench.injected(bench.extracted(["baggage": "user=1"]))
        #expect(headers == ["baggage": "user=1"])
        var own = InstrumentationContext.topLevel
        own.setBaggage("user", "2")
        #expect(bench.injected(own) == ["baggage": "user=2"] && bench.injected(.topLevel).isEmpty)
        bench.tracer.withSpan("pay", context: own) { #expect($0.context.baggage("user") == "2") }
    }

    private struct Vector: Decodable {
        var headers: [[String]]
        var isValid: Bool
        var isStateValid: Bool?

        enum CodingKeys: String, CodingKey {
            case headers
            case isValid = "is_traceparent_valid"
            case isStateValid = "is_tracestate_valid"
        }
    }

    private static let vectors: URL = {
        let folder = ProcessInfo.processInfo.environment["LATTICE_CONFORMANCE"].map { URL(fileURLWithPath: $0) }
        let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/conformance")
        return (folder ?? beside).appendingPathComponent("trace_context/vectors.json")
    }()

    @Test(
        .enabled(
            if: FileManager.default.fileExists(atPath: vectors.path),
            "no conformance cases here; LATTICE_CONFORMANCE names their folder"))
    func `goes on with each valid header of W3C's vectors, and begins anew after each invalid one`() throws {
        let vectors = try JSONDecoder().decode([Vector].self, from: Data(contentsOf: Self.vectors))
        let bench = try Bench()
        var judged = 0
        for vector in vectors where vector.headers.contains(where: { $0[0].lowercased() == "traceparent" }) {
            // As servers hand over what came in several lines.
            let carrier = Dictionary(
                vector.headers.map { ($0[0].lowercased(), $0[1]) }, uniquingKeysWith: { "\($0),\($1)" })
            let context = bench.extracted(carrier)
            bench.tracer.withSpan("work", context: context) { span in
                let goesOn = span.context.traceID?.description == "12345678901234567890123456789012"
                #expect(goesOn == vector.isValid, "\(vector.headers)")
            }
            judged += 1
        }
        #expect(judged > 20)
    }
}

extension `The SDK` {
    @Suite(.serialized) struct `Traces of real processes` {
        @Test func `are assembled by the collector`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                var options = LatticeTracer.Options()
                options.sampling = .all
                let shop = LatticeTracer(service: "shop", connection, options: options)
                let bank = LatticeTracer(service: "bank", connection, options: options)
                for tracer in [shop, bank] { stage.run { await tracer.run() } }
                let id = shop.withSpan("buy", ofKind: .client) { span -> TraceID? in
                    var headers: [String: String] = [:]
                    shop.inject(span.context, into: &headers, using: Headers())
                    var context = InstrumentationContext.topLevel
                    bank.extract(headers, into: &context, using: Headers())
                    bank.withSpan("charge", context: context, ofKind: .server) { $0.attributes["amount"] = 7 }
                    return span.context.traceID
                }
                let trace = try #require(id)
                let isThere = try await eventually {
                    (try? await connection.traces.trace(trace).spans.count) == 2
                }
                try #require(isThere)
                let found = try await connection.traces.trace(trace)
                #expect(found.spans.map(\.serviceName) == ["shop", "bank"] && found.parents == [nil, 0])
                #expect(found.isComplete && found.rootIndex == 0 && found.serviceCount == 2 && found.errorCount == 0)
                #expect(found.spans[1].tag("amount") == .int(7) && found.asOf.sequence > .origin)
            }
        }

        /// The one test that may: a process has one tracer.
        @Test func `come from code that knows nothing of this tracer`() async throws {
            try await MeshStage.with { stage in
                let connection = try await stage.connect()
                var options = LatticeTracer.Options()
                options.sampling = .all
                let tracer = LatticeTracer(service: "library", connection, options: options)
                InstrumentationSystem.bootstrap(tracer)
                await withSpan("instrumented") { span in
                    await withSpan("within") { _ in await Task.yield() }
                    span.attributes["known"] = false
                }
                #expect(await tracer.flush(within: .seconds(10)))
                var search = TraceSearch()
                search.service = "library"
                search.operation = "instrumented"
                search.tags = [TagFilter(key: "known", value: "false")]
                #expect(try await eventually { try await connection.traces.search(search).count == 1 })
            }
        }
    }
}
