// The structural comparison of two JSON texts: both tapes are walked side by side, without recursion.

import EventModel

/// Finds what differs between two tapes.
struct JSONComparison {
    /// Two values that stand at the same place; `absent` where one side has none.
    private struct Pair {
        static let absent = UInt32.max
        var left: UInt32
        var right: UInt32
        /// Which element, in an array.
        var index: UInt32
    }

    /// Two containers that are being walked.
    private struct Frame {
        var isObject: Bool
        /// The pairs of this frame: from `first` on, the one being looked at is `current`.
        var first: Int
        var current: Int
        var ignored: UInt64
        var unordered: UInt64
    }

    /// Objects of so many members are matched without sorting; a bit of a word each.
    private static let fewMembers = 16

    /// What was found.
    private(set) var differences: [ResponseDifference] = []
    /// All of them, also those beyond the bound.
    private(set) var count = 0
    private let left: JSONTape
    private let right: JSONTape
    private let rules: ComparisonRules
    private var frames: [Frame] = []
    private var pairs: [Pair] = []

    init(_ left: JSONTape, _ right: JSONTape, _ rules: ComparisonRules) {
        self.left = left
        self.right = right
        self.rules = rules
    }

    /// Walks both documents.
    ///
    /// - Complexity: linear where members stand in the same order, else n log n in the members of one object.
    mutating func run() {
        let ignored = rules.ignoredPlaces.start
        if ignored.isHit { return }
        let unordered = rules.unorderedPlaces.start
        look(at: Pair(left: 0, right: 0, index: 0), ignored.alive, unordered)
        while let frame = frames.last {
            if frame.current == pairs.count {
                pairs.removeSubrange(frame.first...)
                frames.removeLast()
                if !frames.isEmpty { frames[frames.count - 1].current += 1 }
                continue
            }
            let depth = frames.count
            step(frame, pairs[frame.current])
            if frames.count == depth { frames[depth - 1].current += 1 }
        }
    }

    private mutating func step(_ frame: Frame, _ pair: Pair) {
        let depth = frames.count - 1
        if frame.isObject {
            let isLeft = pair.left != Pair.absent
            let node = isLeft ? left.nodes[Int(pair.left)] : right.nodes[Int(pair.right)]
            let places = isLeft ? member(node, frame, depth, in: left) : member(node, frame, depth, in: right)
            if let places { look(at: pair, places.ignored, places.unordered) }
        } else {
            let ignored = rules.ignoredPlaces.step(frame.ignored, depth: depth, index: Int(pair.index))
            if ignored.isHit { return }
            let unordered = rules.unorderedPlaces.step(frame.unordered, depth: depth, index: Int(pair.index))
            look(at: pair, ignored.alive, unordered)
        }
    }

    /// The patterns behind a member; nil where it is passed over.
    @inline(__always)
    private func member(
        _ node: JSONNode, _ frame: Frame, _ depth: Int, in tape: borrowing JSONTape
    ) -> (ignored: UInt64, unordered: PathPatterns.Position)? {
        if rules.ignoredNames.contains(node, in: tape) { return nil }
        let ignored = rules.ignoredPlaces.step(
            frame.ignored, depth: depth, hash: node.keyHash, name: node.key, in: tape)
        if ignored.isHit { return nil }
        let unordered = rules.unorderedPlaces.step(
            frame.unordered, depth: depth, hash: node.keyHash, name: node.key, in: tape)
        return (ignored.alive, unordered)
    }

    private mutating func look(at pair: Pair, _ ignored: UInt64, _ unordered: PathPatterns.Position) {
        if pair.left == Pair.absent { return report(.unexpected, pair) }
        if pair.right == Pair.absent { return report(.missing, pair) }
        let (one, other) = (left.nodes[Int(pair.left)], right.nodes[Int(pair.right)])
        guard one.kind == other.kind else { return report(.type, pair) }
        switch one.kind {
        case .null: break
        case .boolean: if one.text.count != other.text.count { report(.value, pair) }
        case .string: if !JSONTape.areEqual(one.text, in: left, other.text, in: right) { report(.value, pair) }
        case .number:
            if JSONTape.areEqual(one.text, in: left, other.text, in: right) { return }
            if !JSONDecimal.areEqual(left.bytes(one.text), right.bytes(other.text)) { report(.value, pair) }
        case .object:
            enter(isObject: true, ignored, unordered.alive)
            matchMembers(Int(pair.left), Int(pair.right))
        case .array:
            let isUnordered = unordered.isHit || rules.ignoresAllOrder
            enter(isObject: false, ignored, unordered.alive)
            guard isUnordered, max(one.childCount, other.childCount) <= rules.bounds.unorderedElements else {
                return matchElements(Int(pair.left), Int(pair.right))
            }
            matchUnordered(Int(pair.left), Int(pair.right), frames[frames.count - 1])
        }
    }

    private mutating func enter(isObject: Bool, _ ignored: UInt64, _ unordered: UInt64) {
        frames.append(
            Frame(
                isObject: isObject, first: pairs.count, current: pairs.count, ignored: ignored, unordered: unordered))
    }

    // MARK: Which children belong together

    private mutating func matchMembers(_ one: Int, _ other: Int) {
        var (child, twin) = (one + 1, other + 1)
        var (rest, twinRest) = (Int(left.nodes[one].childCount), Int(right.nodes[other].childCount))
        while rest > 0, twinRest > 0 {
            let (node, twinNode) = (left.nodes[child], right.nodes[twin])
            guard node.keyHash == twinNode.keyHash, JSONTape.areEqual(node.key, in: left, twinNode.key, in: right)
            else { break }
            pairs.append(Pair(left: UInt32(child), right: UInt32(twin), index: 0))
            (child, twin) = (Int(node.next), Int(twinNode.next))
            (rest, twinRest) = (rest - 1, twinRest - 1)
        }
        if rest == 0 && twinRest == 0 { return }
        if max(rest, twinRest) <= Self.fewMembers { return matchFew(child, rest, twin, twinRest) }
        for (one, other) in MemberMatcher.match(left, child, rest, right, twin, twinRest) {
            pairs.append(Pair(left: one ?? Pair.absent, right: other ?? Pair.absent, index: 0))
        }
    }

    /// Few members are looked for one by one: cheaper than sorting them.
    private mutating func matchFew(_ firstLeft: Int, _ count: Int, _ firstRight: Int, _ twinCount: Int) {
        var unmatched: UInt32 = (1 << UInt32(twinCount)) - 1
        var child = firstLeft
        for _ in 0..<count {
            let node = left.nodes[child]
            var twin = firstRight
            var found = Pair.absent
            for ordinal in 0..<twinCount {
                let other = right.nodes[twin]
                if other.keyHash == node.keyHash, JSONTape.areEqual(node.key, in: left, other.key, in: right) {
                    found = UInt32(twin)
                    unmatched &= ~(1 << UInt32(ordinal))
                    break
                }
                twin = Int(other.next)
            }
            pairs.append(Pair(left: UInt32(child), right: found, index: 0))
            child = Int(node.next)
        }
        var twin = firstRight
        for ordinal in 0..<twinCount {
            if unmatched & 1 << UInt32(ordinal) != 0 {
                pairs.append(Pair(left: Pair.absent, right: UInt32(twin), index: 0))
            }
            twin = Int(right.nodes[twin].next)
        }
    }

    private mutating func matchElements(_ one: Int, _ other: Int) {
        var (child, twin) = (one + 1, other + 1)
        let (count, twinCount) = (Int(left.nodes[one].childCount), Int(right.nodes[other].childCount))
        for index in 0..<max(count, twinCount) {
            let isLeft = index < count
            let isRight = index < twinCount
            pairs.append(
                Pair(
                    left: isLeft ? UInt32(child) : Pair.absent, right: isRight ? UInt32(twin) : Pair.absent,
                    index: UInt32(index)))
            if isLeft { child = Int(left.nodes[child].next) }
            if isRight { twin = Int(right.nodes[twin].next) }
        }
    }

    /// Only what has no equal on the other side becomes a pair, with nothing opposite.
    private mutating func matchUnordered(_ one: Int, _ other: Int, _ frame: Frame) {
        let depth = frames.count - 1
        let mine = ElementDigests.sorted(left, one, rules, depth, frame.ignored, frame.unordered)
        let theirs = ElementDigests.sorted(right, other, rules, depth, frame.ignored, frame.unordered)
        var (index, twin) = (0, 0)
        while index < mine.count || twin < theirs.count {
            if twin == theirs.count || index < mine.count && mine[index].precedes(theirs[twin]) {
                pairs.append(Pair(left: mine[index].node, right: Pair.absent, index: mine[index].index))
                index += 1
            } else if index == mine.count || theirs[twin].precedes(mine[index]) {
                pairs.append(Pair(left: Pair.absent, right: theirs[twin].node, index: theirs[twin].index))
                twin += 1
            } else {
                (index, twin) = (index + 1, twin + 1)
            }
        }
        let start = frame.first
        pairs[start...].sort { ($0.index, $0.left) < ($1.index, $1.left) }
    }

    // MARK: Telling

    private mutating func report(_ kind: DifferenceKind, _ pair: Pair) {
        count += 1
        guard differences.count < rules.bounds.differences else { return }
        var path = PointerText()
        var isSecret = false
        for frame in frames {
            let step = pairs[frame.current]
            guard frame.isObject else {
                path.append(element: Int(step.index))
                continue
            }
            let isLeft = step.left != Pair.absent
            let node = isLeft ? left.nodes[Int(step.left)] : right.nodes[Int(step.right)]
            path.append(member: isLeft ? left.bytes(node.key) : right.bytes(node.key))
            isSecret =
                isSecret
                || (isLeft
                    ? rules.secretNames.contains(node, in: left)
                    : rules.secretNames.contains(node, in: right))
        }
        let bound = rules.bounds.sideBytes
        differences.append(
            ResponseDifference(
                part: .body, path: path.text, pattern: path.pattern, kind: kind,
                production: pair.left == Pair.absent ? "" : SideText.of(left, Int(pair.left), isSecret, bound),
                shadow: pair.right == Pair.absent ? "" : SideText.of(right, Int(pair.right), isSecret, bound)))
    }
}
