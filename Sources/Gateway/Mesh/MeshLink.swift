// The gateway as a customer of the mesh: it follows instances and mirrors, and tells what it learns.

package import EventModel
package import LatticeClient
package import Logging
import MeshRules
import Messaging
import NIOCore
import Queries
import Synchronization

/// Everything between a gateway and the bus. The gateway's requests never wait for it.
package final class MeshLink: Sendable {
    let connection: MeshConnection
    let replica: RegistryReplica
    let spans: SpanPublisher
    let events: EventPublisher
    let captures: CaptureWorker
    let mirrors = MirrorBook()
    private let now: @Sendable () -> Timestamp
    private let gatewayID: String
    private let logger: Logger

    /// What was last heard of the mirrors.
    private let mirrorTrouble = Mutex<String?>("not asked yet")
    private let mirrorNews = Mutex(MirrorNews())

    package init(
        _ connection: MeshConnection, gatewayID: String, now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.connection = connection
        self.gatewayID = gatewayID
        self.now = now
        self.logger = logger
        var options = RegistryReplica.Options()
        // Routes choose by service, locality, weight and health.
        options.keepsMetadata = false
        replica = RegistryReplica(connection, options: options)
        spans = SpanPublisher(connection)
        events = EventPublisher(connection, limits: PublisherLimits(elements: 16_384, bytes: 67_108_864, batch: 256))
        captures = CaptureWorker(events)
    }

    /// Where a gateway hands things over.
    package var sinks: GatewaySinks {
        GatewaySinks(
            spans: Spans(publisher: spans), captures: captures, learned: Learned(events: events, now: now),
            mirrors: mirrors)
    }

    /// Follows, tells and publishes until the task is cancelled; then publishes what is left.
    package func run(for gateway: Gateway) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.replica.run() }
            group.addTask { await self.spans.run() }
            group.addTask { await self.events.run() }
            group.addTask { await self.captures.run() }
            group.addTask { await self.followMirrors() }
            group.addTask { await self.followServices(gateway) }
            group.addTask { await self.reportLoads(gateway) }
        }
    }

    // MARK: Instances

    /// Looks five times a second whether a view is newer than what the loops have: a comparison of two references.
    private func followServices(_ gateway: Gateway) async {
        while !Task.isCancelled {
            for cluster in gateway.shared.registryClusters {
                guard let view = replica.view(of: cluster.service), view !== cluster.view.services else { continue }
                let moved = cluster.update(view)
                gateway.shared.outliers.withdraw(moved, because: "it has another address")
            }
            gateway.shared.sweepOutliers()
            try? await Task.sleep(for: .milliseconds(gateway.shared.hasUnknownServices ? 20 : 200))
        }
    }

    /// Tells every ten seconds how many requests there are at each instance, if that has changed.
    private func reportLoads(_ gateway: Gateway) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(10))
            for cluster in gateway.shared.registryClusters {
                for target in cluster.view.targets.values {
                    let count = target.standing.activeConnections
                    if count == target.standing.reportedByUs { continue }
                    let report = LoadReport(
                        instanceID: target.instance.id, reporter: gatewayID, activeConnections: UInt32(clamping: count),
                        occurredAt: now(), incarnation: target.instance.incarnation)
                    if events.publish(report, of: cluster.service) { target.standing.reportedByUs = count }
                }
            }
        }
    }

    // MARK: Mirrors

    /// Why the mirrors are not known to be current; nil: they are.
    var mirrorsTrouble: String? { mirrorTrouble.withLock { $0 } }

    /// Asks for the mirrors at the start, after each notice, each reconnect and each loss of notices, and every 30 s.
    private func followMirrors() async {
        let wakeup = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let ring = wakeup.continuation
        let alarm = Task { await self.watchMirrors { ring.yield() } }
        ring.yield()
        await withTaskCancellationHandler {
            for await _ in wakeup.stream {
                await askForMirrors()
                if Task.isCancelled { break }
            }
        } onCancel: {
            alarm.cancel()
            ring.finish()
        }
        alarm.cancel()
        await alarm.value
    }

    /// Rings whenever the mirrors may be other ones than those that are known.
    private func watchMirrors(_ ring: @escaping @Sendable () -> Void) async {
        var watch = ConnectionWatch(connection, changesOf: .mirror)
        var nextQuestion = ContinuousClock.now
        while !Task.isCancelled {
            watch.subscribe { [weak self] notices in
                self?.notice(notices)
                ring()
            }
            let now = ContinuousClock.now
            if watch.hasMissedSomething() || now >= nextQuestion {
                ring()
                nextQuestion = now + (mirrorsTrouble == nil ? .seconds(30) : .milliseconds(500))
            }
            if mirrorsTrouble != nil { nextQuestion = min(nextQuestion, now + .milliseconds(500)) }
            try? await Task.sleep(for: .milliseconds(250))
        }
        watch.end()
    }

    private func notice(_ notices: [Message]) {
        for notice in notices {
            guard let sequence = ChangeNotice.sequence(notice) else { continue }
            mirrorNews.withLock { $0.noticed = max($0.noticed, sequence) }
        }
    }

    private func askForMirrors() async {
        var query = MirrorQuery()
        // An answer must hold what was noticed, whichever node gives it; a log that began anew never does.
        let news = mirrorNews.withLock { $0 }
        if news.noticed > .origin, news.backwardAnswers < 5 { query.position.minimumSequence = news.noticed }
        do throws(UnansweredQuery) {
            let answer = try await connection.queries.mirrors(query)
            mirrors.replace(answer.configurations)
            mirrorNews.withLock { news in
                if news.backwardAnswers >= 5 { news.noticed = answer.asOf.sequence }
                news.backwardAnswers = 0
            }
            mirrorTrouble.withLock { $0 = nil }
        } catch {
            if [QueryError.Code.notYet, .timeout].contains(where: { $0.rawValue == error.code }) {
                mirrorNews.withLock { $0.backwardAnswers = min($0.backwardAnswers + 1, 5) }
            }
            mirrorTrouble.withLock { $0 = "\(error)" }
        }
    }
}

/// What is known of changes of mirrors.
private struct MirrorNews {
    /// The newest change that was noticed; origin: none.
    var noticed = SequenceNumber.origin
    /// How often in a row a node said that it is not there yet.
    var backwardAnswers = 0
}

/// Hands spans to the SDK's publisher.
private struct Spans: SpanSink {
    let publisher: SpanPublisher

    func publish(_ span: TraceSpan) { publisher.publish(span) }
}

/// Makes events of what is learned.
private struct Learned: LearningSink {
    let events: EventPublisher
    let now: @Sendable () -> Timestamp

    func selected(_ selection: LearnedSelection) { events.publish(selection.selection, of: selection.service) }

    func changed(_ change: HealthChange) {
        events.publish(
            HealthReport(
                instanceID: change.instanceID, healthy: change.isHealthy,
                consecutiveFailures: change.isHealthy ? 0 : change.failures, lastCheck: now(),
                reason: change.reason, incarnation: change.incarnation), of: change.service)
    }
}

/// Redacts captures on a task of its own, so that no event loop does.
package final class CaptureWorker: CaptureSink {
    private struct State {
        var pairs: [CapturedPair] = []
        var bytes = 0
    }

    /// As a mirror's buffer: so many requests, so many bytes.
    private static let pairsMaximum = 4_000
    private static let bytesMaximum = 67_108_864

    private let events: EventPublisher
    private let state = Mutex(State())
    private let wakeup: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation

    init(_ events: EventPublisher) {
        self.events = events
        (wakeup, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func take(_ pair: CapturedPair) -> Bool {
        let size = pair.request.body.count + pair.response.body.count + 1_024
        let (isTaken, isFirst) = state.withLock { state in
            guard state.pairs.count < Self.pairsMaximum, state.bytes + size <= Self.bytesMaximum else {
                return (false, false)
            }
            state.pairs.append(pair)
            state.bytes += size
            return (true, state.pairs.count == 1)
        }
        if isFirst { ring.yield() }
        return isTaken
    }

    func run() async {
        for await _ in wakeup { publishAll() }
        publishAll()
    }

    private func publishAll() {
        while true {
            let pairs = state.withLock { state in
                defer { (state.pairs, state.bytes) = ([], 0) }
                return state.pairs
            }
            if pairs.isEmpty { return }
            for pair in pairs {
                let made = makeCapture(
                    pair.request, response: pair.response, latency: pair.latency, payloadLimit: pair.payloadLimit)
                events.publish(made, of: pair.service)
            }
        }
    }
}
