// What happens to a mesh, in words for its operator: one line an event, and never more than somebody can read.

import EventModel
import Logging
import Synchronization

/// Tells of evictions, of the eviction guard and of leadership as live records bring them; recovery tells nothing.
final class LifeLog: Sendable {
    private struct Budget {
        var second = ContinuousClock.now
        var spent = 0
        /// Evictions for which there was no line, by service.
        var folded: [String: Int] = [:]
        var foldedElsewhere = 0
    }

    private let logger: Logger
    private let budget = Mutex(Budget())
    /// Lines about evictions in one second; the others are told as a count.
    static let evictionLines = 10
    /// Lines about guards in one look; the others are told as a count.
    static let guardLines = 10
    /// Services that are told apart in a count.
    private static let foldedServices = 100

    init(logger: Logger) { self.logger = logger }

    // MARK: Evictions

    /// Instances that a live record evicted.
    func evicted(_ removals: [Removal]) {
        for removal in removals where mayTell(removal.serviceName) {
            logger.notice(
                "an instance was evicted",
                metadata: [
                    "service": "\(removal.serviceName)", "instance": "\(removal.instanceID)",
                    "reason": "\(removal.reason)", "sequence": "\(removal.position.sequence)",
                ])
        }
    }

    private func mayTell(_ service: String) -> Bool {
        budget.withLock { budget in
            if budget.second.duration(to: .now) >= .seconds(1) {
                budget.second = .now
                budget.spent = 0
            }
            budget.spent += 1
            if budget.spent <= Self.evictionLines { return true }
            if budget.folded[service] != nil || budget.folded.count < Self.foldedServices {
                budget.folded[service, default: 0] += 1
            } else {
                budget.foldedElsewhere += 1
            }
            return false
        }
    }

    /// Says how many evictions had no line of their own; once a tick, and at the end.
    func tellFolded() {
        let (services, elsewhere) = budget.withLock { budget in
            defer { (budget.folded, budget.foldedElsewhere) = ([:], 0) }
            return (budget.folded, budget.foldedElsewhere)
        }
        if services.isEmpty && elsewhere == 0 { return }
        let most = services.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(5)
        logger.notice(
            "more instances were evicted",
            metadata: [
                "count": "\(services.values.reduce(elsewhere, +))",
                "services": "\(most.map { "\($0.key) \($0.value)" }.joined(separator: ", "))",
            ])
    }

    // MARK: Guard

    /// The guard closed over these services.
    func guardClosed(_ services: [ServiceTopology]) {
        for service in services.prefix(Self.guardLines) {
            var metadata: Logger.Metadata = [
                "service": "\(service.serviceName)", "silent": "\(service.protectedInstances)",
                "of": "\(service.instances)",
            ]
            if let since = service.silentSince { metadata["silent_since"] = "\(RFC3339.text(since))" }
            logger.warning("the eviction guard holds a service: too many are silent at once", metadata: metadata)
        }
        tellMore("the eviction guard holds more services", services.count)
    }

    /// It opened.
    func guardOpened(_ services: [ServiceTopology]) {
        for service in services.prefix(Self.guardLines) {
            logger.notice(
                "the eviction guard lets a service go",
                metadata: [
                    "service": "\(service.serviceName)", "instances": "\(service.instances)",
                    "stale": "\(service.stale)",
                ])
        }
        tellMore("the eviction guard lets more services go", services.count)
    }

    private func tellMore(_ message: Logger.Message, _ count: Int) {
        if count > Self.guardLines { logger.notice(message, metadata: ["count": "\(count - Self.guardLines)"]) }
    }

    // MARK: Connection

    /// NATS was away, and is back; so many times in all.
    func reconnected(_ count: UInt64) {
        logger.notice("connected to NATS again", metadata: ["count": "\(count)"])
    }

    // MARK: Leadership

    /// Somebody leads who did not, as seen by `nodeID`.
    func leaderChanged(from old: String, to new: String, epoch: UInt64, nodeID: String) {
        let metadata: Logger.Metadata = ["leader": "\(new)", "before": "\(old)", "epoch": "\(epoch)"]
        if new == nodeID {
            logger.notice(
                old.isEmpty || old == nodeID ? "this node leads" : "this node has taken over", metadata: metadata)
        } else if old == nodeID {
            logger.warning("this node leads no more", metadata: metadata)
        } else {
            logger.notice("another node leads", metadata: metadata)
        }
    }
}
