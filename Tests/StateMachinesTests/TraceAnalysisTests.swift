// Trees, clock skew, self time, flame graph and comparison of traces.

import EventModel
import Foundation
import Testing

@testable import StateMachines

@Suite struct `Trace tree` {
    @Test func `spans hang under the parent they name, whatever order they came in`() {
        let tree = tree([span("c", in: "b", 30, 40), span("b", in: "a", 20, 50), span("a", 10, 100)])
        #expect(tree.rootSpan?.spanID == spanID("a"))
        #expect(tree.parent("c") == "b" && tree.parent("b") == "a" && tree.parent("a") == nil)
        #expect(tree.structure.isComplete)
        #expect(tree.totalDuration == Nanoseconds(90))
    }

    @Test func `counts services and errors`() {
        let tree = tree([
            span("a", 0, 9), span("b", in: "a", 1, 2, service: "cart", status: .error),
            span("c", in: "a", 3, 4, service: "cart", status: .timeout),
        ])
        #expect(tree.serviceCount == 2 && tree.errorCount == 2)
    }

    @Test func `no spans make no root`() {
        let tree = tree([])
        #expect(tree.rootSpan == nil && tree.totalDuration == .zero && tree.spans.isEmpty)
        #expect(TraceAnalysis.criticalPath(tree) == nil && TraceAnalysis.latencyBreakdown(tree).isEmpty)
    }

    @Test func `spans of other traces are left out`() {
        var other = span("b", in: "a", 1, 2)
        other.traceID = TraceID(high: 1, low: 1)
        #expect(tree([span("a", 0, 9), other]).spans.count == 1)
    }

    @Test func `a missing parent makes an orphan, which is reported and hangs under no root`() {
        let tree = tree([span("a", 0, 9), span("c", in: "x", 1, 2)])
        #expect(tree.structure.orphans.map(tree.letter) == ["c"])
        #expect(tree.structure.roots.map(tree.letter) == ["a"])
        #expect(tree.warnings.map(\.span) == [tree.index("c")])
        #expect(!tree.structure.isComplete)
    }

    @Test func `a trace of orphans has no root`() {
        let tree = tree([span("c", in: "x", 1, 2)])
        #expect(tree.rootIndex == nil && TraceAnalysis.criticalPath(tree) == nil)
    }

    @Test func `of several roots the earliest is the root and all are reported`() {
        let tree = tree([span("b", 5, 9), span("a", 3, 4)])
        #expect(tree.structure.roots.map(tree.letter) == ["a", "b"])
        #expect(tree.rootSpan?.spanID == spanID("a"))
    }

    @Test func `a cycle is cut at the span with the earliest start`() {
        let tree = tree([span("a", in: "c", 5, 9), span("b", in: "a", 3, 4), span("c", in: "b", 6, 7)])
        #expect(tree.structure.cuts.map(tree.letter) == ["b"])
        #expect(tree.parent("b") == nil && tree.parent("c") == "b" && tree.parent("a") == "c")
        #expect(tree.warnings.count == 1)
    }

    @Test func `a span that is its own parent is a cycle of one`() {
        let tree = tree([span("a", in: "a", 5, 9), span("b", in: "a", 6, 7)])
        #expect(tree.structure.cuts.map(tree.letter) == ["a"] && tree.parent("b") == "a")
    }

    @Test func `a tail that leads into a cycle is no cycle`() {
        let tree = tree([
            span("t", in: "u", 1, 2), span("u", in: "a", 1, 2), span("a", in: "b", 5, 9), span("b", in: "a", 3, 4),
        ])
        #expect(tree.structure.cuts.map(tree.letter) == ["b"])
        #expect(tree.parent("t") == "u" && tree.parent("u") == "a" && tree.parent("a") == "b")
    }

    @Test func `halves of a shared id are two spans, the server's under the client's`() {
        let client = span("b", in: "a", 1, 9, service: "web", kind: .client)
        let server = span("b", in: "a", 2, 8, service: "app", kind: .server)
        let inner = span("c", in: "b", 3, 4, service: "app", kind: .client)
        let local = span("d", in: "b", 1, 2, service: "web")
        let tree = tree([span("a", 0, 10, service: "web", kind: .server), client, server, inner, local])
        #expect(tree.spans.count == 5 && tree.duplicateCount == 0)
        func parent(_ service: String, _ letter: Character, _ kind: SpanKind) -> SpanKind? {
            let index = tree.spans.firstIndex { $0.spanID == spanID(letter) && $0.kind == kind } ?? 0
            return tree.structure.parents[index].map { tree.spans[$0].kind }
        }
        #expect(parent("app", "b", .server) == .client)
        #expect(parent("app", "c", .client) == .server)
        #expect(parent("web", "d", .internal) == .client)
    }

    @Test func `of two spans with one key the one with more tags wins, either way round`() {
        let plain = span("a", 0, 9)
        let tagged = span("a", 1, 9, tags: [SpanTag("k", "v")])
        for spans in [[plain, tagged], [tagged, plain]] {
            let tree = tree(spans)
            #expect(tree.spans == [tagged] && tree.duplicateCount == 1)
        }
    }

    @Test func `with as many tags the larger content hash wins, either way round`() {
        let (one, other) = (span("a", 0, 9), span("a", 1, 9))
        #expect(tree([one, other]).spans == tree([other, one]).spans)
    }

    @Test func `children are found by the parent's id in order of start`() {
        let tree = tree([span("a", 0, 9), span("c", in: "a", 5, 6), span("b", in: "a", 1, 2)])
        #expect(tree.children(of: spanID("a")).map(\.spanID) == [spanID("b"), spanID("c")])
        #expect(tree.children(of: spanID("x")).isEmpty)
    }

    @Test func `order of arrival and repetition change nothing`() {
        for seed in UInt64(1)...60 {
            var maker = TraceMaker(seed: seed)
            let spans = maker.spans(30)
            var again = tree(maker.shuffled(spans + spans.prefix(7)))
            #expect(again.duplicateCount == 7)
            again.duplicateCount = 0
            #expect(again == tree(spans), "seed \(seed)")
        }
    }

    @Test func `a chain of ten thousand spans needs no deep stack`() {
        var spans: [TraceSpan] = []
        for depth in Int64(1)...10_000 {
            spans.append(
                TraceSpan(
                    spanID: SpanID(UInt64(depth)), traceID: TraceMaker.trace,
                    parentSpanID: depth == 1 ? nil : SpanID(UInt64(depth - 1)), serviceName: "s", operationName: "o",
                    startTime: Timestamp(nanoseconds: depth), endTime: Timestamp(nanoseconds: 40_000 - depth)))
        }
        let tree = tree(spans.reversed())
        let path = TraceAnalysis.criticalPath(tree)
        #expect(path?.sections.count == 19_999)
        #expect(FlameGraph(tree).json.utf8.count > 300_000)
        #expect(TraceAnalysis.adjusted(tree).spans == tree.spans)
    }
}

@Suite struct `Clock skew` {
    private func adjusted(_ spans: [TraceSpan], _ maximum: Int64 = 1_000) -> TraceTree {
        TraceAnalysis.adjusted(tree(spans), maximum: Nanoseconds(maximum))
    }

    @Test func `a child outside of its parent is moved to the middle of the slack`() {
        let tree = adjusted([span("a", 100, 200, host: "x"), span("b", in: "a", 300, 340, host: "y")])
        #expect(tree.spans[tree.index("b")].startTime == Timestamp(nanoseconds: 130))
        #expect(tree.spans[tree.index("b")].duration == Nanoseconds(40))
        #expect(!tree.isRaw && tree.totalDuration == Nanoseconds(100))
    }

    @Test func `a child on its parent's host moves with it`() {
        let tree = adjusted([
            span("a", 100, 200, host: "x"), span("b", in: "a", 300, 340, host: "y"),
            span("c", in: "b", 310, 320, host: "y"),
        ])
        #expect(tree.spans[tree.index("c")].startTime == Timestamp(nanoseconds: 140))
    }

    @Test func `a longer child is moved to its parent's start and no further`() {
        let tree = adjusted([span("a", 100, 200, host: "x"), span("b", in: "a", 50, 400, host: "y")])
        #expect(tree.spans[tree.index("b")].startTime == Timestamp(nanoseconds: 100))
    }

    @Test func `unknown hosts count as different ones`() {
        let tree = adjusted([span("a", 100, 200), span("b", in: "a", 90, 110)])
        #expect(tree.spans[tree.index("b")].startTime == Timestamp(nanoseconds: 140))
    }

    @Test func `a shift beyond the maximum is not made and warned of`() {
        let tree = adjusted([span("a", 100, 200, host: "x"), span("b", in: "a", 5_000, 5_020, host: "y")], 50)
        #expect(tree.spans[tree.index("b")].startTime == Timestamp(nanoseconds: 5_000))
        #expect(tree.warnings.map(\.span) == [tree.index("b")])
    }

    @Test func `a maximum of zero turns it off`() {
        let tree = adjusted([span("a", 100, 200, host: "x"), span("b", in: "a", 90, 110, host: "y")], 0)
        #expect(tree.spans[tree.index("b")].startTime == Timestamp(nanoseconds: 90))
        #expect(tree.warnings[0].text == "clock skew adjustment disabled; not applying calculated delta of 50ns")
    }

    @Test func `the raw tree keeps its times`() {
        let raw = tree([span("a", 100, 200, host: "x"), span("b", in: "a", 300, 340, host: "y")])
        _ = TraceAnalysis.adjusted(raw)
        #expect(raw.spans[raw.index("b")].startTime == Timestamp(nanoseconds: 300) && raw.isRaw)
    }

    @Test func `durations are written in their largest unit`() {
        #expect(DurationText.of(-45_000_000) == "-45ms" && DurationText.of(1_500_000_000) == "1.5s")
        #expect(DurationText.of(0) == "0ns" && DurationText.of(7_050) == "7.05us")
        #expect(DurationText.of(.min) == "-9223372036.854775808s")
    }
}

@Suite struct `Self time and breakdown` {
    @Test func `overlapping children are counted once`() {
        let tree = tree([
            span("a", 0, 100), span("b", in: "a", 10, 50, service: "cart"), span("c", in: "a", 40, 60, service: "cart"),
        ])
        let rows = TraceAnalysis.latencyBreakdown(tree)
        #expect(rows.map(\.serviceName) == ["cart", "checkout"])
        #expect(rows.map(\.selfTime.rawValue) == [60, 50])
        #expect(rows.map(\.total.rawValue) == [60, 100])
    }

    @Test func `errors are a rate`() {
        let tree = tree([span("a", 0, 100, status: .error), span("b", in: "a", 10, 50)])
        let row = TraceAnalysis.latencyBreakdown(tree)[0]
        #expect(row.errorRate == 0.5 && row.spanCount == 2)
        #expect(row.totalMs == 0.00014)
    }

    @Test func `without overlap the self times add up to the root`() {
        for seed in UInt64(1)...100 {
            var maker = TraceMaker(seed: seed)
            let spans = maker.spans(40, isTidy: true)
            let whole = tree(spans)
            let forest = whole.forest
            // A span counts where it does not overlap a sibling.
            var last: [SpanID: Timestamp] = [:]
            var kept: Set<SpanID> = [SpanID(1)]
            for index in forest.order.dropFirst() {
                let span = whole.spans[index]
                guard let parent = span.parentSpanID, kept.contains(parent),
                    span.startTime >= last[parent] ?? .zero
                else { continue }
                last[parent] = span.endTime
                kept.insert(span.spanID)
            }
            let disjoint = tree(spans.filter { kept.contains($0.spanID) })
            let sum = TraceAnalysis.selfTimes(disjoint.forest).reduce(0) { $0 + $1.rawValue }
            #expect(sum == disjoint.rootSpan?.duration.rawValue, "seed \(seed)")
        }
    }

    @Test func `self time is never negative and never more than the duration`() {
        for seed in UInt64(1)...100 {
            var maker = TraceMaker(seed: seed)
            let tree = tree(maker.spans(40))
            for (span, own) in zip(tree.spans, TraceAnalysis.selfTimes(tree.forest)) {
                #expect(own >= .zero && own <= span.duration, "seed \(seed)")
            }
        }
    }
}

@Suite struct `Flame graph` {
    private let tree = StateMachinesTests.tree([
        span("a", 0, 100, operation: "GET /"), span("b", in: "a", 10, 30, service: "cart", operation: "load"),
        span("c", in: "a", 40, 60, service: "cart", operation: "load"),
        span("d", in: "c", 45, 50, service: "db;1", operation: "a\nb"),
    ])

    @Test func `stacks are folded with their self time`() {
        #expect(
            FlameGraph(tree).folded
                == """
                checkout: GET / 60
                checkout: GET /;cart: load 35
                checkout: GET /;cart: load;db_1: a_b 5

                """)
    }

    @Test func `nested JSON has values that include the callees`() throws {
        struct Frame: Decodable, Equatable {
            var name: String
            var value: Int
            var children: [Frame]
        }
        let frame = try JSONDecoder().decode(Frame.self, from: Data(FlameGraph(tree).json.utf8))
        let leaf = Frame(name: "db;1: a\nb", value: 5, children: [])
        let cart = Frame(name: "cart: load", value: 40, children: [leaf])
        let root = Frame(name: "checkout: GET /", value: 100, children: [cart])
        #expect(frame == Frame(name: "all", value: 100, children: [root]))
    }

    @Test func `an empty trace is an empty frame`() {
        let empty = FlameGraph(StateMachinesTests.tree([]))
        #expect(empty.folded == "" && empty.json == "{\"name\":\"all\",\"value\":0,\"children\":[]}")
    }
}

@Suite struct `Trace comparison` {
    @Test func `the same trace has no differences`() {
        let tree = tree([span("a", 0, 100), span("b", in: "a", 10, 30)])
        let comparison = TraceComparison(tree, tree)
        #expect(comparison.paths.isEmpty && comparison.operations.allSatisfy { $0.selfGrowth == 0 })
    }

    @Test func `what is called anew or more often is named by its path, its callees are not`() {
        let good = tree([span("a", 0, 100), span("b", in: "a", 10, 30)])
        let bad = tree([
            span("a", 0, 300), span("b", in: "a", 10, 30), span("c", in: "a", 40, 50, operation: "b"),
            span("d", in: "b", 12, 20, service: "db"), span("e", in: "d", 13, 14, service: "db"),
        ])
        let comparison = TraceComparison(good, bad)
        #expect(
            comparison.paths == [
                PathDifference(path: ["checkout: a", "checkout: b"], countBefore: 1, countAfter: 2)
            ])
        #expect(TraceComparison(bad, good).paths[0].countAfter == 1)
    }

    @Test func `operations are listed by how much slower they are themselves`() {
        let good = tree([span("a", 0, 100), span("b", in: "a", 10, 30, service: "cart")])
        let bad = tree([span("a", 0, 180), span("b", in: "a", 10, 90, service: "cart", status: .error)])
        let comparison = TraceComparison(good, bad)
        #expect(comparison.operations.map(\.serviceName) == ["cart", "checkout"])
        #expect(comparison.operations.map(\.selfGrowth) == [60, 20])
        #expect(comparison.operations[0].errorsAfter == 1 && comparison.durationAfter == Nanoseconds(180))
    }
}
