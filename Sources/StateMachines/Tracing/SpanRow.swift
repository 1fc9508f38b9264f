// What the collector keeps of a span and of a trace: numbers and positions; everything else is read back from the log.

package import EventModel

/// One span in 64 bytes.
struct SpanRow: Sendable, Hashable {
    var spanID: UInt64
    /// Zero: a root.
    var parentID: UInt64
    var start: Int64
    var duration: Int64
    /// The upper half of the content hash: decides between two spans of one key.
    var hash: UInt64
    /// Where it stands in the log.
    var sequence: UInt64
    var index: UInt32
    var operation: UInt32
    var service: UInt16
    /// The node it names as the other side, plus one; zero: none.
    var peer: UInt16
    /// Where it ran; zero: not known.
    var host: UInt16
    /// Kind and status, four bits each.
    var kindAndStatus: UInt8
    var tagCount: UInt8

    static func packed(_ kind: SpanKind, _ status: SpanStatus) -> UInt8 {
        UInt8(kind.rawValue) << 4 | UInt8(status.rawValue)
    }

    var kind: UInt8 { kindAndStatus >> 4 }
    var status: UInt8 { kindAndStatus & 15 }
    var isServerHalf: Bool { kind == UInt8(SpanKind.server.rawValue) }
    var isError: Bool { status != UInt8(SpanStatus.ok.rawValue) }
    var spanKind: SpanKind { SpanKind(rawValue: UInt32(kind)) ?? .internal }
    var spanStatus: SpanStatus { SpanStatus(rawValue: UInt32(status)) ?? .ok }
    /// Saturating.
    var end: Int64 { start.addingReportingOverflow(duration).overflow ? .max : start + duration }

    /// Decision 18: more tags, then the larger hash.
    func wins(over other: SpanRow) -> Bool {
        tagCount != other.tagCount ? tagCount > other.tagCount : hash > other.hash
    }

    var node: LinkNode<UInt16> {
        LinkNode(kind: spanKind, service: service, peer: peer == 0 ? nil : peer - 1, isError: isError)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, spanID)
        writer.field(2, parentID)
        writer.field(3, start)
        writer.field(4, duration)
        writer.field(5, hash)
        writer.field(6, sequence)
        writer.field(7, index)
        writer.field(8, operation)
        writer.field(9, UInt32(service))
        writer.field(10, UInt32(peer))
        writer.field(11, UInt32(kind))
        writer.field(12, UInt32(status))
        writer.field(13, UInt32(tagCount))
        writer.field(14, UInt32(host))
    }
}

/// Why and by how much a trace is out of the ordinary.
package struct TraceVerdict: Sendable, Hashable {
    /// The root took longer than its operation's baseline allows.
    package var isSlow = false
    /// The root took longer than the absolute threshold.
    package var isOverThreshold = false
    /// A span did not end well.
    package var hasError = false
    package var duration = Nanoseconds.zero
    /// What the baseline allowed; zero: there were too few samples.
    package var limit = Nanoseconds.zero
    package var median = Nanoseconds.zero

    package var isAnomalous: Bool { isSlow || isOverThreshold || hasError }
    /// How far over the limit.
    package var excess: Nanoseconds { limit == .zero ? .zero : Nanoseconds(duration.rawValue &- limit.rawValue) }

    func write(_ writer: inout WireWriter) {
        writer.field(1, isSlow)
        writer.field(2, isOverThreshold)
        writer.field(3, hasError)
        writer.field(4, duration)
        writer.field(5, limit)
        writer.field(6, median)
    }
}

/// One trace.
struct TraceRow: Sendable {
    let id: TraceID
    var rows: [SpanRow] = []
    /// Log time of its first and its last record.
    var firstSeen: Timestamp
    var lastSeen: Timestamp
    /// Stands once it was given (decision 20).
    var verdict: TraceVerdict?
    /// The earliest start and the latest end of its spans.
    private(set) var start = Int64.max
    private(set) var end = Int64.min
    private(set) var errorCount: Int32 = 0
    private(set) var index: TraceIndex?
    var digest = Digest.zero
    var isDirty = false
    /// It had a record since it was last looked at, and has no verdict.
    var isUnsettled = false

    init(id: TraceID, at time: Timestamp) {
        self.id = id
        firstSeen = time
        lastSeen = time
    }

    func write(_ writer: inout WireWriter) {
        writer.fixed64(1, id.high)
        writer.fixed64(2, id.low)
        writer.field(3, firstSeen)
        writer.field(4, lastSeen)
        if let verdict { writer.message(5) { inner in verdict.write(&inner) } }
        for row in rows { writer.message(6) { inner in row.write(&inner) } }
    }

    // MARK: Look-up

    /// Traces of at most so many spans are searched from end to end.
    private static let scanned = 48

    /// Calls for each row with this id.
    @inline(__always)
    func forEach(spanID: UInt64, _ body: (Int) -> Void) {
        if let index { return index.byID.forEach(spanID, body) }
        for place in rows.indices where rows[place].spanID == spanID { body(place) }
    }

    /// Calls for each row with this parent until one says stop.
    @inline(__always)
    func forEach(parentID: UInt64, _ body: (Int) -> Bool) {
        if let index { return index.byParent.forEachUntil(parentID, body) }
        for place in rows.indices where rows[place].parentID == parentID {
            if !body(place) { return }
        }
    }

    func place(_ spanID: UInt64, isServerHalf: Bool) -> Int? {
        var found: Int?
        forEach(spanID: spanID) { if rows[$0].isServerHalf == isServerHalf { found = $0 } }
        return found
    }

    /// The row that a span hangs under: the rule of `TraceForest`, for one span.
    func parent(of place: Int) -> Int? {
        let row = rows[place]
        if row.isServerHalf, let client = self.place(row.spanID, isServerHalf: false) { return client }
        if row.parentID == 0 { return nil }
        let client = self.place(row.parentID, isServerHalf: false)
        guard let server = self.place(row.parentID, isServerHalf: true) else { return client }
        guard let client else { return server }
        return rows[client].service == row.service && rows[server].service != row.service ? client : server
    }

    mutating func append(_ row: SpanRow) {
        rows.append(row)
        include(row)
        if index != nil {
            index?.add(row, rows.count - 1)
        } else if rows.count > Self.scanned {
            index = TraceIndex(rows)
        }
    }

    private mutating func include(_ row: SpanRow) {
        start = min(start, row.start)
        end = max(end, row.end)
        errorCount += row.isError ? 1 : 0
    }

    mutating func replace(_ place: Int, with row: SpanRow) {
        let isMoved = rows[place].parentID != row.parentID
        rows[place] = row
        if isMoved && index != nil { index = TraceIndex(rows) }
        (start, end, errorCount) = (.max, .min, 0)
        for row in rows { include(row) }
    }

    /// The first root by start and id.
    var root: Int? {
        var best: Int?
        for place in rows.indices where rows[place].parentID == 0 {
            if rows[place].isServerHalf && self.place(rows[place].spanID, isServerHalf: false) != nil { continue }
            guard let known = best else {
                best = place
                continue
            }
            let (left, right) = (rows[place], rows[known])
            if (left.start, left.spanID) < (right.start, right.spanID) { best = place }
        }
        return best
    }
}

/// Finds the rows of a large trace by id and by parent.
struct TraceIndex: Sendable {
    var byID = RowChains()
    var byParent = RowChains()

    init(_ rows: [SpanRow]) {
        for (place, row) in rows.enumerated() { add(row, place) }
    }

    mutating func add(_ row: SpanRow, _ place: Int) {
        byID.add(row.spanID, place)
        byParent.add(row.parentID, place)
    }
}

/// Rows with the same number, one behind the other.
struct RowChains: Sendable {
    private var heads: [UInt64: Int32] = [:]
    private var next: [Int32] = []

    mutating func add(_ key: UInt64, _ place: Int) {
        next.append(heads[key] ?? -1)
        heads[key] = Int32(place)
    }

    func forEach(_ key: UInt64, _ body: (Int) -> Void) {
        forEachUntil(key) { place in
            body(place)
            return true
        }
    }

    func forEachUntil(_ key: UInt64, _ body: (Int) -> Bool) {
        var place = heads[key] ?? -1
        while place >= 0 {
            if !body(Int(place)) { return }
            place = next[Int(place)]
        }
    }
}
