// Folds a log anew, without a node, and says what the state is.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// What offline commands read: a log and its checkpoints.
struct LogOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The data directory of `lattice serve`.", valueName: "dir"), completion: .directory)
    var data = "./lattice-data"

    func reader() throws(CommandFailure) -> LogReader {
        let directory = data
        return try readingLog { () throws(EventStoreError) in try LogReader.open(directory: directory) }
    }

    var checkpoints: CheckpointStore { CheckpointStore(directory: data + "/" + CheckpointStore.folder) }
}

/// `lattice replay`
struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fold the log offline and print the digest of every state machine.",
        discussion: """
            Needs no node and no NATS, and works beside a running node. The digests are the ones that `lattice query \
            digest` answers at the same sequence, on every machine and in every process.

              lattice replay                                  the newest state
              lattice replay --at 1000                        after record 1000
              lattice replay --at 2026-11-24T08:00:00Z        after the last record not later than that
              lattice replay --from-zero                      without the help of checkpoints
            """)

    @OptionGroup var log: LogOptions

    @Option(help: ArgumentHelp("A sequence or a moment (RFC 3339); default: the end.", valueName: "seq|time"))
    var at: PositionArgument?

    @Flag(help: "Begin at the first record instead of at the nearest checkpoint.")
    var fromZero = false

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() async throws {
        let reader = try log.reader()
        let traveller = TimeTraveller(reader: reader, checkpoints: log.checkpoints)
        let finding: Finding
        do throws(QueryError) {
            let target = try traveller.sequence(for: at?.position ?? .now)
            guard target <= reader.lastSequence else {
                throw QueryError(.notYet, "the log ends at \(reader.lastSequence)", sequence: reader.lastSequence)
            }
            finding = try fold(traveller, reader, through: target)
        } catch {
            throw CommandFailure(error)
        }
        show(finding)
    }

    struct Finding: Encodable {
        struct Machine: Encodable {
            var machine: String
            var digest: String
        }

        var sequence: UInt64
        var recordedAt: String
        var machines: [Machine]
        var records: UInt64
        var seconds: Double
        var recordsPerSecond: UInt64
        var fromZero: Bool

        enum CodingKeys: String, CodingKey {
            case sequence, machines, records, seconds
            case recordedAt = "recorded_at"
            case recordsPerSecond = "records_per_second"
            case fromZero = "from_zero"
        }
    }

    private func fold(
        _ traveller: TimeTraveller, _ reader: LogReader, through target: SequenceNumber
    ) throws(QueryError) -> Finding {
        let bar = ProgressBar("replay")
        defer { bar.finish() }
        let start = fromZero ? SequenceNumber.origin : nearestCheckpoint(target, reader)
        var state = try traveller.state(at: target, fromZero: fromZero) { sequence in
            bar.report(sequence.rawValue, of: target.rawValue)
            return true
        }
        let seconds = bar.seconds
        // Sequences have gaps in streams only; there this is an upper bound.
        let first = max(start.next, reader.firstRetained)
        let records = target < first ? 0 : target.rawValue - first.rawValue + 1
        let moment = state.moment
        return Finding(
            sequence: moment.sequence.rawValue, recordedAt: RFC3339.text(moment.recordedAt),
            machines: state.digests().map { .init(machine: $0.machine, digest: $0.digest.description) },
            records: records, seconds: seconds, recordsPerSecond: UInt64(Double(records) / max(seconds, 1e-9)),
            fromZero: fromZero)
    }

    private func nearestCheckpoint(_ target: SequenceNumber, _ reader: LogReader) -> SequenceNumber {
        ((try? log.checkpoints.list(of: reader)) ?? []).last { $0 <= target } ?? .origin
    }

    private func show(_ finding: Finding) {
        if json { return Terminal.say(JSONOutput.encode(finding)) }
        var table = TextTable("MACHINE", "DIGEST")
        for machine in finding.machines { table.add(machine.machine, machine.digest) }
        table.show()
        let milliseconds = Int(finding.seconds * 1_000)
        Terminal.say("as of sequence \(finding.sequence), \(finding.recordedAt)")
        Terminal.say("\(finding.records) records in \(milliseconds) ms, \(finding.recordsPerSecond) records/s")
    }
}
