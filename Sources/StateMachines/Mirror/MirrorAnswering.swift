// The mirror's answers to queries: what the machine knows by itself; contents are read back from the log by its host.

package import EventModel
import MeshRules

extension TrafficMirror {
    /// Copies told in one answer, where the asker names no limit.
    private static let copiesMaximum = 1_000

    /// Answers a query.
    ///
    /// - Throws: `invalid_argument` where a field is missing; `not_found` for a mirror that there is not; `unknown_query`
    ///   for `comparison` and `captures`, which need the log.
    package func answer(_ name: MirrorQueryName, _ query: MirrorQuery) throws(QueryError) -> [UInt8] {
        switch name {
        case .mirrors: try mirrorsAnswer(query, withCounts: false).encode()
        case .stats: try mirrorsAnswer(query, withCounts: true).encode()
        case .ledger: try ledgerAnswer(query).encode()
        case .pending: try pendingAnswer(query).encode()
        case .diffs: try diffsAnswer(query).encode()
        case .shouldMirror: try decisionsAnswer(query).encode()
        case .comparison, .captures: throw QueryError(.unknownQuery, "\(name.rawValue) is answered from the log")
        }
    }

    // MARK: Mirrors

    private func rows(_ query: MirrorQuery) throws(QueryError) -> [MirrorStatistics] {
        let source = query.sourceService.isEmpty ? nil : query.sourceService
        let found = stats(sourceService: source)
        if query.mirrorID.isEmpty { return found }
        let one = found.filter { $0.configuration.mirrorID.equalsInBytes(query.mirrorID) }
        if one.isEmpty { throw noSuchMirror(query.mirrorID) }
        return one
    }

    private func noSuchMirror(_ id: String) -> QueryError {
        id.isEmpty
            ? QueryError(.invalidArgument, "mirror_id is missing")
            : QueryError(.notFound, "there is no mirror `\(id)`")
    }

    /// Answer of `mirrors` and `stats`.
    package func mirrorsAnswer(_ query: MirrorQuery, withCounts: Bool) throws(QueryError) -> MirrorsAnswer {
        let after = try PageToken.parts(query.pageToken, count: [1])?[0]
        let found = try rows(query).filter { row in
            after.map { $0.precedesInBytes(row.configuration.mirrorID) } ?? true
        }
        var answer = MirrorsAnswer(asOf: moment.asOf, mirrors: [])
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        for row in found {
            let state = MirrorState(row, withCounts: withCounts)
            guard budget.take(state.pageBytes) else {
                answer.nextPageToken = PageToken.text([answer.mirrors.last?.configuration.mirrorID ?? ""])
                break
            }
            answer.mirrors.append(state)
        }
        answer.omitted = UInt32(clamping: found.count - answer.mirrors.count)
        if !query.sourceService.isEmpty {
            let allowed = allowedShadows(of: query.sourceService)
            answer.allowedShadows = allowed.entries
            answer.allowLoopback = allowed.allowLoopback
        }
        return answer
    }

    private func ledgerAnswer(_ query: MirrorQuery) throws(QueryError) -> MirrorLedgerAnswer {
        let after = try PageToken.parts(query.pageToken, count: [1])?[0]
        var rows = try rows(query).map { row in
            MirrorLedgerAnswer.Row(mirrorID: row.configuration.mirrorID, entries: row.ledger.answer)
        }
        if let after { rows.removeAll { !after.precedesInBytes($0.mirrorID) } }
        let isAboutAll = query.mirrorID.isEmpty && query.sourceService.isEmpty
        if isAboutAll, !ledger.entries.isEmpty { rows.append(.init(mirrorID: "", entries: ledger.answer)) }
        var answer = MirrorLedgerAnswer(asOf: moment.asOf, rows: [])
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        for row in rows {
            guard budget.take(64 + PageBudget.size(row.mirrorID) + 80 * row.entries.count) else {
                answer.nextPageToken = PageToken.text([answer.rows.last?.mirrorID ?? ""])
                break
            }
            answer.rows.append(row)
        }
        return answer
    }

    private func pendingAnswer(_ query: MirrorQuery) throws(QueryError) -> MirrorPendingAnswer {
        guard let count = pendingCount(mirrorID: query.mirrorID) else { throw noSuchMirror(query.mirrorID) }
        var after: EventPosition?
        if let parts = try PageToken.parts(query.pageToken, count: [2]) {
            guard let sequence = UInt64(parts[0]), let index = UInt32(parts[1]) else { throw PageToken.unknown }
            after = EventPosition(sequence: SequenceNumber(sequence), index: index)
        }
        let limit = query.limit == 0 ? Self.copiesMaximum : Int(min(query.limit, 10_000))
        var budget = PageBudget(rows: limit, isCutByBytes: query.isPaged)
        var answer = MirrorPendingAnswer(asOf: moment.asOf, pendingCount: UInt64(count), copies: [])
        for copy in directives(of: query.mirrorID, after: after, limit: limit + 1) {
            let size = 224 + PageBudget.size(copy.id.mirrorID) + PageBudget.size(copy.shadowEndpoint)
            guard budget.take(size) else {
                if let last = answer.copies.last?.directive {
                    answer.nextPageToken = PageToken.text(["\(last.causeSequence)", "\(last.causeIndex)"])
                }
                break
            }
            answer.copies.append(
                .init(directive: copy.id, shadowEndpoint: copy.shadowEndpoint, isRedispatch: copy.isRedispatch))
        }
        return answer
    }

    // MARK: Differences

    private func diffsAnswer(_ query: MirrorQuery) throws(QueryError) -> MirrorDiffsAnswer {
        guard query.thresholdBasisPoints <= 10_000 else {
            throw QueryError(.invalidArgument, "threshold_basis_points is more than 10000")
        }
        guard let found = differences(mirrorID: query.mirrorID),
            let analysis = analyzeDiffs(
                mirrorID: query.mirrorID, thresholdBasisPoints: query.thresholdBasisPoints)
        else { throw noSuchMirror(query.mirrorID) }
        var answer = MirrorDiffsAnswer(asOf: moment.asOf, mirrorID: query.mirrorID)
        answer.compared = analysis.comparedCount
        answer.differing = analysis.differingCount
        answer.failed = analysis.failedCount
        answer.basisPoints = analysis.basisPoints
        answer.thresholdBasisPoints = query.thresholdBasisPoints
        answer.passes = analysis.passes
        var first = 0
        if let parts = try PageToken.parts(query.pageToken, count: [1]) {
            guard let place = Int(parts[0]), found.indices.contains(place) else { throw PageToken.unknown }
            first = place
        }
        var budget = PageBudget(rows: Int(query.limit), isCutByBytes: query.isPaged)
        for (place, row) in found.enumerated().dropFirst(first) {
            guard budget.take(320 + PageBudget.size(row.path.pattern)) else {
                answer.nextPageToken = "\(place)"
                break
            }
            answer.paths.append(
                .init(
                    path: row.path, raw: row.raw, noise: row.noise, basisPoints: analysis.basisPoints(of: row.path),
                    verdict: row.verdict.name, latest: row.latest))
        }
        answer.omitted = UInt32(clamping: found.count - first - answer.paths.count)
        return answer
    }

    // MARK: Decisions

    private func decisionsAnswer(_ query: MirrorQuery) throws(QueryError) -> MirrorDecisionsAnswer {
        if query.sourceService.isEmpty { throw QueryError(.invalidArgument, "source_service is missing") }
        let bucket = SampleBucket.of(query.sampleSeed)
        let capture = RequestCapture(
            requestID: "", intent: query.intent, method: query.method.isEmpty ? "GET" : query.method)
        return MirrorDecisionsAnswer(
            asOf: moment.asOf, decisions: decisions(on: capture, of: query.sourceService, bucket: bucket),
            sampleBucket: bucket)
    }
}

extension MirrorQuery {
    /// Whether its asker knows pages: then they are cut by bytes, too.
    fileprivate var isPaged: Bool { limit > 0 || !pageToken.isEmpty }
}

extension DifferenceAnalysis {
    /// How many of 10,000 compared differ at a place.
    fileprivate func basisPoints(of path: DifferingPath) -> UInt32 {
        rates.first { $0.path.isSame(as: path) }?.basisPoints ?? 0
    }
}

extension MirrorLedger {
    fileprivate var answer: [LedgerEntry] { entries.map { LedgerEntry(reason: $0.reason.name, count: $0.count) } }
}

extension MirrorState {
    fileprivate init(_ row: MirrorStatistics, withCounts: Bool) {
        self.init(configuration: row.configuration)
        isShadowRefused = !row.isAllowed
        guard withCounts else { return }
        pendingCount = UInt64(row.pendingCount)
        pendingBytes = row.pendingBytes
        awaitingComparisonCount = UInt64(row.awaitingComparisonCount)
        mirrored = row.counts.mirrored
        succeeded = row.counts.succeeded
        redispatched = row.counts.redispatched
        equal = row.counts.equal
        different = row.counts.different
        undecided = row.counts.undecided
        baselines = row.counts.baselines
        latencyTotal = row.counts.latencyTotal
        latencyMaximum = row.counts.latencyMaximum
        ledger = row.ledger.answer
    }
}
