// Whether a request is mirrored (`should_mirror`), prepared so that the gateway can ask for each request.

package import EventModel

/// A name pattern in which `*` stands for any bytes, also none.
package struct Glob: Sendable, Hashable {
    private let pattern: [UInt8]

    package init(_ text: String) { pattern = Array(text.utf8) }

    /// Whether the whole name fits.
    ///
    /// - Complexity: linear in name × stars at the worst; no recursion.
    package func matches(_ name: borrowing Span<UInt8>) -> Bool {
        var (index, place) = (0, 0)
        var (star, resume) = (-1, 0)
        while place < name.count {
            if index < pattern.count, pattern[index] == UInt8(ascii: "*") {
                (star, resume) = (index, place)
                index += 1
            } else if index < pattern.count, pattern[index] == name[place] {
                (index, place) = (index + 1, place + 1)
            } else if star >= 0 {
                resume += 1
                (index, place) = (star + 1, resume)
            } else {
                return false
            }
        }
        while index < pattern.count, pattern[index] == UInt8(ascii: "*") { index += 1 }
        return index == pattern.count
    }

    /// Whether the whole name fits.
    package func matches(_ name: String) -> Bool { matches(Array(name.utf8).span) }
}

/// The part of a mirror's configuration that decides on a request.
package struct MirrorFilter: Sendable, Hashable {
    private let mode: MirrorMode
    private let isEnabled: Bool
    private let rate: UInt32
    private let included: [Glob]
    private let excluded: [Glob]

    package init(_ configuration: MirrorConfiguration) {
        mode = configuration.mode
        isEnabled = configuration.enabled
        rate = configuration.sampleRateBasisPoints
        included = configuration.includeIntents.map { Glob($0) }
        excluded = configuration.excludeIntents.map { Glob($0) }
    }

    /// Whether a live request with this intent and this place among 10,000 is mirrored.
    @inline(__always)
    package func admits(intent: borrowing Span<UInt8>, bucket: UInt32) -> Bool {
        guard isEnabled else { return false }
        switch mode {
        case .full: return true
        case .sampled: return bucket < rate
        case .filtered:
            for glob in excluded where glob.matches(intent) { return false }
            if included.isEmpty { return true }
            for glob in included where glob.matches(intent) { return true }
            return false
        case .replay: return false
        }
    }
}

/// All mirrors of one service, asked at once.
package struct MirrorSelection: Sendable {
    private let filters: [MirrorFilter]

    package init(_ mirrors: [MirrorConfiguration]) { filters = mirrors.prefix(64).map { MirrorFilter($0) } }

    /// The mirrors that take a request, one bit each in the order given; at most 64.
    package func selected(intent: String, sampleSeed: String) -> UInt64 {
        let bucket = SampleBucket.of(sampleSeed)
        var intent = intent
        return intent.withUTF8Span { name in
            var result: UInt64 = 0
            for index in 0..<filters.count where filters[index].admits(intent: name, bucket: bucket) {
                result |= 1 << UInt64(index)
            }
            return result
        }
    }
}

/// The sticky place of a request among 10,000: FNV-1a 32 of its seed (Fowler, Noll, Vo; draft-eastlake-fnv).
package enum SampleBucket {
    package static let count: UInt32 = 10_000

    package static func of(_ seed: String) -> UInt32 {
        var hash: UInt32 = 2_166_136_261
        for byte in seed.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return hash % count
    }
}

extension String {
    @inline(__always)
    fileprivate mutating func withUTF8Span<Result>(_ body: (borrowing Span<UInt8>) -> Result) -> Result {
        body(utf8Span.span)
    }
}

/// Whether a mirror copies a live request (`should_mirror` of Specification.md).
///
/// The same seed gets the same answer everywhere; a `replay` mirror takes nothing that is live.
package func shouldMirror(_ configuration: MirrorConfiguration, intent: String, sampleSeed: String) -> Bool {
    MirrorSelection([configuration]).selected(intent: intent, sampleSeed: sampleSeed) != 0
}

extension MirrorConfiguration {
    /// Whether requests of this method are copied: those that read, unless writes are allowed.
    package func admits(method: String) -> Bool {
        allowWrites || method == "GET" || method == "HEAD"
    }
}
