// Proves that a log is whole and that its checkpoints say what its records say.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// Moments as text, for the files that do not know the node.
enum RFC3339Text {
    static func of(_ time: Timestamp) -> String { RFC3339.text(time) }
}

/// `lattice verify`
struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prove the log: checksums, order, hash chain, and every checkpoint against a replay.",
        discussion: """
            Reads the whole log, offline or beside a running node. Damage ends with status 4, also damage to a checkpoint or \
            to the kept digests, and a log that ends before what was made of it. A checkpoint whose digest is not the one \
            of the replay, or that was made of other records than these, ends with status 1. What lies behind the last sealed segment is not in the hash \
            chain yet; the report says how much that is.

              lattice verify
              lattice verify --data /var/lib/lattice --json

            With --anchor the log is held against signed heads that were kept elsewhere (`lattice anchors`): a log that \
            somebody has written anew, with correct checksums and hashes, is found, and so is one that was cut short. \
            A contradiction, a wrong signature, or no anchor of this log at all ends with status 1.

              lattice verify --anchor anchors.jsonl --anchor-public anchor.key.pub

            --against compares digests, O(log n) of them, with another log's directory, with a node, or with a file of \
            digests, and finds the first record at which the two part; that, too, ends with status 1. A file knows some \
            positions only; `lattice log digests --every 1 --output FILE` writes one that knows all between two points.

              lattice verify --against /mnt/replica-2/lattice-data
              lattice verify --against nats://10.0.0.7:4222
              lattice verify --against digests-of-0.9.txt
            """)

    @OptionGroup var log: LogOptions

    @Option(help: ArgumentHelp("Anchors, a JSON object a line; - is standard input.", valueName: "file"))
    var anchor: String?

    @Option(help: ArgumentHelp("The public key the anchors must be signed with.", valueName: "file"))
    var anchorPublic: String?

    @Option(help: ArgumentHelp("Find where this log parts from another one.", valueName: "dir|nats-url|file"))
    var against: String?

    @OptionGroup(title: "Connection, for --against a node") var connection: ConnectionOptions

    @Option(help: ArgumentHelp("The first token of that node's subjects.", valueName: "text")) var prefix = "lattice"

    @Flag(help: "Print one line of JSON.")
    var json = false

    struct Finding: Encodable {
        var logID: String
        var records: UInt64
        var segments: Int
        var firstSequence: UInt64
        var lastSequence: UInt64
        var headHash: String?
        var headSequence: UInt64?
        var unanchoredRecords: UInt64
        var unanchoredBytes: UInt64
        var tornBytes: UInt64
        /// Between the first and the last record.
        var missingSequences: UInt64
        var checkpointsVerified: [UInt64] = []
        var checkpointsDiffering: [UInt64] = []
        /// Of a version that this program does not read.
        var checkpointsUnreadable: [UInt64] = []
        var checkpointsDamaged: [UInt64] = []
        /// Made of other records.
        var checkpointsForeign: [UInt64] = []
        /// What is wrong with the file of kept digests.
        var digestsDamaged: String?
        /// The record through which something beside the log was made of, and which the log does not reach.
        var missingThrough: UInt64?
        var anchors: AnchorFinding?
        var digestsVerified = 0
        var digestsDiffering: [UInt64] = []

        enum CodingKeys: String, CodingKey {
            case records, segments, anchors
            case logID = "log_id"
            case firstSequence = "first_sequence"
            case lastSequence = "last_sequence"
            case headHash = "head_hash"
            case headSequence = "head_sequence"
            case unanchoredRecords = "unanchored_records"
            case unanchoredBytes = "unanchored_bytes"
            case tornBytes = "torn_bytes"
            case missingSequences = "missing_sequences"
            case checkpointsVerified = "checkpoints_verified"
            case checkpointsDiffering = "checkpoints_differing"
            case checkpointsUnreadable = "checkpoints_unreadable"
            case checkpointsDamaged = "checkpoints_damaged"
            case checkpointsForeign = "checkpoints_foreign"
            case digestsDamaged = "digests_damaged"
            case missingThrough = "missing_through"
            case digestsVerified = "digests_verified"
            case digestsDiffering = "digests_differing"
        }
    }

    func validate() throws {
        if (anchor == nil) != (anchorPublic == nil) {
            throw ValidationError(
                "--anchor and --anchor-public are given together: a signature proves what its key does")
        }
    }

    func run() async throws {
        if let against { return try await DivergenceReport.run(log, against, connection, prefix, asJSON: json) }
        let directory = log.data
        let bar = ProgressBar("verify")
        let report = try readingLog { () throws(EventStoreError) in
            try EventLog.verify(directory: directory) { bar.report($0.bytesDone, of: $0.bytesTotal) }
        }
        bar.finish()
        var finding = Finding(
            logID: report.logID.description, records: report.frameCount, segments: report.segmentCount,
            firstSequence: report.firstSequence?.rawValue ?? 0, lastSequence: report.lastSequence?.rawValue ?? 0,
            headHash: report.headHash?.description, headSequence: report.headSequence?.rawValue,
            unanchoredRecords: report.unanchoredFrameCount, unanchoredBytes: report.unanchoredByteCount,
            tornBytes: report.tornByteCount, missingSequences: report.missingSequences)
        var heads: [SegmentHead] = []
        if let anchor, let anchorPublic {
            let check = try AnchorFinding.check(anchor, publicKeyFile: anchorPublic, report)
            finding.anchors = check.finding
            heads = check.heads
        }
        try verifyCheckpoints(&finding, heads)
        show(finding)
        if finding.isDamaged { throw CommandFailure(.logDamaged) }
        let isEqual = finding.checkpointsDiffering.isEmpty && finding.digestsDiffering.isEmpty
        if !isEqual || !finding.checkpointsForeign.isEmpty || finding.anchors?.isGood == false {
            throw CommandFailure(.failed)
        }
    }

    /// What lies beside the log and does not go with it.
    private func audit(_ reader: LogReader, _ finding: inout Finding) throws {
        let directory = log.data
        let audit = try readingLog { () throws(EventStoreError) in try StateAudit(of: directory, reader) }
        finding.missingThrough = audit.missingThrough?.rawValue
        finding.checkpointsForeign = audit.unfit.filter { $0.kind == .foreign && $0.isCheckpoint }
            .compactMap { $0.sequence?.rawValue }
    }

    /// The digests that were kept; none of a file that is damaged, which is a finding.
    private func keptDigests(_ store: CheckpointStore, _ finding: inout Finding) throws -> [LadderRung] {
        do throws(EventStoreError) {
            return try DigestLadder.read(store.directory + "/" + DigestLadder.fileName)
        } catch {
            switch error.code {
            case .notFound, .formatUnknown: break
            case .checkpointDamaged, .wrongKindOfFile: finding.digestsDamaged = error.detail ?? "\(error.code)"
            default: throw CommandFailure(error)
            }
            return []
        }
    }

    /// The state of a checkpoint; nil where there is none that can be compared, and then that is noted.
    private func readableState(_ sequence: SequenceNumber, _ finding: inout Finding) throws -> MeshState? {
        if finding.checkpointsForeign.contains(sequence.rawValue) { return nil }
        do throws(EventStoreError) {
            let checkpoint = try log.checkpoints.load(sequence)
            if let state = CheckpointCodec.state(of: checkpoint, indexKey: 0) { return state }
            if CheckpointCodec.canRead(checkpoint) {
                finding.checkpointsDamaged.append(sequence.rawValue)
            } else {
                finding.checkpointsUnreadable.append(sequence.rawValue)
            }
        } catch {
            switch error.code {
            case .notFound: break
            case .formatUnknown: finding.checkpointsUnreadable.append(sequence.rawValue)
            case .checkpointDamaged, .wrongKindOfFile: finding.checkpointsDamaged.append(sequence.rawValue)
            default: throw CommandFailure(error)
            }
        }
        return nil
    }

    /// Each checkpoint against a fold from the log's beginning, or from the oldest checkpoint of a trimmed log.
    private func verifyCheckpoints(_ finding: inout Finding, _ heads: [SegmentHead]) throws {
        let reader = try log.reader()
        let store = log.checkpoints
        var state = MeshState()
        var isStarted = reader.firstRetained <= SequenceNumber(1)
        try audit(reader, &finding)
        var rungs = try keptDigests(store, &finding)[...]
        var heads = heads.sorted { $0.sequence < $1.sequence }[...]
        /// Digests of anchors up to a sequence against the replay, where there is one.
        func verifyHeads(through last: SequenceNumber) throws {
            while let head = heads.first, head.sequence <= last {
                heads.removeFirst()
                guard isStarted, head.sequence >= state.moment.sequence else { continue }
                try verify(&rungs, through: head.sequence, &state, reader, &finding)
                try fold(&state, reader, through: head.sequence)
                finding.anchors?.note(head, state.digests())
            }
        }
        let sequences = try readingLog { () throws(EventStoreError) in try store.list() }
        for sequence in sequences where sequence <= reader.lastSequence {
            guard let recorded = try readableState(sequence, &finding) else { continue }
            try verifyHeads(through: sequence)
            guard isStarted else {
                // Nothing before it is left: it is what the rest is held against.
                state = recorded
                isStarted = true
                continue
            }
            try verify(&rungs, through: sequence, &state, reader, &finding)
            try fold(&state, reader, through: sequence)
            var copy = recorded
            if copy.digests() == state.digests() {
                finding.checkpointsVerified.append(sequence.rawValue)
            } else {
                finding.checkpointsDiffering.append(sequence.rawValue)
            }
        }
        try verifyHeads(through: reader.lastSequence)
        if isStarted { try verify(&rungs, through: reader.lastSequence, &state, reader, &finding) }
    }

    /// The digests that were kept from the state's position through another one.
    private func verify(
        _ rungs: inout ArraySlice<LadderRung>, through last: SequenceNumber, _ state: inout MeshState,
        _ reader: LogReader, _ finding: inout Finding
    ) throws {
        while let rung = rungs.first, rung.sequence <= last {
            rungs.removeFirst()
            if rung.sequence < state.moment.sequence
                || state.moment.sequence == .origin && rung.sequence < reader.firstRetained
            {
                continue
            }
            try fold(&state, reader, through: rung.sequence)
            if rung.machines == state.digests() {
                finding.digestsVerified += 1
            } else {
                finding.digestsDiffering.append(rung.sequence.rawValue)
            }
        }
    }

    private func fold(_ state: inout MeshState, _ reader: LogReader, through last: SequenceNumber) throws {
        let bar = ProgressBar("checkpoints")
        defer { bar.finish() }
        let start = state.moment.sequence.next
        if start > last { return }
        var cursor = try readingLog { () throws(EventStoreError) in try reader.frames(from: start, through: last) }
        while let batch = try readingLog({ () throws(EventStoreError) in try cursor.nextBatch() }) {
            for frame in batch {
                let record = try readingLog { () throws(EventStoreError) in try reader.record(of: frame) }
                if case .unsupportedSemantics(let version) = state.apply(record).verdict {
                    throw CommandFailure(TimeTraveller.unsupported(version, at: frame.sequence))
                }
            }
            bar.report(batch.lastSequence?.rawValue ?? 0, of: last.rawValue)
        }
    }

    private func show(_ finding: Finding) {
        if json { return Terminal.say(JSONOutput.encode(finding)) }
        Terminal.say("log \(finding.logID): \(finding.records) records in \(finding.segments) segments are whole")
        Terminal.say("  sequences \(finding.firstSequence) to \(finding.lastSequence)")
        if finding.missingSequences > 0 {
            Terminal.say(
                "  \(finding.missingSequences) of them have no record: a repair could not keep them, or a stream has gaps there"
            )
        }
        if let hash = finding.headHash { Terminal.say("  head of the hash chain: \(hash)") }
        Terminal.say(
            "  behind the chain's head: \(finding.unanchoredRecords) records, \(finding.unanchoredBytes) bytes")
        finding.anchors?.show(lastSequence: finding.lastSequence)
        if finding.tornBytes > 0 {
            Terminal.say("  torn tail: \(finding.tornBytes) bytes that the next start cuts off")
        }
        Terminal.say("  checkpoints equal to a replay: \(finding.checkpointsVerified.count)")
        Terminal.say("  kept digests equal to a replay: \(finding.digestsVerified)")
        for sequence in finding.digestsDiffering {
            Terminal.complain(
                "  the digest kept at \(sequence) DIFFERS from the replay: see `lattice verify --against`")
        }
        for sequence in finding.checkpointsUnreadable {
            Terminal.say("  checkpoint \(sequence) is of another version; a start ignores it")
        }
        for sequence in finding.checkpointsDamaged {
            Terminal.complain("  checkpoint \(sequence) is DAMAGED; the next start sets it aside")
        }
        for sequence in finding.checkpointsForeign {
            Terminal.complain("  checkpoint \(sequence) was made of OTHER RECORDS; the next start sets it aside")
        }
        if let damage = finding.digestsDamaged {
            Terminal.complain("  the kept digests are DAMAGED: \(damage); the next start sets them aside")
        }
        if let last = finding.missingThrough {
            Terminal.complain(
                "  RECORDS ARE MISSING: something was made of record \(last), and the log ends at "
                    + "\(finding.lastSequence); see `lattice log repair`")
        }
        for sequence in finding.checkpointsDiffering {
            Terminal.complain("  checkpoint \(sequence) DIFFERS from the replay: remove it and report this as a bug")
        }
    }
}

extension Verify.Finding {
    /// Bytes are not what was written, or records are gone.
    fileprivate var isDamaged: Bool {
        !checkpointsDamaged.isEmpty || digestsDamaged != nil || missingThrough != nil
    }
}
