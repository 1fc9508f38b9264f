// Core NATS through libnats.

internal import CNATS
internal import Dispatch
package import Logging
package import Messaging
internal import Synchronization

/// A connection to NATS that reconnects for ever.
///
/// Safe to use from any thread. Requests wait without a thread; `connect`, `flush` and `close` block a thread of
/// Dispatch's, not one of Swift concurrency's.
package final class NATSMessageBus: MessageBus {
    /// Where answers arrive.
    private final class Inbox: Sendable {
        let subject: String
        private let handle: NATSSubscriptionHandle

        init(subject: String, handle: consuming NATSSubscriptionHandle) {
            self.subject = subject
            self.handle = handle
        }
    }

    private struct WeakSubscription {
        weak let subscription: NATSSubscription?
    }

    private struct State {
        var isOpen = true
        var inbox: Inbox?
        var subscriptions: [WeakSubscription] = []
    }

    /// What was asked of the connection.
    package let configuration: NATSConfiguration
    let handle: NATSConnectionHandle
    let logger: Logger
    private let events: NATSConnectionEvents
    private let connection = Mutex(State())
    /// A signature is lost once in 256 nonces.
    private static let attemptsMaximum = 8

    private init(
        _ configuration: NATSConfiguration, handle: NATSConnectionHandle, events: NATSConnectionEvents, logger: Logger
    ) {
        self.configuration = configuration
        self.handle = handle
        self.events = events
        self.logger = logger
    }

    /// Connects; with `retriesFirstConnect` it may return while still connecting.
    package static func connect(
        _ configuration: NATSConfiguration, logger: Logger
    ) async throws(BusError) -> NATSMessageBus {
        try await onBlockingThread { () throws(BusError) in
            for _ in 0..<Self.attemptsMaximum {
                if let bus = try open(configuration, logger: logger) { return bus }
            }
            throw BusError(.authenticationFailed, "connect \(configuration): each signature of the nonces was lost")
        }
    }

    /// Nil: libnats has lost a signature, and the next connection will have another.
    private static func open(
        _ configuration: NATSConfiguration, logger: Logger
    ) throws(BusError) -> NATSMessageBus? {
        let events = NATSConnectionEvents(configuration, requests: NATSPendingRequests(), logger: logger)
        let options = try NATSOptions.create(configuration, events: events)
        let retained = unsafe Unmanaged.passRetained(events)
        do throws(BusError) {
            let (handle, isPending) = try options.connect(configuration.description)
            if isPending { logger.warning("NATS not reachable yet", metadata: ["connection": "\(configuration)"]) }
            return NATSMessageBus(configuration, handle: handle, events: events, logger: logger)
        } catch {
            let isWorthRepeating = events.lostSignature.load(ordering: .relaxed)
            // A failed attempt that would have gone on in the background may have announced its end already.
            if !configuration.retriesFirstConnect { unsafe retained.release() }
            if isWorthRepeating { return nil }
            throw error
        }
    }

    package var state: ConnectionState { handle.state }

    package var reconnectCount: UInt64 { handle.reconnectCount }

    package var maximumPayload: Int? { handle.maximumPayload }

    /// How often the server refused a publication or a subscription; it tells later and not the one who asked.
    package var permissionViolationCount: UInt64 { events.permissionViolations.count }

    /// The latest refusals in the server's words, at most 16.
    package var permissionViolations: [String] { events.permissionViolations.latest }

    package func publish(_ message: Message) throws(BusError) {
        if let error = send(message, replyTo: message.replyTo) { throw error }
    }

    package func publish(contentsOf messages: [Message]) throws(BusError) {
        for message in messages {
            if let error = send(message, replyTo: message.replyTo) { throw error }
        }
    }

    private func send(_ message: Message, replyTo: String) -> BusError? {
        guard SubjectSyntax.isPublishable(message.subject),
            replyTo.isEmpty || SubjectSyntax.isPublishable(replyTo)
        else { return BusError(.invalidArgument, "publish: \(message.subject) or \(replyTo) is not a subject") }
        let status: natsStatus
        if message.headers.isEmpty {
            status = handle.publish(message.subject, replyTo: replyTo, message.payload)
        } else {
            guard message.headers.allSatisfy(SubjectSyntax.isSendable) else {
                return BusError(.invalidArgument, "publish \(message.subject): a header would not arrive as it is")
            }
            do throws(BusError) {
                status = try NATSMessageHandle.create(message, replyTo: replyTo).publish(on: handle)
            } catch { return error }
        }
        return status == NATS_OK ? nil : busError(status, "publish \(message.subject)")
    }

    package func request(_ message: Message, timeout: Duration) async throws(BusError) -> Message {
        switch state {
        case .connected: break
        case .closed: throw BusError(.closed, "request \(message.subject)")
        default: throw BusError(.notConnected, "request \(message.subject)")
        }
        let inbox = try openInbox()
        return try await events.requests.ask(message.subject, timeout: timeout) { token in
            send(message, replyTo: "\(inbox.subject).\(token)")
        }
    }

    private func openInbox() throws(BusError) -> Inbox {
        try connection.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "request") }
            if let inbox = state.inbox { return inbox }
            let subject = try newInboxSubject()
            let subscription = unsafe try handle.subscribe(
                subject + ".*", closure: events.requests, callback: onAnswer)
            let inbox = Inbox(subject: subject, handle: subscription)
            state.inbox = inbox
            return inbox
        }
    }

    /// A subject that nobody else has, below the configured prefix.
    func newInboxSubject() throws(BusError) -> String {
        var created: UnsafeMutablePointer<CChar>?
        try check(unsafe natsInbox_Create(&created), "create inbox")
        defer { unsafe natsInbox_Destroy(created) }
        guard let text = unsafe created else { throw BusError(.other, "create inbox") }
        return configuration.inboxPrefix + "." + (unsafe String(cString: text)).split(separator: ".").last!
    }

    package func subscribe(
        _ subject: String, queueGroup: String?, limits: PendingLimits
    ) throws(BusError) -> any MessageSubscription {
        guard SubjectSyntax.isSubscribable(subject) else {
            throw BusError(.invalidArgument, "subscribe: \(subject) is not a subject")
        }
        return try connection.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "subscribe \(subject)") }
            let subscription = NATSSubscription(
                try handle.subscribe(subject, queueGroup: queueGroup, limits: limits))
            state.subscriptions.removeAll { $0.subscription == nil }
            state.subscriptions.append(WeakSubscription(subscription: subscription))
            return subscription
        }
    }

    package func flush(timeout: Duration) async throws(BusError) {
        let handle = handle
        try await onBlockingThread { () throws(BusError) in try handle.flush(timeout: timeout) }
    }

    package func close() async {
        let subscriptions = connection.withLock { state -> [NATSSubscription] in
            defer { state = State(isOpen: false) }
            return state.subscriptions.compactMap(\.subscription)
        }
        events.isClosing.store(true, ordering: .relaxed)
        let handle = handle
        await onBlockingThread {
            for subscription in subscriptions { subscription.drain() }
            // The server's answer to the flush comes after everything it sent before the subscriptions ended.
            if handle.state == .connected { try? handle.flush(timeout: .seconds(2)) }
            for subscription in subscriptions { subscription.rescue() }
            handle.close()
        }
        events.requests.end(BusError(.closed, "request: the connection is closed"))
    }
}

/// Runs what blocks on a thread of Dispatch's.
private func onBlockingThread<Value: Sendable, Failure: Error>(
    _ work: @escaping @Sendable () throws(Failure) -> Value
) async throws(Failure) -> Value {
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, Failure>, Never>) in
        DispatchQueue.global().async {
            continuation.resume(returning: Result { () throws(Failure) in try work() })
        }
    }
    return try result.get()
}
