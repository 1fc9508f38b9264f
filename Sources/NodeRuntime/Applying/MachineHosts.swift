// The actors around all machines of one node: each batch goes to every one of them.

import EventModel
import StateMachines

/// What a child of a task group hands back, with its place: a struct, since the compiler breaks tuples here (decision 138).
struct Placed<Value: Sendable>: Sendable {
    var place: Int
    var value: Value
}

/// The hosts of a node.
struct MachineHosts: Sendable {
    let registry: MachineHost<ServiceRegistry>
    let mirror: MachineHost<TrafficMirror>
    /// One for each part of the collector; nothing that is answered depends on how many there are (decision 11).
    let tracing: [MachineHost<TraceCollector>]
    /// From so many records on the machines fold side by side; below it a task each costs more than it saves.
    private static let worthwhile = 32

    init(indexKey: UInt64, traceParts: Int) {
        registry = MachineHost(ServiceRegistry(indexKey: indexKey))
        mirror = MachineHost(TrafficMirror())
        tracing = TraceCollector().split(into: traceParts).map { MachineHost($0) }
    }

    /// What each machine says of each record.
    struct Outcomes: Sendable {
        var registry: [Outcome]
        var mirror: [Outcome]
        var tracing: [Outcome]
    }

    /// Hands a batch to every machine.
    func apply(_ records: [AdmittedRecord]) async -> Outcomes {
        if records.count < Self.worthwhile {
            var parts: [[Outcome]] = []
            for host in tracing { parts.append(await host.apply(records)) }
            return Outcomes(
                registry: await registry.apply(records), mirror: await mirror.apply(records),
                tracing: Self.combined(parts))
        }
        async let registry = registry.apply(records)
        async let mirror = mirror.apply(records)
        async let tracing = applyToParts(records)
        return Outcomes(registry: await registry, mirror: await mirror, tracing: await tracing)
    }

    private func applyToParts(_ records: [AdmittedRecord]) async -> [Outcome] {
        await withTaskGroup(of: Placed<[Outcome]>.self) { group in
            for (index, host) in tracing.enumerated() {
                group.addTask { Placed(place: index, value: await host.apply(records)) }
            }
            var parts = Array(repeating: [Outcome](), count: tracing.count)
            for await part in group { parts[part.place] = part.value }
            return Self.combined(parts)
        }
    }

    /// What the parts say together of each record.
    private static func combined(_ parts: [[Outcome]]) -> [Outcome] {
        if parts.count == 1 { return parts[0] }
        return parts[0].indices.map { index in TraceCollector.combined(parts.map { $0[index] }) }
    }

    /// Starts from another state.
    func restore(_ state: MeshState) async {
        await registry.restore(state.registry)
        await mirror.restore(state.mirror)
        for (host, part) in zip(tracing, state.tracing.split(into: tracing.count)) { await host.restore(part) }
    }

    /// A copy of every machine beside a copy of the admission; nobody applies meanwhile.
    func fork(_ admission: RecordFilter) async -> MeshState {
        var parts: [TraceCollector] = []
        for host in tracing { parts.append(await host.fork()) }
        return MeshState(
            admission: admission, registry: await registry.fork(), mirror: await mirror.fork(),
            tracing: TraceCollector(joining: parts))
    }
}
