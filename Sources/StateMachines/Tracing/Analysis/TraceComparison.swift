// Two traces side by side: what is called that was not, and which operations take longer.

package import EventModel

/// One operation in two traces.
package struct OperationDifference: Sendable, Hashable {
    package var serviceName: String
    package var operationName: String
    package var countBefore = 0
    package var countAfter = 0
    package var errorsBefore = 0
    package var errorsAfter = 0
    /// Sums of self times.
    package var selfBefore = Nanoseconds.zero
    package var selfAfter = Nanoseconds.zero
    /// Sums of durations.
    package var durationBefore = Nanoseconds.zero
    package var durationAfter = Nanoseconds.zero

    /// How much more time it spends itself.
    package var selfGrowth: Int64 { selfAfter.rawValue &- selfBefore.rawValue }
}

/// One way from a top to a span, as operations, and how often it is gone in each trace.
package struct PathDifference: Sendable, Hashable {
    /// `service: operation`, from the top.
    package var path: [String]
    package var countBefore: Int
    package var countAfter: Int
}

/// What differs between two traces.
package struct TraceComparison: Sendable, Hashable {
    package var durationBefore: Nanoseconds
    package var durationAfter: Nanoseconds
    /// Every operation of both, the largest change of self time first.
    package var operations: [OperationDifference]
    /// Ways that are not gone equally often, in order of the path; only the first step that differs of each.
    package var paths: [PathDifference]

    /// Compares two traces, good against bad.
    package init(_ before: TraceTree, _ after: TraceTree) {
        durationBefore = before.totalDuration
        durationAfter = after.totalDuration
        operations = Self.compareOperations(before, after)
        paths = Self.comparePaths(before, after)
    }

    private struct Operation: Hashable {
        var service: ByteName
        var operation: ByteName
    }

    private static func compareOperations(_ before: TraceTree, _ after: TraceTree) -> [OperationDifference] {
        var rows: [Operation: OperationDifference] = [:]
        for (tree, isAfter) in [(before, false), (after, true)] {
            for (span, selfTime) in zip(tree.spans, TraceAnalysis.selfTimes(tree.forest)) {
                let key = Operation(service: ByteName(span.serviceName), operation: ByteName(span.operationName))
                let empty = OperationDifference(serviceName: span.serviceName, operationName: span.operationName)
                rows[key, default: empty].add(span, selfTime, isAfter)
            }
        }
        return rows.values.sorted { left, right in
            let (first, second) = (left.selfGrowth.magnitude, right.selfGrowth.magnitude)
            if first != second { return first > second }
            if !left.serviceName.equalsInBytes(right.serviceName) {
                return left.serviceName.precedesInBytes(right.serviceName)
            }
            return left.operationName.precedesInBytes(right.operationName)
        }
    }

    /// A step on the way down: spans of both traces that have the same operations above them.
    private struct Step {
        var parent: Int
        var name: ByteName
        var before = 0
        var after = 0
    }

    private static func comparePaths(_ before: TraceTree, _ after: TraceTree) -> [PathDifference] {
        var steps: [Step] = []
        var stepByName: [Way: Int] = [:]
        for (tree, isAfter) in [(before, false), (after, true)] {
            let forest = tree.forest
            var stepOfSpan = Array(repeating: -1, count: tree.spans.count)
            for index in forest.order {
                let parent = forest.parents[index] < 0 ? -1 : stepOfSpan[forest.parents[index]]
                let name = ByteName(tree.spans[index].serviceName + ": " + tree.spans[index].operationName)
                let step = stepByName[Way(parent: parent, name: name)] ?? steps.count
                if step == steps.count {
                    steps.append(Step(parent: parent, name: name))
                    stepByName[Way(parent: parent, name: name)] = step
                }
                stepOfSpan[index] = step
                if isAfter { steps[step].after += 1 } else { steps[step].before += 1 }
            }
        }
        return firstDifferences(steps)
    }

    private struct Way: Hashable {
        var parent: Int
        var name: ByteName
    }

    private static func firstDifferences(_ steps: [Step]) -> [PathDifference] {
        var isBelow = Array(repeating: false, count: steps.count)
        var result: [PathDifference] = []
        for (index, step) in steps.enumerated() {
            isBelow[index] = step.parent >= 0 && (isBelow[step.parent] || differs(steps[step.parent]))
            if isBelow[index] || !differs(step) { continue }
            result.append(
                PathDifference(path: path(index, steps), countBefore: step.before, countAfter: step.after))
        }
        return result.sorted { left, right in
            left.path.lexicographicallyPrecedes(right.path) { $0.precedesInBytes($1) }
        }
    }

    private static func differs(_ step: Step) -> Bool { step.before != step.after }

    private static func path(_ index: Int, _ steps: [Step]) -> [String] {
        var result: [String] = []
        var next = index
        while next >= 0 {
            result.append(steps[next].name.text)
            next = steps[next].parent
        }
        return result.reversed()
    }
}

extension OperationDifference {
    fileprivate mutating func add(_ span: TraceSpan, _ selfTime: Nanoseconds, _ isAfter: Bool) {
        if isAfter {
            countAfter += 1
            errorsAfter += span.isError ? 1 : 0
            selfAfter = selfAfter + selfTime
            durationAfter = durationAfter + span.duration
        } else {
            countBefore += 1
            errorsBefore += span.isError ? 1 : 0
            selfBefore = selfBefore + selfTime
            durationBefore = durationBefore + span.duration
        }
    }
}
