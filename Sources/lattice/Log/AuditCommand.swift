// Who did what, when and why: the audit trail of a node or of a log on disk, with its place in the hash chain.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import Foundation
import SwiftProtobuf

/// `lattice audit`
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Who did what, when and why: the administrative events of the log.",
        discussion: """
            Deregistrations by somebody else than the service, settings, releases of the guard, the life of mirrors and \
            their allow-lists, erasures, claims to lead, contents that were read, copies that were exported. Who it was \
            is what the event's subject says, which NATS permissions enforce; where it names nobody, `unverified` is \
            shown, with the name that was claimed.

              lattice audit                                          all of it, the oldest first
              lattice audit --from 2026-11-24T08:00:00Z --actor alice
              lattice audit --kind audit --kind mirror.contents_erased --json
              lattice audit --follow
              lattice audit --offline --data ./copy                  a log on disk, without a node

            --verify proves the log of the data directory as `lattice verify` does (status 4: it is damaged) and says of \
            each event where it stands: in which sealed segment, with which SHA-256 of the chain, or behind its head. \
            With anchors that were kept elsewhere it says, too, whether the event is surely what was written; a \
            contradiction ends with status 1.

              lattice audit --verify --object checkout-next
              lattice audit --verify --anchor anchors.jsonl --anchor-public anchor.key.pub
            """)

    @Option(help: ArgumentHelp("The first record, or the earliest time.", valueName: "seq|time"))
    var from: PositionArgument?
    @Option(help: ArgumentHelp("The last record, or the latest time.", valueName: "seq|time")) var to: PositionArgument?
    @Option(help: "Only by this one, as it is shown: alice, unverified.") var actor = ""
    @Option(
        name: .customLong("kind"),
        help: ArgumentHelp("Only of this kind (mirror.added) or family (policy). Repeatable.", valueName: "kind"),
        completion: .list(EventType.allCases.filter(\.isAdministrative).map(\.action)))
    var kinds: [String] = []
    @Option(help: "Only what concerns this service.") var service = ""
    @Option(help: "Only what concerns this mirror, instance or node.") var object = ""
    @Option(help: "At most so many.") var limit: Int?
    @Flag(help: "Go on as events come.") var follow = false
    @Flag(help: "Read the log in --data instead of asking a node.") var offline = false
    @Flag(help: "Prove the log in --data, and say where each event stands in the chain.") var verify = false
    @Option(
        help: ArgumentHelp("With --verify: anchors, a JSON object a line; - is standard input.", valueName: "file"))
    var anchor: String?
    @Option(help: ArgumentHelp("The public key the anchors must be signed with.", valueName: "file"))
    var anchorPublic: String?
    @Flag(help: "One JSON object a line.") var json = false
    @OptionGroup(title: "Connection") var client: ClientOptions

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1") }
        if follow && (verify || offline || to != nil) {
            throw ValidationError("--follow asks a node, and has no end: not with --verify, --offline or --to")
        }
        if anchor != nil && !verify { throw ValidationError("--anchor goes with --verify") }
        if (anchor == nil) != (anchorPublic == nil) {
            throw ValidationError("--anchor and --anchor-public are given together")
        }
        let known = EventType.allCases.filter(\.isAdministrative).map(\.action)
        for kind in kinds where !known.contains(where: { $0 == kind || $0.hasPrefix(kind + ".") }) {
            throw ValidationError("--kind '\(kind)' is none of \(known.joined(separator: ", "))")
        }
    }

    private var query: AuditQuery {
        var query = AuditQuery()
        query.actor = actor
        query.actions = kinds
        query.service = service
        query.object = object
        switch from {
        case .sequence(let sequence): query.sequence = sequence
        case .time(let time): query.startTime = time
        case nil: break
        }
        switch to {
        case .sequence(let sequence): query.lastSequence = sequence
        case .time(let time): query.endTime = time
        case nil: break
        }
        return query
    }

    func run() async throws {
        let proof = verify ? try AuditProof(directory: client.data, anchor, anchorPublic) : nil
        var sheet = AuditSheet(isJSON: json, isStreamed: follow, proof: proof)
        if offline || verify {
            let trail = try DiskTrail(client.data)
            try await read(&sheet) { query throws(CommandFailure) in try trail.page(query) }
        } else {
            let node = try await client.connect(as: "lattice audit")
            do {
                try await read(&sheet) { query throws(CommandFailure) in
                    try await node.ask(.audit(.trail), query.encode())
                }
            } catch {
                await node.close()
                throw error
            }
            await node.close()
        }
        sheet.finish()
        if proof?.isContradicted == true { throw CommandFailure(.failed) }
    }

    /// Page after page; with --follow it asks again each second.
    private func read(
        _ sheet: inout AuditSheet, _ page: (AuditQuery) async throws(CommandFailure) -> [UInt8]
    ) async throws {
        var query = query
        var rest = limit ?? Int.max
        while rest > 0 {
            query.limit = UInt32(min(rest, 1_000))
            guard let answer = try? Lattice_V1_AuditAnswer(serializedBytes: try await page(query)) else {
                throw CommandFailure(.failed, "the answer is not understood; is the node of another version?")
            }
            for entry in answer.entries { sheet.add(entry) }
            rest -= answer.entries.count
            if answer.nextSequence > 0 {
                query.sequence = SequenceNumber(answer.nextSequence)
                query.index = answer.nextIndex
                continue
            }
            guard follow else { return }
            query.sequence = SequenceNumber(answer.asOf.sequence).next
            query.index = 0
            try await Task.sleep(for: .seconds(1))
        }
    }
}

/// The trail of a log on disk.
private struct DiskTrail {
    private let reader: LogReader
    private let asOf: AsOf

    init(_ directory: String) throws(CommandFailure) {
        (reader, asOf) = try readingLog { () throws(EventStoreError) in
            let reader = try LogReader.open(directory: directory)
            let last = reader.lastSequence
            let time = try last == .origin ? nil : reader.frame(at: last)?.recordedAt
            return (reader, AsOf(sequence: last, recordedAt: time ?? .zero))
        }
    }

    func page(_ query: AuditQuery) throws(CommandFailure) -> [UInt8] {
        try readingLog { () throws(EventStoreError) in
            try AuditTrail(reader: reader).answer(query, asOf: asOf).encode()
        }
    }
}

/// Where the records of a log stand in its chain, after it was walked through.
struct AuditProof {
    private let report: VerificationReport
    private let anchors: AnchorFinding?

    init(directory: String, _ anchor: String?, _ anchorPublic: String?) throws(CommandFailure) {
        let bar = ProgressBar("verify")
        report = try readingLog { () throws(EventStoreError) in
            try EventLog.verify(directory: directory) { bar.report($0.bytesDone, of: $0.bytesTotal) }
        }
        bar.finish()
        if let anchor, let anchorPublic {
            anchors = try AnchorFinding.check(anchor, publicKeyFile: anchorPublic, report).finding
        } else {
            anchors = nil
        }
    }

    /// Whether anchors were given and do not confirm the log.
    var isContradicted: Bool { anchors?.isGood == false }

    /// The segment of a record, by its file, and its hash in the chain; nil: it is not sealed yet.
    func place(of sequence: UInt64) -> (segment: String, hash: String?) {
        let segment = report.segments.last { $0.firstSequence.rawValue <= sequence }
        let name = segment?.path.split(separator: "/").last.map(String.init) ?? "none"
        return (name, segment?.hash?.description)
    }

    /// Whether a head that was kept elsewhere stands for a record.
    func isAnchored(_ sequence: UInt64) -> Bool { anchors?.anchoredSequence.map { sequence <= $0 } ?? false }

    func show() {
        Terminal.say("")
        Terminal.say("log \(report.logID): \(report.frameCount) records in \(report.segmentCount) segments are whole")
        if let hash = report.headHash, let last = report.headSequence {
            Terminal.say("  chained up to record \(last): \(hash)")
        }
        Terminal.say("  behind the chain's head: \(report.unanchoredFrameCount) records, proved by checksums alone")
        anchors?.show(lastSequence: report.lastSequence?.rawValue ?? 0)
    }
}
