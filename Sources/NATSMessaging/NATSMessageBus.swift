// Core NATS through libnats.

internal import CNATS
internal import CNATSSupport
internal import Dispatch
package import Logging
package import Messaging
internal import Synchronization

/// A connection to NATS that lasts as long as the process: libnats reconnects, and what libnats gives up (after two refusals
/// of this user, or an error that the server tells) is opened anew, with its subscriptions.
///
/// Safe to use from any thread. Requests wait without a thread; `connect`, `flush` and `close` block a thread of
/// Dispatch's, not one of Swift concurrency's.
package final class NATSMessageBus: MessageBus {
    private struct WeakSubscription {
        weak let subscription: NATSSubscription?
    }

    private struct State {
        /// Until it is closed by us.
        var isOpen = true
        /// Nil while there is no connection that libnats would mend.
        var handle: NATSConnectionHandle?
        var wasConnected = false
        var openedAt = ContinuousClock.now
        /// Attempts to open since the last connection that held.
        var attempts = 0
        /// Reconnects of the connections before this one, each opening among them.
        var reconnectsBefore: UInt64 = 0
        var inboxSubject: String?
        var inbox: NATSSubscriptionHandle?
        var subscriptions: [WeakSubscription] = []
    }

    /// What was asked of the connection.
    package let configuration: NATSConfiguration
    let logger: Logger
    private let events: NATSConnectionEvents
    private let connection = Mutex(State())
    private let limits = NATSLineLimits()
    private let complaint = RepeatedComplaint()
    /// A signature is lost once in 256 nonces.
    private static let attemptsMaximum = 8
    /// A connection that lasted so long held; the next one is tried for at once.
    private static let steadyAfter = Duration.seconds(10)

    private init(_ configuration: NATSConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        events = NATSConnectionEvents(configuration, requests: NATSPendingRequests(), logger: logger)
        events.whenClosed { [weak self] reason in
            // Not on libnats' thread: what ends here may be the connection's last owner.
            DispatchQueue.global().async { [weak self] in self?.lost(reason) }
        }
    }

    // MARK: Opening

    /// Connects; with `retriesFirstConnect` it returns while no server can be reached or none lets this user in, and goes on
    /// trying.
    ///
    /// - Throws: what is wrong with the configuration; without `retriesFirstConnect` also why there is no connection.
    package static func connect(
        _ configuration: NATSConfiguration, logger: Logger
    ) async throws(BusError) -> NATSMessageBus {
        try configuration.validate()
        let bus = NATSMessageBus(configuration, logger: logger)
        _ = try NATSOptions.create(configuration, events: bus.events)
        do throws(BusError) {
            try await onBlockingThread { () throws(BusError) in try bus.open() }
        } catch {
            guard configuration.retriesFirstConnect else { throw error }
            bus.keepTrying(error.description)
        }
        return bus
    }

    /// One attempt; blocks for up to the connect timeout per server.
    private func open() throws(BusError) {
        for _ in 0..<Self.attemptsMaximum {
            if let handle = try openOnce() { return try install(handle) }
        }
        throw BusError(.authenticationFailed, "connect \(configuration): each signature of the nonces was lost")
    }

    /// Nil: libnats has lost a signature, and the next connection will have another.
    private func openOnce() throws(BusError) -> NATSConnectionHandle? {
        events.lostSignature.store(false, ordering: .relaxed)
        let options = try NATSOptions.create(configuration, events: events)
        let retained = unsafe Unmanaged.passRetained(events)
        do throws(BusError) {
            return try options.connect(configuration.description)
        } catch {
            unsafe retained.release()
            if events.lostSignature.load(ordering: .relaxed) { return nil }
            throw error
        }
    }

    /// Puts a new connection in the place of the one that ended, with every subscription that has not.
    private func install(_ handle: NATSConnectionHandle) throws(BusError) {
        do throws(BusError) {
            try connection.withLock { state throws(BusError) in
                guard state.isOpen else { throw BusError(.closed, "connect \(configuration): closed meanwhile") }
                state.subscriptions.removeAll { $0.subscription == nil }
                for entry in state.subscriptions { try entry.subscription?.open(on: handle) }
                if let subject = state.inboxSubject { state.inbox = try inbox(subject, on: handle) }
                guard handle.state != .closed else {
                    throw BusError(.notConnected, "connect \(configuration): it was closed at once")
                }
                if state.attempts > 0 { state.reconnectsBefore += 1 }
                (state.handle, state.wasConnected, state.openedAt) = (handle, true, .now)
            }
        } catch {
            handle.close()
            throw error
        }
        limits.begin()
        events.maximumPayload.store(handle.maximumPayload ?? 0, ordering: .relaxed)
        events.socket.store(handle.socket, ordering: .relaxed)
    }

    /// libnats has closed the connection for good. What was asked on it has failed; what is subscribed goes on, on the next.
    private func lost(_ reason: String) {
        let isLost = connection.withLock { state in
            guard state.isOpen, let handle = state.handle, handle.state == .closed else { return false }
            state.reconnectsBefore += handle.reconnectCount
            if ContinuousClock.now - state.openedAt >= Self.steadyAfter { state.attempts = 0 }
            (state.handle, state.inbox) = (nil, nil)
            return true
        }
        guard isLost else { return }
        if let lowered = limits.learn(from: reason) {
            logger.warning("NATS takes shorter subjects than it said", metadata: ["bytes": "\(lowered)"])
        }
        keepTrying(reason)
    }

    /// Tries until there is a connection or none is wanted any more; says so at once and then once a minute.
    private func keepTrying(_ reason: String) {
        complain(reason)
        Task { [weak self] in
            while let pause = self?.nextPause() {
                try? await Task.sleep(for: pause)
                guard let self, await !self.tryAgain() else { return }
            }
        }
    }

    /// Nil: the bus was closed.
    private func nextPause() -> Duration? {
        let attempt = connection.withLock { state -> Int? in
            guard state.isOpen else { return nil }
            state.attempts += 1
            return state.attempts
        }
        return attempt.map { .milliseconds(events.delayMilliseconds(attempt: $0)) }
    }

    /// Whether there is nothing left to try.
    private func tryAgain() async -> Bool {
        do throws(BusError) {
            try await onBlockingThread { () throws(BusError) in try self.open() }
            complaint.isOver()
            logger.notice("NATS connected", metadata: ["connection": "\(configuration)"])
            return true
        } catch {
            if error.code == .closed { return true }
            complain(error.description)
            return false
        }
    }

    private func complain(_ reason: String) {
        guard configuration.complainsWhileAway, complaint.isDue() else { return }
        logger.warning(
            "waiting for NATS", metadata: ["connection": "\(configuration)", "reason": "\(reason)"])
    }

    // MARK: State

    /// The connection there is now; it may be reconnecting.
    func handle() throws(BusError) -> NATSConnectionHandle {
        try connection.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "the connection is closed") }
            guard let handle = state.handle else { throw BusError(.notConnected, "there is no connection to NATS") }
            return handle
        }
    }

    package var state: ConnectionState {
        let (handle, without) = connection.withLock { state -> (NATSConnectionHandle?, ConnectionState) in
            guard state.isOpen else { return (nil, .closed) }
            return (state.handle, state.wasConnected ? .reconnecting : .connecting)
        }
        // libnats' own lock is held while it sends: it is waited for without holding ours.
        guard let now = handle?.state else { return without }
        return now == .closed ? .reconnecting : now
    }

    package var reconnectCount: UInt64 {
        let (handle, before) = connection.withLock { ($0.handle, $0.reconnectsBefore) }
        return before + (handle?.reconnectCount ?? 0)
    }

    package var maximumPayload: Int? { connection.withLock { $0.handle }?.maximumPayload }

    /// Whether the server is known to be as new as this; false while there is none.
    package func isServer(atLeast version: NATSServerVersion) -> Bool {
        connection.withLock { $0.handle }?.isServer(atLeast: version) ?? false
    }

    /// How often the server refused a publication or a subscription; it tells later and not the one who asked.
    package var permissionViolationCount: UInt64 { events.permissionViolations.count }

    /// The latest refusals in the server's words, at most 16.
    package var permissionViolations: [String] { events.permissionViolations.latest }

    package func publish(_ message: Message) throws(BusError) {
        if let error = send(message, replyTo: message.replyTo) { throw error }
    }

    package func publishEach(_ messages: [Message]) -> [(index: Int, error: BusError)] {
        // A connection that sends at once makes a packet of each message, which costs the server a wake-up each.
        let socket = configuration.sendsAtOnce && messages.count > 1 ? events.socket.load(ordering: .relaxed) : -1
        if socket >= 0 { lattice_socket_cork(socket, true) }
        defer { if socket >= 0 { lattice_socket_cork(socket, false) } }
        var failures: [(index: Int, error: BusError)] = []
        for (index, message) in messages.enumerated() {
            if let error = send(message, replyTo: message.replyTo) { failures.append((index, error)) }
        }
        return failures
    }

    private func send(_ message: Message, replyTo: String, on known: NATSConnectionHandle? = nil) -> BusError? {
        guard SubjectSyntax.isPublishable(message.subject),
            replyTo.isEmpty || SubjectSyntax.isPublishable(replyTo)
        else { return BusError(.invalidArgument, "publish: \(message.subject) or \(replyTo) is not a subject") }
        guard message.headers.allSatisfy(SubjectSyntax.isSendable) else {
            return BusError(.invalidArgument, "publish \(message.subject): a header would not arrive as it is")
        }
        do throws(BusError) {
            let handle = if let known { known } else { try handle() }
            let maximumPayload = events.maximumPayload.load(ordering: .relaxed)
            try limits.admit(message, replyTo: replyTo, maximumPayload: maximumPayload > 0 ? maximumPayload : nil)
            let status =
                message.headers.isEmpty
                ? handle.publish(message.subject, replyTo: replyTo, message.payload)
                : try NATSMessageHandle.create(message, replyTo: replyTo).publish(on: handle)
            return status == NATS_OK ? nil : failure(busError(status, "publish \(message.subject)"))
        } catch { return failure(error) }
    }

    /// What libnats calls closed is away, unless it was closed by us.
    private func failure(_ error: BusError) -> BusError {
        guard error.code == .closed, connection.withLock({ $0.isOpen }) else { return error }
        return BusError(.notConnected, error.message)
    }

    package func request(_ message: Message, timeout: Duration) async throws(BusError) -> Message {
        let (inbox, handle) = try openInbox(message.subject)
        guard handle.state == .connected else { throw BusError(.notConnected, "request \(message.subject)") }
        return try await events.requests.ask(message.subject, timeout: timeout) { token in
            send(message, replyTo: "\(inbox).\(token)", on: handle)
        }
    }

    /// The subject below which answers arrive, and the connection on which they do.
    private func openInbox(_ asked: String) throws(BusError) -> (subject: String, handle: NATSConnectionHandle) {
        try connection.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "request \(asked)") }
            guard let handle = state.handle else { throw BusError(.notConnected, "request \(asked)") }
            if let subject = state.inboxSubject, state.inbox != nil { return (subject, handle) }
            let subject = try newInboxSubject()
            state.inbox = try inbox(subject, on: handle)
            state.inboxSubject = subject
            return (subject, handle)
        }
    }

    private func inbox(_ subject: String, on handle: NATSConnectionHandle) throws(BusError) -> NATSSubscriptionHandle {
        unsafe try handle.subscribe(subject + ".*", closure: events.requests, callback: onAnswer)
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
            let subscription = NATSSubscription(subject, queueGroup: queueGroup, limits: limits)
            do throws(BusError) {
                if let handle = state.handle { try subscription.open(on: handle) }
            } catch {
                // Without a connection it is made on the next one, as all of them are.
                guard error.code == .closed else { throw error }
            }
            state.subscriptions.removeAll { $0.subscription == nil }
            state.subscriptions.append(WeakSubscription(subscription: subscription))
            return subscription
        }
    }

    package func flush(timeout: Duration) async throws(BusError) {
        let handle = try handle()
        do throws(BusError) {
            try await onBlockingThread { () throws(BusError) in try handle.flush(timeout: timeout) }
        } catch { throw failure(error) }
    }

    package func close() async {
        events.isClosing.store(true, ordering: .relaxed)
        let (handle, subscriptions) = connection.withLock { state in
            defer {
                let reconnects = state.reconnectsBefore + (state.handle?.reconnectCount ?? 0)
                state = State(isOpen: false, reconnectsBefore: reconnects)
            }
            return (state.handle, state.subscriptions.compactMap(\.subscription))
        }
        await onBlockingThread {
            for subscription in subscriptions { subscription.drain() }
            // The server's answer to the flush comes after everything it sent before the subscriptions ended.
            if let handle, handle.state == .connected { try? handle.flush(timeout: .seconds(2)) }
            for subscription in subscriptions { subscription.rescue() }
            handle?.close()
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
