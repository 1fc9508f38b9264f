// A connection to the mesh: a NATS connection and the prefix of the mesh's subjects.

package import EventModel
public import Logging
package import Messaging
internal import NATSMessaging
internal import Synchronization

/// How to reach a mesh.
public struct MeshConfiguration: Sendable, Hashable {
    /// How the connection proves who it is.
    public enum Credentials: Sendable, Hashable {
        /// Nothing, or what the URL says (`nats://user:password@host`).
        case none
        case userPassword(user: String, password: String)
        case token(String)
        /// A `.creds` file: user JWT and NKey seed.
        case credentialsFile(String)
        /// A file that holds an NKey seed, and the public key that belongs to it.
        case nkey(seedFile: String, publicKey: String)
    }

    /// Paths of PEM files, and the name that the server's certificate must bear.
    public struct TLS: Sendable, Hashable {
        /// Certificates trusted to sign the server's; nil for the system's.
        public var authorityFile: String?
        /// The client's certificate chain; nil where the server asks for none.
        public var certificateFile: String?
        public var keyFile: String?
        /// Must be given where a URL names an address.
        public var serverName: String?

        public init(
            authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil,
            serverName: String? = nil
        ) {
            self.authorityFile = authorityFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.serverName = serverName
        }
    }

    /// `nats://host:port` or `tls://host:port`.
    public var servers: [String]
    /// What the server shows as this connection's name.
    public var name: String
    /// The first token of every subject of the mesh.
    public var prefix = "lattice"
    public var credentials = Credentials.none
    /// Nil without TLS; a `tls://` URL turns it on too.
    public var tls: TLS?
    /// Where answers arrive; the shipped permissions demand one of the user's own, `_INBOX.<user>`. Nodes answer to subjects
    /// that begin so, and to no others.
    public var inboxPrefix = "_INBOX"
    /// How long one question may take.
    public var requestTimeout = Duration.seconds(2)

    public init(servers: [String] = ["nats://127.0.0.1:4222"], name: String) {
        self.servers = servers
        self.name = name
    }
}

/// A connection that everything in this module shares. It is opened again for as long as the process lives, whatever closed
/// it; nothing here blocks while it is away.
public struct MeshConnection: Sendable {
    /// What carries the messages.
    package let bus: any MessageBus
    /// The first token of every subject of the mesh.
    public let prefix: String
    /// Where answers arrive.
    package let inboxPrefix: String
    /// How long one question may take.
    public let requestTimeout: Duration
    /// Where this module says what it could not do.
    package let logger: Logger
    /// Where outcomes arrive: one inbox for everything that is published over this connection.
    let outcomes: OutcomeInbox

    /// A connection over a bus that is there.
    package init(
        bus: any MessageBus, prefix: String = "lattice", inboxPrefix: String = "_INBOX",
        requestTimeout: Duration = .seconds(2), logger: Logger = Logger(label: "lattice.client")
    ) {
        self.bus = bus
        self.prefix = prefix
        self.inboxPrefix = inboxPrefix
        self.requestTimeout = requestTimeout
        self.logger = logger
        outcomes = OutcomeInbox(bus, prefix: inboxPrefix, acknowledgement: StreamAcknowledgement.outcome)
    }

    /// Connects; where no server can be reached yet, or none knows this user yet, it returns all the same, says so, and goes
    /// on trying in the background.
    ///
    /// - Throws: ``MeshError`` where the configuration cannot be one.
    public static func connect(
        _ configuration: MeshConfiguration, logger: Logger = Logger(label: "lattice.client")
    ) async throws(MeshError) -> MeshConnection {
        do throws(BusError) {
            let bus = try await NATSMessageBus.connect(configuration.nats, logger: logger)
            return MeshConnection(
                bus: bus, prefix: configuration.prefix, inboxPrefix: configuration.inboxPrefix,
                requestTimeout: configuration.requestTimeout, logger: logger)
        } catch {
            throw MeshError(error)
        }
    }

    /// Whether the server can be reached now.
    public var isConnected: Bool { bus.state == .connected }

    /// Sends what is left and closes. Idempotent.
    public func close() async { await bus.close() }

    /// The subject of an event: its family, whose it is, and its kind.
    package func subject(_ type: EventType, of owner: String) -> String {
        "\(prefix).events.\(type.family.rawValue).\(SubjectToken.escape(owner)).\(type.name)"
    }
}

extension MeshConfiguration {
    fileprivate var nats: NATSConfiguration {
        var result = NATSConfiguration(servers: servers, name: name)
        result.retriesFirstConnect = true
        result.sendsAtOnce = true
        result.inboxPrefix = inboxPrefix
        result.tls = tls.map {
            NATSConfiguration.TLS(
                authorityFile: $0.authorityFile, certificateFile: $0.certificateFile, keyFile: $0.keyFile,
                serverName: $0.serverName)
        }
        result.credentials =
            switch credentials {
            case .none: .none
            case .userPassword(let user, let password): .userPassword(user: user, password: password)
            case .token(let token): .token(token)
            case .credentialsFile(let path): .credentialsFile(path)
            case .nkey(let seedFile, let publicKey): .nkey(seedFile: seedFile, publicKey: publicKey)
            }
        return result
    }
}
