// Reads the sections that machines write into checkpoints (the protobuf wire format without a schema of its own).

import EventModel

/// Walks over the fields of one message of a checkpoint.
struct CheckpointReader {
    private let source: [UInt8]
    private var cursor: WireCursor
    private var isText = true

    init(_ source: [UInt8]) {
        self.source = source
        cursor = WireCursor(0..<source.count)
    }

    private init(_ source: [UInt8], _ range: Range<Int>) {
        self.source = source
        cursor = WireCursor(range)
    }

    var isComplete: Bool { cursor.isComplete && isText }

    mutating func next() -> WireField? {
        let bytes = source
        return cursor.next(in: bytes.span)
    }

    func nested(_ field: WireField) -> CheckpointReader { CheckpointReader(source, field.range) }

    func bytes(_ field: WireField) -> [UInt8] { Array(source[field.range]) }

    /// Text as it was written; what is not UTF-8 leaves the message incomplete.
    mutating func text(_ field: WireField) -> String {
        if let text = String(validating: source[field.range], as: UTF8.self) { return text }
        isText = false
        return ""
    }
}
