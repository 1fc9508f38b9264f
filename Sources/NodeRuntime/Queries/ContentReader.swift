// Reads captured contents back from the log: what the machine keeps is positions (decision 9).

package import EventModel
package import EventStore

extension ContentVault {
    /// Destroys what a record erases.
    ///
    /// - Returns: how many keys there were.
    @discardableResult
    func erase(_ record: EventRecord) throws(EventStoreError) -> Int {
        guard case .mirror(.contentsErased(let event)) = record.event else { return 0 }
        return try destroy(source: event.sourceService, day: event.day, before: record.sequence)
    }
}

/// A captured request with its contents, or with the word that they are erased.
package struct ReadCapture: Sendable {
    package var sourceService: String
    package var recorded: RecordedCapture
    /// False: there were none, or they cannot be read.
    package var isReadable: Bool
}

/// A compared pair with its contents.
package struct ReadComparison: Sendable {
    package var sourceService: String
    package var comparison: ShadowComparison
    package var content: ComparedContent
    package var isErased: Bool
}

/// Reads records of the mirror with their attachments; used beside the writer or offline.
package struct ContentReader: Sendable {
    private let reader: LogReader
    let vault: ContentVault

    package init(reader: LogReader, vault: ContentVault) {
        self.reader = reader
        self.vault = vault
    }

    /// What stands for contents whose key is destroyed.
    package static let erased = "erased"

    /// One captured request; nil where there is none at this position.
    package func capture(at position: EventPosition) throws(EventStoreError) -> ReadCapture? {
        try captures(at: position.sequence).first { $0.recorded.position.index == position.index }
    }

    /// Whether contents that were read under an earlier value may have been erased since.
    var generation: UInt64 { vault.generation }

    /// All captured requests of a record; none where there is none or it is no capture.
    func captures(at sequence: SequenceNumber) throws(EventStoreError) -> [ReadCapture] {
        guard let frame = try reader.frame(at: sequence) else { return [] }
        return try captures(of: frame)
    }

    /// All captured requests of a record; none where it is no capture.
    package func captures(of frame: Frame) throws(EventStoreError) -> [ReadCapture] {
        guard frame.eventType == EventType.requestCaptured.rawValue,
            case .mirror(.captured(let batch)) = EventRecord(frame).event
        else { return [] }
        let opened = try open(frame) { try? MirrorAttachment.captured($0[...]) }
        return batch.events.enumerated().map { index, event in
            var content =
                opened.isErased
                ? CapturedContent(
                    target: Self.erased, requestBody: Array(Self.erased.utf8), responseBody: Array(Self.erased.utf8))
                : CapturedContent()
            let entries = opened.entries ?? []
            if index < entries.count { content = entries[index] }
            return ReadCapture(
                sourceService: batch.serviceName,
                recorded: RecordedCapture(
                    position: EventPosition(sequence: frame.sequence, index: UInt32(index)),
                    recordedAt: frame.recordedAt, capture: event, content: content, isErased: opened.isErased),
                isReadable: index < entries.count)
        }
    }

    /// One compared pair; nil where there is none at this position.
    package func comparison(at position: EventPosition) throws(EventStoreError) -> ReadComparison? {
        guard let frame = try reader.frame(at: position.sequence),
            case .mirror(.compared(let batch)) = EventRecord(frame).event, position.index < batch.events.count
        else { return nil }
        let opened = try open(frame) { try? MirrorAttachment.compared($0[...]) }
        let index = Int(position.index)
        var content = ComparedContent()
        if let entries = opened.entries, index < entries.count { content = entries[index] }
        if opened.isErased { content.notes = [Self.erased] }
        return ReadComparison(
            sourceService: batch.serviceName, comparison: batch.events[index], content: content,
            isErased: opened.isErased)
    }

    /// Captures from one record through another, at most so many and of so many bytes; then where to go on.
    package func captures(
        of sourceService: String, from first: SequenceNumber, through last: SequenceNumber, limit: Int,
        byteLimit: Int
    ) throws(EventStoreError) -> (captures: [RecordedCapture], next: SequenceNumber) {
        var found: [RecordedCapture] = []
        var bytes = 0
        var cursor = try reader.frames(from: first, through: last)
        while let batch = try cursor.nextBatch() {
            for frame in batch where frame.eventType == EventType.requestCaptured.rawValue {
                let captures = try captures(of: frame).filter {
                    sourceService.isEmpty || $0.sourceService.utf8.elementsEqual(sourceService.utf8)
                }
                bytes += captures.reduce(0) { $0 + $1.recorded.content.byteCount + 256 }
                let isFull = found.count + captures.count > limit || bytes > byteLimit
                if isFull && !found.isEmpty { return (found, frame.sequence) }
                found += captures.map(\.recorded)
            }
        }
        return (found, .origin)
    }

    private func open<Entries>(
        _ frame: Frame, _ decode: ([UInt8]) -> Entries?
    ) throws(EventStoreError) -> (entries: Entries?, isErased: Bool) {
        if frame.attachment.isEmpty { return (nil, false) }
        guard frame.flags.contains(.sealedAttachment) else { return (decode(Array(frame.attachment)), false) }
        switch try vault.open(frame.attachment, sequence: frame.sequence) {
        case .plain(let bytes): return (decode(bytes), false)
        case .erased: return (nil, true)
        case .damaged: return (nil, false)
        }
    }
}

extension CapturedContent {
    /// What it takes in an answer, about.
    fileprivate var byteCount: Int {
        let headers = (requestHeaders + responseHeaders).reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 8 }
        // JSON writes bytes in base64.
        return target.utf8.count + headers + (requestBody.count + responseBody.count) * 4 / 3
    }
}
