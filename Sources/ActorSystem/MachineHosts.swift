// The actors around all machines of one node: each batch goes to every one of them.

import EventModel
import StateMachines

/// The hosts of a node.
struct MachineHosts: Sendable {
    let registry: MachineHost<ServiceRegistry>
    let mirror: MachineHost<TrafficMirror>
    /// From so many records on the machines fold side by side; below it a task each costs more than it saves.
    private static let worthwhile = 32

    init(indexKey: UInt64) {
        registry = MachineHost(ServiceRegistry(indexKey: indexKey))
        mirror = MachineHost(TrafficMirror())
    }

    /// What each machine says of each record.
    struct Outcomes: Sendable {
        var registry: [Outcome]
        var mirror: [Outcome]
    }

    /// Hands a batch to every machine.
    func apply(_ records: [AdmittedRecord]) async -> Outcomes {
        if records.count < Self.worthwhile {
            return Outcomes(registry: await registry.apply(records), mirror: await mirror.apply(records))
        }
        async let registry = registry.apply(records)
        async let mirror = mirror.apply(records)
        return Outcomes(registry: await registry, mirror: await mirror)
    }

    /// Starts from another state.
    func restore(_ state: MeshState) async {
        await registry.restore(state.registry)
        await mirror.restore(state.mirror)
    }

    /// A copy of every machine beside a copy of the admission; nobody applies meanwhile.
    func fork(_ admission: Admission) async -> MeshState {
        MeshState(admission: admission, registry: await registry.fork(), mirror: await mirror.fork())
    }
}
