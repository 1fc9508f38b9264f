// Recorded selections made anew: under another strategy, or among the instances that other settings leave.

import EventModel
import MeshRules

/// Chooses again from what the log knows, on both sides by the same rule, and compares.
///
/// Candidates are the recorded ones; on the changed side those that only it holds for healthy come in, and those that
/// only the recorded side does go. Weights and connections are the registry's at the record. Seeds are the recorded
/// ones; the cursor, which is not recorded, counts the service's selections.
struct SelectionReplay: Sendable {
    private let settings: WhatIfSettings
    private var cursors: [ByteName: UInt64] = [:]
    private var rows = WhatIfReport.Rows<WhatIfReport.Selected>()
    private var count = 0
    private var reproducedCount = 0
    private var shares: [ShareKey: WhatIfReport.Share] = [:]

    private struct ShareKey: Hashable {
        var service: ByteName
        var instance: ByteName
    }

    init(_ settings: WhatIfSettings) { self.settings = settings }

    mutating func take(_ record: EventRecord, _ registry: ServiceRegistry, _ forked: ServiceRegistry) {
        guard case .registry(.instanceSelected(let batch)) = record.event else { return }
        let shift = settings.changesRegistry ? Self.shift(batch.serviceName, registry, forked) : nil
        for (index, selection) in batch.events.enumerated() {
            let cursor = cursors[ByteName(batch.serviceName), default: 0]
            cursors[ByteName(batch.serviceName)] = cursor &+ 1
            let recorded = Self.choose(selection, selection.candidates, selection.strategy, cursor, registry)
            let candidates = shift?.applied(to: selection.candidates) ?? selection.candidates
            let changed = Self.choose(
                selection, candidates, settings.strategy ?? selection.strategy, cursor,
                settings.changesRegistry ? forked : registry)
            note(selection, recorded, changed, batch.serviceName, record.sequence, UInt32(index))
        }
    }

    /// What other settings do to the candidates of a service.
    private struct CandidateShift {
        var added: [String]
        var removed: Set<ByteName>

        func applied(to candidates: [String]) -> [String] {
            let kept = candidates.filter { !removed.contains(ByteName($0)) }
            let known = Set(kept.map { ByteName($0) })
            return (kept + added.filter { !known.contains(ByteName($0)) }).sorted { $0.precedesInBytes($1) }
        }
    }

    private static func shift(
        _ service: String, _ registry: ServiceRegistry, _ forked: ServiceRegistry
    ) -> CandidateShift {
        func available(_ registry: ServiceRegistry) -> [String] {
            registry.resolve(serviceName: service, allowPanic: true).instances.map(\.instance.instanceID)
        }
        let (before, after) = (available(registry), available(forked))
        let (old, new) = (Set(before.map { ByteName($0) }), Set(after.map { ByteName($0) }))
        return CandidateShift(
            added: after.filter { !old.contains(ByteName($0)) },
            removed: Set(before.map { ByteName($0) }.filter { !new.contains($0) }))
    }

    /// Whom a strategy names; empty: nobody.
    private static func choose(
        _ selection: InstanceSelection, _ candidates: [String], _ strategy: SelectionStrategy, _ cursor: UInt64,
        _ registry: ServiceRegistry
    ) -> String {
        let known = candidates.map { id in
            let row = registry.instance(id: id)?.instances.first
            // Whom the registry no longer has counts as one that says nothing of its weight.
            return SelectionCandidate(
                instanceID: id, weight: row?.instance.weight ?? Limits.defaultWeight,
                activeConnections: UInt64(row?.activeConnections ?? 0))
        }
        let index = Selection.choose(known, strategy: strategy, seed: selection.seed, cursor: cursor)
        return index.map { candidates[$0] } ?? ""
    }

    private mutating func note(
        _ selection: InstanceSelection, _ recorded: String, _ changed: String, _ service: String,
        _ sequence: SequenceNumber, _ index: UInt32
    ) {
        count += 1
        if recorded.equalsInBytes(selection.chosen) { reproducedCount += 1 }
        add(recorded, service, isChanged: false)
        add(changed, service, isChanged: true)
        if recorded.equalsInBytes(changed) { return }
        rows.add(
            WhatIfReport.Selected(
                position: EventPosition(sequence: sequence, index: index), serviceName: service,
                traceID: TraceID(bytes: selection.traceID), chosen: selection.chosen, recorded: recorded,
                changed: changed))
    }

    private mutating func add(_ instance: String, _ service: String, isChanged: Bool) {
        let key = ShareKey(service: ByteName(service), instance: ByteName(instance))
        let empty = WhatIfReport.Share(serviceName: service, instanceID: instance)
        if isChanged { shares[key, default: empty].changed += 1 } else { shares[key, default: empty].recorded += 1 }
    }

    func fill(_ report: inout WhatIfReport) {
        report.selections = rows
        report.selectionCount = count
        report.reproducedSelections = reproducedCount
        report.shares = shares.values.sorted { left, right in
            left.serviceName.equalsInBytes(right.serviceName)
                ? left.instanceID.precedesInBytes(right.instanceID)
                : left.serviceName.precedesInBytes(right.serviceName)
        }
    }
}
