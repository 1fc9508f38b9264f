// Counts and durations by operation, by call between services, and in windows of five minutes.

package import EventModel

/// What a series counts.
package enum SeriesScope: UInt8, Sendable {
    /// a: operation, b: kind.
    case operation = 1
    /// a: calling node, b: called node.
    case edge = 2
    /// a: node, b: kind; one side of a call whose other side is not known.
    case unpaired = 3
}

/// One series in one window.
package struct SeriesKey: Sendable, Hashable, Comparable {
    package var scope: SeriesScope
    package var a: UInt32
    package var b: UInt32
    package var status: SpanStatus
    /// Five minutes each, counted from the epoch, by the span's start.
    package var window: Int64

    /// Length of a window.
    package static let windowLength = Nanoseconds.seconds(300)

    /// Two words instead of five: every span is counted under several keys.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(UInt64(a) << 32 | UInt64(b))
        hasher.combine(UInt64(bitPattern: window) << 8 | UInt64(scope.rawValue) << 4 | UInt64(status.rawValue))
    }

    static func window(of start: Int64) -> Int64 { start / windowLength.rawValue }

    package static func < (left: Self, right: Self) -> Bool {
        (left.window, left.scope.rawValue, left.a, left.b, left.status.rawValue)
            < (right.window, right.scope.rawValue, right.a, right.b, right.status.rawValue)
    }
}

/// The series of some partitions.
///
/// The digest is linear in the counts, so that the parts of a collector add up to the same sum however it is split.
package struct SeriesTable: Sendable {
    private struct Series: Sendable {
        var histogram = LatencyHistogram()
        var digest = Digest.zero
        var isDirty = false
    }

    private var series: [SeriesKey: Series] = [:]
    private var dirty: [SeriesKey] = []
    private var sum = Digest.zero
    /// Windows before this one are gone.
    private(set) var horizon = Int64.min

    var sortedKeys: [SeriesKey] { series.keys.sorted() }
    func histogram(_ key: SeriesKey) -> LatencyHistogram? { series[key]?.histogram }

    mutating func add(_ key: SeriesKey, _ duration: Int64) { change(key) { $0.add(duration) } }
    mutating func remove(_ key: SeriesKey, _ duration: Int64) { change(key) { $0.remove(duration) } }

    private mutating func change(_ key: SeriesKey, _ body: (inout LatencyHistogram) -> Void) {
        if key.window < horizon { return }
        let isNew = { (entry: inout Series) in
            body(&entry.histogram)
            defer { entry.isDirty = true }
            return !entry.isDirty
        }(&series[key, default: Series()])
        if isNew { dirty.append(key) }
    }

    /// Forgets the windows before this one.
    mutating func prune(before window: Int64) {
        if window <= horizon { return }
        horizon = window
        for (key, entry) in series where key.window < window {
            sum = sum &- entry.digest
            series[key] = nil
        }
    }

    mutating func digest() -> Digest {
        for key in dirty {
            guard let entry = series[key] else { continue }
            let digest = Self.digest(key, entry.histogram)
            sum = (sum &- entry.digest) &+ digest
            if entry.histogram.isEmpty {
                series[key] = nil
            } else {
                series[key]?.digest = digest
                series[key]?.isDirty = false
            }
        }
        dirty.removeAll(keepingCapacity: true)
        return sum
    }

    private static func digest(_ key: SeriesKey, _ histogram: LatencyHistogram) -> Digest {
        var writer = WireWriter()
        write(key, &writer)
        let base = Digest.of(writer.bytes)
        return zip(histogram.bins, histogram.counts).reduce(.zero) { sum, bin in
            sum &+ LinearDigest.times(LinearDigest.of(base, UInt64(bin.0)), Int64(bin.1))
        }
    }

    /// Forgets what was counted, not the horizon.
    mutating func removeAll() {
        series = [:]
        dirty = []
        sum = .zero
    }

    /// Adds what another part counted; both have the same horizon.
    mutating func merge(_ other: SeriesTable) {
        for key in other.sortedKeys {
            guard let histogram = other.histogram(key) else { continue }
            change(key) { $0.merge(histogram) }
        }
    }

    // MARK: Checkpoint

    private static func write(_ key: SeriesKey, _ writer: inout WireWriter) {
        writer.field(1, UInt32(key.scope.rawValue))
        writer.field(2, key.a)
        writer.field(3, key.b)
        writer.field(4, key.status.rawValue)
        writer.field(5, key.window)
    }

    func write(_ writer: inout WireWriter) {
        writer.field(1, horizon)
        for key in sortedKeys {
            guard let histogram = histogram(key), !histogram.isEmpty else { continue }
            writer.message(2) { inner in
                Self.write(key, &inner)
                inner.packed(6, histogram.bins.map { UInt32($0) })
                inner.packed(7, histogram.counts.map { UInt32(bitPattern: $0) })
            }
        }
    }

    /// Nil where the numbers name what the table of names does not have.
    init?(_ nested: CheckpointReader, names: NameTable) {
        var reader = nested
        horizon = 0
        while let field = reader.next() {
            switch field.number {
            case 1: horizon = field.signed
            case 2: guard restore(reader.nested(field), names) else { return nil }
            default: return nil
            }
        }
        guard reader.isComplete else { return nil }
    }

    init() {}

    private mutating func restore(_ nested: CheckpointReader, _ names: NameTable) -> Bool {
        var reader = nested
        var numbers = [UInt64](repeating: 0, count: 6)
        var (bins, counts): ([UInt32], [UInt32]) = ([], [])
        while let field = reader.next() {
            switch field.number {
            case 1...5: numbers[field.number] = field.value
            case 6: bins = reader.packed(field)
            case 7: counts = reader.packed(field)
            default: return false
            }
        }
        guard reader.isComplete, let scope = SeriesScope(rawValue: UInt8(truncatingIfNeeded: numbers[1])),
            let status = SpanStatus(rawValue: UInt32(truncatingIfNeeded: numbers[4])),
            let histogram = LatencyHistogram(bins: bins, counts: counts)
        else { return false }
        let key = SeriesKey(
            scope: scope, a: UInt32(truncatingIfNeeded: numbers[2]), b: UInt32(truncatingIfNeeded: numbers[3]),
            status: status, window: Int64(bitPattern: numbers[5]))
        guard Self.isKnown(key, names), series[key] == nil else { return false }
        series[key] = Series(histogram: histogram, isDirty: true)
        dirty.append(key)
        return true
    }

    private static func isKnown(_ key: SeriesKey, _ names: NameTable) -> Bool {
        switch key.scope {
        case .operation: Int(key.a) < names.operations.count && SpanKind(rawValue: key.b) != nil
        case .edge: Int(key.a) < names.nodes.count && Int(key.b) < names.nodes.count
        case .unpaired: Int(key.a) < names.nodes.count && SpanKind(rawValue: key.b) != nil
        }
    }
}

/// Digests that are linear in a count: parts add up to the whole.
enum LinearDigest {
    /// A digest of something and a number within it.
    static func of(_ base: Digest, _ number: UInt64) -> Digest {
        Digest(high: mixed(base.high &+ number &* 0x9E37_79B9_7F4A_7C15), low: mixed(base.low ^ mixed(number &+ 1)))
    }

    /// The sum of as many; of fewer than none what takes them away.
    static func times(_ digest: Digest, _ count: Int64) -> Digest {
        let (carry, low) = digest.low.multipliedFullWidth(by: count.magnitude)
        let sum = Digest(high: digest.high &* count.magnitude &+ carry, low: low)
        return count < 0 ? .zero &- sum : sum
    }

    /// The finalizer of SplitMix64 (S. Vigna).
    private static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension CheckpointReader {
    /// Numbers, packed as proto3 packs them.
    func packed(_ field: WireField) -> [UInt32] {
        var result: [UInt32] = []
        var (value, shift): (UInt64, UInt64) = (0, 0)
        for byte in bytes(field) {
            value |= UInt64(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 {
                result.append(UInt32(truncatingIfNeeded: value))
                (value, shift) = (0, 0)
            } else if shift > 63 {
                return []
            }
        }
        return result
    }
}
