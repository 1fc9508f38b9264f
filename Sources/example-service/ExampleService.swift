// A small service that lives in a mesh: it announces itself, balances its own calls, and traces what it does.

import ArgumentParser
import AsyncHTTPClient
import EventModel
import Foundation
import HTTPTypes
import Hummingbird
import LatticeClient
import Logging
import ServiceLifecycle
import Tracing
import UnixSignals

/// `example-service`: what a service does with LatticeClient, and the services of the demo mesh.
@main struct ExampleService: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example-service",
        abstract: "An HTTP service that announces itself, calls others, and traces what it does.",
        discussion: """
            Each option can also be a variable of the environment: EXAMPLE_NAME, EXAMPLE_PORT, EXAMPLE_NEXT (with commas) …

              example-service --name cart --port 8081 --delay 20ms
              example-service --name web --port 8080 --next cart
              example-service --name cart --port 8082 --field total=43 --no-announce   # a shadow that differs
            """)

    @Option(help: "The name under which it serves.") var name: String?
    @Option(help: "The instance's id; default: the name and the process id.") var id: String?
    @Option(help: "Where it listens; 0: any free port.") var port: Int?
    @Option(help: "The address it listens on.") var host: String?
    @Option(help: "The host that others reach it by; default: 127.0.0.1.") var advertise: String?
    @Option(help: "Told in each answer and as metadata.") var version: String?
    @Option(help: "How long an answer takes: 20ms, 1s.") var delay: String?
    @Option(help: "How often it says that it lives: 1s. Three missed ones make it stale.") var heartbeat: String?
    @Option(help: "So many of 100 requests are answered 500.") var failRate: Double?
    @Option(help: "A service that each request calls; may be repeated.") var next: [String] = []
    @Option(help: "Call others by this gateway, at /<service>/; default: by balancing locally.") var gateway: String?
    @Option(help: "A field of the answer, NAME=VALUE; may be repeated.") var field: [String] = []
    @Option(help: "The region it runs in.") var region: String?
    @Option(help: "The zone it runs in.") var zone: String?
    @Option(help: "So many of 100 traces that begin here are recorded.") var sampling: Double?
    @Option(help: "NATS servers, with commas.") var nats: String?
    @Option(help: "The first token of every subject.") var prefix: String?
    @Option(help: "A user of NATS; its password is LATTICE_NATS_PASSWORD.") var user: String?
    @Flag(inversion: .prefixedNo, help: "Whether it registers.") var announce = true

    func run() async throws {
        let settings = try ExampleSettings(self)
        var logger = Logger(label: settings.name)
        logger.logLevel = .notice
        let mesh = try await MeshConnection.connect(settings.mesh, logger: logger)
        let tracer = LatticeTracer(service: settings.name, mesh, options: settings.tracing)
        // Whatever is instrumented in this process, the HTTP client too, traces from here on.
        InstrumentationSystem.bootstrap(tracer)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings.client)
        let replica = RegistryReplica(mesh)
        replica.follow(settings.gateway == nil ? settings.next : [])
        let calls = Downstream(client: client, replica: replica, settings: settings)
        let (bound, isBound) = AsyncStream<Int>.makeStream()
        let application = Application(
            router: Answers(settings: settings, downstream: calls).router,
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil),
            onServerRunning: { channel in isBound.yield(channel.localAddress?.port ?? settings.port) },
            logger: logger)
        // Ended in the opposite order: first it leaves the registry, then it answers what is under way, then it tells
        // the rest of its spans.
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: tracer), .init(service: replica), .init(service: application),
                    .init(service: Presence(mesh: mesh, settings: settings, bound: bound, calls: calls)),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
        try await client.shutdown()
        await mesh.close()
    }
}

/// Announces the process once it is known where it listens.
private struct Presence: Service {
    let mesh: MeshConnection
    let settings: ExampleSettings
    let bound: AsyncStream<Int>
    let calls: Downstream

    func run() async throws {
        var ports = bound.makeAsyncIterator()
        guard let port = await ports.next() else { return }
        // Written at once: whoever started this reads it from a pipe or a file.
        let line = "\(settings.name) \(settings.id) listens on http://\(settings.host):\(port)\n"
        FileHandle.standardOutput.write(Data(line.utf8))
        guard settings.announces else { return try await gracefulShutdown() }
        let registration = ServiceRegistration(
            service: settings.name, instanceID: settings.id, endpoint: "\(settings.advertise):\(port)",
            locality: settings.locality, metadata: [MetadataEntry(key: "version", value: settings.version)])
        let calls = calls
        await ServiceAnnouncement(mesh, registration, options: settings.announcement) { calls.requestsUnderWay }.run()
    }
}
