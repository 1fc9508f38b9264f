// The headers of a NATS message, read from the bytes that arrived.

internal import Messaging

/// Reads a header block (ADR-4): `NATS/1.0[ status[ description]]`, then `name: value` lines, then an empty line.
///
/// Names and values are trimmed, a line that begins with a blank continues the value before, a line without a colon is
/// passed over, names keep their case. libnats looks into empty messages and leaves zeros where a colon or the end of a
/// line was, so a zero counts as either.
enum NATSHeaderBlock {
    /// The name under which a status in the first line is shown, as libnats does.
    static let statusName = "Status"
    static let descriptionName = "Description"

    static func headers(_ block: Span<UInt8>) -> [MessageHeader] {
        var headers: [MessageHeader] = []
        var start = 0
        var isFirst = true
        while start < block.count {
            let end = endOfLine(block, start)
            let line = trimmed(block, start..<end)
            if isFirst {
                appendStatus(block, line, &headers)
            } else if isBlank(block[start]) {
                if !line.isEmpty, let last = headers.indices.last {
                    headers[last].value += (headers[last].value.isEmpty ? "" : " ") + string(block, line)
                }
            } else if let colon = (start..<end).first(where: { block[$0] == UInt8(ascii: ":") || block[$0] == 0 }) {
                let name = trimmed(block, start..<colon)
                let value = string(block, trimmed(block, (colon + 1)..<end))
                if !name.isEmpty { headers.append(MessageHeader(string(block, name), value)) }
            }
            isFirst = false
            start = end + 1
        }
        return headers
    }

    /// `NATS/1.0 503 No Responders`: the status is what stands before the next blank.
    private static func appendStatus(_ block: Span<UInt8>, _ line: Range<Int>, _ headers: inout [MessageHeader]) {
        let rest = trimmed(block, min(line.lowerBound + 8, line.upperBound)..<line.upperBound)
        if rest.isEmpty { return }
        let end = rest.first { isBlank(block[$0]) } ?? rest.upperBound
        headers.append(MessageHeader(statusName, string(block, rest.lowerBound..<end)))
        let description = trimmed(block, end..<rest.upperBound)
        if !description.isEmpty { headers.append(MessageHeader(descriptionName, string(block, description))) }
    }

    private static func endOfLine(_ block: Span<UInt8>, _ start: Int) -> Int {
        var end = start
        while end < block.count, block[end] != 0x0A { end += 1 }
        return end
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0 }

    private static func trimmed(_ block: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, isBlank(block[lower]) { lower += 1 }
        while upper > lower, isBlank(block[upper - 1]) { upper -= 1 }
        return lower..<upper
    }

    private static func string(_ block: Span<UInt8>, _ range: Range<Int>) -> String {
        unsafe block.extracting(range).withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
    }
}
