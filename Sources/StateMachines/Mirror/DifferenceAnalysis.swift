// Where the shadow's answers differ and how often, against a threshold (`analyze_diffs` of Specification.md).

package import EventModel

/// How often one kind of difference is seen at one place.
package struct DifferenceRate: Sendable, Hashable {
    package var path: DifferingPath
    /// Pairs in which it is seen.
    package var count: UInt64
    /// The same of 10,000 pairs, rounded down.
    package var basisPoints: UInt32

    /// One line, for instance `12.50 % body /items/*/price value`.
    package var summary: String {
        let rest = basisPoints % 100
        let place = path.pattern.isEmpty ? path.part.name : "\(path.part.name) \(path.pattern)"
        return "\(basisPoints / 100).\(rest < 10 ? "0" : "")\(rest) % \(place) \(path.kind.name)"
    }
}

/// The report over many results.
package struct DifferenceAnalysis: Sendable, Hashable {
    /// Results that had an answer to compare.
    package var comparedCount: UInt64
    /// Those in which something differs.
    package var differingCount: UInt64
    /// Results without an answer.
    package var failedCount: UInt64
    /// Differing ones of 10,000 compared, rounded down.
    package var basisPoints: UInt32
    package var thresholdBasisPoints: UInt32
    /// Worst first; then by part, path and kind.
    package var rates: [DifferenceRate]
    /// Whether no more than the threshold differ. Nothing compared is no pass.
    package var passes: Bool

    /// A few lines for people.
    package var summary: String {
        let verdict = comparedCount == 0 ? "fail: nothing was compared" : passes ? "pass" : "fail"
        let head = "\(verdict): \(differingCount) of \(comparedCount) differ, \(failedCount) without an answer"
        return ([head] + rates.prefix(20).map(\.summary)).joined(separator: "\n")
    }
}

/// Counts where results differ.
///
/// - Parameter thresholdBasisPoints: how many of 10,000 compared may differ.
package func analyzeDiffs(_ results: [MirrorResult], thresholdBasisPoints: UInt32) -> DifferenceAnalysis {
    let compared = results.filter(\.success)
    var counts: [DifferingPath: UInt64] = [:]
    for result in compared {
        for path in Set(result.differences) { counts[path, default: 0] += 1 }
    }
    return analyzeDiffs(
        counts: counts, compared: UInt64(compared.count), differing: UInt64(compared.count { $0.diffDetected }),
        failed: UInt64(results.count - compared.count), thresholdBasisPoints: thresholdBasisPoints)
}

/// The same over counts that were kept.
package func analyzeDiffs(
    counts: [DifferingPath: UInt64], compared: UInt64, differing: UInt64, failed: UInt64,
    thresholdBasisPoints: UInt32
) -> DifferenceAnalysis {
    func share(_ count: UInt64) -> UInt32 {
        compared == 0 ? 0 : UInt32(min(10_000, UInt128(count) * 10_000 / UInt128(compared)))
    }
    let rates = counts.map { DifferenceRate(path: $0.key, count: $0.value, basisPoints: share($0.value)) }
    let isWithin = UInt128(differing) * 10_000 <= UInt128(thresholdBasisPoints) * UInt128(compared)
    return DifferenceAnalysis(
        comparedCount: compared, differingCount: differing, failedCount: failed, basisPoints: share(differing),
        thresholdBasisPoints: thresholdBasisPoints,
        rates: rates.sorted { $0.count == $1.count ? $0.path.precedes($1.path) : $0.count > $1.count },
        passes: compared > 0 && isWithin)
}

extension DifferingPath {
    /// An order that depends on bytes alone: by part, path, kind. (`==` takes for equal what Unicode does.)
    package func precedes(_ other: DifferingPath) -> Bool {
        if part != other.part { return part < other.part }
        if !pattern.equalsInBytes(other.pattern) { return pattern.precedesInBytes(other.pattern) }
        return kind < other.kind
    }
}
