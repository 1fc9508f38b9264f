// The settings of the trace collector that change what its state means: folded from events, never read from a file.

package import EventModel

/// Bounds, time-outs and what counts as out of the ordinary; the defaults stand in Limits.md.
package struct TraceSettings: Sendable, Hashable {
    /// How long a trace stays resident after its first record, in log time.
    package var timeToLive = Nanoseconds.seconds(3_600)
    package var spansPerTrace = 20_000
    /// Of each of the 256 partitions; the oldest trace makes room. Not changed by events.
    package var spansPerPartition = 65_536
    /// Not changed by events: an edge that was counted under `__other__` has to be taken back from there.
    package var edgesPerPartition = 20_000
    /// A trace is judged when nothing came for so long.
    package var settleAfter = Nanoseconds.seconds(10)
    /// The k of decision 20.
    package var anomalyFactor: Int64 = 5
    /// What the deviation counts at least.
    package var anomalyFloor = Nanoseconds.milliseconds(1)
    /// Fewer roots of an operation in the previous window say nothing.
    package var anomalySamples: UInt64 = 100
    /// A root that takes longer is out of the ordinary whatever its operation does; zero: none.
    package var anomalyThreshold = Nanoseconds.zero
    /// How many windows of five minutes are kept.
    package var windows: Int64 = 13
    package var names = NameTable.Bounds()
    /// What services promise, by name.
    package var objectives = NamedObjectives(SERVICE_SLO)

    package init() {}

    /// These settings with a change; nil where a value is out of range.
    package func applying(
        _ change: TracesConfiguration, _ semantics: Semantics = .newest
    ) -> TraceSettings? {
        var result = self
        if let value = change.timeToLive { result.timeToLive = value }
        if let value = change.spansPerTrace { result.spansPerTrace = Int(value) }
        if let value = change.settleAfter { result.settleAfter = value }
        if let value = change.anomalyFactor { result.anomalyFactor = Int64(value) }
        if let value = change.anomalyFloor { result.anomalyFloor = value }
        if let value = change.anomalySamples { result.anomalySamples = UInt64(value) }
        if let value = change.anomalyThreshold { result.anomalyThreshold = value }
        if let value = change.seriesWindows { result.windows = Int64(value) }
        if let value = change.services { result.names.services = Int(value) }
        if let value = change.peers { result.names.peers = Int(value) }
        if let value = change.operationsPerService { result.names.operationsPerService = Int(value) }
        for named in change.objectives {
            guard !named.serviceName.isEmpty else { return nil }
            let isGone = named.objective.latency == .zero && named.objective.availabilityBasisPoints == 0
            result.objectives.set(isGone ? nil : named.objective, of: named.serviceName, semantics)
        }
        return result.isInRange ? result : nil
    }

    private var isInRange: Bool {
        timeToLive >= .seconds(1) && timeToLive <= .seconds(7 * 86_400) && (1...65_536).contains(spansPerTrace)
            && settleAfter >= .milliseconds(100) && settleAfter <= .seconds(3_600)
            && (1...1_000).contains(anomalyFactor) && anomalyFloor >= .zero && anomalyFloor <= .seconds(3_600)
            && (1...1_000_000).contains(anomalySamples) && anomalyThreshold >= .zero
            && anomalyThreshold <= .seconds(86_400) && (1...2_016).contains(windows) && names.isInRange
            && objectives.byName.count <= Limits.objectives
            && objectives.byName.values.allSatisfy { $0.latency > .zero && $0.availabilityBasisPoints <= 10_000 }
    }

    /// The objectives in order of name.
    private var namedObjectives: [NamedObjective] {
        objectives.inOrder.map { NamedObjective(serviceName: $0.name, objective: $0.objective) }
    }

    /// The fields of `TraceSettings` in trace_queries.proto.
    func write(_ writer: inout WireWriter) {
        writer.field(1, timeToLive)
        writer.field(2, spansPerTrace)
        writer.field(3, settleAfter)
        writer.field(4, anomalyFactor)
        writer.field(5, anomalyFloor)
        writer.field(6, anomalySamples)
        writer.field(7, anomalyThreshold)
        writer.field(8, windows)
        writer.field(9, names.services)
        writer.field(10, names.peers)
        writer.field(11, names.operationsPerService)
        for named in namedObjectives { writer.message(12) { inner in named.write(&inner) } }
    }

    /// The same with what no event changes, for digest and checkpoint.
    func writeWhole(_ writer: inout WireWriter) {
        write(&writer)
        writer.field(16, spansPerPartition)
        writer.field(17, edgesPerPartition)
        writer.field(18, names.hosts)
    }

    /// The settings of a checkpoint; nil where there can be none such.
    init?(_ nested: CheckpointReader) {
        var reader = nested
        var numbers = [UInt64](repeating: 0, count: 19)
        objectives = NamedObjectives([:])
        while let field = reader.next() {
            switch field.number {
            case 1...11, 16...18: numbers[field.number] = field.value
            case 12: guard restoreObjective(reader.nested(field)) else { return nil }
            default: return nil
            }
        }
        guard reader.isComplete else { return nil }
        func signed(_ number: Int) -> Int64 { Int64(bitPattern: numbers[number]) }
        timeToLive = Nanoseconds(signed(1))
        spansPerTrace = Int(signed(2))
        settleAfter = Nanoseconds(signed(3))
        anomalyFactor = signed(4)
        anomalyFloor = Nanoseconds(signed(5))
        anomalySamples = numbers[6]
        anomalyThreshold = Nanoseconds(signed(7))
        windows = signed(8)
        names.services = Int(signed(9))
        names.peers = Int(signed(10))
        names.operationsPerService = Int(signed(11))
        spansPerPartition = Int(signed(16))
        edgesPerPartition = Int(signed(17))
        names.hosts = Int(signed(18))
        if !isInRange { return nil }
    }

    private mutating func restoreObjective(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var name = ""
        var objective = ServiceObjective(latency: .zero, availabilityBasisPoints: 0)
        while let field = reader.next() {
            switch field.number {
            case 1: name = reader.text(field)
            case 2: objective.latency = Nanoseconds(field.signed)
            case 3: objective.availabilityBasisPoints = UInt32(truncatingIfNeeded: field.value)
            default: return false
            }
        }
        objectives.byName[ByteName(name)] = objective
        return reader.isComplete
    }
}

/// What services promise, by the bytes of their names.
package struct NamedObjectives: Sendable, Hashable {
    package var byName: [ByteName: ServiceObjective]

    package init(_ objectives: [String: ServiceObjective]) {
        byName = Dictionary(uniqueKeysWithValues: objectives.map { (ByteName($0.key), $0.value) })
    }

    package init(_ objectives: [NamedObjective]) {
        byName = Dictionary(objectives.map { (ByteName($0.serviceName), $0.objective) }) { _, last in last }
    }

    /// In order of name.
    package var inOrder: [(name: String, objective: ServiceObjective)] {
        byName.map { ($0.key.text, $0.value) }.sorted { $0.0.precedesInBytes($1.0) }
    }

    /// Before names were bytes, one that Unicode deems equal to another took that one's place, under its spelling.
    mutating func set(_ objective: ServiceObjective?, of service: String, _ semantics: Semantics) {
        var name = ByteName(service)
        // At most one can be equal: the others have taken its place.
        if !semantics.namesAreBytes, let known = inOrder.first(where: { $0.name == service }) {
            name = ByteName(known.name)
        }
        byName[name] = objective
    }
}
