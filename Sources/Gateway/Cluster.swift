// One service behind the gateway: its instances, what was learned of them, and the budget of its retries.

import EventModel
import NIOCore
import Synchronization

/// Shared by all loops; lives as long as some route names the service.
final class Cluster: Sendable {
    let service: String
    let budget = RetryBudget()
    /// Raised with each new view, so that a loop sees without a lock that its own is old.
    let version = Atomic<UInt64>(0)
    private let state: Mutex<State>

    private struct State {
        var view: ClusterView
        var targets: [String: Target] = [:]
    }

    init(service: String) {
        self.service = service
        state = Mutex(State(view: ClusterView(version: 0, candidates: [], asOf: .origin)))
    }

    var view: ClusterView { state.withLock { $0.view } }

    /// Takes the instances that there are now. What was learned of an instance stays as long as its id, endpoint and
    /// incarnation do.
    func update(_ instances: [InstanceDescription], asOf: SequenceNumber) {
        state.withLock { state in
            var targets: [String: Target] = [:]
            let candidates = instances.sorted { $0.id < $1.id }.map { instance in
                var target = state.targets[instance.id]
                if target?.endpoint != instance.endpoint || target?.incarnation != instance.incarnation { target = nil }
                let known = target ?? Target(service: service, instance)
                targets[instance.id] = known
                return Candidate(description: instance, target: known)
            }
            state.targets = targets
            let next = state.view.version + 1
            state.view = ClusterView(version: next, candidates: candidates, asOf: asOf)
            version.store(next, ordering: .releasing)
        }
    }
}
