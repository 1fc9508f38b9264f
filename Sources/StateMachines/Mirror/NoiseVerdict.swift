// Whether a difference is a regression or noise: answers of one version differ from each other too.
// Source of the rule: decision 22, after Diffy (Twitter); minimums from Limits.md. Integers only.

/// What counting says of one kind of difference at one place.
package enum NoiseVerdict: UInt8, Sendable, Hashable, CaseIterable {
    /// Fewer pairs or differences than a judgement needs.
    case notEnoughData = 1
    /// No more than between two answers of the same version.
    case noise = 2
    case regression = 3

    package static let pairsMinimum: UInt64 = 10_000
    package static let differingMinimum: UInt64 = 10

    /// The words for people.
    package var name: String {
        switch self {
        case .notEnoughData: "not enough data"
        case .noise: "noise"
        case .regression: "regression"
        }
    }

    /// Judges: `raw` of `pairs` comparisons with the shadow differ, `noise` of `noisePairs` of production's own.
    ///
    /// Regression: raw > noise, |raw − noise| / (raw + noise) > 20 %, |raw − noise| / pairs > 0.03 %, the noise taken
    /// for as many pairs.
    package static func judge(raw: UInt64, pairs: UInt64, noise: UInt64, noisePairs: UInt64) -> NoiseVerdict {
        guard pairs >= pairsMinimum, raw >= differingMinimum else { return .notEnoughData }
        // So that no product overflows; counts beyond 2^56 lose nothing that matters.
        let shift = UInt64(max(0, 8 - max(raw, pairs, noise, noisePairs).leadingZeroBitCount))
        let (total, noiseTotal) = (UInt128(pairs >> shift), UInt128(max(noisePairs >> shift, 1)))
        // Each side is multiplied by the number of noise pairs, so that nothing is rounded.
        let (scaledRaw, scaledNoise) = (UInt128(raw >> shift) * noiseTotal, UInt128(noise >> shift) * total)
        guard scaledRaw > scaledNoise else { return .noise }
        // (raw − noise) / (raw + noise) > 1/5 is 2 raw > 3 noise.
        let isRelative = 2 * scaledRaw > 3 * scaledNoise
        let isAbsolute = (scaledRaw - scaledNoise) * 10_000 > 3 * total * noiseTotal
        return isRelative && isAbsolute ? .regression : .noise
    }
}
