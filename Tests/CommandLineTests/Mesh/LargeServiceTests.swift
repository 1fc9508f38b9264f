// A hundred thousand instances of one service on a running node, over NATS, over HTTP, for Prometheus and on the command line.

import EventModel
import Foundation
import FoundationNetworking
import Logging
import NATSMessaging
import TestKit
import Testing

import Messaging

@Suite struct `A service with a hundred thousand instances` {
    private static let count = 100_000

    private static func register(_ bus: NATSMessageBus) async throws {
        let metadata = [MetadataEntry(key: "version", value: "1.4.2"), MetadataEntry(key: "rack", value: "r17")]
        for start in stride(from: 0, to: count, by: 2_000) {
            let events = (start..<start + 2_000).map { number in
                Registration(
                    instanceID: "cart-\(100_000 + number)", endpoint: "10.0.0.1:8080", region: "eu", weight: 100,
                    metadata: metadata, incarnation: 1)
            }
            let event = Event.registry(.registered(Registered(serviceName: "cart", events: events)))
            let (_, facts) = try #require(EventCodec.encode(event))
            let answer = try await bus.request(
                Message(
                    subject: "lattice.events.registry.cart.registered",
                    headers: [MessageHeader("Content-Type", "application/protobuf")], payload: facts),
                timeout: .seconds(10))
            try #require(try OutcomeNotice.decode(answer.payload[...]).acceptedCount == 2_000)
        }
    }

    /// Instances from pages of JSON, as a client of any language reads them.
    private static func ids(_ ask: (String) async throws -> Data) async throws -> Set<String> {
        var ids: Set<String> = []
        var token = ""
        repeat {
            let page = try #require(
                try JSONSerialization.jsonObject(with: try await ask(token)) as? [String: Any], "\(token)")
            let instances = try #require(page["instances"] as? [[String: Any]], "\(page)")
            ids.formUnion(instances.compactMap { $0["instance_id"] as? String })
            token = page["next_page_token"] as? String ?? ""
        } while !token.isEmpty
        return ids
    }

    @Test func `comes through every way`() async throws {
        let node = try await RunningNode(
            try Scratch(), ["--http", "127.0.0.1:0", "--bytes-per-second", "0"])
        let bus = try await NATSMessageBus.connect(
            NATSConfiguration(servers: [node.natsURL], name: "large"), logger: Logger(label: "large"))
        try await Self.register(bus)
        let overNATS = try await Self.ids { token in
            let fields = #"{"service_name":"cart","limit":5000,"page_token":"\#(token)"}"#
            let answer = try await bus.request(
                Message(subject: "lattice.queries.registry.resolve", payload: Array(fields.utf8)),
                timeout: .seconds(10))
            return Data(answer.payload)
        }
        #expect(overNATS.count == Self.count)
        let overHTTP = try await Self.ids { token in
            let url = node.httpURL + "/v1/queries/registry/resolve?service_name=cart&limit=5000&page_token=" + token
            return try await URLSession.shared.data(from: try #require(URL(string: url))).0
        }
        #expect(overHTTP == overNATS)
        let discovery = try await URLSession.shared.data(
            for: URLRequest(url: try #require(URL(string: node.httpURL + "/sd/prometheus")), timeoutInterval: 60)
        ).0
        let groups = try #require(try JSONSerialization.jsonObject(with: discovery) as? [[String: Any]])
        #expect(groups.count == Self.count)
        let listing = try LatticeProcess(
            ["query", "resolve", "cart", "--json", "--nats", node.natsURL], in: node.scratch)
        let listed = try await listing.end(within: 90)
        let members = try listed.json
        #expect((members["instances"] as? [Any])?.count == Self.count, "\(listed.errors)")
        // Who knows no pages is told of them, and gets no short list.
        let whole = try await bus.request(
            Message(
                subject: "lattice.queries.registry.resolve", payload: Array(#"{"service_name":"cart"}"#.utf8)),
            timeout: .seconds(10))
        #expect(whole.header("Nats-Service-Error-Code") == "400")
        #expect(whole.header("Nats-Service-Error")?.contains("limit") == true, "\(whole.headers)")
        await bus.close()
    }

    @Test func `any query can be asked on the command line`() async throws {
        let node = try await RunningNode(try Scratch())
        try await node.register("cart", "cart-1")
        try await node.register("cart", "cart-2")
        let page = try await node.lattice("query", "ask", "registry.resolve", #"{"service_name":"cart","limit":1}"#)
        let next = try page.json["next_page_token"] as? String
        #expect(page.status == 0 && next == "cart-1", "\(page)")
        for query in QueryName.allCases {
            let ended = try await node.lattice("query", "ask", query.description)
            // Asked without what it needs a query says so; that it is known here and there is what matters.
            #expect(ended.status == 0 || ended.status == 1, "\(query) \(ended)")
            #expect(!ended.errors.contains("no query is answered"), "\(query) \(ended)")
        }
        let unknown = try await node.lattice("query", "ask", "registry.nonsense")
        #expect(unknown.status == 2 && unknown.errors.contains("registry.resolve"), "\(unknown)")
        let senseless = try await node.lattice("query", "ask", "registry.resolve", #"{"no":1}"#)
        #expect(senseless.status == 1, "\(senseless)")
    }
}
