// The critical path and slack by the rule of Meanings.md, on cases and on random trees.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Critical path` {
    @Test func `goes back from the end through the children that were waited for`() {
        let tree = tree([span("a", 1, 101), span("b", in: "a", 20, 40), span("c", in: "a", 50, 60)])
        #expect(tree.path == ["a 60-101", "c 50-60", "a 40-50", "b 20-40", "a 1-20"])
    }

    @Test func `holds both of two children back to back`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 50), span("c", in: "a", 50, 90)])
        #expect(tree.path == ["a 90-100", "c 50-90", "b 10-50", "a 0-10"])
    }

    @Test func `gives the overlap of siblings off the path to the parent`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 60), span("c", in: "a", 50, 90)])
        #expect(tree.path == ["a 90-100", "c 50-90", "a 0-50"])
    }

    @Test func `takes the child that started first of two that ended together`() {
        let tree = tree([span("a", 0, 100), span("c", in: "a", 50, 90), span("b", in: "a", 20, 90)])
        #expect(tree.path == ["a 90-100", "b 20-90", "a 0-20"])
    }

    @Test func `takes the smaller id of two that are alike`() {
        let tree = tree([span("a", 0, 100), span("c", in: "a", 50, 90), span("b", in: "a", 50, 90)])
        #expect(tree.path == ["a 90-100", "b 50-90", "a 0-50"])
    }

    @Test func `leaves out what a consumer does with its producer's message`() {
        let tree = tree([
            span("a", 0, 30, kind: .producer), span("b", in: "a", 10, 20, kind: .consumer), span("c", in: "b", 12, 14),
        ])
        #expect(tree.path == ["a 0-30"])
    }

    @Test func `leaves out children outside of their parent with all below them`() {
        let tree = tree([
            span("a", 10, 30), span("b", in: "a", 30, 40), span("c", in: "b", 12, 14), span("d", in: "a", 1, 10),
        ])
        #expect(tree.path == ["a 10-30"])
    }

    @Test func `cuts a child to its parent, from the top down`() {
        let tree = tree([span("a", 0, 30), span("b", in: "a", 10, 50), span("c", in: "b", 20, 60)])
        #expect(tree.path == ["c 20-30", "b 10-20", "a 0-10"])
    }

    @Test func `of a span without duration is empty`() {
        #expect(tree([span("a", 5, 5), span("b", in: "a", 5, 5)]).path == [])
    }

    @Test func `gives each service its share`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 90, service: "cart")])
        let shares = TraceAnalysis.criticalPath(tree)?.shares
        #expect(shares?.map(\.serviceName) == ["cart", "checkout"])
        #expect(shares?.map(\.duration.rawValue) == [80, 20])
    }

    @Test func `can start from any span`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 90), span("c", in: "b", 20, 30)])
        let path = TraceAnalysis.criticalPath(tree, from: tree.index("b"))
        #expect(path?.sections.map(\.duration.rawValue) == [60, 10, 10])
        #expect(path?.slack[tree.index("a")] == nil)
    }

    @Test func `tiles the root of any tree`() {
        for seed in UInt64(1)...300 {
            var maker = TraceMaker(seed: seed)
            let tree = tree(maker.spans(1 + maker.below(60)))
            guard let path = TraceAnalysis.criticalPath(tree), let root = tree.rootSpan else {
                Issue.record("seed \(seed) has no root")
                continue
            }
            var bound = root.endTime
            for section in path.sections {
                #expect(section.end == bound && section.start < section.end, "seed \(seed)")
                bound = section.start
            }
            #expect(bound == root.startTime || path.sections.isEmpty, "seed \(seed)")
            #expect(path.sections.reduce(0) { $0 + $1.duration.rawValue } == root.duration.rawValue, "seed \(seed)")
            #expect(path.shares.reduce(0) { $0 + $1.duration.rawValue } == root.duration.rawValue, "seed \(seed)")
        }
    }

    @Test func `is the one that a walk word by word as in the rule finds`() {
        for seed in UInt64(1)...200 {
            var maker = TraceMaker(seed: seed)
            let tree = tree(maker.spans(1 + maker.below(25)))
            let expected = NaivePath(tree).sections
            #expect(TraceAnalysis.criticalPath(tree)?.sections == expected, "seed \(seed)")
        }
    }
}

/// The rule of Meanings.md told literally, recursive and slow.
private struct NaivePath {
    let tree: TraceTree
    var spans: [TraceSpan]
    var gone: Set<Int> = []
    var visited: Set<Int> = []
    var sections: [PathSection] = []

    init(_ tree: TraceTree) {
        self.tree = tree
        spans = tree.spans
        guard let root = tree.rootIndex else { return }
        clip(root)
        walk(root)
    }

    func children(_ index: Int) -> [Int] { spans.indices.filter { tree.structure.parents[$0] == index } }

    mutating func clip(_ parent: Int) {
        for child in children(parent) {
            let isMessage = spans[parent].kind == .producer && spans[child].kind == .consumer
            if isMessage || spans[child].startTime >= spans[parent].endTime
                || spans[child].endTime <= spans[parent].startTime
            {
                gone.insert(child)
                continue
            }
            spans[child].startTime = max(spans[child].startTime, spans[parent].startTime)
            spans[child].endTime = min(spans[child].endTime, spans[parent].endTime)
            clip(child)
        }
    }

    mutating func walk(_ index: Int) {
        var bound = spans[index].endTime
        while true {
            let eligible = children(index).filter {
                !gone.contains($0) && !visited.contains($0) && spans[$0].endTime <= bound
            }
            let last = eligible.min { left, right in
                let (first, second) = (spans[left], spans[right])
                if first.endTime != second.endTime { return first.endTime > second.endTime }
                if first.startTime != second.startTime { return first.startTime < second.startTime }
                return first.key < second.key
            }
            guard let last else { break }
            visited.insert(last)
            emit(index, spans[last].endTime, bound)
            walk(last)
            bound = spans[last].startTime
        }
        emit(index, spans[index].startTime, bound)
    }

    mutating func emit(_ index: Int, _ start: Timestamp, _ end: Timestamp) {
        if start < end { sections.append(PathSection(span: index, start: start, end: end)) }
    }
}

@Suite struct `Slack` {
    private func slack(_ tree: TraceTree, _ letter: Character) -> Int64? {
        TraceAnalysis.criticalPath(tree)?.slack[tree.index(letter)]?.rawValue
    }

    @Test func `is zero on the path`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 50), span("c", in: "b", 20, 30)])
        #expect(slack(tree, "a") == 0 && slack(tree, "b") == 0 && slack(tree, "c") == 0)
    }

    @Test func `is the time until the sibling ends that the parent waited for`() {
        let tree = tree([span("a", 0, 60), span("b", in: "a", 0, 50), span("c", in: "a", 0, 30)])
        #expect(slack(tree, "c") == 20)
    }

    @Test func `adds up from parent to child`() {
        let tree = tree([
            span("a", 0, 60), span("b", in: "a", 0, 50), span("c", in: "a", 0, 30), span("d", in: "c", 5, 25),
            span("e", in: "c", 5, 15),
        ])
        #expect(slack(tree, "d") == 20 && slack(tree, "e") == 30)
    }

    @Test func `is unknown where nothing waits`() {
        let tree = tree([
            span("a", 0, 30, kind: .producer), span("b", in: "a", 10, 20, kind: .consumer), span("c", in: "x", 1, 2),
        ])
        #expect(slack(tree, "b") == nil && slack(tree, "c") == nil)
    }

    @Test func `used up to the last nanosecond it leaves the path's other spans where they are`() {
        for seed in UInt64(1)...150 {
            var maker = TraceMaker(seed: seed)
            let spans = maker.spans(20, isTidy: true)
            let before = tree(spans)
            guard let path = TraceAnalysis.criticalPath(before) else { continue }
            for index in before.spans.indices {
                guard let parent = before.structure.parents[index], let slack = path.slack[index],
                    let above = path.slack[parent], slack > above
                else { continue }
                // Beyond what the parent itself may grow, the span may grow to its sibling's end, and no further.
                var changed = before.spans
                let own = Nanoseconds(slack.rawValue - above.rawValue)
                changed[index].endTime = changed[index].endTime + own
                #expect(changed[index].endTime <= before.spans[parent].endTime, "seed \(seed)")
                let siblings = before.spans.indices.filter { before.structure.parents[$0] == parent }
                #expect(siblings.contains { before.spans[$0].endTime == changed[index].endTime }, "seed \(seed)")
            }
        }
    }
}
