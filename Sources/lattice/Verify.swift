// Proves that a log is whole and that its checkpoints say what its records say.

import ActorSystem
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
            Reads the whole log, offline or beside a running node. Damage ends with status 4, a checkpoint whose digest \
            is not the one of the replay with status 1. What lies behind the last sealed segment is not in the hash \
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
        var checkpointsVerified: [UInt64] = []
        var checkpointsDiffering: [UInt64] = []
        var checkpointsUnreadable: [UInt64] = []
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
            case checkpointsVerified = "checkpoints_verified"
            case checkpointsDiffering = "checkpoints_differing"
            case checkpointsUnreadable = "checkpoints_unreadable"
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
        if let against { return try await AgainstReport.run(log, against, connection, prefix, asJSON: json) }
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
            tornBytes: report.tornByteCount)
        var heads: [SegmentHead] = []
        if let anchor, let anchorPublic {
            let check = try AnchorFinding.check(anchor, publicKeyFile: anchorPublic, report)
            finding.anchors = check.finding
            heads = check.heads
        }
        try verifyCheckpoints(&finding, heads)
        show(finding)
        let isEqual = finding.checkpointsDiffering.isEmpty && finding.digestsDiffering.isEmpty
        if !isEqual || finding.anchors?.isGood == false { throw CommandFailure(.failed) }
    }

    /// Each checkpoint against a fold from the log's beginning, or from the oldest checkpoint of a trimmed log.
    private func verifyCheckpoints(_ finding: inout Finding, _ heads: [SegmentHead]) throws {
        let reader = try log.reader()
        let store = log.checkpoints
        var state = MeshState()
        var isStarted = reader.firstRetained <= SequenceNumber(1)
        var rungs = (try? DigestLadder.read(store.directory + "/" + DigestLadder.fileName))?[...] ?? []
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
        for sequence in (try? store.list()) ?? [] where sequence <= reader.lastSequence {
            guard let checkpoint = try? store.load(sequence),
                let recorded = CheckpointCodec.state(of: checkpoint, indexKey: 0)
            else {
                finding.checkpointsUnreadable.append(sequence.rawValue)
                continue
            }
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
        if json { return Terminal.say(JSONText.encode(finding)) }
        Terminal.say("log \(finding.logID): \(finding.records) records in \(finding.segments) segments are whole")
        Terminal.say("  sequences \(finding.firstSequence) to \(finding.lastSequence)")
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
            Terminal.say("  checkpoint \(sequence) can not be read; a start ignores it")
        }
        for sequence in finding.checkpointsDiffering {
            Terminal.complain("  checkpoint \(sequence) DIFFERS from the replay: remove it and report this as a bug")
        }
    }
}
