// Choosing one of several instances: pure functions of candidates, strategy, seed and cursor, so that an answer can be
// repeated (decision 17). The dice and the cursor belong to the asker.

package import EventModel

/// One instance that could be chosen.
package struct SelectionCandidate: Sendable, Hashable {
    package var instanceID: String
    package var weight: UInt32
    package var activeConnections: UInt64

    package init(instanceID: String, weight: UInt32, activeConnections: UInt64 = 0) {
        self.instanceID = instanceID
        self.weight = weight
        self.activeConnections = activeConnections
    }
}

/// The strategies.
package enum Selection {
    /// The index of the chosen candidate; nil where there is none. Candidates come in order of id. Those of weight 0
    /// are chosen only when nothing else is left.
    package static func choose(
        _ candidates: [SelectionCandidate], strategy: SelectionStrategy, seed: UInt64, cursor: UInt64
    ) -> Int? {
        let weighted = candidates.indices.filter { candidates[$0].weight > 0 }
        let indices = weighted.isEmpty ? Array(candidates.indices) : weighted
        guard !indices.isEmpty else { return nil }
        let weights = indices.map { weighted.isEmpty ? 1 : UInt64(candidates[$0].weight) }
        let position =
            switch strategy {
            case .weightedRandom: weightedRandom(weights, seed)
            case .roundRobin: SmoothRoundRobin.position(weights, cursor)
            case .leastConnections: leastConnections(indices.map { candidates[$0] }, weights)
            case .powerOfTwo: powerOfTwo(indices.map { candidates[$0] }, weights, seed)
            }
        return indices[position]
    }

    private static func weightedRandom(_ weights: [UInt64], _ seed: UInt64) -> Int {
        var dice = SplitMix64(state: seed)
        var rest = dice.next(below: weights.reduce(0, +))
        for (position, weight) in weights.enumerated() {
            if rest < weight { return position }
            rest -= weight
        }
        return weights.count - 1
    }

    /// Fewest connections for its weight, ties to the greater weight, then to the smaller id.
    private static func leastConnections(_ candidates: [SelectionCandidate], _ weights: [UInt64]) -> Int {
        candidates.indices.min { left, right in
            let (first, second) = (candidates[left], candidates[right])
            switch WeightedLoad.order(
                first.activeConnections, weights[left], second.activeConnections, weights[right])
            {
            case .less: return true
            case .more: return false
            case .equal: break
            }
            if first.weight != second.weight { return first.weight > second.weight }
            return first.instanceID.precedesInBytes(second.instanceID)
        }!
    }

    /// The better of two that the dice name (M. Mitzenmacher, "The Power of Two Choices", 2001); dice and load know the
    /// weights. Of equals: the one named first, or of the same weight the one with the smaller id.
    private static func powerOfTwo(
        _ candidates: [SelectionCandidate], _ weights: [UInt64], _ seed: UInt64
    ) -> Int {
        if candidates.count == 1 { return 0 }
        let (first, second) = WeightedLoad.pair(weights, weights.reduce(0, +), seed)
        let order = WeightedLoad.order(
            candidates[first].activeConnections, weights[first], candidates[second].activeConnections, weights[second])
        return switch order {
        case .less: first
        case .more: second
        case .equal: weights[first] == weights[second] ? min(first, second) : first
        }
    }
}

/// Loads and draws of candidates whose weights differ.
enum WeightedLoad {
    enum Order {
        case less, equal, more
    }

    /// How the load of one for its weight compares with that of another; no weight is 0.
    static func order(_ load: UInt64, _ weight: UInt64, _ otherLoad: UInt64, _ otherWeight: UInt64) -> Order {
        let (left, right) = (
            load.multipliedFullWidth(by: otherWeight), otherLoad.multipliedFullWidth(by: weight)
        )
        if left.high != right.high { return left.high < right.high ? .less : .more }
        return left.low == right.low ? .equal : left.low < right.low ? .less : .more
    }

    /// Two of at least two, each as often as its weight says: the first of all, the second of the others in the order that
    /// begins behind the first.
    static func pair(_ weights: [UInt64], _ total: UInt64, _ seed: UInt64) -> (first: Int, second: Int) {
        var dice = SplitMix64(state: seed)
        let first = place(dice.next(below: total), weights, from: 0)
        return (first, place(dice.next(below: total - weights[first]), weights, from: first + 1))
    }

    private static func place(_ draw: UInt64, _ weights: [UInt64], from start: Int) -> Int {
        var (rest, position) = (draw, start % weights.count)
        while rest >= weights[position] {
            rest -= weights[position]
            position = position + 1 == weights.count ? 0 : position + 1
        }
        return position
    }
}

/// Smooth weighted round robin as nginx does it: at each step every candidate gains its weight, the richest is chosen and
/// pays the total. Over one cycle each is chosen exactly as often as its weight says.
enum SmoothRoundRobin {
    /// Above this many additions the cycle is not walked but permuted by a stride, which keeps the exact shares.
    private static let stepsMaximum: UInt64 = 65_536

    static func position(_ weights: [UInt64], _ cursor: UInt64) -> Int {
        let divisor = weights.reduce(0, greatestCommonDivisor)
        let reduced = weights.map { $0 / divisor }
        let total = reduced.reduce(0, +)
        let step = cursor % total
        if reduced.allSatisfy({ $0 == 1 }) { return Int(step) }
        if total * UInt64(reduced.count) <= stepsMaximum { return walk(reduced, Int64(total), Int(step)) }
        return strided(reduced, total, step)
    }

    /// All positions of one cycle in order; nil where it has more than `maximum` steps, where walking it would take too
    /// many, and where all weights are equal, which needs no cycle.
    static func cycle(_ weights: [UInt64], maximum: UInt64) -> [Int]? {
        let divisor = weights.reduce(0, greatestCommonDivisor)
        if divisor == 0 { return nil }
        let reduced = weights.map { $0 / divisor }
        let total = reduced.reduce(0, +)
        if reduced.allSatisfy({ $0 == 1 }) || total > maximum || total * UInt64(reduced.count) > stepsMaximum {
            return nil
        }
        var credits = Array(repeating: Int64(0), count: weights.count)
        return (0..<total).map { _ in next(&credits, reduced, Int64(total)) }
    }

    private static func walk(_ weights: [UInt64], _ total: Int64, _ step: Int) -> Int {
        var credits = Array(repeating: Int64(0), count: weights.count)
        for _ in 0..<step { _ = next(&credits, weights, total) }
        return next(&credits, weights, total)
    }

    private static func next(_ credits: inout [Int64], _ weights: [UInt64], _ total: Int64) -> Int {
        for index in credits.indices { credits[index] += Int64(weights[index]) }
        var chosen = 0
        for index in credits.indices where credits[index] > credits[chosen] { chosen = index }
        credits[chosen] -= total
        return chosen
    }

    private static func strided(_ weights: [UInt64], _ total: UInt64, _ step: UInt64) -> Int {
        var stride = max(1, total * 618 / 1_000)
        while greatestCommonDivisor(stride, total) != 1 { stride += 1 }
        var rest = step.multipliedFullWidth(by: stride).low % total
        for (position, weight) in weights.enumerated() {
            if rest < weight { return position }
            rest -= weight
        }
        return weights.count - 1
    }

    private static func greatestCommonDivisor(_ left: UInt64, _ right: UInt64) -> UInt64 {
        right == 0 ? left : greatestCommonDivisor(right, left % right)
    }
}

/// The dice (S. Vigna, SplitMix64): small, specified, seeded by the asker.
package struct SplitMix64: Sendable {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is positive (D. Lemire's multiplication, without the rejection step: the bias is
    /// below 2⁻⁴⁰ for every total of weights there can be).
    package mutating func next(below bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
}
