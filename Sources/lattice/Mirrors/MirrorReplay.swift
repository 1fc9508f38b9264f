// Captured requests sent again: from the log (`replay`), or from a file that holds all it needs (`check`).

import ArgumentParser
import Dispatcher
import EventModel
import EventStore
import Foundation
import MeshRules
import StateMachines
import SwiftProtobuf

extension SpeedArgument: ExpressibleByArgument {
    var defaultValueDescription: String { text }
}

/// What sending again shares.
struct ReplayOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where to send to.", valueName: "host:port")) var target: String
    @Option(help: "1x, 10x, … or max.") var speed = SpeedArgument(argument: "1x")!
    @Option(help: ArgumentHelp("So many of those compared may differ: 0.01 or 1%.", valueName: "share"))
    var threshold = ShareArgument(argument: "0")!
    @Option(help: "What the target has for one answer.") var deadline = DurationArgument(argument: "1s")!
    @Option(help: "Requests under way at once (1 to 256).") var concurrency = 32
    @Flag(help: "Send what is neither GET nor HEAD too.") var allowWrites = false
    @Option(
        help: ArgumentHelp(
            "A field that is passed over: a name or a JSON Pointer with *. Repeatable.", valueName: "field"))
    var ignore: [String] = []
    @Option(
        help: ArgumentHelp("The key of the shadow mark (default: the node's in the data directory).", valueName: "file")
    )
    var shadowKey: String?
    @Option(
        help: ArgumentHelp(
            "The file with the target's own credentials, like a mirror's shadow_auth (replay's default: that of the "
                + "service's mirror whose shadow the target is).", valueName: "name"))
    var shadowAuth: String?
    @Option(
        help: ArgumentHelp(
            "Where that file lies (default: shadow-auth in the data directory).", valueName: "dir"))
    var shadowAuthDir: String?
    @Option(help: "auto, always or never.") var color = ColourArgument.auto
    @Flag(help: "Print the report as one line of JSON.") var json = false

    func validate() throws {
        guard (1...256).contains(concurrency) else { throw ValidationError("--concurrency is 1 to 256") }
    }

    func rules(_ more: MirrorConfiguration? = nil) throws(CommandFailure) -> ComparisonRules {
        do throws(InvalidField) {
            return try ComparisonRules(
                ignoreFields: ignore + (more?.ignoreFields ?? []), unorderedArrays: more?.unorderedArrays ?? [],
                comparedHeaders: more?.comparedHeaders ?? [])
        } catch {
            throw CommandFailure(.usage, "--ignore: \(error.reason)")
        }
    }

    /// The key of the mark; without a file one that nobody else knows: the copy is marked all the same.
    func key(_ path: String) throws(CommandFailure) -> [UInt8] {
        if let content = FileManager.default.contents(atPath: shadowKey ?? path), content.count >= 16 {
            return Array(content)
        }
        if let shadowKey { throw CommandFailure(.usage, "\(shadowKey) is no key of at least 16 bytes") }
        return (0..<32).map { _ in UInt8.random(in: .min ... .max) }
    }

    /// Where a target is and who it lets in.
    struct Access: Sendable {
        /// The data directory, with the node's key of the mark and its credentials; empty: there is none.
        var data: String
        var allowLoopback: Bool
        /// The name of the file with the target's own credentials; empty: none.
        var authentication = ""
    }

    /// Sends, reports, and ends with 1 where more differ than may.
    func run(
        _ exchanges: [RecordedExchange], leftOut: Int, _ rules: ComparisonRules, _ access: Access
    ) async throws {
        let credentials = shadowAuthDir ?? (access.data.isEmpty ? "." : access.data + "/shadow-auth")
        let keyPath = access.data.isEmpty ? "" : access.data + "/shadow.key"
        var configuration = ShadowSenderConfiguration(
            credentialsDirectory: credentials, markKey: try key(keyPath), now: { PosixStorage().now() })
        configuration.placesPerShadow = concurrency
        // Nobody else waits for the target: what it does not answer is told, not left out.
        configuration.hasBreaker = false
        let sender = HTTPShadowSender(configuration)
        let replay = ExchangeReplay(
            sender: sender, target: target, timeout: deadline.value, allowWrites: allowWrites,
            allowLoopback: access.allowLoopback, authentication: shadowAuth ?? access.authentication, rules: rules,
            speed: speed, concurrency: concurrency)
        let report = await replay.run(exchanges)
        await sender.shutdown()
        let analysis = report.analysis(threshold.basisPoints)
        if json {
            Terminal.say(JSONOutput.encode(ReplaySummary(report, analysis, leftOut: leftOut)))
        } else {
            ReplayText(colour: color).show(report, analysis, leftOut: leftOut)
        }
        if !analysis.passes { throw CommandFailure(.failed) }
    }
}

struct MirrorReplay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Send captured requests from the log to a target and compare the answers.",
        discussion: """
            The target must be on the service's allow-list; each request carries the shadow mark, and where the target \
            is the shadow of one of the service's mirrors, that mirror's credentials (shadow_auth). Ends with 1 where \
            more differ than the threshold, or nothing could be compared. That it was done is in the audit trail.

              lattice mirror replay checkout --from 4000 --to 4711 --target checkout-next.staging:8080 --speed max
              lattice mirror replay checkout --from 2026-11-24T08:00:00Z --to 2026-11-24T08:05:00Z --speed 10x \\
                --target 10.1.0.7:8080 --ignore request_id
            """)

    @Argument(help: "The service whose requests were captured.") var service: String
    @Option(help: ArgumentHelp("The first record.", valueName: "seq|time")) var from: PositionArgument
    @Option(help: ArgumentHelp("The last record.", valueName: "seq|time")) var to: PositionArgument
    @Option(help: "At most so many requests.") var limit = 100_000
    @Option(help: "Compare by the rules of this mirror.") var rulesOf: String?
    @OptionGroup var replay: ReplayOptions
    @OptionGroup var reader: ReaderOptions
    @OptionGroup(title: "Connection") var client: ClientOptions

    func run() async throws {
        let node = try await client.connect(as: "lattice mirror replay")
        let prepared: Prepared
        do throws(CommandFailure) {
            prepared = try await prepare(node)
        } catch {
            await node.close()
            throw error
        }
        await node.close()
        try await replay.run(
            prepared.harvest.exchanges, leftOut: prepared.harvest.leftOutCount, prepared.rules, prepared.access)
    }

    private struct Prepared {
        var harvest: CaptureHarvest
        var rules: ComparisonRules
        var access: ReplayOptions.Access
    }

    private func prepare(_ node: NodeClient) async throws(CommandFailure) -> Prepared {
        let (allowed, mirrors) = try await node.shadows(of: service)
        guard allowed.allows(replay.target) else {
            throw CommandFailure(
                .failed,
                "\(Terminal.escaped(replay.target)) is not on the allow-list of \(Terminal.escaped(service)); "
                    + "`lattice mirror allow` puts it there")
        }
        var configuration: MirrorConfiguration?
        if let rulesOf { configuration = try await node.comparison(of: rulesOf) }
        let range = CaptureRange(
            service: service, first: try await node.sequence(of: from), last: try await node.sequence(of: to))
        // Credentials go only where the mirror that names them sends to.
        let ofTarget = mirrors.filter { $0.shadowEndpoint == replay.target }
        let named = ofTarget.first { $0.mirrorID == rulesOf } ?? ofTarget.first { !$0.shadowAuth.isEmpty }
        let harvest = try await node.captures(range, limit: limit, for: reader)
        let target = replay.target
        try await node.tell(reader, Exported(harvest, of: range, as: "replay", to: target))
        return Prepared(
            harvest: harvest, rules: try replay.rules(configuration),
            access: ReplayOptions.Access(
                data: client.data, allowLoopback: allowed.allowLoopback, authentication: named?.shadowAuth ?? ""))
    }
}

struct MirrorCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Send the requests of a case file to a target and compare the answers.",
        discussion: """
            Needs no node: the file of `lattice mirror export` holds requests, expected answers and rules. Ends with \
            1 where more differ than the threshold.

              lattice mirror check checkout.case.json --target 127.0.0.1:8080 --loopback
            """)

    @Argument(help: "A file of `lattice mirror export`.") var file: String
    @Flag(help: "The target may be on this machine.") var loopback = false
    @OptionGroup var replay: ReplayOptions

    func run() async throws {
        let content = try RegressionCase.read(file)
        var rules = MirrorConfiguration(mirrorID: "", sourceService: "", shadowEndpoint: "")
        rules.ignoreFields = content.ignoreFields
        rules.unorderedArrays = content.unorderedArrays
        rules.comparedHeaders = content.comparedHeaders
        try await replay.run(
            content.exchanges(), leftOut: 0, try replay.rules(rules),
            ReplayOptions.Access(data: "", allowLoopback: loopback))
    }
}

extension NodeClient {
    /// Where a service's mirrors may send to, and those mirrors.
    func shadows(
        of service: String
    ) async throws(CommandFailure) -> (allowed: ShadowAllowList, mirrors: [Lattice_V1_Mirror]) {
        var query = MirrorQuery()
        query.sourceService = service
        let payload = try await ask(.mirror(.mirrors), query.encode())
        guard let answer = try? Lattice_V1_MirrorsAnswer(serializedBytes: payload),
            let list = ShadowAllowList(entries: answer.allowedShadows, allowLoopback: answer.allowLoopback)
        else { throw CommandFailure(.failed, "the answer is not understood; is the node of another version?") }
        return (list, answer.mirrors.map(\.mirror))
    }

    /// The rules by which a mirror compares.
    func comparison(of mirrorID: String) async throws(CommandFailure) -> MirrorConfiguration {
        let mirror = try await mirror(mirrorID).mirror
        return MirrorConfiguration(
            mirrorID: mirrorID, sourceService: "", shadowEndpoint: "", ignoreFields: mirror.ignoreFields,
            unorderedArrays: mirror.unorderedArrays, comparedHeaders: mirror.comparedHeaders)
    }
}
