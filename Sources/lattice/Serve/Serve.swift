// Runs a node: its options, and what they come to.

import ArgumentParser
import EventModel
import Foundation
import Endpoints
import Listeners
import Logging
import Messaging

/// `lattice serve`
struct Serve: AsyncParsableCommand, ConfiguredCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a node: take events from NATS into the log, answer queries.",
        discussion: """
            Without --nats the node starts a nats-server of its own on loopback (a child process that ends with it), so \
            that one command is enough to begin. The address of the node stands in node.json in the data directory, \
            where `lattice query` and the others find it.

              lattice serve                                        all in one, data in ./lattice-data
              lattice serve --nats-port 4222                       the same, NATS on its usual port
              lattice serve --nats nats://10.0.0.5:4222            with a server that is there already
              lattice serve --nats nats://10.0.0.5:4222 --stream LATTICE
                                                                   JetStream orders: several nodes hold one log
              lattice serve --nats nats://10.0.0.5:4222 --stream LATTICE --stream-replicas 3
                                                                   the same on three servers, if it makes the stream
              lattice serve --print-config >node.yaml              every setting as it is used, and nothing else
              lattice serve --config node.yaml                     the same settings, from that file

            An option stands over the variable of its name (LATTICE_RETENTION_AGE for --retention-age), that over the \
            file of --config (retention_age), and that over the default. --print-config says where each comes from.

            With --nats it waits for the server, and for the stream: it says so once and then once a minute, answers \
            /healthz, and is not ready; --no-wait ends it with 3 instead.

            SIGTERM and SIGINT drain: what has arrived is made durable, applied and answered, a checkpoint is written, \
            then the process ends with 0. A second signal ends it at once; the log recovers from that too.

            \(ExitStatus.explanation)
            """)

    @OptionGroup(title: "NATS") var connection: ConnectionOptions
    @OptionGroup(title: "Node") var node: NodeOptions
    @OptionGroup(title: "Log") var log: DurabilityOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "Receivers of spans") var receivers: ReceiverOptions
    @OptionGroup(title: "Traces") var traces: TraceSettingOptions

    @OptionGroup(title: "Mirrors") var mirrors: MirrorOptions

    @OptionGroup(title: "Anchors") var anchors: AnchorOptions

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        completion: .list(Logger.Level.allCases.map(\.rawValue)))
    var logLevel: String = "notice"

    @Option(help: LogFormat.help)
    var logFormat = LogFormat.text

    @Option(
        help: ArgumentHelp("Settings in YAML, as --print-config writes them.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(help: "Print every setting as it is used, and where it comes from, as YAML for --config, and end.")
    var printConfig = false

    static let otherKeys: [String] = []

    @Flag(help: "Print one line of JSON instead of the banner when the node is ready.")
    var json = false

    func validate() throws {
        if !connection.servers.isEmpty && node.natsPort != nil {
            throw ValidationError("--nats-port is for the embedded server; with --nats it makes no sense")
        }
        guard SubjectSyntax.isPublishable(node.prefix) else {
            throw ValidationError(
                "--prefix '\(node.prefix)' can not stand in a subject: tokens of letters, digits, dots")
        }
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError(
                "--log-level takes \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")), not '\(logLevel)'")
        }
        try refuseOpenListeners()
    }

    func run() async throws {
        logFormat.bootstrap(level: Logger.Level(rawValue: logLevel) ?? .notice)
        try await ServeRun(self).run()
    }
}

/// What the node is and where it keeps its data.
struct NodeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Where the log, the checkpoints and node.json lie.", valueName: "dir"),
        completion: .directory)
    var data = "./lattice-data"

    @Option(help: ArgumentHelp("The port of the embedded nats-server (default: any free one).", valueName: "port"))
    var natsPort: UInt16?

    @Option(help: ArgumentHelp("The first tokens of every subject.", valueName: "text"))
    var prefix = "lattice"

    @Option(
        help: ArgumentHelp(
            "JetStream mode: the stream that orders the events; made if it is missing.", valueName: "name"))
    var stream: String?

    @OptionGroup var streamMaking: StreamMakingOptions

    @Option(help: ArgumentHelp("Without a heartbeat for so long an instance is stale (30s).", valueName: "duration"))
    var staleAfter: DurationArgument?

    @Option(help: ArgumentHelp("Stale for so long it is evicted, under the guard (10m).", valueName: "duration"))
    var evictAfter: DurationArgument?

    @Flag(
        inversion: .prefixedNo,
        help: "Take endpoints on loopback (default: yes with the embedded server, else as recorded, at first no).")
    var allowLoopback: Bool?

    @Option(help: NetworksArgument.help)
    var endpointNetworks: NetworksArgument?

    @Option(help: ArgumentHelp("Bytes per second taken of one service; 0: no limit.", valueName: "size"))
    var bytesPerSecond: ByteCountArgument = ByteCountArgument(argument: "4MiB")!

    @Option(help: ArgumentHelp("Spans per second taken of one service; 0: no limit.", valueName: "count"))
    var spansPerSecond = 10_000

    func validate() throws {
        if let stream, !SubjectSyntax.isPublishable(stream) || stream.contains(".") {
            throw ValidationError("--stream '\(stream)' is no name of a stream: no dots, blanks or wildcards")
        }
        for value in [staleAfter, evictAfter].compactMap({ $0 }) where value.value < .milliseconds(100) {
            throw ValidationError("--stale-after and --evict-after are at least 100ms")
        }
        if !(0...1_000_000_000).contains(spansPerSecond) {
            throw ValidationError("--spans-per-second takes 0 to 1000000000")
        }
    }
}

/// How the log is written and what is kept.
struct DurabilityOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "When records are made durable: always, interval=MS or never.", valueName: "policy"),
        completion: .list(["always", "interval=", "never"]))
    var sync: SyncArgument = SyncArgument(argument: "always")!

    @Option(help: ArgumentHelp("Segments all of whose records are older go.", valueName: "duration"))
    var retentionAge: DurationArgument = DurationArgument(argument: "72h")!

    @Option(help: ArgumentHelp("The oldest segments go until the rest is not larger.", valueName: "size"))
    var retentionBytes: ByteCountArgument = ByteCountArgument(argument: "50GiB")!

    @Option(help: ArgumentHelp("Records between two checkpoints…", valueName: "count"))
    var checkpointRecords: UInt64 = 250_000

    @Option(help: ArgumentHelp("…or this time after a change.", valueName: "duration"))
    var checkpointInterval: DurationArgument = DurationArgument(argument: "5m")!

    @Option(
        help: ArgumentHelp(
            "When captures, then spans, then all but registry and policy are refused: percent of the disk in use, and "
                + "less room than that (without :ROOM the percentage alone). Core mode; over a stream only reported. "
                + "none: never.", valueName: "percent[:room],…"))
    var diskPressure: DiskPressureArgument = DiskPressureArgument(argument: "80:20GiB,90:10GiB,97:3GiB")!

    func validate() throws {
        if checkpointRecords == 0 { throw ValidationError("--checkpoint-records is at least 1") }
    }
}

/// Where the node listens for HTTP and who may change something there.
struct HTTPOptions: ParsableArguments {
    @Option(
        name: .customLong("http"),
        help: ArgumentHelp("Where to listen for HTTP; none: nowhere. Port 0: any free one.", valueName: "host:port"))
    var listen: ListenArgument = ListenArgument(argument: "127.0.0.1:8501")!

    @Option(
        help: ArgumentHelp(
            "Who may do what over HTTP: lines NAME ROLE TOKEN, of the roles viewer (registry, traces), forensic (mirrors, "
                + "captured contents, audit trail), operator (everything) and service (speaks for the service NAME). "
                + "Read again on SIGHUP and when it changes. Without a token loopback may only view.",
            valueName: "file"), completion: .file())
    var httpTokensFile: String?

    @Option(
        help: ArgumentHelp(
            "A file with one bearer token, an operator's that the audit trail shows as http-token.",
            valueName: "file"), completion: .file())
    var httpTokenFile: String?

    @Option(
        help: ArgumentHelp(
            "A name for which HTTP's listeners answer besides loopback and their own addresses; .NAME for all below it. "
                + "May be given several times.", valueName: "name"))
    var httpHost: [String] = []

    @Option(
        help: ArgumentHelp(
            "An origin whose pages may ask and send, at the HTTP listener and at OTLP over HTTP (CORS); * for every page. "
                + "May be given several times.", valueName: "origin"))
    var httpAllowOrigin: [String] = []

    @Option(help: ArgumentHelp("The certificate chain of the HTTP listener (PEM): it speaks TLS.", valueName: "file"))
    var httpCert: String?

    @Option(help: ArgumentHelp("The key of --http-cert (PEM).", valueName: "file"))
    var httpKey: String?

    @Flag(help: "Listen beyond loopback without TLS or a token (a proxy in front has them, or the network is trusted).")
    var insecure = false

    func validate() throws {
        if (httpCert == nil) != (httpKey == nil) {
            throw ValidationError("--http-cert and --http-key are given together")
        }
        for origin in httpAllowOrigin where !CrossOriginRule.isOrigin(origin) {
            throw ValidationError("--http-allow-origin '\(origin)' is no origin: https://HOST[:PORT], or *")
        }
        for name in httpHost where !HostRule.isName(name) {
            throw ValidationError("--http-host '\(name)' is no name of a host: no port, no scheme, no blanks")
        }
    }

    /// Whether a client of HTTP can show anything.
    var hasTokens: Bool { httpTokensFile != nil || httpTokenFile != nil }
}
