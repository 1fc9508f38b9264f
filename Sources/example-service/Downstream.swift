// How the example calls other services: through a gateway, or by choosing an instance itself.

import AsyncHTTPClient
import LatticeClient
import NIOCore
import NIOHTTP1
import Synchronization

/// Calls each of the services that come next.
final class Downstream: Sendable {
    /// What became of a call; 503: no instance is known, 502: it could not be reached.
    struct Result: Sendable {
        var service: String
        var status: Int
    }

    private let client: HTTPClient
    private let replica: RegistryReplica
    private let settings: ExampleSettings
    private let balancers: [String: LocalBalancer]
    private let underWay = Atomic<Int>(0)

    init(client: HTTPClient, replica: RegistryReplica, settings: ExampleSettings) {
        self.client = client
        self.replica = replica
        self.settings = settings
        var options = LocalBalancer.Options()
        options.locality = settings.locality
        balancers = Dictionary(
            settings.next.map { ($0, LocalBalancer(options)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Requests that are being answered: the load that is told to the registry.
    var requestsUnderWay: Int { underWay.load(ordering: .relaxed) }

    /// Counts a request for as long as it is being answered.
    func counted<Answer>(_ body: () async -> Answer) async -> Answer {
        underWay.add(1, ordering: .relaxed)
        defer { underWay.subtract(1, ordering: .relaxed) }
        return await body()
    }

    /// Calls one after the other.
    func callAll() async -> [Result] {
        var results: [Result] = []
        for service in settings.next { results.append(Result(service: service, status: await call(service))) }
        return results
    }

    private func call(_ service: String) async -> Int {
        if let gateway = settings.gateway { return await get("\(gateway)/\(service)/") ?? 502 }
        guard let view = replica.view(of: service), let balancer = balancers[service] else { return 503 }
        var tried: [InstanceStanding] = []
        // One more instance where the first cannot be reached: the request only reads.
        for _ in 0..<2 {
            guard let choice = balancer.choose(from: view, excluding: tried) else { break }
            let standing = choice.instance.standing
            standing.connectionOpened()
            let status = await get("http://\(choice.instance.endpoint)/")
            standing.connectionClosed()
            if let status { return status }
            tried.append(standing)
        }
        return tried.isEmpty ? 503 : 502
    }

    /// The client makes the span and sends the context along.
    private func get(_ url: String) async -> Int? {
        guard let response = try? await client.execute(HTTPClientRequest(url: url), timeout: .seconds(10)) else {
            return nil
        }
        _ = try? await response.body.collect(upTo: 1 << 20)
        return Int(response.status.code)
    }
}
