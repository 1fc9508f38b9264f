// The rows of the mirror machine: sources with their allow-lists, mirrors with what waits for their shadows.

import DequeModule
package import EventModel
import MeshRules

/// A copy that is owed to a shadow, or that the shadow answered and nobody has compared yet.
struct PendingDirective: Sendable, Hashable {
    enum Phase: UInt32, Sendable { case waiting = 1, answered = 2 }

    let causeSequence: SequenceNumber
    let causeIndex: UInt32
    /// Expiry time of the capture.
    let since: Nanoseconds
    let bytes: UInt64
    var phase = Phase.waiting
    /// A node was lost that may have sent it: it is sent at most once more, and marked so.
    var isRedispatched = false

    func precedes(_ sequence: SequenceNumber, _ index: UInt32) -> Bool {
        (causeSequence, causeIndex) < (sequence, index)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, causeSequence)
        writer.field(2, causeIndex)
        writer.field(3, since)
        writer.field(4, bytes)
        writer.field(5, phase.rawValue)
        writer.field(6, isRedispatched)
    }
}

/// How often one kind of difference was seen at one place.
struct PathCount: Sendable, Hashable {
    var path: DifferingPath
    /// Between production and the shadow.
    var raw: UInt64 = 0
    /// Between two answers of production's version.
    var noise: UInt64 = 0
    /// The last comparison with the shadow in which it was seen; contents stand in the log there.
    var latest = EventPosition(sequence: .origin)
}

/// The differences of one mirror by place, bounded.
struct PathCounts: Sendable, Hashable {
    /// Places of one mirror; the rest is counted together.
    static let capacity = 256

    /// In order of part, path and kind.
    private(set) var rows: [PathCount] = []
    private(set) var otherRaw: UInt64 = 0
    private(set) var otherNoise: UInt64 = 0

    /// Counts each place of one comparison once.
    mutating func count(_ paths: [DifferingPath], isNoise: Bool, _ position: EventPosition) {
        var previous: [DifferingPath] = []
        for path in paths where !previous.contains(where: { $0.isSame(as: path) }) {
            previous.append(path)
            count(path, isNoise ? 0 : 1, isNoise ? 1 : 0, position)
        }
    }

    private mutating func count(
        _ path: DifferingPath, _ raw: UInt64, _ noise: UInt64, _ position: EventPosition
    ) {
        var (low, high) = (0, rows.count)
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].path.precedes(path) { low = middle + 1 } else { high = middle }
        }
        if low == rows.count || !rows[low].path.isSame(as: path) {
            guard rows.count < Self.capacity else {
                otherRaw &+= raw
                otherNoise &+= noise
                return
            }
            rows.insert(PathCount(path: path), at: low)
        }
        rows[low].raw &+= raw
        rows[low].noise &+= noise
        if raw > 0 { rows[low].latest = position }
    }

    /// Takes a row of a checkpoint, which has them in order.
    mutating func restore(_ row: PathCount) -> Bool {
        if let last = rows.last, !last.path.precedes(row.path) { return false }
        rows.append(row)
        return rows.count <= Self.capacity
    }

    mutating func restore(otherRaw: UInt64, otherNoise: UInt64) {
        self.otherRaw = otherRaw
        self.otherNoise = otherNoise
    }
}

extension DifferingPath {
    /// The same bytes; `==` would take for equal what Unicode does.
    func isSame(as other: DifferingPath) -> Bool {
        part == other.part && kind == other.kind && pattern.utf8.elementsEqual(other.pattern.utf8)
    }
}

/// What a mirror has done.
package struct MirrorCounts: Sendable, Hashable {
    /// Copies that became directives.
    package var mirrored: UInt64 = 0
    /// Copies that the shadow answered.
    package var succeeded: UInt64 = 0
    /// Sent a second time.
    package var redispatched: UInt64 = 0
    package var equal: UInt64 = 0
    package var different: UInt64 = 0
    package var undecided: UInt64 = 0
    /// Comparisons between two answers of production's version.
    package var baselines: UInt64 = 0
    /// Sum over the answered, saturating.
    package var latencyTotal = Nanoseconds.zero
    package var latencyMaximum = Nanoseconds.zero

    package init() {}
}

/// One mirror.
struct MirrorRow: Sendable {
    var configuration: MirrorConfiguration
    var filter: MirrorFilter
    var isAllowed = true
    /// In order of capture.
    var pending: Deque<PendingDirective> = []
    var pendingBytes: UInt64 = 0
    var counts = MirrorCounts()
    var ledger = MirrorLedger()
    var paths = PathCounts()
    var digest = Digest.zero
    var isDirty = false

    init(_ configuration: MirrorConfiguration) {
        self.configuration = configuration
        filter = MirrorFilter(configuration)
    }

    var id: String { configuration.mirrorID }

    /// Where a directive is; nil if it does not wait here.
    func index(of sequence: SequenceNumber, _ index: UInt32) -> Int? {
        var (low, high) = (0, pending.count)
        while low < high {
            let middle = (low + high) / 2
            if pending[middle].precedes(sequence, index) { low = middle + 1 } else { high = middle }
        }
        guard low < pending.count, pending[low].causeSequence == sequence, pending[low].causeIndex == index else {
            return nil
        }
        return low
    }
}

/// One source service.
struct SourceRow: Sendable {
    /// Requests whose capture is remembered, so that a repeat is refused.
    static let recentCapacity = 4_096

    let name: String
    var allowed = ShadowAllowList.nothing
    /// Indices of its mirrors, by id.
    var mirrors: [Int] = []
    private(set) var recent: Deque<Digest> = []
    private var recentSet: Set<Digest> = []
    var digest = Digest.zero
    var isDirty = false

    init(name: String) { self.name = name }

    /// Remembers a request; false where it was captured before. Tells what was forgotten for it.
    mutating func remember(_ request: Digest) -> (isNew: Bool, forgotten: Digest?) {
        guard recentSet.insert(request).inserted else { return (false, nil) }
        recent.append(request)
        guard recent.count > Self.recentCapacity else { return (true, nil) }
        let oldest = recent.removeFirst()
        recentSet.remove(oldest)
        return (true, oldest)
    }
}
