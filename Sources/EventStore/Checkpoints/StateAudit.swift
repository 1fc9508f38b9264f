// Holds what lies beside a log against it: checkpoints and digests that are not of its records must not become its state.

package import EventModel

/// A file beside the log that does not go with it.
package struct UnfitState: Hashable, Sendable {
    /// What is wrong with it.
    package enum Kind: Hashable, Sendable {
        /// It was made of records that this log does not have, or has others of.
        case foreign
        /// The log ends before its record.
        case ahead
        /// It does not name its record (version 1), and the log has all of them.
        case unproven
        /// Its bytes are wrong, whatever it was made of.
        case damaged
    }

    package var kind: Kind
    /// The file.
    package var path: String
    /// The record it names, or the last one; nil where it cannot be read.
    package var sequence: SequenceNumber?
    /// One clause for the operator.
    package var reason: String
    /// The name it was given; nil: it is where it was.
    package var newPath: String?

    /// Not the file of digests.
    package var isCheckpoint: Bool { !path.hasSuffix("/" + DigestLadder.fileName) }
}

/// What a look at the checkpoints and digests of a data directory found.
///
/// Nothing is read but headers, the end of the file of digests, and one record for each: the time does not grow with the
/// log. Nothing is ever deleted: what does not fit gets a name that ends in `.foreign` or `.damaged`.
package struct StateAudit: Sendable {
    private let directory: String
    private let storage: any LogStorage
    /// What does not fit, or cannot be read.
    package private(set) var unfit: [UnfitState] = []
    /// The furthest record that something was made of and that the log does not have; nil: there is none.
    package private(set) var missingThrough: SequenceNumber?
    /// The file that says so.
    package private(set) var witness: String?
    /// Rungs of the file of digests that go with the log, if it is to be replaced.
    private var keptRungs: [LadderRung]?

    /// Looks at what lies beside the log of a data directory.
    package init(
        of dataDirectory: String, _ reader: LogReader, storage: any LogStorage = PosixStorage()
    ) throws(EventStoreError) {
        directory = dataDirectory + "/" + CheckpointStore.folder
        self.storage = storage
        try look(reader)
        guard missingThrough != nil else { return }
        // A node that runs may have written both since the reader looked, first the records and then what was made of them.
        try reader.refresh()
        (unfit, missingThrough, witness, keptRungs) = ([], nil, nil, nil)
        try look(reader)
    }

    /// Takes everything that was made of records behind one for unfit, whatever the log has there: a repair is about to
    /// change what comes before them.
    init(
        of dataDirectory: String, behind limit: SequenceNumber, storage: any LogStorage
    ) throws(EventStoreError) {
        directory = dataDirectory + "/" + CheckpointStore.folder
        self.storage = storage
        let reason = "the log was damaged before its record"
        for sequence in try CheckpointStore(directory: directory, storage: storage).list() where sequence > limit {
            note(.foreign, directory + "/" + FileName.checkpoint(sequence), sequence, reason)
        }
        let path = directory + "/" + DigestLadder.fileName
        do throws(EventStoreError) {
            let rungs = try DigestLadder.read(path, storage: storage)
            guard let last = rungs.last, last.sequence > limit else { return }
            keptRungs = rungs.filter { $0.sequence <= limit }
            note(.foreign, path, last.sequence, reason)
        } catch {
            try note(error, path)
        }
    }

    private mutating func look(_ reader: LogReader) throws(EventStoreError) {
        let store = CheckpointStore(directory: directory, storage: storage)
        for sequence in try store.list() { try look(store, sequence, reader) }
        try lookAtLadder(reader)
    }

    /// What to say where records are missing; nil: none are.
    package func missing(_ reader: LogReader) -> EventStoreError? {
        guard let missingThrough, let witness else { return nil }
        return EventStoreError(
            .recordsMissing(through: missingThrough), path: witness, afterSequence: reader.lastSequence,
            detail: "the log ends at \(reader.lastSequence), and this file was made of record \(missingThrough)")
    }

    // MARK: Checkpoints

    private mutating func look(
        _ store: CheckpointStore, _ sequence: SequenceNumber, _ reader: LogReader
    ) throws(EventStoreError) {
        let path = directory + "/" + FileName.checkpoint(sequence)
        do throws(EventStoreError) {
            note(try reader.fit(of: try store.head(sequence)), path, sequence, reader)
        } catch {
            try note(error, path)
        }
    }

    private mutating func note(_ error: EventStoreError, _ path: String) throws(EventStoreError) {
        switch error.code {
        case .checkpointDamaged, .wrongKindOfFile: note(.damaged, path, nil, error.detail ?? "\(error.code)")
        // A newer version wrote it, or it has just gone, or a hole in the log will be told by whoever reads there.
        case .formatUnknown, .notFound, .hole: break
        default: throw error
        }
    }

    private mutating func note(
        _ fit: StateFit, _ path: String, _ sequence: SequenceNumber, _ reader: LogReader
    ) {
        switch fit {
        case .fits, .behind: break
        case .unproven:
            note(.unproven, path, sequence, "version 1 does not name its record; the state is folded from the log")
        case .foreign(let clause): note(.foreign, path, sequence, clause)
        case .ahead:
            note(.ahead, path, sequence, "the log ends before it, at \(reader.lastSequence)")
            if missingThrough.map({ $0 < sequence }) ?? true { (missingThrough, witness) = (sequence, path) }
        }
    }

    private mutating func note(
        _ kind: UnfitState.Kind, _ path: String, _ sequence: SequenceNumber?, _ reason: String
    ) {
        unfit.append(UnfitState(kind: kind, path: path, sequence: sequence, reason: reason))
    }

    // MARK: Digests

    private mutating func lookAtLadder(_ reader: LogReader) throws(EventStoreError) {
        let path = directory + "/" + DigestLadder.fileName
        do throws(EventStoreError) {
            if try firstUnfit(DigestLadder.tail(path, storage: storage), reader) == nil { return }
            // Rungs are in order, so that those that fit come first: the whole file has to be seen.
            let rungs = try DigestLadder.read(path, storage: storage)
            guard let first = try firstUnfit(rungs, reader), let last = rungs.last else { return }
            keptRungs = Array(rungs[..<first])
            let clause = "\(rungs.count - first) of its digests are not of this log's records"
            let isAhead = last.sequence > reader.lastSequence
            note(isAhead ? .ahead : .foreign(clause), path, last.sequence, reader)
        } catch {
            try note(error, path)
        }
    }

    /// The position of the first rung behind the last one that fits; nil if the last one fits, or there is none.
    private func firstUnfit(
        _ rungs: [LadderRung], _ reader: LogReader
    ) throws(EventStoreError) -> Int? {
        var position = rungs.count
        while position > 0 {
            switch try reader.fit(of: rungs[position - 1]) {
            case .fits, .behind: return position == rungs.count ? nil : position
            default: position -= 1
            }
        }
        return rungs.isEmpty ? nil : 0
    }

    // MARK: Setting aside

    /// Gives every unfit file a name that nothing reads; what of the digests fits is kept. The log's lock must be held.
    package mutating func setAside() throws(EventStoreError) {
        if unfit.isEmpty { return }
        for index in unfit.indices where unfit[index].newPath == nil {
            let path = unfit[index].path
            let suffix = unfit[index].kind == .damaged ? FileName.damagedSuffix : FileName.foreignSuffix
            do throws(EventStoreError) {
                unfit[index].newPath = try storage.moveAside(path, in: directory, suffix: suffix)
            } catch {
                guard error.code == .notFound else { throw error }
            }
        }
        if let keptRungs, !keptRungs.isEmpty {
            try storage.replaceAtomically(
                directory + "/" + DigestLadder.fileName, in: directory, with: DigestLadder.encode(keptRungs))
        }
        keptRungs = nil
        try storage.synchronizeDirectory(directory)
    }
}
