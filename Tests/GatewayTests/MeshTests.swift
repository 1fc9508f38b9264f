// The gateway among real parts: registry, mirror and collector of a node over a real nats-server.

import EventModel
import Foundation
import LatticeClient
import MeshRules
import Messaging
import NATSMessaging
import TestKit
import Testing

@testable import Gateway

@Suite struct `A gateway in a mesh` {
    @Test func `it finds instances by name, and new ones and gone ones by notice`() async throws {
        let (one, two) = (try await HTTPService.start("a"), try await HTTPService.start("b"))
        let stage = try await MeshStage.open()
        #expect(try await stage.get().status == 503)
        try await stage.register(one)
        try await stage.answers(with: "a")
        try await stage.register(two)
        try await stage.answers(with: "b")
        try await stage.deregister(one)
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 1 }
        for _ in 0..<10 { #expect(try await stage.get().answerBody == "b") }
        await stage.close()
        for service in [one, two] { await service.stop() }
    }

    @Test func `near instances come first, other regions in order when none is left`() async throws {
        let services = [
            try await HTTPService.start("near"), try await HTTPService.start("far-a"),
            try await HTTPService.start("far-b"),
        ]
        let stage = try await MeshStage.open(policy: .roundRobin) { $0.region = "eu" }
        for (service, region) in zip(services, ["eu", "asia", "us"]) {
            try await stage.register(service, region: region)
        }
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 3 }
        for _ in 0..<10 { #expect(try await stage.get().answerBody == "near") }
        await services[0].kill()
        for _ in 0..<10 { #expect(try await stage.get().answerBody == "far-a") }
        await services[1].kill()
        for _ in 0..<4 { #expect(try await stage.get().status == 200) }
        await stage.close()
        for service in services { await service.stop() }
    }

    @Test func `it goes on with what it knew when the node is away, and says so`() async throws {
        let service = try await HTTPService.start("a")
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await stage.answers(with: "a")
        await stage.stopNode()
        for _ in 0..<20 { #expect(try await stage.get().answerBody == "a") }
        try await waitFor("it says so") { !stage.mesh.replica.freshness(of: "shop").isCurrent }
        try await stage.startNode()
        try await waitFor("it recovers") { stage.mesh.replica.freshness(of: "shop").isCurrent }
        await stage.close()
        await service.stop()
    }

    @Test func `an ejection is told to the registry`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let stage = try await MeshStage.open(policy: .roundRobin)
        for service in services { try await stage.register(service) }
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 2 }
        // What a fifth of is the budget of retries.
        for _ in 0..<40 { #expect(try await stage.get().status == 200) }
        services[0].temper = .status(503)
        for _ in 0..<20 { #expect(try await stage.get().status == 200) }
        try await waitFor("the registry knows") {
            try await stage.ask("registry.instance", #"{"service_name":"shop","instance_id":"a"}"#)
                .contains("ejected: status 503")
        }
        await stage.close()
        for service in services { await service.stop() }
    }

    @Test func `what a gateway has said of an instance ends with its address, and with the gateway`() async throws {
        let services = [
            try await HTTPService.start("a"), try await HTTPService.start("b"), try await HTTPService.start("moved"),
        ]
        let stage = try await MeshStage.open(policy: .roundRobin)
        for service in services.prefix(2) { try await stage.register(service) }
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 2 }
        let known = { try await stage.ask("registry.instance", #"{"service_name":"shop","instance_id":"a"}"#) }
        let ejectA = { (service: HTTPService) in
            try await waitFor("it is used") { try await stage.get().answerBody == service.name }
            service.temper = .status(503)
            for _ in 0..<40 { _ = try await stage.get() }
            try await waitFor("the registry knows") { try await known().contains("ejected: status 503") }
        }
        try await ejectA(services[0])
        try await stage.tell(
            "registry.shop.registered",
            #"{"service_name":"shop","events":[{"instance_id":"a","endpoint":"\#(services[2].endpoint)"}]}"#)
        try await waitFor("it is withdrawn") { try await known().contains("another address") }
        try await ejectA(services[2])
        await stage.gateway.stop(patience: .milliseconds(100))
        try await waitFor("it is withdrawn") { try await known().contains("the gateway ends") }
        await stage.close()
        for service in services { await service.stop() }
    }

    @Test func `choices of sampled traces are recorded with their candidates`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let stage = try await MeshStage.open()
        for service in services { try await stage.register(service) }
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 2 }
        let ear = try stage.client.subscribe(
            "lattice.events.registry.shop.instance_selected", queueGroup: nil, limits: .standard)
        try await stage.client.flush(timeout: .seconds(5))
        _ = try await stage.get("/", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n")
        let message = try #require(try ear.receive(maximum: 1, timeout: .seconds(10)).first)
        let event = try EventCodec.decode(
            type: EventType.instanceSelected.rawValue, schemaVersion: EventType.currentSchemaVersion,
            facts: message.payload[...])
        guard case .registry(.instanceSelected(let batch)) = event else { return #expect(Bool(false), "\(event)") }
        let selection = try #require(batch.events.first)
        #expect(selection.candidates == ["a", "b"] && selection.candidates.contains(selection.chosen))
        #expect(selection.traceID.first == 0x0A && selection.asOf > .origin)
        await stage.close()
        for service in services { await service.stop() }
    }

    @Test func `its spans reach the collector as one trace`() async throws {
        let service = try await HTTPService.start("a")
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await stage.answers(with: "a")
        _ = try await stage.get("/item", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n")
        try await waitFor("the collector has the trace") {
            let answer = try await stage.ask("trace.trace", #"{"trace_id":"0af7651916cd43dd8448eb211c80319c"}"#)
            return answer.components(separatedBy: #""operation_name":"GET"#).count == 3
        }
        await stage.close()
        await service.stop()
    }

    @Test func `what clients got counts against the objective of the edge`() async throws {
        let service = try await HTTPService.start("a")
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await stage.answers(with: "a")
        for _ in 0..<9 { #expect(try await stage.get().status == 200) }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let objective = #"{"service_name":"gateway","availability_basis_points":9900}"#
        let report = {
            let answer = try await stage.ask("trace.slo", #"{"objectives":[\#(objective)]}"#)
            return try decoder.decode(SLOReport.self, from: Data(answer.utf8)).services[0]
        }
        // Until the instance was known there were answers 503; each good one reached the service.
        try await waitFor("every good answer is counted") {
            let now = try await report()
            return now.requests - now.errors == service.heard.count
        }
        let before = try await report().errors
        service.temper = .status(500)
        #expect(try await stage.get().status == 500)
        try await waitFor("the error is counted") { try await report().errors == before + 1 }
        #expect(try await report().compliant != true, "more than one of a hundred")
        await stage.close()
        await service.stop()
    }

    /// What of the answer is looked at.
    private struct SLOReport: Decodable {
        struct Service: Decodable {
            var requestCount: String?
            var errorCount: String?
            var compliant: Bool?

            var requests: Int { Int(requestCount ?? "") ?? 0 }
            var errors: Int { Int(errorCount ?? "") ?? 0 }
        }

        var services: [Service]
    }

    @Test func `a mirrored request reaches the shadow from the node, and production never waits for it`() async throws {
        let (service, shadow) = (try await HTTPService.start("a"), try await HTTPService.start("a"))
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await stage.answers(with: "a")
        try await stage.addMirror(to: shadow)
        // What was taken out of a target cannot be sent as it was: such a copy is skipped.
        #expect(try await stage.get("/sign-in?token=secret&x=1").status == 200)
        #expect(try await stage.get("/item?x=1", "authorization: Bearer s3cret\r\n").status == 200)
        try await waitFor("the shadow is asked") { shadow.heard.contains { $0.target.hasPrefix("/item") } }
        let copy = try #require(shadow.heard.first { $0.target.hasPrefix("/item") })
        #expect(copy.target == "/item?x=1")
        #expect(!shadow.heard.contains { $0.target.hasPrefix("/sign-in") })
        #expect(copy.header("authorization") == nil)
        #expect(copy.header("x-lattice-shadow") != nil)
        try await waitFor("the answers are compared") {
            try await stage.ask("mirror.stats", #"{"mirror_id":"m"}"#).contains(#""equal":"#)
        }
        await stage.close()
        for one in [service, shadow] { await one.stop() }
    }

    @Test func `requests that write and those with a true mark are not mirrored, one with a false mark is`()
        async throws
    {
        let (service, shadow) = (try await HTTPService.start("a", .echo), try await HTTPService.start("a"))
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await waitFor { try await stage.get().status == 200 }
        try await stage.addMirror(to: shadow)
        _ = try await stage.get("/write", method: "POST", body: "x")
        let mark = try #require(ShadowMark(key: MeshStage.key)).value(method: "GET", target: "/marked", at: Edge.now())
        _ = try await stage.get("/marked", "x-lattice-shadow: \(mark)\r\n")
        _ = try await stage.get("/forged", "x-lattice-shadow: \(mark)\r\n")
        try await waitFor("the shadow is asked") { shadow.heard.contains { $0.target == "/forged" } }
        #expect(!shadow.heard.contains { $0.target == "/marked" || $0.target == "/write" })
        await stage.close()
        for one in [service, shadow] { await one.stop() }
    }

    @Test func `a body beyond the bound is captured in part and not sent to the shadow`() async throws {
        let (service, shadow) = (try await HTTPService.start("a", .echo), try await HTTPService.start("a"))
        let stage = try await MeshStage.open()
        try await stage.register(service)
        try await waitFor { try await stage.get().status == 200 }
        try await stage.addMirror(to: shadow, more: #","allow_writes":true"#)
        _ = try await stage.get(
            "/large", "content-type: text/plain\r\n", method: "POST", body: String(repeating: "a", count: 40_000))
        _ = try await stage.get("/small", "content-type: text/plain\r\n", method: "POST", body: "b")
        try await waitFor("the shadow is asked") { shadow.heard.contains { $0.target == "/small" } }
        try await waitFor("the ledger says why the other is not") {
            try await stage.ask("mirror.ledger", #"{"mirror_id":"m"}"#).contains("truncated")
        }
        #expect(!shadow.heard.contains { $0.target == "/large" })
        await stage.close()
        for one in [service, shadow] { await one.stop() }
    }

    @Test func `a dead shadow, a dead node and a dead instance under load cost no request that a retry can save`()
        async throws
    {
        let services = [
            try await HTTPService.start("a"), try await HTTPService.start("b"), try await HTTPService.start("c"),
        ]
        let shadow = try await HTTPService.start("s")
        let stage = try await MeshStage.open()
        for service in services { try await stage.register(service) }
        try await waitFor { stage.gateway.shared.registryClusters.first?.view.targets.count == 3 }
        try await stage.addMirror(to: shadow)
        let port = stage.gateway.port
        let failures = await withTaskGroup(of: [String].self) { group in
            for worker in 0..<8 {
                group.addTask { await Self.load(port, worker: worker, requests: 400) }
            }
            try? await waitFor { services.reduce(0) { $0 + $1.heard.count } > 400 }
            await services[1].kill()
            await shadow.kill()
            await stage.stopNode()
            try? await stage.startNode()
            try? await services[1].comeBack()
            await services[2].kill()
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(failures.isEmpty, "\(failures.prefix(5))")
        try await waitFor("nothing that was captured is lost on its way to the node") {
            let figures = stage.mesh.events.figures
            return figures.pending == 0 && figures.dropped + figures.failed == 0
        }
        await stage.close()
        for one in services + [shadow] { await one.stop() }
    }

    /// One connection of idempotent requests; what failed.
    private static func load(_ port: Int, worker: Int, requests: Int) async -> [String] {
        guard let client = try? await RawClient.connect(port) else { return ["no connection"] }
        var failures: [String] = []
        for number in 0..<requests {
            let answer = try? await client.ask("GET /\(worker)/\(number) HTTP/1.1\r\nhost: shop\r\n\r\n")
            if answer?.status != 200 { failures.append(answer ?? "no answer to \(number)") }
        }
        await client.close()
        return failures
    }
}
