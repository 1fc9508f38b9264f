// What the mirror machine answers: what is owed to shadows, how mirrors do, and where answers differ.

import DequeModule
package import EventModel

/// A copy that is to be sent; its contents stand in the log at its cause.
package struct ShadowDirective: Sendable, Hashable {
    package var id: DirectiveID
    package var sourceService: String
    package var shadowEndpoint: String
    package var timeout: Nanoseconds
    package var shadowAuthentication: String
    /// It may have been sent before: its outcome says so.
    package var isRedispatch: Bool

    /// The cause's position, by which directives are in order.
    package var cause: EventPosition { EventPosition(sequence: id.causeSequence, index: id.causeIndex) }
}

/// A mirror whose shadow is owed something, with what its sender must know.
package struct OwedMirror: Sendable, Hashable {
    package var configuration: MirrorConfiguration
    /// Whether the shadow may be on this machine.
    package var allowLoopback: Bool
}

/// How one mirror does.
package struct MirrorStatistics: Sendable, Hashable {
    package var configuration: MirrorConfiguration
    /// Whether its shadow is on the allow-list now.
    package var isAllowed: Bool
    package var pendingCount: Int
    package var pendingBytes: UInt64
    package var awaitingComparisonCount: Int
    package var counts: MirrorCounts
    package var ledger: MirrorLedger
}

/// One kind of difference at one place, with what counting says of it.
package struct JudgedDifference: Sendable, Hashable {
    package var path: DifferingPath
    package var raw: UInt64
    package var noise: UInt64
    package var verdict: NoiseVerdict
    /// The last comparison with the shadow in which it was seen.
    package var latest: EventPosition
}

/// What is to be done in the world because of the log; done by whoever leads, and settled by events.
package struct DueDirectives: Sendable, Hashable {
    /// In order of cause, then mirror id.
    package var directives: [ShadowDirective]

    /// Whether nothing is owed.
    package var isEmpty: Bool { directives.isEmpty }
}

extension TrafficMirror {
    /// Directives behind a position, at most so many.
    ///
    /// A disabled mirror still sends what waits; one whose shadow is no longer allowed does not.
    /// - Complexity: linear in what waits, at most `limit` of each mirror.
    package func outbox(after position: EventPosition? = nil, limit: Int = 1_000) -> DueDirectives {
        var found: [ShadowDirective] = []
        for row in mirrors where row.isAllowed {
            var rest = limit
            for directive in row.pending where directive.phase == .waiting {
                let cause = EventPosition(sequence: directive.causeSequence, index: directive.causeIndex)
                if let position, cause <= position { continue }
                if rest == 0 { break }
                rest -= 1
                found.append(Self.directive(directive, row.configuration))
            }
        }
        found.sort { $0.cause == $1.cause ? $0.id.mirrorID.precedesInBytes($1.id.mirrorID) : $0.cause < $1.cause }
        return DueDirectives(directives: Array(found.prefix(limit)))
    }

    /// What waits for one mirror's shadow, the oldest first.
    package func directives(of mirrorID: String, after place: EventPosition? = nil, limit: Int) -> [ShadowDirective] {
        guard let index = mirrorPlace(mirrorID).index else { return [] }
        let row = mirrors[index]
        let waiting = row.pending.lazy.filter { directive in
            if directive.phase != .waiting { return false }
            guard let place else { return true }
            return EventPosition(sequence: directive.causeSequence, index: directive.causeIndex) > place
        }
        return waiting.prefix(limit).map { Self.directive($0, row.configuration) }
    }

    /// What waits, at most so many of each mirror, so that a slow shadow holds up no other.
    ///
    /// - Complexity: linear in the mirrors and in what is answered.
    package func owed(perMirror limit: Int) -> [ShadowDirective] {
        mirrors.filter { $0.isAllowed && !$0.pending.isEmpty }.flatMap { directives(of: $0.id, limit: limit) }
    }

    /// The mirrors of these directives, by id.
    package func owedMirrors(_ directives: [ShadowDirective]) -> [OwedMirror] {
        var found: [OwedMirror] = []
        for directive in directives where found.last?.configuration.mirrorID != directive.id.mirrorID {
            guard let index = mirrorPlace(directive.id.mirrorID).index else { continue }
            let configuration = mirrors[index].configuration
            found.append(
                OwedMirror(
                    configuration: configuration,
                    allowLoopback: allowedShadows(of: configuration.sourceService).allowLoopback))
        }
        return found
    }

    /// What each mirror of a source would say of a request, in order of id.
    func decisions(
        on capture: RequestCapture, of sourceService: String, bucket: UInt32
    ) -> [MirrorDecisionsAnswer.Decision] {
        guard let source = sourceIndex(sourceService) else { return [] }
        let intent = Array(capture.intent.utf8)
        return sources[source].mirrors.map { mirror in
            let reason = skips(mirror, capture, intent.span, bucket)
            return .init(mirrorID: mirrors[mirror].id, isMirrored: reason == nil, reason: reason?.name ?? "")
        }
    }

    private static func directive(_ pending: PendingDirective, _ mirror: MirrorConfiguration) -> ShadowDirective {
        ShadowDirective(
            id: DirectiveID(
                causeSequence: pending.causeSequence, causeIndex: pending.causeIndex, mirrorID: mirror.mirrorID),
            sourceService: mirror.sourceService, shadowEndpoint: mirror.shadowEndpoint, timeout: mirror.timeout,
            shadowAuthentication: mirror.shadowAuthentication, isRedispatch: pending.isRedispatched)
    }

    /// How many requests wait for a mirror's shadow; nil: there is no such mirror.
    package func pendingCount(mirrorID: String) -> Int? {
        mirrorPlace(mirrorID).index.map { index in mirrors[index].pending.count { $0.phase == .waiting } }
    }

    /// Every mirror, or those of one source, by id.
    package func stats(sourceService: String? = nil) -> [MirrorStatistics] {
        mirrors.filter { sourceService?.equalsInBytes($0.configuration.sourceService) ?? true }.map { row in
            let waiting = row.pending.count { $0.phase == .waiting }
            return MirrorStatistics(
                configuration: row.configuration, isAllowed: row.isAllowed, pendingCount: waiting,
                pendingBytes: row.pendingBytes, awaitingComparisonCount: row.pending.count - waiting,
                counts: row.counts, ledger: row.ledger)
        }
    }

    /// The mirrors of a source that owe their shadow this capture, by id.
    package func mirrors(of sourceService: String, owing cause: EventPosition) -> [String] {
        let own = sourceIndex(sourceService).map { sources[$0].mirrors } ?? []
        return own.filter { mirrors[$0].index(of: cause.sequence, cause.index) != nil }.map { mirrors[$0].id }
    }

    /// One mirror's configuration; nil: there is no such mirror.
    package func configuration(of mirrorID: String) -> MirrorConfiguration? {
        mirrorPlace(mirrorID).index.map { mirrors[$0].configuration }
    }

    /// Whether a mirror's shadow is on the allow-list now; false: there is no such mirror.
    package func isShadowAllowed(of mirrorID: String) -> Bool {
        mirrorPlace(mirrorID).index.map { mirrors[$0].isAllowed } ?? false
    }

    /// The mirrors of a source as the gateway asks them.
    package func mirrors(of sourceService: String) -> [MirrorConfiguration] {
        sourceIndex(sourceService).map { sources[$0].mirrors.map { mirrors[$0].configuration } } ?? []
    }

    /// Where a mirror sends to; nil: there is no such mirror.
    package func shadowEndpoint(of mirrorID: String) -> String? {
        mirrorPlace(mirrorID).index.map { mirrors[$0].configuration.shadowEndpoint }
    }

    /// The allow-list of a source.
    package func allowedShadows(of sourceService: String) -> ShadowAllowList {
        sourceIndex(sourceService).map { sources[$0].allowed } ?? .nothing
    }

    /// A mirror's differences, regressions first, then the most frequent; nil: there is no such mirror.
    package func differences(mirrorID: String) -> [JudgedDifference]? {
        guard let index = mirrorPlace(mirrorID).index else { return nil }
        let row = mirrors[index]
        let judged = row.paths.rows.map { count in
            JudgedDifference(
                path: count.path, raw: count.raw, noise: count.noise,
                verdict: .judge(
                    raw: count.raw, pairs: row.counts.equal &+ row.counts.different, noise: count.noise,
                    noisePairs: row.counts.baselines), latest: count.latest)
        }
        return judged.sorted { one, other in
            let isRegression = one.verdict == .regression
            if isRegression != (other.verdict == .regression) { return isRegression }
            return one.raw == other.raw ? one.path.precedes(other.path) : one.raw > other.raw
        }
    }

    /// A mirror's differences against a threshold; nil: there is no such mirror.
    package func analyzeDiffs(mirrorID: String, thresholdBasisPoints: UInt32) -> DifferenceAnalysis? {
        guard let index = mirrorPlace(mirrorID).index else { return nil }
        let row = mirrors[index]
        var counts: [DifferingPath: UInt64] = [:]
        for count in row.paths.rows where count.raw > 0 { counts[count.path, default: 0] &+= count.raw }
        let failed = [MirrorLedgerReason.dispatchFailed, .dispatchTimedOut, .dispatchRejected, .dispatchSkipped]
        return StateMachines.analyzeDiffs(
            counts: counts, compared: row.counts.equal &+ row.counts.different, differing: row.counts.different,
            failed: failed.reduce(0) { $0 &+ row.ledger[$1] }, thresholdBasisPoints: thresholdBasisPoints)
    }
}
