// What a stream's settings mean for a log that is fed from it: which of them break it, and which an operator should know of.

internal import Messaging

/// An existing stream is its operator's: it is refused for what would break the log, and for nothing else.
///
/// The log needs each message of `<prefix>.events.>` once, unchanged, in one order, for as long as a node may be away.
struct StreamReview: Sendable, Equatable {
    /// Why no log can be fed from it; empty: one can.
    var refusals: [String] = []
    /// What an operator may have meant and should know.
    var warnings: [String] = []
    /// Whether somebody who may publish can have messages removed.
    var permitsRemoval = false

    /// Fewer messages than this are lost to a node that is away for a moment.
    private static let messagesMin: Int64 = 65_536

    /// - Parameter subjects: what the log is fed from.
    init(_ settings: StreamSettings, subjects: [String]) {
        judgeSubjects(settings, subjects)
        judgeOrder(settings)
        judgeRemoval(settings)
        judgeRetention(settings)
        permitsRemoval = settings.deny_delete != true || settings.deny_purge != true
    }

    private mutating func judgeSubjects(_ settings: StreamSettings, _ wanted: [String]) {
        let patterns = settings.subjects ?? []
        for subject in wanted where !patterns.contains(where: { SubjectSyntax.covers($0, subject) }) {
            refusals.append("subjects: it does not take `\(subject)`")
        }
        for subject in wanted where subject.hasSuffix(".events.>") {
            let prefix = subject.dropLast(".events.>".count)
            // Its acknowledgement would be the first answer to each question; notices would come back as events.
            for other in ["queries.>", "changes.>", "rejected", "anchors"].map({ "\(prefix).\($0)" })
            where patterns.contains(where: { SubjectSyntax.overlap($0, other) }) {
                refusals.append("subjects: it takes `\(other)` too")
            }
        }
        if patterns.contains(where: { $0.hasPrefix("_INBOX") }) {
            refusals.append("subjects: it takes answers (`_INBOX.>`) too")
        }
    }

    /// Each message, as it was published, in the order of this stream.
    private mutating func judgeOrder(_ settings: StreamSettings) {
        if settings.mirror != nil { refusals.append("mirror: it follows another stream") }
        if !(settings.sources ?? []).isEmpty { refusals.append("sources: it gathers other streams") }
        if settings.subject_transform != nil { refusals.append("subject_transform: it renames messages") }
        if settings.republish != nil { refusals.append("republish: its messages come twice") }
        if settings.sealed == true { refusals.append("sealed: it takes nothing") }
        if settings.allow_msg_counter == true { refusals.append("allow_msg_counter: it changes messages") }
        if settings.allow_msg_schedules == true { refusals.append("allow_msg_schedules: it takes messages out again") }
    }

    /// Nothing goes from the middle.
    private mutating func judgeRemoval(_ settings: StreamSettings) {
        if settings.retention != "limits" {
            refusals.append("retention: \(settings.retention), which removes what was read")
        }
        if let count = settings.max_msgs_per_subject, count > 0 {
            refusals.append("max_msgs_per_subject: \(count), which removes the rest of a service's story")
        }
        if settings.allow_rollup_hdrs == true {
            refusals.append("allow_rollup_hdrs: whoever publishes may remove everything before")
        }
        if settings.allow_msg_ttl == true { refusals.append("allow_msg_ttl: whoever publishes may have it removed") }
    }

    /// What goes from the front goes unread where a node is away for longer.
    private mutating func judgeRetention(_ settings: StreamSettings) {
        if settings.max_age > 0 {
            warnings.append("max_age: what a node has not read by then is lost to it (stream_trimmed)")
        }
        if settings.discard == "old", settings.max_bytes > 0 {
            warnings.append(
                "max_bytes with discard old: what a node has not read by then is lost to it (stream_trimmed)")
        }
        if settings.discard == "old", let count = settings.max_msgs, count > 0 {
            if count < Self.messagesMin {
                refusals.append("max_msgs: \(count) with discard old, less than one moment may bring")
            } else {
                warnings.append(
                    "max_msgs with discard old: what a node has not read by then is lost to it (stream_trimmed)")
            }
        }
        if settings.storage == "memory", settings.num_replicas < 2 {
            warnings.append("storage: memory, which a restart of the server empties (stream_rolled_back)")
        }
        if settings.no_ack == true { warnings.append("no_ack: nobody learns whether the stream has taken an event") }
    }
}
