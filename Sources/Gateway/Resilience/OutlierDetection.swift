// Takes instances out that fail again and again, and lets them back in after a while (Limits.md, Gateway).

package import EventModel
import LatticeClient
import NIOCore
import Synchronization

/// When an instance is taken out, and for how long.
package struct OutlierSettings: Sendable, Hashable {
    /// Connect errors, answers that did not come, or 502, 503 and 504, one after the other.
    package var consecutiveFailures = 5
    /// The first ejection; the n-th lasts n times as long…
    package var ejectionFirst = Nanoseconds.seconds(30)
    /// …up to this.
    package var ejectionMaximum = Nanoseconds.seconds(300)
    /// At most so many of a hundred instances of a service are out at once; one always may be, if another one stays.
    package var percentMaximum = 33

    package init() {}
}

/// Something that was learned of an instance and that others should know.
package struct HealthChange: Sendable, Hashable {
    package var service: String
    package var instanceID: String
    package var incarnation: Int64
    package var isHealthy: Bool
    package var failures: UInt32
    package var reason: String
}

/// Judges instances by what became of requests. Successes cost one atomic read.
final class OutlierDetection: Sendable {
    /// Looked at after failures only.
    private let current: Mutex<OutlierSettings>
    private let changed: @Sendable (HealthChange) -> Void
    /// One ejection at a time, so that the share holds.
    private let ejecting = Mutex<Void>(())

    init(_ settings: OutlierSettings, changed: @escaping @Sendable (HealthChange) -> Void) {
        current = Mutex(settings)
        self.changed = changed
    }

    /// Those that count from now on.
    var settings: OutlierSettings {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    func succeeded(_ target: Target) {
        if target.failureCount.load(ordering: .relaxed) == 0, !target.isReportedOut.load(ordering: .relaxed) { return }
        target.failureCount.store(0, ordering: .relaxed)
        // It was on trial, or it answers a request that was sent before it was taken out.
        guard !target.standing.isEjected else { return }
        target.standing.isOnTrial = false
        if target.isReportedOut.exchange(false, ordering: .relaxed) {
            tell(target, isHealthy: true, 0, "answers again after an ejection")
        }
    }

    func failed(_ target: Target, in cluster: Cluster, because reason: String, at now: NIODeadline) {
        let failures = target.failureCount.add(1, ordering: .relaxed).newValue
        let settings = settings
        guard failures >= settings.consecutiveFailures else { return }
        eject(target, in: cluster, settings, failures, reason, now)
    }

    private func eject(
        _ target: Target, in cluster: Cluster, _ settings: OutlierSettings, _ failures: Int, _ reason: String,
        _ now: NIODeadline
    ) {
        let all = cluster.view.targets.values
        ejecting.withLock { _ in
            if target.standing.isEjected || cluster.isRetired.load(ordering: .relaxed) { return }
            let out = all.count { $0.standing.isEjected }
            let allowed = max(1, all.count * settings.percentMaximum / 100)
            guard out < allowed, out + 1 < all.count else { return }
            let count = target.ejectionCount.add(1, ordering: .relaxed).newValue
            let length = min(settings.ejectionFirst.rawValue * Int64(count), settings.ejectionMaximum.rawValue)
            let until = now + .nanoseconds(length)
            target.ejectedUntil.store(Int64(until.uptimeNanoseconds), ordering: .relaxed)
            target.standing.isOnTrial = false
            target.standing.isEjected = true
            target.isReportedOut.store(true, ordering: .relaxed)
            tell(target, isHealthy: false, failures, "ejected: \(reason)")
        }
    }

    private func tell(_ target: Target, isHealthy: Bool, _ failures: Int, _ reason: String) {
        changed(
            HealthChange(
                service: target.service, instanceID: target.instance.id, incarnation: target.instance.incarnation,
                isHealthy: isHealthy, failures: UInt32(clamping: failures), reason: reason))
    }

    /// Nothing is learned of this service any more, and what was learned ends.
    func retire(_ cluster: Cluster, because reason: String) {
        ejecting.withLock { _ in cluster.isRetired.store(true, ordering: .relaxed) }
        withdraw(cluster.view.targets.values, because: reason)
    }

    /// What was learned of these ends with who learned it: the gateway, its route to them, or the address that it was learned
    /// of. The registry is told, since nobody else can take back what this gateway said.
    func withdraw(_ targets: some Sequence<Target>, because reason: String) {
        for target in targets {
            target.standing.isOnTrial = false
            target.standing.isEjected = false
            target.ejectedUntil.store(0, ordering: .relaxed)
            target.failureCount.store(0, ordering: .relaxed)
            guard target.isReportedOut.exchange(false, ordering: .relaxed) else { continue }
            tell(target, isHealthy: true, 0, "ejection withdrawn: \(reason)")
        }
    }

    /// Lets those back in whose time is over, on trial: a first success clears them, a first failure takes them out again.
    /// Only that success is told: that an ejection is over says nothing of the instance. Called now and then. Who stays well
    /// for as long as an ejection can last begins anew.
    func sweep(_ cluster: Cluster, at now: NIODeadline) {
        let (time, settings) = (Int64(now.uptimeNanoseconds), settings)
        for target in cluster.view.targets.values {
            let until = target.ejectedUntil.load(ordering: .relaxed)
            guard until != 0, time >= until else { continue }
            if target.standing.isEjected {
                target.failureCount.store(settings.consecutiveFailures - 1, ordering: .relaxed)
                target.standing.isOnTrial = target.isReportedOut.load(ordering: .relaxed)
                target.standing.isEjected = false
            } else if time - until >= settings.ejectionMaximum.rawValue {
                target.ejectedUntil.store(0, ordering: .relaxed)
                target.ejectionCount.store(0, ordering: .relaxed)
            }
        }
    }
}
