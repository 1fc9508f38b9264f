// The report of a replay, for people and for programs.

import EventModel
import MeshRules
import StateMachines

/// The report as JSON.
struct ReplaySummary: Encodable {
    struct Path: Encodable {
        var part: String
        var pattern: String
        var kind: String
        var count: UInt64
        var basis_points: UInt32
    }

    var sent: Int
    var left_out: Int
    var equal: Int
    var different: Int
    var undecided: Int
    var outcomes: [String: Int]
    var latency_p50_ns: Int64?
    var latency_p99_ns: Int64?
    var basis_points: UInt32
    var threshold_basis_points: UInt32
    var passes: Bool
    var paths: [Path]

    init(_ report: ReplayReport, _ analysis: DifferenceAnalysis, leftOut: Int) {
        sent = report.sentCount
        left_out = leftOut
        equal = report.equalCount
        different = report.differingCount
        undecided = report.undecidedCount
        outcomes = Dictionary(uniqueKeysWithValues: report.outcomes.map { ($0.key.name, $0.value) })
        latency_p50_ns = report.latency(percentile: 50)
        latency_p99_ns = report.latency(percentile: 99)
        basis_points = analysis.basisPoints
        threshold_basis_points = analysis.thresholdBasisPoints
        passes = analysis.passes
        paths = analysis.rates.map {
            Path(
                part: $0.path.part.name, pattern: $0.path.pattern, kind: $0.path.kind.name, count: $0.count,
                basis_points: $0.basisPoints)
        }
    }
}

/// The report for people.
struct ReplayText {
    let colour: ColourArgument

    func show(_ report: ReplayReport, _ analysis: DifferenceAnalysis, leftOut: Int) {
        let text = SideBySide(isColoured: colour.isWanted, width: 44)
        Terminal.say(
            "\(report.sentCount) sent: \(report.equalCount) equal, \(report.differingCount) different, "
                + "\(report.undecidedCount) undecided, \(analysis.failedCount) without an answer")
        if leftOut > 0 { Terminal.say("\(leftOut) were left out: cut, erased, or without contents") }
        for (reason, count) in report.reasons.sorted(by: { $0.key < $1.key }) {
            Terminal.say("  \(count) × \(Terminal.escaped(reason))")
        }
        if let middle = report.latency(percentile: 50), let high = report.latency(percentile: 99) {
            Terminal.say("latency p50 \(MirrorText.milliseconds(middle)), p99 \(MirrorText.milliseconds(high))")
        }
        for rate in analysis.rates.prefix(20) {
            Terminal.say("")
            Terminal.say(text.painted(Terminal.escaped(rate.summary), 1))
            example(of: rate.path, in: report, text)
        }
        let threshold = MirrorText.percent(UInt64(analysis.thresholdBasisPoints))
        let verdict = analysis.passes ? text.painted("pass", 32) : text.painted("fail", 31)
        let why = analysis.comparedCount == 0 ? ": nothing was compared" : ""
        Terminal.say(
            "\(verdict)\(why): \(MirrorText.percent(UInt64(analysis.basisPoints))) differ, threshold \(threshold)")
    }

    private func example(of path: DifferingPath, in report: ReplayReport, _ text: SideBySide) {
        for (exchange, comparison) in report.examples {
            guard let found = comparison.differences.first(where: { $0.counted == path }) else { continue }
            Terminal.say("    \(exchange.fact.method) \(Terminal.escaped(exchange.content.target))")
            for line in text.lines(production: found.production, shadow: found.shadow) { Terminal.say(line) }
            return
        }
    }
}
