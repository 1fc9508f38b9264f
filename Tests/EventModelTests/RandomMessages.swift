// Random events in their canonical form, built from the generated code.

import EventModel
import Foundation
import SwiftProtobuf
import TestKit

extension SeededGenerator {
    /// A random event that the hand-written codec must take, with every default left unsaid.
    mutating func message(_ type: EventType) -> any SwiftProtobuf.Message {
        if type.family == .mirror { return mirrorMessage(type) }
        return switch type {
        case .registered:
            Lattice_V1_Registered.with {
                $0.serviceName = name()
                $0.events = batch { $0.registration() }
                $0.failFast = oneIn(2)
            }
        case .deregistered:
            Lattice_V1_Deregistered.with {
                $0.serviceName = name()
                $0.events = batch { $0.deregistration() }
            }
        case .heartbeat:
            Lattice_V1_Heartbeats.with {
                $0.serviceName = name()
                $0.events = batch { $0.heartbeat() }
            }
        case .healthReported:
            Lattice_V1_HealthReported.with {
                $0.serviceName = name()
                $0.events = batch { $0.healthReport() }
            }
        case .loadReported:
            Lattice_V1_LoadReported.with {
                $0.serviceName = name()
                $0.events = batch { $0.loadReport() }
            }
        case .healthSwept:
            Lattice_V1_HealthSwept.with {
                $0.serviceName = name()
                $0.events = batch { $0.healthReport() }
                $0.evictThreshold = small()
            }
        case .instanceSelected:
            Lattice_V1_InstancesSelected.with {
                $0.serviceName = name()
                $0.events = batch { $0.selection() }
            }
        case .spansReceived: spansReceived()
        default: nodeMessage(type)
        }
    }

    private mutating func nodeMessage(_ type: EventType) -> any SwiftProtobuf.Message {
        switch type {
        case .tick: Lattice_V1_Tick.with { $0.slot = number() }
        case .nodeResumed:
            Lattice_V1_NodeResumed.with {
                $0.nodeID = text(atMost: 256)
                $0.reason = text(atMost: 4_096)
            }
        case .intakeGap:
            Lattice_V1_IntakeGap.with {
                $0.nodeID = text(atMost: 256)
                $0.reason = text(atMost: 4_096)
                $0.droppedCount = number()
            }
        case .leadershipClaimed:
            Lattice_V1_LeadershipClaimed.with {
                $0.nodeID = name()
                $0.epoch = number()
            }
        case .semanticsActivated:
            Lattice_V1_SemanticsActivated.with {
                $0.version = small()
                $0.reason = text(atMost: 4_096)
            }
        case .registryConfigured: configuration()
        case .guardReleased:
            Lattice_V1_GuardReleased.with {
                $0.serviceName = text(atMost: 256)
                $0.reason = text(atMost: 4_096)
            }
        case .tracesConfigured: traceConfiguration()
        case .directivesResumed:
            Lattice_V1_DirectivesResumed.with {
                $0.nodeID = text(atMost: 256)
                $0.reason = text(atMost: 4_096)
            }
        case .recordSkipped:
            Lattice_V1_RecordSkipped.with {
                $0.sequence = number()
                $0.reason = text(atMost: 4_096)
            }
        case .contentsRead:
            Lattice_V1_ContentsRead.with {
                $0.nodeID = text(atMost: 256)
                $0.query = name()
                $0.sourceService = text(atMost: 256)
                $0.firstSequence = number()
                $0.lastSequence = number()
                $0.count = number()
                $0.actor = text(atMost: 256)
                $0.reason = text(atMost: 4_096)
            }
        case .exported: exported()
        default: preconditionFailure("\(type) is not a node's event")
        }
    }

    private mutating func exported() -> Lattice_V1_Exported {
        Lattice_V1_Exported.with {
            $0.what = name()
            $0.format = text(atMost: 256)
            $0.sourceService = text(atMost: 256)
            $0.selection = text(atMost: 4_096)
            $0.firstSequence = number()
            $0.lastSequence = number()
            $0.count = number()
            $0.target = text(atMost: 4_096)
            $0.actor = text(atMost: 256)
            $0.reason = text(atMost: 4_096)
        }
    }

    /// A random question to the registry in the form that the hand-written encoder writes.
    mutating func registryQuery() -> Lattice_V1_RegistryQuery {
        Lattice_V1_RegistryQuery.with {
            $0.serviceName = text(atMost: 256)
            $0.region = text(atMost: 256)
            if oneIn(2) { $0.healthyOnly = false }
            $0.minWeight = small()
            $0.strategy = strategy()
            if oneIn(2) { $0.seed = number() }
            if oneIn(2) { $0.cursor = number() }
            $0.excludeRegions = (0..<below(4)).map { _ in text(atMost: 256) }
            $0.instanceID = text(atMost: 256)
            $0.limit = small()
            $0.allowPanic = oneIn(2)
            $0.zone = text(atMost: 256)
            $0.atSequence = number()
            $0.atTime = signed()
            $0.minSequence = number()
            $0.reporter = text(atMost: 256)
            $0.localLoads = (0..<below(3)).map { _ in
                Lattice_V1_LocalLoad.with {
                    $0.instanceID = text(atMost: 256)
                    $0.activeConnections = small()
                }
            }
        }
    }

    // MARK: Elements

    mutating func batch<Element>(_ element: (inout SeededGenerator) -> Element) -> [Element] {
        (0...below(4)).map { _ in element(&self) }
    }

    mutating func name() -> String { text(atMost: 256, allowsEmpty: false) }
    mutating func small() -> UInt32 { UInt32(truncatingIfNeeded: number()) }
    mutating func signed() -> Int64 { Int64(bitPattern: number()) }

    private mutating func strategy() -> Lattice_V1_SelectionStrategy {
        [.weightedRandom, .roundRobin, .leastConnections, .powerOfTwo][below(4)]
    }

    private mutating func registration() -> Lattice_V1_Registration {
        Lattice_V1_Registration.with {
            $0.instanceID = name()
            $0.endpoint = text(atMost: 256)
            $0.region = text(atMost: 256)
            $0.zone = text(atMost: 256)
            let weight = small()
            if oneIn(2) && weight != 100 { $0.weight = weight }
            $0.metadata = (0..<below(4)).map { _ in
                Lattice_V1_MetadataEntry.with {
                    $0.key = text(atMost: 256)
                    $0.value = text(atMost: 4_096)
                }
            }
            $0.incarnation = signed()
            $0.occurredAt = signed()
        }
    }

    private mutating func deregistration() -> Lattice_V1_Deregistration {
        Lattice_V1_Deregistration.with {
            $0.instanceID = name()
            $0.incarnation = signed()
            $0.reason = text(atMost: 4_096)
            $0.occurredAt = signed()
            $0.actor = text(atMost: 256)
        }
    }

    private mutating func heartbeat() -> Lattice_V1_Heartbeat {
        Lattice_V1_Heartbeat.with {
            $0.instanceID = name()
            $0.incarnation = signed()
            $0.occurredAt = signed()
        }
    }

    private mutating func healthReport() -> Lattice_V1_HealthReport {
        Lattice_V1_HealthReport.with {
            $0.instanceID = name()
            $0.healthy = oneIn(2)
            $0.latencyNs = signed()
            if oneIn(2) { $0.consecutiveFailures = small() }
            $0.lastCheck = signed()
            $0.reason = text(atMost: 4_096)
            $0.incarnation = signed()
        }
    }

    private mutating func loadReport() -> Lattice_V1_LoadReport {
        Lattice_V1_LoadReport.with {
            $0.instanceID = name()
            $0.reporter = text(atMost: 256)
            $0.activeConnections = small()
            $0.occurredAt = signed()
            $0.incarnation = signed()
        }
    }

    private mutating func selection() -> Lattice_V1_InstanceSelection {
        Lattice_V1_InstanceSelection.with {
            if oneIn(2) { $0.traceID = Data((0..<16).map { _ in UInt8(truncatingIfNeeded: next()) }) }
            $0.candidates = (0..<below(4)).map { _ in text(atMost: 256) }
            $0.chosen = text(atMost: 256)
            $0.strategy = strategy()
            $0.asOfSequence = number()
            $0.seed = number()
        }
    }

    private mutating func traceConfiguration() -> Lattice_V1_TracesConfigured {
        Lattice_V1_TracesConfigured.with {
            if oneIn(2) { $0.timeToLiveNs = signed() }
            if oneIn(2) { $0.spansPerTrace = small() }
            if oneIn(2) { $0.settleAfterNs = signed() }
            if oneIn(2) { $0.anomalyFactor = small() }
            if oneIn(2) { $0.anomalyFloorNs = signed() }
            if oneIn(2) { $0.anomalySamples = small() }
            if oneIn(2) { $0.anomalyThresholdNs = signed() }
            if oneIn(2) { $0.seriesWindows = small() }
            if oneIn(2) { $0.services = small() }
            if oneIn(2) { $0.peers = small() }
            if oneIn(2) { $0.operationsPerService = small() }
            $0.objectives = (0..<below(4)).map { _ in
                Lattice_V1_ServiceObjective.with {
                    $0.serviceName = text(atMost: 256)
                    $0.latencyNs = signed()
                    $0.availabilityBasisPoints = small()
                }
            }
            $0.reason = text(atMost: 4_096)
        }
    }

    private mutating func configuration() -> Lattice_V1_RegistryConfigured {
        Lattice_V1_RegistryConfigured.with {
            if oneIn(2) { $0.staleAfterNs = signed() }
            if oneIn(2) { $0.evictAfterNs = signed() }
            if oneIn(2) { $0.guardServiceBasisPoints = small() }
            if oneIn(2) { $0.guardMeshBasisPoints = small() }
            if oneIn(2) { $0.guardLastInstanceNs = signed() }
            if oneIn(2) { $0.guardWindows = small() }
            if oneIn(2) { $0.panicBasisPoints = small() }
            if oneIn(2) { $0.allowLoopback = oneIn(2) }
            if oneIn(2) { $0.endpointNetworks = (0..<Int(small() % 4)).map { _ in text(atMost: 256) } }
            $0.reason = text(atMost: 4_096)
        }
    }
}
