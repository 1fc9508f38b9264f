// Sends captured requests again, to a target, and compares the answers with those that were captured.

import NodeRuntime
import Dispatcher
import EventModel
import Foundation
import LatticeCore
import MeshRules
import StateMachines

/// How fast: as it was, so many times faster, or as fast as it goes.
struct SpeedArgument: Sendable, Hashable {
    /// Nil: as fast as it goes.
    let factor: Int64?
    let text: String

    init?(argument: String) {
        text = argument
        if argument == "max" {
            factor = nil
            return
        }
        guard argument.hasSuffix("x"), let number = Int64(argument.dropLast()), (1...10_000).contains(number) else {
            return nil
        }
        factor = number
    }
}

/// What came of it.
struct ReplayReport: Sendable {
    var sentCount = 0
    var outcomes: [DispatchOutcome: Int] = [:]
    var reasons: [String: Int] = [:]
    var latencies: [Int64] = []
    var equalCount = 0
    var undecidedCount = 0
    var differingCount = 0
    var paths: [DifferingPath: UInt64] = [:]
    /// The first pairs that differ, with both sides.
    var examples: [(exchange: RecordedExchange, comparison: ResponseComparison)] = []
    private static let examplesMaximum = 16

    mutating func take(_ exchange: RecordedExchange, _ answer: ShadowAnswer, _ comparison: ResponseComparison?) {
        sentCount += 1
        outcomes[answer.outcome, default: 0] += 1
        if !answer.reason.isEmpty { reasons["\(answer.outcome.name): \(answer.reason)", default: 0] += 1 }
        guard let comparison else { return }
        latencies.append(answer.latency.rawValue)
        switch comparison.verdict {
        case .equal: equalCount += 1
        case .undecided: undecidedCount += 1
        case .different:
            differingCount += 1
            for path in comparison.differingPaths { paths[path, default: 0] += 1 }
            if examples.count < Self.examplesMaximum { examples.append((exchange, comparison)) }
        }
    }

    /// The report against a threshold.
    func analysis(_ thresholdBasisPoints: UInt32) -> DifferenceAnalysis {
        let answered = equalCount + differingCount
        return analyzeDiffs(
            counts: paths, compared: UInt64(answered), differing: UInt64(differingCount),
            failed: UInt64(sentCount - answered - undecidedCount), thresholdBasisPoints: thresholdBasisPoints)
    }

    /// A percentile of the latencies, nearest rank; nil without any.
    func latency(percentile: Int) -> Int64? {
        if latencies.isEmpty { return nil }
        let sorted = latencies.sorted()
        return sorted[max(0, (sorted.count * percentile + 99) / 100 - 1)]
    }
}

/// One replay: where to, how fast, by which rules.
struct ExchangeReplay: Sendable {
    let sender: HTTPShadowSender
    let target: String
    let timeout: Nanoseconds
    let allowWrites: Bool
    let allowLoopback: Bool
    /// The name of the file with the target's own credentials; empty: none.
    let authentication: String
    let rules: ComparisonRules
    let speed: SpeedArgument
    let concurrency: Int

    /// Sends all, in order of their time, and waits for the answers.
    func run(_ exchanges: [RecordedExchange]) async -> ReplayReport {
        let ordered = exchanges.sorted { ($0.time, $0.sequence) < ($1.time, $1.sequence) }
        let start = ContinuousClock.now
        let first = Timestamp(nanoseconds: ordered.first?.time ?? 0)
        var report = ReplayReport()
        await batchDispatch(
            ordered.map(copy), batchSize: concurrency, rules: rules, shadowHandler: sender,
            pace: { await wait(until: (Timestamp(nanoseconds: ordered[$0].time) - first).rawValue, since: start) },
            ended: { report.take(ordered[$0], $1.answer, $1.comparison) })
        return report
    }

    private func wait(until offset: Int64, since start: ContinuousClock.Instant) async {
        guard let factor = speed.factor else { return }
        let due = start.advanced(by: .nanoseconds(offset / factor))
        if due > .now { try? await Task.sleep(until: due, clock: .continuous) }
    }

    private func copy(_ exchange: RecordedExchange) -> ShadowCopy {
        ShadowCopy(
            request: ShadowRequest(
                sourceService: "", requestID: exchange.fact.requestID, endpoint: target,
                method: exchange.fact.method, target: exchange.content.target,
                headers: exchange.content.requestHeaders, body: exchange.content.requestBody, timeout: timeout,
                authentication: authentication, allowWrites: allowWrites, allowLoopback: allowLoopback),
            production: exchange.content.response(exchange.fact))
    }
}
