// A real nats-server, a node with a dispatcher, services over HTTP and a gateway that knows them from the registry.

import NodeRuntime
import Dispatcher
import EventModel
import Foundation
import LatticeClient
import Logging
import Messaging
import NATSMessaging
import TestKit
import Testing

@testable import Gateway

/// Everything one test needs; `close` ends it.
final class MeshStage {
    static let key: [UInt8] = Array("the key of the mesh of tests".utf8)

    let directory: String
    private(set) var server: EmbeddedNATSServer
    private(set) var node: Node?
    private var nodeBuses: [NATSMessageBus] = []
    let client: NATSMessageBus
    let gateway: Gateway
    let mesh: MeshLink
    private let meshTask: Task<Void, Never>
    private let shadows: HTTPShadowSender

    static func open(
        _ service: String = "shop", policy: RoutePolicy = RoutePolicy(),
        _ change: (inout GatewaySettings) -> Void = { _ in }
    ) async throws -> MeshStage {
        let directory = NSTemporaryDirectory() + "lattice-gateway-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory + "/nats", withIntermediateDirectories: true)
        let server = try await EmbeddedNATSServer.start(EmbeddedNATSServer.Options(directory: directory + "/nats"))
        let client = try await connect(server, "client")
        let mesh = MeshLink(
            MeshConnection(bus: try await connect(server, "gateway"), logger: Edge.quiet), gatewayID: "edge-1",
            now: Edge.now, logger: Edge.quiet)
        var rule = RouteRule(service: service)
        rule.policy = policy
        let settings = Edge.settings {
            $0.markKey = key
            change(&$0)
        }
        let gateway = try await Gateway.start(
            settings, routes: [rule], sinks: mesh.sinks, now: Edge.now, logger: Edge.quiet)
        let stage = MeshStage(directory, server, client, gateway, mesh)
        try await stage.startNode()
        return stage
    }

    private init(
        _ directory: String, _ server: EmbeddedNATSServer, _ client: NATSMessageBus, _ gateway: Gateway,
        _ mesh: MeshLink
    ) {
        self.directory = directory
        self.server = server
        self.client = client
        self.gateway = gateway
        self.mesh = mesh
        meshTask = Task { await mesh.run(for: gateway) }
        shadows = HTTPShadowSender(
            ShadowSenderConfiguration(credentialsDirectory: directory, markKey: Self.key, now: Edge.now))
    }

    private static func connect(_ server: EmbeddedNATSServer, _ name: String) async throws -> NATSMessageBus {
        var configuration = NATSConfiguration(servers: [server.url], name: name)
        configuration.sendsAtOnce = true
        return try await NATSMessageBus.connect(configuration, logger: Edge.quiet)
    }

    func startNode() async throws {
        var configuration = NodeConfiguration(directory: directory + "/data")
        configuration.registry.allowLoopback = true
        configuration.tickInterval = .milliseconds(100)
        configuration.bytesPerSecond = 0
        nodeBuses = [try await Self.connect(server, "intake"), try await Self.connect(server, "answers")]
        node = try await Node.start(
            configuration,
            NodeEnvironment(
                intakeBus: nodeBuses[0], answerBus: nodeBuses[1], clock: NodeClock { Edge.now() }, logger: Edge.quiet,
                shadows: shadows))
    }

    func stopNode() async {
        await node?.stop()
        node = nil
        for bus in nodeBuses { await bus.close() }
    }

    func close() async {
        await gateway.stop(patience: .milliseconds(100))
        meshTask.cancel()
        await meshTask.value
        await mesh.connection.close()
        await stopNode()
        await shadows.shutdown()
        await client.close()
        await server.terminate()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Talking

    /// Publishes JSON as an event and expects it to be accepted.
    func tell(_ subject: String, _ json: String) async throws {
        let answer = try await client.request(
            Message(
                subject: "lattice.events.\(subject)", headers: [MessageHeader("Content-Type", "application/json")],
                payload: Array(json.utf8)), timeout: .seconds(10))
        let text = String(decoding: answer.payload, as: UTF8.self)
        try #require(text.contains(#""accepted""#), "\(text)")
    }

    func register(_ service: HTTPService, region: String = "", as name: String = "shop") async throws {
        try await tell(
            "registry.\(name).registered",
            #"{"service_name":"\#(name)","events":[{"instance_id":"\#(service.name)","endpoint":"\#(service.endpoint)","#
                + #""region":"\#(region)"}]}"#)
    }

    func deregister(_ service: HTTPService) async throws {
        try await tell(
            "registry.shop.deregistered",
            #"{"service_name":"shop","events":[{"instance_id":"\#(service.name)","reason":"scaled in"}]}"#)
    }

    /// The answer of a query, as JSON text.
    func ask(_ query: String, _ json: String = "{}") async throws -> String {
        let answer = try await client.request(
            Message(
                subject: "lattice.queries.\(query)", headers: [MessageHeader("Content-Type", "application/json")],
                payload: Array(json.utf8)), timeout: .seconds(10))
        return String(decoding: answer.payload, as: UTF8.self)
    }

    func get(_ target: String = "/", _ headers: String = "", method: String = "GET", body: String = "") async throws
        -> String
    {
        let client = try await RawClient.connect(gateway.port)
        let length = body.isEmpty ? "" : "content-length: \(body.utf8.count)\r\n"
        let answer = try await client.ask(
            "\(method) \(target) HTTP/1.1\r\nhost: shop\r\n\(length)\(headers)\r\n\(body)")
        await client.close()
        return answer
    }

    /// Until the gateway answers with one of these bodies.
    func answers(with bodies: String...) async throws {
        try await waitFor("an answer of \(bodies)") { bodies.contains(try await get().answerBody) }
    }

    func addMirror(to shadow: HTTPService, more: String = "") async throws {
        // From here on only a notice tells of it in time.
        try await waitFor("the gateway has asked for mirrors") { mesh.mirrorsTrouble == nil }
        try await tell(
            "mirror.shop.shadows_allowed",
            #"{"source_service":"shop","endpoints":["\#(shadow.endpoint)"],"allow_loopback":true}"#)
        try await tell(
            "mirror.shop.added",
            #"{"source_service":"shop","events":[{"mirror_id":"m","shadow_endpoint":"\#(shadow.endpoint)","mode":"full","#
                + #""timeout_ns":"5000000000"\#(more)}]}"#)
        try await waitFor("the gateway knows the mirror") { mesh.mirrors.current().entries["shop"] != nil }
    }
}
