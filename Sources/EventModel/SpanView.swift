// What the collector reads in the tags of spans: whom a span calls, and where it ran.

import EventModel

/// The names in the tags of one span; of several tags the one that is named first below counts.
struct SpanTagNames {
    /// Whom a span calls, where it has no field for it. Tags speak for clients, producers and consumers only.
    private static let peerKeys: [[UInt8]] = [
        "peer.service", "messaging.system", "db.system.name", "db.system", "server.address", "net.peer.name",
    ].map { Array($0.utf8) }
    /// Where a span ran: the rule of `TraceSpan.host`.
    private static let hostKeys: [[UInt8]] = TraceSpan.hostTags.map { Array($0.utf8) }
    /// A bit for each length that a key of interest has.
    private static let lengths = (peerKeys + hostKeys).reduce(UInt64(0)) { $0 | 1 << UInt64($1.count) }

    /// Where the name of the other side stands; nil: it names nobody.
    private(set) var peer: Range<Int>?
    /// Where the name of the host stands; nil: it does not say.
    private(set) var host: Range<Int>?
    private var peerRank = Self.peerKeys.count
    private var hostRank = Self.hostKeys.count

    /// Reads the tags of a span.
    init(_ view: SpanView, in bytes: borrowing Span<UInt8>) {
        let wantsPeer: Bool
        switch view.kind {
        case .client, .producer, .consumer: wantsPeer = view.peer.isEmpty
        case .server, .internal: wantsPeer = false
        }
        read(9, in: bytes, view.body, wantsPeer: wantsPeer)
        if !view.peer.isEmpty { peer = view.peer }
    }

    /// Reads the tags of a batch's process.
    init(ofBatch bytes: borrowing Span<UInt8>) {
        read(3, in: bytes, 0..<bytes.count, wantsPeer: false)
    }

    private mutating func read(_ number: Int, in bytes: borrowing Span<UInt8>, _ range: Range<Int>, wantsPeer: Bool) {
        var cursor = WireCursor(range)
        while let field = cursor.next(in: bytes) {
            if field.number != number || !Self.mayMatter(field, in: bytes) { continue }
            let (key, text) = SpanView.tag(in: bytes, field.range)
            if text.isEmpty || text.count > Limits.identifierBytes { continue }
            if wantsPeer, let rank = Self.rank(key, among: Self.peerKeys, below: peerRank, in: bytes) {
                (peerRank, peer) = (rank, text)
            }
            if let rank = Self.rank(key, among: Self.hostKeys, below: hostRank, in: bytes) {
                (hostRank, host) = (rank, text)
            }
        }
    }

    /// Whether a tag's key has a length of interest; most tags are passed over by it. A tag that does not begin with a
    /// short key is looked at.
    private static func mayMatter(_ field: WireField, in bytes: borrowing Span<UInt8>) -> Bool {
        guard field.range.count >= 2, bytes[field.start] == 0x0A, bytes[field.start + 1] < 0x80 else { return true }
        let length = bytes[field.start + 1]
        return length < 64 && lengths & (1 << UInt64(length)) != 0
    }

    private static func rank(
        _ key: Range<Int>, among keys: [[UInt8]], below limit: Int, in bytes: borrowing Span<UInt8>
    ) -> Int? {
        for rank in 0..<limit where keys[rank].count == key.count {
            var place = 0
            while place < key.count && bytes[key.lowerBound + place] == keys[rank][place] { place += 1 }
            if place == key.count { return rank }
        }
        return nil
    }
}
