// Choosing one of several.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Choosing an instance` {
    private func candidates(_ weights: [UInt32], _ loads: [UInt64] = []) -> [SelectionCandidate] {
        weights.indices.map {
            SelectionCandidate(
                instanceID: "i-\($0)", weight: weights[$0], activeConnections: loads.isEmpty ? 0 : loads[$0])
        }
    }

    private func shares(
        _ weights: [UInt32], _ strategy: SelectionStrategy, _ range: Range<UInt64>, loads: [UInt64] = []
    ) -> [Int] {
        var counts = Array(repeating: 0, count: weights.count)
        let candidates = candidates(weights, loads)
        for step in range {
            if let chosen = Selection.choose(candidates, strategy: strategy, seed: step, cursor: step) {
                counts[chosen] += 1
            }
        }
        return counts
    }

    @Test func `weighted random follows the weights within what chance allows`() {
        let counts = shares([100, 300, 600], .weightedRandom, 0..<20_000)
        for (count, share) in zip(counts, [0.1, 0.3, 0.6]) {
            let deviation = (20_000 * share * (1 - share)).squareRoot()
            #expect(abs(Double(count) - 20_000 * share) < 4 * deviation)
        }
    }

    @Test func `the same seed gives the same choice`() {
        let all = candidates([5, 7, 11, 13])
        for strategy in SelectionStrategy.allCases {
            let first = Selection.choose(all, strategy: strategy, seed: 42, cursor: 3)
            #expect(first == Selection.choose(all, strategy: strategy, seed: 42, cursor: 3))
        }
    }

    @Test func `round robin of five, one and one goes as nginx does`() {
        let all = candidates([5, 1, 1])
        let order = (UInt64(0)..<14).map { Selection.choose(all, strategy: .roundRobin, seed: 0, cursor: $0) }
        #expect(order == [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0])
    }

    @Test func `round robin of equals takes them in turn`() {
        let all = candidates([100, 100, 100])
        let order = (UInt64(0)..<6).map { Selection.choose(all, strategy: .roundRobin, seed: 0, cursor: $0) }
        #expect(order == [0, 1, 2, 0, 1, 2])
    }

    @Test(arguments: [[1, 2, 3], [10, 20, 30], [7, 1, 1, 3], [1_000, 1]] as [[UInt32]])
    func `over a cycle round robin gives exact shares`(weights: [UInt32]) {
        let divisor = weights.reduce(0) { $1 == 0 ? $0 : ($0 == 0 ? $1 : greatestCommonDivisor($0, $1)) }
        let reduced = weights.map { Int($0 / divisor) }
        #expect(shares(weights, .roundRobin, 0..<UInt64(reduced.reduce(0, +))) == reduced)
    }

    private func greatestCommonDivisor(_ left: UInt32, _ right: UInt32) -> UInt32 {
        right == 0 ? left : greatestCommonDivisor(right, left % right)
    }

    @Test func `a cycle too long to be walked keeps exact shares`() {
        let weights = (UInt32(0)..<60).map { 900 + $0 }
        let total = weights.reduce(0, +)
        #expect(UInt64(total) * 60 > 65_536)
        #expect(shares(weights, .roundRobin, 0..<UInt64(total)) == weights.map { Int($0) })
    }

    @Test func `a cursor at the end of numbers is no trouble`() {
        #expect(Selection.choose(candidates([3, 2]), strategy: .roundRobin, seed: .max, cursor: .max) != nil)
        let many = (UInt32(0)..<60).map { 900 + $0 }
        #expect(Selection.choose(candidates(many), strategy: .roundRobin, seed: .max, cursor: .max) != nil)
    }

    @Test func `least connections takes the fewest, then the greater weight, then the smaller id`() {
        #expect(
            Selection.choose(candidates([1, 1, 1], [3, 1, 2]), strategy: .leastConnections, seed: 0, cursor: 0) == 1)
        #expect(
            Selection.choose(candidates([1, 9, 9], [1, 1, 1]), strategy: .leastConnections, seed: 0, cursor: 0) == 1)
        #expect(
            Selection.choose(candidates([9, 9, 9], [1, 1, 1]), strategy: .leastConnections, seed: 0, cursor: 0) == 0)
    }

    @Test func `power of two never takes the busiest and spreads over the others`() {
        let counts = shares([1, 1, 1, 1], .powerOfTwo, 0..<2_000, loads: [9, 1, 1, 1])
        #expect(counts[0] == 0)
        #expect(counts[1...].allSatisfy { $0 > 200 })
        #expect(shares([1], .powerOfTwo, 0..<3) == [3])
    }

    @Test(arguments: SelectionStrategy.allCases)
    func `weight zero is chosen only when nothing else is left`(strategy: SelectionStrategy) {
        #expect(shares([0, 1, 0], strategy, 0..<50, loads: [0, 9, 0]) == [0, 50, 0])
        #expect(shares([0, 0], strategy, 0..<50).reduce(0, +) == 50)
        #expect(Selection.choose([], strategy: strategy, seed: 0, cursor: 0) == nil)
    }
}

@Suite struct `Select` {
    private func query(_ change: (inout RegistryQuery) -> Void = { _ in }) -> RegistryQuery {
        var query = RegistryQuery()
        query.serviceName = "checkout"
        change(&query)
        return query
    }

    @Test func `the answer echoes the seed and gives the next cursor`() throws {
        var story = Story()
        story.serve(["a", "b"])
        let answer = try story.registry.select(
            query {
                $0.seed = 7
                $0.cursor = 41
                $0.strategy = .roundRobin
            })
        #expect(answer.seed == 7 && answer.cursor == 42)
        #expect(answer.instance.instance.instanceID == "b")
        #expect(answer.candidates == ["a", "b"] && answer.strategy == .roundRobin)
    }

    @Test func `without a seed the choice is a function of the position, and can be had again by its echo`() throws {
        var story = Story()
        story.serve(names(0..<20))
        var chosen: Set<String> = []
        for _ in 0..<30 {
            story.tick()
            let answer = try story.registry.select(query())
            let again = try story.registry.select(query { $0.seed = answer.seed })
            #expect(try story.registry.select(query()) == answer)
            #expect(again == answer)
            chosen.insert(answer.instance.instance.instanceID)
        }
        #expect(chosen.count > 5)
    }

    @Test func `the zone goes before the region before any`() throws {
        var story = Story()
        story.serve(["a"], region: "eu", zone: "eu-1")
        story.serve(["b"], region: "eu", zone: "eu-2")
        story.serve(["c"], region: "us", zone: "us-1")
        func candidates(_ region: String, _ zone: String) throws -> [String] {
            try story.registry.select(
                query {
                    $0.region = region
                    $0.zone = zone
                }
            ).candidates
        }
        #expect(try candidates("eu", "eu-2") == ["b"])
        #expect(try candidates("eu", "eu-9") == ["a", "b"])
        #expect(try candidates("ap", "ap-1") == ["a", "b", "c"])
        #expect(try candidates("", "us-1") == ["c"])
        #expect(try candidates("us", "") == ["c"])
    }

    @Test func `a zone with nothing but weight zero gives way to its region`() throws {
        var story = Story()
        story.serve(["a"], zone: "eu-1", weight: 0)
        story.serve(["b"], zone: "eu-2")
        let answer = try story.registry.select(
            query {
                $0.region = "eu"
                $0.zone = "eu-1"
            })
        #expect(answer.instance.instance.instanceID == "b")
    }

    @Test func `load is the asker's own count and what others reported, without its own report`() throws {
        var story = Story()
        story.serve(["a", "b"])
        story.happens(load("a", 10, by: "gw-1"))
        story.happens(load("b", 4, by: "gw-2"))
        func choose(_ reporter: String, own: UInt32) throws -> String {
            try story.registry.select(
                query {
                    $0.strategy = .leastConnections
                    $0.reporter = reporter
                    $0.localLoads = [LocalLoad(instanceID: "a", activeConnections: own)]
                }
            ).instance.instance.instanceID
        }
        #expect(try choose("", own: 0) == "b")
        #expect(try choose("gw-1", own: 3) == "a")
        #expect(try choose("gw-1", own: 5) == "b")
    }

    @Test func `an answer out of panic says so`() throws {
        var story = Story()
        story.serve(["a"])
        story.happens(healthReported([report("a", healthy: false, checked: story.now)]))
        #expect(throws: QueryError.self) { try story.registry.select(query()) }
        #expect(try story.registry.select(query { $0.allowPanic = true }).panic)
    }
}
