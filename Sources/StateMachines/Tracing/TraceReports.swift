// What the series of a collector say: percentiles, span metrics, dependency graph, objectives. Parts are merged first.

package import EventModel

/// The series of some windows with their names; those of several parts of a collector merge into the whole's.
package struct TraceSeries: Sendable {
    private var histograms: [SeriesKey: LatencyHistogram] = [:]
    private let names: NameTable
    /// Spans that the windows have forgotten, or never had, and that are counted all the same.
    package internal(set) var older = OlderSpans()

    /// The series of one part. Windows are those that begin in the range; nil: all that are kept.
    init(_ table: SeriesTable, _ names: NameTable, _ windows: ClosedRange<Int64>?) {
        self.names = names
        for key in table.sortedKeys where windows?.contains(key.window) ?? true {
            if let histogram = table.histogram(key), !histogram.isEmpty { histograms[key] = histogram }
        }
    }

    /// The windows that touch a time range, both ends included; zero: no bound. Nil: all windows.
    package static func windows(from: Timestamp, to: Timestamp) -> ClosedRange<Int64>? {
        if from == .zero && to == .zero { return nil }
        let first = SeriesKey.window(of: from.rawValue)
        return first...max(first, to == .zero ? .max : SeriesKey.window(of: to.rawValue))
    }

    /// Adds what another part counted.
    package mutating func merge(_ other: TraceSeries) {
        for (key, histogram) in other.histograms { histograms[key, default: LatencyHistogram()].merge(histogram) }
        older.merge(other.older)
    }

    mutating func add(_ key: SeriesKey, _ duration: Int64) {
        histograms[key, default: LatencyHistogram()].add(duration)
    }

    /// What was counted since an earlier position of the same log; windows that were forgotten since are left out.
    package func subtracting(_ earlier: TraceSeries) -> TraceSeries {
        var result = self
        for (key, histogram) in earlier.histograms where result.histograms[key] != nil {
            result.histograms[key]?.subtract(histogram)
        }
        return result
    }

    private var sorted: [(key: SeriesKey, histogram: LatencyHistogram)] {
        histograms.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func service(_ operation: UInt32) -> String {
        names.nodes[Int(names.operations[Int(operation)].node)]
    }

    // MARK: Latency

    /// Durations of a service's spans, or of one of its operations.
    package func latency(service: String, operation: String? = nil) -> LatencyHistogram {
        var result = LatencyHistogram()
        for (key, histogram) in histograms where key.scope == .operation {
            let entry = names.operations[Int(key.a)]
            guard self.service(key.a).equalsInBytes(service), operation?.equalsInBytes(entry.name) ?? true else {
                continue
            }
            result.merge(histogram)
        }
        return result
    }

    /// Latency percentiles of a service in basis points (`service_latency_percentiles`); each at most 0.1 % too
    /// large, never too small.
    package func latencyPercentiles(
        service: String, operation: String? = nil, basisPoints: [UInt32]
    ) -> [UInt32: Nanoseconds] {
        let histogram = latency(service: service, operation: operation)
        var result: [UInt32: Nanoseconds] = [:]
        for point in basisPoints { result[point] = histogram.percentile(basisPoints: point) }
        return result
    }

    /// Calls, errors and durations of every operation, by name.
    package var spanMetrics: [SpanMetric] {
        var rows: [UInt64: SpanMetric] = [:]
        for (key, histogram) in sorted where key.scope == .operation {
            let entry = names.operations[Int(key.a)]
            let kind = SpanKind(rawValue: key.b) ?? .internal
            let empty = SpanMetric(serviceName: service(key.a), operationName: entry.name, kind: kind)
            rows[UInt64(key.a) << 8 | UInt64(key.b), default: empty].add(histogram, key.status)
        }
        return rows.values.sorted { left, right in
            if !left.serviceName.equalsInBytes(right.serviceName) {
                return left.serviceName.precedesInBytes(right.serviceName)
            }
            if !left.operationName.equalsInBytes(right.operationName) {
                return left.operationName.precedesInBytes(right.operationName)
            }
            return left.kind.rawValue < right.kind.rawValue
        }
    }

    // MARK: Dependencies

    /// Who calls whom (`dependency_graph`), by name.
    package var dependencyGraph: DependencyGraph {
        var edges: [UInt64: DependencyEdge] = [:]
        var graph = DependencyGraph()
        for (key, histogram) in sorted {
            switch key.scope {
            case .operation: break
            case .unpaired: graph.unpairedCount += histogram.count
            case .edge:
                let empty = DependencyEdge(
                    parent: names.nodes[Int(key.a)], child: names.nodes[Int(key.b)],
                    isChildVirtual: !names.isService[Int(key.b)], isParentVirtual: !names.isService[Int(key.a)])
                edges[UInt64(key.a) << 32 | UInt64(key.b), default: empty].add(histogram, key.status)
            }
        }
        let sorted = edges.values.sorted { left, right in
            if !left.parent.equalsInBytes(right.parent) { return left.parent.precedesInBytes(right.parent) }
            return left.child.precedesInBytes(right.child)
        }
        graph.edges = sorted.filter { !$0.parent.equalsInBytes($0.child) }
        graph.selfEdges = sorted.filter { $0.parent.equalsInBytes($0.child) }
        return graph
    }

    // MARK: Objectives

    /// How services keep their objectives (`slo_compliance_report`), by name. Requests are the spans of kind
    /// server and consumer; of a service without any, all its spans.
    package func complianceReport(
        _ objectives: NamedObjectives = NamedObjectives(SERVICE_SLO)
    ) -> [ServiceCompliance] {
        objectives.inOrder.map { name, objective in
            let own = histograms.filter { $0.key.scope == .operation && service($0.key.a).equalsInBytes(name) }
            let served = own.filter {
                $0.key.b == SpanKind.server.rawValue || $0.key.b == SpanKind.consumer.rawValue
            }
            var row = ServiceCompliance(serviceName: name, objective: objective)
            for (key, histogram) in served.isEmpty ? own : served { row.add(histogram, key.status) }
            return row
        }
    }
}

/// Calls, errors and durations of one operation.
package struct SpanMetric: Sendable, Hashable {
    package var serviceName: String
    package var operationName: String
    package var kind: SpanKind
    package var callCount: UInt64 = 0
    package var errorCount: UInt64 = 0
    package var latency = LatencyHistogram()

    fileprivate mutating func add(_ histogram: LatencyHistogram, _ status: SpanStatus) {
        callCount += histogram.count
        errorCount += status == .ok ? 0 : histogram.count
        latency.merge(histogram)
    }
}

/// Calls from one node to another.
package struct DependencyEdge: Sendable, Hashable {
    package var parent: String
    package var child: String
    /// It sends no spans itself: a database, a broker, a service outside.
    package var isChildVirtual: Bool
    package var isParentVirtual: Bool
    package var callCount: UInt64 = 0
    package var errorCount: UInt64 = 0
    package var latency = LatencyHistogram()

    fileprivate mutating func add(_ histogram: LatencyHistogram, _ status: SpanStatus) {
        callCount += histogram.count
        errorCount += status == .ok ? 0 : histogram.count
        latency.merge(histogram)
    }
}

/// Who calls whom.
package struct DependencyGraph: Sendable, Hashable {
    package var edges: [DependencyEdge] = []
    /// Services that call themselves.
    package var selfEdges: [DependencyEdge] = []
    /// Sides of calls whose other side is not known.
    package var unpairedCount: UInt64 = 0
}

/// How one service keeps its objective.
package struct ServiceCompliance: Sendable, Hashable {
    package var serviceName: String
    package var objective: ServiceObjective
    package var requestCount: UInt64 = 0
    package var errorCount: UInt64 = 0
    /// Ended well, but later than the objective allows.
    package var slowCount: UInt64 = 0

    package init(serviceName: String, objective: ServiceObjective) {
        self.serviceName = serviceName
        self.objective = objective
    }

    fileprivate mutating func add(_ histogram: LatencyHistogram, _ status: SpanStatus) {
        let count = histogram.count
        requestCount += count
        if status == .ok {
            slowCount += count - histogram.count(atMost: objective.latency.rawValue)
        } else {
            errorCount += count
        }
    }

    /// Requests that ended well and in time.
    package var goodCount: UInt64 { requestCount - errorCount - slowCount }
    /// 0 to 1; 1 where there was no request.
    package var compliance: Double { requestCount == 0 ? 1 : Double(goodCount) / Double(requestCount) }
    package var isCompliant: Bool {
        // goodCount / requestCount >= basisPoints / 10,000, without rounding.
        goodCount.multipliedFullWidth(by: 10_000)
            >= requestCount.multipliedFullWidth(
                by: UInt64(objective.availabilityBasisPoints))
    }
    /// How many times faster than allowed the budget is spent: 1 spends exactly all of it.
    package var burnRate: Double {
        let allowed = 1 - objective.availability
        if requestCount == 0 || goodCount == requestCount { return 0 }
        return allowed <= 0 ? .infinity : (1 - compliance) / allowed
    }
    /// The share of the error budget that is left, 1 to minus infinity.
    package var errorBudgetLeft: Double { 1 - burnRate }
}
