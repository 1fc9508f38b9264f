// A trace of a checkpoint, read back.

import EventModel

/// Reads the traces of a checkpoint.
enum TraceRowReader {
    static func trace(_ nested: CheckpointReader, _ names: NameTable) -> TraceRow? {
        var reader = nested
        var (high, low) = (UInt64(0), UInt64(0))
        var result = TraceRow(id: TraceID(high: 0, low: 0), at: .zero)
        while let field = reader.next() {
            switch field.number {
            case 1: high = field.value
            case 2:
                low = field.value
                result = TraceRow(id: TraceID(high: high, low: low), at: .zero)
            case 3: result.firstSeen = Timestamp(nanoseconds: field.signed)
            case 4: result.lastSeen = Timestamp(nanoseconds: field.signed)
            case 5:
                guard let verdict = verdict(reader.nested(field)) else { return nil }
                result.verdict = verdict
            case 6:
                guard let row = span(reader.nested(field), names),
                    result.place(row.spanID, isServerHalf: row.isServerHalf) == nil
                else { return nil }
                result.append(row)
            default: return nil
            }
        }
        return reader.isComplete && result.id.isValid ? result : nil
    }

    private static func verdict(_ nested: CheckpointReader) -> TraceVerdict? {
        var reader = nested
        var result = TraceVerdict()
        while let field = reader.next() {
            switch field.number {
            case 1: result.isSlow = field.value != 0
            case 2: result.isOverThreshold = field.value != 0
            case 3: result.hasError = field.value != 0
            case 4: result.duration = Nanoseconds(field.signed)
            case 5: result.limit = Nanoseconds(field.signed)
            case 6: result.median = Nanoseconds(field.signed)
            default: return nil
            }
        }
        return reader.isComplete ? result : nil
    }

    private static func span(_ nested: CheckpointReader, _ names: NameTable) -> SpanRow? {
        var reader = nested
        var numbers = [UInt64](repeating: 0, count: 15)
        while let field = reader.next() {
            guard (1...14).contains(field.number) else { return nil }
            numbers[field.number] = field.value
        }
        guard let kind = SpanKind(rawValue: UInt32(truncatingIfNeeded: numbers[11])),
            let status = SpanStatus(rawValue: UInt32(truncatingIfNeeded: numbers[12]))
        else { return nil }
        let row = SpanRow(
            spanID: numbers[1], parentID: numbers[2], start: Int64(bitPattern: numbers[3]),
            duration: Int64(bitPattern: numbers[4]), hash: numbers[5], sequence: numbers[6],
            index: UInt32(truncatingIfNeeded: numbers[7]), operation: UInt32(truncatingIfNeeded: numbers[8]),
            service: UInt16(truncatingIfNeeded: numbers[9]), peer: UInt16(truncatingIfNeeded: numbers[10]),
            host: UInt16(truncatingIfNeeded: numbers[14]), kindAndStatus: SpanRow.packed(kind, status),
            tagCount: UInt8(truncatingIfNeeded: numbers[13]))
        let isKnown =
            Int(row.operation) < names.operations.count && Int(row.service) < names.nodes.count
            && Int(row.peer) <= names.nodes.count && Int(row.host) < names.hosts.count
        return reader.isComplete && isKnown && row.spanID != 0 && row.start > 0 && row.duration >= 0 ? row : nil
    }
}
