// The registry's and the node's answers from protobuf (queries.proto), for whoever asks: the other half of their encoding.

/// Reads the parts that answers share.
enum AnswerParts {
    static func asOf(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> AsOf {
        guard field.isBytes else { throw DecodeError("malformed", "as_of") }
        var result = AsOf(sequence: .origin, recordedAt: .zero)
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.sequence = SequenceNumber(try FieldRules.number(part, "as_of.sequence"))
            case 2: result.recordedAt = try FieldRules.time(part, "as_of.recorded_at")
            default: break
            }
        }
        try FieldRules.finish(inner, "as_of")
        return result
    }

    static func text(
        _ bytes: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString
    ) throws(DecodeError) -> String {
        try FieldRules.text(bytes, field, name, limit: Limits.messageBytes)
    }

    static func instance(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> InstanceSnapshot {
        guard field.isBytes else { throw DecodeError("malformed", "instances") }
        var result = InstanceSnapshot(
            instance: ServiceInstance(
                instanceID: "", serviceName: "", endpoint: "", region: "", zone: "", weight: 0, metadata: [],
                registeredAt: .zero, lastHeartbeat: .zero, incarnation: 0),
            health: .unhealthy, status: nil, activeConnections: 0)
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.instance.instanceID = try text(bytes, part, "instance_id")
            case 2: result.instance.serviceName = try text(bytes, part, "service_name")
            case 3: result.instance.endpoint = try text(bytes, part, "endpoint")
            case 4: result.instance.region = try text(bytes, part, "region")
            case 5: result.instance.zone = try text(bytes, part, "zone")
            case 6: result.instance.weight = try FieldRules.small(part, "weight")
            case 7:
                guard part.isBytes else { throw DecodeError("malformed", "metadata") }
                result.instance.metadata.append(try RegistryCodec.metadata(bytes, part.range))
            default: try standing(&result, bytes, part)
            }
        }
        try FieldRules.finish(inner, "instances")
        return result
    }

    private static func standing(
        _ result: inout InstanceSnapshot, _ bytes: ArraySlice<UInt8>, _ part: WireField
    ) throws(DecodeError) {
        switch part.number {
        case 8: result.instance.registeredAt = try FieldRules.time(part, "registered_at")
        case 9: result.instance.lastHeartbeat = try FieldRules.time(part, "last_heartbeat")
        case 10: result.instance.incarnation = try FieldRules.signed(part, "incarnation")
        case 11:
            guard let health = HealthState(rawValue: try FieldRules.small(part, "health")) else {
                throw DecodeError("unknown_enum_value", "health")
            }
            result.health = health
        case 12: result.status = try status(bytes, part)
        case 13: result.activeConnections = try FieldRules.small(part, "active_connections")
        case 14: result.isProtected = try FieldRules.number(part, "protected") != 0
        case 15: result.silentSince = try moment(part, "silent_since")
        default: break
        }
    }

    /// Nil for zero, which is how an absent moment is written where somebody writes it.
    static func moment(_ part: WireField, _ name: StaticString) throws(DecodeError) -> Timestamp? {
        let time = try FieldRules.time(part, name)
        return time == .zero ? nil : time
    }

    private static func status(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> HealthStatus {
        guard field.isBytes else { throw DecodeError("malformed", "status") }
        var result = HealthStatus(
            instanceID: "", healthy: false, latency: .zero, consecutiveFailures: 0, lastCheck: .zero)
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.instanceID = try text(bytes, part, "status.instance_id")
            case 2: result.healthy = try FieldRules.number(part, "status.healthy") != 0
            case 3: result.latency = Nanoseconds(try FieldRules.signed(part, "status.latency_ns"))
            case 4: result.consecutiveFailures = try FieldRules.small(part, "status.consecutive_failures")
            case 5: result.lastCheck = try FieldRules.time(part, "status.last_check")
            case 6: result.reason = try text(bytes, part, "status.reason")
            default: break
            }
        }
        try FieldRules.finish(inner, "status")
        return result
    }

    static func removal(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> Removal {
        guard field.isBytes else { throw DecodeError("malformed", "removals") }
        var result = Removal(
            instanceID: "", serviceName: "", incarnation: 0, kind: .deregistered, reason: "", actor: "",
            position: EventPosition(sequence: .origin), recordedAt: .zero)
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.instanceID = try text(bytes, part, "instance_id")
            case 2: result.serviceName = try text(bytes, part, "service_name")
            case 3: result.incarnation = try FieldRules.signed(part, "incarnation")
            case 4:
                let word = try text(bytes, part, "kind")
                guard let kind = [Removal.Kind.deregistered, .evicted].first(where: { $0.name == word }) else {
                    throw DecodeError("unknown_enum_value", "kind")
                }
                result.kind = kind
            case 5: result.reason = try text(bytes, part, "reason")
            case 6: result.actor = try text(bytes, part, "actor")
            case 7: result.position.sequence = SequenceNumber(try FieldRules.number(part, "sequence"))
            case 8: result.position.index = try FieldRules.small(part, "index")
            case 9: result.position.ordinal = try FieldRules.small(part, "ordinal")
            case 10: result.recordedAt = try FieldRules.time(part, "recorded_at")
            default: break
            }
        }
        try FieldRules.finish(inner, "removals")
        return result
    }
}

extension InstancesAnswer {
    /// Reads an answer.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> InstancesAnswer {
        var result = InstancesAnswer(asOf: AsOf(sequence: .origin, recordedAt: .zero), instances: [])
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.asOf = try AnswerParts.asOf(bytes, field)
            case 2: result.instances.append(try AnswerParts.instance(bytes, field))
            case 3: result.protected = try FieldRules.number(field, "protected") != 0
            case 4: result.panic = try FieldRules.number(field, "panic") != 0
            case 5: result.omitted = try FieldRules.small(field, "omitted")
            case 6: result.nextPageToken = try AnswerParts.text(bytes, field, "next_page_token")
            case 7: result.left.append(try AnswerParts.text(bytes, field, "left"))
            case 8: result.changedSince = SequenceNumber(try FieldRules.number(field, "changed_since"))
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        return result
    }
}

extension SelectionAnswer {
    /// Reads an answer.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> SelectionAnswer {
        var asOf = AsOf(sequence: .origin, recordedAt: .zero)
        var instance: InstanceSnapshot?
        var strategy = SelectionStrategy.weightedRandom
        var (seed, cursorAfter): (UInt64, UInt64) = (0, 0)
        var candidates: [String] = []
        var (protected, panic) = (false, false)
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: asOf = try AnswerParts.asOf(bytes, field)
            case 2: instance = try AnswerParts.instance(bytes, field)
            case 3:
                guard let known = SelectionStrategy(rawValue: try FieldRules.small(field, "strategy")) else {
                    throw DecodeError("unknown_enum_value", "strategy")
                }
                strategy = known
            case 4: seed = try FieldRules.number(field, "seed")
            case 5: cursorAfter = try FieldRules.number(field, "cursor")
            case 6: candidates.append(try AnswerParts.text(bytes, field, "candidates"))
            case 7: protected = try FieldRules.number(field, "protected") != 0
            case 8: panic = try FieldRules.number(field, "panic") != 0
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        guard let instance else { throw DecodeError("missing", "instance") }
        return SelectionAnswer(
            asOf: asOf, instance: instance, strategy: strategy, seed: seed, cursor: cursorAfter,
            candidates: candidates, protected: protected, panic: panic)
    }
}

extension TopologyAnswer {
    /// Reads an answer.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> TopologyAnswer {
        var result = TopologyAnswer(asOf: AsOf(sequence: .origin, recordedAt: .zero), services: [])
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.asOf = try AnswerParts.asOf(bytes, field)
            case 2: result.services.append(try service(bytes, field))
            case 3: result.nextPageToken = try AnswerParts.text(bytes, field, "next_page_token")
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        return result
    }

    private static func service(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> ServiceTopology {
        guard field.isBytes else { throw DecodeError("malformed", "services") }
        var result = ServiceTopology(serviceName: "", changedSequence: .origin, protected: false)
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.serviceName = try AnswerParts.text(bytes, part, "service_name")
            case 2: result.changedSequence = SequenceNumber(try FieldRules.number(part, "changed_sequence"))
            case 3: result.protected = try FieldRules.number(part, "protected") != 0
            case 4: result.instances = try FieldRules.small(part, "instances")
            case 5: result.healthy = try FieldRules.small(part, "healthy")
            case 6: result.weight = try FieldRules.number(part, "weight")
            case 7: result.zones.append(try zone(bytes, part))
            default: try health(&result, part)
            }
        }
        try FieldRules.finish(inner, "services")
        return result
    }

    private static func health(_ result: inout ServiceTopology, _ part: WireField) throws(DecodeError) {
        switch part.number {
        case 8: result.unhealthy = try FieldRules.small(part, "unhealthy")
        case 9: result.stale = try FieldRules.small(part, "stale")
        case 10: result.protectedInstances = try FieldRules.small(part, "protected_instances")
        case 11: result.silentSince = try AnswerParts.moment(part, "silent_since")
        default: break
        }
    }

    private static func zone(_ bytes: ArraySlice<UInt8>, _ field: WireField) throws(DecodeError) -> ZoneTopology {
        guard field.isBytes else { throw DecodeError("malformed", "zones") }
        var result = ZoneTopology(region: "", zone: "")
        var inner = WireCursor(field.range)
        while let part = inner.next(in: bytes.span) {
            switch part.number {
            case 1: result.region = try AnswerParts.text(bytes, part, "region")
            case 2: result.zone = try AnswerParts.text(bytes, part, "zone")
            case 3: result.instances = try FieldRules.small(part, "instances")
            case 4: result.healthy = try FieldRules.small(part, "healthy")
            case 5: result.weight = try FieldRules.number(part, "weight")
            case 6: result.unhealthy = try FieldRules.small(part, "unhealthy")
            case 7: result.stale = try FieldRules.small(part, "stale")
            case 8: result.protectedInstances = try FieldRules.small(part, "protected_instances")
            default: break
            }
        }
        try FieldRules.finish(inner, "zones")
        return result
    }
}

extension RemovalsAnswer {
    /// Reads an answer.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> RemovalsAnswer {
        var result = RemovalsAnswer(asOf: AsOf(sequence: .origin, recordedAt: .zero), removals: [])
        var cursor = WireCursor(0..<bytes.count)
        while let field = cursor.next(in: bytes.span) {
            switch field.number {
            case 1: result.asOf = try AnswerParts.asOf(bytes, field)
            case 2: result.removals.append(try AnswerParts.removal(bytes, field))
            case 3: result.nextPageToken = try AnswerParts.text(bytes, field, "next_page_token")
            default: break
            }
        }
        try FieldRules.finish(cursor, "answer")
        return result
    }
}
