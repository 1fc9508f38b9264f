// What always holds in the mirror machine, for tests to look at after each record.

import DequeModule
import EventModel

extension TrafficMirror {
    /// Names what should hold and does not; empty unless there is a bug. Linear in the state.
    func brokenInvariants() -> [String] {
        var broken: [String] = []
        func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
            if !holds { broken.append(what()) }
        }
        expect(
            zip(mirrors, mirrors.dropFirst()).allSatisfy { $0.id.precedesInBytes($1.id) }, "mirrors are in order of id")
        expect(
            zip(sources, sources.dropFirst()).allSatisfy { $0.name.precedesInBytes($1.name) },
            "sources are in order of name")
        expect(sources.reduce(0) { $0 + $1.mirrors.count } == mirrors.count, "every mirror has one source")
        for (index, row) in mirrors.enumerated() {
            expect(
                zip(row.pending, row.pending.dropFirst()).allSatisfy {
                    $0.precedes($1.causeSequence, $1.causeIndex) && $0.since <= $1.since
                }, "\(row.id) has its directives in order")
            expect(row.pending.reduce(0) { $0 + $1.bytes } == row.pendingBytes, "\(row.id) counts its bytes")
            expect(row.pending.count <= Int(row.configuration.bufferRequests), "\(row.id) is bounded by number")
            expect(row.pendingBytes <= row.configuration.bufferBytes, "\(row.id) is bounded by bytes")
            expect(isAccounted(row), "\(row.id) loses nothing silently")
            let source = sourceIndex(row.configuration.sourceService)
            expect(source.map { sources[$0].mirrors.contains(index) } == true, "\(row.id) is found by its source")
            let isAllowed = source.map { sources[$0].allowed.allows(row.configuration) }
            expect(isAllowed == row.isAllowed, "\(row.id) knows whether it is allowed")
        }
        expect(sum == sumFromScratch(), "the sum is that of the entities")
        return broken
    }

    /// Every directive is compared, in the ledger, or still here.
    private func isAccounted(_ row: MirrorRow) -> Bool {
        let ends: [MirrorLedgerReason] = [
            .overflow, .expired, .notCompared, .drained, .lost, .dispatchFailed, .dispatchTimedOut, .dispatchRejected,
            .dispatchSkipped,
        ]
        let ended = ends.reduce(0) { $0 + row.ledger[$1] }
        let compared = row.counts.equal + row.counts.different + row.counts.undecided
        return row.counts.mirrored == compared + ended + UInt64(row.pending.count)
    }

    private func sumFromScratch() -> Digest {
        var result = Digest.zero
        for (index, row) in mirrors.enumerated() {
            result = result &+ row.digest
            for directive in row.pending { result = result &+ digest(of: directive, index) }
        }
        for (index, row) in sources.enumerated() {
            result = result &+ row.digest
            for request in row.recent { result = result &+ digest(ofRecent: request, index) }
        }
        return result
    }
}
