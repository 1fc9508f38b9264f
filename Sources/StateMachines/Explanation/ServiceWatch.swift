// Follows services through a stretch of the log: every change of an instance as a fact, every state as it was.

import EventModel

/// What the registry said of some services, record by record.
///
/// Only services that the registry marks as changed by a record are looked at, so that a record costs nothing else.
struct ServiceWatch: Sendable {
    /// Versions of one service that are remembered; the oldest go.
    private static let versionMaximum = 4_096

    /// Nil: every service.
    private let names: Set<ByteName>?
    private var versions: [ByteName: [TraceExplanation.ServiceView]] = [:]
    /// Changes of services that are not watched.
    private(set) var elsewhereCount = 0

    /// - Parameter names: the services; nil: all of them.
    init(_ names: [String]?, in registry: ServiceRegistry) {
        self.names = names.map { Set($0.map { ByteName($0) }) }
        for name in names ?? registry.serviceTopology(withZones: false).services.map(\.serviceName) {
            versions[ByteName(name)] = [Self.view(of: name, in: registry)]
        }
    }

    private static func view(of name: String, in registry: ServiceRegistry) -> TraceExplanation.ServiceView {
        let answer = registry.resolve(serviceName: name, healthyOnly: false)
        let instances = answer.instances.map { snapshot in
            TraceExplanation.InstanceView(
                instance: snapshot.instance, health: snapshot.health,
                reason: snapshot.status.map { $0.healthy ? "" : $0.reason } ?? "")
        }
        return TraceExplanation.ServiceView(
            asOf: registry.moment.asOf, instances: instances, isProtected: answer.protected)
    }

    /// The service at a position; nil: that was before the watch began.
    func view(of name: String, at sequence: SequenceNumber) -> TraceExplanation.ServiceView? {
        versions[ByteName(name)]?.last { $0.asOf.sequence <= sequence }
    }

    /// The service at a moment of log time.
    func view(of name: String, at time: Timestamp) -> TraceExplanation.ServiceView? {
        versions[ByteName(name)]?.last { $0.asOf.recordedAt <= time }
    }

    /// Looks at what the record changed that the registry took last.
    mutating func look(at registry: ServiceRegistry) -> [MeshFact] {
        var facts: [MeshFact] = []
        for name in registry.changedServices {
            if let names, !names.contains(ByteName(name)) {
                elsewhereCount += 1
                continue
            }
            let new = Self.view(of: name, in: registry)
            let old = versions[ByteName(name)]?.last
            facts += Differences(old, new, name, registry).facts
            versions[ByteName(name), default: []].append(new)
            let count = versions[ByteName(name)]?.count ?? 0
            if count > Self.versionMaximum { versions[ByteName(name)]?.removeFirst(count / 2) }
        }
        return facts
    }
}

extension ServiceRegistry {
    /// The services that the last record changed, by name.
    package var changedServices: [String] {
        services.rows.filter { $0.changedSequence == moment.sequence }.map(\.name).sorted { $0.precedesInBytes($1) }
    }
}

/// Two versions of one service, one record apart.
private struct Differences {
    private let name: String
    private let position: EventPosition
    private let time: Timestamp
    private(set) var facts: [MeshFact] = []

    init(
        _ old: TraceExplanation.ServiceView?, _ new: TraceExplanation.ServiceView, _ name: String,
        _ registry: ServiceRegistry
    ) {
        self.name = name
        position = EventPosition(sequence: registry.moment.sequence)
        time = registry.moment.recordedAt
        var before: [ByteName: TraceExplanation.InstanceView] = [:]
        for view in old?.instances ?? [] { before[ByteName(view.instance.instanceID)] = view }
        for view in new.instances {
            compare(before.removeValue(forKey: ByteName(view.instance.instanceID)), view)
        }
        for view in old?.instances ?? [] where before[ByteName(view.instance.instanceID)] != nil {
            addRemoval(of: view, registry)
        }
        let wasProtected = old?.isProtected ?? false
        if wasProtected != new.isProtected {
            facts.append(MeshFact(new.isProtected ? .guardBegan : .guardEnded, at: position, time, service: name))
        }
    }

    private mutating func compare(
        _ old: TraceExplanation.InstanceView?, _ new: TraceExplanation.InstanceView
    ) {
        let id = new.instance.instanceID
        guard let old else {
            facts.append(
                MeshFact(
                    .registered, at: position, time, service: name, instance: id,
                    after: InstanceWords.whole(new.instance)))
            return
        }
        let changes = InstanceWords.changes(old.instance, new.instance)
        if old.instance.incarnation != new.instance.incarnation {
            facts.append(
                MeshFact(
                    .restarted, at: position, time, service: name, instance: id, before: changes.before,
                    after: changes.after))
        } else if !changes.after.isEmpty || !changes.before.isEmpty {
            facts.append(
                MeshFact(
                    .reconfigured, at: position, time, service: name, instance: id, before: changes.before,
                    after: changes.after))
        }
        if old.health != new.health {
            facts.append(
                MeshFact(
                    .health, at: position, time, service: name, instance: id, before: old.health.name,
                    after: new.health.name, reason: new.reason))
        }
    }

    private mutating func addRemoval(of view: TraceExplanation.InstanceView, _ registry: ServiceRegistry) {
        let id = view.instance.instanceID
        let removal = registry.removals.last {
            $0.position.sequence == position.sequence && $0.instanceID.equalsInBytes(id)
        }
        var fact = MeshFact(
            removal?.kind == .evicted ? .evicted : .deregistered, at: removal?.position ?? position, time,
            service: name, instance: id, before: view.health.name)
        fact.reason = removal?.reason ?? ""
        fact.actor = removal?.actor ?? ""
        facts.append(fact)
    }
}

/// Instances in words.
enum InstanceWords {
    /// What is worth telling of an instance that came.
    static func whole(_ instance: ServiceInstance) -> String {
        (["endpoint \(instance.endpoint)"] + instance.metadata.map { "\($0.key) \($0.value)" }).joined(separator: ", ")
    }

    /// The fields that differ, before and after.
    static func changes(_ old: ServiceInstance, _ new: ServiceInstance) -> (before: String, after: String) {
        var (before, after): ([String], [String]) = ([], [])
        func compare(_ field: String, _ one: String?, _ other: String?) {
            switch (one, other) {
            case (nil, nil): return
            case (let one?, let other?) where one.equalsInBytes(other): return
            default: break
            }
            if let one { before.append("\(field) \(one)") }
            if let other { after.append("\(field) \(other)") }
        }
        compare("endpoint", old.endpoint, new.endpoint)
        compare("region", old.region, new.region)
        compare("zone", old.zone, new.zone)
        compare("weight", "\(old.weight)", "\(new.weight)")
        var keys: [String] = []
        for entry in old.metadata + new.metadata where !keys.contains(where: { $0.equalsInBytes(entry.key) }) {
            keys.append(entry.key)
        }
        for key in keys { compare(key, value(key, old), value(key, new)) }
        return (before.joined(separator: ", "), after.joined(separator: ", "))
    }

    private static func value(_ key: String, _ instance: ServiceInstance) -> String? {
        instance.metadata.first { $0.key.equalsInBytes(key) }?.value
    }
}
