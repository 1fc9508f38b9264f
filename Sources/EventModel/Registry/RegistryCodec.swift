// The registry's events on the wire (schemas/lattice/v1/registry_events.proto), read and written by hand; the generated
// code is the oracle that fuzz tests hold this against.

/// Reads and writes the registry family.
enum RegistryCodec {
    typealias ElementDecoder<Element> = (ArraySlice<UInt8>, Range<Int>) throws(DecodeError) -> Element

    // MARK: Batches

    static func batch<Element>(
        _ facts: ArraySlice<UInt8>, _ decode: ElementDecoder<Element>
    ) throws(DecodeError) -> Batch<Element> {
        let parts = try envelope(facts, decode)
        return Batch(serviceName: parts.service, events: parts.events)
    }

    static func registered(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> Registered {
        let parts = try envelope(facts, registration)
        return Registered(serviceName: parts.service, events: parts.events, failFast: parts.third != 0)
    }

    static func swept(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> HealthSwept {
        let parts = try envelope(facts, health)
        return HealthSwept(
            serviceName: parts.service, events: parts.events, evictThreshold: UInt32(truncatingIfNeeded: parts.third))
    }

    private struct Envelope<Element> {
        var service = ""
        var events: [Element] = []
        var third: UInt64 = 0
    }

    private static func envelope<Element>(
        _ facts: ArraySlice<UInt8>, _ decode: ElementDecoder<Element>
    ) throws(DecodeError) -> Envelope<Element> {
        var result = Envelope<Element>()
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.service = try FieldRules.identifier(facts, field, "service_name")
            case 2:
                guard field.isBytes else { throw DecodeError("malformed", "events") }
                guard result.events.count < Limits.eventsPerMessage else { throw DecodeError("too_many", "events") }
                do {
                    result.events.append(try decode(facts, field.range))
                } catch {
                    throw DecodeError(error.code, "events[\(result.events.count)].\(error.field)")
                }
            case 3: result.third = try FieldRules.number(field, "3")
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.service, "service_name")
        if result.events.isEmpty { throw DecodeError("missing", "events") }
        return result
    }

    static func heartbeats(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> Heartbeats {
        var service = ""
        var count = 0
        let bytes = facts.span
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: bytes) {
            switch field.number {
            case 1: service = try FieldRules.identifier(facts, field, "service_name")
            case 2:
                guard field.isBytes, let view = HeartbeatCursor.read(bytes, field.range) else {
                    throw DecodeError("malformed", "events[\(count)]")
                }
                guard !view.instanceID.isEmpty else { throw DecodeError("missing", "events[\(count)].instance_id") }
                guard view.instanceID.count <= Limits.identifierBytes else {
                    throw DecodeError("too_long", "events[\(count)].instance_id")
                }
                guard FieldRules.isText(bytes, view.instanceID) else {
                    throw DecodeError("invalid_utf8", "events[\(count)].instance_id")
                }
                guard count < Limits.eventsPerMessage else { throw DecodeError("too_many", "events") }
                count += 1
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(service, "service_name")
        if count == 0 { throw DecodeError("missing", "events") }
        return Heartbeats(serviceName: service, count: count, facts: facts)
    }

    // MARK: Elements

    static func registration(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> Registration {
        var result = Registration(instanceID: "", endpoint: "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.instanceID = try FieldRules.identifier(facts, field, "instance_id")
            case 2: result.endpoint = try FieldRules.identifier(facts, field, "endpoint")
            case 3: result.region = try FieldRules.identifier(facts, field, "region")
            case 4: result.zone = try FieldRules.identifier(facts, field, "zone")
            case 5: result.weight = try FieldRules.small(field, "weight")
            case 6:
                guard field.isBytes else { throw DecodeError("malformed", "metadata") }
                guard result.metadata.count < Limits.metadataEntries else { throw DecodeError("too_many", "metadata") }
                result.metadata.append(try metadata(facts, field.range))
            case 7: result.incarnation = try FieldRules.signed(field, "incarnation")
            case 8: result.occurredAt = try FieldRules.time(field, "occurred_at")
            default: break
            }
        }
        try FieldRules.finish(cursor, "registration")
        try FieldRules.require(result.instanceID, "instance_id")
        return result
    }

    static func metadata(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> MetadataEntry {
        var result = MetadataEntry(key: "", value: "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.key = try FieldRules.identifier(facts, field, "metadata.key")
            case 2: result.value = try FieldRules.text(facts, field, "metadata.value", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "metadata")
        return result
    }

    static func deregistration(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> Deregistration {
        var result = Deregistration(instanceID: "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.instanceID = try FieldRules.identifier(facts, field, "instance_id")
            case 2: result.incarnation = try FieldRules.signed(field, "incarnation")
            case 3: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            case 4: result.occurredAt = try FieldRules.time(field, "occurred_at")
            case 5: result.actor = try FieldRules.identifier(facts, field, "actor")
            default: break
            }
        }
        try FieldRules.finish(cursor, "deregistration")
        try FieldRules.require(result.instanceID, "instance_id")
        return result
    }

    static func health(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> HealthReport {
        var result = HealthReport(instanceID: "", healthy: false, lastCheck: .zero)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.instanceID = try FieldRules.identifier(facts, field, "instance_id")
            case 2: result.healthy = try FieldRules.number(field, "healthy") != 0
            case 3: result.latency = Nanoseconds(try FieldRules.signed(field, "latency_ns"))
            case 4: result.consecutiveFailures = try FieldRules.small(field, "consecutive_failures")
            case 5: result.lastCheck = try FieldRules.time(field, "last_check")
            case 6: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            case 7: result.incarnation = try FieldRules.signed(field, "incarnation")
            default: break
            }
        }
        try FieldRules.finish(cursor, "health_report")
        try FieldRules.require(result.instanceID, "instance_id")
        return result
    }

    static func load(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> LoadReport {
        var result = LoadReport(instanceID: "", activeConnections: 0)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.instanceID = try FieldRules.identifier(facts, field, "instance_id")
            case 2: result.reporter = try FieldRules.identifier(facts, field, "reporter")
            case 3: result.activeConnections = try FieldRules.small(field, "active_connections")
            case 4: result.occurredAt = try FieldRules.time(field, "occurred_at")
            case 5: result.incarnation = try FieldRules.signed(field, "incarnation")
            default: break
            }
        }
        try FieldRules.finish(cursor, "load_report")
        try FieldRules.require(result.instanceID, "instance_id")
        return result
    }

    static func selection(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> InstanceSelection {
        var result = InstanceSelection(
            traceID: [], candidates: [], chosen: "", strategy: .weightedRandom, asOf: .origin, seed: 0)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1:
                guard field.isBytes, field.range.isEmpty || field.range.count == 16 else {
                    throw DecodeError("malformed", "trace_id")
                }
                result.traceID = Array(facts[facts.startIndex + field.start..<facts.startIndex + field.end])
            case 2:
                guard result.candidates.count < Limits.selectionCandidates else {
                    throw DecodeError("too_many", "candidates")
                }
                result.candidates.append(try FieldRules.identifier(facts, field, "candidates"))
            case 3: result.chosen = try FieldRules.identifier(facts, field, "chosen")
            case 4:
                let raw = try FieldRules.small(field, "strategy")
                guard let strategy = SelectionStrategy(rawValue: raw) else {
                    throw DecodeError("unknown_enum_value", "strategy")
                }
                result.strategy = strategy
            case 5: result.asOf = SequenceNumber(try FieldRules.number(field, "as_of_sequence"))
            case 6: result.seed = try FieldRules.number(field, "seed")
            default: break
            }
        }
        try FieldRules.finish(cursor, "instance_selection")
        return result
    }
}
