// The mirror's events as SwiftProtobuf's generated code reads them, and random ones.

import EventModel
import Foundation
import SwiftProtobuf
import TestKit

/// Reads events of the mirror family by the generated code.
enum MirrorOracle {
    static func read(_ type: EventType, _ bytes: [UInt8]) throws -> MirrorEvent {
        switch type {
        case .mirrorAdded:
            let message = try Lattice_V1_MirrorsAdded(serializedBytes: bytes)
            return .added(
                Batch(
                    serviceName: message.sourceService,
                    events: message.events.map { configuration($0, of: message.sourceService) }))
        case .mirrorRemoved: return .removed(try changes(bytes))
        case .mirrorEnabled: return .enabled(try changes(bytes))
        case .mirrorDisabled: return .disabled(try changes(bytes))
        case .shadowsAllowed:
            let message = try Lattice_V1_ShadowsAllowed(serializedBytes: bytes)
            return .shadowsAllowed(
                ShadowsAllowed(
                    sourceService: message.sourceService, endpoints: message.endpoints,
                    allowLoopback: message.allowLoopback, reason: message.reason))
        case .requestCaptured:
            let message = try Lattice_V1_RequestsCaptured(serializedBytes: bytes)
            return .captured(Batch(serviceName: message.sourceService, events: message.events.map(capture)))
        case .requestDispatched:
            let message = try Lattice_V1_RequestsDispatched(serializedBytes: bytes)
            return .dispatched(Batch(serviceName: message.sourceService, events: message.events.map(dispatch)))
        case .responseCompared:
            let message = try Lattice_V1_ResponsesCompared(serializedBytes: bytes)
            return .compared(Batch(serviceName: message.sourceService, events: message.events.map(comparison)))
        case .contentsErased:
            let message = try Lattice_V1_ContentsErased(serializedBytes: bytes)
            return .contentsErased(
                ContentsErased(sourceService: message.sourceService, day: message.day, reason: message.reason))
        default:
            let message = try Lattice_V1_MirrorDrained(serializedBytes: bytes)
            return .drained(
                MirrorDrained(
                    sourceService: message.sourceService, mirrorID: message.mirrorID, limit: message.limit,
                    reason: message.reason))
        }
    }

    private static func configuration(_ mirror: Lattice_V1_Mirror, of service: String) -> MirrorConfiguration {
        MirrorConfiguration(
            mirrorID: mirror.mirrorID, sourceService: service, shadowEndpoint: mirror.shadowEndpoint,
            mode: MirrorMode(name: mirror.mode) ?? .sampled,
            sampleRateBasisPoints: mirror.hasSampleRateBasisPoints ? mirror.sampleRateBasisPoints : 100,
            includeIntents: mirror.includeIntents, excludeIntents: mirror.excludeIntents,
            timeout: Nanoseconds(mirror.hasTimeoutNs ? mirror.timeoutNs : 1_000_000_000), enabled: !mirror.disabled,
            allowWrites: mirror.allowWrites, payloadLimit: mirror.hasPayloadLimit ? mirror.payloadLimit : 16_384,
            bufferRequests: mirror.hasBufferRequests ? mirror.bufferRequests : 1_000,
            bufferBytes: mirror.hasBufferBytes ? mirror.bufferBytes : 67_108_864,
            shadowAuthentication: mirror.shadowAuth, ignoreFields: mirror.ignoreFields,
            unorderedArrays: mirror.unorderedArrays, comparedHeaders: mirror.comparedHeaders,
            baselineEndpoint: mirror.baselineEndpoint, baselineAuthentication: mirror.baselineAuth)
    }

    private static func changes(_ bytes: [UInt8]) throws -> Batch<MirrorChange> {
        let message = try Lattice_V1_MirrorsChanged(serializedBytes: bytes)
        return Batch(
            serviceName: message.sourceService,
            events: message.events.map { MirrorChange(mirrorID: $0.mirrorID, reason: $0.reason) })
    }

    private static func capture(_ event: Lattice_V1_Capture) -> RequestCapture {
        RequestCapture(
            requestID: event.requestID, traceID: Array(event.traceID), intent: event.intent, method: event.method,
            pathHash: event.pathHash, sampleSeed: event.sampleSeed,
            occurredAt: Timestamp(nanoseconds: event.occurredAt), payloadLength: event.payloadLength,
            payloadKept: event.payloadKept, status: event.status, responseLength: event.responseLength,
            responseKept: event.responseKept, latency: Nanoseconds(event.latencyNs),
            hasShadowMark: event.hasShadowMark_p)
    }

    private static func dispatch(_ event: Lattice_V1_Dispatch) -> ShadowDispatch {
        ShadowDispatch(
            directive: DirectiveID(
                causeSequence: SequenceNumber(event.causeSequence), causeIndex: event.causeIndex,
                mirrorID: event.mirrorID),
            outcome: DispatchOutcome(name: event.outcome) ?? .failed, status: event.status,
            latency: Nanoseconds(event.latencyNs), reason: event.reason, isRedispatched: event.redispatched,
            isBaseline: event.isBaseline)
    }

    private static func comparison(_ event: Lattice_V1_Comparison) -> ShadowComparison {
        ShadowComparison(
            directive: DirectiveID(
                causeSequence: SequenceNumber(event.causeSequence), causeIndex: event.causeIndex,
                mirrorID: event.mirrorID),
            verdict: ComparisonVerdict(name: event.verdict) ?? .equal, differenceCount: event.differenceCount,
            paths: event.paths.map {
                DifferingPath(
                    part: ResponsePart(name: $0.part) ?? .body, pattern: $0.pattern,
                    kind: DifferenceKind(name: $0.kind) ?? .value)
            }, isBaseline: event.isBaseline)
    }

    /// Whether a message carries fields that its schema does not have, at any depth.
    static func hasUnknownFields(_ message: any SwiftProtobuf.Message) -> Bool {
        if !message.unknownFields.data.isEmpty { return true }
        return switch message {
        case let message as Lattice_V1_MirrorsAdded: message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_MirrorsChanged: message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_RequestsCaptured: message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_RequestsDispatched: message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_ResponsesCompared: message.events.contains { hasUnknownFields($0) }
        case let message as Lattice_V1_Comparison: message.paths.contains { hasUnknownFields($0) }
        default: false
        }
    }
}

extension SeededGenerator {
    /// A random event of the mirror family, every default left unsaid.
    mutating func mirrorMessage(_ type: EventType) -> any SwiftProtobuf.Message {
        switch type {
        case .mirrorAdded:
            Lattice_V1_MirrorsAdded.with {
                $0.sourceService = name()
                $0.events = batch { $0.mirror() }
            }
        case .mirrorRemoved, .mirrorEnabled, .mirrorDisabled:
            Lattice_V1_MirrorsChanged.with {
                $0.sourceService = name()
                $0.events = batch { random in
                    Lattice_V1_MirrorChange.with {
                        $0.mirrorID = random.name()
                        $0.reason = random.text(atMost: 4_096)
                    }
                }
            }
        case .shadowsAllowed:
            Lattice_V1_ShadowsAllowed.with {
                $0.sourceService = name()
                $0.endpoints = texts()
                $0.allowLoopback = oneIn(2)
                $0.reason = text(atMost: 4_096)
            }
        case .requestCaptured:
            Lattice_V1_RequestsCaptured.with {
                $0.sourceService = name()
                $0.events = batch { $0.capture() }
            }
        case .requestDispatched:
            Lattice_V1_RequestsDispatched.with {
                $0.sourceService = name()
                $0.events = batch { $0.dispatch() }
            }
        case .responseCompared:
            Lattice_V1_ResponsesCompared.with {
                $0.sourceService = name()
                $0.events = batch { $0.comparison() }
            }
        case .contentsErased:
            Lattice_V1_ContentsErased.with {
                $0.sourceService = name()
                $0.day = Int64(small())
                $0.reason = text(atMost: 4_096)
            }
        default:
            Lattice_V1_MirrorDrained.with {
                $0.sourceService = name()
                $0.mirrorID = name()
                $0.limit = small()
                $0.reason = text(atMost: 4_096)
            }
        }
    }

    private mutating func texts() -> [String] { (0..<below(4)).map { _ in text(atMost: 256) } }

    private mutating func mirror() -> Lattice_V1_Mirror {
        Lattice_V1_Mirror.with {
            $0.mirrorID = name()
            $0.shadowEndpoint = text(atMost: 256)
            $0.mode = ["", "full", "filtered", "replay"][below(4)]
            let (rate, timeout, payload, requests) = (small(), signed(), small(), small())
            if oneIn(2) && rate != 100 { $0.sampleRateBasisPoints = rate }
            $0.includeIntents = texts()
            $0.excludeIntents = texts()
            if oneIn(2) && timeout != 1_000_000_000 { $0.timeoutNs = timeout }
            $0.disabled = oneIn(2)
            $0.allowWrites = oneIn(2)
            if oneIn(2) && payload != 16_384 { $0.payloadLimit = payload }
            if oneIn(2) && requests != 1_000 { $0.bufferRequests = requests }
            if oneIn(2) { $0.bufferBytes = number() | 1 }
            $0.shadowAuth = text(atMost: 256)
            $0.ignoreFields = texts()
            $0.unorderedArrays = texts()
            $0.comparedHeaders = texts()
            $0.baselineEndpoint = text(atMost: 256)
            $0.baselineAuth = text(atMost: 256)
        }
    }

    private mutating func capture() -> Lattice_V1_Capture {
        Lattice_V1_Capture.with {
            $0.requestID = name()
            if oneIn(2) { $0.traceID = Data((0..<16).map { _ in UInt8(truncatingIfNeeded: next()) }) }
            $0.intent = text(atMost: 256)
            $0.method = text(atMost: 256)
            $0.pathHash = number()
            $0.sampleSeed = text(atMost: 256)
            $0.occurredAt = signed()
            $0.payloadLength = number()
            $0.payloadKept = number()
            $0.status = small()
            $0.responseLength = number()
            $0.responseKept = number()
            $0.latencyNs = signed()
            $0.hasShadowMark_p = oneIn(2)
        }
    }

    private mutating func dispatch() -> Lattice_V1_Dispatch {
        Lattice_V1_Dispatch.with {
            $0.causeSequence = number()
            $0.causeIndex = small()
            $0.mirrorID = name()
            $0.outcome = DispatchOutcome.allCases[below(5)].name
            $0.status = small()
            $0.latencyNs = signed()
            $0.reason = text(atMost: 4_096)
            $0.redispatched = oneIn(2)
            $0.isBaseline = oneIn(2)
        }
    }

    private mutating func comparison() -> Lattice_V1_Comparison {
        Lattice_V1_Comparison.with {
            $0.causeSequence = number()
            $0.causeIndex = small()
            $0.mirrorID = name()
            $0.verdict = ComparisonVerdict.allCases[below(3)].name
            $0.differenceCount = small()
            $0.paths = (0..<below(4)).map { _ in
                Lattice_V1_PathDifference.with {
                    $0.part = ResponsePart.allCases[below(3)].name
                    $0.pattern = text(atMost: 1_024)
                    $0.kind = DifferenceKind.allCases[below(4)].name
                }
            }
            $0.isBaseline = oneIn(2)
        }
    }
}
