// Tells the registry that this process serves, for as long as it does.

public import EventModel
internal import Logging
internal import Messaging
public import ServiceLifecycle
internal import Synchronization

/// What a process registers.
public struct ServiceRegistration: Sendable, Hashable {
    /// The name under which it serves.
    public var service: String
    /// What tells it from the others; the same after a restart where the place is the same.
    public var instanceID: String
    /// `host:port` where others reach it.
    public var endpoint: String
    /// Where it runs.
    public var locality: Locality
    /// 0 to 1000; 0 drains: it is chosen only when nothing else is left.
    public var weight: UInt32
    /// Told to whoever resolves the service, in this order.
    public var metadata: [MetadataEntry]
    /// The start of this process in nanoseconds: it keeps an old process from removing its successor.
    public let incarnation: Int64

    /// A registration of this process.
    ///
    /// - Parameter incarnation: nil: now.
    public init(
        service: String, instanceID: String, endpoint: String, locality: Locality = Locality(), weight: UInt32 = 100,
        metadata: [MetadataEntry] = [], incarnation: Int64? = nil
    ) {
        self.service = service
        self.instanceID = instanceID
        self.endpoint = endpoint
        self.locality = locality
        self.weight = weight
        self.metadata = metadata
        self.incarnation = incarnation ?? WallClock.now.rawValue
    }
}

/// Registers this process, keeps its heart beating, and takes it out when it shuts down.
///
/// It outlives whatever is away: it goes on trying, with growing pauses of random length, and registers anew when the
/// registry no longer knows it. Works on core NATS and over JetStream alike.
public final class ServiceAnnouncement: Service {
    /// How the announcement is made.
    public struct Options: Sendable, Hashable {
        /// How often the heart beats; the registry takes an instance for stale after three of them.
        public var heartbeatInterval = Duration.seconds(10)
        /// How long an outcome may take.
        public var outcomeTimeout = Duration.seconds(2)
        /// The first pause after a failure; it doubles up to ``retryDelayMaximum``.
        public var retryDelay = Duration.milliseconds(200)
        /// The longest pause.
        public var retryDelayMaximum = Duration.seconds(5)
        /// How long the end may take.
        public var shutdown = Duration.seconds(3)

        /// The defaults.
        public init() {}
    }

    /// How the registry and this process stand.
    public enum State: Sendable, Hashable {
        /// Not registered as far as is known, and why.
        case pending(reason: String)
        /// The registry knows this process, since the record at this sequence.
        case registered(SequenceNumber)
        /// The registry refuses it, with its reason: something has to be corrected first.
        case refused(reason: String)
        /// Another process, with a later start, has the id; this one keeps silent.
        case superseded
        /// It took itself out.
        case deregistered
    }

    private struct Shared {
        var registration: ServiceRegistration
        var isChanged = false
        var state = State.pending(reason: "not announced yet")
        var lastWatcher: UInt64 = 0
        var watchers: [UInt64: AsyncStream<State>.Continuation] = [:]
    }

    private let connection: MeshConnection
    private let options: Options
    private let load: (@Sendable () -> Int)?
    private let shared: Mutex<Shared>
    private let wakeup = Wakeup()

    /// An announcement that has not been made yet.
    ///
    /// - Parameter load: how many connections this process has open; told with each heartbeat. Nil: nothing is told.
    public init(
        _ connection: MeshConnection, _ registration: ServiceRegistration, options: Options = Options(),
        load: (@Sendable () -> Int)? = nil
    ) {
        self.connection = connection
        self.options = options
        self.load = load
        shared = Mutex(Shared(registration: registration))
    }

    /// What is registered, or about to be.
    public var registration: ServiceRegistration { shared.withLock { $0.registration } }

    /// How the registry and this process stand.
    public var state: State { shared.withLock { $0.state } }

    /// The state now and whenever it changes; a slow reader misses those in between, never the last one.
    public var states: AsyncStream<State> {
        let (stream, continuation) = AsyncStream<State>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = shared.withLock { shared in
            shared.lastWatcher += 1
            shared.watchers[shared.lastWatcher] = continuation
            continuation.yield(shared.state)
            return shared.lastWatcher
        }
        continuation.onTermination = { [weak self] _ in
            self?.shared.withLock { $0.watchers[id] = nil }
        }
        return stream
    }

    /// Changes what is registered: the weight of an instance that drains, its metadata, its endpoint.
    public func update(_ change: (inout ServiceRegistration) -> Void) {
        shared.withLock { shared in
            change(&shared.registration)
            shared.isChanged = true
        }
        wakeup.ring()
    }

    private func become(_ state: State) {
        let isNew = shared.withLock { shared in
            guard shared.state != state else { return false }
            shared.state = state
            for watcher in shared.watchers.values { watcher.yield(state) }
            return true
        }
        if isNew {
            connection.logger.info(
                "announcement", metadata: ["service": "\(registration.service)", "state": "\(state)"])
        }
    }

    // MARK: Running

    /// Announces until the service group shuts down or the task is cancelled; then takes the process out.
    public func run() async {
        await cancelWhenGracefulShutdown { await self.keepAnnounced() }
        // The task may be cancelled already, and this has to be said all the same.
        await Task { await self.depart() }.value
        let watchers = shared.withLock { shared in
            defer { shared.watchers = [:] }
            return Array(shared.watchers.values)
        }
        for watcher in watchers { watcher.finish() }
    }

    private func keepAnnounced() async {
        var failures = 0
        while !Task.isCancelled {
            let outcome = isRegistered ? await beat() : await register()
            switch outcome {
            case .done:
                failures = 0
                await wakeup.wait(atMost: options.heartbeatInterval)
            case .again: failures = 0
            case .later:
                failures += 1
                await wakeup.wait(atMost: pause(failures))
            case .never:
                // Only a change of the registration can help.
                await wakeup.wait(atMost: options.heartbeatInterval)
            }
        }
    }

    private func pause(_ failures: Int) -> Duration {
        let doubled = options.retryDelay * (1 << min(failures - 1, 16))
        return min(doubled, options.retryDelayMaximum) * Double.random(in: 0.5...1)
    }

    /// What to do next.
    private enum Next {
        case done, again, later, never
    }

    private var isRegistered: Bool {
        shared.withLock { shared in
            if case .registered = shared.state { return !shared.isChanged }
            return false
        }
    }

    // MARK: Events

    private func register() async -> Next {
        if state == .superseded { return .never }
        let (registration, mayTry) = shared.withLock { shared in
            let isRefused = if case .refused = shared.state { true } else { false }
            defer { shared.isChanged = false }
            return (shared.registration, !isRefused || shared.isChanged)
        }
        if !mayTry { return .never }
        let event = Registration(
            instanceID: registration.instanceID, endpoint: registration.endpoint,
            region: registration.locality.region, zone: registration.locality.zone, weight: registration.weight,
            metadata: registration.metadata, incarnation: registration.incarnation, occurredAt: WallClock.now)
        let outcome = await tell(
            .registered(Registered(serviceName: registration.service, events: [event])), options.outcomeTimeout)
        switch outcome {
        case .accepted(let sequence):
            become(.registered(sequence))
            return .done
        case .refused("stale_incarnation"):
            become(.superseded)
            return .never
        case .refused(let reason):
            become(.refused(reason: reason))
            return .never
        case .failed(let reason):
            become(.pending(reason: reason))
            return .later
        }
    }

    private func beat() async -> Next {
        let registration = registration
        let facts = EventCodec.heartbeats(
            service: registration.service, instances: [registration.instanceID], incarnation: registration.incarnation)
        let outcome = await tell(.heartbeat, facts, registration.service, options.outcomeTimeout)
        switch outcome {
        case .accepted:
            reportLoad(registration)
            return .done
        case .refused("stale_incarnation"), .refused("incarnation_mismatch"):
            become(.superseded)
            return .never
        case .refused(let reason):
            // The registry gave this process up while it could not be heard.
            become(.pending(reason: reason))
            return .again
        case .failed(let reason):
            // Still registered as far as is known; the heart beats on, faster.
            connection.logger.debug("no outcome of a heartbeat", metadata: ["reason": "\(reason)"])
            return .later
        }
    }

    private func reportLoad(_ registration: ServiceRegistration) {
        guard let load else { return }
        let report = LoadReport(
            instanceID: registration.instanceID, activeConnections: UInt32(clamping: load()),
            occurredAt: WallClock.now, incarnation: registration.incarnation)
        let event = RegistryEvent.loadReported(Batch(serviceName: registration.service, events: [report]))
        guard let encoded = EventCodec.encode(.registry(event)) else { return }
        try? connection.bus.publish(connection.message(encoded.type, encoded.facts, of: registration.service))
    }

    /// Takes the process out; nobody else's, which the incarnation sees to.
    private func depart() async {
        guard case .registered = state else { return }
        let registration = registration
        let event = Deregistration(
            instanceID: registration.instanceID, incarnation: registration.incarnation, reason: "shutdown",
            occurredAt: WallClock.now)
        let outcome = await tell(
            .deregistered(Batch(serviceName: registration.service, events: [event])), options.shutdown)
        switch outcome {
        case .accepted: become(.deregistered)
        case .refused(let reason), .failed(let reason): become(.pending(reason: reason))
        }
    }

    /// What the registry says of one event.
    private enum Outcome {
        case accepted(SequenceNumber)
        case refused(String)
        /// Nothing, or that it cannot now.
        case failed(String)
    }

    private func tell(_ event: RegistryEvent, _ timeout: Duration) async -> Outcome {
        guard let encoded = EventCodec.encode(.registry(event)) else { return .failed("not encoded") }
        return await tell(encoded.type, encoded.facts, event.serviceName, timeout)
    }

    private func tell(
        _ type: EventType, _ facts: [UInt8], _ service: String, _ timeout: Duration
    ) async -> Outcome {
        do {
            let message = connection.message(type, facts, of: service)
            let answer = try await connection.outcomes.outcome(of: message, timeout: timeout)
            let notice = try OutcomeNotice.decode(answer.payload[...])
            switch notice.word {
            case "accepted", "duplicate": return .accepted(notice.sequence)
            case "rejected" where notice.mayPass: return .failed(notice.reason)
            case "opaque": return .failed("the node does not understand this version")
            default: return .refused(notice.refusals.first?.reason ?? notice.reason)
            }
        } catch let error as BusError {
            return .failed(error.description)
        } catch {
            return .failed("the outcome is not understood: \(error)")
        }
    }
}

extension OutcomeNotice {
    /// Whether a rejection may pass by itself: too much at once, no room.
    var mayPass: Bool { ["rate_limited", "disk_pressure", "disk_full", "overloaded"].contains(reason) }
}

extension MeshConnection {
    /// An event as a message.
    func message(_ type: EventType, _ facts: [UInt8], of owner: String) -> Message {
        Message(
            subject: subject(type, of: owner), headers: [MessageHeader("Content-Type", "application/protobuf")],
            payload: facts)
    }
}
