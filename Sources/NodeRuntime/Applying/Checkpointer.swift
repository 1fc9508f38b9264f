// Writes the state of every machine beside the log, so that a start need not read all of it.

package import EventModel
package import EventStore
package import StateMachines

/// Checkpoints as the machines' sections, and back.
package enum CheckpointCodec {
    /// The version of the sections' encoding.
    package static let version: UInt32 = 2

    /// Writes a state of a log, which is made durable up to the state's record first; the machines' sections are encoded one
    /// after the other, so that one at a time is in memory.
    package static func save(
        _ state: MeshState, of reader: LogReader, to store: CheckpointStore, createdAt: Timestamp
    ) throws(EventStoreError) {
        var state = state
        let digests = state.digests()
        let encoders: [(name: String, encode: () -> [UInt8])] = [
            (RecordFilter.name, state.admission.encodeCheckpoint), (TrafficMirror.name, state.mirror.encodeCheckpoint),
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
        try store.save(head, of: reader, sections: sections)
        let rung = LadderRung(sequence: moment.sequence, recordedAt: moment.recordedAt, machines: digests)
        try DigestLadder.append(rung, in: store.directory)
    }

    /// Whether this version can read a checkpoint.
    package static func canRead(_ checkpoint: Checkpoint) -> Bool {
        checkpoint.codecVersion == version && checkpoint.semanticsVersion <= RecordFilter.supportedSemantics
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
            let admission = section(RecordFilter.name, RecordFilter.init(checkpoint:), { $0.digest() }),
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
    /// What a search for a state found.
    package struct StateFinding: Sendable {
        package var state: MeshState?
        /// What was passed over on the way, and why.
        package var warnings: [EventStoreError] = []
        /// Those among them whose bytes are wrong.
        package var damaged: [SequenceNumber] = []
    }

    /// The newest state of a log at or before a sequence: one that was made of its records, whole, with its digests.
    package func newestState(
        of reader: LogReader, notAfter sequence: SequenceNumber = .end, indexKey: UInt64
    ) throws(EventStoreError) -> StateFinding {
        var found = StateFinding()
        var limit = sequence
        while true {
            let finding = try newest(notAfter: limit, of: reader, where: CheckpointCodec.canRead)
            for warning in finding.warnings { found.pass(warning) }
            guard let checkpoint = finding.checkpoint else { return found }
            if let state = CheckpointCodec.state(of: checkpoint, indexKey: indexKey) {
                found.state = state
                return found
            }
            found.warnings.append(
                EventStoreError(
                    .checkpointDamaged, path: directory, afterSequence: checkpoint.sequence,
                    detail: "the checkpoint at \(checkpoint.sequence) does not have the digest that it names"))
            found.damaged.append(checkpoint.sequence)
            guard checkpoint.sequence > .origin else { return found }
            limit = SequenceNumber(checkpoint.sequence.rawValue - 1)
        }
    }
}

extension CheckpointStore.StateFinding {
    /// Remembers one that was passed over; its name says which it is.
    fileprivate mutating func pass(_ warning: EventStoreError) {
        warnings.append(warning)
        guard warning.code == .checkpointDamaged, let path = warning.path else { return }
        let digits = path.split(separator: "/").last?.filter(\.isNumber) ?? ""
        if let sequence = UInt64(digits) { damaged.append(SequenceNumber(sequence)) }
    }
}
