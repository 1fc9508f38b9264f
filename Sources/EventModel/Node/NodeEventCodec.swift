// Clock and policy events on the wire (clock_events.proto, policy_events.proto).

/// Reads and writes the clock and policy families.
enum NodeEventCodec {
    /// The flat messages of both families: up to fifteen numbers and texts.
    private struct Fields {
        var texts: [Int: String] = [:]
        var numbers: [Int: UInt64] = [:]
        /// The texts of the one repeated field.
        var list: [String] = []

        init(
            _ facts: ArraySlice<UInt8>, texts textNumbers: Set<Int>, numbers numberNumbers: Set<Int>,
            list listNumber: Int? = nil
        ) throws(DecodeError) {
            var cursor = WireCursor(0..<facts.count)
            while let field = cursor.next(in: facts.span) {
                if textNumbers.contains(field.number) {
                    texts[field.number] = try FieldRules.text(facts, field, "text", limit: Limits.valueBytes)
                } else if field.number == listNumber {
                    list.append(try FieldRules.text(facts, field, "text", limit: Limits.identifierBytes))
                } else if numberNumbers.contains(field.number) {
                    numbers[field.number] = try FieldRules.number(field, "number")
                }
            }
            try FieldRules.finish(cursor, "message")
        }

        func text(_ number: Int) -> String { texts[number] ?? "" }
        func number(_ number: Int) -> UInt64 { numbers[number] ?? 0 }
        func duration(_ number: Int) -> Nanoseconds? { numbers[number].map { Nanoseconds(Int64(bitPattern: $0)) } }
        func small(_ number: Int) -> UInt32? { numbers[number].map { UInt32(truncatingIfNeeded: $0) } }
    }

    static func clock(_ type: EventType, _ facts: ArraySlice<UInt8>) throws(DecodeError) -> ClockEvent {
        switch type {
        case .tick: return .tick(slot: try Fields(facts, texts: [], numbers: [1]).number(1))
        case .nodeResumed:
            let fields = try Fields(facts, texts: [1, 2], numbers: [])
            return .nodeResumed(nodeID: fields.text(1), reason: fields.text(2))
        case .intakeGap:
            let fields = try Fields(facts, texts: [1, 2], numbers: [3])
            return .intakeGap(nodeID: fields.text(1), reason: fields.text(2), droppedCount: fields.number(3))
        case .leadershipClaimed:
            let fields = try Fields(facts, texts: [1], numbers: [2])
            try FieldRules.require(fields.text(1), "node_id")
            return .leadershipClaimed(nodeID: fields.text(1), epoch: fields.number(2))
        default: throw DecodeError("unknown_event_type", type.name)
        }
    }

    static func policy(_ type: EventType, _ facts: ArraySlice<UInt8>) throws(DecodeError) -> PolicyEvent {
        switch type {
        case .semanticsActivated:
            let fields = try Fields(facts, texts: [2], numbers: [1])
            return .semanticsActivated(version: fields.small(1) ?? 0, reason: fields.text(2))
        case .registryConfigured:
            let fields = try Fields(facts, texts: [15], numbers: [1, 2, 3, 4, 5, 6, 7, 8], list: 9)
            return .registryConfigured(
                RegistryConfiguration(
                    staleAfter: fields.duration(1), evictAfter: fields.duration(2),
                    guardServiceBasisPoints: fields.small(3), guardMeshBasisPoints: fields.small(4),
                    guardLastInstance: fields.duration(5), guardWindows: fields.small(6),
                    panicBasisPoints: fields.small(7), allowLoopback: fields.numbers[8].map { $0 != 0 },
                    endpointNetworks: fields.list, reason: fields.text(15)))
        case .guardReleased:
            let fields = try Fields(facts, texts: [1, 2], numbers: [])
            return .guardReleased(serviceName: fields.text(1), reason: fields.text(2))
        case .tracesConfigured: return .tracesConfigured(try TracesConfiguration(facts: facts))
        case .directivesResumed:
            let fields = try Fields(facts, texts: [1, 2], numbers: [])
            return .directivesResumed(nodeID: fields.text(1), reason: fields.text(2))
        case .recordSkipped:
            let fields = try Fields(facts, texts: [2], numbers: [1])
            return .recordSkipped(sequence: SequenceNumber(fields.number(1)), reason: fields.text(2))
        default: throw DecodeError("unknown_event_type", type.name)
        }
    }

    static func write(_ event: ClockEvent, _ writer: inout WireWriter) -> EventType {
        switch event {
        case .tick(let slot):
            writer.field(1, slot)
            return .tick
        case .nodeResumed(let nodeID, let reason):
            writer.field(1, nodeID)
            writer.field(2, reason)
            return .nodeResumed
        case .intakeGap(let nodeID, let reason, let droppedCount):
            writer.field(1, nodeID)
            writer.field(2, reason)
            writer.field(3, droppedCount)
            return .intakeGap
        case .leadershipClaimed(let nodeID, let epoch):
            writer.field(1, nodeID)
            writer.field(2, epoch)
            return .leadershipClaimed
        }
    }

    static func write(_ event: PolicyEvent, _ writer: inout WireWriter) -> EventType {
        switch event {
        case .semanticsActivated(let version, let reason):
            writer.field(1, version)
            writer.field(2, reason)
            return .semanticsActivated
        case .registryConfigured(let change):
            writer.optionalField(1, change.staleAfter.map { UInt64(bitPattern: $0.rawValue) })
            writer.optionalField(2, change.evictAfter.map { UInt64(bitPattern: $0.rawValue) })
            writer.optionalField(3, change.guardServiceBasisPoints.map { UInt64($0) })
            writer.optionalField(4, change.guardMeshBasisPoints.map { UInt64($0) })
            writer.optionalField(5, change.guardLastInstance.map { UInt64(bitPattern: $0.rawValue) })
            writer.optionalField(6, change.guardWindows.map { UInt64($0) })
            writer.optionalField(7, change.panicBasisPoints.map { UInt64($0) })
            writer.optionalField(8, change.allowLoopback.map { $0 ? 1 : 0 })
            for network in change.endpointNetworks { writer.element(9, network) }
            writer.field(15, change.reason)
            return .registryConfigured
        case .guardReleased(let serviceName, let reason):
            writer.field(1, serviceName)
            writer.field(2, reason)
            return .guardReleased
        case .tracesConfigured(let change):
            change.write(&writer)
            return .tracesConfigured
        case .directivesResumed(let nodeID, let reason):
            writer.field(1, nodeID)
            writer.field(2, reason)
            return .directivesResumed
        case .recordSkipped(let sequence, let reason):
            writer.field(1, sequence)
            writer.field(2, reason)
            return .recordSkipped
        }
    }
}
