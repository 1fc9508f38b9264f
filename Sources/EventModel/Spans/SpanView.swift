// One span of a batch as the machines see it: its numbers, and where its names lie.

/// What the machines look at in one span, its texts still in the batch.
package struct SpanView: Sendable {
    package var traceID = TraceID(high: 0, low: 0)
    package var spanID = SpanID(0)
    /// Zero: a root.
    package var parentID = SpanID(0)
    package var operation = 0..<0
    /// Whom the span calls, by its own field.
    package var peer = 0..<0
    /// Whom it calls: by the field, or else, for clients, producers and consumers, by a tag; empty: it names nobody.
    package var calledPeer = 0..<0
    /// Where it ran, by a tag: the rule of `TraceSpan.host`; empty: it does not say.
    package var host = 0..<0
    /// Nil: not said, which means internal.
    package var kind = SpanKind.internal
    package var status: SpanStatus?
    package var start: Int64 = 0
    package var end: Int64 = 0
    package var tagCount = 0
    /// The whole message.
    package var body = 0..<0

    /// The id with the half.
    package var key: SpanKey { SpanKey(spanID: spanID, isServerHalf: kind == .server) }

    /// Reads and judges one span, without its service and process, by the frozen rules of the log's format; fields that
    /// the format does not know are passed over.
    package init(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) throws(DecodeError) {
        body = range
        var names = SpanTagNames()
        var (logs, links) = (0, 0)
        var (hasTrace, hasSpan) = (false, false)
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes) {
            switch field.number {
            case 1:
                hasTrace = try SpanRules.checkBytes(field, "trace_id", 16)
                if hasTrace {
                    traceID = TraceID(high: Self.word(bytes, field.start), low: Self.word(bytes, field.start + 8))
                }
            case 2:
                hasSpan = try SpanRules.checkBytes(field, "span_id", 8)
                if hasSpan { spanID = SpanID(Self.word(bytes, field.start)) }
            case 3:
                let hasParent = try SpanRules.checkBytes(field, "parent_span_id", 8)
                parentID = SpanID(hasParent ? Self.word(bytes, field.start) : 0)
            case 4:
                try SpanRules.checkText(bytes, field, "operation_name")
                operation = field.range
            case 5: kind = SpanKind(rawValue: try SpanRules.choice(field, "kind", 5)) ?? .internal
            case 6: status = SpanStatus(rawValue: try SpanRules.choice(field, "status", 4))
            case 7: start = try SpanRules.fixed(field, "start_time")
            case 8: end = try SpanRules.fixed(field, "end_time")
            case 9:
                try SpanRules.checkTag(bytes, field, "tags", &tagCount)
                names.read(bytes, field.range)
            case 12:
                try SpanRules.checkText(bytes, field, "peer_service")
                peer = field.range
            default: try SpanRules.checkRest(bytes, field, &logs, &links)
            }
        }
        try FieldRules.finish(cursor, "span")
        if !hasTrace { throw DecodeError("missing", "trace_id") }
        if !hasSpan { throw DecodeError("missing", "span_id") }
        host = names.host
        calledPeer = peer
        switch kind {
        case .client, .producer, .consumer: if peer.isEmpty { calledPeer = names.peer }
        case .server, .internal: break
        }
    }

    @inline(__always)
    private static func word(_ bytes: borrowing Span<UInt8>, _ start: Int) -> UInt64 {
        bytes.littleEndianWord(at: start).byteSwapped
    }
}

/// The names in the tags of one span or process; of several tags the one that is named first below counts.
struct SpanTagNames {
    /// Whom a span calls, where it has no field for it.
    private static let peerKeys: [[UInt8]] = [
        "peer.service", "messaging.system", "db.system.name", "db.system", "server.address", "net.peer.name",
    ].map { Array($0.utf8) }
    /// Where a span ran: the rule of `TraceSpan.host`.
    private static let hostKeys: [[UInt8]] = TraceSpan.hostTags.map { Array($0.utf8) }
    /// A bit for each length that a key of interest has.
    private static let lengths = (peerKeys + hostKeys).reduce(UInt64(0)) { $0 | 1 << UInt64($1.count) }

    /// Where the name of the other side stands; empty: it names nobody.
    private(set) var peer = 0..<0
    /// Where the name of the host stands; empty: it does not say.
    private(set) var host = 0..<0
    private var peerRank = Int.max
    private var hostRank = Int.max
    private let lengths = Self.lengths

    /// Looks at one more tag.
    @inline(__always)
    mutating func read(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) {
        if mayMatter(range, in: bytes) { take(bytes, range) }
    }

    private mutating func take(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) {
        let (key, text) = SpanView.tag(in: bytes, range)
        if text.isEmpty || text.count > Limits.identifierBytes { return }
        if let rank = Self.rank(key, among: Self.peerKeys, below: peerRank, in: bytes) {
            (peerRank, peer) = (rank, text)
        }
        if let rank = Self.rank(key, among: Self.hostKeys, below: hostRank, in: bytes) {
            (hostRank, host) = (rank, text)
        }
    }

    /// Whether a tag's key has a length of interest; most tags are passed over by it. A tag that does not begin with a
    /// short key is looked at.
    @inline(__always)
    private func mayMatter(_ range: Range<Int>, in bytes: borrowing Span<UInt8>) -> Bool {
        guard range.count >= 2, bytes[range.lowerBound] == 0x0A else { return true }
        let length = bytes[range.lowerBound + 1]
        return length >= 0x80 || length < 64 && lengths & (1 << UInt64(length)) != 0
    }

    private static func rank(
        _ key: Range<Int>, among keys: [[UInt8]], below limit: Int, in bytes: borrowing Span<UInt8>
    ) -> Int? {
        for rank in 0..<min(limit, keys.count) where keys[rank].count == key.count {
            var place = 0
            while place < key.count && bytes[key.lowerBound + place] == keys[rank][place] { place += 1 }
            if place == key.count { return rank }
        }
        return nil
    }
}

extension SpanView {
    /// The key and the text of a tag; the text is empty where the value is none.
    package static func tag(
        in bytes: borrowing Span<UInt8>, _ range: Range<Int>
    ) -> (key: Range<Int>, text: Range<Int>) {
        var (key, text) = (0..<0, 0..<0)
        var inner = WireCursor(range)
        while let part = inner.next(in: bytes) {
            if part.number == 1 { key = part.range }
            if part.number >= 2 && part.number <= 7 { text = part.number == 2 ? part.range : 0..<0 }
        }
        return (key, text)
    }
}
