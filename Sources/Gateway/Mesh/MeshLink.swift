// The gateway as a customer of the mesh: it follows instances and mirrors, and tells what it learns.

package import EventModel
package import LatticeClient
package import Logging
import MeshRules
import Messaging
import NIOCore
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

    package init(
        _ connection: MeshConnection, gatewayID: String, now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.connection = connection
        self.gatewayID = gatewayID
        self.now = now
        self.logger = logger
        replica = RegistryReplica(connection)
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

    /// Asks for the mirrors at the start, after each notice and each reconnect, and every 30 s.
    private func followMirrors() async {
        let (wakeup, ring) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let alarm = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(mirrorsTrouble == nil ? 30_000 : 500))
                ring.yield()
            }
            ring.finish()
        }
        let reader = try? SubscriptionReader(
            connection.bus.subscribe(
                "\(connection.prefix).changes.mirror.*", queueGroup: nil,
                limits: PendingLimits(messages: 4_096, bytes: 4 << 20))
        ) { _ in ring.yield() }
        ring.yield()
        await withTaskCancellationHandler {
            for await _ in wakeup {
                await askForMirrors()
                if Task.isCancelled { break }
            }
        } onCancel: {
            alarm.cancel()
            ring.finish()
        }
        alarm.cancel()
        reader?.end()
    }

    private func askForMirrors() async {
        let question = Message(
            subject: "\(connection.prefix).queries.mirror.mirrors",
            headers: [MessageHeader("Content-Type", "application/protobuf")], payload: MirrorQuery().encode())
        do {
            let answer = try await connection.bus.request(question, timeout: connection.requestTimeout)
            if let code = answer.header("Nats-Service-Error-Code") { throw BusError(.other, "status \(code)") }
            mirrors.replace(try MirrorsAnswer.configurations(answer.payload[...]))
            mirrorTrouble.withLock { $0 = nil }
        } catch {
            mirrorTrouble.withLock { $0 = "\(error)" }
        }
    }
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
