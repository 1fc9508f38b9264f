// A record of the log as one line of JSON (envelope.proto), for `lattice tail`, `lattice log cat` and exports.

import FoundationEssentials
import SwiftProtobuf

extension JSONTranscoder {
    /// One record as one line of JSON, without the line's end.
    ///
    /// - Parameter forPeople: in the dialect of people's tools instead of the wire's.
    ///
    /// Never fails: facts of a type or version that this code does not know, or that are not protobuf, stand in the
    /// member `opaque` as base64; what is not UTF-8 in subject or message id is replaced by U+FFFD.
    package static func recordJSON(
        sequence: SequenceNumber, recordedAt: Timestamp, subject: ArraySlice<UInt8>, messageID: ArraySlice<UInt8>,
        eventType: UInt16, schemaVersion: UInt8, facts: ArraySlice<UInt8>, attachment: ArraySlice<UInt8>,
        forPeople: Bool = false
    ) -> [UInt8] {
        var record = Lattice_V1_EventRecord()
        record.sequence = sequence.rawValue
        record.recordedAt = recordedAt.rawValue
        record.subject = String(decoding: subject, as: UTF8.self)
        record.messageID = String(decoding: messageID, as: UTF8.self)
        record.eventType = UInt32(eventType)
        record.schemaVersion = UInt32(schemaVersion)
        record.attachment = Data(attachment)
        let type = schemaVersion == EventType.currentSchemaVersion ? EventType(rawValue: eventType) : nil
        record.event = type.flatMap { try? known($0, Array(facts)) } ?? .opaque(Data(facts))
        do {
            return forPeople
                ? try people(fromBinary: try record.serializedBytes(), kind: .eventRecord) : try text(record)
        } catch {
            preconditionFailure("a record of numbers, texts and bytes has a JSON form: \(error)")
        }
    }

    private static func known(_ type: EventType, _ facts: [UInt8]) throws -> Lattice_V1_EventRecord.OneOf_Event {
        switch type {
        case .registered: .registered(try Lattice_V1_Registered(serializedBytes: facts))
        case .deregistered: .deregistered(try Lattice_V1_Deregistered(serializedBytes: facts))
        case .heartbeat: .heartbeat(try Lattice_V1_Heartbeats(serializedBytes: facts))
        case .healthReported: .healthReported(try Lattice_V1_HealthReported(serializedBytes: facts))
        case .loadReported: .loadReported(try Lattice_V1_LoadReported(serializedBytes: facts))
        case .healthSwept: .healthSwept(try Lattice_V1_HealthSwept(serializedBytes: facts))
        case .instanceSelected: .instanceSelected(try Lattice_V1_InstancesSelected(serializedBytes: facts))
        case .tick: .tick(try Lattice_V1_Tick(serializedBytes: facts))
        case .nodeResumed: .nodeResumed(try Lattice_V1_NodeResumed(serializedBytes: facts))
        case .intakeGap: .intakeGap(try Lattice_V1_IntakeGap(serializedBytes: facts))
        case .leadershipClaimed: .leadershipClaimed(try Lattice_V1_LeadershipClaimed(serializedBytes: facts))
        case .semanticsActivated: .semanticsActivated(try Lattice_V1_SemanticsActivated(serializedBytes: facts))
        case .registryConfigured: .registryConfigured(try Lattice_V1_RegistryConfigured(serializedBytes: facts))
        case .guardReleased: .guardReleased(try Lattice_V1_GuardReleased(serializedBytes: facts))
        case .tracesConfigured: .tracesConfigured(try Lattice_V1_TracesConfigured(serializedBytes: facts))
        case .directivesResumed: .directivesResumed(try Lattice_V1_DirectivesResumed(serializedBytes: facts))
        case .recordSkipped: .recordSkipped(try Lattice_V1_RecordSkipped(serializedBytes: facts))
        case .mirrorAdded: .added(try Lattice_V1_MirrorsAdded(serializedBytes: facts))
        case .mirrorRemoved: .removed(try Lattice_V1_MirrorsChanged(serializedBytes: facts))
        case .mirrorEnabled: .enabled(try Lattice_V1_MirrorsChanged(serializedBytes: facts))
        case .mirrorDisabled: .disabled(try Lattice_V1_MirrorsChanged(serializedBytes: facts))
        case .shadowsAllowed: .shadowsAllowed(try Lattice_V1_ShadowsAllowed(serializedBytes: facts))
        case .requestCaptured: .captured(try Lattice_V1_RequestsCaptured(serializedBytes: facts))
        case .requestDispatched: .dispatched(try Lattice_V1_RequestsDispatched(serializedBytes: facts))
        case .responseCompared: .compared(try Lattice_V1_ResponsesCompared(serializedBytes: facts))
        case .mirrorDrained: .drained(try Lattice_V1_MirrorDrained(serializedBytes: facts))
        case .contentsErased: .contentsErased(try Lattice_V1_ContentsErased(serializedBytes: facts))
        case .spansReceived: .spans(try Lattice_V1_SpansReceived(serializedBytes: facts))
        case .contentsRead: .contentsRead(try Lattice_V1_ContentsRead(serializedBytes: facts))
        case .exported: .exported(try Lattice_V1_Exported(serializedBytes: facts))
        }
    }
}
