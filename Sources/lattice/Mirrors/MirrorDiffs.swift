// Where a shadow's answers differ, worst first, both sides beside each other.

import ArgumentParser
import EventModel
import Foundation
import StateMachines
import SwiftProtobuf

/// When colours are used.
enum ColourArgument: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto, always, never

    var isWanted: Bool {
        switch self {
        case .always: true
        case .never: false
        case .auto: Terminal.outputIsSeen && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
        }
    }
}

/// A share as people write it: `0.01` or `1%`.
struct ShareArgument: ExpressibleByArgument, Sendable, Hashable {
    let basisPoints: UInt32
    private let text: String

    init?(argument: String) {
        guard let points = BasisPoints.parse(argument) else { return nil }
        basisPoints = points
        text = argument
    }

    var defaultValueDescription: String { text }
}

struct MirrorDiffs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diffs", abstract: "Where a shadow's answers differ, worst first, side by side.",
        discussion: """
            With a threshold it ends with 1 where more differ, or where nothing was compared. What both sides said is \
            read from captured contents, and that it is read is recorded (`lattice audit`).

              lattice mirror diffs checkout-next
              lattice mirror diffs checkout-next --threshold 1% --limit 5
            """)

    @Argument(help: "The mirror's id.") var mirror: String
    @Option(help: ArgumentHelp("So many of those compared may differ: 0.01 or 1%.", valueName: "share"))
    var threshold: ShareArgument?
    @Option(help: "At most so many places.") var limit: UInt32 = 20
    @Option(help: "auto, always or never.") var color = ColourArgument.auto
    @OptionGroup var position: PositionOptions
    @OptionGroup var reader: ReaderOptions
    @OptionGroup var options: QueryOptions

    func run() async throws {
        var query = MirrorQuery()
        query.mirrorID = mirror
        query.limit = limit
        query.thresholdBasisPoints = threshold?.basisPoints ?? 0
        query.position = position.position
        let client = try await options.client.connect(as: "lattice mirror")
        let answer: Lattice_V1_MirrorDiffsAnswer
        do {
            let payload = try await client.ask(.mirror(.diffs), query.encode())
            answer = try Lattice_V1_MirrorDiffsAnswer(serializedBytes: payload)
            if options.json {
                try options.output.dialect.say(payload, .mirrorDiffsAnswer)
            } else {
                try await show(answer, client)
            }
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        if threshold != nil, !answer.passes { throw CommandFailure(.failed) }
    }

    private func show(_ answer: Lattice_V1_MirrorDiffsAnswer, _ client: NodeClient) async throws {
        let text = SideBySide(isColoured: color.isWanted, width: 44)
        let share = MirrorText.percent(UInt64(answer.basisPoints))
        Terminal.say(
            "\(answer.differing) of \(answer.compared) compared differ (\(share)), \(answer.failed) without an answer")
        if threshold != nil {
            let verdict = answer.passes ? text.painted("pass", 32) : text.painted("fail", 31)
            let why = answer.compared == 0 ? ": nothing was compared" : ""
            Terminal.say(
                "\(verdict)\(why), threshold \(MirrorText.percent(UInt64(answer.thresholdBasisPoints)))")
        }
        for path in answer.paths { try await show(path, client, text) }
        if answer.omitted > 0 { Terminal.say("\(answer.omitted) more places were left out by --limit") }
        MirrorText.position(answer.asOf)
    }

    private func show(_ report: Lattice_V1_PathReport, _ client: NodeClient, _ text: SideBySide) async throws {
        let pattern = report.path.pattern.isEmpty ? "" : " " + Terminal.escaped(report.path.pattern)
        let noise = report.noise > 0 ? ", \(report.noise) in noise" : ""
        Terminal.say("")
        Terminal.say(
            "\(MirrorText.percent(UInt64(report.basisPoints)))  \(text.painted(report.path.part + pattern, 1))  "
                + "\(report.path.kind), \(report.raw) times\(noise): \(report.verdict)")
        guard report.latestSequence > 0 else { return }
        var query = MirrorQuery()
        query.sequence = SequenceNumber(report.latestSequence)
        query.index = report.latestIndex
        let payload: [UInt8]
        do throws(CommandFailure) {
            payload = try await client.ask(
                .mirror(.comparison), reader.signed(query).encode(), by: reader.name)
        } catch {
            return Terminal.say("    the last pair can not be read: \(error.message)")
        }
        let pair = try Lattice_V1_MirrorComparisonAnswer(serializedBytes: payload)
        Terminal.say(
            "    record \(report.latestSequence)  \(pair.capture.method) \(Terminal.escaped(pair.content.target))")
        if pair.erased { return Terminal.say("    erased") }
        for sides in pair.differences.sides where Self.fits(sides.path, report.path.pattern) {
            if sides.path != report.path.pattern { Terminal.say("    \(Terminal.escaped(sides.path))") }
            for line in text.lines(production: sides.production, shadow: sides.shadow) { Terminal.say(line) }
        }
        for note in pair.differences.notes { Terminal.say("    note: \(Terminal.escaped(note))") }
    }

    /// Whether a pointer is one of those that a pattern with `*` for elements stands for.
    private static func fits(_ path: String, _ pattern: String) -> Bool {
        let steps = path.split(separator: "/", omittingEmptySubsequences: false)
        let wanted = pattern.split(separator: "/", omittingEmptySubsequences: false)
        return steps.count == wanted.count && zip(steps, wanted).allSatisfy { $0 == $1 || $1 == "*" }
    }
}

extension QueryOptions {
    /// Asks; shows JSON where it is wanted, else answers the bytes.
    func answer(
        _ query: QueryName, _ request: [UInt8], answer: MessageKind
    ) async throws -> [UInt8]? {
        if json {
            try await ask(query, request, answer: answer)
            return nil
        }
        let client = try await client.connect(as: "lattice mirror")
        do throws(CommandFailure) {
            let payload = try await client.ask(query, request)
            await client.close()
            return payload
        } catch {
            await client.close()
            throw error
        }
    }
}

extension NodeClient {
    /// The service whose requests a mirror copies.
    func source(ofMirror id: String) async throws(CommandFailure) -> String {
        try await mirror(id).sourceService
    }

    /// A mirror as the node has it.
    func mirror(_ id: String) async throws(CommandFailure) -> Lattice_V1_MirrorState {
        var query = MirrorQuery()
        query.mirrorID = id
        let payload = try await ask(.mirror(.mirrors), query.encode())
        guard let answer = try? Lattice_V1_MirrorsAnswer(serializedBytes: payload), let state = answer.mirrors.first
        else { throw CommandFailure(.failed, "the answer is not understood; is the node of another version?") }
        return state
    }
}
