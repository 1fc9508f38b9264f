// Events as SwiftProtobuf's generated code reads them: what the hand-written codec is held against.

import EventModel
import SwiftProtobuf

/// An event in a form that compares by its fields, whichever code read it.
struct ReadEvent: Hashable {
    /// Without heartbeats, which stay in their encoding.
    let event: Event?
    let heartbeats: [Heartbeat]
    let heartbeatService: String
    /// Spans, which stay in their encoding too.
    let spans: [TraceSpan]

    struct Heartbeat: Hashable {
        let instanceID: String
        let incarnation: Int64
        let occurredAt: Int64
    }

    /// An event from the hand-written codec.
    init(_ event: Event) {
        if case .trace(.spansReceived(let batch)) = event {
            (self.event, heartbeats, heartbeatService, spans) = (nil, [], batch.serviceName, batch.spans)
            return
        }
        guard case .registry(.heartbeat(let batch)) = event else {
            (self.event, heartbeats, heartbeatService, spans) = (event, [], "", [])
            return
        }
        var found: [Heartbeat] = []
        var cursor = batch.makeCursor()
        let bytes = Array(batch.facts)
        while let view = cursor.next(in: batch.facts.span) {
            found.append(
                Heartbeat(
                    instanceID: String(decoding: bytes[view.instanceID], as: UTF8.self), incarnation: view.incarnation,
                    occurredAt: view.occurredAt.rawValue))
        }
        self.event = nil
        heartbeats = found
        heartbeatService = batch.serviceName
        spans = []
    }

    fileprivate init(_ generated: Lattice_V1_SpansReceived) {
        (event, heartbeats, heartbeatService) = (nil, [], generated.serviceName)
        spans = generated.spans.map { SpanOracle.span($0, of: generated) }
    }

    fileprivate init(_ generated: Lattice_V1_Heartbeats) {
        event = nil
        spans = []
        heartbeatService = generated.serviceName
        heartbeats = generated.events.map {
            Heartbeat(instanceID: $0.instanceID, incarnation: $0.incarnation, occurredAt: $0.occurredAt)
        }
    }
}

/// Reads events by the generated code.
enum Oracle {
    /// The generated message, to be serialised again.
    static func message(_ type: EventType, _ bytes: [UInt8]) throws -> any SwiftProtobuf.Message {
        try type.generated.init(serializedBytes: bytes)
    }

    /// The event with the defaults that the schemas state in words: weight 100, strategy weighted_random.
    static func read(_ type: EventType, _ bytes: [UInt8]) throws -> ReadEvent {
        if type.family == .mirror { return ReadEvent(.mirror(try MirrorOracle.read(type, bytes))) }
        switch try message(type, bytes) {
        case let message as Lattice_V1_Registered: return ReadEvent(.registry(.registered(registered(message))))
        case let message as Lattice_V1_Deregistered:
            return ReadEvent(.registry(.deregistered(batch(message.serviceName, message.events, deregistration))))
        case let message as Lattice_V1_Heartbeats: return ReadEvent(message)
        case let message as Lattice_V1_SpansReceived: return ReadEvent(message)
        case let message as Lattice_V1_HealthReported:
            return ReadEvent(.registry(.healthReported(batch(message.serviceName, message.events, health))))
        case let message as Lattice_V1_LoadReported:
            return ReadEvent(.registry(.loadReported(batch(message.serviceName, message.events, load))))
        case let message as Lattice_V1_HealthSwept:
            return ReadEvent(
                .registry(
                    .healthSwept(
                        HealthSwept(
                            serviceName: message.serviceName, events: message.events.map(health),
                            evictThreshold: message.evictThreshold))))
        case let message as Lattice_V1_InstancesSelected:
            return ReadEvent(.registry(.instanceSelected(batch(message.serviceName, message.events, selection))))
        case let message: return ReadEvent(nodeEvent(message))
        }
    }

    private static func batch<Source, Element>(
        _ service: String, _ events: [Source], _ element: (Source) -> Element
    ) -> Batch<Element> {
        Batch(serviceName: service, events: events.map(element))
    }

    private static func registered(_ message: Lattice_V1_Registered) -> Registered {
        let events = message.events.map { event in
            Registration(
                instanceID: event.instanceID, endpoint: event.endpoint, region: event.region, zone: event.zone,
                weight: event.hasWeight ? event.weight : 100,
                metadata: event.metadata.map { MetadataEntry(key: $0.key, value: $0.value) },
                incarnation: event.incarnation, occurredAt: Timestamp(nanoseconds: event.occurredAt))
        }
        return Registered(serviceName: message.serviceName, events: events, failFast: message.failFast)
    }

    private static func deregistration(_ event: Lattice_V1_Deregistration) -> Deregistration {
        Deregistration(
            instanceID: event.instanceID, incarnation: event.incarnation, reason: event.reason,
            occurredAt: Timestamp(nanoseconds: event.occurredAt), actor: event.actor)
    }

    private static func health(_ event: Lattice_V1_HealthReport) -> HealthReport {
        HealthReport(
            instanceID: event.instanceID, healthy: event.healthy, latency: Nanoseconds(event.latencyNs),
            consecutiveFailures: event.hasConsecutiveFailures ? event.consecutiveFailures : nil,
            lastCheck: Timestamp(nanoseconds: event.lastCheck), reason: event.reason, incarnation: event.incarnation)
    }

    private static func load(_ event: Lattice_V1_LoadReport) -> LoadReport {
        LoadReport(
            instanceID: event.instanceID, reporter: event.reporter, activeConnections: event.activeConnections,
            occurredAt: Timestamp(nanoseconds: event.occurredAt), incarnation: event.incarnation)
    }

    private static func selection(_ event: Lattice_V1_InstanceSelection) -> InstanceSelection {
        InstanceSelection(
            traceID: Array(event.traceID), candidates: event.candidates, chosen: event.chosen,
            strategy: SelectionStrategy(rawValue: UInt32(bitPattern: Int32(event.strategy.rawValue)))
                ?? .weightedRandom,
            asOf: SequenceNumber(event.asOfSequence), seed: event.seed)
    }

    private static func nodeEvent(_ message: any SwiftProtobuf.Message) -> Event {
        switch message {
        case let message as Lattice_V1_Tick: .clock(.tick(slot: message.slot))
        case let message as Lattice_V1_NodeResumed:
            .clock(.nodeResumed(nodeID: message.nodeID, reason: message.reason))
        case let message as Lattice_V1_IntakeGap:
            .clock(
                .intakeGap(nodeID: message.nodeID, reason: message.reason, droppedCount: message.droppedCount))
        case let message as Lattice_V1_LeadershipClaimed:
            .clock(.leadershipClaimed(nodeID: message.nodeID, epoch: message.epoch))
        case let message as Lattice_V1_SemanticsActivated:
            .policy(.semanticsActivated(version: message.version, reason: message.reason))
        case let message as Lattice_V1_RegistryConfigured: .policy(.registryConfigured(configuration(message)))
        case let message as Lattice_V1_GuardReleased:
            .policy(.guardReleased(serviceName: message.serviceName, reason: message.reason))
        case let message as Lattice_V1_TracesConfigured: .policy(.tracesConfigured(configuration(message)))
        case let message as Lattice_V1_DirectivesResumed:
            .policy(.directivesResumed(nodeID: message.nodeID, reason: message.reason))
        case let message as Lattice_V1_RecordSkipped:
            .policy(.recordSkipped(sequence: SequenceNumber(message.sequence), reason: message.reason))
        case let message as Lattice_V1_ContentsRead: .audit(.contentsRead(contentsRead(message)))
        case let message as Lattice_V1_Exported: .audit(.exported(exported(message)))
        default: preconditionFailure("the oracle does not know \(type(of: message))")
        }
    }

    private static func contentsRead(_ message: Lattice_V1_ContentsRead) -> ContentsRead {
        ContentsRead(
            nodeID: message.nodeID, query: message.query, sourceService: message.sourceService,
            firstSequence: SequenceNumber(message.firstSequence), lastSequence: SequenceNumber(message.lastSequence),
            count: message.count, actor: message.actor, reason: message.reason)
    }

    private static func exported(_ message: Lattice_V1_Exported) -> Exported {
        Exported(
            what: message.what, format: message.format, sourceService: message.sourceService,
            selection: message.selection, firstSequence: SequenceNumber(message.firstSequence),
            lastSequence: SequenceNumber(message.lastSequence), count: message.count, target: message.target,
            actor: message.actor, reason: message.reason)
    }

    private static func configuration(_ message: Lattice_V1_RegistryConfigured) -> RegistryConfiguration {
        RegistryConfiguration(
            staleAfter: message.hasStaleAfterNs ? Nanoseconds(message.staleAfterNs) : nil,
            evictAfter: message.hasEvictAfterNs ? Nanoseconds(message.evictAfterNs) : nil,
            guardServiceBasisPoints: message.hasGuardServiceBasisPoints ? message.guardServiceBasisPoints : nil,
            guardMeshBasisPoints: message.hasGuardMeshBasisPoints ? message.guardMeshBasisPoints : nil,
            guardLastInstance: message.hasGuardLastInstanceNs ? Nanoseconds(message.guardLastInstanceNs) : nil,
            guardWindows: message.hasGuardWindows ? message.guardWindows : nil,
            panicBasisPoints: message.hasPanicBasisPoints ? message.panicBasisPoints : nil,
            allowLoopback: message.hasAllowLoopback ? message.allowLoopback : nil,
            endpointNetworks: message.endpointNetworks, reason: message.reason)
    }

    private static func configuration(_ message: Lattice_V1_TracesConfigured) -> TracesConfiguration {
        var change = TracesConfiguration(
            objectives: message.objectives.map {
                NamedObjective(
                    serviceName: $0.serviceName,
                    objective: ServiceObjective(
                        latency: Nanoseconds($0.latencyNs), availabilityBasisPoints: $0.availabilityBasisPoints))
            }, reason: message.reason)
        change.timeToLive = message.hasTimeToLiveNs ? Nanoseconds(message.timeToLiveNs) : nil
        change.spansPerTrace = message.hasSpansPerTrace ? message.spansPerTrace : nil
        change.settleAfter = message.hasSettleAfterNs ? Nanoseconds(message.settleAfterNs) : nil
        change.anomalyFactor = message.hasAnomalyFactor ? message.anomalyFactor : nil
        change.anomalyFloor = message.hasAnomalyFloorNs ? Nanoseconds(message.anomalyFloorNs) : nil
        change.anomalySamples = message.hasAnomalySamples ? message.anomalySamples : nil
        change.anomalyThreshold = message.hasAnomalyThresholdNs ? Nanoseconds(message.anomalyThresholdNs) : nil
        change.seriesWindows = message.hasSeriesWindows ? message.seriesWindows : nil
        change.services = message.hasServices ? message.services : nil
        change.peers = message.hasPeers ? message.peers : nil
        change.operationsPerService = message.hasOperationsPerService ? message.operationsPerService : nil
        return change
    }
}

extension EventType {
    /// The generated type of the event's payload, named here a second time so that a mix-up in the sources is found.
    var generated: any SwiftProtobuf.Message.Type {
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
