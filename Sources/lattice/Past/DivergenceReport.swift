// Where this log parts from another one: `lattice verify --against`.

import NodeRuntime
import EventModel
import EventStore
import Foundation
import Logging
import Messaging
import NATSMessaging
import StateMachines
import SwiftProtobuf

/// Compares, and says what was found.
enum DivergenceReport {
    private struct Facts: Encodable {
        struct Machine: Encodable {
            var machine: String
            var own: String
            var other: String
        }

        var isEqual: Bool
        var lastEqual: UInt64
        var firstDifferent: UInt64?
        var isExact: Bool
        var machines: [Machine]
        var comparisons: Int
    }

    static func run(
        _ log: LogOptions, _ target: String, _ connection: ConnectionOptions, _ prefix: String, asJSON: Bool
    ) async throws {
        let past = try PastLog(log.data)
        let reference = try await reference(target, connection, prefix)
        let bar = ProgressBar("compare")
        var search = DivergenceSearch(past.timeline, reference)
        let parting: Divergence
        do throws(QueryError) {
            parting = try await search.run { bar.report($0.rawValue, of: past.reader.lastSequence.rawValue) }
        } catch {
            throw CommandFailure(error)
        }
        bar.finish()
        show(parting, past, asJSON)
        if parting.firstDifferent != nil { throw CommandFailure(.failed) }
    }

    private static func reference(
        _ target: String, _ connection: ConnectionOptions, _ prefix: String
    ) async throws -> any DigestReference {
        if target.contains("://") { return try await NodeReference.connect(target, connection, prefix) }
        guard FileManager.default.fileExists(atPath: target) else {
            throw CommandFailure(.failed, "\(Terminal.escaped(target)) is not there")
        }
        let values = try? URL(fileURLWithPath: target).resourceValues(forKeys: [.isDirectoryKey])
        if values?.isDirectory == true { return LogReference(try PastLog(target).timeline) }
        return LadderReference(try ladder(target))
    }

    /// A file of digests that somebody handed over: what is wrong with it says nothing of the log.
    private static func ladder(_ path: String) throws(CommandFailure) -> [LadderRung] {
        let name = Terminal.escaped(path)
        guard let content = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.failed, "\(name) can not be read")
        }
        let bytes = Array(content)
        let decoded: (rungs: [LadderRung], end: Int)
        do throws(EventStoreError) {
            decoded = try DigestLadder.decode(bytes, path: path)
        } catch {
            if case .formatUnknown = error.code { throw CommandFailure(error) }
            throw CommandFailure(
                .failed,
                "\(name) is no file of digests as `lattice log digests` writes them: \(error.detail ?? "\(error.code)")"
            )
        }
        if decoded.rungs.isEmpty {
            throw CommandFailure(.failed, "\(name) has no digests; `lattice log digests` writes some")
        }
        if decoded.end < bytes.count {
            Terminal.complain("\(name) ends within a line: compared is what stands before it")
        }
        return decoded.rungs
    }

    private static func show(_ parting: Divergence, _ past: PastLog, _ asJSON: Bool) {
        if asJSON {
            let machines = parting.machines.map {
                Facts.Machine(machine: $0.machine, own: $0.own.description, other: $0.other.description)
            }
            let facts = Facts(
                isEqual: parting.firstDifferent == nil, lastEqual: parting.lastEqual.rawValue,
                firstDifferent: parting.firstDifferent?.rawValue, isExact: parting.isExact, machines: machines,
                comparisons: parting.comparisonCount)
            return Terminal.say(JSONOutput.encode(facts, isSnakeCase: true))
        }
        guard let different = parting.firstDifferent else {
            return Terminal.say("equal through record \(parting.lastEqual), the last one that both have")
        }
        if parting.isExact {
            Terminal.say("they part at record \(different)")
        } else {
            Terminal.say("they part behind record \(parting.lastEqual), at record \(different) at the latest")
            Terminal.say(
                "  exactly: `lattice log digests --from \(max(parting.lastEqual, SequenceNumber(1))) --to \(different) --every 1 --output FILE` there, "
                    + "`--against FILE` here")
        }
        var table = TextTable("MACHINE", "HERE", "THERE")
        for machine in parting.machines {
            table.add(machine.machine, machine.own.description, machine.other.description)
        }
        table.show()
        if let frame = try? past.reader.frame(at: different) { Terminal.say("here: " + RecordLine.text(frame)) }
        Terminal.say("\(parting.comparisonCount) comparisons")
    }
}

/// The digests that a node answers.
private struct NodeReference: DigestReference {
    private let client: NodeClient
    let lastSequence: SequenceNumber
    var rungs: [SequenceNumber]? { nil }

    static func connect(
        _ url: String, _ connection: ConnectionOptions, _ prefix: String
    ) async throws(CommandFailure) -> NodeReference {
        var configuration = connection.configuration(servers: [url], name: "lattice verify")
        configuration.sendsAtOnce = true
        let client: NodeClient
        do throws(BusError) {
            var quiet = Logger(label: "lattice")
            quiet.logLevel = .error
            let bus = try await NATSMessageBus.connect(configuration, logger: quiet)
            client = NodeClient(bus: bus, prefix: prefix, timeout: .seconds(30))
        } catch {
            throw CommandFailure(error, url: url)
        }
        let now = try await digests(client, .now)
        return NodeReference(client: client, lastSequence: SequenceNumber(now.asOf.sequence))
    }

    private static func digests(
        _ client: NodeClient, _ position: ReadPosition
    ) async throws(CommandFailure) -> Lattice_V1_DigestAnswer {
        var query = NodeQuery()
        query.position = position
        let payload = try await client.ask(.node(.digest), query.encode())
        guard let answer = try? Lattice_V1_DigestAnswer(serializedBytes: payload) else {
            throw CommandFailure(.failed, "the node's answer is not understood; is it of another version?")
        }
        return answer
    }

    func digests(at sequence: SequenceNumber) async throws(QueryError) -> [MachineDigest] {
        do throws(CommandFailure) {
            return try await Self.digests(client, ReadPosition(atSequence: sequence)).machines.compactMap { machine in
                Digest(hexadecimal: machine.digest).map { MachineDigest(machine: machine.machine, digest: $0) }
            }
        } catch {
            throw QueryError(.internal, "the node did not answer for record \(sequence): \(error.message)")
        }
    }
}
