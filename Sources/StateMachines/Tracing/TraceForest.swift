// The parent and child relations among the spans of one trace, by index; every later question is a walk over it.

package import EventModel

/// What the structure of a trace depends on.
package struct SpanNode: Sendable, Hashable {
    package var key: SpanKey
    /// Nil: a root.
    package var parentID: SpanID?
    package var kind: SpanKind
    /// Equal numbers are equal services.
    package var service: Int
    /// Nanoseconds since the epoch.
    package var start: Int64
    package var end: Int64

    package init(key: SpanKey, parentID: SpanID?, kind: SpanKind, service: Int, start: Int64, end: Int64) {
        self.key = key
        self.parentID = parentID
        self.kind = kind
        self.service = service
        self.start = start
        self.end = end
    }

    /// By start, then by id: the one order among spans.
    static func precedes(_ left: SpanNode, _ right: SpanNode) -> Bool {
        left.start != right.start ? left.start < right.start : left.key < right.key
    }
}

/// Trees over the spans of one trace. No two nodes have the same key.
package struct TraceForest: Sendable {
    package let nodes: [SpanNode]
    /// The index of the parent, -1 for tops.
    package private(set) var parents: [Int]
    package private(set) var roots: [Int] = []
    package private(set) var orphans: [Int] = []
    package private(set) var cuts: [Int] = []
    /// Every node behind its parent; whole trees in order of their tops.
    package private(set) var order: [Int] = []
    private var childStarts: [Int] = []
    private var childList: [Int] = []

    /// - Complexity: O(n log n); no recursion, so that a chain of any depth is taken.
    package init(_ nodes: [SpanNode]) {
        self.nodes = nodes
        parents = Array(repeating: -1, count: nodes.count)
        resolveParents()
        cutCycles()
        listChildren()
        listOrder()
    }

    /// The children in order of start.
    package func children(_ index: Int) -> ArraySlice<Int> {
        childList[childStarts[index]..<childStarts[index + 1]]
    }

    /// The nodes without a parent: roots, cuts, orphans.
    package var tops: [Int] { roots + cuts + orphans }

    private struct Halves {
        var client = -1
        var server = -1
    }

    private mutating func resolveParents() {
        var halves = [SpanID: Halves](minimumCapacity: nodes.count)
        for (index, node) in nodes.enumerated() {
            if node.key.isServerHalf {
                halves[node.key.spanID, default: Halves()].server = index
            } else {
                halves[node.key.spanID, default: Halves()].client = index
            }
        }
        for (index, node) in nodes.enumerated() {
            // The server's half of a shared id hangs under the client's, whatever parent either names.
            if node.key.isServerHalf, let own = halves[node.key.spanID], own.client >= 0 {
                parents[index] = own.client
            } else if let parentID = node.parentID {
                if let found = halves[parentID] {
                    parents[index] = choose(found, for: node)
                } else {
                    orphans.append(index)
                }
            } else {
                roots.append(index)
            }
        }
        roots.sort { SpanNode.precedes(nodes[$0], nodes[$1]) }
        orphans.sort { SpanNode.precedes(nodes[$0], nodes[$1]) }
    }

    /// Of two halves the one in the child's own service, else the server's: the work is done there.
    private func choose(_ halves: Halves, for node: SpanNode) -> Int {
        guard halves.client >= 0 else { return halves.server }
        guard halves.server >= 0 else { return halves.client }
        let isClients = nodes[halves.client].service == node.service && nodes[halves.server].service != node.service
        return isClients ? halves.client : halves.server
    }

    /// Walks up from every node; who meets their own walk has found a cycle.
    private mutating func cutCycles() {
        var walk = Array(repeating: 0, count: nodes.count)
        for start in nodes.indices where walk[start] == 0 {
            var index = start
            while index >= 0 && walk[index] == 0 {
                walk[index] = start + 1
                index = parents[index]
            }
            if index >= 0 && walk[index] == start + 1 { cutCycle(through: index) }
        }
        cuts.sort { SpanNode.precedes(nodes[$0], nodes[$1]) }
    }

    private mutating func cutCycle(through member: Int) {
        var first = member
        var index = parents[member]
        while index != member {
            if SpanNode.precedes(nodes[index], nodes[first]) { first = index }
            index = parents[index]
        }
        parents[first] = -1
        cuts.append(first)
    }

    private mutating func listChildren() {
        childStarts = Array(repeating: 0, count: nodes.count + 1)
        for parent in parents where parent >= 0 { childStarts[parent + 1] += 1 }
        for index in nodes.indices { childStarts[index + 1] += childStarts[index] }
        childList = Array(repeating: 0, count: childStarts[nodes.count])
        var next = childStarts
        for index in places {
            let parent = parents[index]
            if parent < 0 { continue }
            childList[next[parent]] = index
            next[parent] += 1
        }
    }

    /// Indices in order of start; nodes mostly come in that order.
    private var places: [Int] {
        let isSorted = nodes.indices.dropFirst().allSatisfy { !SpanNode.precedes(nodes[$0], nodes[$0 - 1]) }
        return isSorted ? Array(nodes.indices) : nodes.indices.sorted { SpanNode.precedes(nodes[$0], nodes[$1]) }
    }

    private mutating func listOrder() {
        order.reserveCapacity(nodes.count)
        var next = 0
        for top in tops {
            order.append(top)
            while next < order.count {
                order.append(contentsOf: children(order[next]))
                next += 1
            }
        }
    }
}

extension TraceForest {
    /// The structure as it is shown.
    var structure: TraceStructure {
        TraceStructure(parents: parents.map { $0 < 0 ? nil : $0 }, roots: roots, orphans: orphans, cuts: cuts)
    }

    /// Where the trace begins: the first root, or the top of a cycle where there is none.
    var rootIndex: Int? { roots.first ?? cuts.first }
}

extension TraceTree {
    /// The relations among the tree's spans, with the times that the tree shows.
    package var forest: TraceForest { TraceForest(TraceAnalysis.nodes(of: spans)) }
}
