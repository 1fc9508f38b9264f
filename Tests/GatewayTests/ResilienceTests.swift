// Instances that fail: the client notices only what nobody could have saved.

import EventModel
import LatticeClient
import NIOCore
import TestKit
import Testing

@testable import Gateway

@Suite struct `Resilience of a gateway` {
    @Test func `an idempotent request goes to another instance when one is dead`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let edge = try await Edge.open(services)
        await services[0].kill()
        for _ in 0..<20 { #expect(try await edge.get().answerBody == "b") }
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `an idempotent request survives an instance that hangs up, another kind does not`() async throws {
        let services = [try await HTTPService.start("a", .hangsUp), try await HTTPService.start("b")]
        let edge = try await Edge.open(services, policy: .roundRobin)
        var statuses: [Int] = []
        for number in 0..<4 {
            statuses.append(try await edge.get("/", method: number % 2 == 0 ? "PUT" : "POST", body: "x").status)
        }
        #expect(statuses[0] == 200 && statuses[2] == 200)
        #expect(statuses.contains(502))
        let posts = services.reduce(0) { $0 + $1.heard.count { $0.method == "POST" } }
        #expect(posts == 2, "a request that is not idempotent is sent once")
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `a request that never reached an instance may be sent again whatever it is`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let edge = try await Edge.open(services, policy: .roundRobin)
        await services[0].kill()
        for _ in 0..<4 { #expect(try await edge.get("/", method: "POST", body: "x").answerBody == "b") }
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `502, 503 and 504 are tried elsewhere and the last answer counts`() async throws {
        let services = [try await HTTPService.start("a", .status(503)), try await HTTPService.start("b", .status(503))]
        let edge = try await Edge.open(services)
        #expect(try await edge.get().status == 503)
        #expect(services.map(\.heard.count) == [1, 1])
        services[1].temper = .answers
        #expect(try await edge.get().status == 200)
        #expect(try await edge.get("/", method: "POST", body: "x").status != 0)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `a bare 500 is the application's own answer`() async throws {
        let services = [try await HTTPService.start("a", .status(500)), try await HTTPService.start("b", .status(500))]
        let edge = try await Edge.open(services)
        for _ in 0..<20 { #expect(try await edge.get().status == 500) }
        #expect(services.reduce(0) { $0 + $1.heard.count } == 20)
        #expect(edge.notebook.changes.isEmpty)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `an instance that fails five times in a row is out, and back after a while`() async throws {
        let services = [
            try await HTTPService.start("a"), try await HTTPService.start("b"), try await HTTPService.start("c"),
        ]
        var outliers = OutlierSettings()
        outliers.ejectionFirst = .milliseconds(300)
        let edge = try await Edge.open(services, policy: .roundRobin, outliers: outliers)
        // What a fifth of is the budget of retries.
        for _ in 0..<30 { #expect(try await edge.get().status == 200) }
        let before = services[0].heard.count
        services[0].temper = .status(503)
        for _ in 0..<30 { #expect(try await edge.get().status == 200) }
        #expect(services[0].heard.count == before + 5)
        let change = try #require(edge.notebook.changes.first)
        #expect(change.instanceID == services[0].endpoint && !change.isHealthy)
        services[0].temper = .answers
        try await waitFor("the instance is back") {
            edge.gateway.shared.sweepOutliers()
            return try await edge.get().answerBody == "a"
        }
        #expect(edge.notebook.changes.last?.isHealthy == true)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `an instance comes back on trial: its first failure takes it out again`() async throws {
        let services = [
            try await HTTPService.start("a"), try await HTTPService.start("b"), try await HTTPService.start("c"),
        ]
        var outliers = OutlierSettings()
        outliers.ejectionFirst = .milliseconds(200)
        let edge = try await Edge.open(services, policy: .roundRobin, outliers: outliers)
        for _ in 0..<30 { #expect(try await edge.get().status == 200) }
        services[0].temper = .status(503)
        for _ in 0..<30 { #expect(try await edge.get().status == 200) }
        let before = services[0].heard.count
        try await waitFor("the instance is back") {
            edge.gateway.shared.sweepOutliers()
            return !edge.gateway.shared.allClusters.contains { $0.view.targets.keys.contains { $0.isEjected } }
        }
        #expect(edge.notebook.changes.map(\.isHealthy) == [false], "nobody has asked it yet")
        for _ in 0..<9 { #expect(try await edge.get().status == 200) }
        #expect(services[0].heard.count == before + 1)
        #expect(edge.notebook.changes.map(\.isHealthy) == [false, false])
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `what counts as bad can be changed while requests run`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let edge = try await Edge.open(services, policy: .roundRobin)
        for _ in 0..<30 { #expect(try await edge.get().status == 200) }
        services[0].temper = .status(503)
        for _ in 0..<2 { #expect(try await edge.get().status == 200) }
        #expect(edge.notebook.changes.isEmpty)
        var strict = OutlierSettings()
        strict.consecutiveFailures = 1
        edge.gateway.replaceOutliers(strict)
        for _ in 0..<4 { #expect(try await edge.get().status == 200) }
        #expect(edge.notebook.changes.map(\.instanceID) == [services[0].endpoint])
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `one instance stays, however bad it is`() async throws {
        let services = [try await HTTPService.start("a", .status(503)), try await HTTPService.start("b", .status(503))]
        let edge = try await Edge.open(services)
        for _ in 0..<30 { _ = try await edge.get() }
        #expect(edge.notebook.changes.count == 1)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `retries stay within their budget`() async throws {
        let services = [try await HTTPService.start("a", .hangsUp), try await HTTPService.start("b", .hangsUp)]
        var outliers = OutlierSettings()
        outliers.consecutiveFailures = 1_000
        let edge = try await Edge.open(services, outliers: outliers)
        for _ in 0..<50 { #expect(try await edge.get().status == 502) }
        let attempts = services.reduce(0) { $0 + $1.heard.count }
        #expect((53...60).contains(attempts), "\(attempts) attempts for 50 requests")
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `an answer that was begun is cut, not repeated`() async throws {
        let services = [try await HTTPService.start("a", .cuts), try await HTTPService.start("b", .cuts)]
        let edge = try await Edge.open(services)
        let client = try await RawClient.connect(edge.port)
        await client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        try await waitFor { client.isClosed }
        #expect(client.text.status == 200)
        #expect(client.text.answerBody == "0123456789")
        #expect(services.reduce(0) { $0 + $1.heard.count } == 1)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `a silent instance is given up for another one`() async throws {
        let services = [try await HTTPService.start("a", .silent), try await HTTPService.start("b")]
        var policy = RoutePolicy.roundRobin
        policy.attemptTimeout = .milliseconds(200)
        let edge = try await Edge.open(services, policy: policy)
        #expect(try await edge.get().answerBody == "b")
        #expect(try await edge.get().answerBody == "b")
        services[1].temper = .silent
        policy.timeout = .milliseconds(500)
        var rule = RouteRule(service: "shop")
        rule.endpoints = services.map(\.endpoint)
        rule.policy = policy
        edge.gateway.replaceRoutes([rule])
        #expect(try await edge.get().status == 504)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `a connection that the service has closed meanwhile costs nobody a request`() async throws {
        let service = try await HTTPService.start()
        let edge = try await Edge.open([service])
        for _ in 0..<10 {
            #expect(try await edge.get().status == 200)
            await service.kill()
            try await service.comeBack()
        }
        #expect(try await edge.get().status == 200)
        await edge.close()
        await service.stop()
    }

    @Test func `without an instance the client is told when to come again`() async throws {
        let edge = try await Edge.open(rules: [RouteRule(service: "unknown")])
        let answer = try await edge.get()
        #expect(answer.status == 503)
        #expect(answer.lowercased().contains("retry-after"))
        await edge.close()
    }

    @Test func `a gateway that stops lets requests end`() async throws {
        let service = try await HTTPService.start("a", .bytes(30_000_000))
        let edge = try await Edge.open([service])
        let client = try await RawClient.connect(edge.port)
        await client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        try await waitFor { !client.text.isEmpty }
        async let stopping: Void = edge.gateway.stop(patience: .seconds(20))
        try await waitFor { client.isClosed }
        #expect(client.text.answerBody.utf8.count == 30_000_000)
        await stopping
        await #expect(throws: (any Error).self) { try await RawClient.connect(edge.port) }
        await service.stop()
    }

    @Test func `a budget is a fifth of the last ten seconds and never less than three`() {
        let budget = RetryBudget()
        let start = NIODeadline.uptimeNanoseconds(100_000_000_000)
        #expect((0..<5).map { _ in budget.take(at: start) } == [true, true, true, false, false])
        for _ in 0..<100 { budget.count(at: start) }
        #expect((0..<30).count { _ in budget.take(at: start + .seconds(5)) } == 17)
        #expect((0..<30).count { _ in budget.take(at: start + .seconds(30)) } == 3)
    }
}

extension RoutePolicy {
    static var roundRobin: RoutePolicy {
        var policy = RoutePolicy()
        policy.strategy = .roundRobin
        return policy
    }
}
