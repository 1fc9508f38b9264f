// What libnats tells about a connection from its own threads.

internal import CNATS
internal import CNATSSupport
internal import Logging
internal import Messaging
internal import Synchronization

/// The listener of a bus' connections, one after the other. libnats holds it from `connect` until the closed callback, its
/// last one.
final class NATSConnectionEvents: Sendable {
    /// What the server refused; the list keeps the latest few.
    struct PermissionViolations: Sendable {
        var count: UInt64 = 0
        var latest: [String] = []
        static let keptMax = 16
    }

    /// Set before the connection is closed on purpose, so that its end is no news.
    let isClosing = Atomic(false)
    /// Set once a signature was lost, so that to connect again helps.
    let lostSignature = Atomic(false)
    /// What the server of the connection takes in one message, in bytes; 0 where it is not known.
    let maximumPayload = Atomic(0)
    /// The socket of the connection; -1 where it is not known. It may have been closed since.
    let socket = Atomic(Int32(-1))
    private let violations = Mutex(PermissionViolations())
    private let afterEnd = Mutex<(@Sendable (String) -> Void)?>(nil)
    private let configuration: NATSConfiguration
    private let logger: Logger
    let requests: NATSPendingRequests

    init(_ configuration: NATSConfiguration, requests: NATSPendingRequests, logger: Logger) {
        self.configuration = configuration
        self.requests = requests
        self.logger = logger
    }

    var permissionViolations: PermissionViolations { violations.withLock { $0 } }

    /// Says what follows when libnats has closed a connection; it is told why.
    func whenClosed(_ body: @escaping @Sendable (String) -> Void) { afterEnd.withLock { $0 = body } }

    // MARK: Identity

    /// Signs a nonce with the seed in the credentials' file. A server that gives none asks nobody for a signature and looks
    /// at none, but libnats has to be given something.
    ///
    /// - Throws: what is wrong with the file, or that libnats would lose this signature.
    func sign(_ nonce: [UInt8]) throws(BusError) -> [UInt8] {
        guard let file = configuration.credentials.file else { throw BusError(.invalidArgument, "there is no NKey") }
        var seed = try file.seed()
        defer { for index in seed.indices { seed[index] = 0 } }
        if nonce.isEmpty { return [UInt8](repeating: 1, count: 64) }
        switch try NATSSignature.sign(nonce, seed: seed) {
        case .made(let signature): return signature
        case .unsendable:
            lostSignature.store(true, ordering: .relaxed)
            throw BusError(.other, "libnats can not send the signature of this nonce; the next one will do")
        }
    }

    /// The user's JWT.
    func token() throws(BusError) -> [UInt8] {
        guard let file = configuration.credentials.file else {
            throw BusError(.invalidArgument, "there is no user JWT")
        }
        return try file.token()
    }

    // MARK: Events

    fileprivate func failed(_ status: natsStatus, _ text: String) {
        switch status {
        case NATS_NOT_PERMITTED:
            violations.withLock { violations in
                violations.count += 1
                violations.latest.append(text)
                if violations.latest.count > PermissionViolations.keptMax { violations.latest.removeFirst() }
            }
            logger.error("NATS refused", metadata: ["reason": "\(text)"])
            requests.failRefused(text)
        case NATS_SLOW_CONSUMER:
            logger.warning("NATS drops messages: a subscription is not read fast enough")
        default:
            logger.error("NATS error", metadata: ["reason": "\(text)"])
        }
    }

    fileprivate func disconnected() {
        socket.store(-1, ordering: .relaxed)
        if !isClosing.load(ordering: .relaxed) { logger.warning("NATS connection lost") }
        requests.failAll(BusError(.notConnected, "request: the connection was lost"))
    }

    fileprivate func reconnected(_ maximumPayload: Int64, _ socket: Int32) {
        self.maximumPayload.store(Int(maximumPayload), ordering: .relaxed)
        self.socket.store(socket, ordering: .relaxed)
        logger.info("NATS connected", metadata: ["connection": "\(configuration)"])
    }

    fileprivate func closed(_ reason: String) {
        logger.info("NATS connection closed", metadata: ["reason": "\(reason)"])
        requests.failAll(BusError(.notConnected, "request: the connection was closed"))
        afterEnd.withLock { $0 }?(reason)
    }

    func delayMilliseconds(attempt: Int) -> Int64 {
        let delay = configuration.reconnectDelayMilliseconds(attempt: attempt)
        return delay - Int64.random(in: 0...(max(0, delay) / 2))
    }
}

/// The listener behind a closure pointer, which libnats holds retained.
@unsafe func connectionEvents(_ closure: UnsafeMutableRawPointer?) -> NATSConnectionEvents? {
    guard let closure = unsafe closure else { return nil }
    return unsafe Unmanaged<NATSConnectionEvents>.fromOpaque(closure).takeUnretainedValue()
}

let onError: natsErrHandler = { _, _, status, closure in
    unsafe connectionEvents(closure)?.failed(status, lastErrorText(status))
}

let onDisconnected: natsConnectionHandler = { _, closure in
    unsafe connectionEvents(closure)?.disconnected()
}

let onReconnected: natsConnectionHandler = { connection, closure in
    unsafe connectionEvents(closure)?.reconnected(
        natsConnection_GetMaxPayload(connection), lattice_connection_socket(connection))
}

let onClosed: natsConnectionHandler = { connection, closure in
    var text: UnsafePointer<CChar>?
    let status = unsafe natsConnection_GetLastError(connection, &text)
    let reason = status == NATS_OK ? "asked to" : unsafe text.map { unsafe String(cString: $0) } ?? "unknown"
    guard let closure = unsafe closure else { return }
    unsafe Unmanaged<NATSConnectionEvents>.fromOpaque(closure).takeRetainedValue().closed(reason)
}

let onReconnectDelay: natsCustomReconnectDelayHandler = { _, attempt, closure in
    unsafe connectionEvents(closure)?.delayMilliseconds(attempt: Int(attempt)) ?? 1000
}
