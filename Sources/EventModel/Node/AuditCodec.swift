// The audit family on the wire (schemas/lattice/v1/audit_events.proto).

/// Reads and writes the audit family.
enum AuditCodec {
    static func event(_ type: EventType, _ facts: ArraySlice<UInt8>) throws(DecodeError) -> AuditEvent {
        switch type {
        case .contentsRead: .contentsRead(try contentsRead(facts))
        case .exported: .exported(try exported(facts))
        default: throw DecodeError("unknown_event_type", type.name)
        }
    }

    private static func contentsRead(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> ContentsRead {
        var result = ContentsRead(nodeID: "", query: "")
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.nodeID = try FieldRules.identifier(facts, field, "node_id")
            case 2: result.query = try FieldRules.identifier(facts, field, "query")
            case 3: result.sourceService = try FieldRules.identifier(facts, field, "source_service")
            case 4: result.firstSequence = SequenceNumber(try FieldRules.number(field, "first_sequence"))
            case 5: result.lastSequence = SequenceNumber(try FieldRules.number(field, "last_sequence"))
            case 6: result.count = try FieldRules.number(field, "count")
            case 7: result.actor = try FieldRules.identifier(facts, field, "actor")
            case 8: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: break
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.query, "query")
        return result
    }

    private static func exported(_ facts: ArraySlice<UInt8>) throws(DecodeError) -> Exported {
        var result = Exported(what: "", format: "")
        var cursor = WireCursor(0..<facts.count)
        while let field = cursor.next(in: facts.span) {
            switch field.number {
            case 1: result.what = try FieldRules.identifier(facts, field, "what")
            case 2: result.format = try FieldRules.identifier(facts, field, "format")
            case 3: result.sourceService = try FieldRules.identifier(facts, field, "source_service")
            case 4: result.selection = try FieldRules.text(facts, field, "selection", limit: Limits.valueBytes)
            case 8: result.target = try FieldRules.text(facts, field, "target", limit: Limits.valueBytes)
            case 9: result.actor = try FieldRules.identifier(facts, field, "actor")
            case 10: result.reason = try FieldRules.text(facts, field, "reason", limit: Limits.valueBytes)
            default: try number(&result, field)
            }
        }
        try FieldRules.finish(cursor, "message")
        try FieldRules.require(result.what, "what")
        return result
    }

    private static func number(_ result: inout Exported, _ field: WireField) throws(DecodeError) {
        switch field.number {
        case 5: result.firstSequence = SequenceNumber(try FieldRules.number(field, "first_sequence"))
        case 6: result.lastSequence = SequenceNumber(try FieldRules.number(field, "last_sequence"))
        case 7: result.count = try FieldRules.number(field, "count")
        default: break
        }
    }

    static func write(_ event: AuditEvent, _ writer: inout WireWriter) -> EventType {
        switch event {
        case .contentsRead(let read):
            writer.field(1, read.nodeID)
            writer.field(2, read.query)
            writer.field(3, read.sourceService)
            writer.field(4, read.firstSequence)
            writer.field(5, read.lastSequence)
            writer.field(6, read.count)
            writer.field(7, read.actor)
            writer.field(8, read.reason)
            return .contentsRead
        case .exported(let export):
            writer.field(1, export.what)
            writer.field(2, export.format)
            writer.field(3, export.sourceService)
            writer.field(4, export.selection)
            writer.field(5, export.firstSequence)
            writer.field(6, export.lastSequence)
            writer.field(7, export.count)
            writer.field(8, export.target)
            writer.field(9, export.actor)
            writer.field(10, export.reason)
            return .exported
        }
    }
}
