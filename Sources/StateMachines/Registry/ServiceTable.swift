// The services: their members in order of id, what last changed them, and how the eviction guard stands.

import EventModel

/// How the eviction guard of one service stands (decision 16).
struct GuardState: Sendable, Hashable {
    /// Members when the window began: the denominator.
    var membersAtStart = 0
    /// Evictions in this window.
    var evicted = 0
    /// The window in which protection began; nil: not protected.
    var protectedSince: Int64?
    /// The window in which the operator released the guard; it stays so through the next one.
    var releasedInWindow: Int64?

    /// Members and evictions that can be.
    static let counts = 0...Int(UInt32.max)
    /// Windows that can be: the shortest lasts 100 ms.
    static let windows = -(Int64(1) << 40)...(Int64(1) << 40)

    /// Whether a checkpoint's numbers are such as folding can have left there.
    var isPlausible: Bool {
        let windows = [protectedSince, releasedInWindow].compactMap(\.self)
        return GuardState.counts.contains(membersAtStart) && GuardState.counts.contains(evicted)
            && windows.allSatisfy(GuardState.windows.contains)
    }
}

/// One service.
struct ServiceRow: Sendable {
    let name: String
    /// Slots of its instances, by instance id.
    var members: [Int] = []
    /// The sequence that last changed what a resolver could see.
    var changedSequence = SequenceNumber.origin
    var eviction = GuardState()
    /// No member was seen earlier than this (a lower bound; expiry time).
    var earliestSeen = Nanoseconds.zero
    /// Members that a tick found stale.
    var staleCount = 0
    /// The record with which the guard last began or ceased to hold, which changes what stale members look like. Not digested.
    var guardChangedSequence = SequenceNumber.origin
    var digest = Digest.zero
    var isDirty = false

    init(name: String) { self.name = name }

    var isProtected: Bool { eviction.protectedSince != nil }

    func write(_ writer: inout WireWriter) {
        writer.field(1, name)
        writer.field(2, changedSequence)
        writer.field(3, eviction.membersAtStart)
        writer.field(4, eviction.evicted)
        writer.optionalField(5, eviction.protectedSince.map { UInt64(bitPattern: $0) })
        writer.optionalField(6, eviction.releasedInWindow.map { UInt64(bitPattern: $0) })
    }
}

/// The services by name.
struct ServiceTable: Sendable {
    /// Limits.md, Names.
    static let maximumCount = 1_000

    private(set) var rows: [ServiceRow] = []
    /// Keyed by bytes: two names that Unicode calls equal are two services, since NATS permissions tell them apart.
    private var indexByName: [[UInt8]: Int] = [:]

    func index(of name: String) -> Int? { indexByName[Array(name.utf8)] }

    subscript(index: Int) -> ServiceRow {
        _read { yield rows[index] }
        _modify { yield &rows[index] }
    }

    /// The indices in order of name.
    var indicesByName: [Int] {
        rows.indices.sorted { rows[$0].name.precedesInBytes(rows[$1].name) }
    }

    /// The row of a service, made if need be; nil when there are too many.
    mutating func makeIndex(of name: String) -> Int? {
        let key = Array(name.utf8)
        if let index = indexByName[key] { return index }
        let row = ServiceRow(name: name)
        if indexByName.count < Self.maximumCount {
            rows.append(row)
            indexByName[key] = rows.count - 1
            return rows.count - 1
        }
        return nil
    }

    /// The empty service that was changed longest ago: it makes room for a new one.
    var oldestEmpty: Int? {
        rows.indices.filter { rows[$0].members.isEmpty }
            .min { left, right in
                let (first, second) = (rows[left], rows[right])
                if first.changedSequence != second.changedSequence {
                    return first.changedSequence < second.changedSequence
                }
                return first.name.precedesInBytes(second.name)
            }
    }

    /// Gives the row of an empty service to another name.
    mutating func replace(_ index: Int, with name: String) {
        precondition(rows[index].members.isEmpty, "only an empty service makes room")
        indexByName[Array(rows[index].name.utf8)] = nil
        rows[index] = ServiceRow(name: name)
        indexByName[Array(name.utf8)] = index
    }
}
