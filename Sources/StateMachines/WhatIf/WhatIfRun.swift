// Two folds of one log side by side: as recorded, and a fork with changed settings.

package import EventModel

/// Takes records and keeps what the two sides decide otherwise. Nothing of it can be published or written.
package struct WhatIfRun: Sendable {
    private let settings: WhatIfSettings
    private var admission: RecordFilter
    private var registry: ServiceRegistry
    private var forkedRegistry: ServiceRegistry
    private var mirror: TrafficMirror
    private var forkedMirror: TrafficMirror
    private var traces: VerdictComparison?
    private var tracing: TraceCollector
    private var evictions = EvictionComparison()
    private var episodes = EpisodeComparison()
    private var selections: SelectionReplay
    private var captures = CaptureComparison()
    private var refusals: [RefusalReason: (recorded: UInt64, changed: UInt64)] = [:]
    private let from: AsOf
    private var recordCount: UInt64 = 0

    /// Begins after the record of a state; the changed settings hold from there on.
    ///
    /// - Precondition: `settings.mistake(over:)` is nil for the state's registry.
    package init(from state: MeshState, _ settings: WhatIfSettings) {
        self.settings = settings
        from = state.moment.asOf
        (admission, registry, mirror, tracing) = (state.admission, state.registry, state.mirror, state.tracing)
        (forkedRegistry, forkedMirror) = (state.registry, state.mirror)
        selections = SelectionReplay(settings)
        if settings.changesRegistry { forkedRegistry.fork(with: settings.registry) }
        if !settings.mirror.isEmpty { forkedMirror.fork(with: settings.mirror) }
        if settings.changesTraces { traces = VerdictComparison(settings, state.tracing) }
    }

    /// The last record that was taken.
    package var moment: Moment { admission.moment }

    /// Takes one record; the verdict on it is the same on both sides.
    @discardableResult
    package mutating func take(_ record: EventRecord) -> RecordFilter.Verdict {
        let (verdict, moment, _) = admission.admit(record)
        let admitted = AdmittedRecord(record: record, moment: moment, verdict: verdict)
        recordCount += 1
        takeRegistry(admitted)
        if !settings.mirror.isEmpty { takeMirror(admitted) }
        guard traces != nil else { return verdict }
        if case .policy(.tracesConfigured) = record.event { traces?.settingsWillChange(tracing) }
        _ = tracing.apply(admitted)
        traces?.look(at: tracing)
        return verdict
    }

    private mutating func takeRegistry(_ admitted: AdmittedRecord) {
        let recorded = registry.apply(admitted)
        if !settings.changesRegistry {
            if settings.strategy != nil { selections.take(admitted.record, registry, registry) }
            return
        }
        let changed = forkedRegistry.apply(admitted)
        if case .policy(.registryConfigured) = admitted.record.event { forkedRegistry.fork(with: settings.registry) }
        evictions.take(admitted, recorded, changed)
        if !recorded.changed.isEmpty || !changed.changed.isEmpty {
            let withPanic = settings.registry.panicBasisPoints != nil
            episodes.look(at: registry, recorded.changed, isChanged: false, withPanic: withPanic)
            episodes.look(at: forkedRegistry, changed.changed, isChanged: true, withPanic: withPanic)
        }
        if recorded.refused != changed.refused { compare(recorded.refused, changed.refused) }
        selections.take(admitted.record, registry, forkedRegistry)
    }

    private mutating func compare(_ recorded: [Refusal], _ changed: [Refusal]) {
        for refusal in recorded where !changed.contains(refusal) {
            refusals[refusal.reason, default: (0, 0)].recorded += 1
        }
        for refusal in changed where !recorded.contains(refusal) {
            refusals[refusal.reason, default: (0, 0)].changed += 1
        }
    }

    private mutating func takeMirror(_ admitted: AdmittedRecord) {
        guard case .mirror(let event) = admitted.record.event else {
            if case .clock = admitted.record.event {
                _ = mirror.apply(admitted)
                _ = forkedMirror.apply(admitted)
            }
            return
        }
        if case .captured(let batch) = event {
            let (before, fork) = (mirror.decisions(on: batch), forkedMirror.decisions(on: batch))
            let outcome = mirror.apply(admitted)
            _ = forkedMirror.apply(admitted)
            captures.take(admitted.moment.sequence, batch, before, fork, outcome)
            return
        }
        let outcome = mirror.apply(admitted)
        _ = forkedMirror.apply(admitted)
        switch event {
        case .added, .enabled, .disabled: forkedMirror.fork(with: settings.mirror)
        case .compared(let batch): captures.take(batch, outcome)
        case .removed, .shadowsAllowed, .captured, .dispatched, .drained, .contentsErased: break
        }
    }

    /// What was found so far.
    package func report() -> WhatIfReport {
        var report = WhatIfReport(from: from, through: admission.moment.asOf)
        report.recordCount = recordCount
        evictions.fill(&report)
        episodes.fill(&report)
        report.refusals = refusals
        selections.fill(&report)
        captures.fill(&report)
        if var traces {
            traces.finish(tracing)
            traces.fill(&report)
        }
        return report
    }
}
