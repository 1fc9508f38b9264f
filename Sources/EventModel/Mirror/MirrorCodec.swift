// The mirror's events on the wire (schemas/lattice/v1/mirror_events.proto), read by hand; the generated code is the
// oracle that fuzz tests hold this against.

/// Reads the mirror family.
enum MirrorCodec {
    typealias ElementDecoder<Element> = (ArraySlice<UInt8>, Range<Int>) throws(DecodeError) -> Element

    static func event(_ type: EventType, _ facts: ArraySlice<UInt8>) throws(DecodeError) -> MirrorEvent {
        switch type {
        case .mirrorAdded:
            var result = try batch(facts, configuration)
            for index in result.events.indices { result.events[index].sourceService = result.serviceName }
            return .added(result)
        case .mirrorRemoved: return .removed(try batch(facts, change))
        case .mirrorEnabled: return .enabled(try batch(facts, change))
        case .mirrorDisabled: return .disabled(try batch(facts, change))
        case .shadowsAllowed: return .shadowsAllowed(try allowed(facts))
        case .requestCaptured: return .captured(try batch(facts, capture))
        case .requestDispatched: return .dispatched(try batch(facts, dispatch))
        case .responseCompared: return .compared(try batch(facts, comparison))
        case .mirrorDrained: return .drained(try drained(facts))
        case .contentsErased: return .contentsErased(try erased(facts))
        default: throw DecodeError("unknown_event_type", type.name)
        }
    }

    static func batch<Element>(
        _ facts: ArraySlice<UInt8>, _ decode: ElementDecoder<Element>
    ) throws(DecodeError) -> Batch<Element> {
        var result = Batch<Element>(serviceName: "", events: [])
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.serviceName = try FieldRules.identifier(facts, field, "source_service")
            case 2:
                guard field.isBytes else { throw DecodeError("malformed", "events") }
                guard result.events.count < Limits.eventsPerMessage else { throw DecodeError("too_many", "events") }
                do {
                    result.events.append(try decode(facts, field.range))
                } catch {
                    throw DecodeError(error.code, "events[\(result.events.count)].\(error.field)")
                }
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.serviceName, "source_service")
        if result.events.isEmpty { throw DecodeError("missing", "events") }
        return result
    }

    // MARK: Administration

    static func configuration(
        _ facts: ArraySlice<UInt8>, _ range: Range<Int>
    ) throws(DecodeError) -> MirrorConfiguration {
        var result = MirrorConfiguration(mirrorID: "", sourceService: "", shadowEndpoint: "")
        var mode = ""
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.mirrorID = try FieldRules.identifier(facts, field, "mirror_id")
            case 2: result.shadowEndpoint = try FieldRules.identifier(facts, field, "shadow_endpoint")
            case 3: mode = try FieldRules.identifier(facts, field, "mode")
            case 5: try append(&result.includeIntents, facts, field, "include_intents")
            case 6: try append(&result.excludeIntents, facts, field, "exclude_intents")
            case 13: result.shadowAuthentication = try FieldRules.identifier(facts, field, "shadow_auth")
            case 14: try append(&result.ignoreFields, facts, field, "ignore_fields")
            case 15: try append(&result.unorderedArrays, facts, field, "unordered_arrays")
            case 16: try append(&result.comparedHeaders, facts, field, "compared_headers")
            case 17: result.baselineEndpoint = try FieldRules.identifier(facts, field, "baseline_endpoint")
            case 18: result.baselineAuthentication = try FieldRules.identifier(facts, field, "baseline_auth")
            default: try number(&result, field)
            }
        }
        try FieldRules.finish(cursor, "mirror")
        try FieldRules.require(result.mirrorID, "mirror_id")
        if !mode.isEmpty {
            guard let known = MirrorMode(name: mode) else { throw DecodeError("unknown_enum_value", "mode") }
            result.mode = known
        }
        return result
    }

    private static func number(_ result: inout MirrorConfiguration, _ field: WireField) throws(DecodeError) {
        switch field.number {
        case 4: result.sampleRateBasisPoints = try FieldRules.small(field, "sample_rate_basis_points")
        case 7: result.timeout = Nanoseconds(try FieldRules.signed(field, "timeout_ns"))
        case 8: result.enabled = try FieldRules.number(field, "disabled") == 0
        case 9: result.allowWrites = try FieldRules.number(field, "allow_writes") != 0
        case 10: result.payloadLimit = try FieldRules.small(field, "payload_limit")
        case 11: result.bufferRequests = try FieldRules.small(field, "buffer_requests")
        case 12: result.bufferBytes = try FieldRules.number(field, "buffer_bytes")
        default: break
        }
    }

    private static func append(
        _ list: inout [String], _ facts: ArraySlice<UInt8>, _ field: WireField, _ name: StaticString,
        limit: Int = MirrorLimits.rules
    ) throws(DecodeError) {
        guard list.count < limit else { throw DecodeError("too_many", "\(name)") }
        list.append(try FieldRules.identifier(facts, field, name))
    }

    static func change(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> MirrorChange {
        var result = MirrorChange(mirrorID: "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.mirrorID = try FieldRules.identifier(facts, field, "mirror_id")
            case 2: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "change")
        try FieldRules.require(result.mirrorID, "mirror_id")
        return result
    }

    private static func allowed(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> ShadowsAllowed {
        var result = ShadowsAllowed(sourceService: "", endpoints: [])
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.sourceService = try FieldRules.identifier(facts, field, "source_service")
            case 2: try append(&result.endpoints, facts, field, "endpoints", limit: MirrorLimits.allowedShadows)
            case 3: result.allowLoopback = try FieldRules.number(field, "allow_loopback") != 0
            case 4: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.sourceService, "source_service")
        return result
    }

    private static func erased(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> ContentsErased {
        var result = ContentsErased(sourceService: "", day: 0)
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.sourceService = try FieldRules.identifier(facts, field, "source_service")
            case 2: result.day = try FieldRules.signed(field, "day")
            case 3: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.sourceService, "source_service")
        return result
    }

    private static func drained(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> MirrorDrained {
        var result = MirrorDrained(sourceService: "", mirrorID: "")
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.sourceService = try FieldRules.identifier(facts, field, "source_service")
            case 2: result.mirrorID = try FieldRules.identifier(facts, field, "mirror_id")
            case 3: result.limit = try FieldRules.small(field, "limit")
            case 4: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.sourceService, "source_service")
        try FieldRules.require(result.mirrorID, "mirror_id")
        return result
    }

    // MARK: Traffic

    static func capture(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> RequestCapture {
        var result = RequestCapture(requestID: "", method: "", status: 0)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.requestID = try FieldRules.identifier(facts, field, "request_id")
            case 2:
                guard field.isBytes, field.range.isEmpty || field.range.count == 16 else {
                    throw DecodeError("malformed", "trace_id")
                }
                let base = facts.startIndex
                result.traceID = Array(facts[base + field.start..<base + field.end])
            case 3: result.intent = try FieldRules.identifier(facts, field, "intent")
            case 4: result.method = try FieldRules.identifier(facts, field, "method")
            case 6: result.sampleSeed = try FieldRules.identifier(facts, field, "sample_seed")
            default: try number(&result, field)
            }
        }
        try FieldRules.finish(cursor, "capture")
        try FieldRules.require(result.requestID, "request_id")
        return result
    }

    private static func number(_ result: inout RequestCapture, _ field: WireField) throws(DecodeError) {
        switch field.number {
        case 5: result.pathHash = try FieldRules.number(field, "path_hash")
        case 7: result.occurredAt = try FieldRules.time(field, "occurred_at")
        case 8: result.payloadLength = try FieldRules.number(field, "payload_length")
        case 9: result.payloadKept = try FieldRules.number(field, "payload_kept")
        case 10: result.status = try FieldRules.small(field, "status")
        case 11: result.responseLength = try FieldRules.number(field, "response_length")
        case 12: result.responseKept = try FieldRules.number(field, "response_kept")
        case 13: result.latency = Nanoseconds(try FieldRules.signed(field, "latency_ns"))
        case 14: result.hasShadowMark = try FieldRules.number(field, "has_shadow_mark") != 0
        default: break
        }
    }

    static func dispatch(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> ShadowDispatch {
        let none = DirectiveID(causeSequence: .origin, causeIndex: 0, mirrorID: "")
        var result = ShadowDispatch(directive: none, outcome: .failed)
        var outcome = ""
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1...3: try directive(&result.directive, facts, field)
            case 4: outcome = try FieldRules.identifier(facts, field, "outcome")
            case 5: result.status = try FieldRules.small(field, "status")
            case 6: result.latency = Nanoseconds(try FieldRules.signed(field, "latency_ns"))
            case 7: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            case 8: result.isRedispatched = try FieldRules.number(field, "redispatched") != 0
            case 9: result.isBaseline = try FieldRules.number(field, "is_baseline") != 0
            default: break
            }
        }
        try FieldRules.finish(cursor, "dispatch")
        try FieldRules.require(result.directive.mirrorID, "mirror_id")
        result.outcome = try word(outcome, "outcome") { DispatchOutcome(name: $0) }
        return result
    }

    private static func directive(
        _ result: inout DirectiveID, _ facts: ArraySlice<UInt8>, _ field: WireField
    ) throws(DecodeError) {
        switch field.number {
        case 1: result.causeSequence = SequenceNumber(try FieldRules.number(field, "cause_sequence"))
        case 2: result.causeIndex = try FieldRules.small(field, "cause_index")
        default: result.mirrorID = try FieldRules.identifier(facts, field, "mirror_id")
        }
    }

    static func comparison(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> ShadowComparison {
        let none = DirectiveID(causeSequence: .origin, causeIndex: 0, mirrorID: "")
        var result = ShadowComparison(directive: none, verdict: .equal)
        var verdict = ""
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1...3: try directive(&result.directive, facts, field)
            case 4: verdict = try FieldRules.identifier(facts, field, "verdict")
            case 5: result.differenceCount = try FieldRules.small(field, "difference_count")
            case 6:
                guard field.isBytes else { throw DecodeError("malformed", "paths") }
                guard result.paths.count < MirrorLimits.differingPaths else { throw DecodeError("too_many", "paths") }
                result.paths.append(try path(facts, field.range))
            case 7: result.isBaseline = try FieldRules.number(field, "is_baseline") != 0
            default: break
            }
        }
        try FieldRules.finish(cursor, "comparison")
        try FieldRules.require(result.directive.mirrorID, "mirror_id")
        result.verdict = try word(verdict, "verdict") { ComparisonVerdict(name: $0) }
        return result
    }

    private static func path(_ facts: ArraySlice<UInt8>, _ range: Range<Int>) throws(DecodeError) -> DifferingPath {
        var (part, pattern, kind) = ("", "", "")
        var cursor = WireCursor(range)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: part = try FieldRules.identifier(facts, field, "part")
            case 2: pattern = try FieldRules.text(facts, field, "pattern", limit: MirrorLimits.pathBytes)
            case 3: kind = try FieldRules.identifier(facts, field, "kind")
            default: break
            }
        }
        try FieldRules.finish(cursor, "paths")
        return DifferingPath(
            part: try word(part, "part") { ResponsePart(name: $0) }, pattern: pattern,
            kind: try word(kind, "kind") { DifferenceKind(name: $0) })
    }

    /// A choice by its word; it must be said.
    private static func word<Choice>(
        _ text: String, _ name: StaticString, _ read: (String) -> Choice?
    ) throws(DecodeError) -> Choice {
        try FieldRules.require(text, name)
        guard let choice = read(text) else { throw DecodeError("unknown_enum_value", "\(name)") }
        return choice
    }
}

extension MirrorConfiguration {
    /// Writes the configuration as it stands in an event, without source and time.
    package static func write(_ mirror: MirrorConfiguration, _ writer: inout WireWriter) {
        MirrorCodec.configuration(mirror, &writer)
    }

    /// Reads what `write` wrote.
    package static func read(_ bytes: [UInt8]) throws(DecodeError) -> MirrorConfiguration {
        try MirrorCodec.configuration(bytes[...], 0..<bytes.count)
    }
}
