// The tables that expressions and differences look at, taken from a state.

package import EventModel

/// What can be counted over or looked up.
package enum MeshTable: String, Sendable, Hashable, CaseIterable {
    case services, instances, traces, operations, dependencies, mirrors, removals

    /// The name of a look-up of one row; nil: there is none.
    package var singular: String? {
        switch self {
        case .services: "service"
        case .instances: "instance"
        case .traces: "trace"
        case .operations: "operation"
        case .dependencies: "dependency"
        case .mirrors: "mirror"
        case .removals: nil
        }
    }

    /// What names one row.
    package var keyNames: [String] {
        switch self {
        case .services: ["name"]
        case .instances, .traces, .mirrors: ["id"]
        case .operations: ["service", "name"]
        case .dependencies: ["from", "to"]
        case .removals: []
        }
    }
}

/// Calls, errors and durations together.
package struct CallFigures: Sendable, Hashable {
    package var callCount: UInt64 = 0
    package var errorCount: UInt64 = 0
    package var latency = LatencyHistogram()

    package init() {}

    mutating func add(_ metric: SpanMetric) {
        callCount += metric.callCount
        errorCount += metric.errorCount
        latency.merge(metric.latency)
    }
}

/// A service as registry and traces know it.
package struct MeshService: Sendable {
    package var name: String
    /// Nil: only traces speak of it.
    package var topology: ServiceTopology?
    /// The spans of kind server and consumer; of a service without any, all its spans. Nil: not asked for, or none.
    package var figures: CallFigures?
}

/// One row of a table.
enum MeshRow: Sendable {
    case mesh(MeshState)
    case service(MeshService)
    case instance(InstanceSnapshot, isProtected: Bool)
    case trace(FoundTrace)
    case operation(SpanMetric)
    case dependency(DependencyEdge)
    case mirror(MirrorStatistics)
    case removal(Removal)

    /// What people call it.
    var label: String {
        switch self {
        case .mesh: "mesh"
        case .service(let row): row.name
        case .instance(let row, _): row.instance.instanceID
        case .trace(let row): row.traceID.description
        case .operation(let row): "\(row.serviceName) \(row.operationName)"
        case .dependency(let row): "\(row.parent) -> \(row.child)"
        case .mirror(let row): row.configuration.mirrorID
        case .removal(let row): "\(row.instanceID) at \(row.position.sequence)"
        }
    }
}

extension MeshState {
    /// The rows of a table, in order of name.
    ///
    /// - Parameter withFigures: services with their calls, which costs a walk over every series.
    func rows(_ table: MeshTable, withFigures: Bool) -> [MeshRow] {
        switch table {
        case .services: return services(withFigures: withFigures).map { .service($0) }
        case .instances: return registry.everyInstance.map { .instance($0.snapshot, isProtected: $0.isProtected) }
        case .traces:
            var search = TraceCriteria()
            search.limit = .max
            return tracing.search(search).map { .trace($0) }
        case .operations: return tracing.series().spanMetrics.map { .operation($0) }
        case .dependencies:
            let graph = tracing.series().dependencyGraph
            return (graph.edges + graph.selfEdges).map { .dependency($0) }
        case .mirrors: return mirror.stats().map { .mirror($0) }
        case .removals: return registry.removals.map { .removal($0) }
        }
    }

    /// One row by its keys; nil: there is none.
    func row(_ table: MeshTable, _ keys: [String], withFigures: Bool) -> MeshRow? {
        switch table {
        case .instances:
            guard let answer = registry.instance(id: keys[0]), let snapshot = answer.instances.first else { return nil }
            return .instance(snapshot, isProtected: answer.protected)
        case .services where !withFigures:
            let topology = registry.serviceTopology(serviceName: keys[0], withZones: false).services.first
            return topology.map { .service(MeshService(name: keys[0], topology: $0)) }
        case .traces:
            return TraceID(hexadecimal: keys[0]).flatMap { tracing.summary(of: $0) }.map { .trace($0) }
        case .services, .operations, .dependencies, .mirrors, .removals:
            return rows(table, withFigures: withFigures).first { $0.hasKeys(keys) }
        }
    }

    /// Every service that registry or traces know, by name.
    package func services(withFigures: Bool) -> [MeshService] {
        let topologies = registry.serviceTopology(withZones: false).services
        if !withFigures { return topologies.map { MeshService(name: $0.serviceName, topology: $0) } }
        var figures = tracing.series().requestFigures
        var result = topologies.map { topology in
            MeshService(
                name: topology.serviceName, topology: topology,
                figures: figures.removeValue(forKey: ByteName(topology.serviceName)))
        }
        result += figures.map { MeshService(name: $0.key.text, figures: $0.value) }
        return result.sorted { $0.name.precedesInBytes($1.name) }
    }
}

extension MeshRow {
    fileprivate func hasKeys(_ keys: [String]) -> Bool {
        switch self {
        case .service(let row): row.name.equalsInBytes(keys[0])
        case .operation(let row):
            row.serviceName.equalsInBytes(keys[0]) && row.operationName.equalsInBytes(keys[1])
        case .dependency(let row): row.parent.equalsInBytes(keys[0]) && row.child.equalsInBytes(keys[1])
        case .mirror(let row): row.configuration.mirrorID.equalsInBytes(keys[0])
        case .mesh, .instance, .trace, .removal: false
        }
    }
}

extension ServiceRegistry {
    /// Every instance, by service and id, with whether the guard holds its service.
    package var everyInstance: [(snapshot: InstanceSnapshot, isProtected: Bool)] {
        services.indicesByName.flatMap { service in
            services[service].members.compactMap { slot in
                instances[slot].map { (snapshot($0), services[service].isProtected) }
            }
        }
    }
}

extension TraceSeries {
    /// Requests of each service.
    var requestFigures: [ByteName: CallFigures] {
        var (served, all): ([ByteName: CallFigures], [ByteName: CallFigures]) = ([:], [:])
        for metric in spanMetrics {
            let name = ByteName(metric.serviceName)
            all[name, default: CallFigures()].add(metric)
            if metric.kind == .server || metric.kind == .consumer { served[name, default: CallFigures()].add(metric) }
        }
        return all.merging(served) { $1 }
    }
}
