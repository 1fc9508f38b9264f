// How a command proves who it is to NATS, and which server it asks.

import ArgumentParser
import Foundation
import Logging
import Messaging
import NATSMessaging

/// Servers, identity and TLS of a connection; the same for the node and for its customers.
struct ConnectionOptions: ParsableArguments {
    @Option(name: .customLong("nats"), help: ArgumentHelp("A NATS server; may be repeated.", valueName: "url"))
    var servers: [String] = []

    @Option(help: ArgumentHelp("A .creds file: user JWT and NKey seed.", valueName: "file"), completion: .file())
    var creds: String?

    @Option(
        help: ArgumentHelp("A file with an NKey seed; needs --nkey-public.", valueName: "file"), completion: .file())
    var nkey: String?

    @Option(help: ArgumentHelp("The public key of --nkey (U…).", valueName: "key"))
    var nkeyPublic: String?

    @Option(
        help: ArgumentHelp(
            "A token. Others on this machine can read a command line: prefer --token-file, or the variable LATTICE_TOKEN.",
            valueName: "text"))
    var token: String?

    @Option(help: ArgumentHelp("A file whose first line is the token.", valueName: "file"), completion: .file())
    var tokenFile: String?

    @Option(help: ArgumentHelp("A user's name.", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            "The user's password; prefer --password-file, or the variable LATTICE_PASSWORD.", valueName: "text"))
    var password: String?

    @Option(
        help: ArgumentHelp("A file whose first line is the user's password.", valueName: "file"), completion: .file())
    var passwordFile: String?

    @Option(
        help: ArgumentHelp("Certificates trusted to sign the server's (PEM).", valueName: "file"), completion: .file())
    var tlsCa: String?

    @Option(help: ArgumentHelp("The client's certificate chain (PEM).", valueName: "file"), completion: .file())
    var tlsCert: String?

    @Option(help: ArgumentHelp("The client's key (PEM).", valueName: "file"), completion: .file())
    var tlsKey: String?

    @Option(help: ArgumentHelp("The name the server's certificate must bear.", valueName: "name"))
    var tlsServerName: String?

    @Option(
        help: ArgumentHelp(
            "Where answers arrive, for users who may hear an inbox of their own only: _INBOX.alice.", valueName: "text")
    )
    var inboxPrefix = "_INBOX"

    func validate() throws {
        for server in servers where !server.hasPrefix("nats://") && !server.hasPrefix("tls://") {
            throw ValidationError("--nats takes nats://HOST:PORT or tls://HOST:PORT, not '\(server)'")
        }
        if (nkey == nil) != (nkeyPublic == nil) {
            throw ValidationError("--nkey and --nkey-public are given together")
        }
        if (tlsCert == nil) != (tlsKey == nil) { throw ValidationError("--tls-cert and --tls-key are given together") }
        if [creds, nkey, token, tokenFile, user].compactMap({ $0 }).count > 1 {
            throw ValidationError("give one of --creds, --nkey, --token, --token-file and --user")
        }
        if password != nil && passwordFile != nil {
            throw ValidationError("give one of --password and --password-file")
        }
        guard SubjectSyntax.isInboxPrefix(inboxPrefix) else {
            throw ValidationError(
                "--inbox-prefix '\(inboxPrefix)' is not one that a node answers to: _INBOX.alice, say")
        }
        try validateFiles()
    }

    /// A file that cannot be read is said before a server is tried, whose refusal would not name it.
    private func validateFiles() throws {
        let files = [
            ("--creds", creds), ("--nkey", nkey), ("--tls-ca", tlsCa), ("--tls-cert", tlsCert), ("--tls-key", tlsKey),
            ("--token-file", tokenFile), ("--password-file", passwordFile),
        ]
        for case (let option, let file?) in files where !FileManager.default.isReadableFile(atPath: file) {
            let isThere = FileManager.default.fileExists(atPath: file)
            throw ValidationError(
                "\(option) \(file): \(isThere ? "this user may not read it" : "there is no such file")")
        }
    }

    /// Settings of a connection to these servers, or to others.
    func configuration(servers: [String], name: String) -> NATSConfiguration {
        var configuration = NATSConfiguration(servers: servers, name: name)
        configuration.credentials = credentials
        configuration.inboxPrefix = inboxPrefix
        if tlsCa != nil || tlsCert != nil || tlsServerName != nil {
            configuration.tls = .init(
                authorityFile: tlsCa, certificateFile: tlsCert, keyFile: tlsKey, serverName: tlsServerName)
        }
        return configuration
    }

    private var credentials: NATSConfiguration.Credentials {
        if let creds { return .credentialsFile(creds) }
        if let nkey, let nkeyPublic { return .nkey(seedFile: nkey, publicKey: nkeyPublic) }
        if let token = token ?? tokenFile.map({ Self.firstLine(of: $0) }) { return .token(token) }
        if let user {
            let secret = password ?? passwordFile.map { Self.firstLine(of: $0) } ?? ""
            return .userPassword(user: user, password: secret)
        }
        return .none
    }

    private static func firstLine(of path: String) -> String {
        let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }
}

/// How a customer of a node finds it.
struct ClientOptions: ParsableArguments {
    @OptionGroup var connection: ConnectionOptions

    @Option(
        help: ArgumentHelp("The first tokens of every subject (default: the node's, else lattice).", valueName: "text"))
    var prefix: String?

    @Option(
        name: .customLong("data"),
        help: ArgumentHelp(
            "The data directory of a node on this machine, whose node.json says how to reach it (default: "
                + "./lattice-data, if there is a node).", valueName: "dir"),
        completion: .directory)
    var namedData: String?

    /// The directory, named or not.
    var data: String { namedData ?? "./lattice-data" }

    @Option(help: ArgumentHelp("How long to wait for an answer.", valueName: "duration"))
    var timeout: DurationArgument = DurationArgument(argument: "5s")!

    /// Whether somebody has said which mesh is meant.
    var isPlaceNamed: Bool { !connection.servers.isEmpty || namedData != nil || Self.usualVariable != nil }

    /// The variable that other tools of NATS know, too.
    private static var usualVariable: String? { ProcessInfo.processInfo.environment["NATS_URL"] }

    /// Where to ask: the servers that are named, then the node of the directory that is named, then NATS_URL, then the
    /// node on this machine, then the usual port.
    ///
    /// - Throws: where a directory is named in which no node runs: another mesh is not what was meant.
    func place() throws(CommandFailure) -> (servers: [String], prefix: String) {
        let node = NodeFile.read(in: data)
        let prefix = prefix ?? node?.prefix ?? "lattice"
        if !connection.servers.isEmpty { return (connection.servers, prefix) }
        if let namedData {
            guard let node else {
                throw CommandFailure(
                    .unreachable,
                    "no node runs on \(namedData): \(NodeFile.path(in: namedData)) "
                        + (FileManager.default.fileExists(atPath: NodeFile.path(in: namedData))
                            ? "cannot be read, or is of a process that is gone" : "is not there")
                        + "\n  start one with `lattice serve --data \(namedData)`, or name its server with --nats")
            }
            return ([node.natsURL], prefix)
        }
        let named = Self.usualVariable.map { $0.split(separator: ",").map(String.init) }
        return (named ?? [node?.natsURL ?? "nats://127.0.0.1:4222"], prefix)
    }

    /// Opens a connection that asks and hears at once. `says`: what it tells of itself; who follows wants to know more.
    func connect(as name: String, says level: Logger.Level = .error) async throws(CommandFailure) -> NodeClient {
        let (servers, prefix) = try place()
        guard SubjectSyntax.isPublishable(prefix) else {
            throw CommandFailure(.usage, "--prefix '\(prefix)' can not stand in a subject")
        }
        var configuration = connection.configuration(servers: servers, name: name)
        configuration.sendsAtOnce = true
        do throws(BusError) {
            var quiet = Logger(label: "lattice")
            quiet.logLevel = level
            let bus = try await NATSMessageBus.connect(configuration, logger: quiet)
            return NodeClient(bus: bus, prefix: prefix, timeout: timeout.duration)
        } catch {
            throw CommandFailure(error, url: servers.joined(separator: ", "))
        }
    }
}
