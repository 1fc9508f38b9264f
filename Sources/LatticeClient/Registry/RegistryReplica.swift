// A local copy of the registry: what balances a request needs no round trip, and goes on while the node is away.

internal import EventModel
internal import Logging
internal import Messaging
internal import Queries
public import ServiceLifecycle
internal import Synchronization

/// Follows services by the registry's notices of change and hands out immutable views of them.
///
/// Run it as a service; until it runs, and while NATS or the node is away, ``view(of:)`` answers what was known last and
/// ``freshness(of:)`` says so. Each followed service is asked for again after every notice, after every reconnect, and
/// every ``Options/refreshInterval``, since a notice can be lost.
public final class RegistryReplica: Service {
    /// How a replica keeps up to date.
    public struct Options: Sendable, Hashable {
        /// How often a service is asked for without a notice, give or take a tenth.
        public var refreshInterval = Duration.seconds(10)
        /// Notices that come within this time after a question are answered by one.
        public var coalescing = Duration.milliseconds(20)
        /// The first wait after a question that failed; it doubles up to ``retryDelayMaximum``.
        public var retryDelay = Duration.milliseconds(200)
        public var retryDelayMaximum = Duration.seconds(5)
        /// Services that can be followed at once; more are not known.
        public var servicesMaximum = 1_024
        /// Questions that may be under way at once.
        public var questionsMaximum = 16
        /// Whether views have the instances' metadata; who does not look at them spares the node and the network a large part.
        public var keepsMetadata = true

        public init() {}
    }

    private struct State {
        var services = FollowedServices()
        /// The same by the token of a subject.
        var names: [String: String] = [:]
        var questions = 0
        var lastWatcher: UInt64 = 0
        var refusedServices: UInt64 = 0
    }

    private let connection: MeshConnection
    private let options: Options
    private let state = Mutex(State())
    private let wakeup = Wakeup()

    /// A replica that follows nothing yet.
    public init(_ connection: MeshConnection, options: Options = Options()) {
        self.connection = connection
        self.options = options
    }

    // MARK: Views

    /// The service as it was known last; nil where nothing is known yet, which a first question then changes.
    ///
    /// Never waits: a lock around a look-up.
    public func view(of service: String) -> ServiceView? {
        let (view, isNew) = state.withLock { state -> (ServiceView?, Bool) in
            if let followed = state.services[service] { return (followed.view, false) }
            return (nil, add(service, to: &state))
        }
        if isNew { wakeup.ring() }
        return view
    }

    /// Begins to follow services.
    public func follow(_ services: [String]) {
        let isNew = state.withLock { state in
            services.filter { state.services[$0] == nil && add($0, to: &state) }.isEmpty == false
        }
        if isNew { wakeup.ring() }
    }

    private func add(_ service: String, to state: inout State) -> Bool {
        guard !service.isEmpty, state.services.count < options.servicesMaximum else {
            state.refusedServices += 1
            return false
        }
        state.services[service] = FollowedService(service, now: .now)
        state.names[SubjectToken.escape(service)] = service
        return true
    }

    /// How far the view of a service can be relied upon.
    public func freshness(of service: String) -> Freshness {
        state.withLock { $0.services[service]?.freshness } ?? .unknown(reason: "not followed")
    }

    /// How far all followed services can be relied upon: the worst of them.
    public var freshness: Freshness {
        let all = state.withLock { $0.services.byName.values.map(\.freshness) }
        if let unknown = all.first(where: { if case .unknown = $0 { true } else { false } }) { return unknown }
        if let stale = all.first(where: { !$0.isCurrent }) { return stale }
        return all.max { $0.sequence < $1.sequence } ?? .unknown(reason: "nothing is followed")
    }

    /// Each followed service by name, with its freshness.
    public var followed: [(service: String, freshness: Freshness)] {
        let all = state.withLock { $0.services.byName.map { ($0.key.text, $0.value.freshness) } }
        return all.sorted { $0.0.precedesInBytes($1.0) }.map { (service: $0.0, freshness: $0.1) }
    }

    /// The views of a service, now and whenever its instances come, go or change. A slow reader misses those in
    /// between, never the last one.
    public func updates(of service: String) -> AsyncStream<ServiceView> {
        let (stream, continuation) = AsyncStream<ServiceView>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state -> UInt64? in
            if state.services[service] == nil && !add(service, to: &state) { return nil }
            state.lastWatcher += 1
            state.services[service]?.watch(state.lastWatcher, continuation)
            return state.lastWatcher
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.services[service]?.unwatch(id) }
        }
        wakeup.ring()
        return stream
    }

    /// The service, awaited where nothing is known of it yet; nil after `limit`.
    public func view(of service: String, within limit: Duration) async -> ServiceView? {
        if let view = view(of: service) { return view }
        let updates = updates(of: service)
        return await withTaskGroup(of: ServiceView?.self) { group in
            group.addTask {
                var iterator = updates.makeAsyncIterator()
                return await iterator.next()
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    // MARK: Running

    /// Keeps the copy up to date until the task is cancelled or the service group shuts down.
    public func run() async {
        await cancelWhenGracefulShutdown { await self.keepUp() }
        let watchers = state.withLock { state in
            state.services.names.flatMap { name in
                state.services[name]?.lose("the replica does not run")
                return state.services[name]?.takeWatchers() ?? []
            }
        }
        for watcher in watchers { watcher.finish() }
    }

    private func keepUp() async {
        var watch = ConnectionWatch(connection)
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                observe(&watch)
                let (due, next) = takeDue()
                for question in due { group.addTask { await self.ask(question) } }
                await wakeup.wait(atMost: min(next, .milliseconds(250)))
            }
            group.cancelAll()
        }
        watch.end()
    }

    /// After a reconnect, or where the bus dropped notices, every service is in doubt.
    private func observe(_ watch: inout ConnectionWatch) {
        watch.subscribe { [weak self] messages in self?.take(messages) }
        if let trouble = watch.trouble {
            state.withLock { state in
                for name in state.services.names { state.services[name]?.lose(trouble) }
            }
        }
        guard watch.hasMissedSomething() else { return }
        let now = ContinuousClock.now
        state.withLock { state in
            for name in state.services.names { state.services[name]?.doubt(from: now) }
        }
    }

    private func takeDue() -> (due: [FollowedService.Question], next: Duration) {
        let now = ContinuousClock.now
        return state.withLock { state in
            var names: [String] = []
            var next = Duration.seconds(1)
            for (name, service) in state.services.byName where !service.isAsking {
                if service.nextQuestion > now {
                    next = min(next, service.nextQuestion - now)
                } else if state.questions + names.count < options.questionsMaximum {
                    names.append(name.text)
                }
            }
            let due = names.compactMap { state.services[$0]?.begin(at: now) }
            state.questions += due.count
            return (due, next)
        }
    }

    private func ask(_ question: FollowedService.Question) async {
        let service = question.service
        let answer: Result<InstanceUpdate, MeshError>
        do throws(UnansweredQuery) {
            answer = .success(try await connection.queries.instances(question.query(options.keepsMetadata)))
        } catch {
            answer = .failure(MeshError(error))
        }
        let now = ContinuousClock.now
        let refresh = options.refreshInterval * Double.random(in: 0.9...1.1)
        state.withLock { state in
            state.questions -= 1
            switch answer {
            case .success(let update):
                state.services[service]?.settle(
                    update, at: WallClock.now, soon: now + options.coalescing, later: now + refresh)
            case .failure(let error):
                state.services[service]?.fail(error, at: now, delay: retryDelay)
            }
        }
        wakeup.ring()
    }

    /// Doubles with each failure, less a random half, so that a mesh does not ask in step.
    private func retryDelay(_ failures: Int) -> Duration {
        let doubled = options.retryDelay * (1 << min(failures - 1, 16))
        return min(doubled, options.retryDelayMaximum) * Double.random(in: 0.5...1)
    }

    /// Notices of change, on the reader's thread.
    private func take(_ messages: [Message]) {
        let now = ContinuousClock.now
        let isFollowed = state.withLock { state -> Bool in
            var isFollowed = false
            for message in messages {
                guard let dot = message.subject.utf8.lastIndex(of: UInt8(ascii: ".")) else { continue }
                let token = String(message.subject[message.subject.utf8.index(after: dot)...])
                guard let name = state.names[token] else { continue }
                isFollowed = true
                if let sequence = ChangeNotice.sequence(message) {
                    state.services[name]?.notice(sequence, at: now)
                } else {
                    state.services[name]?.doubt(from: now)
                }
            }
            return isFollowed
        }
        if isFollowed { wakeup.ring() }
    }
}

extension Freshness {
    fileprivate var sequence: SequenceNumber {
        switch self {
        case .unknown: .origin
        case .current(let asOf), .stale(_, let asOf, _): asOf
        }
    }
}
