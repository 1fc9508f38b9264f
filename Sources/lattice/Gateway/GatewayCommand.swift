// Runs a gateway: its options, and what they come to.

import ArgumentParser
import EventModel
import Foundation
import Gateway
import Listeners
import Logging
import NIOSSL

/// `lattice gateway`
struct GatewayCommand: AsyncParsableCommand, ConfiguredCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Run an HTTP reverse proxy in front of the services of a mesh.",
        discussion: """
            Routes come from a file; instances from the registry, of which the gateway keeps a copy. While NATS or the node \
            is away it goes on with what it knew last, and says so at /status of its admin listener; where they are not there \
            at its start it waits, and is not ready.

              lattice gateway --config gateway.yaml --nats nats://127.0.0.1:4222
              lattice gateway --config gateway.yaml --listen 0.0.0.0:443 --cert chain.pem --key key.pem
              lattice gateway --config gateway.yaml --check          only say whether the file can be taken

            The file, in YAML:

              routes:
                - host: shop.example
                  path: /api
                  service: checkout
                  strip_prefix: true
                  strategy: power_of_two
                  timeout: 5s
                  retries: 2
                - service: web

            Settings may stand there, too, by the names of the options (`body_bytes: 1MiB`). An option stands over the \
            variable of its name (LATTICE_BODY_BYTES), that over the file, and that over the default; --print-config says \
            where each comes from. Settings are taken at the start.

            SIGHUP, or a change of the file, takes its routes without dropping a request; a file with a mistake is \
            refused and the routes stay. SIGTERM and SIGINT let requests end for --drain, then publish what is left.

            \(ExitStatus.explanation)
            """)

    @OptionGroup(title: "NATS") var client: ClientOptions

    @Option(help: ArgumentHelp("The routes, and settings (YAML).", valueName: "file"), completion: .file())
    var config: String

    @Flag(help: "Print every setting as it is used, and the routes, as YAML for --config, and end.")
    var printConfig = false

    static let otherKeys = RouteFile.keys

    var derived: [String: String] {
        [
            "threads": "\(ProcessInfo.processInfo.activeProcessorCount)", "id": ProcessInfo.processInfo.hostName,
            "nats": "the node on this machine",
        ]
    }

    @Flag(help: "Read the file, say whether it can be taken, and end.")
    var check = false

    @Option(help: ArgumentHelp("Where clients come in. Port 0: any free one.", valueName: "host:port"))
    var listen: ListenArgument = ListenArgument(argument: "127.0.0.1:8080")!

    @Option(help: ArgumentHelp("The certificate chain for clients (PEM): TLS.", valueName: "file"), completion: .file())
    var cert: String?

    @Option(help: ArgumentHelp("The key of --cert (PEM).", valueName: "file"), completion: .file())
    var key: String?

    @Option(
        help: ArgumentHelp("Where operators ask: /status, /metrics, /instances; none: nowhere.", valueName: "host:port")
    )
    var admin: ListenArgument = ListenArgument(argument: "127.0.0.1:8502")!

    @Option(
        help: ArgumentHelp(
            "A name for which the admin listener answers besides loopback and its own address. May be given several times.",
            valueName: "name"))
    var adminHost: [String] = []

    @Flag(help: "Let the admin listener be reached from beyond loopback; it has neither TLS nor a token.")
    var insecure = false

    @Option(help: ArgumentHelp("Event loops (default: one for each processor).", valueName: "count"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "What this gateway is called in reports of load (default: the host's name).", valueName: "id"))
    var id: String?

    @Option(help: ArgumentHelp("The service name of its spans.", valueName: "name"))
    var serviceName = "gateway"

    @Option(help: ArgumentHelp("The region it runs in: near instances come first.", valueName: "name"))
    var region = ""

    @Option(help: ArgumentHelp("The zone it runs in.", valueName: "name"))
    var zone = ""

    @Option(
        help: ArgumentHelp("The key of shadow marks, as --shadow-key of the node.", valueName: "file"),
        completion: .file())
    var shadowKey: String?

    @OptionGroup(title: "Traces") var traces: GatewayTraceOptions
    @OptionGroup(title: "Limits") var limits: GatewayLimitOptions

    @Option(help: ArgumentHelp("How long requests may go on after a signal.", valueName: "duration"))
    var drain: DurationArgument = DurationArgument(argument: "15s")!

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        completion: .list(Logger.Level.allCases.map(\.rawValue)))
    var logLevel: String = "notice"

    @Option(help: LogFormat.help)
    var logFormat = LogFormat.text

    @Flag(help: "End with status 3 where NATS cannot be reached at the start, instead of waiting for it.")
    var noWait = false

    @Flag(help: "Print one line of JSON instead of the banner when the gateway listens.")
    var json = false

    func validate() throws {
        guard listen.address != nil else { throw ValidationError("--listen takes host:port") }
        if (cert == nil) != (key == nil) { throw ValidationError("--cert and --key are given together") }
        if let threads, !(1...256).contains(threads) { throw ValidationError("--threads is from 1 to 256") }
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError(
                "--log-level takes \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")), not '\(logLevel)'")
        }
        for name in adminHost where !HostRule.isName(name) {
            throw ValidationError("--admin-host '\(name)' is no name of a host: no port, no scheme, no blanks")
        }
        if let address = admin.address, !address.isLoopback, !insecure {
            throw ValidationError(
                "--admin \(admin.text) is not loopback, and the admin listener has neither TLS nor a token. Listen on "
                    + "127.0.0.1, or say --insecure if the network is trusted")
        }
    }

    func run() async throws {
        let file = try RouteFile.read(config, besides: SettingTable(of: Self.self).keys)
        if check { return Terminal.say("\(config): \(file.routes.count) routes, no mistake") }
        logFormat.bootstrap(level: Logger.Level(rawValue: logLevel) ?? .notice)
        try await GatewayRun(self).run(file)
    }

    /// Everything but the routes.
    func settings() throws(CommandFailure) -> GatewaySettings {
        let address = listen.address ?? ListenArgument.Address(host: "127.0.0.1", port: 8080)
        var settings = GatewaySettings(
            host: address.host, port: address.port,
            threadCount: threads ?? ProcessInfo.processInfo.activeProcessorCount,
            gatewayID: id ?? ProcessInfo.processInfo.hostName)
        settings.serviceName = serviceName
        (settings.region, settings.zone) = (region, zone)
        settings.limits = limits.limits
        settings.tracing = traces.settings
        if let shadowKey {
            guard let content = FileManager.default.contents(atPath: shadowKey), content.count >= 16 else {
                throw CommandFailure(.usage, "--shadow-key \(shadowKey) can not be read, or has fewer than 16 bytes")
            }
            settings.markKey = Array(content)
        }
        if let cert, let key { settings.tls = try Self.tls(cert, key) }
        return settings
    }

    private static func tls(_ cert: String, _ key: String) throws(CommandFailure) -> TLSConfiguration {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(cert).map { NIOSSLCertificateSource.certificate($0) }
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            // Whether the key belongs to the certificate shows only here.
            _ = try NIOSSLContext(configuration: configuration)
            return configuration
        } catch {
            throw CommandFailure(.failed, "\(cert) and \(key) do not make a TLS listener: \(error)")
        }
    }
}

/// Which requests are traced.
struct GatewayTraceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Share of traces that is sampled at the head; errors always are.", valueName: "percent"))
    var sample = 10.0

    @Option(help: ArgumentHelp("Traces a second sampled only because a client's header says so.", valueName: "count"))
    var forcedPerSecond = 10

    @Flag(help: "Begin a trace of its own for each request, with a link to the client's.")
    var restartTraces = false

    @Flag(help: "Sample by the trace id alone, whatever the client's header says.")
    var ignoreForeignSampling = false

    func validate() throws {
        guard (0...100).contains(sample) else { throw ValidationError("--sample is from 0 to 100") }
        guard forcedPerSecond >= 0 else { throw ValidationError("--forced-per-second is not negative") }
    }

    var settings: TracingSettings {
        var settings = TracingSettings()
        settings.sampleBasisPoints = UInt32((sample * 100).rounded())
        settings.forcedPerSecond = forcedPerSecond
        settings.restartsForeignTraces = restartTraces
        settings.acceptsForeignDecision = !ignoreForeignSampling
        return settings
    }
}

/// What clients may cost.
struct GatewayLimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Bytes of a request's header fields.", valueName: "size"))
    var headerBytes: ByteCountArgument = ByteCountArgument(argument: "32KiB")!

    @Option(help: ArgumentHelp("Bytes of a request's body.", valueName: "size"))
    var bodyBytes: ByteCountArgument = ByteCountArgument(argument: "100MiB")!

    @Option(help: ArgumentHelp("Bytes of a body that are kept to send it again.", valueName: "size"))
    var replayBytes: ByteCountArgument = ByteCountArgument(argument: "64KiB")!

    @Option(help: ArgumentHelp("How long a request's head may take.", valueName: "duration"))
    var headTimeout: DurationArgument = DurationArgument(argument: "10s")!

    @Option(help: ArgumentHelp("How long a connection may be idle.", valueName: "duration"))
    var idleTimeout: DurationArgument = DurationArgument(argument: "60s")!

    @Option(help: ArgumentHelp("Requests at once; beyond them 503.", valueName: "count"))
    var maxRequests = 8_192

    @Option(help: ArgumentHelp("Connections at once; beyond them they are closed.", valueName: "count"))
    var maxConnections = 16_384

    func validate() throws {
        guard maxRequests > 0, maxConnections > 0 else {
            throw ValidationError("--max-requests and --max-connections are positive")
        }
        guard (1_024...1_048_576).contains(headerBytes.value) else {
            throw ValidationError("--header-bytes is from 1KiB to 1024KiB")
        }
    }

    var limits: ClientLimits {
        var limits = ClientLimits()
        limits.headerBytes = Int(headerBytes.value)
        limits.bodyBytes = Int(bodyBytes.value)
        limits.replayBytes = Int(replayBytes.value)
        limits.headTimeout = headTimeout.value
        limits.idleTimeout = idleTimeout.value
        limits.concurrentRequests = maxRequests
        limits.connections = maxConnections
        return limits
    }
}
