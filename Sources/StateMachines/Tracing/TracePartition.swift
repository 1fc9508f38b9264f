// One of the 256 parts that traces fall into by their id; it depends on nothing but its own spans and the log's time.

import DequeModule
import EventModel

/// What was counted besides.
package struct CollectorCounters: Sendable, Hashable {
    package var duplicates: UInt64 = 0
    /// Duplicates that took the place of the earlier span.
    package var replaced: UInt64 = 0
    /// Spans refused because their trace was full.
    package var droppedSpans: UInt64 = 0
    /// Traces that made room for others before their time…
    package var evictedTraces: UInt64 = 0
    /// …and their spans.
    package var evictedSpans: UInt64 = 0
    /// Traces whose time had come.
    package var expiredTraces: UInt64 = 0
    /// Spans that came after their trace had been judged.
    package var lateSpans: UInt64 = 0
    /// Calls counted under `__other__`.
    package var overflowedEdges: UInt64 = 0

    package init() {}

    static let fields: [any WritableKeyPath<CollectorCounters, UInt64> & Sendable] = [
        \.duplicates, \.replaced, \.droppedSpans, \.evictedTraces, \.evictedSpans, \.expiredTraces, \.lateSpans,
        \.overflowedEdges,
    ]
}

/// The traces of one partition.
struct TracePartition: Sendable {
    /// What became of a span.
    enum Result: Sendable {
        case added, duplicate, full
    }

    private(set) var slotByID: [TraceID: Int32] = [:]
    private(set) var traces: [TraceRow?] = []
    private var free: [Int32] = []
    /// In the order in which they were first seen.
    private var queue: Deque<TraceID> = []
    /// Traces without a verdict that had a record since they were last looked at.
    private var unsettled: [TraceID] = []
    /// Room for the work of one span; never part of the state.
    private var neighbourhood: [(place: Int, links: LinkSet<UInt16>)] = []
    private(set) var spanCount = 0
    private(set) var edges: Set<UInt32> = []
    private let number: Int
    var counters = CollectorCounters()
    private var dirty: [Int32] = []
    private var sum = Digest.zero

    /// - Parameter number: which of the 256 it is.
    init(number: Int) { self.number = number }

    func trace(_ id: TraceID) -> TraceRow? { slotByID[id].flatMap { traces[Int($0)] } }

    // MARK: Spans

    mutating func take(
        _ row: SpanRow, of id: TraceID, at time: Timestamp, _ settings: TraceSettings, _ series: inout SeriesTable
    ) -> Result {
        let slot = Int(slotByID[id] ?? makeTrace(id, at: time))
        traces[slot]!.lastSeen = time
        touch(slot)
        if traces[slot]!.verdict == nil {
            watch(slot)
        } else {
            counters.lateSpans += 1
        }
        if let place = traces[slot]!.place(row.spanID, isServerHalf: row.isServerHalf) {
            counters.duplicates += 1
            guard row.wins(over: traces[slot]!.rows[place]) else { return .duplicate }
            counters.replaced += 1
            change(slot, place, row, &series, settings)
            return .duplicate
        }
        if traces[slot]!.rows.count >= settings.spansPerTrace {
            counters.droppedSpans += 1
            return .full
        }
        change(slot, nil, row, &series, settings)
        spanCount += 1
        while spanCount > settings.spansPerPartition, let oldest = queue.first, oldest != id {
            counters.evictedTraces += 1
            counters.evictedSpans += UInt64(trace(oldest)?.rows.count ?? 0)
            removeOldest()
        }
        return .added
    }

    /// Puts a row in; what its neighbours stood for before is taken back where it has changed (decision 19).
    private mutating func change(
        _ slot: Int, _ place: Int?, _ row: SpanRow, _ series: inout SeriesTable, _ settings: TraceSettings
    ) {
        let earlier = place.map { traces[slot]!.rows[$0] }
        var around = neighbourhood
        around.removeAll(keepingCapacity: true)
        // The scratch is borrowed: two owners would copy it at each span.
        neighbourhood = []
        traces[slot]!.listNeighbours(of: row, earlier, &around)
        if let earlier { Self.countOperation(earlier, isAdded: false, &series) }
        if let place { traces[slot]!.replace(place, with: row) } else { traces[slot]!.append(row) }
        Self.countOperation(row, isAdded: true, &series)
        if place == nil {
            let own = traces[slot]!.rows.count - 1
            count(row, traces[slot]!.links(of: own), isAdded: true, &series, settings)
        }
        for (neighbour, before) in around {
            let after = traces[slot]!.links(of: neighbour)
            let isSelf = neighbour == place
            if after == before && !isSelf { continue }
            let current = traces[slot]!.rows[neighbour]
            count(isSelf ? earlier ?? current : current, before, isAdded: false, &series, settings)
            count(current, after, isAdded: true, &series, settings)
        }
        neighbourhood = around
    }

    private static func countOperation(_ row: SpanRow, isAdded: Bool, _ series: inout SeriesTable) {
        let key = SeriesKey(
            scope: .operation, a: row.operation, b: UInt32(row.kind), status: row.spanStatus,
            window: SeriesKey.window(of: row.start))
        if isAdded { series.add(key, row.duration) } else { series.remove(key, row.duration) }
    }

    private mutating func count(
        _ row: SpanRow, _ links: LinkSet<UInt16>, isAdded: Bool, _ series: inout SeriesTable,
        _ settings: TraceSettings
    ) {
        let window = SeriesKey.window(of: row.start)
        for link in [links.first, links.second] {
            guard let link else { continue }
            let edge = admit(UInt32(link.parent) << 16 | UInt32(link.child), isAdded: isAdded, settings)
            let key = SeriesKey(
                scope: .edge, a: edge >> 16, b: edge & 0xFFFF, status: link.isError ? .error : .ok, window: window)
            if isAdded { series.add(key, row.duration) } else { series.remove(key, row.duration) }
        }
        if links.isUnpaired {
            let key = SeriesKey(
                scope: .unpaired, a: UInt32(row.service), b: UInt32(row.kind), status: .ok, window: window)
            if isAdded { series.add(key, row.duration) } else { series.remove(key, row.duration) }
        }
    }

    /// The series that a row of a trace is counted in, as they are counted when a row comes.
    func forEachSeries(of place: Int, in trace: TraceRow, _ body: (SeriesKey) -> Void) {
        let row = trace.rows[place]
        let window = SeriesKey.window(of: row.start)
        body(
            SeriesKey(
                scope: .operation, a: row.operation, b: UInt32(row.kind), status: row.spanStatus, window: window))
        let links = trace.links(of: place)
        for link in [links.first, links.second] {
            guard let link else { continue }
            let known = UInt32(link.parent) << 16 | UInt32(link.child)
            let edge = edges.contains(known) ? known : 0
            body(
                SeriesKey(
                    scope: .edge, a: edge >> 16, b: edge & 0xFFFF, status: link.isError ? .error : .ok, window: window))
        }
        if links.isUnpaired {
            body(
                SeriesKey(
                    scope: .unpaired, a: UInt32(row.service), b: UInt32(row.kind), status: .ok, window: window))
        }
    }

    /// The resident traces, the one that came last first.
    var newestFirst: ReversedCollection<Deque<TraceID>> { queue.reversed() }

    /// An edge as it is counted. What was admitted stays so, what was not never is: so it is taken back as it was added.
    private mutating func admit(_ edge: UInt32, isAdded: Bool, _ settings: TraceSettings) -> UInt32 {
        if edge == 0 || edges.contains(edge) { return edge }
        if edges.count < settings.edgesPerPartition {
            insert(edge: edge)
            return edge
        }
        if isAdded { counters.overflowedEdges += 1 }
        return 0
    }

    private mutating func insert(edge: UInt32) {
        guard edges.insert(edge).inserted else { return }
        sum = sum &+ LinearDigest.of(Digest(high: UInt64(number), low: 2), UInt64(edge))
    }

    // MARK: Traces

    private mutating func makeTrace(_ id: TraceID, at time: Timestamp) -> Int32 {
        let slot = insert(TraceRow(id: id, at: time))
        queue.append(id)
        return slot
    }

    private mutating func insert(_ row: TraceRow) -> Int32 {
        let slot = free.popLast() ?? Int32(traces.count)
        if Int(slot) == traces.count { traces.append(row) } else { traces[Int(slot)] = row }
        slotByID[row.id] = slot
        return slot
    }

    private mutating func removeOldest() {
        let id = queue.removeFirst()
        guard let slot = slotByID.removeValue(forKey: id), let row = traces[Int(slot)] else { return }
        sum = sum &- row.digest
        spanCount -= row.rows.count
        traces[Int(slot)] = nil
        free.append(slot)
    }

    /// Removes the traces that are older than the time to live (`prune_expired`).
    mutating func pruneExpired(at time: Timestamp, _ settings: TraceSettings) {
        while let oldest = queue.first, let row = trace(oldest), time - row.firstSeen > settings.timeToLive {
            counters.expiredTraces += 1
            removeOldest()
        }
    }

    /// Judges the traces for which nothing came for a while; the verdict stands (decision 20).
    mutating func settle(at time: Timestamp, _ settings: TraceSettings, _ judge: (TraceRow) -> TraceVerdict?) {
        var waiting: [TraceID] = []
        for id in unsettled {
            // What was removed meanwhile, or is listed twice since it came again, is passed over.
            guard let slot = slotByID[id].map({ Int($0) }), traces[slot]!.isUnsettled else { continue }
            if time - traces[slot]!.lastSeen < settings.settleAfter {
                waiting.append(id)
                continue
            }
            traces[slot]!.isUnsettled = false
            guard let verdict = judge(traces[slot]!) else { continue }
            traces[slot]!.verdict = verdict
            touch(slot)
        }
        unsettled = waiting
    }

    /// Lists a trace among those that are to be judged.
    private mutating func watch(_ slot: Int) {
        if traces[slot]!.isUnsettled { return }
        traces[slot]!.isUnsettled = true
        unsettled.append(traces[slot]!.id)
    }

    // MARK: Digest and checkpoint

    private mutating func touch(_ slot: Int) {
        if traces[slot]!.isDirty { return }
        traces[slot]!.isDirty = true
        dirty.append(Int32(slot))
    }

    mutating func digest() -> Digest {
        var writer = WireWriter()
        for slot in dirty {
            guard let row = traces[Int(slot)], row.isDirty else { continue }
            writer.removeAll()
            row.write(&writer)
            let digest = Digest.of(writer.bytes)
            sum = (sum &- row.digest) &+ digest
            traces[Int(slot)]!.digest = digest
            traces[Int(slot)]!.isDirty = false
        }
        dirty.removeAll(keepingCapacity: true)
        return sum
    }

    func write(_ writer: inout WireWriter) {
        for field in CollectorCounters.fields { writer.optionalField(1, counters[keyPath: field]) }
        for edge in edges.sorted() { writer.optionalField(2, UInt64(edge)) }
        for id in queue {
            guard let row = trace(id) else { continue }
            writer.message(3) { inner in row.write(&inner) }
            if row.isUnsettled { writer.field(4, true) }
        }
    }

    init?(_ nested: CheckpointReader, number: Int, names: NameTable) {
        self.number = number
        var reader = nested
        var counts: [UInt64] = []
        while let field = reader.next() {
            switch field.number {
            case 1: counts.append(field.value)
            case 2: insert(edge: UInt32(truncatingIfNeeded: field.value))
            case 3:
                guard let row = TraceRowReader.trace(reader.nested(field), names), slotByID[row.id] == nil else {
                    return nil
                }
                touch(Int(insert(row)))
                queue.append(row.id)
                spanCount += row.rows.count
            case 4:
                guard let slot = queue.last.flatMap({ slotByID[$0] }) else { return nil }
                watch(Int(slot))
            default: return nil
            }
        }
        guard reader.isComplete, counts.count == CollectorCounters.fields.count else { return nil }
        for (field, count) in zip(CollectorCounters.fields, counts) { counters[keyPath: field] = count }
    }
}

/// A row and the links that it stands for.
private typealias Neighbour = (place: Int, links: LinkSet<UInt16>)

extension TraceRow {
    /// The rows whose links may change when a row is put in, with their links as they are: the other half, the parents,
    /// the children.
    fileprivate func listNeighbours(of row: SpanRow, _ earlier: SpanRow?, _ found: inout [Neighbour]) {
        var halves: (UInt64, UInt64) = (0, 0)
        forEach(spanID: row.spanID) { halves = (rows[$0].parentID, halves.0) }
        let ids = (row.spanID, row.parentID, earlier?.parentID ?? 0, halves.0, halves.1)
        func isListed(_ id: UInt64) -> Bool { id == ids.0 || id == ids.1 || id == ids.2 || id == ids.3 || id == ids.4 }
        if index == nil {
            for place in rows.indices {
                let id = rows[place].spanID
                if isListed(id) || rows[place].parentID == row.spanID { found.append((place, links(of: place))) }
            }
            return
        }
        var seen: [UInt64] = [0]
        for id in [ids.0, ids.1, ids.2, ids.3, ids.4] where !seen.contains(id) {
            seen.append(id)
            forEach(spanID: id) { found.append(($0, links(of: $0))) }
        }
        forEach(parentID: row.spanID) { place in
            if !isListed(rows[place].spanID) { found.append((place, links(of: place))) }
            return true
        }
    }

    func links(of place: Int) -> LinkSet<UInt16> {
        let row = rows[place]
        let node = row.node
        return DependencyRule.links(of: node, parent: parent(of: place).map { rows[$0].node }) {
            if self.place(row.spanID, isServerHalf: true) != nil { return true }
            var hasRemote = false
            forEach(parentID: row.spanID) { child in
                hasRemote = DependencyRule.isRemote(rows[child].node, of: node) && parent(of: child) == place
                return !hasRemote
            }
            return hasRemote
        }
    }
}
