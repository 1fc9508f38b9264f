// What would have been decided otherwise under other settings, read from a log that is not touched.

import NodeRuntime
import ArgumentParser
import EventModel
import EventStore
import StateMachines

/// `lattice whatif`
struct WhatIf: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "whatif",
        abstract: "Show which decisions would have been different under other settings; the log stays as it is.",
        discussion: """
            Folds the log twice, as recorded and in a fork with the changed settings from --from on, and lists where the \
            two decide otherwise: evictions and guards, recorded selections, captured requests of mirrors, verdicts on \
            traces, objectives. Offline, beside a running node or on a copy; nothing is written or published.

            It is open loop: heartbeats, health reports, captures, answers and spans stay those that were recorded. What \
            would have followed from another decision, latency above all, is not simulated.

              lattice whatif --evict-after 20m                              who would not have been evicted
              lattice whatif --from -2h --stale-after 10s --guard-service 3000
              lattice whatif --strategy least_connections                   recorded selections, made anew
              lattice whatif --mirror checkout-next --sample 5% --include 'search*'
              lattice whatif --anomaly-threshold 250ms --anomaly-factor 3
              lattice whatif --slo checkout=150ms,99.9 --json

            Shares of the guard and of panic are basis points, as in `lattice publish configure`: 1500 is 15 %. Points \
            are \(PointArgument.forms).
            """)

    @Option(parsing: .unconditional, help: ArgumentHelp("The settings hold behind this point.", valueName: "point"))
    var from: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("End at this point.", valueName: "point"))
    var to: String?
    @OptionGroup(title: "Registry") var registry: WhatIfRegistryOptions
    @OptionGroup(title: "Mirrors") var mirrors: WhatIfMirrorOptions
    @OptionGroup(title: "Traces") var traces: WhatIfTraceOptions
    @Option(help: ArgumentHelp("Make recorded selections anew by this strategy.", valueName: "strategy"))
    var strategy: StrategyArgument?
    @Option(help: "At most so many rows of each list (JSON has all that are kept: 10000).") var limit = 20
    @OptionGroup var log: LogOptions
    @Flag(help: "Print one line of JSON.") var json = false

    func validate() throws {
        if settings.isEmpty { throw ValidationError("name at least one setting that is to be different") }
        if mirrors.mirror != nil && settings.mirror.isEmpty {
            throw ValidationError("--mirror says which mirror; say what is to be different of it, too")
        }
        if !(0...WhatIfReport.rowMaximum).contains(limit) { throw ValidationError("--limit takes 0 to 10000") }
    }

    private var settings: WhatIfSettings {
        var settings = WhatIfSettings()
        settings.registry = registry.change
        settings.mirror = mirrors.change
        settings.strategy = strategy?.value
        settings.anomalyFactor = traces.anomalyFactor
        settings.anomalyThreshold = traces.anomalyThreshold?.value
        settings.objectives = traces.slo.map(\.objective)
        return settings
    }

    func run() async throws {
        let past = try PastLog(log.data)
        guard past.reader.lastSequence > .origin else { throw CommandFailure(.failed, "the log has no record yet") }
        let first = try from.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let last = try to.map { text throws(CommandFailure) in try past.sequence(of: .parse(text)) }
        let (begin, end) = (first ?? past.beginning, last ?? past.reader.lastSequence)
        guard begin < end else { throw CommandFailure(.usage, "--from \(begin) does not lie before --to \(end)") }
        let state = try past.state(at: begin)
        if let mistake = settings.mistake(over: state.registry.settings) { throw CommandFailure(.usage, mistake) }
        let bar = ProgressBar("whatif")
        var run = WhatIfRun(from: state, settings)
        let missing = try readingLog { () throws(EventStoreError) -> QueryError? in
            var cursor = try past.reader.frames(from: begin.next, through: end)
            while let batch = try cursor.nextBatch() {
                for frame in batch {
                    let verdict = run.take(try past.reader.record(of: frame))
                    if case .unsupportedSemantics(let version) = verdict {
                        return TimeTraveller.unsupported(version, at: frame.sequence)
                    }
                }
                bar.report(run.moment.sequence.rawValue, of: end.rawValue)
            }
            return nil
        }
        bar.finish()
        if let missing { throw CommandFailure(missing) }
        let report = run.report()
        if let known = mirrors.mirror, !report.mirrors.contains(where: { $0.mirrorID == known }),
            !state.mirror.stats().contains(where: { $0.configuration.mirrorID == known })
        {
            throw CommandFailure(.failed, "no request was captured for a mirror `\(Terminal.escaped(known))` there")
        }
        if json { return Terminal.say(JSONOutput.encode(WhatIfFacts(report), isSnakeCase: true)) }
        WhatIfText(report, settings, limit: limit).show()
    }
}

/// Settings of the registry that a what-if changes.
struct WhatIfRegistryOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Without a heartbeat for so long an instance is stale.", valueName: "duration"))
    var staleAfter: DurationArgument?
    @Option(help: ArgumentHelp("Stale for so long it is evicted, under the guard.", valueName: "duration"))
    var evictAfter: DurationArgument?
    @Option(help: ArgumentHelp("Share of a service that may go in one window.", valueName: "basis points"))
    var guardService: UInt32?
    @Option(help: ArgumentHelp("Share of the mesh that may go in one window.", valueName: "basis points"))
    var guardMesh: UInt32?
    @Option(help: ArgumentHelp("How long a service's last instance is held.", valueName: "duration"))
    var guardLastInstance: DurationArgument?
    @Option(help: ArgumentHelp("Windows after which a guarded service goes on evicting.", valueName: "count"))
    var guardWindows: UInt32?
    @Option(help: ArgumentHelp("Healthy share below which all are candidates.", valueName: "basis points"))
    var panic: UInt32?

    var change: RegistryConfiguration {
        RegistryConfiguration(
            staleAfter: staleAfter?.value, evictAfter: evictAfter?.value, guardServiceBasisPoints: guardService,
            guardMeshBasisPoints: guardMesh, guardLastInstance: guardLastInstance?.value, guardWindows: guardWindows,
            panicBasisPoints: panic)
    }
}

/// Settings of mirrors that a what-if changes.
struct WhatIfMirrorOptions: ParsableArguments {
    @Option(help: ArgumentHelp("This mirror only (default: every one).", valueName: "id")) var mirror: String?
    @Option(help: ArgumentHelp("full, sampled, filtered or replay.", valueName: "mode")) var mode: String?
    @Option(help: ArgumentHelp("Share of requests that a sampled mirror copies: 0.05 or 5%.", valueName: "share"))
    var sample: ShareArgument?
    @Option(help: ArgumentHelp("Intents that are copied, with *; repeatable.", valueName: "glob")) var include:
        [String] = []
    @Option(help: ArgumentHelp("Intents that are not, with *; repeatable.", valueName: "glob")) var exclude: [String] =
        []
    @Flag(inversion: .prefixedNo, help: "Mirrors are enabled.") var enabled: Bool?
    @Flag(inversion: .prefixedNo, help: "Requests that write are copied, too.") var allowWrites: Bool?

    func validate() throws {
        if let mode, MirrorMode(name: mode) == nil {
            throw ValidationError("--mode '\(mode)' is none of full, sampled, filtered, replay")
        }
        if include.count > MirrorLimits.rules || exclude.count > MirrorLimits.rules {
            throw ValidationError("a mirror has at most \(MirrorLimits.rules) globs of a kind")
        }
    }

    /// A sample or globs alone say the mode, too.
    var change: WhatIfSettings.MirrorChange {
        var change = WhatIfSettings.MirrorChange()
        change.mirrorID = mirror
        change.mode = mode.flatMap { MirrorMode(name: $0) }
        if change.mode == nil && sample != nil { change.mode = .sampled }
        if change.mode == nil && (!include.isEmpty || !exclude.isEmpty) { change.mode = .filtered }
        change.sampleRateBasisPoints = sample?.basisPoints
        change.includeIntents = include.isEmpty ? nil : include
        change.excludeIntents = exclude.isEmpty ? nil : exclude
        change.enabled = enabled
        change.allowWrites = allowWrites
        return change
    }
}

/// Settings of the collector that a what-if changes.
struct WhatIfTraceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A longer root is out of the ordinary; 0s: none.", valueName: "duration"))
    var anomalyThreshold: DurationArgument?
    @Option(help: ArgumentHelp("How many deviations above the median are ordinary.", valueName: "count"))
    var anomalyFactor: Int64?
    @Option(help: ObjectiveArgument.help)
    var slo: [ObjectiveArgument] = []

    func validate() throws {
        if let none = slo.first(where: { $0.objective.objective.latency == .zero }) {
            throw ValidationError("--slo \(none.text) promises nothing, so there is nothing to compare")
        }
        var named: Set<String> = []
        if let twice = slo.first(where: { !named.insert($0.objective.serviceName).inserted }) {
            throw ValidationError("--slo names \(twice.objective.serviceName) twice")
        }
    }
}
