// What a gateway learns of instances: of what they did alone, for as long as there is who learned it.

import EventModel
import NIOCore
import NIOSSL
import Synchronization
import TestKit
import Testing

@testable import Gateway
@testable import LatticeClient

@Suite struct `What a gateway learns` {
    private func ejected(_ services: [HTTPService]) async throws -> Edge {
        var outliers = OutlierSettings()
        outliers.consecutiveFailures = 1
        let edge = try await Edge.open(services, policy: .roundRobin, outliers: outliers)
        services[0].temper = .status(503)
        for _ in 0..<4 { _ = try await edge.get() }
        #expect(edge.notebook.changes.map(\.isHealthy) == [false])
        return edge
    }

    @Test func `an ejection ends with the gateway`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let edge = try await ejected(services)
        await edge.close()
        #expect(edge.notebook.changes.map(\.isHealthy) == [false, true])
        #expect(edge.notebook.changes.last?.instanceID == services[0].endpoint)
        #expect(edge.notebook.changes.last?.reason.contains("the gateway ends") == true)
        for service in services { await service.stop() }
    }

    @Test func `an ejection ends with the route, and what still runs on it takes nobody out again`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        let edge = try await ejected(services)
        let cluster = try #require(edge.gateway.shared.allClusters.first)
        edge.gateway.replaceRoutes([])
        #expect(edge.notebook.changes.map(\.isHealthy) == [false, true])
        let target = try #require(cluster.view.targets.values.first)
        for _ in 0..<10 { edge.gateway.shared.outliers.failed(target, in: cluster, because: "late", at: .now()) }
        #expect(edge.notebook.changes.count == 2)
        await edge.close()
        for service in services { await service.stop() }
    }

    private func view(_ standing: InstanceStanding, _ service: ServiceStanding, endpoint: String) -> ServiceView {
        let other = InstanceStanding(instanceID: "b", service: service)
        let instances = [(standing, endpoint), (other, "127.0.0.1:2")].map { standing, endpoint in
            ServedInstance(
                InstanceSnapshot(
                    instance: ServiceInstance(
                        instanceID: standing.instanceID, serviceName: "shop", endpoint: endpoint, region: "", zone: "",
                        weight: 100, metadata: [], registeredAt: .zero, lastHeartbeat: .zero, incarnation: 1),
                    health: .healthy, status: nil, activeConnections: 0),
                changedAt: SequenceNumber(1), standing: standing)
        }
        return ServiceView(
            serviceName: "shop", instances: instances, asOf: AsOf(sequence: SequenceNumber(1), recordedAt: .zero),
            isProtected: false, generation: 1, standing: service)
    }

    @Test func `a new address under one registration begins afresh`() async throws {
        let notebook = Notebook()
        var settings = OutlierSettings()
        settings.consecutiveFailures = 1
        let outliers = OutlierDetection(settings) { notebook.changed($0) }
        let (service, cluster) = (ServiceStanding(), Cluster(service: "shop"))
        let standing = InstanceStanding(instanceID: "a", service: service)
        cluster.update(view(standing, service, endpoint: "127.0.0.1:1"))
        let old = try #require(cluster.view.targets[standing])
        outliers.failed(old, in: cluster, because: "test", at: .now())
        #expect(standing.isEjected && notebook.changes.map(\.isHealthy) == [false])
        outliers.withdraw(
            cluster.update(view(standing, service, endpoint: "127.0.0.1:3")), because: "it has another address")
        #expect(!standing.isEjected && notebook.changes.map(\.isHealthy) == [false, true])
        let new = try #require(cluster.view.targets[standing])
        #expect(new !== old && new.failureCount.load(ordering: .relaxed) == 0)
    }

    @Test func `clients that are slow take no instance out`() async throws {
        let services = [try await HTTPService.start("a"), try await HTTPService.start("b")]
        var policy = RoutePolicy.roundRobin
        (policy.attemptTimeout, policy.timeout) = (.milliseconds(200), .milliseconds(300))
        let edge = try await Edge.open(services, policy: policy)
        var clients: [RawClient] = []
        for _ in 0..<12 {
            let client = try await RawClient.connect(edge.port)
            await client.send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\nbegin")
            clients.append(client)
        }
        // Both bounds pass, on the gateway's own clock, while the clients have still something to say.
        let start = NIODeadline.now()
        try await waitFor { NIODeadline.now() > start + .milliseconds(700) }
        for client in clients {
            #expect(client.text.isEmpty)
            await client.send("-end-")
            try await waitFor { client.text.status != 0 }
            #expect(client.text.status == 200)
        }
        #expect(edge.notebook.changes.isEmpty)
        await edge.close()
        for service in services { await service.stop() }
    }

    @Test func `a connection is used only by routes that would have made it so`() async throws {
        let service = try await StrictService.start()
        var rule = RouteRule(service: "shop")
        rule.endpoints = [service.endpoint]
        rule.policy.retries = 0
        rule.policy.attemptTimeout = .milliseconds(300)
        let edge = try await Edge.open(rules: [rule])
        #expect(try await edge.get("/", "x-id: a\r\n").status == 200)
        var sealed = rule
        sealed.tls = UpstreamTLS(
            context: try NIOSSLContext(configuration: .makeClientConfiguration()), serverName: "shop")
        edge.gateway.replaceRoutes([sealed])
        #expect(try await edge.get("/", "x-id: b\r\n").status >= 502, "in clear text it would have been answered")
        #expect(service.requests("b").isEmpty)
        edge.gateway.replaceRoutes([rule])
        #expect(try await edge.get("/", "x-id: c\r\n").status == 200)
        await edge.close()
        await service.stop()
    }
}
