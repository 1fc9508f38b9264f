// Writes the state of every machine beside the log, so that a start need not read all of it.

package import EventModel
package import EventStore
package import StateMachines

/// Checkpoints as the machines' sections, and back.
package enum CheckpointCodec {
    /// The version of the sections' encoding.
    package static let version: UInt32 = 2

    /// Writes a state; the machines' sections are encoded one after the other, so that one at a time is in memory.
    package static func save(
        _ state: MeshState, to store: CheckpointStore, createdAt: Timestamp
    ) throws(EventStoreError) {
        var state = state
        let digests = state.digests()
        let encoders: [(name: String, encode: () -> [UInt8])] = [
            (Admission.name, state.admission.encodeCheckpoint), (TrafficMirror.name, state.mirror.encodeCheckpoint),
            (ServiceRegistry.name, state.registry.encodeCheckpoint),
            (TraceCollector.name, state.tracing.encodeCheckpoint),
        ]
        let sections = zip(encoders, digests).map { encoder, digest in
            { Checkpoint.Section(name: encoder.name, digest: digest.digest, bytes: encoder.encode()) }
        }
        let moment = state.moment
        let head = Checkpoint(
            sequence: moment.sequence, recordedAt: moment.recordedAt,
            semanticsVersion: state.admission.semanticsVersion, codecVersion: version, createdAt: createdAt,
            sections: [])
        try store.save(head, sections: sections)
        let rung = LadderRung(sequence: moment.sequence, recordedAt: moment.recordedAt, machines: digests)
        try DigestLadder.append(rung, in: store.directory)
    }

    /// Whether this version can read a checkpoint.
    package static func canRead(_ checkpoint: Checkpoint) -> Bool {
        checkpoint.codecVersion == version && checkpoint.semanticsVersion <= Admission.supportedSemantics
    }

    /// The state of a checkpoint; nil where its bytes are not one or do not have the digest that stands beside them.
    package static func state(of checkpoint: Checkpoint, indexKey: UInt64) -> MeshState? {
        func section<Machine>(
            _ name: String, _ restore: ([UInt8]) -> Machine?, _ digest: (inout Machine) -> Digest
        ) -> Machine? {
            guard let section = checkpoint.sections.first(where: { $0.name == name }),
                var machine = restore(section.bytes), digest(&machine) == section.digest
            else { return nil }
            return machine
        }
        guard canRead(checkpoint),
            let admission = section(Admission.name, Admission.init(checkpoint:), { $0.digest() }),
            let mirror = section(TrafficMirror.name, TrafficMirror.init(checkpoint:), { $0.digest() }),
            let registry = section(
                ServiceRegistry.name, { ServiceRegistry(checkpoint: $0, indexKey: indexKey) }, { $0.digest() }),
            let tracing = section(TraceCollector.name, { TraceCollector(checkpoint: $0) }, { $0.digest() }),
            admission.moment.sequence == checkpoint.sequence
        else { return nil }
        return MeshState(admission: admission, registry: registry, mirror: mirror, tracing: tracing)
    }
}

extension CheckpointStore {
    /// The newest state at or before a sequence that can be trusted, and what was passed over on the way.
    package func newestState(
        notAfter sequence: SequenceNumber = .end, indexKey: UInt64
    ) throws(EventStoreError) -> (state: MeshState?, warnings: [String]) {
        var warnings: [String] = []
        var limit = sequence
        while true {
            let finding = try newest(notAfter: limit, where: CheckpointCodec.canRead)
            warnings += finding.warnings.map(\.description)
            guard let checkpoint = finding.checkpoint else { return (nil, warnings) }
            if let state = CheckpointCodec.state(of: checkpoint, indexKey: indexKey) { return (state, warnings) }
            warnings.append("the checkpoint at \(checkpoint.sequence) does not have the digest that it names")
            guard checkpoint.sequence > .origin else { return (nil, warnings) }
            limit = SequenceNumber(checkpoint.sequence.rawValue - 1)
        }
    }
}
