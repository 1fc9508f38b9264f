// The listeners of a node as services, and who waits until all listen.

import ArgumentParser
import EventModel
import Foundation
import Glibc
import Listeners
import Logging
import Messaging
import Endpoints
import NIOCore
import ServiceLifecycle

/// Where foreign spans are taken, and given to foreign tools.
struct ReceiverOptions: ParsableArguments {
    @Option(
        name: .customLong("otlp-http"),
        help: ArgumentHelp(
            "OTLP over HTTP, POST /v1/traces; none: nowhere (default: 127.0.0.1:4318, unless somebody listens there).",
            valueName: "host:port"))
    var otlpHTTP: ListenArgument?

    @Option(
        name: .customLong("otlp-grpc"),
        help: ArgumentHelp("OTLP over gRPC (default: 127.0.0.1:4317, likewise).", valueName: "host:port"))
    var otlpGRPC: ListenArgument?

    @Option(
        help: ArgumentHelp(
            "Zipkin, POST /api/v2/spans (default: 127.0.0.1:9411, likewise).", valueName: "host:port"))
    var zipkin: ListenArgument?

    @Option(
        help: ArgumentHelp(
            "Jaeger's query API, for Grafana and Jaeger's UI (default: 127.0.0.1:16686, likewise).",
            valueName: "host:port"))
    var jaeger: ListenArgument?

    @Option(
        help: ArgumentHelp(
            "A file with the bearer token that senders of spans have to show; without it all who can connect may send.",
            valueName: "file"))
    var receiverTokenFile: String?

    @Option(
        help: ArgumentHelp(
            "A file with the bearer token that readers have to show to Jaeger's and Zipkin's queries; those of "
                + "--http-tokens-file are good for them too. Without it all who can connect to loopback may read.",
            valueName: "file"))
    var readerTokenFile: String?

    @Option(
        help: ArgumentHelp(
            "The certificate chain of these listeners (PEM): OTLP, Zipkin and Jaeger speak TLS.", valueName: "file"))
    var receiverCert: String?

    @Option(help: ArgumentHelp("The key of --receiver-cert (PEM).", valueName: "file"))
    var receiverKey: String?

    func validate() throws {
        if (receiverCert == nil) != (receiverKey == nil) {
            throw ValidationError("--receiver-cert and --receiver-key are given together")
        }
    }
}

/// Collects where everything listens, and says when nothing is outstanding.
actor ListenerBoard {
    private var outstanding: Set<String>
    private var urls: [String: String] = [:]
    private var onReady: (@Sendable ([String: String]) -> Void)?

    /// - Parameter names: of all listeners that will report.
    init(_ names: [String], onReady: @escaping @Sendable ([String: String]) -> Void) {
        outstanding = Set(names)
        self.onReady = onReady
    }

    /// Announces a node that listens nowhere.
    func start() { announceIfReady() }

    /// - Parameter url: nil where it does not listen.
    func report(_ name: String, _ url: String?) {
        guard outstanding.remove(name) != nil else { return }
        urls[name] = url
        announceIfReady()
    }

    func isOutstanding(_ name: String) -> Bool { outstanding.contains(name) }

    private func announceIfReady() {
        guard outstanding.isEmpty, let onReady else { return }
        self.onReady = nil
        onReady(urls)
    }
}

/// A listener that names itself when it fails, and that the node can do without if nobody asked for it.
struct ListenerService: Service {
    let setting: ListenerSetting
    let service: any Service
    let board: ListenerBoard
    let logger: Logger

    func run() async throws {
        do {
            try await service.run()
        } catch {
            guard await board.isOutstanding(setting.name) else { throw error }
            let place = "\(setting.option) \(setting.listen.text): \(Self.reason(error))"
            guard setting.isDefault else {
                throw CommandFailure(.failed, "\(place)\n  choose another with \(setting.option), or none")
            }
            logger.notice("\(setting.name) is off", metadata: ["reason": "\(place)"])
            await board.report(setting.name, nil)
            try? await gracefulShutdown()
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: "somebody listens there already"
        case EACCES: "this user may not listen there"
        default: "nobody can listen there: \(error)"
        }
    }
}

/// The services of all listeners.
struct ListenerServices {
    let listeners: [ListenerSetting]
    let guarding: ListenerGuarding
    let access: ListenerAccess
    let bus: any MessageBus
    let prefix: String
    let delivery: SpanDelivery
    let board: ListenerBoard
    let logger: Logger
    /// The node's own HTTP, which knows more of the node than the others.
    let admin: @Sendable (AdminEndpointConfiguration) -> AdminEndpoint

    /// Throws what TLS refuses.
    func services() throws -> [any Service] {
        let budget = ReceiverBudget()
        return try listeners.compactMap { setting in
            guard let address = setting.listen.address else { return nil }
            let tls = guarding.tls(of: setting.kind)
            let scheme = tls != nil ? "https" : setting.kind == .otlpGRPC ? "grpc" : "http"
            let service = try service(setting.kind, address, tls, budget) { port in
                await board.report(setting.name, address.url(scheme: scheme, port))
            }
            return ListenerService(setting: setting, service: service, board: board, logger: logger)
        }
    }

    private func service(
        _ kind: ListenerSetting.Kind, _ address: ListenArgument.Address, _ tls: ListenerTLS?, _ budget: ReceiverBudget,
        _ report: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, kind == .http ? .warning : .error)
        let bounds = access.bounds(of: kind)
        let receiver = ReceiverConfiguration(
            host: address.host, port: address.port, token: guarding.senders, tls: tls, bounds: bounds)
        switch kind {
        case .http:
            var configuration = AdminEndpointConfiguration(host: address.host, port: address.port, prefix: prefix)
            configuration.access = access.ofHTTP(address)
            configuration.bounds = bounds
            configuration.tls = tls
            return try admin(configuration).service(logger: quiet, onListening: report)
        case .otlpHTTP:
            return try OTLPHTTPEndpoint(receiver, delivery: delivery, budget: budget)
                .service(logger: quiet, onListening: report)
        case .otlpGRPC:
            return try OTLPGRPCEndpoint(receiver, delivery: delivery, budget: budget)
                .service(logger: quiet, onListening: report)
        case .zipkin:
            let queries = ZipkinQueries(bus: bus, prefix: prefix, access: access.ofReaders(address))
            return try ZipkinEndpoint(receiver, delivery: delivery, budget: budget)
                .service(logger: quiet, queries: queries.routes, onListening: report)
        case .jaeger:
            let jaeger = JaegerEndpointConfiguration(
                host: address.host, port: address.port, prefix: prefix, access: access.ofReaders(address), tls: tls,
                bounds: bounds)
            return try JaegerEndpoint(jaeger, bus: bus).service(logger: quiet, onListening: report)
        }
    }
}

extension ListenArgument.Address {
    func url(scheme: String, _ port: Int) -> String {
        "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
