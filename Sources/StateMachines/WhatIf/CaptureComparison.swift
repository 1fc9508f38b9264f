// What mirrors would have done with the captured requests under other filters.

import EventModel
import MeshRules

/// What one mirror decides on one captured request.
struct CaptureDecision: Sendable, Hashable {
    var mirrorID: String
    /// Which request of the batch.
    var index: UInt32
    /// Nil: it is copied.
    var reason: MirrorLedgerReason?
}

extension TrafficMirror {
    /// The decisions on a batch before it is taken, by request and mirror.
    func decisions(on batch: Batch<RequestCapture>) -> [CaptureDecision] {
        guard let source = sourceIndex(batch.serviceName), !sources[source].mirrors.isEmpty else { return [] }
        var result: [CaptureDecision] = []
        for (index, event) in batch.events.enumerated() {
            let bucket = SampleBucket.of(event.seed)
            let intent = Array(event.intent.utf8)
            for mirror in sources[source].mirrors {
                result.append(
                    CaptureDecision(
                        mirrorID: mirrors[mirror].id, index: UInt32(index),
                        reason: skips(mirror, event, intent.span, bucket)))
            }
        }
        return result
    }

    /// Lays changed settings over the mirrors that they concern; for forks only, since no record says so.
    mutating func fork(with change: WhatIfSettings.MirrorChange) {
        for index in mirrors.indices where change.concerns(mirrors[index].configuration) {
            replace(index, change.applied(to: mirrors[index].configuration))
        }
    }
}

/// Holds the decisions of both sides against each other, and what the lost copies had shown.
struct CaptureComparison: Sendable {
    /// Copies that would not have been made and are not compared yet; more are not followed.
    private static let lostMaximum = 1_000_000

    private var rows = WhatIfReport.Rows<WhatIfReport.Captured>()
    private var sums: [ByteName: WhatIfReport.Mirrored] = [:]
    private var lost: Set<DirectiveID> = []
    /// How often each kind of difference was seen, and how often it would have been.
    private var paths: [ByteName: [DifferingPath: (recorded: UInt64, lost: UInt64)]] = [:]

    mutating func take(
        _ sequence: SequenceNumber, _ batch: Batch<RequestCapture>, _ recorded: [CaptureDecision],
        _ changed: [CaptureDecision], _ outcome: Outcome
    ) {
        let refused = Set(outcome.refused.map(\.index))
        for (before, after) in zip(recorded, changed) where !refused.contains(before.index) {
            count(before, after)
            if before.reason == after.reason { continue }
            rows.add(
                WhatIfReport.Captured(
                    position: EventPosition(sequence: sequence, index: before.index), mirrorID: before.mirrorID,
                    requestID: batch.events[Int(before.index)].requestID, recorded: before.reason,
                    changed: after.reason))
            if before.reason == nil && lost.count < Self.lostMaximum {
                lost.insert(
                    DirectiveID(causeSequence: sequence, causeIndex: before.index, mirrorID: before.mirrorID))
            }
        }
    }

    private mutating func count(_ before: CaptureDecision, _ after: CaptureDecision) {
        var sum = sums[ByteName(before.mirrorID)] ?? WhatIfReport.Mirrored(mirrorID: before.mirrorID)
        sum.captured += 1
        if let reason = before.reason { sum.skippedRecorded.count(reason) } else { sum.recorded += 1 }
        if let reason = after.reason { sum.skippedChanged.count(reason) } else { sum.changed += 1 }
        sums[ByteName(before.mirrorID)] = sum
    }

    /// Comparisons that were recorded, and accepted.
    mutating func take(_ batch: Batch<ShadowComparison>, _ outcome: Outcome) {
        let refused = Set(outcome.refused.map(\.index))
        for (index, event) in batch.events.enumerated()
        where !event.isBaseline && !refused.contains(UInt32(index)) {
            let name = ByteName(event.directive.mirrorID)
            var sum = sums[name] ?? WhatIfReport.Mirrored(mirrorID: event.directive.mirrorID)
            let isLost = lost.remove(event.directive) != nil
            sum.lostComparisons += isLost ? 1 : 0
            if event.verdict == .different {
                sum.differences += 1
                sum.lostDifferences += isLost ? 1 : 0
                for path in event.paths {
                    paths[name, default: [:]][path, default: (0, 0)].recorded += 1
                    if isLost { paths[name, default: [:]][path, default: (0, 0)].lost += 1 }
                }
            }
            sums[name] = sum
        }
    }

    func fill(_ report: inout WhatIfReport) {
        report.captures = rows
        report.mirrors = sums.values.sorted { $0.mirrorID.precedesInBytes($1.mirrorID) }
        for index in report.mirrors.indices {
            let known = paths[ByteName(report.mirrors[index].mirrorID)] ?? [:]
            report.mirrors[index].lostPaths = known.filter { $0.value.lost == $0.value.recorded }.map(\.key).sorted {
                $0.precedes($1)
            }
        }
    }
}
