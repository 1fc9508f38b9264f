// Signs heads of the log and publishes them on `<prefix>.anchors`.

import Dispatch
import EventModel
import EventStore
import Logging
import Messaging
import Synchronization

/// Hashes, signs and publishes, one head after the other, on a queue of its own: neither the writer nor the machines wait.
final class Anchorer: Sendable {
    private let key: AnchorKey
    private let nodeID: String
    private let subject: String
    private let bus: any MessageBus
    private let clock: NodeClock
    private let logger: Logger
    private let queue = DispatchQueue(label: "lattice.anchors", qos: .utility)
    private let anchored = Mutex(SequenceNumber.origin)

    /// Nil without a key.
    init?(nodeID: String, prefix: String, _ environment: NodeEnvironment) {
        guard let key = environment.anchorKey else { return nil }
        self.key = key
        self.nodeID = nodeID
        subject = prefix + ".anchors"
        bus = environment.answerBus
        clock = environment.clock
        logger = environment.logger
    }

    /// The last sequence that a published anchor stands for.
    var anchoredSequence: SequenceNumber { anchored.withLock { $0 } }

    /// Anchors a point at which the machines have these digests. An anchor that cannot be published is lost, and the
    /// next one stands for what it stood for.
    func anchor(_ point: AnchorPoint, _ digests: DigestAnswer) {
        guard digests.asOf.sequence == point.sequence, point.sequence > anchoredSequence else { return }
        queue.async { self.publish(point, digests.machines) }
    }

    /// Returns when everything handed over before is on its way.
    func finish() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }

    private func publish(_ point: AnchorPoint, _ machines: [MachineDigest]) {
        do {
            var head = try point.head()
            head.nodeID = nodeID
            head.machines = machines
            head.signedAt = clock.now()
            let anchor = try key.sign(head)
            try bus.publish(WireFormat.message(anchor.encode(), kind: .anchor, to: subject, asJSON: true))
            anchored.withLock { $0 = max($0, point.sequence) }
        } catch {
            logger.error("no anchor", metadata: ["sequence": "\(point.sequence)", "error": "\(error)"])
        }
    }
}
