// Everything that is folded from one log, for whoever needs it without actors: replay, verify, time travel.

package import EventModel

/// RecordFilter and every machine, applied one after the other. A copy is a fork: what is not written to is shared.
package struct MeshState: Sendable {
    package private(set) var admission = RecordFilter()
    package private(set) var registry: ServiceRegistry
    package private(set) var mirror = TrafficMirror()
    /// All partitions of it.
    package private(set) var tracing = TraceCollector()

    package init(indexKey: UInt64 = 0) { registry = ServiceRegistry(indexKey: indexKey) }

    /// Puts a state together again.
    ///
    /// - Precondition: `tracing` holds all partitions.
    package init(admission: RecordFilter, registry: ServiceRegistry, mirror: TrafficMirror, tracing: TraceCollector) {
        precondition(tracing.parts == 1, "a state holds whole machines")
        self.admission = admission
        self.registry = registry
        self.mirror = mirror
        self.tracing = tracing
        // Sections of checkpoints do not say it, each for itself.
        let semantics = admission.moment.semantics
        self.registry.moment.semantics = semantics
        self.mirror.moment.semantics = semantics
        self.tracing.moment.semantics = semantics
    }

    /// The last record that was taken.
    package var moment: Moment { admission.moment }

    /// Takes one record; the answer is what its publisher is told.
    @discardableResult
    package mutating func apply(_ record: EventRecord) -> (verdict: RecordFilter.Verdict, outcome: OutcomeAnswer) {
        let (verdict, moment, outcome) = admission.admit(record)
        let admitted = AdmittedRecord(record: record, moment: moment, verdict: verdict)
        let answer = outcome.merged(with: registry.apply(admitted)).merged(with: mirror.apply(admitted))
            .merged(with: tracing.apply(admitted))
        return (verdict, answer.answer(verdict, record))
    }

    /// The digest of each machine, in order of name.
    package mutating func digests() -> [MachineDigest] {
        [
            MachineDigest(machine: RecordFilter.name, digest: admission.digest()),
            MachineDigest(machine: TrafficMirror.name, digest: mirror.digest()),
            MachineDigest(machine: ServiceRegistry.name, digest: registry.digest()),
            MachineDigest(machine: TraceCollector.name, digest: tracing.digest()),
        ]
    }
}

extension Outcome {
    /// What two machines say of one record; a fact that both take is one fact.
    package func merged(with other: Outcome) -> Outcome {
        var result = self
        result.accepted = max(accepted, other.accepted)
        if !other.refused.isEmpty {
            result.refused = (refused + other.refused).sorted { $0.index < $1.index }
        }
        result.consequences += other.consequences
        result.replaced += other.replaced
        result.changed += other.changed
        return result
    }

    /// The outcome as its publisher is told.
    package func answer(_ verdict: RecordFilter.Verdict, _ record: EventRecord) -> OutcomeAnswer {
        var answer = OutcomeAnswer(
            sequence: record.sequence, recordedAt: record.recordedAt, verdict: .accepted, accepted: accepted,
            refused: refused, consequences: consequences, replaced: replaced)
        switch verdict {
        case .admitted, .refused: if accepted == 0 && !refused.isEmpty { answer.verdict = .refused }
        case .duplicate(let first):
            answer.verdict = .duplicate
            answer.firstSequence = first
        case .opaque, .unsupportedSemantics, .revoked: answer.verdict = .opaque
        }
        return answer
    }
}
