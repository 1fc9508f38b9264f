// How many messages were rejected for which reason since the operator was last told.

import EventModel
import Logging

/// Counts rejections and tells of them at most once in ten seconds, so that whoever sends nonsense fills no log.
struct RejectionTally {
    private struct Row {
        var count = 0
        /// One of the subjects, so that there is somewhere to begin.
        var subject = ""
    }

    private var rows: [String: Row] = [:]
    private var nextTelling = Timestamp.zero
    /// Reasons that are told apart; the rest is one row.
    private static let reasonsMaximum = 20
    private static let patience = Nanoseconds.seconds(10)

    mutating func add(_ rejections: [Rejection]) {
        for rejection in rejections {
            let isRoom = rows[rejection.reason] != nil || rows.count < Self.reasonsMaximum
            let reason = isRoom ? rejection.reason : "other"
            rows[reason, default: Row()].count += 1
            if rows[reason]?.subject.isEmpty == true { rows[reason]?.subject = String(rejection.subject.prefix(256)) }
        }
    }

    /// A line for each reason, if it is time.
    mutating func tell(_ logger: Logger, now: Timestamp) {
        if rows.isEmpty { return }
        // A clock that was set back must not silence it.
        if now < nextTelling && nextTelling - now <= Self.patience { return }
        nextTelling = now + Self.patience
        for (reason, row) in rows.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) {
            logger.warning(
                "messages were rejected",
                metadata: ["reason": "\(reason)", "count": "\(row.count)", "subject": "\(row.subject)"])
        }
        rows = [:]
    }
}
