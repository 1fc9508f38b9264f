// The settings of the trace collector on the command line, for `serve` and for whoever changes them while nodes run.

import ArgumentParser
import EventModel

/// What is wanted of traces from the start.
struct TraceSettingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long a trace stays resident (1h, at most 7d).", valueName: "duration"))
    var traceTtl: DurationArgument?

    @Option(help: ArgumentHelp("Spans that a trace may have; more are refused (20000).", valueName: "count"))
    var spansPerTrace: UInt32?

    @Option(
        help: ArgumentHelp("A root that takes longer makes its trace an anomaly; 0s: none.", valueName: "duration"))
    var anomalyThreshold: DurationArgument?

    @Option(help: ObjectiveArgument.help)
    var slo: [ObjectiveArgument] = []

    /// The change that they come to.
    func change(reason: String) -> TracesConfiguration {
        var change = TracesConfiguration(objectives: slo.map(\.objective), reason: reason)
        change.timeToLive = traceTtl?.value
        change.spansPerTrace = spansPerTrace
        change.anomalyThreshold = anomalyThreshold?.value
        return change
    }
}

/// What a service promises: `checkout=250ms,99.9` (percent), or `checkout=none`.
struct ObjectiveArgument: ExpressibleByArgument, Sendable, Hashable {
    static let help = ArgumentHelp(
        "What a service promises: this share of its requests ends well within this time; none: nothing. Repeatable.",
        valueName: "service=250ms,99.9")

    let objective: NamedObjective
    let text: String

    init?(argument: String) {
        text = argument
        guard let equals = argument.lastIndex(of: "="), equals > argument.startIndex else { return nil }
        let promise = argument[argument.index(after: equals)...]
        var value = ServiceObjective(latency: .zero, availabilityBasisPoints: 0)
        if promise != "none" {
            let parts = promise.split(separator: ",", omittingEmptySubsequences: false)
            guard parts.count == 2, let latency = DurationArgument(argument: String(parts[0])),
                let points = Self.basisPoints(parts[1]), latency.value > .zero
            else { return nil }
            value = ServiceObjective(latency: latency.value, availabilityBasisPoints: points)
        }
        objective = NamedObjective(serviceName: String(argument[..<equals]), objective: value)
    }

    /// Percent with at most two decimals: `99.95` is 9995.
    private static func basisPoints(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ $0.allSatisfy { $0.isASCII && $0.isNumber } }),
            let whole = UInt32(parts[0]), whole <= 100, (parts.count == 1 ? "0" : parts[1]).count <= 2
        else { return nil }
        let decimals = parts.count == 1 ? "" : String(parts[1])
        guard parts.count == 1 || !decimals.isEmpty,
            let rest = UInt32(decimals.padding(with: "0", to: 2)), whole * 100 + rest <= 10_000
        else { return nil }
        return whole * 100 + rest
    }

    var defaultValueDescription: String { text }
}

extension String {
    fileprivate func padding(with digit: Character, to count: Int) -> String {
        self + String(repeating: digit, count: Swift.max(0, count - self.count))
    }
}

/// `lattice publish configure-traces`
struct PublishTraceConfiguration: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configure-traces",
        abstract: "Change the trace collector's settings; every node and every replay follows.",
        discussion: """
            What is not named stays as it is. `lattice trace stats` shows the settings as they are.

              lattice publish configure-traces --as alice --trace-ttl 2h --series-windows 25
              lattice publish configure-traces --as alice --slo checkout=250ms,99.9 --slo cart=none
              lattice publish configure-traces --as alice --anomaly-factor 6 --anomaly-floor 5ms --reason "too many pages"
            """)

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who you are: the principal in the subject, which NATS permissions enforce.", valueName: "name"))
    var principal: String
    @OptionGroup var settings: TraceSettingOptions
    @Option(help: ArgumentHelp("A trace is judged when nothing came for so long.", valueName: "duration"))
    var settleAfter: DurationArgument?
    @Option(
        help: ArgumentHelp(
            "The k of median + k x max(1.4826 x MAD, 5 % of the median, floor).", valueName: "count"))
    var anomalyFactor: UInt32?
    @Option(help: ArgumentHelp("The floor of that.", valueName: "duration"))
    var anomalyFloor: DurationArgument?
    @Option(help: ArgumentHelp("Roots in the five minutes before that a baseline needs.", valueName: "count"))
    var anomalySamples: UInt32?
    @Option(help: ArgumentHelp("Windows of five minutes that services and calls are counted in.", valueName: "count"))
    var seriesWindows: UInt32?
    @Option(help: ArgumentHelp("Distinct services; the rest is `__other__`.", valueName: "count"))
    var services: UInt32?
    @Option(help: ArgumentHelp("Distinct names that are only called.", valueName: "count"))
    var peers: UInt32?
    @Option(help: ArgumentHelp("Distinct operations of a service.", valueName: "count"))
    var operationsPerService: UInt32?
    @Option(help: "Why.") var reason = ""
    @OptionGroup var options: PublishOptions

    func validate() throws {
        if change.isEmpty { throw ValidationError("name at least one setting") }
    }

    private var change: TracesConfiguration {
        var change = settings.change(reason: reason)
        change.settleAfter = settleAfter?.value
        change.anomalyFactor = anomalyFactor
        change.anomalyFloor = anomalyFloor?.value
        change.anomalySamples = anomalySamples
        change.seriesWindows = seriesWindows
        change.services = services
        change.peers = peers
        change.operationsPerService = operationsPerService
        return change
    }

    func run() async throws {
        try await options.publish(.policy(.tracesConfigured(change)), owner: principal)
    }
}
