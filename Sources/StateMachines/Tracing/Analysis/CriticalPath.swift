// The chain of spans that a trace had to wait for, and how much time all others had left.
// Source of the rule: Meanings.md, Critical path; decision 21.

package import EventModel

extension TraceAnalysis {
    /// The critical path from a root; nil where the trace has none.
    ///
    /// - Parameter root: the index of a span; nil: the tree's root.
    /// - Complexity: O(n log n) in the number of spans, without recursion.
    package static func criticalPath(_ tree: TraceTree, from root: Int? = nil) -> CriticalPath? {
        guard let root = root ?? tree.rootIndex else { return nil }
        return criticalPath(tree.forest, from: root) { tree.spans[$0].serviceName }
    }

    /// The critical path from a node.
    ///
    /// - Parameter serviceName: of a node; asked once for each service.
    static func criticalPath(
        _ forest: TraceForest, from root: Int, _ serviceName: (Int) -> String
    ) -> CriticalPath {
        let walk = PathWalk(forest, root: root)
        let sections = walk.sections()
        return CriticalPath(
            root: root, sections: sections, slack: walk.slack.map { $0.map { Nanoseconds($0) } },
            shares: shares(of: sections, forest, serviceName))
    }

    private static func shares(
        of sections: [PathSection], _ forest: TraceForest, _ serviceName: (Int) -> String
    ) -> [ServiceShare] {
        var totals: [Int: (span: Int, sum: Nanoseconds)] = [:]
        for section in sections {
            let service = forest.nodes[section.span].service
            totals[service, default: (section.span, .zero)].sum =
                totals[service, default: (section.span, .zero)].sum + section.duration
        }
        return totals.map { ServiceShare(serviceName: serviceName($0.value.span), duration: $0.value.sum) }.sorted {
            left, right in
            if left.duration != right.duration { return left.duration > right.duration }
            return left.serviceName.precedesInBytes(right.serviceName)
        }
    }
}

/// For each span the children that it waited for last, and from them path and slack.
package struct PathWalk: Sendable {
    private let forest: TraceForest
    private let root: Int
    /// Intervals clipped to the parent's.
    private var starts: [Int64]
    private var ends: [Int64]
    /// The children that their parent waits for, from the last to the first, as chains; -1: no further one.
    private var firstWait: [Int]
    private var nextWait: [Int]
    /// How much longer each span could take without moving the root's end.
    package private(set) var slack: [Int64?]

    package init(_ forest: TraceForest, root: Int) {
        self.forest = forest
        self.root = root
        let count = forest.nodes.count
        starts = forest.nodes.map(\.start)
        ends = forest.nodes.map(\.end)
        firstWait = Array(repeating: -1, count: count)
        nextWait = firstWait
        slack = Array(repeating: nil, count: count)
        slack[root] = 0
        var queue = [root]
        var included: [Int] = []
        var next = 0
        while next < queue.count {
            clipChildren(of: queue[next], &included)
            walkBack(queue[next], included)
            queue.append(contentsOf: included)
            next += 1
        }
    }

    /// Rules 1 and 2: which children stay, cut to their parent's interval; by end, the latest first.
    private mutating func clipChildren(of parent: Int, _ included: inout [Int]) {
        included.removeAll(keepingCapacity: true)
        for child in forest.children(parent) {
            let isMessage = forest.nodes[parent].kind == .producer && forest.nodes[child].kind == .consumer
            if isMessage || starts[child] >= ends[parent] || ends[child] <= starts[parent] { continue }
            starts[child] = max(starts[child], starts[parent])
            ends[child] = min(ends[child], ends[parent])
            included.append(child)
        }
        if included.count < 2 { return }
        included.sort { left, right in
            if ends[left] != ends[right] { return ends[left] > ends[right] }
            if starts[left] != starts[right] { return starts[left] < starts[right] }
            return forest.nodes[left].key < forest.nodes[right].key
        }
    }

    /// Rule 3 for one span: the bound only moves back, so each child is looked at once.
    private mutating func walkBack(_ parent: Int, _ included: [Int]) {
        var bound = ends[parent]
        var last = -1
        for child in included {
            if ends[child] <= bound {
                if last < 0 { firstWait[parent] = child } else { nextWait[last] = child }
                slack[child] = slack[parent]
                bound = starts[child]
                last = child
            } else {
                // It ended while the last one still ran, so it could have run until then.
                slack[child] = (slack[parent] ?? 0) &+ (ends[last] &- ends[child])
            }
        }
    }

    private struct Frame {
        var span: Int
        /// The next child that it waits for; -1: none.
        var next: Int
        var bound: Int64
    }

    /// The sections from the end to the start, empty ones left out.
    package func sections() -> [PathSection] {
        var result: [PathSection] = []
        var stack = [Frame(span: root, next: firstWait[root], bound: ends[root])]
        func emit(_ span: Int, _ start: Int64, _ end: Int64) {
            if start >= end { return }
            result.append(
                PathSection(span: span, start: Timestamp(nanoseconds: start), end: Timestamp(nanoseconds: end)))
        }
        while let frame = stack.last {
            let child = frame.next
            if child >= 0 {
                emit(frame.span, ends[child], frame.bound)
                stack[stack.count - 1].next = nextWait[child]
                stack[stack.count - 1].bound = starts[child]
                stack.append(Frame(span: child, next: firstWait[child], bound: ends[child]))
            } else {
                emit(frame.span, starts[frame.span], frame.bound)
                stack.removeLast()
            }
        }
        return result
    }
}
