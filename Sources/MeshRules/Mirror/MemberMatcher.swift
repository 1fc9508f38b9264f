// Which members and which elements of two containers belong together when their order says nothing.

import EventModel

/// Pairs the members of two objects by name.
enum MemberMatcher {
    /// The pairs: members that are in the first in its order, then those that only the second has.
    static func match(
        _ left: JSONTape, _ firstLeft: Int, _ leftCount: Int, _ right: JSONTape, _ firstRight: Int, _ rightCount: Int
    ) -> [(one: UInt32?, other: UInt32?)] {
        let mine = collect(left, firstLeft, leftCount)
        let theirs = collect(right, firstRight, rightCount)
        var found: [(one: UInt32?, other: UInt32?)] = []
        var (index, twin) = (0, 0)
        while index < mine.count || twin < theirs.count {
            let isMineFirst =
                twin == theirs.count
                || index < mine.count && left.nodePrecedes(Int(mine[index]), Int(theirs[twin]), in: right)
            if isMineFirst {
                found.append((mine[index], nil))
                index += 1
            } else if index == mine.count || right.nodePrecedes(Int(theirs[twin]), Int(mine[index]), in: left) {
                found.append((nil, theirs[twin]))
                twin += 1
            } else {
                found.append((mine[index], theirs[twin]))
                (index, twin) = (index + 1, twin + 1)
            }
        }
        return found.sorted { ($0.one ?? .max, $0.other ?? .max) < ($1.one ?? .max, $1.other ?? .max) }
    }

    private static func collect(_ tape: JSONTape, _ first: Int, _ count: Int) -> [UInt32] {
        var result: [UInt32] = []
        var child = first
        for _ in 0..<count {
            result.append(UInt32(child))
            child = Int(tape.nodes[child].next)
        }
        return result.sorted { tape.nodePrecedes(Int($0), Int($1), in: tape) }
    }
}

/// One element of an array whose order does not matter, by the digest of what it says.
struct ElementDigests {
    let digest: Digest
    let node: UInt32
    let index: UInt32

    func precedes(_ other: ElementDigests) -> Bool {
        (digest.high, digest.low) < (other.digest.high, other.digest.low)
    }

    /// The elements of an array in the order of their digests. Equal digests are taken for equal elements.
    static func sorted(
        _ tape: JSONTape, _ array: Int, _ rules: ComparisonRules, _ depth: Int, _ ignored: UInt64, _ unordered: UInt64
    ) -> [ElementDigests] {
        var digests = SubtreeDigests(tape, array, rules)
        digests.run(depth, ignored, unordered)
        var result: [ElementDigests] = []
        var child = array + 1
        for index in 0..<tape.nodes[array].childCount {
            if let digest = digests[child] {
                result.append(ElementDigests(digest: digest, node: UInt32(child), index: index))
            }
            child = Int(tape.nodes[child].next)
        }
        return result.sorted { $0.digest == $1.digest ? $0.index < $1.index : $0.precedes($1) }
    }
}

/// The digests of all values inside one array: equal for values that the rules take for equal.
private struct SubtreeDigests {
    private struct Place {
        var parent: Int
        var ordinal: Int
        var depth: Int
        var ignored: UInt64
        var unordered: UInt64
        var isUnordered: Bool
        var isIgnored: Bool
    }

    private let tape: JSONTape
    private let base: Int
    private let rules: ComparisonRules
    private var places: [Place] = []
    private var sums: [Digest] = []

    init(_ tape: JSONTape, _ array: Int, _ rules: ComparisonRules) {
        self.tape = tape
        base = array
        self.rules = rules
    }

    /// The digest of a value; nil where it is passed over.
    subscript(node: Int) -> Digest? { places[node - base].isIgnored ? nil : sums[node - base] }

    /// Down: what the rules say of each place. Up: each value's digest is added to its container's.
    mutating func run(_ depth: Int, _ ignored: UInt64, _ unordered: UInt64) {
        let end = Int(tape.nodes[base].next)
        places.append(
            Place(
                parent: -1, ordinal: 0, depth: depth, ignored: ignored, unordered: unordered, isUnordered: true,
                isIgnored: false))
        var open = [(node: base, ordinal: 0)]
        for node in base + 1..<end {
            while node >= Int(tape.nodes[open[open.count - 1].node].next) { open.removeLast() }
            let (parent, ordinal) = open[open.count - 1]
            open[open.count - 1].ordinal += 1
            places.append(place(of: node, in: parent, ordinal))
            if tape.nodes[node].kind.isContainer { open.append((node, 0)) }
        }
        sums = Array(repeating: .zero, count: end - base)
        var writer = WireWriter(capacity: 64)
        for node in stride(from: end - 1, to: base, by: -1) where !places[node - base].isIgnored {
            sums[node - base] = digest(of: node, &writer)
            add(node, &writer)
        }
    }

    private func place(of node: Int, in parent: Int, _ ordinal: Int) -> Place {
        let above = places[parent - base]
        var place = Place(
            parent: parent, ordinal: ordinal, depth: above.depth + 1, ignored: 0, unordered: 0, isUnordered: false,
            isIgnored: above.isIgnored)
        if place.isIgnored { return place }
        let (ignored, unordered) = positions(of: tape.nodes[node], above, tape.nodes[parent].kind == .object, ordinal)
        place.isIgnored =
            ignored.isHit
            || tape.nodes[parent].kind == .object && rules.ignoredNames.contains(tape.nodes[node], in: tape)
        place.ignored = ignored.alive
        place.unordered = unordered.alive
        place.isUnordered = unordered.isHit || rules.ignoresAllOrder
        return place
    }

    private func positions(
        of node: JSONNode, _ above: Place, _ isMember: Bool, _ ordinal: Int
    ) -> (PathPatterns.Position, PathPatterns.Position) {
        let (ignored, unordered) = (rules.ignoredPlaces, rules.unorderedPlaces)
        guard isMember else {
            return (
                ignored.step(above.ignored, depth: above.depth, index: ordinal),
                unordered.step(above.unordered, depth: above.depth, index: ordinal)
            )
        }
        return (
            ignored.step(above.ignored, depth: above.depth, hash: node.keyHash, name: node.key, in: tape),
            unordered.step(above.unordered, depth: above.depth, hash: node.keyHash, name: node.key, in: tape)
        )
    }

    /// A value by its kind and content; a container by the sum over what is in it.
    private func digest(of node: Int, _ writer: inout WireWriter) -> Digest {
        let value = tape.nodes[node]
        writer.removeAll()
        writer.varint(UInt64(value.kind.rawValue) + 1)
        switch value.kind {
        case .number: writer.field(1, JSONDecimal.canonical(tape.bytes(value.text)))
        case .string, .boolean, .null: writer.field(1, tape.bytes(value.text))
        case .array, .object:
            writer.field(2, sums[node - base].high)
            writer.field(3, sums[node - base].low)
        }
        return .of(writer.bytes)
    }

    private mutating func add(_ node: Int, _ writer: inout WireWriter) {
        let place = places[node - base]
        let parent = place.parent - base
        writer.removeAll()
        if tape.nodes[place.parent].kind == .object {
            writer.field(1, tape.bytes(tape.nodes[node].key))
        } else if !places[parent].isUnordered {
            writer.field(2, place.ordinal)
        }
        writer.field(3, sums[node - base].high)
        writer.field(4, sums[node - base].low)
        sums[parent] = sums[parent] &+ .of(writer.bytes)
    }
}
