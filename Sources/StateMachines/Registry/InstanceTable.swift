// Where the registry keeps its instances: rows in chunks that forks share until they are written to, and an index by
// the bytes of the id, so that a heartbeat is applied without building a string.

import EventModel

/// How many connections one reporter counts to an instance.
struct ReportedLoad: Sendable, Hashable {
    /// Empty: the instance itself.
    var reporter: String
    var activeConnections: UInt32
}

/// One instance with everything that is folded about it.
struct InstanceRow: Sendable {
    var instance: ServiceInstance
    /// Which row of the service table.
    var service: Int
    /// Expiry time of the last sign of life.
    var lastSeen: Nanoseconds
    /// Set by a tick when the sign of life is too old, cleared by a heartbeat.
    var isStale = false
    var status: HealthStatus?
    /// By reporter.
    var loads: [ReportedLoad] = []
    /// What this row contributes to the registry's digest, as of the last time it was asked for.
    var digest = Digest.zero
    var isDirty = false
    /// The record that last changed what a resolver sees of it: all but heartbeats, and the figures of checks. Not part of the
    /// state that is digested; origin: before `ServiceRegistry.changesKnownAfter`.
    var changedSequence = SequenceNumber.origin

    /// Sum over the reporters, without one of them; saturating, so that nobody looks idle by reporting too much.
    func activeConnections(without reporter: String? = nil) -> UInt32 {
        var sum: UInt64 = 0
        for load in loads {
            if let reporter, load.reporter.equalsInBytes(reporter) { continue }
            sum += UInt64(load.activeConnections)
        }
        return UInt32(clamping: sum)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, instance.instanceID)
        writer.field(2, instance.serviceName)
        writer.field(3, instance.endpoint)
        writer.field(4, instance.region)
        writer.field(5, instance.zone)
        writer.field(6, instance.weight)
        for entry in instance.metadata {
            writer.message(7) { inner in
                inner.field(1, entry.key)
                inner.field(2, entry.value)
            }
        }
        writer.field(8, instance.registeredAt)
        writer.field(9, instance.lastHeartbeat)
        writer.field(10, instance.incarnation)
        writer.field(11, lastSeen)
        writer.field(12, isStale)
        if let status {
            writer.message(13) { inner in
                inner.field(1, status.healthy)
                inner.field(2, status.latency)
                inner.field(3, status.consecutiveFailures)
                inner.field(4, status.lastCheck)
                inner.field(5, status.reason)
            }
        }
        for load in loads {
            writer.message(14) { inner in
                inner.field(1, load.reporter)
                inner.field(2, load.activeConnections)
            }
        }
    }
}

/// The rows, addressed by a slot number that is reused after a removal. Slots never reach an answer or a digest.
struct InstanceTable: Sendable {
    private static let chunkBits = 7
    private static let chunkMask = (1 << chunkBits) - 1

    private var chunks: [[InstanceRow?]] = []
    private var free: [Int] = []
    private(set) var count = 0
    /// Open addressing: slot + 1, 0 is empty; the upper half of the hash beside it.
    private var index: [UInt64] = Array(repeating: 0, count: 64)
    private var used = 0
    private let key: UInt64

    /// `key` seeds the index, so that nobody can prepare collisions; it has no influence on any answer.
    init(key: UInt64) { self.key = key }

    /// One past the largest slot in use.
    var slotLimit: Int { chunks.count << Self.chunkBits }

    subscript(slot: Int) -> InstanceRow? {
        @inline(__always) get { chunks[slot >> Self.chunkBits][slot & Self.chunkMask] }
    }

    /// When a row gave its last sign of life, and whether a tick found that too old; without copying the row, since a
    /// tick asks it of every member of a service.
    @inline(__always)
    func sign(of slot: Int) -> (lastSeen: Nanoseconds, isStale: Bool) {
        let chunk = slot >> Self.chunkBits
        let row = slot & Self.chunkMask
        return (chunks[chunk][row]!.lastSeen, chunks[chunk][row]!.isStale)
    }

    /// The record that last changed a row, and whether a tick found it stale.
    @inline(__always)
    func change(of slot: Int) -> (sequence: SequenceNumber, isStale: Bool) {
        let chunk = slot >> Self.chunkBits
        let row = slot & Self.chunkMask
        return (chunks[chunk][row]!.changedSequence, chunks[chunk][row]!.isStale)
    }

    /// What filters of queries look at, without copying the row.
    @inline(__always)
    func traits(of slot: Int) -> (isReportedHealthy: Bool, isStale: Bool, weight: UInt32) {
        let chunk = slot >> Self.chunkBits
        let row = slot & Self.chunkMask
        return (
            chunks[chunk][row]!.status?.healthy ?? true, chunks[chunk][row]!.isStale,
            chunks[chunk][row]!.instance.weight
        )
    }

    /// The id of an instance.
    @inline(__always)
    func id(of slot: Int) -> String { chunks[slot >> Self.chunkBits][slot & Self.chunkMask]!.instance.instanceID }

    /// Changes a row in place.
    @inline(__always)
    mutating func update<Result>(_ slot: Int, _ body: (inout InstanceRow) -> Result) -> Result {
        body(&chunks[slot >> Self.chunkBits][slot & Self.chunkMask]!)
    }

    // MARK: Look-up

    func slot(of id: String) -> Int? {
        var id = id
        id.makeContiguousUTF8()
        let bytes = id.utf8.span
        return slot(of: bytes, range: 0..<bytes.count)
    }

    func slot(of bytes: borrowing Span<UInt8>, range: Range<Int>) -> Int? {
        let hash = TableHash.of(bytes, range: range, key: key)
        let mask = index.count - 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while true {
            let entry = index[position]
            if entry == 0 { return nil }
            if entry >> 32 == hash >> 32 && entry & 0xFFFF_FFFF != Self.tombstone {
                let slot = Int(entry & 0xFFFF_FFFF) - 1
                if holds(slot, bytes, range) { return slot }
            }
            position = (position + 1) & mask
        }
    }

    @inline(__always)
    private func holds(_ slot: Int, _ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard let id = chunks[slot >> Self.chunkBits][slot & Self.chunkMask]?.instance.instanceID.utf8 else {
            return false
        }
        let own = id.span
        guard own.count == range.count else { return false }
        for offset in 0..<own.count where own[offset] != bytes[range.lowerBound + offset] { return false }
        return true
    }

    // MARK: Change

    mutating func insert(_ row: InstanceRow) -> Int {
        var row = row
        row.instance.instanceID.makeContiguousUTF8()
        let slot = takeSlot()
        let id = row.instance.instanceID
        chunks[slot >> Self.chunkBits][slot & Self.chunkMask] = row
        count += 1
        if (used + 1) * 4 > index.count * 3 { rebuildIndex() } else { addToIndex(slot, id) }
        return slot
    }

    mutating func remove(_ slot: Int) {
        guard let id = self[slot]?.instance.instanceID else { return }
        removeFromIndex(slot, id)
        chunks[slot >> Self.chunkBits][slot & Self.chunkMask] = nil
        free.append(slot)
        count -= 1
    }

    private mutating func takeSlot() -> Int {
        if let slot = free.popLast() { return slot }
        let first = slotLimit
        chunks.append(Array(repeating: nil, count: 1 << Self.chunkBits))
        for slot in stride(from: first + Self.chunkMask, to: first, by: -1) { free.append(slot) }
        return first
    }

    /// Marks an entry whose row went; probing goes on behind it.
    private static let tombstone: UInt64 = 0xFFFF_FFFF

    private func hash(_ id: String) -> UInt64 {
        let bytes = id.utf8.span
        return TableHash.of(bytes, range: 0..<bytes.count, key: key)
    }

    private mutating func addToIndex(_ slot: Int, _ id: String) {
        let hash = hash(id)
        let mask = index.count - 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while index[position] != 0 { position = (position + 1) & mask }
        index[position] = (hash & 0xFFFF_FFFF_0000_0000) | UInt64(slot + 1)
        used += 1
    }

    private mutating func removeFromIndex(_ slot: Int, _ id: String) {
        let hash = hash(id)
        let mask = index.count - 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while index[position] & 0xFFFF_FFFF != UInt64(slot + 1) { position = (position + 1) & mask }
        index[position] = (hash & 0xFFFF_FFFF_0000_0000) | Self.tombstone
    }

    private mutating func rebuildIndex() {
        var capacity = 64
        while capacity < (count + 1) * 2 { capacity *= 2 }
        index = Array(repeating: 0, count: capacity)
        used = 0
        for slot in 0..<slotLimit {
            if let id = self[slot]?.instance.instanceID { addToIndex(slot, id) }
        }
    }
}
