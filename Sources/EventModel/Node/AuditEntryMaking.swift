// Which records are administrative, and what the audit trail says of them: a function of the record alone.

/// Kinds of events that the trail may have an entry of.
extension EventType {
    /// Whether records of this kind are looked at. Of deregistrations only those by somebody else than the service are
    /// administrative: the record tells.
    package var isAdministrative: Bool {
        switch self {
        case .deregistered, .leadershipClaimed, .semanticsActivated, .registryConfigured, .guardReleased,
            .tracesConfigured, .directivesResumed, .recordSkipped, .mirrorAdded, .mirrorRemoved, .mirrorEnabled,
            .mirrorDisabled,
            .shadowsAllowed,
            .mirrorDrained, .contentsErased, .contentsRead, .exported:
            true
        case .registered, .heartbeat, .healthReported, .loadReported, .healthSwept, .instanceSelected, .tick,
            .nodeResumed, .intakeGap, .requestCaptured, .requestDispatched, .responseCompared, .spansReceived:
            false
        }
    }

    /// Whether a subject may name the principal behind the kind: these events belong to a service by their second token.
    package var takesPrincipal: Bool {
        switch family {
        case .registry, .mirror: isAdministrative
        case .clock, .policy, .trace, .audit: false
        }
    }

    /// Family and kind, as the trail has it.
    package var action: String { "\(family.rawValue).\(name)" }
}

/// What stands in a subject and in the trail where nobody knows who it was.
package enum Unverified {
    /// The principal of a subject that names nobody.
    package static let principal = "unverified"

    /// With the name that was claimed.
    package static func named(_ claimed: String) -> String {
        claimed.isEmpty ? principal : "\(principal):\(claimed)"
    }
}

extension EventRecord {
    /// The principal behind the kind of an administrative event (`mirror.checkout.added.alice`); empty: none is named.
    package var administrator: String {
        let tokens = subject.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
        guard tokens.count == 4, let token = String(validating: tokens[3], as: UTF8.self),
            let name = SubjectToken.unescape(token), name != Unverified.principal
        else { return "" }
        return name
    }

    /// What the audit trail says of this record; nothing where it is not administrative.
    package var auditEntries: [AuditEntry] {
        switch event {
        case .registry(.deregistered(let batch)): deregistrations(batch)
        case .clock(.leadershipClaimed(let nodeID, let epoch)):
            [entry(.leadershipClaimed, by: nodeID, object: nodeID, detail: "epoch \(epoch)")]
        case .policy(let event): [entry(event)]
        case .mirror(let event): entries(event)
        case .audit(let event): [entry(event)]
        case .registry, .clock, .trace, .opaque: []
        }
    }

    private func entry(
        _ type: EventType, _ index: Int = 0, by actor: String, service: String = "", object: String = "",
        reason: String = "", detail: String = ""
    ) -> AuditEntry {
        AuditEntry(
            sequence: sequence, index: UInt32(index), recordedAt: recordedAt, action: type.action, actor: actor,
            service: service, object: object, reason: reason, detail: detail)
    }

    /// Of administrative events of a service.
    private var verifiedActor: String { administrator.isEmpty ? Unverified.principal : administrator }

    /// A service that takes its own instance out does what services do.
    private func deregistrations(_ batch: Batch<Deregistration>) -> [AuditEntry] {
        batch.events.enumerated().compactMap { index, event in
            if administrator.isEmpty, event.actor.isEmpty { return nil }
            let actor = administrator.isEmpty ? Unverified.named(event.actor) : administrator
            return entry(
                .deregistered, index, by: actor, service: batch.serviceName, object: event.instanceID,
                reason: event.reason)
        }
    }

    private func entry(_ event: PolicyEvent) -> AuditEntry {
        let actor = principal.isEmpty ? Unverified.principal : principal
        switch event {
        case .semanticsActivated(let version, let reason):
            return entry(.semanticsActivated, by: actor, reason: reason, detail: "version \(version)")
        case .registryConfigured(let change):
            return entry(.registryConfigured, by: actor, reason: change.reason, detail: change.summary)
        case .guardReleased(let service, let reason):
            return entry(
                .guardReleased, by: actor, service: service, reason: reason,
                detail: service.isEmpty ? "every service" : "")
        case .tracesConfigured(let change): return entry(.tracesConfigured, by: actor, reason: change.reason)
        case .directivesResumed(let nodeID, let reason):
            return entry(
                .directivesResumed, by: actor, object: nodeID, reason: reason,
                detail: nodeID.isEmpty ? "every node" : "")
        case .recordSkipped(let skipped, let reason):
            return entry(.recordSkipped, by: actor, reason: reason, detail: "record \(skipped)")
        }
    }

    private func entries(_ event: MirrorEvent) -> [AuditEntry] {
        let (actor, source) = (verifiedActor, event.sourceService)
        func changes(_ type: EventType, _ batch: Batch<MirrorChange>) -> [AuditEntry] {
            batch.events.enumerated().map { index, change in
                entry(type, index, by: actor, service: source, object: change.mirrorID, reason: change.reason)
            }
        }
        switch event {
        case .added(let batch):
            return batch.events.enumerated().map { index, mirror in
                entry(
                    .mirrorAdded, index, by: actor, service: source, object: mirror.mirrorID, detail: mirror.summary)
            }
        case .removed(let batch): return changes(.mirrorRemoved, batch)
        case .enabled(let batch): return changes(.mirrorEnabled, batch)
        case .disabled(let batch): return changes(.mirrorDisabled, batch)
        case .shadowsAllowed(let list):
            let names = list.endpoints.isEmpty ? "nothing" : list.endpoints.joined(separator: ", ")
            return [
                entry(
                    .shadowsAllowed, by: actor, service: source, reason: list.reason,
                    detail: names + (list.allowLoopback ? ", loopback too" : ""))
            ]
        case .drained(let drain):
            return [
                entry(
                    .mirrorDrained, by: actor, service: source, object: drain.mirrorID, reason: drain.reason,
                    detail: drain.limit == 0 ? "all that waited" : "at most \(drain.limit)")
            ]
        case .contentsErased(let erased):
            return [
                entry(
                    .contentsErased, by: actor, service: source, reason: erased.reason,
                    detail: "captured on day \(erased.day) since 1970-01-01")
            ]
        case .captured, .dispatched, .compared: return []
        }
    }

    private func entry(_ event: AuditEvent) -> AuditEntry {
        /// Who it was by the subject; where that tells nobody, who it says it is.
        func actor(_ claimed: String) -> String {
            principal.isEmpty || principal == Unverified.principal ? Unverified.named(claimed) : principal
        }
        func range(_ first: SequenceNumber, _ last: SequenceNumber) -> String {
            if first == .origin && last == .origin { return "" }
            return first == last ? "record \(first)" : "records \(first) to \(last)"
        }
        switch event {
        case .contentsRead(let read):
            let parts = ["\(read.query): \(read.count)", range(read.firstSequence, read.lastSequence)]
            return entry(
                .contentsRead, by: actor(read.actor), service: read.sourceService, object: read.nodeID,
                reason: read.reason, detail: parts.filter { !$0.isEmpty }.joined(separator: ", "))
        case .exported(let export):
            let parts = [
                "\(export.count) \(export.what) as \(export.format)", range(export.firstSequence, export.lastSequence),
                export.selection, export.target.isEmpty ? "" : "to \(export.target)",
            ]
            return entry(
                .exported, by: actor(export.actor), service: export.sourceService, reason: export.reason,
                detail: parts.filter { !$0.isEmpty }.joined(separator: ", "))
        }
    }
}

extension MirrorConfiguration {
    /// What it does, in a line.
    fileprivate var summary: String {
        var parts = ["to \(shadowEndpoint)", mode.name]
        if mode == .sampled { parts.append("\(sampleRateBasisPoints) of 10000") }
        if !baselineEndpoint.isEmpty { parts.append("baseline \(baselineEndpoint)") }
        if allowWrites { parts.append("writes too") }
        if !enabled { parts.append("disabled") }
        return parts.joined(separator: ", ")
    }
}

extension RegistryConfiguration {
    /// The settings that are named, in a line.
    fileprivate var summary: String {
        var parts: [String] = []
        func add(_ name: String, _ value: Nanoseconds?) {
            if let value { parts.append("\(name) \(value.rawValue / 1_000_000) ms") }
        }
        func add(_ name: String, _ value: UInt32?) { if let value { parts.append("\(name) \(value)") } }
        add("stale_after", staleAfter)
        add("evict_after", evictAfter)
        add("guard_service_basis_points", guardServiceBasisPoints)
        add("guard_mesh_basis_points", guardMeshBasisPoints)
        add("guard_last_instance", guardLastInstance)
        add("guard_windows", guardWindows)
        add("panic_basis_points", panicBasisPoints)
        if let allowLoopback { parts.append("allow_loopback \(allowLoopback)") }
        if !endpointNetworks.isEmpty {
            parts.append("endpoint_networks \(endpointNetworks.joined(separator: " "))")
        }
        return parts.joined(separator: ", ")
    }
}
