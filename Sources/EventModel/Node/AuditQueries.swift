// The question for the audit trail and its answer (schemas/lattice/v1/audit_queries.proto).

/// The names of the audit's queries.
public enum AuditQueryName: String, Sendable, Hashable, CaseIterable {
    case trail
}

/// What is asked of the audit trail; what is empty or 0 narrows nothing.
public struct AuditQuery: Sendable, Hashable {
    /// As it stands in the answer.
    public var actor = ""
    /// Kinds (`mirror.added`) or whole families (`policy`).
    public var actions: [String] = []
    public var service = ""
    public var object = ""
    /// The first event…
    public var sequence = SequenceNumber.origin
    public var index: UInt32 = 0
    /// …and the last record.
    public var lastSequence = SequenceNumber.origin
    /// Recorded within these times, both included.
    public var startTime = Timestamp.zero
    public var endTime = Timestamp.zero
    /// 0: the query's own default.
    public var limit: UInt32 = 0
    public var position = ReadPosition.now
    /// Kinds that one question may name.
    private static let actionsMaximum = 64

    public init() {}
}

extension AuditQuery {
    /// Reads a request; an empty payload is a request without fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> AuditQuery {
        var query = AuditQuery()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: query.actor = try FieldRules.text(payload, field, "actor", limit: Limits.valueBytes)
            case 2:
                guard query.actions.count < actionsMaximum else { throw DecodeError("too_many", "actions") }
                query.actions.append(try FieldRules.identifier(payload, field, "actions"))
            case 3: query.service = try FieldRules.identifier(payload, field, "service")
            case 4: query.object = try FieldRules.identifier(payload, field, "object")
            case 5: query.sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            case 6: query.index = try FieldRules.small(field, "index")
            case 7: query.lastSequence = SequenceNumber(try FieldRules.number(field, "last_sequence"))
            case 8: query.startTime = try FieldRules.time(field, "start_time")
            case 9: query.endTime = try FieldRules.time(field, "end_time")
            case 10: query.limit = try FieldRules.small(field, "limit")
            case 13...15: try query.position.read(field)
            default: break
            }
        }
        try FieldRules.finish(cursor, "request")
        return query
    }

    /// The request as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, actor)
        for action in actions { writer.element(2, action) }
        writer.field(3, service)
        writer.field(4, object)
        writer.field(5, sequence)
        writer.field(6, index)
        writer.field(7, lastSequence)
        writer.field(8, startTime)
        writer.field(9, endTime)
        writer.field(10, limit)
        position.write(&writer)
        return writer.bytes
    }

    /// Whether an entry is asked for.
    package func admits(_ entry: AuditEntry) -> Bool {
        if !actor.isEmpty, !entry.actor.utf8.elementsEqual(actor.utf8) { return false }
        if !service.isEmpty, !entry.service.utf8.elementsEqual(service.utf8) { return false }
        if !object.isEmpty, !entry.object.utf8.elementsEqual(object.utf8) { return false }
        if startTime != .zero, entry.recordedAt < startTime { return false }
        if endTime != .zero, entry.recordedAt > endTime { return false }
        return actions.isEmpty || actions.contains { entry.isOf($0) }
    }
}

/// One administrative event: who did what, when, why, and where it stands in the log.
public struct AuditEntry: Sendable, Hashable {
    public var sequence: SequenceNumber
    /// Which event of the record.
    public var index: UInt32
    public var recordedAt: Timestamp
    /// Family and kind, for instance `mirror.added`.
    public var action: String
    /// The principal of the subject, the node, or `unverified`, with the name that was claimed behind a colon.
    public var actor: String
    /// Whom it concerns; empty: no one service.
    public var service: String
    /// The mirror, the instance, the node; empty: none of its own.
    public var object: String
    public var reason: String
    /// The rest, for people.
    public var detail: String

    public init(
        sequence: SequenceNumber, index: UInt32 = 0, recordedAt: Timestamp, action: String, actor: String,
        service: String = "", object: String = "", reason: String = "", detail: String = ""
    ) {
        self.sequence = sequence
        self.index = index
        self.recordedAt = recordedAt
        self.action = action
        self.actor = actor
        self.service = service
        self.object = object
        self.reason = reason
        self.detail = detail
    }

    /// Whether it is of a kind (`mirror.added`) or of a family (`mirror`).
    package func isOf(_ name: String) -> Bool {
        action.utf8.elementsEqual(name.utf8) || action.hasPrefix(name + ".")
    }

    /// What it takes in an answer, about.
    package var byteCount: Int {
        64 + action.utf8.count + actor.utf8.count + service.utf8.count + object.utf8.count + reason.utf8.count
            + detail.utf8.count
    }
}

/// Answer of `trail`: in the order of the log.
public struct AuditAnswer: Sendable, Hashable {
    public var asOf: AsOf
    public var entries: [AuditEntry] = []
    /// Where to go on; origin: there is no more. A page may be empty and not be the last.
    public var nextSequence = SequenceNumber.origin
    public var nextIndex: UInt32 = 0

    public init(asOf: AsOf) { self.asOf = asOf }

    /// The answer as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter(capacity: 64 + entries.count * 128)
        asOf.write(1, &writer)
        for entry in entries {
            writer.message(2) { inner in
                inner.field(1, entry.sequence)
                inner.field(2, entry.index)
                inner.field(3, entry.recordedAt)
                inner.field(4, entry.action)
                inner.field(5, entry.actor)
                inner.field(6, entry.service)
                inner.field(7, entry.object)
                inner.field(8, entry.reason)
                inner.field(9, entry.detail)
            }
        }
        writer.field(3, nextSequence)
        writer.field(4, nextIndex)
        return writer.bytes
    }
}
