// The handles of libnats, each closing itself: options, connection, subscription.

internal import CNATS
internal import CNATSSupport
internal import Messaging
internal import Synchronization

/// A connection of libnats, closed and destroyed with its last owner, and after it the subscriptions that ended
/// before: destroying one while messages arrive can crash libnats below 3.6.1.
// Safe because libnats locks inside every call on a connection, and the pointer never changes.
@safe final class NATSConnectionHandle: @unchecked Sendable {
    let pointer: OpaquePointer
    private let retired = Mutex<[RetiredSubscription]>([])

    init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit {
        unsafe natsConnection_Close(pointer)
        for subscription in retired.withLock({ $0 }) { unsafe natsSubscription_Destroy(subscription.pointer) }
        unsafe natsConnection_Destroy(pointer)
    }

    /// Keeps an ended subscription until the connection has closed.
    fileprivate func retire(_ subscription: RetiredSubscription) { retired.withLock { $0.append(subscription) } }

    var state: ConnectionState {
        switch unsafe natsConnection_Status(pointer) {
        case NATS_CONN_STATUS_CONNECTED: .connected
        case NATS_CONN_STATUS_RECONNECTING, NATS_CONN_STATUS_DISCONNECTED: .reconnecting
        case NATS_CONN_STATUS_CONNECTING: .connecting
        case NATS_CONN_STATUS_DRAINING_SUBS, NATS_CONN_STATUS_DRAINING_PUBS: .draining
        default: .closed
        }
    }

    var maximumPayload: Int? {
        let bytes = unsafe natsConnection_GetMaxPayload(pointer)
        return bytes > 0 ? Int(bytes) : nil
    }

    /// The descriptor of the socket; -1 where it is not found, as without a connection.
    var socket: Int32 { unsafe lattice_connection_socket(pointer) }

    /// Whether the server that this connection is to, or was to last, is as new as this; false where libnats does not say.
    func isServer(atLeast version: NATSServerVersion) -> Bool {
        unsafe lattice_server_is_at_least(pointer, version.major, version.minor, version.update)
    }

    /// How often libnats reconnected; it counts before the first message of the new connection is read.
    var reconnectCount: UInt64 {
        var statistics: OpaquePointer?
        guard unsafe natsStatistics_Create(&statistics) == NATS_OK else { return 0 }
        defer { unsafe natsStatistics_Destroy(statistics) }
        var count: UInt64 = 0
        unsafe natsConnection_GetStats(pointer, statistics)
        unsafe natsStatistics_GetCounts(statistics, nil, nil, nil, nil, &count)
        return count
    }

    func flush(timeout: Duration) throws(BusError) {
        try check(unsafe natsConnection_FlushTimeout(pointer, max(1, timeout.wholeMilliseconds)), "flush")
    }

    /// Ends everything; what is not pulled by then is lost. Idempotent.
    func close() { unsafe natsConnection_Close(pointer) }

    /// Opens a subscription to be pulled.
    func subscribe(
        _ subject: String, queueGroup: String?, limits: PendingLimits
    ) throws(BusError) -> NATSSubscriptionHandle {
        var created: OpaquePointer?
        let status =
            if let queueGroup {
                unsafe natsConnection_QueueSubscribeSync(&created, pointer, subject, queueGroup)
            } else {
                unsafe natsConnection_SubscribeSync(&created, pointer, subject)
            }
        try check(status, "subscribe \(subject)")
        guard let created = unsafe created else { throw BusError(.other, "subscribe \(subject)") }
        let handle = unsafe NATSSubscriptionHandle(adopting: created, of: self)
        try handle.limit(limits)
        return handle
    }

    /// Opens a subscription that libnats hands to `callback` on a thread of its own. `closure` is retained until the
    /// last call has returned.
    func subscribe<Closure: AnyObject & Sendable>(
        _ subject: String, closure: Closure, callback: natsMsgHandler
    ) throws(BusError) -> NATSSubscriptionHandle {
        var created: OpaquePointer?
        let retained = unsafe Unmanaged.passRetained(closure)
        let status = unsafe natsConnection_Subscribe(&created, pointer, subject, callback, retained.toOpaque())
        if status != NATS_OK { unsafe retained.release() }
        try check(status, "subscribe \(subject)")
        guard let created = unsafe created else { throw BusError(.other, "subscribe \(subject)") }
        unsafe natsSubscription_SetOnCompleteCB(created, releaseClosure, retained.toOpaque())
        let handle = unsafe NATSSubscriptionHandle(adopting: created, of: self)
        try handle.limit(.standard)
        return handle
    }

    /// Asks and blocks this thread until the answer is there.
    func request(
        _ subject: String, _ payload: [UInt8], timeout: Duration
    ) throws(BusError) -> NATSMessageHandle {
        var answer: OpaquePointer?
        let status = unsafe payload.withUnsafeBytes { bytes in
            unsafe natsConnection_Request(
                &answer, pointer, subject, bytes.baseAddress, Int32(bytes.count), max(1, timeout.wholeMilliseconds))
        }
        try check(status, "request \(subject)")
        guard let answer = unsafe answer else { throw BusError(.other, "request \(subject): no answer") }
        return unsafe NATSMessageHandle(adopting: answer)
    }

    /// Hands bytes without headers to libnats.
    func publish(_ subject: String, replyTo: String, _ payload: [UInt8]) -> natsStatus {
        unsafe payload.withUnsafeBytes { bytes in
            if replyTo.isEmpty {
                unsafe natsConnection_Publish(pointer, subject, bytes.baseAddress, Int32(bytes.count))
            } else {
                unsafe natsConnection_PublishRequest(pointer, subject, replyTo, bytes.baseAddress, Int32(bytes.count))
            }
        }
    }
}

/// Called by libnats when a subscription's last message callback has returned.
private let releaseClosure: @convention(c) (UnsafeMutableRawPointer?) -> Void = { closure in
    guard let closure = unsafe closure else { return }
    unsafe Unmanaged<AnyObject>.fromOpaque(closure).release()
}

/// The pointer of a subscription that has ended.
// Safe because only the connection's deinit uses it, once.
@safe private struct RetiredSubscription: @unchecked Sendable {
    let pointer: OpaquePointer
}

/// A subscription of libnats; unsubscribed when its last owner ends, destroyed after its connection.
// Safe because libnats locks inside every call on a subscription, and the pointer never changes.
@safe final class NATSSubscriptionHandle: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let connection: NATSConnectionHandle

    fileprivate init(adopting pointer: OpaquePointer, of connection: NATSConnectionHandle) {
        unsafe self.pointer = pointer
        self.connection = connection
    }

    deinit {
        unsafe natsSubscription_Unsubscribe(pointer)
        unsafe connection.retire(RetiredSubscription(pointer: pointer))
    }

    fileprivate func limit(_ limits: PendingLimits) throws(BusError) {
        let messages = Int32(clamping: max(1, limits.messages))
        let bytes = Int32(clamping: max(1, limits.bytes))
        try check(unsafe natsSubscription_SetPendingLimits(pointer, messages, bytes), "set pending limits")
    }

    /// The next message, or nil when none came within the time. That messages were dropped is not an error here, nor is
    /// a stray word that nobody answers, which libnats takes out of the queue.
    func next(timeoutMilliseconds: Int64) throws(BusError) -> NATSMessageHandle? {
        var message: OpaquePointer?
        var status: natsStatus
        repeat {
            status = unsafe natsSubscription_NextMsg(&message, pointer, timeoutMilliseconds)
        } while status == NATS_SLOW_CONSUMER || status == NATS_NO_RESPONDERS
        if status == NATS_TIMEOUT { return nil }
        try check(status, "receive")
        guard let message = unsafe message else { return nil }
        return unsafe NATSMessageHandle(adopting: message)
    }

    var pendingCount: Int {
        var count: UInt64 = 0
        return unsafe natsSubscription_QueuedMsgs(pointer, &count) == NATS_OK ? Int(count) : 0
    }

    var droppedCount: UInt64 {
        var count: Int64 = 0
        return unsafe natsSubscription_GetDropped(pointer, &count) == NATS_OK ? UInt64(max(0, count)) : 0
    }

    /// Whether something can arrive now.
    var isConnected: Bool { connection.state == .connected }

    /// Ends the delivery; what has arrived can still be pulled. Without a connection the server is told later.
    func drain() { unsafe natsSubscription_Drain(pointer) }
}
