// The listeners of a node beyond its own HTTP: which there are, and who waits until all listen.

import ArgumentParser
import EventModel
import Foundation
import Listeners
import Logging
import Messaging
import Endpoints
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

    /// All, in the order of the banner.
    var listeners: [ListenerSetting] {
        [
            ListenerSetting("otlp_http", option: "--otlp-http", otlpHTTP, port: 4318),
            ListenerSetting("otlp_grpc", option: "--otlp-grpc", otlpGRPC, port: 4317),
            ListenerSetting("zipkin", option: "--zipkin", zipkin, port: 9411),
            ListenerSetting("jaeger", option: "--jaeger", jaeger, port: 16686),
        ]
    }

    /// Listeners that others can reach need TLS and a token (Threats.md).
    ///
    /// - Parameter hasTokens: readers can show one of those of the node's own HTTP.
    func refuseOpenListeners(isInsecure: Bool, hasTokens: Bool) throws {
        for listener in listeners {
            guard let address = listener.listen.address, !address.isLoopback, !isInsecure else { continue }
            let missing = missing(of: listener, hasTokens)
            if missing.isEmpty { continue }
            throw ValidationError(
                "\(listener.option) \(listener.listen.text) is not loopback: it needs "
                    + "\(missing.joined(separator: " and ")). Or listen on 127.0.0.1 behind a proxy, or say --insecure "
                    + "if the network is trusted")
        }
    }

    /// What a listener lacks for others to reach it.
    private func missing(of listener: ListenerSetting, _ hasTokens: Bool) -> [String] {
        var missing: [String] = []
        if receiverCert == nil { missing.append("TLS (--receiver-cert, --receiver-key)") }
        if listener.takesSpans && receiverTokenFile == nil {
            missing.append("a token of senders (--receiver-token-file)")
        }
        if listener.answersQueries && readerTokenFile == nil && !hasTokens {
            missing.append("a token of readers (--reader-token-file or --http-tokens-file)")
        }
        return missing
    }

    /// What these listeners prove themselves with, and what they ask of clients.
    func guarding() throws(CommandFailure) -> ListenerGuarding {
        var guarding = ListenerGuarding()
        if let receiverTokenFile {
            guarding.senders = try TokenFile.read(receiverTokenFile, option: "--receiver-token-file")
        }
        guard let receiverCert, let receiverKey else { return guarding }
        do throws(ListenerTLS.Failure) {
            guarding.tls = try ListenerTLS(certificateFile: receiverCert, keyFile: receiverKey)
        } catch {
            throw CommandFailure(.failed, error.description)
        }
        return guarding
    }
}

/// What keeps strangers away from the listeners beyond the node's own HTTP.
struct ListenerGuarding: Sendable {
    /// Nil: everybody who can connect.
    var senders: String?
    var tls: ListenerTLS?
}

/// One listener as it was asked for.
struct ListenerSetting: Sendable {
    /// In the banner and in node.json.
    let name: String
    let option: String
    let listen: ListenArgument
    /// Nobody asked for it: where the port is taken, the node does without.
    let isDefault: Bool

    init(_ name: String, option: String, _ asked: ListenArgument?, port: Int) {
        self.name = name
        self.option = option
        isDefault = asked == nil
        listen = asked ?? ListenArgument(argument: "127.0.0.1:\(port)")!
    }

    var takesSpans: Bool { name != "jaeger" }
    var answersQueries: Bool { name == "jaeger" || name == "zipkin" }
    /// For `--print-config`.
    var text: String { isDefault ? listen.text + ", unless taken" : listen.text }
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
            let place = "\(setting.option) \(setting.listen.text): nobody can listen there: \(error)"
            guard setting.isDefault else { throw CommandFailure(.failed, place) }
            logger.notice("\(setting.name) is off", metadata: ["reason": "\(place)"])
            await board.report(setting.name, nil)
            try? await gracefulShutdown()
        }
    }
}

/// The services of the listeners beyond the node's own HTTP.
struct ListenerServices {
    let options: ReceiverOptions
    let bus: any MessageBus
    let prefix: String
    let delivery: SpanDelivery
    let guarding: ListenerGuarding
    let access: ListenerAccess
    let board: ListenerBoard
    let logger: Logger

    /// Throws what TLS refuses.
    func services() throws -> [any Service] {
        let budget = ReceiverBudget()
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        let scheme = guarding.tls == nil ? "http" : "https"
        return try options.listeners.compactMap { setting in
            guard let address = setting.listen.address else { return nil }
            let configuration = ReceiverConfiguration(
                host: address.host, port: address.port, token: guarding.senders, tls: guarding.tls,
                bounds: access.bounds)
            let report: @Sendable (Int) async -> Void = { port in
                let isPlainGRPC = setting.name == "otlp_grpc" && guarding.tls == nil
                await board.report(setting.name, address.url(scheme: isPlainGRPC ? "grpc" : scheme, port))
            }
            let service = try self.service(
                setting.name, configuration, access.ofReaders(address), budget, quiet, report)
            return ListenerService(setting: setting, service: service, board: board, logger: logger)
        }
    }

    private func service(
        _ name: String, _ configuration: ReceiverConfiguration, _ readers: AccessPolicy, _ budget: ReceiverBudget,
        _ logger: Logger, _ report: @escaping @Sendable (Int) async -> Void
    ) throws -> any Service {
        switch name {
        case "otlp_http":
            return try OTLPHTTPEndpoint(configuration, delivery: delivery, budget: budget)
                .service(logger: logger, onListening: report)
        case "otlp_grpc":
            return try OTLPGRPCEndpoint(configuration, delivery: delivery, budget: budget)
                .service(logger: logger, onListening: report)
        case "zipkin":
            let queries = ZipkinQueries(bus: bus, prefix: prefix, access: readers)
            return try ZipkinEndpoint(configuration, delivery: delivery, budget: budget)
                .service(logger: logger, queries: queries.routes, onListening: report)
        default:
            let jaeger = JaegerEndpointConfiguration(
                host: configuration.host, port: configuration.port, prefix: prefix, access: readers,
                tls: guarding.tls, bounds: access.bounds)
            return try JaegerEndpoint(jaeger, bus: bus).service(logger: logger, onListening: report)
        }
    }
}

extension ListenArgument.Address {
    func url(scheme: String, _ port: Int) -> String {
        "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
