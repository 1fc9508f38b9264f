// A what-if as JSON; durations in nanoseconds.

import NodeRuntime
import EventModel
import StateMachines

/// What `lattice whatif --json` prints.
struct WhatIfFacts: Encodable {
    struct Evictions: Encodable {
        struct Row: Encodable {
            var serviceName: String
            var instanceId: String
            var incarnation: Int64
            var reason: String
            var recorded: UInt64?
            var changed: UInt64?
            var heardAgain: UInt64?
        }

        var recorded: Int
        var changed: Int
        var equal: Int
        var different: [Row]
        var omitted: Int
    }

    struct Episode: Encodable {
        var kind: String
        var serviceName: String
        var side: String
        var began: UInt64
        var ended: UInt64?
    }

    struct Refusals: Encodable {
        var reason: String
        var recorded: UInt64
        var changed: UInt64
    }

    struct Selections: Encodable {
        struct Row: Encodable {
            var sequence: UInt64
            var serviceName: String
            var traceId: String?
            var chosen: String
            var recorded: String
            var changed: String
        }

        struct Share: Encodable {
            var serviceName: String
            var instanceId: String
            var recorded: Int
            var changed: Int
        }

        var count: Int
        var reproduced: Int
        var shares: [Share]
        var different: [Row]
        var omitted: Int
    }

    struct Mirrors: Encodable {
        struct Row: Encodable {
            var sequence: UInt64
            var index: UInt32
            var mirrorId: String
            var requestId: String
            var recorded: String
            var changed: String
        }

        struct Sum: Encodable {
            var mirrorId: String
            var captured: UInt64
            var copied: UInt64
            var wouldBeCopied: UInt64
            var comparisonsLost: UInt64
            var differences: UInt64
            var differencesLost: UInt64
            var placesNeverSeen: [String]
        }

        var sums: [Sum]
        var different: [Row]
        var omitted: Int
    }

    struct Traces: Encodable {
        struct Row: Encodable {
            var traceId: String
            var serviceName: String
            var operationName: String
            var durationNs: Int64
            var limitNs: Int64
            var recorded: String
            var changed: String
        }

        var judged: Int
        var recorded: Int
        var changed: Int
        var different: [Row]
        var omitted: Int
    }

    struct Objectives: Encodable {
        struct Row: Encodable {
            var serviceName: String
            var windowStart: String
            var requests: UInt64
            var goodRecorded: UInt64?
            var goodChanged: UInt64
            var keptRecorded: Bool?
            var keptChanged: Bool
        }

        var windows: Int
        var different: [Row]
        var omitted: Int
    }

    var from: UInt64
    var through: UInt64
    var records: UInt64
    var isDifferent: Bool
    var evictions: Evictions
    var episodes: [Episode]
    var refusals: [Refusals]
    var selections: Selections
    var mirrors: Mirrors
    var traces: Traces
    var objectives: Objectives
    /// Said in the answer itself, since it may be read without its manual.
    var note = "open loop: recorded facts stay; latency and what would have followed were not simulated"

    init(_ report: WhatIfReport) {
        (from, through) = (report.from.sequence.rawValue, report.through.sequence.rawValue)
        records = report.recordCount
        isDifferent = !report.isEmpty
        evictions = Evictions(
            recorded: report.recordedEvictions, changed: report.changedEvictions, equal: report.equalEvictions,
            different: report.evictions.rows.map {
                Evictions.Row(
                    serviceName: $0.serviceName, instanceId: $0.instanceID, incarnation: $0.incarnation,
                    reason: $0.reason, recorded: $0.recorded?.sequence.rawValue,
                    changed: $0.changed?.sequence.rawValue, heardAgain: $0.heardAgain?.sequence.rawValue)
            }, omitted: report.evictions.omittedCount)
        episodes = report.episodes.rows.map {
            Episode(
                kind: $0.kind.rawValue, serviceName: $0.serviceName, side: $0.isChanged ? "changed" : "recorded",
                began: $0.began.sequence.rawValue, ended: $0.ended?.sequence.rawValue)
        }
        refusals = report.refusals.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            Refusals(reason: $0.key.name, recorded: $0.value.recorded, changed: $0.value.changed)
        }
        selections = Self.selections(report)
        mirrors = Self.mirrors(report)
        traces = Self.traces(report)
        objectives = Objectives(
            windows: report.objectiveWindows,
            different: report.objectives.rows.map {
                Objectives.Row(
                    serviceName: $0.serviceName, windowStart: RFC3339.text($0.windowStart), requests: $0.requests,
                    goodRecorded: $0.goodRecorded, goodChanged: $0.goodChanged, keptRecorded: $0.isKeptRecorded,
                    keptChanged: $0.isKeptChanged)
            }, omitted: report.objectives.omittedCount)
    }

    private static func selections(_ report: WhatIfReport) -> Selections {
        Selections(
            count: report.selectionCount, reproduced: report.reproducedSelections,
            shares: report.shares.map {
                Selections.Share(
                    serviceName: $0.serviceName, instanceId: $0.instanceID, recorded: $0.recorded, changed: $0.changed)
            },
            different: report.selections.rows.map {
                Selections.Row(
                    sequence: $0.position.sequence.rawValue, serviceName: $0.serviceName,
                    traceId: $0.traceID?.description, chosen: $0.chosen, recorded: $0.recorded, changed: $0.changed)
            }, omitted: report.selections.omittedCount)
    }

    private static func mirrors(_ report: WhatIfReport) -> Mirrors {
        Mirrors(
            sums: report.mirrors.map { mirror in
                Mirrors.Sum(
                    mirrorId: mirror.mirrorID, captured: mirror.captured, copied: mirror.recorded,
                    wouldBeCopied: mirror.changed, comparisonsLost: mirror.lostComparisons,
                    differences: mirror.differences, differencesLost: mirror.lostDifferences,
                    placesNeverSeen: mirror.lostPaths.map { "\($0.part.name) \($0.pattern) \($0.kind.name)" })
            },
            different: report.captures.rows.map {
                Mirrors.Row(
                    sequence: $0.position.sequence.rawValue, index: $0.position.index, mirrorId: $0.mirrorID,
                    requestId: $0.requestID, recorded: $0.recorded?.name ?? "copied",
                    changed: $0.changed?.name ?? "copied")
            }, omitted: report.captures.omittedCount)
    }

    private static func traces(_ report: WhatIfReport) -> Traces {
        Traces(
            judged: report.judgedTraces, recorded: report.recordedAnomalies, changed: report.changedAnomalies,
            different: report.verdicts.rows.map {
                Traces.Row(
                    traceId: $0.traceID.description, serviceName: $0.serviceName, operationName: $0.operationName,
                    durationNs: $0.recorded.duration.rawValue, limitNs: $0.changed.limit.rawValue,
                    recorded: WhatIfText.word($0.recorded), changed: WhatIfText.word($0.changed))
            }, omitted: report.verdicts.omittedCount)
    }
}
