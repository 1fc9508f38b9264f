// The chain of spans that a trace had to wait for, and how much time all others had left.
// Source of the rule: domain.md, Critical path; decision 21.

package import EventModel

extension TraceAnalysis {
    /// The critical path from a root; nil where the trace has none.
    ///
    /// - Parameter root: the index of a span; nil: the tree's root.
    /// - Complexity: O(n log n) in the number of spans, without recursion.
    package static func criticalPath(_ tree: TraceTree, from root: Int? = nil) -> CriticalPath? {
        guard let root = root ?? tree.rootIndex else { return nil }
        let walk = PathWalk(tree.forest, root: root)
        let sections = walk.sections()
        return CriticalPath(
            root: root, sections: sections, slack: walk.slack.map { $0.map { Nanoseconds($0) } },
            shares: shares(of: sections, in: tree))
    }

    private static func shares(of sections: [PathSection], in tree: TraceTree) -> [ServiceShare] {
        var sums: [ByteName: Nanoseconds] = [:]
        for section in sections {
            sums[ByteName(tree.spans[section.span].serviceName), default: .zero] =
                sums[ByteName(tree.spans[section.span].serviceName), default: .zero] + section.duration
        }
        return sums.map { ServiceShare(serviceName: $0.key.text, duration: $0.value) }.sorted { left, right in
            if left.duration != right.duration { return left.duration > right.duration }
            return left.serviceName.precedesInBytes(right.serviceName)
        }
    }
}

/// For each span the children that it waited for last, and from them path and slack.
package struct PathWalk: Sendable {
    private let forest: TraceForest
    private let root: Int
    /// Intervals clipped to the parent's; a node that left the tree has none.
    private var starts: [Int64]
    private var ends: [Int64]
    private var isIncluded: [Bool]
    /// The children that their parent waits for, from the last to the first.
    private var waits: [[Int]]
    /// How much longer each span could take without moving the root's end.
    package private(set) var slack: [Int64?]

    package init(_ forest: TraceForest, root: Int) {
        self.forest = forest
        self.root = root
        let count = forest.nodes.count
        starts = forest.nodes.map(\.start)
        ends = forest.nodes.map(\.end)
        isIncluded = Array(repeating: false, count: count)
        waits = Array(repeating: [], count: count)
        slack = Array(repeating: nil, count: count)
        isIncluded[root] = true
        slack[root] = 0
        var queue = [root]
        var next = 0
        while next < queue.count {
            let included = clipChildren(of: queue[next])
            walkBack(queue[next], included)
            queue.append(contentsOf: included)
            next += 1
        }
    }

    /// Rules 1 and 2: which children stay, cut to their parent's interval; by end, the latest first.
    private mutating func clipChildren(of parent: Int) -> [Int] {
        var included: [Int] = []
        for child in forest.children(parent) {
            let isMessage = forest.nodes[parent].kind == .producer && forest.nodes[child].kind == .consumer
            if isMessage || starts[child] >= ends[parent] || ends[child] <= starts[parent] { continue }
            starts[child] = max(starts[child], starts[parent])
            ends[child] = min(ends[child], ends[parent])
            isIncluded[child] = true
            included.append(child)
        }
        included.sort { left, right in
            if ends[left] != ends[right] { return ends[left] > ends[right] }
            if starts[left] != starts[right] { return starts[left] < starts[right] }
            return forest.nodes[left].key < forest.nodes[right].key
        }
        return included
    }

    /// Rule 3 for one span: the bound only moves back, so each child is looked at once.
    private mutating func walkBack(_ parent: Int, _ included: [Int]) {
        var bound = ends[parent]
        var last = -1
        for child in included {
            if ends[child] <= bound {
                waits[parent].append(child)
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
        var next: Int
        var bound: Int64
    }

    /// The sections from the end to the start, empty ones left out.
    package func sections() -> [PathSection] {
        var result: [PathSection] = []
        var stack = [Frame(span: root, next: 0, bound: ends[root])]
        func emit(_ span: Int, _ start: Int64, _ end: Int64) {
            if start >= end { return }
            result.append(
                PathSection(span: span, start: Timestamp(nanoseconds: start), end: Timestamp(nanoseconds: end)))
        }
        while let frame = stack.last {
            let children = waits[frame.span]
            if frame.next < children.count {
                let child = children[frame.next]
                emit(frame.span, ends[child], frame.bound)
                stack[stack.count - 1].next += 1
                stack[stack.count - 1].bound = starts[child]
                stack.append(Frame(span: child, next: 0, bound: ends[child]))
            } else {
                emit(frame.span, starts[frame.span], frame.bound)
                stack.removeLast()
            }
        }
        return result
    }
}
