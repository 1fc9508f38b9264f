// Events from and to their canonical encoding. Decoding is the frozen structural validation of the log format: what it
// takes, every replica takes (decision 2). Whether an event makes sense is for the state machines to say.

/// Why bytes are not an event.
public struct DecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A word for programs: `malformed`, `invalid_utf8`, `too_long`, `missing`, `too_many`, `unknown_enum_value`,
    /// `unknown_event_type`, `unknown_schema_version`; of spans from dictionaries also `end_before_start`.
    public var code: String
    /// The field, as named in the schema, with the event's index where there is one.
    public var field: String

    package init(_ code: String, _ field: String) {
        self.code = code
        self.field = field
    }

    /// `code: field`.
    public var description: String { "\(code): \(field)" }
}

/// Reads and writes the payloads of events.
package enum EventCodec {
    /// Reads a payload.
    ///
    /// - Throws: `DecodeError` naming the field; nothing of the payload is in it.
    package static func decode(
        type rawType: UInt16, schemaVersion: UInt8, facts: ArraySlice<UInt8>
    ) throws(DecodeError) -> Event {
        guard let type = EventType(rawValue: rawType) else { throw DecodeError("unknown_event_type", String(rawType)) }
        guard schemaVersion == EventType.currentSchemaVersion else {
            throw DecodeError("unknown_schema_version", String(schemaVersion))
        }
        switch type {
        case .registered: return .registry(.registered(try RegistryCodec.registered(facts)))
        case .deregistered:
            return .registry(.deregistered(try RegistryCodec.batch(facts, RegistryCodec.deregistration)))
        case .heartbeat: return .registry(.heartbeat(try RegistryCodec.heartbeats(facts)))
        case .healthReported: return .registry(.healthReported(try RegistryCodec.batch(facts, RegistryCodec.health)))
        case .loadReported: return .registry(.loadReported(try RegistryCodec.batch(facts, RegistryCodec.load)))
        case .healthSwept: return .registry(.healthSwept(try RegistryCodec.swept(facts)))
        case .instanceSelected:
            return .registry(.instanceSelected(try RegistryCodec.batch(facts, RegistryCodec.selection)))
        case .tick, .nodeResumed, .intakeGap, .leadershipClaimed:
            return .clock(try NodeEventCodec.clock(type, facts))
        case .semanticsActivated, .registryConfigured, .guardReleased, .tracesConfigured, .directivesResumed,
            .recordSkipped:
            return .policy(try NodeEventCodec.policy(type, facts))
        case .mirrorAdded, .mirrorRemoved, .mirrorEnabled, .mirrorDisabled, .shadowsAllowed, .requestCaptured,
            .requestDispatched, .responseCompared, .mirrorDrained, .contentsErased:
            return .mirror(try MirrorCodec.event(type, facts))
        case .spansReceived: return .trace(.spansReceived(try SpanBatch(facts: facts)))
        case .contentsRead, .exported: return .audit(try AuditCodec.event(type, facts))
        }
    }

    /// The type and the canonical bytes of an event; nil for an opaque one, which has only its own bytes.
    package static func encode(_ event: Event) -> (type: EventType, facts: [UInt8])? {
        var writer = WireWriter()
        switch event {
        case .registry(let event): return (RegistryCodec.write(event, &writer), writer.bytes)
        case .clock(let event): return (NodeEventCodec.write(event, &writer), writer.bytes)
        case .policy(let event): return (NodeEventCodec.write(event, &writer), writer.bytes)
        case .mirror(let event): return (MirrorCodec.write(event, &writer), writer.bytes)
        case .trace(.spansReceived(let batch)): return (.spansReceived, Array(batch.facts))
        case .audit(let event): return (AuditCodec.write(event, &writer), writer.bytes)
        case .opaque: return nil
        }
    }

    /// The canonical bytes of heartbeats that share one incarnation.
    package static func heartbeats(service: String, instances: [String], incarnation: Int64) -> [UInt8] {
        var writer = WireWriter(capacity: 32 + instances.count * 28)
        writer.field(1, service)
        for instance in instances {
            writer.message(2) { inner in
                inner.field(1, instance)
                inner.field(2, incarnation)
            }
        }
        return writer.bytes
    }
}

/// What decoders share: text with bounds, required fields.
enum FieldRules {
    static func text(
        _ facts: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString, limit: Int
    ) throws(DecodeError) -> String {
        guard field.isBytes else { throw DecodeError("malformed", "\(name)") }
        guard field.end - field.start <= limit else { throw DecodeError("too_long", "\(name)") }
        let base = facts.startIndex
        guard let text = String(validating: facts[base + field.start..<base + field.end], as: UTF8.self) else {
            throw DecodeError("invalid_utf8", "\(name)")
        }
        return text
    }

    static func identifier(
        _ facts: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString
    ) throws(DecodeError) -> String {
        try text(facts, field, name, limit: Limits.identifierBytes)
    }

    static func number(_ field: WireField, _ name: StaticString) throws(DecodeError) -> UInt64 {
        guard field.isVarint else { throw DecodeError("malformed", "\(name)") }
        return field.value
    }

    static func signed(_ field: WireField, _ name: StaticString) throws(DecodeError) -> Int64 {
        Int64(bitPattern: try number(field, name))
    }

    static func time(_ field: WireField, _ name: StaticString) throws(DecodeError) -> Timestamp {
        Timestamp(nanoseconds: try signed(field, name))
    }

    static func small(_ field: WireField, _ name: StaticString) throws(DecodeError) -> UInt32 {
        // As protobuf reads a 32-bit field: the low half of what is there.
        UInt32(truncatingIfNeeded: try number(field, name))
    }

    static func require(_ value: String, _ name: StaticString) throws(DecodeError) {
        if value.isEmpty { throw DecodeError("missing", "\(name)") }
    }

    static func finish(_ cursor: WireCursor, _ name: StaticString) throws(DecodeError) {
        guard cursor.isComplete else { throw DecodeError("malformed", "\(name)") }
    }

    /// Whether bytes are UTF-8 of at most `limit` bytes, without building a string.
    static func isText(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        for index in range where bytes[index] >= 0x80 {
            var copy: [UInt8] = []
            for position in range { copy.append(bytes[position]) }
            return String(validating: copy, as: UTF8.self) != nil
        }
        return true
    }
}
