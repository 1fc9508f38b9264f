// Questions to the traffic mirror, and how they are read from the wire (mirror_queries.proto).

/// The names of the mirror's queries: the last token of the subject.
public enum MirrorQueryName: String, Sendable, Hashable, CaseIterable {
    case mirrors
    case stats
    case ledger
    case pending
    case diffs
    case comparison
    case shouldMirror = "should_mirror"
    case captures
}

/// A question to the mirror: the fields of `MirrorQuery`; each query reads those it needs.
public struct MirrorQuery: Sendable, Hashable {
    /// Empty: every mirror.
    public var mirrorID = ""
    /// Empty: every source.
    public var sourceService = ""
    /// 0: the query's own default.
    public var limit: UInt32 = 0
    /// `diffs`: so many of 10,000 compared may differ.
    public var thresholdBasisPoints: UInt32 = 0
    /// `should_mirror`: the request that is asked about.
    public var intent = ""
    public var sampleSeed = ""
    /// Empty: GET.
    public var method = ""
    /// `comparison`: the `compared` record. `captures`: the first record.
    public var sequence = SequenceNumber.origin
    /// Which event of the record.
    public var index: UInt32 = 0
    /// `captures`: the last record; origin: as far as there are any.
    public var lastSequence = SequenceNumber.origin
    /// `comparison`, `captures`: who reads, where the question's subject does not tell.
    public var actor = ""
    /// Why.
    public var reason = ""
    /// Lists: the page that the page before named; empty: the first.
    public var pageToken = ""
    public var position = ReadPosition.now

    public init() {}
}

extension MirrorQuery {
    /// Reads a request; an empty payload is a request without fields.
    package static func decode(_ payload: ArraySlice<UInt8>) throws(DecodeError) -> MirrorQuery {
        var query = MirrorQuery()
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            switch field.number {
            case 1: query.mirrorID = try FieldRules.identifier(payload, field, "mirror_id")
            case 2: query.sourceService = try FieldRules.identifier(payload, field, "source_service")
            case 3: query.limit = try FieldRules.small(field, "limit")
            case 4: query.thresholdBasisPoints = try FieldRules.small(field, "threshold_basis_points")
            case 5: query.intent = try FieldRules.text(payload, field, "intent", limit: Limits.valueBytes)
            case 6: query.sampleSeed = try FieldRules.text(payload, field, "sample_seed", limit: Limits.valueBytes)
            case 7: query.method = try FieldRules.identifier(payload, field, "method")
            case 8: query.sequence = SequenceNumber(try FieldRules.number(field, "sequence"))
            case 9: query.index = try FieldRules.small(field, "index")
            case 10: query.lastSequence = SequenceNumber(try FieldRules.number(field, "last_sequence"))
            case 11: query.actor = try FieldRules.identifier(payload, field, "actor")
            case 12: query.reason = try FieldRules.text(payload, field, "reason", limit: Limits.valueBytes)
            case 13...15: try query.position.read(field)
            case 16: query.pageToken = try FieldRules.text(payload, field, "page_token", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "request")
        return query
    }

    /// The request as bytes.
    package func encode() -> [UInt8] {
        var writer = WireWriter()
        writer.field(1, mirrorID)
        writer.field(2, sourceService)
        writer.field(3, limit)
        writer.field(4, thresholdBasisPoints)
        writer.field(5, intent)
        writer.field(6, sampleSeed)
        writer.field(7, method)
        writer.field(8, sequence)
        writer.field(9, index)
        writer.field(10, lastSequence)
        writer.field(11, actor)
        writer.field(12, reason)
        position.write(&writer)
        writer.field(16, pageToken)
        return writer.bytes
    }
}
