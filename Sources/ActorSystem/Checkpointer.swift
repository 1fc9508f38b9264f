// Writes the state of every machine beside the log, so that a start need not read all of it.

package import EventModel
package import EventStore
package import StateMachines

/// Checkpoints as the machines' sections, and back.
package enum CheckpointCodec {
    /// The version of the sections' encoding.
    package static let version: UInt32 = 1

    /// A checkpoint of a state.
    package static func checkpoint(of state: MeshState, createdAt: Timestamp) -> Checkpoint {
        var state = state
        let digests = state.digests()
        let moment = state.moment
        return Checkpoint(
            sequence: moment.sequence, recordedAt: moment.recordedAt,
            semanticsVersion: state.admission.semanticsVersion, codecVersion: version, createdAt: createdAt,
            sections: [
                .init(name: Admission.name, digest: digests[0].digest, bytes: state.admission.encodeCheckpoint()),
                .init(name: ServiceRegistry.name, digest: digests[1].digest, bytes: state.registry.encodeCheckpoint()),
            ])
    }

    /// Whether this version can read a checkpoint.
    package static func canRead(_ checkpoint: Checkpoint) -> Bool {
        checkpoint.codecVersion == version && checkpoint.semanticsVersion <= Admission.supportedSemantics
    }

    /// The state of a checkpoint; nil where its bytes are not one or do not have the digest that stands beside them.
    package static func state(of checkpoint: Checkpoint, indexKey: UInt64) -> MeshState? {
        guard canRead(checkpoint),
            let first = checkpoint.sections.first(where: { $0.name == Admission.name }),
            let second = checkpoint.sections.first(where: { $0.name == ServiceRegistry.name }),
            let admission = Admission(checkpoint: first.bytes),
            var registry = ServiceRegistry(checkpoint: second.bytes, indexKey: indexKey),
            admission.digest() == first.digest, registry.digest() == second.digest,
            admission.moment.sequence == checkpoint.sequence
        else { return nil }
        return MeshState(admission: admission, registry: registry)
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
