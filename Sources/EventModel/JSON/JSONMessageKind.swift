// Which generated type stands behind each kind of message that has a JSON form.

import SwiftProtobuf

/// The messages besides events: questions, answers, notices, and a record as tools print it.
package enum MessageKind: String, Sendable, Hashable, CaseIterable {
    case registryQuery = "registry_query"
    case nodeQuery = "node_query"
    case instancesAnswer = "instances_answer"
    case selectionAnswer = "selection_answer"
    case topologyAnswer = "topology_answer"
    case removalsAnswer = "removals_answer"
    case digestAnswer = "digest_answer"
    case outcomeAnswer = "outcome_answer"
    case nodeStatus = "node_status"
    case errorAnswer = "error_answer"
    case rejection
    case changeNotice = "change_notice"
    case eventRecord = "event_record"
    case traceQuery = "trace_query"
    case traceAnswer = "trace_answer"
    case spansAnswer = "spans_answer"
    case tracesAnswer = "traces_answer"
    case operationsAnswer = "operations_answer"
    case percentilesAnswer = "percentiles_answer"
    case latencyBreakdownAnswer = "latency_breakdown_answer"
    case criticalPathAnswer = "critical_path_answer"
    case dependenciesAnswer = "dependencies_answer"
    case sloAnswer = "slo_answer"
    case flamegraphAnswer = "flamegraph_answer"
    case comparisonAnswer = "comparison_answer"
    case collectorStats = "collector_stats"
    case mirrorQuery = "mirror_query"
    case mirrorsAnswer = "mirrors_answer"
    case mirrorLedgerAnswer = "mirror_ledger_answer"
    case mirrorPendingAnswer = "mirror_pending_answer"
    case mirrorDiffsAnswer = "mirror_diffs_answer"
    case mirrorComparisonAnswer = "mirror_comparison_answer"
    case mirrorDecisionsAnswer = "mirror_decisions_answer"
    case capturesAnswer = "captures_answer"
    case anchor
    case auditQuery = "audit_query"
    case auditAnswer = "audit_answer"

    var message: any SwiftProtobuf.Message.Type {
        switch self {
        case .registryQuery: Lattice_V1_RegistryQuery.self
        case .nodeQuery: Lattice_V1_NodeQuery.self
        case .instancesAnswer: Lattice_V1_InstancesAnswer.self
        case .selectionAnswer: Lattice_V1_SelectionAnswer.self
        case .topologyAnswer: Lattice_V1_TopologyAnswer.self
        case .removalsAnswer: Lattice_V1_RemovalsAnswer.self
        case .digestAnswer: Lattice_V1_DigestAnswer.self
        case .outcomeAnswer: Lattice_V1_OutcomeAnswer.self
        case .nodeStatus: Lattice_V1_NodeStatus.self
        case .errorAnswer: Lattice_V1_ErrorAnswer.self
        case .rejection: Lattice_V1_Rejection.self
        case .changeNotice: Lattice_V1_ChangeNotice.self
        case .eventRecord: Lattice_V1_EventRecord.self
        case .traceQuery: Lattice_V1_TraceQuery.self
        case .traceAnswer: Lattice_V1_TraceAnswer.self
        case .spansAnswer: Lattice_V1_SpansAnswer.self
        case .tracesAnswer: Lattice_V1_TracesAnswer.self
        case .operationsAnswer: Lattice_V1_OperationsAnswer.self
        case .percentilesAnswer: Lattice_V1_PercentilesAnswer.self
        case .latencyBreakdownAnswer: Lattice_V1_LatencyBreakdownAnswer.self
        case .criticalPathAnswer: Lattice_V1_CriticalPathAnswer.self
        case .dependenciesAnswer: Lattice_V1_DependenciesAnswer.self
        case .sloAnswer: Lattice_V1_SLOAnswer.self
        case .flamegraphAnswer: Lattice_V1_FlamegraphAnswer.self
        case .comparisonAnswer: Lattice_V1_ComparisonAnswer.self
        case .collectorStats: Lattice_V1_CollectorStats.self
        case .mirrorQuery: Lattice_V1_MirrorQuery.self
        case .mirrorsAnswer: Lattice_V1_MirrorsAnswer.self
        case .mirrorLedgerAnswer: Lattice_V1_MirrorLedgerAnswer.self
        case .mirrorPendingAnswer: Lattice_V1_MirrorPendingAnswer.self
        case .mirrorDiffsAnswer: Lattice_V1_MirrorDiffsAnswer.self
        case .mirrorComparisonAnswer: Lattice_V1_MirrorComparisonAnswer.self
        case .mirrorDecisionsAnswer: Lattice_V1_MirrorDecisionsAnswer.self
        case .capturesAnswer: Lattice_V1_CapturesAnswer.self
        case .anchor: Lattice_V1_Anchor.self
        case .auditQuery: Lattice_V1_AuditQuery.self
        case .auditAnswer: Lattice_V1_AuditAnswer.self
        }
    }
}

extension QueryName {
    /// What asks the query.
    package var question: MessageKind {
        switch self {
        case .registry: .registryQuery
        case .trace: .traceQuery
        case .node: .nodeQuery
        case .mirror: .mirrorQuery
        case .audit: .auditQuery
        }
    }

    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .registry(let name): name.answer
        case .trace(let name): name.answer
        case .node(let name): name.answer
        case .mirror(let name): name.answer
        case .audit(let name): name.answer
        }
    }
}

extension RegistryQueryName {
    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .resolve, .instance, .staleInstances, .failoverCandidates: .instancesAnswer
        case .select: .selectionAnswer
        case .services, .topology: .topologyAnswer
        case .removals: .removalsAnswer
        case .digest: .digestAnswer
        }
    }
}

extension TraceQueryName {
    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .trace: .traceAnswer
        case .span, .children, .slowSpans: .spansAnswer
        case .search, .anomalies, .incomplete: .tracesAnswer
        case .services, .operations: .operationsAnswer
        case .latencyBreakdown: .latencyBreakdownAnswer
        case .criticalPath: .criticalPathAnswer
        case .percentiles: .percentilesAnswer
        case .dependencies: .dependenciesAnswer
        case .slo: .sloAnswer
        case .flamegraph: .flamegraphAnswer
        case .compare: .comparisonAnswer
        case .stats: .collectorStats
        }
    }
}

extension MirrorQueryName {
    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .mirrors, .stats: .mirrorsAnswer
        case .ledger: .mirrorLedgerAnswer
        case .pending: .mirrorPendingAnswer
        case .diffs: .mirrorDiffsAnswer
        case .comparison: .mirrorComparisonAnswer
        case .shouldMirror: .mirrorDecisionsAnswer
        case .captures: .capturesAnswer
        }
    }
}

extension AuditQueryName {
    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .trail: .auditAnswer
        }
    }
}

extension NodeQueryName {
    /// What answers the query.
    package var answer: MessageKind {
        switch self {
        case .status: .nodeStatus
        case .outcome: .outcomeAnswer
        case .digest: .digestAnswer
        }
    }
}

extension EventType {
    var message: any SwiftProtobuf.Message.Type {
        switch self {
        case .registered: Lattice_V1_Registered.self
        case .deregistered: Lattice_V1_Deregistered.self
        case .heartbeat: Lattice_V1_Heartbeats.self
        case .healthReported: Lattice_V1_HealthReported.self
        case .loadReported: Lattice_V1_LoadReported.self
        case .healthSwept: Lattice_V1_HealthSwept.self
        case .instanceSelected: Lattice_V1_InstancesSelected.self
        case .tick: Lattice_V1_Tick.self
        case .nodeResumed: Lattice_V1_NodeResumed.self
        case .intakeGap: Lattice_V1_IntakeGap.self
        case .leadershipClaimed: Lattice_V1_LeadershipClaimed.self
        case .semanticsActivated: Lattice_V1_SemanticsActivated.self
        case .registryConfigured: Lattice_V1_RegistryConfigured.self
        case .guardReleased: Lattice_V1_GuardReleased.self
        case .tracesConfigured: Lattice_V1_TracesConfigured.self
        case .directivesResumed: Lattice_V1_DirectivesResumed.self
        case .recordSkipped: Lattice_V1_RecordSkipped.self
        case .mirrorAdded: Lattice_V1_MirrorsAdded.self
        case .mirrorRemoved: Lattice_V1_MirrorsChanged.self
        case .mirrorEnabled: Lattice_V1_MirrorsChanged.self
        case .mirrorDisabled: Lattice_V1_MirrorsChanged.self
        case .shadowsAllowed: Lattice_V1_ShadowsAllowed.self
        case .requestCaptured: Lattice_V1_RequestsCaptured.self
        case .requestDispatched: Lattice_V1_RequestsDispatched.self
        case .responseCompared: Lattice_V1_ResponsesCompared.self
        case .mirrorDrained: Lattice_V1_MirrorDrained.self
        case .contentsErased: Lattice_V1_ContentsErased.self
        case .spansReceived: Lattice_V1_SpansReceived.self
        case .contentsRead: Lattice_V1_ContentsRead.self
        case .exported: Lattice_V1_Exported.self
        }
    }
}
