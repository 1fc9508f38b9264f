// Where contents part from facts: they come in one message and are kept apart (decision 9).

/// A message's payload without its contents, and the contents.
package struct SplitPayload: Sendable {
    /// What is folded.
    package var facts: ArraySlice<UInt8>
    /// What becomes the attachment; empty where there was none.
    package var contents: ArraySlice<UInt8>
}

extension MirrorAttachment {
    /// The field in which a message carries its contents.
    private static let number = 15

    /// Takes the contents out of a message; what a machine folds never holds them.
    ///
    /// - Complexity: one pass over the outermost fields; nothing is copied where the contents come last.
    package static func split(_ payload: ArraySlice<UInt8>, of type: EventType) -> SplitPayload {
        guard type == .requestCaptured || type == .responseCompared else {
            return SplitPayload(facts: payload, contents: [])
        }
        let base = payload.startIndex
        var (facts, contents) = ([Range<Int>](), [Range<Int>]())
        var place = 0
        var cursor = WireCursor(0..<payload.count)
        while let field = cursor.next(in: payload.span) {
            if field.number == number {
                if field.isBytes { contents.append(field.range) }
            } else {
                facts.append(place..<cursor.place)
            }
            place = cursor.place
        }
        // What is not protobuf is for the decoder to refuse.
        guard cursor.isComplete, facts.count > 0, !contents.isEmpty else {
            return SplitPayload(facts: payload, contents: [])
        }
        let last = facts[facts.count - 1].upperBound
        let isInFront = facts.reduce(0) { $0 + $1.count } == last
        return SplitPayload(
            facts: isInFront ? payload[base..<base + last] : joined(facts, payload),
            contents: contents.count == 1
                ? payload[base + contents[0].lowerBound..<base + contents[0].upperBound] : joined(contents, payload))
    }

    private static func joined(_ ranges: [Range<Int>], _ payload: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let base = payload.startIndex
        var bytes: [UInt8] = []
        for range in ranges { bytes += payload[base + range.lowerBound..<base + range.upperBound] }
        return bytes[...]
    }

    /// A message with its contents.
    package static func message(_ event: MirrorEvent, contents: [UInt8]) -> (type: EventType, payload: [UInt8]) {
        var writer = WireWriter(capacity: 256 + contents.count)
        let type = MirrorCodec.write(event, &writer)
        writer.field(number, contents)
        return (type, writer.bytes)
    }
}
