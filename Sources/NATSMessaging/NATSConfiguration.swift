// How to reach NATS: servers, proof of identity, TLS, and what to do when the connection breaks.

internal import Messaging

/// Everything a connection is told before it opens. Secrets never appear in its description.
package struct NATSConfiguration: Sendable, Hashable {
    /// How the connection proves who it is.
    package enum Credentials: Sendable, Hashable {
        /// Nothing, or what the URL says (`nats://user:password@host`).
        case none
        case userPassword(user: String, password: String)
        case token(String)
        /// A `.creds` file: user JWT and NKey seed.
        case credentialsFile(String)
        /// A file that holds an NKey seed, and the public key that belongs to it.
        case nkey(seedFile: String, publicKey: String)

        /// The file that is read at each connection; nil for what needs none.
        var file: NATSIdentityFile? {
            switch self {
            case .credentialsFile(let path): NATSIdentityFile(path: path)
            case .nkey(let seedFile, _): NATSIdentityFile(path: seedFile)
            case .none, .userPassword, .token: nil
            }
        }
    }

    /// How the server's identity is checked and the client's is shown; all are paths of PEM files.
    package struct TLS: Sendable, Hashable {
        /// Certificates trusted to sign the server's; nil for the system's.
        package var authorityFile: String?
        /// The client's certificate chain and key, if the server asks for one.
        package var certificateFile: String?
        package var keyFile: String?
        /// The name the certificate of every server must bear; nil for the host that all URLs name. It must be given
        /// where a URL names an address, because libnats compares names only.
        package var serverName: String?
        /// Accepts any certificate. Only for experiments.
        package var skipsVerification: Bool

        package init(
            authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil,
            serverName: String? = nil, skipsVerification: Bool = false
        ) {
            self.authorityFile = authorityFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.serverName = serverName
            self.skipsVerification = skipsVerification
        }
    }

    /// How long to wait between two attempts to reconnect, which go on for ever: `delayMin` doubles up to `delayMax`,
    /// and each wait is shortened by a random part of up to a half, so that a mesh does not return in step.
    package struct Reconnect: Sendable, Hashable {
        package var delayMin: Duration
        package var delayMax: Duration
        /// What may be published while the connection is away, in bytes; beyond it `publish` throws `notConnected`.
        package var bufferBytes: Int

        package init(
            delayMin: Duration = .milliseconds(100), delayMax: Duration = .seconds(5), bufferBytes: Int = 8_388_608
        ) {
            self.delayMin = delayMin
            self.delayMax = delayMax
            self.bufferBytes = bufferBytes
        }
    }

    /// `nats://host:port` or `tls://host:port`; a URL may carry user and password.
    package var servers: [String]
    /// What the server shows as this connection's name.
    package var name: String
    package var credentials = Credentials.none
    /// Nil without TLS; a `tls://` URL turns it on too.
    package var tls: TLS?
    package var reconnect = Reconnect()
    /// How long one attempt to connect may take, per server.
    package var connectTimeout = Duration.seconds(2)
    /// How often the server is pinged; two pings without an answer end the connection.
    package var pingInterval = Duration.seconds(20)
    /// Writes each message to the socket at once: for connections that ask, answer or wait for acknowledgements
    /// (without it libnats gathers for up to 1 ms). Bulk publishing is several times faster without it.
    package var sendsAtOnce = false
    /// Whether `connect` succeeds while no server can be reached or none lets this user in, and goes on trying in the
    /// background.
    package var retriesFirstConnect = false
    /// Whether it is said, at once and then once a minute, that there is no connection; of two connections to the same place
    /// one says enough.
    package var complainsWhileAway = true
    /// Where answers to requests arrive; NATS permissions may demand one of the user's own.
    package var inboxPrefix = "_INBOX"

    package init(servers: [String], name: String) {
        self.servers = servers
        self.name = name
    }

    /// What no attempt to connect would mend.
    func validate() throws(BusError) {
        if let file = credentials.file {
            var seed = try file.seed()
            for index in seed.indices { seed[index] = 0 }
        }
        guard SubjectSyntax.isInboxPrefix(inboxPrefix) else {
            throw BusError(.invalidArgument, "\(inboxPrefix) is no prefix of inboxes: _INBOX.alice, say")
        }
    }

    /// The name that servers must prove, nil without TLS or verification. libnats checks no name unless it is told one:
    /// any certificate of a trusted authority would do.
    func expectedServerName() throws(BusError) -> String? {
        let usesTLS = tls != nil || servers.contains { $0.hasPrefix("tls://") }
        if !usesTLS || tls?.skipsVerification == true { return nil }
        if let name = tls?.serverName { return name }
        let hosts = Set(servers.map(Self.host))
        guard hosts.count == 1, let host = hosts.first, host.contains(where: \.isLetter), !host.contains(":") else {
            throw BusError(.invalidArgument, "connect \(self): say which serverName the certificates must bear")
        }
        return host
    }

    /// The host of a URL; an IPv6 address keeps its brackets.
    private static func host(_ server: String) -> String {
        var rest = server[...]
        if let scheme = rest.firstRange(of: "://") { rest = rest[scheme.upperBound...] }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        if rest.hasPrefix("[") { return String(rest.prefix { $0 != "]" }) + "]" }
        return String(rest.prefix { $0 != ":" && $0 != "/" })
    }

    /// The wait before attempt number `attempt` (from 1) in milliseconds, before the random part.
    func reconnectDelayMilliseconds(attempt: Int) -> Int64 {
        let doublings = min(max(attempt - 1, 0), 30)
        let (delay, overflow) = reconnect.delayMin.wholeMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        let longest = reconnect.delayMax.wholeMilliseconds
        return overflow ? longest : min(delay, longest)
    }
}

extension NATSConfiguration: CustomStringConvertible {
    /// Name and servers without what stands before an `@`.
    package var description: String {
        let hosts = servers.map { server -> String in
            guard let at = server.lastIndex(of: "@") else { return server }
            let scheme = server.prefix { $0 != ":" }
            return "\(scheme)://…@\(server[server.index(after: at)...])"
        }
        return "\(name) → \(hosts.joined(separator: ", "))"
    }
}

extension Duration {
    /// Milliseconds, rounded up and saturating, as libnats counts.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let rest = attoseconds / 1_000_000_000_000_000 + (attoseconds % 1_000_000_000_000_000 > 0 ? 1 : 0)
        return product.addingReportingOverflow(rest).partialValue
    }
}
