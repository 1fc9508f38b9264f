// Folds the stretch of the log around a trace into its explanation.

package import EventModel

/// Takes the records of a window one after the other, then puts the explanation together.
package struct ExplanationFold: Sendable {
    /// Facts that are kept; the oldest go.
    package static let factMaximum = 2_000
    /// Choices of other traces that are remembered for the comparison of instances.
    private static let choiceMaximum = 100_000

    private let trace: TraceFacts
    private let window: TraceExplanation.Window
    private let choices: [TraceExplanation.Choice]
    private var watch: ServiceWatch
    private var facts: [MeshFact] = []
    private var omittedCount = 0
    private var others: [(traceID: TraceID, service: String, chosen: String)] = []

    /// Begins at the state before the window's first record.
    ///
    /// - Parameters:
    ///   - choices: the selections that were recorded for the trace, in log order.
    ///   - everyService: facts of every service are kept, not only of those that the trace touched.
    package init(
        _ trace: TraceFacts, _ window: TraceExplanation.Window, choices: [TraceExplanation.Choice],
        everyService: Bool, from state: MeshState
    ) {
        self.trace = trace
        self.window = window
        self.choices = choices
        var names: [String] = []
        for name in trace.spans.map(\.serviceName) + choices.map(\.serviceName)
        where !names.contains(where: { $0.equalsInBytes(name) }) {
            names.append(name)
        }
        watch = ServiceWatch(everyService ? nil : names, in: state.registry)
        touched = Set(names.map { ByteName($0) })
    }

    private let touched: Set<ByteName>

    /// Takes a record with the state after it.
    package mutating func take(_ record: EventRecord, _ state: MeshState) {
        // A repeat, or a record that is not understood, changed nothing.
        for fact in watch.look(at: state.registry) { keep(fact) }
        switch record.event {
        case .policy(let event): take(event, record)
        case .clock(let event): take(event, record)
        case .mirror(let event): take(event, record)
        case .registry(.instanceSelected(let batch)): remember(batch)
        case .registry, .trace, .audit, .opaque: break
        }
    }

    private mutating func keep(_ fact: MeshFact) {
        var fact = fact
        fact.relation =
            fact.recordedAt < window.traceStart ? .before : fact.recordedAt <= window.traceEnd ? .during : .after
        fact.isOfChosen = choices.contains { choice in
            !fact.instanceID.isEmpty && choice.serviceName.equalsInBytes(fact.serviceName)
                && choice.selection.chosen.equalsInBytes(fact.instanceID)
        }
        facts.append(fact)
        if facts.count > Self.factMaximum {
            facts.removeFirst()
            omittedCount += 1
        }
    }

    private mutating func take(_ event: PolicyEvent, _ record: EventRecord) {
        let position = EventPosition(sequence: record.sequence)
        let actor = record.principal
        switch event {
        case .registryConfigured(let change):
            keep(
                MeshFact(
                    .settings, at: position, record.recordedAt, after: change.words, reason: change.reason, actor: actor
                ))
        case .tracesConfigured(let change):
            keep(
                MeshFact(
                    .settings, at: position, record.recordedAt, after: change.words, reason: change.reason, actor: actor
                ))
        case .guardReleased(let service, let reason):
            keep(
                MeshFact(
                    .guardReleased, at: position, record.recordedAt, service: service, reason: reason, actor: actor))
        case .semanticsActivated(let version, let reason):
            keep(
                MeshFact(
                    .settings, at: position, record.recordedAt, after: "semantics \(version)", reason: reason,
                    actor: actor))
        // What a node sends to shadows changes no trace, nor does a record that nobody took.
        case .directivesResumed, .recordSkipped: break
        }
    }

    private mutating func take(_ event: ClockEvent, _ record: EventRecord) {
        let position = EventPosition(sequence: record.sequence)
        switch event {
        case .tick: break
        case .nodeResumed(let node, let reason):
            keep(MeshFact(.nodeResumed, at: position, record.recordedAt, after: node, reason: reason))
        case .intakeGap(let node, let reason, let count):
            let dropped = count == 0 ? "an unknown number of records" : "\(count) records"
            keep(MeshFact(.intakeGap, at: position, record.recordedAt, before: dropped, after: node, reason: reason))
        case .leadershipClaimed(let node, let epoch):
            keep(MeshFact(.leader, at: position, record.recordedAt, after: "\(node), epoch \(epoch)"))
        }
    }

    private mutating func take(_ event: MirrorEvent, _ record: EventRecord) {
        guard touched.contains(ByteName(event.sourceService)) else { return }
        func add(_ index: Int, _ words: String, _ reason: String) {
            keep(
                MeshFact(
                    .mirror, at: EventPosition(sequence: record.sequence, index: UInt32(index)), record.recordedAt,
                    service: event.sourceService, after: words, reason: reason))
        }
        switch event {
        case .added(let batch):
            for (index, mirror) in batch.events.enumerated() {
                add(index, "\(mirror.mirrorID) to \(mirror.shadowEndpoint), \(mirror.mode.name)", "")
            }
        case .removed(let batch):
            for (index, change) in batch.events.enumerated() { add(index, "\(change.mirrorID) removed", change.reason) }
        case .enabled(let batch):
            for (index, change) in batch.events.enumerated() { add(index, "\(change.mirrorID) enabled", change.reason) }
        case .disabled(let batch):
            for (index, change) in batch.events.enumerated() {
                add(index, "\(change.mirrorID) disabled", change.reason)
            }
        case .shadowsAllowed(let change): add(0, "shadows allowed: \(change.endpoints.count)", change.reason)
        case .captured, .dispatched, .compared, .drained, .contentsErased: break
        }
    }

    private mutating func remember(_ batch: Batch<InstanceSelection>) {
        guard touched.contains(ByteName(batch.serviceName)) else { return }
        for selection in batch.events where others.count < Self.choiceMaximum {
            guard let id = TraceID(bytes: selection.traceID), id.isValid else { continue }
            others.append((id, batch.serviceName, selection.chosen))
        }
    }

    /// The explanation, with the collector of the point that is asked from.
    ///
    /// - Parameter healthy: the trace to hold it against; nil: by the rule of `HealthyRule`.
    package func explanation(in state: MeshState, healthy: TraceID? = nil) -> TraceExplanation? {
        guard let summary = state.tracing.summary(of: trace.traceID) else { return nil }
        var result = TraceExplanation(asOf: state.moment.asOf, summary: summary, window: window)
        result.facts = facts
        result.omittedFacts = omittedCount
        result.elsewhereCount = watch.elsewhereCount
        let tree = TraceAnalysis.adjusted(trace.tree(asOf: state.moment.asOf))
        result.hops = HopJoin(trace, tree, choices, window, watch).hops
        if let found = healthy.map({ HealthyRule.named($0, beside: summary, in: state) })
            ?? HealthyRule.choose(beside: summary, in: state)
        {
            result.healthy = found.healthy
            result.path = PathComparison.changes(found.facts.tree(asOf: state.moment.asOf), tree)
        } else {
            result.path = PathComparison.changes(nil, tree)
        }
        result.figures = ChoiceSummary(others, choices, state.tracing).figures
        result.suspicions = Self.suspicions(result)
        return result
    }

    /// Facts about services that spend more of the critical path than in the healthy trace, or that failed: what concerns
    /// the chosen instance first, then by growth, then the latest first.
    private static func suspicions(_ explanation: TraceExplanation) -> [TraceExplanation.Suspicion] {
        var found: [TraceExplanation.Suspicion] = []
        for fact in explanation.facts where fact.relation != .after && !fact.serviceName.isEmpty {
            let own = explanation.path.filter { $0.serviceName.equalsInBytes(fact.serviceName) }
            let growth = explanation.healthy == nil ? 0 : own.reduce(Int64(0)) { $0 &+ $1.growth }
            let hasFailed = explanation.hops.contains { hop in
                hop.serviceName.equalsInBytes(fact.serviceName) && (hop.span.map { $0.status != .ok } ?? true)
            }
            if growth <= 0 && !hasFailed { continue }
            found.append(.init(fact: fact, growth: Nanoseconds(max(0, growth)), hasFailed: hasFailed))
        }
        return found.sorted { left, right in
            if left.fact.isOfChosen != right.fact.isOfChosen { return left.fact.isOfChosen }
            if left.growth != right.growth { return left.growth > right.growth }
            return left.fact.position > right.fact.position
        }
    }
}

extension TracesConfiguration {
    /// The settings that it changes, in words: those that judge, and that there are others.
    fileprivate var words: String {
        var words: [String] = []
        if let value = anomalyFactor { words.append("anomaly factor \(value)") }
        if let value = anomalyThreshold { words.append("anomaly threshold \(DurationText.of(value.rawValue))") }
        if !objectives.isEmpty { words.append("\(objectives.count) objectives") }
        return words.isEmpty ? "of traces" : "of traces: " + words.joined(separator: ", ")
    }
}

extension RegistryConfiguration {
    /// The settings that it changes, in words.
    fileprivate var words: String {
        var words: [String] = []
        if let value = staleAfter { words.append("stale after \(DurationText.of(value.rawValue))") }
        if let value = evictAfter { words.append("evict after \(DurationText.of(value.rawValue))") }
        if let value = guardServiceBasisPoints { words.append("guard of a service \(value) basis points") }
        if let value = guardMeshBasisPoints { words.append("guard of the mesh \(value) basis points") }
        if let value = guardLastInstance { words.append("last instance held \(DurationText.of(value.rawValue))") }
        if let value = guardWindows { words.append("guard windows \(value)") }
        if let value = panicBasisPoints { words.append("panic below \(value) basis points") }
        if let value = allowLoopback { words.append(value ? "loopback allowed" : "loopback not allowed") }
        if !endpointNetworks.isEmpty { words.append("\(endpointNetworks.count) networks of endpoints") }
        return words.joined(separator: ", ")
    }
}
