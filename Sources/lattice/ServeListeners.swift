// The listeners of a node beyond its own HTTP: which there are, and who waits until all listen.

import ArgumentParser
import EventModel
import Foundation
import Logging
import Messaging
import QueryAPI
import Receivers
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

    /// All, in the order of the banner.
    var listeners: [ListenerSetting] {
        [
            ListenerSetting("otlp_http", option: "--otlp-http", otlpHTTP, port: 4318),
            ListenerSetting("otlp_grpc", option: "--otlp-grpc", otlpGRPC, port: 4317),
            ListenerSetting("zipkin", option: "--zipkin", zipkin, port: 9411),
            ListenerSetting("jaeger", option: "--jaeger", jaeger, port: 16686),
        ]
    }

    /// Listeners that others can reach need TLS and a token (operations.md, Attackers).
    func refuseOpenListeners(isInsecure: Bool) throws {
        for listener in listeners {
            guard let address = listener.listen.address, !address.isLoopback, !isInsecure else { continue }
            throw ValidationError(
                "\(listener.option) \(listener.listen.text) is not loopback: it needs TLS and a token. Put a TLS proxy "
                    + "in front and listen on 127.0.0.1, or say --insecure if the network is trusted")
        }
    }

    func token() throws(CommandFailure) -> String? {
        guard let receiverTokenFile else { return nil }
        return try TokenFile.read(receiverTokenFile, option: "--receiver-token-file")
    }
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
    let token: String?
    let board: ListenerBoard
    let logger: Logger

    func services() -> [any Service] {
        let budget = ReceiverBudget()
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        return options.listeners.compactMap { setting in
            guard let address = setting.listen.address else { return nil }
            let configuration = ReceiverConfiguration(host: address.host, port: address.port, token: token)
            let report: @Sendable (Int) async -> Void = { port in
                await board.report(
                    setting.name, address.url(scheme: setting.name == "otlp_grpc" ? "grpc" : "http", port))
            }
            let service = self.service(setting.name, configuration, budget, quiet, report)
            return ListenerService(setting: setting, service: service, board: board, logger: logger)
        }
    }

    private func service(
        _ name: String, _ configuration: ReceiverConfiguration, _ budget: ReceiverBudget, _ logger: Logger,
        _ report: @escaping @Sendable (Int) async -> Void
    ) -> any Service {
        switch name {
        case "otlp_http":
            OTLPHTTPFace(configuration, delivery: delivery, budget: budget).service(logger: logger, onListening: report)
        case "otlp_grpc":
            OTLPGRPCFace(configuration, delivery: delivery, budget: budget).service(logger: logger, onListening: report)
        case "zipkin":
            ZipkinFace(configuration, delivery: delivery, budget: budget).service(logger: logger, onListening: report)
        default:
            JaegerFace(
                JaegerFaceConfiguration(host: configuration.host, port: configuration.port, prefix: prefix), bus: bus
            ).service(logger: logger, onListening: report)
        }
    }
}

extension ListenArgument.Address {
    func url(scheme: String, _ port: Int) -> String {
        "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}

/// Bearer tokens on disk.
enum TokenFile {
    /// The first word of a file.
    static func read(_ path: String, option: String) throws(CommandFailure) -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.failed, "\(option) \(path) can not be read")
        }
        let text = String(decoding: data, as: UTF8.self)
        let token = String(text.drop(while: \.isWhitespace).prefix { !$0.isWhitespace })
        guard token.utf8.count >= 16 else {
            throw CommandFailure(
                .failed, "the token in \(path) is shorter than 16 characters: `openssl rand -hex 32` makes one")
        }
        return token
    }
}
