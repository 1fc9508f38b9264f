// Who may ask what: every query of every family with the role that it takes, written down here and nowhere else.

/// What somebody who asks may be; each may ask what those before it may.
public enum QueryRole: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Looks at the registry, at traces and at how the node is doing.
    case viewer
    /// Investigates: mirrors, captured contents, the audit trail.
    case forensic
    /// Decides.
    case `operator`

    /// A viewer may least.
    public static func < (lower: QueryRole, upper: QueryRole) -> Bool { lower.rank < upper.rank }

    private var rank: Int {
        switch self {
        case .viewer: 0
        case .forensic: 1
        case .operator: 2
        }
    }
}

/// A query with its family: the last tokens of its subject, `registry.resolve`.
public enum QueryName: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case registry(RegistryQueryName)
    case trace(TraceQueryName)
    case node(NodeQueryName)
    case mirror(MirrorQueryName)
    case audit(AuditQueryName)

    /// The query of a subject's last tokens; nil where there is none of this name.
    public init?(machine: some StringProtocol, query: some StringProtocol) {
        let name = String(query)
        let found: QueryName? =
            switch machine {
            case "registry": RegistryQueryName(rawValue: name).map { .registry($0) }
            case "trace": TraceQueryName(rawValue: name).map { .trace($0) }
            case "node": NodeQueryName(rawValue: name).map { .node($0) }
            case "mirror": MirrorQueryName(rawValue: name).map { .mirror($0) }
            case "audit": AuditQueryName(rawValue: name).map { .audit($0) }
            default: nil
            }
        guard let found else { return nil }
        self = found
    }

    /// Every query of every family.
    public static var allCases: [QueryName] {
        RegistryQueryName.allCases.map { .registry($0) } + TraceQueryName.allCases.map { .trace($0) }
            + NodeQueryName.allCases.map { .node($0) } + MirrorQueryName.allCases.map { .mirror($0) }
            + AuditQueryName.allCases.map { .audit($0) }
    }

    /// Family and query, as in the subject.
    public var description: String {
        switch self {
        case .registry(let name): "registry.\(name.rawValue)"
        case .trace(let name): "trace.\(name.rawValue)"
        case .node(let name): "node.\(name.rawValue)"
        case .mirror(let name): "mirror.\(name.rawValue)"
        case .audit(let name): "audit.\(name.rawValue)"
        }
    }

    /// The least role that may ask it. A new query does not compile without one.
    public var role: QueryRole {
        switch self {
        case .registry(let name): name.role
        case .trace(let name): name.role
        case .node(let name): name.role
        case .mirror(let name): name.role
        case .audit(let name): name.role
        }
    }

    /// Whether captured contents are handed out: then the subject ends with who reads them, and the node records it.
    public var handsOutContents: Bool {
        switch self {
        case .mirror(let name): name.handsOutContents
        case .registry, .trace, .node, .audit: false
        }
    }
}

extension RegistryQueryName {
    fileprivate var role: QueryRole {
        switch self {
        case .resolve, .select, .instance, .staleInstances, .failoverCandidates, .services, .topology, .removals,
            .digest:
            .viewer
        }
    }
}

extension TraceQueryName {
    fileprivate var role: QueryRole {
        switch self {
        case .trace, .span, .children, .search, .services, .operations, .latencyBreakdown, .criticalPath, .anomalies,
            .percentiles, .incomplete, .dependencies, .slowSpans, .slo, .flamegraph, .compare, .stats:
            .viewer
        }
    }
}

extension NodeQueryName {
    fileprivate var role: QueryRole {
        switch self {
        case .status, .outcome, .digest: .viewer
        }
    }
}

extension MirrorQueryName {
    fileprivate var role: QueryRole {
        switch self {
        case .mirrors, .stats, .ledger, .pending, .diffs, .comparison, .shouldMirror, .captures: .forensic
        }
    }

    fileprivate var handsOutContents: Bool {
        switch self {
        case .comparison, .captures: true
        case .mirrors, .stats, .ledger, .pending, .diffs, .shouldMirror: false
        }
    }
}

extension AuditQueryName {
    fileprivate var role: QueryRole {
        switch self {
        case .trail: .forensic
        }
    }
}
