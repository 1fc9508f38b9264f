// Lists of instances put together from pages, while the service changes under the reader.

import EventModel
import Messaging
import Queries
import StateMachines
import Testing

@Suite struct `Instances from pages` {
    private static func query(_ service: String = "cart") -> RegistryQuery {
        var query = RegistryQuery()
        query.serviceName = service
        query.healthyOnly = false
        return query
    }

    private static func client(_ node: FakeNode) -> QueryClient {
        QueryClient(bus: node.bus, prefix: "lattice", timeout: .seconds(30))
    }

    private static func ids(_ count: Int) -> [String] { (0..<count).map { "cart-\(100_000 + $0)" } }

    @Test func `a hundred thousand instances come over the bus, whole and in order`() async throws {
        let node = try FakeNode()
        let metadata = [MetadataEntry(key: "version", value: "1.4.2"), MetadataEntry(key: "rack", value: "r17")]
        node.register(Self.ids(100_000), metadata: metadata)
        let answer = try await Self.client(node).everyInstance(Self.query())
        #expect(answer.instances.map(\.instance.instanceID) == Self.ids(100_000))
        #expect(answer.instances.allSatisfy { $0.instance.metadata == metadata })
        #expect(node.asked.count > 1 && node.asked.count < 400)
        #expect(answer.asOf == node.registry.moment.asOf && answer.omitted == 0 && answer.nextPageToken.isEmpty)
        node.end()
    }

    @Test func `what changes while pages are read is in the answer, which is true for one position`() async throws {
        let node = try FakeNode()
        node.register(Self.ids(5_000))
        // Ahead of the reader, behind it, and in its page.
        node.beforeEachAnswer { node, number in
            switch number {
            case 2:
                node.deregister(["cart-100000", "cart-104999"])
                node.register(["cart-0", "cart-999999"])
            case 3: node.register(["cart-100001"], metadata: [MetadataEntry(key: "new", value: "yes")])
            case 4: node.deregister(["cart-0"])
            default: break
            }
        }
        let answer = try await Self.client(node).everyInstance(Self.query())
        let whole = node.registry.resolve(serviceName: "cart", healthyOnly: false)
        #expect(answer.instances == whole.instances && answer.asOf == whole.asOf)
        #expect(answer.instances.count == 4_999)
        node.end()
    }

    @Test func `a service that never rests is no answer, and no short one`() async throws {
        let node = try FakeNode()
        node.register(Self.ids(3_000))
        node.beforeEachAnswer { node, number in
            node.register(Self.ids(3_000), metadata: [.init(key: "n", value: "\(number)")])
        }
        do throws(UnansweredQuery) {
            _ = try await Self.client(node).everyInstance(Self.query())
            Issue.record("nothing was true for one position")
        } catch {
            #expect(error == .unsteady(.registry(.resolve)) && error.httpStatus == 503)
        }
        node.end()
    }

    @Test func `an update brings what changed, in one page where that is little`() async throws {
        let node = try FakeNode()
        node.register(Self.ids(5_000))
        var question = Self.query()
        question.changedSince = node.registry.moment.sequence
        node.deregister(["cart-100007"])
        node.register(["cart-100003"], metadata: [MetadataEntry(key: "new", value: "yes")])
        let update = try await Self.client(node).instances(question)
        #expect(!update.isWhole && update.left == ["cart-100007"])
        #expect(update.instances.map(\.instance.instanceID) == ["cart-100003"])
        #expect(node.asked.count == 1)
        // From a log that began anew nothing of the old one is kept.
        question.changedSince = SequenceNumber(1_000_000)
        let anew = try await Self.client(node).instances(question)
        #expect(anew.isWhole && anew.instances.count == 4_999)
        node.end()
    }

    @Test func `candidates, services and zones come whole in their order`() async throws {
        let node = try FakeNode()
        for service in 0..<900 { node.register(["s-\(service)"], of: "service-\(1_000 + service)") }
        node.register(Self.ids(2_500))
        let client = Self.client(node)
        var query = Self.query()
        query.excludedRegions = ["nowhere"]
        #expect(
            try await client.failoverCandidates(query).instances
                == node.registry.failoverCandidates(serviceName: "cart", excludedRegions: ["nowhere"]).instances)
        #expect(try await client.services().services == node.registry.serviceTopology(withZones: false).services)
        for name in [RegistryQueryName.services, .topology, .resolve, .failoverCandidates] {
            query.excludedRegions = []
            query.serviceName = name == .resolve || name == .failoverCandidates ? "cart" : ""
            #expect(try await client.whole(name, query) == node.registry.answer(name, query), "\(name)")
        }
        node.end()
    }
}
