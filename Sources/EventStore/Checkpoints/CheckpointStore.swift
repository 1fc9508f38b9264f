// Machine states on disk, each true for one sequence.

package import EventModel

/// The state of every machine at a sequence.
package struct Checkpoint: Hashable, Sendable {
    /// One machine's state.
    package struct Section: Hashable, Sendable {
        /// The machine's name.
        package var name: String
        /// The digest of the state.
        package var digest: Digest
        /// The encoded state.
        package var bytes: [UInt8]

        package init(name: String, digest: Digest, bytes: [UInt8]) {
            self.name = name
            self.digest = digest
            self.bytes = bytes
        }
    }

    /// The last record that was applied.
    package var sequence: SequenceNumber
    /// That record's time.
    package var recordedAt: Timestamp
    /// The version of the rules by which the state was folded.
    package var semanticsVersion: UInt32
    /// The version of the encoding of the sections.
    package var codecVersion: UInt32
    /// When the checkpoint was made.
    package var createdAt: Timestamp
    /// The record that it is true for; nil for version 1, which names a sequence only.
    package var proof: RecordProof?
    package var sections: [Section]

    package init(
        sequence: SequenceNumber, recordedAt: Timestamp, semanticsVersion: UInt32, codecVersion: UInt32,
        createdAt: Timestamp, proof: RecordProof? = nil, sections: [Section]
    ) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.semanticsVersion = semanticsVersion
        self.codecVersion = codecVersion
        self.createdAt = createdAt
        self.proof = proof
        self.sections = sections
    }
}

/// The checkpoints of one directory, which may be the log's own.
///
/// A checkpoint is written whole or not at all. One that is damaged or of an unknown version is passed over with a
/// warning. Used by one thread at a time.
package struct CheckpointStore: Sendable {
    /// The name of the directory within a data directory.
    package static let folder = "checkpoints"
    /// The directory.
    package let directory: String
    /// How many of the newest checkpoints `prune` keeps.
    package var keptCount: Int
    /// How many older ones `prune` keeps for journeys into the past, spread evenly over the log…
    package var olderCount: Int
    /// …and how many bytes they may have together.
    package var olderByteLimit: UInt64 = 1 << 30
    private let storage: any LogStorage

    /// A checkpoint that was asked for, and those that were passed over on the way.
    package struct Finding: Sendable {
        package var checkpoint: Checkpoint?
        /// Why newer checkpoints were not used.
        package var warnings: [EventStoreError]
    }

    package init(
        directory: String, keptCount: Int = 3, olderCount: Int = 0, storage: any LogStorage = PosixStorage()
    ) {
        precondition(keptCount > 0 && olderCount >= 0, "a store of checkpoints keeps at least one")
        self.directory = directory
        self.keptCount = keptCount
        self.olderCount = olderCount
        self.storage = storage
    }

    private func path(_ sequence: SequenceNumber) -> String { directory + "/" + FileName.checkpoint(sequence) }

    /// The sequences of the checkpoints there are, ascending, by their names alone.
    package func list() throws(EventStoreError) -> [SequenceNumber] {
        try storage.fileNames(in: directory).compactMap { FileName.checkpointSequence($0) }.sorted()
    }

    /// Writes a checkpoint; it is durable when this returns. An existing one of the same sequence is replaced.
    package func save(_ checkpoint: Checkpoint) throws(EventStoreError) {
        try save(checkpoint, sections: checkpoint.sections.map { section in { section } })
    }

    /// The same with sections that are made one after the other while it is written; those of `head` are ignored.
    package func save(_ head: Checkpoint, sections: [() -> Checkpoint.Section]) throws(EventStoreError) {
        try storage.createDirectory(directory)
        try storage.replaceAtomically(
            path(head.sequence), in: directory, with: CheckpointFormat.encode(head, sections))
    }

    /// The same for a state of a log: first its record is named and made durable with all before it, whatever the log's
    /// settings say. No checkpoint is ever of records that a crash could take away.
    package func save(
        _ head: Checkpoint, of reader: LogReader, sections: [() -> Checkpoint.Section]
    ) throws(EventStoreError) {
        guard let proof = try reader.proof(of: head.sequence) else {
            throw EventStoreError(.notFound, path: directory, detail: "the log has no record \(head.sequence)")
        }
        try reader.synchronize(through: head.sequence)
        var head = head
        head.proof = proof
        try save(head, sections: sections)
    }

    /// The same for sections that are there.
    package func save(_ checkpoint: Checkpoint, of reader: LogReader) throws(EventStoreError) {
        try save(checkpoint, of: reader, sections: checkpoint.sections.map { section in { section } })
    }

    /// What a checkpoint says of itself, without its sections. Reads its first bytes only; see `load` for what it throws.
    package func head(_ sequence: SequenceNumber) throws(EventStoreError) -> Checkpoint {
        let path = path(sequence)
        let bytes = try storage.open(path, .read).read(at: 0, count: CheckpointFormat.headByteMaximum)
        return try requireName(try CheckpointFormat.decodeHead(bytes, path: path).checkpoint, sequence, path)
    }

    private func requireName(
        _ checkpoint: Checkpoint, _ sequence: SequenceNumber, _ path: String
    ) throws(EventStoreError) -> Checkpoint {
        guard checkpoint.sequence == sequence else {
            throw EventStoreError(.checkpointDamaged, path: path, detail: "it is true for \(checkpoint.sequence)")
        }
        return checkpoint
    }

    /// The sequences, ascending, of those that were made of a log's records.
    package func list(of reader: LogReader) throws(EventStoreError) -> [SequenceNumber] {
        try list().filter { sequence in
            guard let head = try? head(sequence) else { return false }
            return (try? reader.fit(of: head)) == .fits
        }
    }

    /// Gives a checkpoint that cannot be used another name.
    package func setAside(_ sequence: SequenceNumber) throws(EventStoreError) -> String {
        let name = try storage.moveAside(path(sequence), in: directory, suffix: FileName.damagedSuffix)
        try storage.synchronizeDirectory(directory)
        return name
    }

    /// Reads one checkpoint. Throws `.checkpointDamaged`, `.formatUnknown` or `.notFound`.
    package func load(_ sequence: SequenceNumber) throws(EventStoreError) -> Checkpoint {
        let path = path(sequence)
        return try requireName(
            try CheckpointFormat.decode(try storage.open(path, .read).readAll(), path: path), sequence, path)
    }

    /// The newest checkpoint at or before a sequence that was made of the records of a log (nil: of any), that can be read,
    /// and that `accepts` (say, its versions) lets pass.
    package func newest(
        notAfter sequence: SequenceNumber = .end, of reader: LogReader?,
        where accepts: (Checkpoint) -> Bool = { _ in true }
    ) throws(EventStoreError) -> Finding {
        var finding = Finding(checkpoint: nil, warnings: [])
        for candidate in try list().reversed() where candidate <= sequence {
            do throws(EventStoreError) {
                if let reader { try requireFit(candidate, reader) }
                let checkpoint = try load(candidate)
                if accepts(checkpoint) {
                    finding.checkpoint = checkpoint
                    return finding
                }
                finding.warnings.append(
                    EventStoreError(
                        .formatUnknown(version: checkpoint.codecVersion), path: path(candidate),
                        detail: "semantics \(checkpoint.semanticsVersion), codec \(checkpoint.codecVersion)"))
            } catch {
                switch error.code {
                // A hole where its record lies is told by whoever has to read on from there.
                case .checkpointDamaged, .checkpointForeign, .formatUnknown, .notFound, .wrongKindOfFile, .hole:
                    finding.warnings.append(error)
                default: throw error
                }
            }
        }
        return finding
    }

    private func requireFit(_ sequence: SequenceNumber, _ reader: LogReader) throws(EventStoreError) {
        let detail: String
        switch try reader.fit(of: try head(sequence)) {
        case .fits: return
        case .ahead: detail = "the log ends before its record"
        case .behind: detail = "the log was trimmed beyond its record"
        case .unproven: detail = "version 1 does not name its record; the state is folded from the log"
        case .foreign(let clause): detail = clause
        }
        throw EventStoreError(.checkpointForeign, path: path(sequence), detail: detail)
    }

    /// Removes old checkpoints and returns their sequences: all but the `keptCount` newest that can be read, `olderCount`
    /// of those before them, and never the newest readable one at or before `needed`, from which the log's first retained
    /// records are replayed. Of the older ones those go that leave the smallest gaps.
    @discardableResult
    package func prune(neededAtOrBefore needed: SequenceNumber? = nil) throws(EventStoreError) -> [SequenceNumber] {
        var kept = 0
        var needIsMet = needed == nil
        var (removed, older): ([SequenceNumber], [SequenceNumber]) = ([], [])
        var newest: SequenceNumber?
        for candidate in try list().reversed() {
            let serves = needed.map { candidate <= $0 } ?? false
            // Once enough are kept, what is older need not be read to be removed.
            if kept >= keptCount && (needIsMet || !serves) {
                // Nothing can be folded from one that lies before the first record.
                if serves { removed.append(candidate) } else { older.insert(candidate, at: 0) }
                continue
            }
            guard (try? load(candidate)) != nil else { continue }
            kept += 1
            newest = candidate
            if serves { needIsMet = true }
        }
        removed += try thinned(older, before: newest ?? .end, behind: needed ?? .origin)
        removed.sort(by: >)
        for candidate in removed { try storage.remove(path(candidate)) }
        if !removed.isEmpty { try storage.synchronizeDirectory(directory) }
        return removed
    }

    /// Which of the older checkpoints are too many: one after the other the one between whose neighbours the way is
    /// shortest.
    private func thinned(
        _ older: [SequenceNumber], before end: SequenceNumber, behind begin: SequenceNumber
    ) throws(EventStoreError) -> [SequenceNumber] {
        var rest: [(sequence: SequenceNumber, bytes: UInt64)] = []
        for sequence in older {
            rest.append((sequence, olderCount == 0 ? 0 : try storage.open(path(sequence), .read).byteCount()))
        }
        var removed: [SequenceNumber] = []
        while !rest.isEmpty && (rest.count > olderCount || rest.reduce(0) { $0 + $1.bytes } > olderByteLimit) {
            let gaps = rest.indices.map { index -> UInt64 in
                let previous = index == 0 ? begin : rest[index - 1].sequence
                let next = index == rest.count - 1 ? end : rest[index + 1].sequence
                return next.rawValue - min(previous, next).rawValue
            }
            let index = gaps.indices.min { gaps[$0] < gaps[$1] } ?? 0
            removed.append(rest.remove(at: index).sequence)
        }
        return removed
    }
}
