// One service behind the gateway: its instances, what was learned of them, and the budget of its retries.

import LatticeClient
import Synchronization

/// Shared by all loops; lives as long as some route names the service.
final class Cluster: Sendable {
    let service: String
    let budget = RetryBudget()
    /// No route names it any more; requests in progress may still end.
    let isRetired = Atomic<Bool>(false)
    /// Raised with each new view, so that a loop sees without a lock that its own is old.
    let version = Atomic<UInt64>(0)
    private let state = Mutex(ClusterView(version: 0, services: nil, targets: [:]))

    init(service: String) { self.service = service }

    var view: ClusterView { state.withLock { $0 } }

    /// Takes the instances that there are now. What was learned of a process stays as long as the process does at its address.
    ///
    /// - Returns: what is there no more at the address that it had: nothing that was learned of it holds for what is there now.
    @discardableResult
    func update(_ services: ServiceView) -> [Target] {
        state.withLock { view in
            var moved: [Target] = []
            var targets: [InstanceStanding: Target] = [:]
            for instance in services.instances {
                let known = view.targets[instance.standing]
                // An endpoint can change under one process; a connection to the old one says nothing of the new.
                let isSame = known?.instance.endpoint == instance.endpoint
                if let known, !isSame { moved.append(known) }
                targets[instance.standing] = isSame ? known : Target(service: service, instance)
            }
            view = ClusterView(version: view.version + 1, services: services, targets: targets)
            version.store(view.version, ordering: .releasing)
            return moved
        }
    }
}
