// One instance as the gateway sees it: what all event loops have learned of it, without locks.

import EventModel
import LatticeClient
import NIOCore
import Synchronization

/// What the gateway knows of one process beyond the registry.
final class Target: Sendable {
    let service: String
    let instance: ServedInstance
    /// Failures since the last success.
    let failureCount = Atomic<Int>(0)
    /// When the ejection ends, in uptime nanoseconds; 0: it never was ejected, or long ago.
    let ejectedUntil = Atomic<Int64>(0)
    /// How often it was ejected of late; what each ejection lasts grows with it.
    let ejectionCount = Atomic<Int>(0)
    /// The registry was told that it is out, and not yet that it answers again.
    let isReportedOut = Atomic<Bool>(false)
    let connectionCount = Atomic<Int>(0)

    init(service: String, _ instance: ServedInstance) {
        self.service = service
        self.instance = instance
    }

    /// What the balancer looks at.
    var standing: InstanceStanding { instance.standing }
}

/// The instances of a service at one moment; never changed, only replaced.
final class ClusterView: Sendable {
    let version: UInt64
    /// Nil: nothing is known yet.
    let services: ServiceView?
    let targets: [InstanceStanding: Target]

    init(version: UInt64, services: ServiceView?, targets: [InstanceStanding: Target]) {
        self.version = version
        self.services = services
        self.targets = targets
    }
}
