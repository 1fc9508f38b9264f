// One run of a gateway: mesh, listeners, signals, and their end.

import EventModel
import EventStore
import Foundation
import Gateway
import Glibc
import Endpoints
import LatticeClient
import Listeners
import Logging
import Messaging
import Metrics
import NATSMessaging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// Starts what `lattice gateway` consists of and ends it in order.
struct GatewayRun {
    private let command: GatewayCommand
    private let logger = Logger(label: "lattice.gateway")
    private let metrics = PrometheusMetrics()

    init(_ command: GatewayCommand) { self.command = command }

    func run(_ file: RouteFile) async throws {
        MetricsSystem.bootstrap(metrics)
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        let now: @Sendable () -> Timestamp = { PosixStorage().now() }
        let settings = try command.settings()
        let connection = try await connect(file)
        let mesh = connection.map { MeshLink($0, gatewayID: settings.gatewayID, now: now, logger: logger) }
        let gateway: Gateway
        do {
            gateway = try await Gateway.start(
                settings, routes: file.routes, outliers: file.outliers, sinks: mesh?.sinks ?? .none, now: now,
                logger: logger)
        } catch {
            throw CommandFailure(.failed, "nobody can listen on \(command.listen.text): \(error)")
        }
        let meshTask = mesh.map { mesh in Task { await mesh.run(for: gateway) } }
        let adminTask = startAdmin(gateway, mesh)
        let watcher = Task { await watchFile(gateway) }
        await serveSignals(signals, gateway)
        logger.notice("draining")
        watcher.cancel()
        await gateway.stop(patience: command.drain.duration)
        meshTask?.cancel()
        await meshTask?.value
        adminTask?.cancel()
        await connection?.close()
    }

    /// Nil where the file names every endpoint and no server is named: then there is no mesh.
    private func connect(_ file: RouteFile) async throws(CommandFailure) -> MeshConnection? {
        let needsMesh = file.routes.contains { $0.endpoints.isEmpty }
        guard needsMesh || command.client.isPlaceNamed else { return nil }
        let (servers, prefix) = try command.client.place()
        var configuration = command.client.connection.configuration(servers: servers, name: "lattice gateway")
        configuration.sendsAtOnce = true
        configuration.retriesFirstConnect = !command.noWait
        do throws(BusError) {
            let bus = try await NATSMessageBus.connect(configuration, logger: logger)
            return MeshConnection(
                bus: bus, prefix: prefix, inboxPrefix: configuration.inboxPrefix,
                requestTimeout: command.client.timeout.duration, logger: logger)
        } catch {
            throw CommandFailure(error, url: servers.joined(separator: ", "))
        }
    }

    // MARK: Listening

    private func startAdmin(_ gateway: Gateway, _ mesh: MeshLink?) -> Task<Void, Never>? {
        guard let address = command.admin.address else {
            announce(gateway, admin: nil)
            return nil
        }
        let (logger, metrics) = (logger, metrics)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        let endpoint = GatewayAdminEndpoint(gateway, mesh: mesh) { metrics.textWithProcess() }
        let bounds = ListenerBounds(hosts: command.adminHost, openFilesMaximum: OpenFiles.raiseLimit())
        return Task {
            do {
                let service = try endpoint.service(
                    host: address.host, port: address.port, bounds: bounds, logger: quiet
                ) { port in
                    announce(gateway, admin: "http://\(address.host):\(port)")
                }
                try await service.run()
            } catch {
                Terminal.complain("lattice: nobody can listen on --admin \(command.admin.text): \(error)")
                Glibc.exit(ExitStatus.failed.rawValue)
            }
        }
    }

    private func announce(_ gateway: Gateway, admin: String?) {
        let host = command.listen.address?.host ?? ""
        let scheme = command.cert == nil ? "http" : "https"
        let place = "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(gateway.port)"
        if command.json {
            Terminal.say(#"{"listen":"\#(place)","admin":"\#(admin ?? "")"}"#)
        } else {
            Terminal.say("lattice gateway on \(place), admin \(admin ?? "off")")
        }
    }

    // MARK: Signals and the file

    /// Returns with the first signal that ends the gateway; a second one ends the process at once.
    private func serveSignals(_ signals: UnixSignalsSequence, _ gateway: Gateway) async {
        let (ends, end) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingOldest(1))
        Task {
            var isEnding = false
            for await signal in signals {
                if signal == .sighup {
                    reload(gateway)
                } else if isEnding {
                    Glibc.exit(ExitStatus.failed.rawValue)
                } else {
                    isEnding = true
                    end.yield()
                }
            }
        }
        for await _ in ends { return }
    }

    /// Looks once a second whether the file has changed.
    private func watchFile(_ gateway: Gateway) async {
        var known = FileManager.default.contents(atPath: command.config)
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            guard let content = FileManager.default.contents(atPath: command.config), content != known else { continue }
            known = content
            reload(gateway)
        }
    }

    private func reload(_ gateway: Gateway) {
        do throws(CommandFailure) {
            let file = try RouteFile.read(command.config, besides: SettingTable(of: GatewayCommand.self).keys)
            gateway.replaceRoutes(file.routes)
            gateway.replaceOutliers(file.outliers)
            logger.notice("routes taken", metadata: ["count": "\(file.routes.count)"])
        } catch {
            logger.error("routes refused; the earlier ones stay", metadata: ["reason": "\(error.message)"])
        }
    }
}
