// Evictions, guards and panic of two folds side by side.

import EventModel

/// Matches the evictions of the two sides by instance and incarnation, and sees who was heard of again.
struct EvictionComparison: Sendable {
    private struct Key: Hashable {
        var instance: ByteName
        var incarnation: Int64
    }

    private var rows: [WhatIfReport.Eviction] = []
    /// Rows that wait for the other side, oldest first.
    private var open: [Key: [Int]] = [:]
    /// Rows whose instance was not heard of since, by instance.
    private var silent: [ByteName: [Int]] = [:]
    private var equalCount = 0
    private var recordedCount = 0
    private var changedCount = 0

    mutating func take(_ admitted: AdmittedRecord, _ recorded: Outcome, _ changed: Outcome) {
        let asOf = admitted.moment.asOf
        if !silent.isEmpty { listen(admitted, recorded, changed) }
        recordedCount += recorded.consequences.count
        changedCount += changed.consequences.count
        let same = recorded.consequences.filter { removal in changed.consequences.contains { removal.isSame(as: $0) } }
        equalCount += same.count
        for removal in recorded.consequences where !same.contains(removal) {
            add(removal, asOf, isChanged: false)
        }
        for removal in changed.consequences where !same.contains(where: { $0.isSame(as: removal) }) {
            add(removal, asOf, isChanged: true)
        }
    }

    private mutating func add(_ removal: Removal, _ asOf: AsOf, isChanged: Bool) {
        let key = Key(instance: ByteName(removal.instanceID), incarnation: removal.incarnation)
        let waiting = open[key]?.first { isChanged ? rows[$0].changed == nil : rows[$0].recorded == nil }
        if let waiting {
            if isChanged { rows[waiting].changed = asOf } else { rows[waiting].recorded = asOf }
            open[key]?.removeAll { $0 == waiting }
            return
        }
        rows.append(
            WhatIfReport.Eviction(
                serviceName: removal.serviceName, instanceID: removal.instanceID, incarnation: removal.incarnation,
                reason: removal.reason, recorded: isChanged ? nil : asOf, changed: isChanged ? asOf : nil))
        open[key, default: []].append(rows.count - 1)
        silent[key.instance, default: []].append(rows.count - 1)
    }

    /// A heartbeat, a report or a registration of one that was evicted.
    private mutating func listen(_ admitted: AdmittedRecord, _ recorded: Outcome, _ changed: Outcome) {
        guard case .registry(let event) = admitted.record.event else { return }
        switch event {
        case .heartbeat(let batch):
            // Who was evicted is refused on that side: only then the batch is read.
            let isRefused = !recorded.refused.isEmpty || !changed.refused.isEmpty
            if !isRefused { return }
            let bytes = batch.facts.span
            var cursor = batch.makeCursor()
            while let view = cursor.next(in: bytes) {
                var id: [UInt8] = []
                for offset in view.instanceID { id.append(bytes[offset]) }
                hear(String(decoding: id, as: UTF8.self), view.incarnation, admitted.moment.asOf)
            }
        case .registered(let batch):
            for event in batch.events { hear(event.instanceID, event.incarnation, admitted.moment.asOf) }
        case .deregistered, .healthReported, .loadReported, .healthSwept, .instanceSelected: break
        }
    }

    private mutating func hear(_ instance: String, _ incarnation: Int64, _ asOf: AsOf) {
        guard let waiting = silent[ByteName(instance)] else { return }
        for row in waiting where rows[row].incarnation == incarnation { rows[row].heardAgain = asOf }
        silent[ByteName(instance)] = waiting.filter { rows[$0].heardAgain == nil }
        if silent[ByteName(instance)]?.isEmpty ?? false { silent[ByteName(instance)] = nil }
    }

    func fill(_ report: inout WhatIfReport) {
        for row in rows { report.evictions.add(row) }
        report.equalEvictions = equalCount
        report.recordedEvictions = recordedCount
        report.changedEvictions = changedCount
    }
}

extension Removal {
    fileprivate func isSame(as other: Removal) -> Bool {
        instanceID.equalsInBytes(other.instanceID) && incarnation == other.incarnation
    }
}

/// Guarded services, and those with too few healthy instances, on both sides.
struct EpisodeComparison: Sendable {
    private struct Key: Hashable {
        var kind: WhatIfReport.Episode.Kind
        var service: ByteName
        var isChanged: Bool
    }

    private var episodes: [WhatIfReport.Episode] = []
    private var open: [Key: Int] = [:]

    /// Looks at services that a record changed.
    mutating func look(at registry: ServiceRegistry, _ names: [String], isChanged: Bool, withPanic: Bool) {
        for name in names {
            guard let state = registry.alarm(of: name, withPanic: withPanic) else { continue }
            set(.guarded, name, isChanged, state.isProtected, registry.moment.asOf)
            if withPanic { set(.panic, name, isChanged, state.isPanicking, registry.moment.asOf) }
        }
    }

    private mutating func set(
        _ kind: WhatIfReport.Episode.Kind, _ name: String, _ isChanged: Bool, _ isOn: Bool, _ asOf: AsOf
    ) {
        let key = Key(kind: kind, service: ByteName(name), isChanged: isChanged)
        if isOn == (open[key] != nil) { return }
        if let index = open.removeValue(forKey: key) {
            episodes[index].ended = asOf
        } else {
            open[key] = episodes.count
            episodes.append(
                WhatIfReport.Episode(kind: kind, serviceName: name, isChanged: isChanged, began: asOf, ended: nil))
        }
    }

    /// Those that only one side has, or has at other records.
    func fill(_ report: inout WhatIfReport) {
        var sides: [WhatIfReport.Episode: Int] = [:]
        func plain(_ episode: WhatIfReport.Episode) -> WhatIfReport.Episode {
            var copy = episode
            copy.isChanged = false
            return copy
        }
        for episode in episodes { sides[plain(episode), default: 0] += 1 }
        for episode in episodes where sides[plain(episode)] == 1 { report.episodes.add(episode) }
    }
}

extension ServiceRegistry {
    /// Whether a service is guarded, and whether fewer of its instances are healthy than the panic threshold asks for;
    /// nil: there is no such service.
    func alarm(of name: String, withPanic: Bool) -> (isProtected: Bool, isPanicking: Bool)? {
        guard let index = services.index(of: name) else { return nil }
        let members = services[index].members
        var healthy = 0
        if withPanic {
            for slot in members {
                if let row = instances[slot], health(of: row) == .healthy { healthy += 1 }
            }
        }
        let isPanicking =
            withPanic && !members.isEmpty && healthy * 10_000 < members.count * Int(settings.panicBasisPoints)
        return (services[index].isProtected, isPanicking)
    }
}
