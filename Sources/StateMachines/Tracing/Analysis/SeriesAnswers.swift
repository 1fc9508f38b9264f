// Answers from the collector's series into protobuf (trace_queries.proto).

package import EventModel

/// Calls, errors and latency of a service or an operation.
package struct OperationSummary: Sendable, Hashable {
    package var serviceName: String
    /// Empty: the whole service.
    package var operationName: String
    /// Nil: of every kind.
    package var kind: SpanKind?
    package var callCount: UInt64 = 0
    package var errorCount: UInt64 = 0
    package var latency = LatencyHistogram()

    package init(serviceName: String, operationName: String = "", kind: SpanKind? = nil) {
        self.serviceName = serviceName
        self.operationName = operationName
        self.kind = kind
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, serviceName)
        writer.field(2, operationName)
        writer.field(3, kind?.rawValue ?? 0)
        writer.field(4, callCount)
        writer.field(5, errorCount)
        latency.write(6, &writer)
    }
}

/// Latency percentiles of a service or an operation.
package struct PercentileReport: Sendable, Hashable {
    package var serviceName: String
    /// Empty: the whole service.
    package var operationName: String
    package var callCount: UInt64
    package var errorCount: UInt64
    /// In the order in which they were asked for.
    package var percentiles: [Percentile]

    /// One of them.
    package struct Percentile: Sendable, Hashable {
        package var basisPoints: UInt32
        package var latency: Nanoseconds

        package init(basisPoints: UInt32, latency: Nanoseconds) {
            self.basisPoints = basisPoints
            self.latency = latency
        }
    }

    package init(
        serviceName: String, operationName: String, callCount: UInt64, errorCount: UInt64, percentiles: [Percentile]
    ) {
        self.serviceName = serviceName
        self.operationName = operationName
        self.callCount = callCount
        self.errorCount = errorCount
        self.percentiles = percentiles
    }

    func write(_ writer: inout WireWriter) {
        writer.field(2, serviceName)
        writer.field(3, operationName)
        writer.field(4, callCount)
        writer.field(5, errorCount)
        for percentile in percentiles {
            writer.message(6) { inner in
                inner.field(1, percentile.basisPoints)
                inner.field(2, percentile.latency)
            }
        }
    }
}

/// What a collector holds and what it counted besides.
package struct CollectorStats: Sendable, Hashable {
    package var traceCount: UInt64
    package var spanCount: UInt64
    package var counters: CollectorCounters
    /// The same in every part.
    package var overflowedNames: UInt64
    package var settings: TraceSettings

    package init(
        traceCount: UInt64, spanCount: UInt64, counters: CollectorCounters, overflowedNames: UInt64,
        settings: TraceSettings
    ) {
        self.traceCount = traceCount
        self.spanCount = spanCount
        self.counters = counters
        self.overflowedNames = overflowedNames
        self.settings = settings
    }

    /// Adds another part's.
    package mutating func merge(_ other: CollectorStats) {
        traceCount += other.traceCount
        spanCount += other.spanCount
        for field in CollectorCounters.fields { counters[keyPath: field] &+= other.counters[keyPath: field] }
    }

    func write(_ writer: inout WireWriter) {
        writer.field(2, traceCount)
        writer.field(3, spanCount)
        for (offset, field) in CollectorCounters.fields.enumerated() {
            writer.field(4 + offset, counters[keyPath: field])
        }
        writer.field(12, overflowedNames)
        writer.message(13) { inner in settings.write(&inner) }
    }
}

extension TraceCollector {
    /// What this part holds.
    package var stats: CollectorStats {
        CollectorStats(
            traceCount: UInt64(traceCount), spanCount: UInt64(spanCount), counters: counters,
            overflowedNames: overflowedNames, settings: settings)
    }
}

extension LatencyHistogram {
    fileprivate func write(_ number: Int, _ writer: inout WireWriter) {
        if isEmpty { return }
        writer.message(number) { inner in
            for (field, points) in [(1, UInt32(5_000)), (2, 9_000), (3, 9_500), (4, 9_900), (5, 10_000)] {
                inner.field(field, percentile(basisPoints: points) ?? .zero)
            }
        }
    }
}

extension DependencyGraph {
    func write(_ writer: inout WireWriter) {
        for edge in edges { writer.message(2) { inner in edge.write(&inner) } }
        for edge in selfEdges { writer.message(3) { inner in edge.write(&inner) } }
        writer.field(4, unpairedCount)
    }
}

extension DependencyEdge {
    fileprivate func write(_ writer: inout WireWriter) {
        writer.field(1, parent)
        writer.field(2, child)
        writer.field(3, callCount)
        writer.field(4, errorCount)
        writer.field(5, isParentVirtual)
        writer.field(6, isChildVirtual)
        latency.write(7, &writer)
    }
}

extension ServiceCompliance {
    func write(_ writer: inout WireWriter) {
        writer.message(1) { inner in
            inner.field(1, serviceName)
            inner.field(2, objective.latency)
            inner.field(3, objective.availabilityBasisPoints)
        }
        writer.field(2, requestCount)
        writer.field(3, errorCount)
        writer.field(4, slowCount)
        writer.field(5, isCompliant)
        writer.field(6, compliance)
        writer.field(7, errorBudgetLeft)
        writer.field(8, burnRate)
    }
}

extension TraceSeries {
    /// Every service with its calls, errors and latency, by name.
    package var services: [OperationSummary] {
        var rows: [ByteName: OperationSummary] = [:]
        for metric in spanMetrics {
            rows[ByteName(metric.serviceName), default: OperationSummary(serviceName: metric.serviceName)].add(metric)
        }
        return rows.values.sorted { $0.serviceName.precedesInBytes($1.serviceName) }
    }

    /// The operations of a service, or of all, by name and kind.
    package func operations(of service: String?) -> [OperationSummary] {
        spanMetrics.filter { service?.equalsInBytes($0.serviceName) ?? true }.map { metric in
            var row = OperationSummary(
                serviceName: metric.serviceName, operationName: metric.operationName, kind: metric.kind)
            row.add(metric)
            return row
        }
    }

    /// Percentiles of a service or one of its operations; nil: no span of it is in these windows.
    package func percentiles(
        service: String, operation: String?, basisPoints: [UInt32]
    ) -> PercentileReport? {
        var sum = OperationSummary(serviceName: service, operationName: operation ?? "")
        for metric in spanMetrics where metric.serviceName.equalsInBytes(service) {
            if operation?.equalsInBytes(metric.operationName) ?? true { sum.add(metric) }
        }
        if sum.callCount == 0 { return nil }
        return PercentileReport(
            serviceName: service, operationName: operation ?? "", callCount: sum.callCount,
            errorCount: sum.errorCount,
            percentiles: basisPoints.map { point in
                PercentileReport.Percentile(
                    basisPoints: point, latency: sum.latency.percentile(basisPoints: point) ?? .zero)
            })
    }
}

extension OperationSummary {
    fileprivate mutating func add(_ metric: SpanMetric) {
        callCount += metric.callCount
        errorCount += metric.errorCount
        latency.merge(metric.latency)
    }
}
