// What changed in a mesh between two points of its log.

import DequeModule
package import EventModel

/// The differences between two states of one log, each list in order of name.
package struct MeshDifference: Sendable, Hashable {
    /// An instance that is there in one state only, or that another process took over.
    package struct InstanceChange: Sendable, Hashable {
        package enum Kind: String, Sendable, Hashable {
            case came, went
            /// The same id, a later incarnation or a new registration.
            case restarted
        }

        package var kind: Kind
        package var instance: ServiceInstance
        /// Of one that went: how, why and by whom, where the registry remembers it.
        package var removal: Removal?
    }

    /// A field of an instance, a service or a mirror with another value.
    package struct FieldChange: Sendable, Hashable {
        package var subject: String
        package var serviceName: String
        package var field: String
        package var before: ExpressionValue
        package var after: ExpressionValue
    }

    /// Calls before the first point beside those between the two.
    package struct Shift: Sendable, Hashable {
        /// `web`, `web GET /`, `web -> cart`.
        package var subject: String
        package var before: CallFigures
        package var between: CallFigures
    }

    package var from: AsOf
    package var to: AsOf
    package var instances: [InstanceChange] = []
    /// Health, weight, endpoint, region, zone, metadata of instances that stayed; the guard of services.
    package var changes: [FieldChange] = []
    package var servicesCome: [String] = []
    package var servicesGone: [String] = []
    package var mirrorsCome: [MirrorConfiguration] = []
    package var mirrorsGone: [MirrorConfiguration] = []
    package var mirrorChanges: [FieldChange] = []
    package var edgesCome: [DependencyEdge] = []
    /// Calls that were counted before and are neither counted anew nor remembered any more.
    package var edgesGone: [DependencyEdge] = []
    /// Edges that are in both.
    package var edgesKept: [DependencyEdge] = []
    /// Services with calls on both sides, or on one.
    package var shifts: [Shift] = []
    /// Operations first seen between the points.
    package var operationsCome: [SpanMetric] = []
    /// Operations with calls before, and none between the points.
    package var operationsSilent: [SpanMetric] = []
    /// Traces that were judged out of the ordinary between the points, the furthest over its limit first.
    package var anomalousTraces: [FoundTrace] = []

    /// Compares two states of one log.
    ///
    /// - Precondition: `old` is not later than `new`.
    /// - Complexity: linear in both states.
    package init(from old: MeshState, to new: MeshState) {
        precondition(old.moment.sequence <= new.moment.sequence, "a difference runs forward")
        from = old.moment.asOf
        to = new.moment.asOf
        compareInstances(old.registry, new.registry)
        compareServices(old.registry, new.registry)
        compareMirrors(old.mirror, new.mirror)
        compareCalls(old.tracing, new.tracing)
        let known = Set(old.tracing.anomalousTraces(limit: .max).map(\.traceID))
        anomalousTraces = new.tracing.anomalousTraces(limit: .max).filter { !known.contains($0.traceID) }
    }

    /// Whether nothing that is compared differs.
    package var isEmpty: Bool {
        instances.isEmpty && changes.isEmpty && servicesCome.isEmpty && servicesGone.isEmpty && mirrorsCome.isEmpty
            && mirrorsGone.isEmpty && mirrorChanges.isEmpty && edgesCome.isEmpty && edgesGone.isEmpty
            && operationsCome.isEmpty && anomalousTraces.isEmpty && shifts.allSatisfy { $0.between.callCount == 0 }
    }

    // MARK: Registry

    private mutating func compareInstances(_ old: ServiceRegistry, _ new: ServiceRegistry) {
        var before: [ByteName: InstanceSnapshot] = [:]
        for row in old.everyInstance { before[ByteName(row.snapshot.instance.instanceID)] = row.snapshot }
        var removals: [ByteName: Removal] = [:]
        for removal in new.removals where removal.position.sequence > from.sequence {
            removals[ByteName(removal.instanceID)] = removal
        }
        for row in new.everyInstance {
            let instance = row.snapshot.instance
            let name = ByteName(instance.instanceID)
            guard let earlier = before.removeValue(forKey: name) else {
                instances.append(InstanceChange(kind: .came, instance: instance))
                continue
            }
            let isSame =
                earlier.instance.incarnation == instance.incarnation
                && earlier.instance.registeredAt == instance.registeredAt
                && earlier.instance.serviceName.equalsInBytes(instance.serviceName)
            if !isSame {
                instances.append(InstanceChange(kind: .restarted, instance: instance, removal: removals[name]))
            }
            compare(earlier, row.snapshot)
        }
        for (name, snapshot) in before {
            instances.append(InstanceChange(kind: .went, instance: snapshot.instance, removal: removals[name]))
        }
        instances.sort { left, right in
            Self.precedes(
                (left.instance.serviceName, left.instance.instanceID),
                (right.instance.serviceName, right.instance.instanceID))
        }
    }

    private static func precedes(_ left: (String, String), _ right: (String, String)) -> Bool {
        left.0.equalsInBytes(right.0) ? left.1.precedesInBytes(right.1) : left.0.precedesInBytes(right.0)
    }

    private mutating func compare(_ old: InstanceSnapshot, _ new: InstanceSnapshot) {
        let pairs: [(String, ExpressionValue, ExpressionValue)] = [
            ("health", .text(old.standing), .text(new.standing)),
            ("weight", .integer(Int64(old.instance.weight)), .integer(Int64(new.instance.weight))),
            ("endpoint", .text(old.instance.endpoint), .text(new.instance.endpoint)),
            ("region", .text(old.instance.region), .text(new.instance.region)),
            ("zone", .text(old.instance.zone), .text(new.instance.zone)),
        ]
        let (id, service) = (new.instance.instanceID, new.instance.serviceName)
        add(pairs, id, service, to: &changes)
        var keys: [String] = []
        for entry in old.instance.metadata + new.instance.metadata
        where !keys.contains(where: { $0.equalsInBytes(entry.key) }) {
            keys.append(entry.key)
        }
        let metadata = keys.map { key in
            ("metadata.\(key)", Self.entry(key, old.instance.metadata), Self.entry(key, new.instance.metadata))
        }
        add(metadata, id, service, to: &changes)
    }

    private static func entry(_ key: String, _ metadata: [MetadataEntry]) -> ExpressionValue {
        metadata.first { $0.key.equalsInBytes(key) }.map { .text($0.value) } ?? .nothing
    }

    private func add(
        _ pairs: [(String, ExpressionValue, ExpressionValue)], _ subject: String, _ service: String,
        to list: inout [FieldChange]
    ) {
        for (field, before, after) in pairs
        where !ExpressionOperator.equal.apply(before, after).isTrue {
            list.append(
                FieldChange(subject: subject, serviceName: service, field: field, before: before, after: after))
        }
    }

    private mutating func compareServices(_ old: ServiceRegistry, _ new: ServiceRegistry) {
        var before: [ByteName: ServiceTopology] = [:]
        for service in old.serviceTopology(withZones: false).services where service.instances > 0 {
            before[ByteName(service.serviceName)] = service
        }
        for service in new.serviceTopology(withZones: false).services where service.instances > 0 {
            guard let earlier = before.removeValue(forKey: ByteName(service.serviceName)) else {
                servicesCome.append(service.serviceName)
                continue
            }
            add(
                [("protected", .boolean(earlier.protected), .boolean(service.protected))], service.serviceName,
                service.serviceName, to: &changes)
        }
        servicesGone = before.keys.sorted { $0.text.precedesInBytes($1.text) }.map(\.text)
    }

    // MARK: Mirrors

    private mutating func compareMirrors(_ old: TrafficMirror, _ new: TrafficMirror) {
        var before: [ByteName: MirrorStatistics] = [:]
        for mirror in old.stats() { before[ByteName(mirror.configuration.mirrorID)] = mirror }
        for mirror in new.stats() {
            guard let earlier = before.removeValue(forKey: ByteName(mirror.configuration.mirrorID)) else {
                mirrorsCome.append(mirror.configuration)
                continue
            }
            compare(earlier, mirror)
        }
        let gone = before.values.sorted { $0.configuration.mirrorID.precedesInBytes($1.configuration.mirrorID) }
        mirrorsGone = gone.map(\.configuration)
    }

    private mutating func compare(_ old: MirrorStatistics, _ new: MirrorStatistics) {
        func number(_ value: UInt64) -> ExpressionValue { .integer(Int64(clamping: value)) }
        let (first, second) = (old.configuration, new.configuration)
        let pairs: [(String, ExpressionValue, ExpressionValue)] = [
            ("enabled", .boolean(first.enabled), .boolean(second.enabled)),
            ("allowed", .boolean(old.isAllowed), .boolean(new.isAllowed)),
            ("shadow", .text(first.shadowEndpoint), .text(second.shadowEndpoint)),
            ("baseline", .text(first.baselineEndpoint), .text(second.baselineEndpoint)),
            ("mode", .text("\(first.mode)"), .text("\(second.mode)")),
            (
                "sample_rate_basis_points", number(UInt64(first.sampleRateBasisPoints)),
                number(UInt64(second.sampleRateBasisPoints))
            ),
            ("mirrored", number(old.counts.mirrored), number(new.counts.mirrored)),
            ("equal", number(old.counts.equal), number(new.counts.equal)),
            ("different", number(old.counts.different), number(new.counts.different)),
            ("pending", .integer(Int64(old.pendingCount)), .integer(Int64(new.pendingCount))),
        ]
        add(pairs, second.mirrorID, second.sourceService, to: &mirrorChanges)
        for reason in MirrorLedgerReason.allCases where old.ledger[reason] != new.ledger[reason] {
            let pair = ("ledger.\(reason.name)", number(old.ledger[reason]), number(new.ledger[reason]))
            add([pair], second.mirrorID, second.sourceService, to: &mirrorChanges)
        }
    }

    // MARK: Traces

    private mutating func compareCalls(_ old: TraceCollector, _ new: TraceCollector) {
        let (first, second) = (old.series(), new.series())
        let between = second.subtracting(first)
        compareEdges(first.allEdges, second.allEdges)
        let (earlier, later) = (first.requestFigures, between.requestFigures)
        let names = earlier.merging(later) { $1 }.keys.sorted { $0.text.precedesInBytes($1.text) }
        shifts = names.map { name in
            Shift(
                subject: name.text, before: earlier[name] ?? CallFigures(), between: later[name] ?? CallFigures())
        }
        let known = Set(first.spanMetrics.map(OperationName.init))
        let active = between.spanMetrics.filter { $0.callCount > 0 }
        operationsCome = active.filter { !known.contains(OperationName($0)) }
        let spoke = Set(active.map(OperationName.init))
        operationsSilent = first.spanMetrics.filter { $0.callCount > 0 && !spoke.contains(OperationName($0)) }
    }

    private mutating func compareEdges(_ old: [DependencyEdge], _ new: [DependencyEdge]) {
        var before: [EdgeName: DependencyEdge] = [:]
        for edge in old { before[EdgeName(edge)] = edge }
        for edge in new {
            if before.removeValue(forKey: EdgeName(edge)) == nil {
                edgesCome.append(edge)
            } else {
                edgesKept.append(edge)
            }
        }
        edgesGone = before.values.sorted { Self.precedes(($0.parent, $0.child), ($1.parent, $1.child)) }
    }
}

private struct EdgeName: Hashable {
    var parent: ByteName
    var child: ByteName

    init(_ edge: DependencyEdge) { (parent, child) = (ByteName(edge.parent), ByteName(edge.child)) }
}

private struct OperationName: Hashable {
    var service: ByteName
    var operation: ByteName

    init(_ metric: SpanMetric) {
        (service, operation) = (ByteName(metric.serviceName), ByteName(metric.operationName))
    }
}

extension TraceSeries {
    /// Edges between nodes and of nodes to themselves, by name.
    fileprivate var allEdges: [DependencyEdge] {
        let graph = dependencyGraph
        return graph.edges + graph.selfEdges
    }
}
