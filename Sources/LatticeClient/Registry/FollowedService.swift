// What a replica knows of one service, what it still has to ask, and who waits for it.

internal import EventModel
internal import Queries
internal import Synchronization

/// One followed service; a value inside the replica's lock.
struct FollowedService {
    let name: String
    private(set) var view: ServiceView?
    /// The newest change that was noticed; origin: none.
    private var noticed = SequenceNumber.origin
    /// When to ask next.
    private(set) var nextQuestion: ContinuousClock.Instant
    private(set) var isAsking = false
    /// Set while a question is under way, when its answer may be too old.
    private var isDoubted = false
    private var failures = 0
    /// Since when the answers are older than what was seen before, by count: a log that began anew.
    private var backwardAnswers = 0
    /// When everything was asked for last; nil: never.
    private var wholeAt: ContinuousClock.Instant?
    /// Why the view is not current; nil: it is.
    private(set) var trouble: String?
    private(set) var confirmedAt = Timestamp.zero
    private let standing = ServiceStanding()
    private var watchers: [UInt64: AsyncStream<ServiceView>.Continuation] = [:]

    /// How often a node may say that it is not there yet before its log is taken for a new one.
    private static let backwardMaximum = 5
    /// How long changes alone are asked for. A log that began anew and has grown past what is known here cannot be told from
    /// the one before by its answers: what is only in the old one is gone after this at the latest.
    private static let wholeInterval = Duration.seconds(60)

    init(_ name: String, now: ContinuousClock.Instant) {
        self.name = name
        nextQuestion = now
        trouble = "not asked yet"
    }

    var freshness: Freshness {
        guard let view else { return .unknown(reason: trouble ?? "not asked yet") }
        guard let trouble else { return .current(asOf: view.asOf.sequence) }
        return .stale(since: confirmedAt, asOf: view.asOf.sequence, reason: trouble)
    }

    // MARK: Asking

    /// A change at a sequence: ask soon, unless it is known.
    mutating func notice(_ sequence: SequenceNumber, at time: ContinuousClock.Instant) {
        if let view, sequence <= view.asOf.sequence { return }
        noticed = max(noticed, sequence)
        doubt(from: time)
    }

    /// Something may have been missed: ask at `time` at the latest.
    mutating func doubt(from time: ContinuousClock.Instant) {
        if isAsking { isDoubted = true }
        nextQuestion = min(nextQuestion, time)
    }

    /// What is asked of a service.
    struct Question: Sendable {
        let service: String
        /// What the answer must contain: reads go forward, whichever node answers.
        var minimum: SequenceNumber?
        /// What is known already; origin: nothing.
        var known = SequenceNumber.origin

        func query(_ withMetadata: Bool) -> RegistryQuery {
            var query = RegistryQuery()
            query.serviceName = service
            query.healthyOnly = false
            query.withoutMetadata = !withMetadata
            query.changedSince = known
            query.position.minimumSequence = minimum
            return query
        }
    }

    /// Begins a question: for what changed since the view, or for everything where a log may have begun anew: after a
    /// failure, and once a minute.
    mutating func begin(at now: ContinuousClock.Instant) -> Question {
        isAsking = true
        isDoubted = false
        let isWhole = failures > 0 || wholeAt.map { now - $0 >= Self.wholeInterval } ?? true
        if isWhole { wholeAt = now }
        var question = Question(service: name)
        if backwardAnswers >= Self.backwardMaximum { return question }
        let known = view?.asOf.sequence ?? .origin
        if !isWhole { question.known = known }
        let minimum = max(noticed, known)
        question.minimum = minimum == .origin ? nil : minimum
        return question
    }

    /// Takes an answer.
    ///
    /// - Parameters:
    ///   - soon: when to ask again where the answer does not hold what was noticed.
    ///   - later: when to ask again otherwise.
    mutating func settle(
        _ answer: InstanceUpdate, at time: Timestamp, soon: ContinuousClock.Instant, later: ContinuousClock.Instant
    ) {
        isAsking = false
        failures = 0
        trouble = nil
        confirmedAt = time
        // An answer that was allowed to go back began a new log.
        if backwardAnswers >= Self.backwardMaximum { noticed = answer.asOf.sequence }
        backwardAnswers = 0
        let next = makeView(answer)
        let isNew = next.generation != view?.generation
        view = next
        if isNew { for watcher in watchers.values { watcher.yield(next) } }
        nextQuestion = isDoubted || noticed > answer.asOf.sequence ? soon : later
    }

    /// Takes a failure; the view stays.
    ///
    /// - Parameter delay: by the number of failures in a row, from 1.
    mutating func fail(_ error: MeshError, at now: ContinuousClock.Instant, delay: (Int) -> Duration) {
        isAsking = false
        failures += 1
        if error.code == .notYet || error.code == .timeout && view != nil {
            backwardAnswers = min(backwardAnswers + 1, Self.backwardMaximum)
        }
        trouble = error.description
        nextQuestion = now + delay(failures)
    }

    /// The connection is away: nothing is confirmed any more.
    mutating func lose(_ reason: String) {
        if trouble == nil { trouble = reason }
    }

    // MARK: Views

    private func makeView(_ update: InstanceUpdate) -> ServiceView {
        let old = view?.instances ?? []
        let known = Dictionary(old.map { (ByteName($0.id), $0) }, uniquingKeysWith: { first, _ in first })
        var isChanged = view?.isProtected != update.protected
        let news = update.instances.map { snapshot in
            let earlier = known[ByteName(snapshot.instance.instanceID)]
            let next = served(snapshot, earlier, at: update.asOf.sequence)
            if earlier?.isSame(as: next) != true { isChanged = true }
            return next
        }
        let instances = update.isWhole ? news : Self.merge(old, news, without: update.left)
        if instances.count != old.count { isChanged = true }
        // What was learned of an instance goes with it, and with the process behind its id.
        let present = Set(instances.map { ObjectIdentifier($0.standing) })
        for gone in old where !present.contains(ObjectIdentifier(gone.standing)) {
            isChanged = true
            gone.standing.isEjected = false
        }
        return ServiceView(
            serviceName: name, instances: instances, asOf: update.asOf, isProtected: update.protected,
            generation: (view?.generation ?? 0) + (isChanged || view == nil ? 1 : 0), standing: standing)
    }

    /// An instance as it is now, with what this process knows of it.
    private func served(
        _ snapshot: InstanceSnapshot, _ earlier: ServedInstance?, at sequence: SequenceNumber
    ) -> ServedInstance {
        let id = snapshot.instance.instanceID
        let isSameProcess = earlier?.incarnation == snapshot.instance.incarnation
        let its = isSameProcess ? earlier?.standing : nil
        let next = ServedInstance(
            snapshot, changedAt: sequence, standing: its ?? InstanceStanding(instanceID: id, service: standing))
        guard let earlier, earlier.isSame(as: next) else { return next }
        return ServedInstance(snapshot, changedAt: earlier.changedAt, standing: next.standing)
    }

    /// Instances in order of id, with the news in the place of those that have their ids, and without those that left.
    private static func merge(
        _ old: [ServedInstance], _ news: [ServedInstance], without left: [String]
    ) -> [ServedInstance] {
        if news.isEmpty && left.isEmpty { return old }
        let gone = Set(left.map { ByteName($0) })
        var result: [ServedInstance] = []
        result.reserveCapacity(old.count + news.count)
        var rest = news[...]
        for instance in old {
            while let first = rest.first, first.id.precedesInBytes(instance.id) { result.append(rest.removeFirst()) }
            if let first = rest.first, first.id.equalsInBytes(instance.id) {
                result.append(rest.removeFirst())
            } else if !gone.contains(ByteName(instance.id)) {
                result.append(instance)
            }
        }
        return result + rest
    }

    // MARK: Watching

    /// Tells a watcher of this view and of all later ones.
    mutating func watch(_ id: UInt64, _ watcher: AsyncStream<ServiceView>.Continuation) {
        watchers[id] = watcher
        if let view { watcher.yield(view) }
    }

    mutating func unwatch(_ id: UInt64) { watchers[id] = nil }

    /// Whom to tell of the end, outside of the lock: their ends come back to it.
    mutating func takeWatchers() -> [AsyncStream<ServiceView>.Continuation] {
        defer { watchers = [:] }
        return Array(watchers.values)
    }
}

/// Followed services by the bytes of their names: two that Unicode deems equal are two (decision 152).
struct FollowedServices {
    private(set) var byName: [ByteName: FollowedService] = [:]

    var count: Int { byName.count }
    var names: [String] { byName.keys.map(\.text) }

    subscript(name: String) -> FollowedService? {
        get { byName[ByteName(name)] }
        _modify { yield &byName[ByteName(name)] }
    }
}
