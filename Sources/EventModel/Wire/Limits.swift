// What a message may contain; frozen with the log format, since replicas must judge alike (decision 2).

/// Bounds on what is accepted, as Limits.md lists them.
public enum Limits {
    /// Bytes of a message, payload and headers.
    public static let messageBytes = 1_048_576
    /// Bytes of an identifier, an endpoint, a region, a zone or a metadata key.
    public static let identifierBytes = 256
    /// Bytes of a metadata value or a reason.
    public static let valueBytes = 4_096
    /// Entries of one instance's metadata.
    public static let metadataEntries = 128
    /// Tags, logs, links of one span, and tags of one process, log or link.
    public static let tagsPerSpan = 128
    /// Events in one message.
    public static let eventsPerMessage = 65_536
    /// Candidates in one recorded selection.
    public static let selectionCandidates = 1_024
    /// Tags that one search looks for.
    public static let tagFilters = 16
    /// Objectives, or percentiles, in one question.
    public static let objectives = 1_024
    /// The highest weight.
    public static let weight: UInt32 = 1_000
    /// The weight of an instance that names none.
    public static let defaultWeight: UInt32 = 100
    /// How far `occurred_at` and `last_check` may lie ahead of the log.
    public static let timeAhead = Nanoseconds.seconds(300)
    /// Depth of nesting in JSON.
    public static let jsonDepth = 64
}
