// One run of a node: the parts are started in order and ended in reverse.

import NodeRuntime
import Dispatcher
import EventModel
import EventStore
import Glibc
import Endpoints
import Listeners
import Logging
import Messaging
import Metrics
import NATSMessaging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// Starts what `lattice serve` consists of, waits for the end, and puts everything back.
struct ServeRun {
    private let serve: Serve
    private let configuration: NodeConfiguration
    private let logger = Logger(label: "lattice")
    private let metrics = PrometheusMetrics()

    init(_ serve: Serve) {
        self.serve = serve
        configuration = serve.nodeConfiguration
    }

    func run() async throws {
        MetricsSystem.bootstrap(metrics)
        let directory = configuration.directory
        logger.notice(
            "starting",
            metadata: [
                "version": "\(Lattice.version)", "mode": "\(configuration.mode.name)", "data": "\(directory)",
                "prefix": "\(configuration.prefix)",
            ])
        let (access, guarding) = (try ListenerAccess(serve, logger: logger), try ListenerGuarding(serve))
        let anchorKey = try serve.anchors.key(outside: directory)
        let lock = try lockDirectory()
        let launch = NodeLaunch()
        let stopper = await Stopper(launch)
        let server = try await startServer()
        let urls = server.map { [$0.url] } ?? serve.connection.servers
        let buses = try await connect(urls)
        let shadows = try ShadowSetUp(serve).sender()
        launch.announceBy { node, listeners in
            Announcement(node: node, urls: urls, serve: serve, isEmbedded: server != nil).ready(listeners)
        }
        var services: [any Service] = []
        if let server { services.append(ServerService(server: server)) }
        services.append(
            NodeService(launch: launch, buses: buses, shadows: shadows) {
                let node = try await NodeStart(
                    serve: serve, buses: buses, anchorKey: anchorKey, shadows: shadows, launch: launch, logger: logger
                ).node()
                await recordSettings(node, buses)
                return node
            })
        let board = ListenerBoard(listenerNames) { urls in launch.listens(urls) }
        services += try listenerServices(launch, buses, access, guarding, board) + access.services
        await board.start()
        let group = serviceGroup(services)
        await stopper.stop(group)

        defer {
            NodeFile.remove(in: directory)
            lock.release()
        }
        do {
            try await group.run()
        } catch let failure as NodeFailure {
            throw CommandFailure(failure)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    /// Held before the embedded server touches its files; the log has a lock of its own.
    private func lockDirectory() throws(CommandFailure) -> any LogLock {
        let directory = configuration.directory
        return try readingLog { () throws(EventStoreError) in
            try PosixStorage().createDirectory(directory)
            return try PosixStorage().lock(directory + "/serve.lock")
        }
    }

    private func startServer() async throws(CommandFailure) -> EmbeddedNATSServer? {
        guard serve.connection.servers.isEmpty else { return nil }
        let directory = configuration.directory + "/nats"
        try readingLog { () throws(EventStoreError) in try PosixStorage().createDirectory(directory) }
        var options = EmbeddedNATSServer.Options(directory: directory)
        options.port = serve.node.natsPort
        if serve.node.stream != nil { options.jetStreamDirectory = directory + "/jetstream" }
        do throws(EmbeddedServerError) {
            return try await EmbeddedNATSServer.start(options)
        } catch {
            let advice = serve.node.natsPort == nil ? "" : "\n  is the port free? --nats-port names another"
            throw CommandFailure(.unreachable, error.description + advice)
        }
    }

    private func connect(_ urls: [String]) async throws(CommandFailure) -> NodeBuses {
        var intake = serve.connection.configuration(servers: urls, name: "lattice intake")
        var answers = serve.connection.configuration(servers: urls, name: "lattice answers")
        answers.sendsAtOnce = true
        // Both are to the same place: one of them says enough.
        intake.complainsWhileAway = false
        (intake.retriesFirstConnect, answers.retriesFirstConnect) = (NodeStart.waits(serve), NodeStart.waits(serve))
        do throws(BusError) {
            let asked = try await NATSMessageBus.connect(answers, logger: logger)
            return NodeBuses(intake: try await NATSMessageBus.connect(intake, logger: logger), answers: asked)
        } catch {
            throw CommandFailure(error, url: urls.joined(separator: ", "))
        }
    }

    /// Over a stream nobody records the settings a node was started with; so they are published like any policy.
    private func recordSettings(_ node: Node, _ buses: NodeBuses) async {
        guard configuration.mode != .core else { return }
        let (registry, traces) = (configuration.registry, configuration.traces)
        if registry != RegistryConfiguration(reason: registry.reason) {
            publish(.registryConfigured(registry), node, buses)
        }
        if !traces.isEmpty { publish(.tracesConfigured(traces), node, buses) }
    }

    private func publish(_ policy: PolicyEvent, _ node: Node, _ buses: NodeBuses) {
        guard let (type, facts) = EventCodec.encode(.policy(policy)) else { return }
        let subject = "\(configuration.prefix).events.policy.\(SubjectToken.escape(node.id)).\(type.name)"
        do throws(BusError) {
            try buses.answers.publish(Message(subject: subject, payload: facts))
        } catch {
            logger.error("the settings were not recorded", metadata: ["error": "\(error)"])
        }
    }

    private var listenerNames: [String] {
        serve.listeners.filter { $0.listen.address != nil }.map(\.name)
    }

    private func listenerServices(
        _ launch: NodeLaunch, _ buses: NodeBuses, _ access: ListenerAccess, _ guarding: ListenerGuarding,
        _ board: ListenerBoard
    ) throws -> [any Service] {
        if listenerNames.isEmpty { return [] }
        let inbox = OutcomeInbox(
            buses.answers, prefix: buses.answers.configuration.inboxPrefix,
            acknowledgement: StreamAcknowledgement.outcome)
        let outcome: PublishWithOutcome = { message, timeout throws(BusError) in
            try await inbox.outcome(of: message, timeout: timeout)
        }
        let delivery = SpanDelivery(prefix: configuration.prefix, outcome: outcome)
        let metrics = metrics
        return try ListenerServices(
            listeners: serve.listeners, guarding: guarding, access: access, bus: buses.answers,
            prefix: configuration.prefix, delivery: delivery, board: board, logger: logger
        ) { admin in
            AdminEndpoint(
                admin, bus: buses.answers, metrics: metrics, unreadiness: { launch.unreadiness }, outcome: outcome)
        }.services()
    }

    private func serviceGroup(_ services: [any Service]) -> ServiceGroup {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        return ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map {
                    .init(
                        service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup)
                }, logger: quiet))
    }
}

/// The connections of a node.
struct NodeBuses: Sendable {
    let intake: NATSMessageBus
    let answers: NATSMessageBus

    var areConnected: Bool { intake.state == .connected && answers.state == .connected }

    func close() async {
        await intake.close()
        await answers.close()
    }
}

/// Waits for signals: the first one ends the run in order, the second at once.
private actor Stopper {
    private var group: ServiceGroup?
    private var signalCount = 0
    private let launch: NodeLaunch

    init(_ launch: NodeLaunch) async {
        self.launch = launch
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        Task { for await _ in signals { await self.received() } }
    }

    func stop(_ group: ServiceGroup) { self.group = group }

    private func received() async {
        signalCount += 1
        guard signalCount == 1, let group, launch.node != nil else {
            // Before the node runs there is nothing to put back: its log recovers, its server ends with the process.
            Glibc.exit(launch.node == nil ? ExitStatus.success.rawValue : ExitStatus.failed.rawValue)
        }
        await group.triggerGracefulShutdown()
    }
}

/// The embedded server as a service: ends last, and its unexpected end is a failure.
private struct ServerService: Service {
    let server: EmbeddedNATSServer

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while server.isRunning { try await Task.sleep(for: .milliseconds(250)) }
        }
        guard server.isRunning else {
            throw CommandFailure(
                .unreachable, "the embedded nats-server ended; \(server.options.directory)/nats-server.log says why")
        }
        await server.terminate()
    }
}

/// The node as a service.
private struct NodeService: Service {
    let launch: NodeLaunch
    let buses: NodeBuses
    let shadows: HTTPShadowSender
    let start: @Sendable () async throws -> Node

    func run() async throws {
        do {
            let node = try await start()
            launch.started(node)
            try await withGracefulShutdownHandler {
                try await node.waitForEnd()
            } onGracefulShutdown: {
                Task { await node.stop() }
            }
        } catch {
            await shadows.shutdown()
            await buses.close()
            throw error
        }
        await shadows.shutdown()
        await buses.close()
    }
}
