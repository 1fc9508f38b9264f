// The gateway as a participant of traces (W3C Trace Context level 2), over real requests.

import EventModel
import Foundation
import LatticeClient
import MeshRules
import TestKit
import Testing

@testable import Gateway

@Suite struct `Traces through a gateway` {
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func `a trace goes on: the service's parent is the gateway's client span`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        _ = try await edge.get(
            "/", "traceparent: \(Self.parent)\r\ntracestate: a=1,b=2\r\nbaggage: user=7\r\n")
        let heard = try #require(service.heard.first)
        let context = try #require(
            extractTraceContext([HeaderField(name: "traceparent", value: heard.header("traceparent") ?? "")]))
        #expect(context.traceID.description == "0af7651916cd43dd8448eb211c80319c")
        #expect(context.isSampled == true)
        #expect(heard.header("tracestate") == "a=1,b=2")
        #expect(heard.header("baggage") == "user=7")
        try await waitFor { edge.notebook.spans.count == 2 }
        let client = try #require(edge.notebook.spans.first { $0.kind == .client })
        let server = try #require(edge.notebook.spans.first { $0.kind == .server })
        #expect(context.spanID == client.spanID)
        #expect(client.parentSpanID == server.spanID)
        #expect(server.parentSpanID?.description == "b7ad6b7169203331")
        #expect(client.peerService == "shop")
        #expect(server.startTime <= client.startTime && client.endTime <= server.endTime)
        await edge.close()
        await service.stop()
    }

    @Test func `each attempt has a span of its own`() async throws {
        let services = [try await HTTPService.start("a", .status(503)), try await HTTPService.start("b")]
        let edge = try await Edge.open(services, policy: .roundRobin)
        for _ in 0..<2 { _ = try await edge.get("/", "traceparent: \(Self.parent)\r\n") }
        try await waitFor { edge.notebook.spans.count { $0.kind == .server } == 2 }
        let clients = edge.notebook.spans.filter { $0.kind == .client }
        let attempts = services.reduce(0) { $0 + $1.heard.count }
        #expect(attempts >= 3 && clients.count == attempts)
        #expect(Set(clients.map(\.spanID)).count == attempts)
        #expect(clients.count { $0.status == .error } == services[0].heard.count)
        #expect(clients.contains { $0.tag("http.request.resend_count") == .int(1) })
        // One after the other: an overlap of a microsecond would take the first one off the critical path.
        for repeated in clients where repeated.tag("http.request.resend_count") == .int(1) {
            let first = clients.first { $0.traceID == repeated.traceID && $0.endTime == repeated.startTime }
            #expect(first != nil, "an attempt begins when the one before it ends")
        }
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `b3 and uber-trace-id are understood and passed on as traceparent`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        _ = try await edge.get("/", "b3: 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1\r\n")
        _ = try await edge.get("/", "uber-trace-id: 0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1\r\n")
        for heard in service.heard {
            #expect(heard.header("traceparent")?.contains("0af7651916cd43dd8448eb211c80319c") == true)
            #expect(heard.header("b3") == nil && heard.header("uber-trace-id") == nil)
        }
        await edge.close()
        await service.stop()
    }

    @Test func `errors are traced though nobody sampled them`() async throws {
        let service = try await HTTPService.start("a", .status(500))
        let edge = try await Edge.open([service]) { $0.tracing.sampleBasisPoints = 0 }
        _ = try await edge.get()
        try await waitFor { edge.notebook.spans.count == 2 }
        #expect(edge.notebook.spans.allSatisfy { $0.status == .error })
        #expect(service.heard.first?.header("traceparent")?.hasSuffix("-02") == true)
        #expect(edge.notebook.selections.isEmpty)
        await edge.close()
        await service.stop()
    }

    @Test func `a client can force only so many traces a second`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service]) {
            $0.tracing.sampleBasisPoints = 0
            $0.tracing.forcedPerSecond = 3
        }
        let client = try await RawClient.connect(edge.port)
        let request = "GET / HTTP/1.1\r\nhost: shop\r\ntraceparent: \(Self.parent)\r\n\r\n"
        await client.send(String(repeating: request, count: 100))
        try await waitFor { service.heard.count == 100 }
        let sampled = service.heard.count { $0.header("traceparent")?.hasSuffix("-01") == true }
        #expect((3...60).contains(sampled), "\(sampled) of 100")
        await client.close()
        await edge.close()
        await service.stop()
    }

    @Test func `a foreign trace can be restarted with a link to it`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service]) { $0.tracing.restartsForeignTraces = true }
        _ = try await edge.get("/", "traceparent: \(Self.parent)\r\ntracestate: a=1\r\n")
        #expect(service.heard.first?.header("traceparent")?.contains("0af7651916cd") == false)
        #expect(service.heard.first?.header("tracestate") == nil)
        try await waitFor { edge.notebook.spans.count == 2 }
        let server = try #require(edge.notebook.spans.first { $0.kind == .server })
        #expect(server.parentSpanID == nil)
        #expect(server.links.first?.traceID.description == "0af7651916cd43dd8448eb211c80319c")
        await edge.close()
        await service.stop()
    }

    @Test func `a trace without a decision is sampled where the SDK records it, too`() throws {
        let settings = TracingSettings()
        var dice = SplitMix64(state: 11)
        var sampled = 0
        for _ in 0..<20_000 {
            let part = TracePart([], settings, &dice) { false }
            #expect(part.isSampled == TraceSampling(basisPoints: 1_000).records(part.traceID))
            sampled += part.isSampled ? 1 : 0
        }
        #expect((1_700...2_300).contains(sampled))
    }

    private struct Vector: Decodable {
        var headers: [[String]]
        var is_traceparent_valid: Bool?
    }

    /// As in the tests of the core: `LATTICE_CONFORMANCE`, or `../shared/conformance` beside the project.
    private static let vectors: [Vector]? = {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { folder.deleteLastPathComponent() }
        let named = ProcessInfo.processInfo.environment["LATTICE_CONFORMANCE"].map { URL(fileURLWithPath: $0) }
        let file = (named ?? folder.appendingPathComponent("shared/conformance"))
            .appendingPathComponent("trace_context/vectors.json")
        return (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode([Vector].self, from: $0) }
    }()

    @Test(.enabled(if: vectors != nil, "no conformance cases here; LATTICE_CONFORMANCE names their folder"))
    func `valid contexts are gone on with and invalid ones restarted, for every vector`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        var passed = 0
        for vector in Self.vectors ?? [] {
            // Some vectors are no HTTP at all: their control characters are for the tests of hostile clients.
            let pairs = vector.headers.filter { $0.count == 2 && $0.allSatisfy(Self.isSendable) }
            guard pairs.count == vector.headers.count, let isValid = vector.is_traceparent_valid else { continue }
            let heard = service.heard.count
            _ = try await client.ask(
                "GET / HTTP/1.1\r\nhost: shop\r\n" + pairs.map { "\($0[0]): \($0[1])\r\n" }.joined() + "\r\n")
            let request = try #require(service.heard.count == heard + 1 ? service.heard.last : nil, "\(pairs)")
            let forwarded = request.header("traceparent") ?? ""
            let given = pairs.filter { $0[0].lowercased() == "traceparent" }
            #expect(request.count(of: "traceparent") == 1)
            let goesOn = given.contains {
                $0[1].split(separator: "-").dropFirst().first.map { forwarded.contains($0) } ?? false
            }
            #expect(goesOn == isValid, "\(pairs) became \(forwarded)")
            if !isValid { #expect(request.header("tracestate") == nil, "\(pairs)") }
            if goesOn == isValid { passed += 1 }
        }
        print("conformance: trace_context through the gateway: \(passed)")
        #expect(passed >= 38, "of 42")
        await client.close()
        await edge.close()
        await service.stop()
    }

    private static func isSendable(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F || $0 == 0x09 }
    }
}
