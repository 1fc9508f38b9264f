// The facts of the audit family as values (schemas/lattice/v1/audit_events.proto).

/// What was read or taken out of the log; no state is folded from it.
public enum AuditEvent: Sendable, Hashable {
    /// Recorded by the node that answers, before it does.
    case contentsRead(ContentsRead)
    /// Told by whoever takes a copy, before it is taken.
    case exported(Exported)
}

/// Captured headers and bodies that were handed out.
public struct ContentsRead: Sendable, Hashable {
    /// The node that answered.
    public var nodeID: String
    /// `captures` or `comparison`.
    public var query: String
    /// Empty: of every service.
    public var sourceService: String
    /// Records of the first and the last exchange.
    public var firstSequence: SequenceNumber
    public var lastSequence: SequenceNumber
    /// Exchanges whose contents were handed out.
    public var count: UInt64
    /// Who the asker says it is, where the subject does not tell.
    public var actor: String
    public var reason: String

    public init(
        nodeID: String, query: String, sourceService: String = "", firstSequence: SequenceNumber = .origin,
        lastSequence: SequenceNumber = .origin, count: UInt64 = 0, actor: String = "", reason: String = ""
    ) {
        self.nodeID = nodeID
        self.query = query
        self.sourceService = sourceService
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.count = count
        self.actor = actor
        self.reason = reason
    }
}

/// A copy that left the log.
public struct Exported: Sendable, Hashable {
    /// `captures` or `traces`.
    public var what: String
    /// `case`, `gor`, `replay`, `otlp`, `jaeger`.
    public var format: String
    /// Empty: of no one service.
    public var sourceService: String
    /// What was chosen, in words.
    public var selection: String
    public var firstSequence: SequenceNumber
    public var lastSequence: SequenceNumber
    /// Requests, or traces.
    public var count: UInt64
    /// Where it went.
    public var target: String
    /// Who the exporter says it is, where the subject does not tell.
    public var actor: String
    public var reason: String

    public init(
        what: String, format: String, sourceService: String = "", selection: String = "",
        firstSequence: SequenceNumber = .origin, lastSequence: SequenceNumber = .origin, count: UInt64 = 0,
        target: String = "", actor: String = "", reason: String = ""
    ) {
        self.what = what
        self.format = format
        self.sourceService = sourceService
        self.selection = selection
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.count = count
        self.target = target
        self.actor = actor
        self.reason = reason
    }
}
