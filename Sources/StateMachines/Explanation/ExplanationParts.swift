// The parts of an explanation: hops joined with choices, the healthy trace, the critical paths side by side.

import EventModel

/// Joins the calls of a trace with the choices that were recorded for it, and with the registry of their time.
struct HopJoin {
    private(set) var hops: [TraceExplanation.Hop] = []

    init(
        _ trace: TraceFacts, _ tree: TraceTree, _ choices: [TraceExplanation.Choice],
        _ window: TraceExplanation.Window, _ watch: ServiceWatch
    ) {
        let shift = window.traceStart - Timestamp(nanoseconds: trace.spans.map(\.startTime.rawValue).min() ?? 0)
        hops = Self.calls(trace, tree)
        var isTaken = Array(repeating: false, count: choices.count)
        var done: [String] = []
        for hop in hops where !done.contains(where: { $0.equalsInBytes(hop.serviceName) }) {
            done.append(hop.serviceName)
            let own = hops.indices.filter { hops[$0].serviceName.equalsInBytes(hop.serviceName) }
            let named = choices.indices.filter { choices[$0].serviceName.equalsInBytes(hop.serviceName) }
            for index in named { isTaken[index] = true }
            pair(own, named.map { choices[$0] })
        }
        // Who was selected and sent no span: the call may never have arrived.
        for (index, choice) in choices.enumerated() where !isTaken[index] {
            hops.append(
                TraceExplanation.Hop(
                    caller: "", serviceName: choice.serviceName, span: nil, choices: [choice], isCertain: true,
                    view: nil))
        }
        for index in hops.indices { hops[index].view = Self.view(hops[index], shift, watch) }
    }

    /// The spans whose parent is of another service, and the roots; by start.
    private static func calls(_ trace: TraceFacts, _ tree: TraceTree) -> [TraceExplanation.Hop] {
        trace.spans.indices.compactMap { index -> TraceExplanation.Hop? in
            let span = trace.spans[index]
            let parent = tree.structure.parents[index].map { trace.spans[$0].serviceName }
            if let parent, parent.equalsInBytes(span.serviceName) { return nil }
            return TraceExplanation.Hop(
                caller: parent ?? "", serviceName: span.serviceName, span: span, choices: [], isCertain: false,
                view: nil)
        }
    }

    /// The choices of a service in log order with its calls by start, where there are equally many.
    private mutating func pair(_ own: [Int], _ choices: [TraceExplanation.Choice]) {
        if own.count == choices.count {
            for (place, index) in own.enumerated() {
                hops[index].choices = [choices[place]]
                hops[index].isCertain = own.count == 1
            }
            return
        }
        for index in own { hops[index].choices = choices }
    }

    private static func view(
        _ hop: TraceExplanation.Hop, _ shift: Nanoseconds, _ watch: ServiceWatch
    ) -> TraceExplanation.ServiceView? {
        if let choice = hop.choices.first {
            let asOf = choice.selection.asOf
            return watch.view(of: hop.serviceName, at: asOf == .origin ? choice.position.sequence : asOf)
        }
        return hop.span.flatMap { watch.view(of: hop.serviceName, at: $0.startTime + shift) }
    }
}

/// Which trace one is held against: of the traces with the same root operation that are complete, without an error and
/// not judged out of the ordinary, those that began before it (or, where there are none, behind it), at most the latest
/// thousand; and of these the one in the middle by duration.
enum HealthyRule {
    static let candidateMaximum = 1_000

    /// A trace with what is said of it.
    struct Found {
        var healthy: TraceExplanation.Healthy
        var facts: TraceFacts
    }

    static func named(_ id: TraceID, beside trace: FoundTrace, in state: MeshState) -> Found? {
        guard let facts = state.tracing.facts(of: id), let summary = state.tracing.summary(of: id) else { return nil }
        return Found(
            healthy: TraceExplanation.Healthy(
                traceID: id, duration: summary.duration, candidateCount: 0,
                isEarlier: summary.startTime < trace.startTime),
            facts: facts)
    }

    static func choose(beside trace: FoundTrace, in state: MeshState) -> Found? {
        guard trace.hasRoot else { return nil }
        for isEarlier in [true, false] {
            let candidates = candidates(beside: trace, isEarlier: isEarlier, in: state)
            // From the middle outwards, until one is complete.
            let middle = (candidates.count - 1) / 2
            for distance in 0..<max(1, candidates.count) {
                for index in distance == 0 ? [middle] : [middle - distance, middle + distance]
                where candidates.indices.contains(index) {
                    let summary = candidates[index]
                    guard let facts = state.tracing.facts(of: summary.traceID),
                        facts.tree(asOf: state.moment.asOf).structure.isComplete
                    else { continue }
                    return Found(
                        healthy: TraceExplanation.Healthy(
                            traceID: summary.traceID, duration: summary.duration, candidateCount: candidates.count,
                            isEarlier: isEarlier),
                        facts: facts)
                }
            }
        }
        return nil
    }

    private static func candidates(
        beside trace: FoundTrace, isEarlier: Bool, in state: MeshState
    ) -> [FoundTrace] {
        var search = TraceCriteria()
        search.serviceName = trace.root.serviceName
        search.operationName = trace.root.operationName
        search.hasError = false
        search.limit = candidateMaximum
        if isEarlier { search.to = trace.startTime } else { search.from = trace.startTime }
        return state.tracing.search(search).filter { other in
            other.traceID != trace.traceID && other.hasRoot && !(other.verdict?.isAnomalous ?? false)
                && other.root.serviceName.equalsInBytes(trace.root.serviceName)
                && other.root.operationName.equalsInBytes(trace.root.operationName)
        }.sorted { left, right in
            left.duration != right.duration ? left.duration < right.duration : left.traceID < right.traceID
        }
    }
}

/// Critical paths by operation, side by side.
enum PathComparison {
    private struct Operation: Hashable {
        var service: ByteName
        var operation: ByteName
    }

    /// - Parameter healthy: nil: only the times of the trace itself.
    static func changes(_ healthy: TraceTree?, _ trace: TraceTree) -> [TraceExplanation.PathChange] {
        var rows: [Operation: TraceExplanation.PathChange] = [:]
        for (tree, isHere) in [(healthy.map { TraceAnalysis.adjusted($0) }, false), (trace, true)] {
            guard let tree, let path = TraceAnalysis.criticalPath(tree) else { continue }
            for section in path.sections {
                let span = tree.spans[section.span]
                let key = Operation(service: ByteName(span.serviceName), operation: ByteName(span.operationName))
                let empty = TraceExplanation.PathChange(
                    serviceName: span.serviceName, operationName: span.operationName)
                let duration = section.duration
                if isHere {
                    rows[key, default: empty].here = rows[key, default: empty].here + duration
                } else {
                    rows[key, default: empty].healthy = rows[key, default: empty].healthy + duration
                }
            }
        }
        return rows.values.sorted { left, right in
            if left.growth != right.growth { return left.growth > right.growth }
            if !left.serviceName.equalsInBytes(right.serviceName) {
                return left.serviceName.precedesInBytes(right.serviceName)
            }
            return left.operationName.precedesInBytes(right.operationName)
        }
    }
}

/// How the calls of other traces went, by the instance that was chosen for them.
struct ChoiceSummary {
    private(set) var figures: [TraceExplanation.ChoiceFigures] = []

    private struct Choice: Hashable {
        var service: ByteName
        var instance: ByteName
    }

    init(
        _ others: [(traceID: TraceID, service: String, chosen: String)], _ choices: [TraceExplanation.Choice],
        _ collector: TraceCollector
    ) {
        var durations: [Choice: (lengths: [Int64], errors: Int)] = [:]
        for (traceID, service, chosen) in others {
            guard let span = Self.onlyCall(of: service, in: traceID, collector) else { continue }
            let key = Choice(service: ByteName(service), instance: ByteName(chosen))
            durations[key, default: ([], 0)].lengths.append(span.duration.rawValue)
            if span.status != .ok { durations[key]?.errors += 1 }
        }
        figures = durations.map { key, found in
            let sorted = found.lengths.sorted()
            return TraceExplanation.ChoiceFigures(
                serviceName: key.service.text, instanceID: key.instance.text, callCount: sorted.count,
                errorCount: found.errors, median: Nanoseconds(sorted[(sorted.count - 1) / 2]),
                maximum: Nanoseconds(sorted[sorted.count - 1]),
                isChosen: choices.contains {
                    $0.serviceName.equalsInBytes(key.service.text)
                        && $0.selection.chosen.equalsInBytes(key.instance.text)
                })
        }.sorted { left, right in
            left.serviceName.equalsInBytes(right.serviceName)
                ? left.instanceID.precedesInBytes(right.instanceID)
                : left.serviceName.precedesInBytes(right.serviceName)
        }
    }

    /// The one call into a service; nil where there are several, since it cannot be told which was chosen for.
    private static func onlyCall(of service: String, in id: TraceID, _ collector: TraceCollector) -> SpanFacts? {
        guard let facts = collector.facts(of: id) else { return nil }
        let own = facts.spans.filter { $0.serviceName.equalsInBytes(service) }
        let ids = Set(own.map(\.key.spanID))
        let entries = own.filter { span in span.parentSpanID.map { !ids.contains($0) } ?? true }
        return entries.count == 1 ? entries[0] : nil
    }
}
