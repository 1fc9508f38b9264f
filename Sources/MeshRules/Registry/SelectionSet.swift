// Candidates prepared once, of which one is chosen many times without allocating: for balancers that choose per request.

package import EventModel

/// The weights of candidates in order of id. What it chooses is what `Selection.choose` chooses of the same candidates, but
/// between equals of load and weight the dice decide, not the id.
package struct SelectionSet: Sendable {
    private let weights: [UInt32]
    /// Places of those with a weight, or of all where none has one.
    private let favoured: [Int]
    /// The weights of the favoured, each 1 where none has one.
    private let shares: [UInt64]
    private let total: UInt64
    /// All shares are equal: then two are drawn without a walk.
    private let isEven: Bool
    /// One cycle of smooth round robin; empty where all shares are equal, where it is long, or where it was not asked for.
    private let cycle: [UInt16]

    /// Above this many steps a cycle is computed at each choice.
    private static let cycleMaximum: UInt64 = 8_192

    /// - Parameter preparesRoundRobin: computes the cycle of round robin beforehand, so that a choice takes one step.
    package init(weights: [UInt32], preparesRoundRobin: Bool = false) {
        self.weights = weights
        let weighted = weights.indices.filter { weights[$0] > 0 }
        hasWeight = !weighted.isEmpty
        favoured = weighted.isEmpty ? Array(weights.indices) : weighted
        shares = favoured.map { weighted.isEmpty ? 1 : UInt64(weights[$0]) }
        total = shares.reduce(0, +)
        let least = shares.min()
        isEven = shares.allSatisfy { $0 == least }
        cycle = preparesRoundRobin ? Self.cycle(shares) : []
    }

    private static func cycle(_ shares: [UInt64]) -> [UInt16] {
        guard let cycle = SmoothRoundRobin.cycle(shares, maximum: cycleMaximum) else { return [] }
        return cycle.map { UInt16($0) }
    }

    /// How many candidates there are.
    package var count: Int { weights.count }

    /// Whether a candidate has a weight above 0.
    package let hasWeight: Bool

    /// The place of the chosen candidate; nil where there is none.
    ///
    /// - Parameter load: the connections of a candidate by its place; asked of two for `powerOfTwo`, of all for
    ///   `leastConnections`.
    package func choose(
        _ strategy: SelectionStrategy, seed: UInt64, cursor: UInt64, load: (Int) -> UInt64
    ) -> Int? {
        if favoured.count <= 1 { return favoured.first }
        switch strategy {
        case .weightedRandom: return favoured[weightedRandom(seed)]
        case .roundRobin:
            if !cycle.isEmpty { return favoured[Int(cycle[Int(cursor % UInt64(cycle.count))])] }
            return favoured[SmoothRoundRobin.position(shares, cursor)]
        case .leastConnections: return leastConnections(seed, load)
        case .powerOfTwo: return powerOfTwo(seed, load)
        }
    }

    /// The same without some of the candidates; allocates, which is for retries.
    package func choose(
        _ strategy: SelectionStrategy, seed: UInt64, cursor: UInt64, load: (Int) -> UInt64,
        isExcluded: (Int) -> Bool
    ) -> Int? {
        let places = weights.indices.filter { !isExcluded($0) }
        let rest = SelectionSet(weights: places.map { weights[$0] })
        return rest.choose(strategy, seed: seed, cursor: cursor) { load(places[$0]) }.map { places[$0] }
    }

    private func weightedRandom(_ seed: UInt64) -> Int {
        var dice = SplitMix64(state: seed)
        var rest = dice.next(below: total)
        for position in 0..<shares.count {
            if rest < shares[position] { return position }
            rest -= shares[position]
        }
        return shares.count - 1
    }

    /// What ``WeightedLoad/pair(_:_:_:)`` draws of equal weights.
    private func evenPair(_ seed: UInt64) -> (first: Int, second: Int) {
        var dice = SplitMix64(state: seed)
        let first = Int(dice.next(below: UInt64(shares.count)))
        let offset = 1 + Int(dice.next(below: UInt64(shares.count - 1)))
        return (first, (first + offset) % shares.count)
    }

    /// Fewest connections for its weight, ties to dice that know the weights: whoever asks one request after the other has no
    /// connections open, and would go to the smallest id, or to the greatest weight, for ever.
    private func leastConnections(_ seed: UInt64, _ load: (Int) -> UInt64) -> Int {
        var dice = SplitMix64(state: seed)
        var best = 0
        var fewest = load(favoured[0])
        var equals = shares[0]
        for position in 1..<favoured.count {
            let connections = load(favoured[position])
            switch WeightedLoad.order(connections, shares[position], fewest, shares[best]) {
            case .more: continue
            case .less: (best, fewest, equals) = (position, connections, shares[position])
            case .equal:
                equals += shares[position]
                if dice.next(below: equals) < shares[position] { (best, fewest) = (position, connections) }
            }
        }
        return favoured[best]
    }

    /// The better of two for its weight, of equals the one named first; the dice that name them know the weights.
    private func powerOfTwo(_ seed: UInt64, _ load: (Int) -> UInt64) -> Int {
        let (first, second) = isEven ? evenPair(seed) : WeightedLoad.pair(shares, total, seed)
        let (left, right) = (load(favoured[first]), load(favoured[second]))
        return favoured[WeightedLoad.order(right, shares[second], left, shares[first]) == .less ? second : first]
    }
}
