// What would have been decided otherwise: as sums and as lists.

package import EventModel

/// The differences between the decisions of the log and those under changed settings.
///
/// Open loop (decision 23): heartbeats, reports, captures, answers and spans are those that were recorded. What would
/// have followed from another decision, latency above all, was not simulated.
package struct WhatIfReport: Sendable {
    /// Entries of one list; the rest is counted.
    package static let rowMaximum = 10_000

    /// A list that is bounded.
    package struct Rows<Row: Sendable>: Sendable {
        package private(set) var rows: [Row] = []
        package private(set) var omittedCount = 0

        mutating func add(_ row: Row) {
            if rows.count < WhatIfReport.rowMaximum { rows.append(row) } else { omittedCount += 1 }
        }

        package var count: Int { rows.count + omittedCount }
    }

    /// An eviction that one side did and the other did not, or did elsewhere.
    package struct Eviction: Sendable, Hashable {
        package var serviceName: String
        package var instanceID: String
        package var incarnation: Int64
        package var reason: String
        /// Nil: it would be evicted under the changed settings only.
        package var recorded: AsOf?
        /// Nil: it would have stayed.
        package var changed: AsOf?
        /// The first sign of life after the first of the two.
        package var heardAgain: AsOf?
    }

    /// A time in which a service was guarded, or had too few healthy instances.
    package struct Episode: Sendable, Hashable {
        package enum Kind: String, Sendable, Hashable { case guarded, panic }

        package var kind: Kind
        package var serviceName: String
        /// Under the changed settings; else as recorded.
        package var isChanged: Bool
        package var began: AsOf
        /// Nil: it lasts.
        package var ended: AsOf?
    }

    /// A recorded selection that would have named another instance.
    package struct Selected: Sendable, Hashable {
        package var position: EventPosition
        package var serviceName: String
        package var traceID: TraceID?
        /// Whom the balancer chose.
        package var chosen: String
        /// Whom the recorded strategy chooses from what the log knows…
        package var recorded: String
        /// …and whom the changed settings name; empty: there is nobody left.
        package var changed: String
    }

    /// How often an instance is chosen.
    package struct Share: Sendable, Hashable {
        package var serviceName: String
        package var instanceID: String
        package var recorded = 0
        package var changed = 0
    }

    /// A captured request with another decision of a mirror.
    package struct Captured: Sendable, Hashable {
        package var position: EventPosition
        package var mirrorID: String
        package var requestID: String
        /// Why not; nil: it was copied.
        package var recorded: MirrorLedgerReason?
        package var changed: MirrorLedgerReason?
    }

    /// One mirror in sum.
    package struct Mirrored: Sendable, Hashable {
        package var mirrorID: String
        package var captured: UInt64 = 0
        package var recorded: UInt64 = 0
        package var changed: UInt64 = 0
        /// Recorded comparisons of requests that would not have been copied, and those of them that differed.
        package var lostComparisons: UInt64 = 0
        package var lostDifferences: UInt64 = 0
        /// Recorded comparisons that differed.
        package var differences: UInt64 = 0
        /// Places of differences that would never have been seen.
        package var lostPaths: [DifferingPath] = []
        package var skippedRecorded = MirrorLedger()
        package var skippedChanged = MirrorLedger()
    }

    /// A trace with another verdict.
    package struct Judged: Sendable, Hashable {
        package var traceID: TraceID
        package var serviceName: String
        package var operationName: String
        package var recorded: TraceVerdict
        package var changed: TraceVerdict
    }

    /// An objective in one window of five minutes.
    package struct Objective: Sendable, Hashable {
        package var serviceName: String
        package var windowStart: Timestamp
        package var requests: UInt64
        /// Requests that kept the recorded objective; nil: there is none.
        package var goodRecorded: UInt64?
        package var goodChanged: UInt64
        package var isKeptRecorded: Bool?
        package var isKeptChanged: Bool
    }

    package var from: AsOf
    package var through: AsOf
    package var recordCount: UInt64 = 0

    package var evictions = Rows<Eviction>()
    /// Evictions that both sides do at the same record.
    package var equalEvictions = 0
    /// All evictions of each side.
    package var recordedEvictions = 0
    package var changedEvictions = 0
    /// Episodes that the two sides do not have alike.
    package var episodes = Rows<Episode>()
    /// Events that are refused on one side only, by reason: as recorded, and under the changed settings.
    package var refusals: [RefusalReason: (recorded: UInt64, changed: UInt64)] = [:]

    package var selections = Rows<Selected>()
    package var selectionCount = 0
    /// Selections that the recorded strategy makes again from what the log knows.
    package var reproducedSelections = 0
    /// By service and instance.
    package var shares: [Share] = []

    package var captures = Rows<Captured>()
    /// By id.
    package var mirrors: [Mirrored] = []

    package var verdicts = Rows<Judged>()
    package var judgedTraces = 0
    package var recordedAnomalies = 0
    package var changedAnomalies = 0

    package var objectives = Rows<Objective>()
    package var objectiveWindows = 0

    /// Whether no decision would have been different.
    package var isEmpty: Bool {
        evictions.count == 0 && episodes.count == 0 && refusals.isEmpty && selections.count == 0 && captures.count == 0
            && verdicts.count == 0 && objectives.count == 0
    }
}
