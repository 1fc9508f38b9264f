// What can be asked of the collector about single traces and about lists of them.

import EventModel
import Testing

@testable import StateMachines

private let one = TraceID(high: 0, low: 1)

@Suite struct `Assembled traces` {
    /// web calls cart, cart calls mysql; milliseconds.
    private static let call = [
        spanMs(1, 0, 100, service: "web"), spanMs(2, in: 1, 10, 80, service: "web", kind: .client),
        spanMs(3, in: 2, 20, 70, service: "cart"),
        spanMs(4, in: 3, 30, 60, service: "cart", kind: .client, status: .error, peer: "mysql"),
    ]

    private func collected(_ spans: [TraceSpan]) -> (tree: TraceTree, story: CollectorStory) {
        var story = CollectorStory()
        story.receives(spans)
        let facts = story.collector.facts(of: one) ?? TraceFacts(traceID: one, spans: [], verdict: nil)
        return (facts.tree(asOf: story.collector.moment.asOf), story)
    }

    @Test func `a trace is assembled with root, durations, services, errors and the position it is true for`() {
        let (tree, story) = collected(Self.call)
        #expect(tree.rootSpan?.spanID == SpanID(1) && tree.totalDuration == .milliseconds(100))
        #expect(tree.serviceCount == 2 && tree.errorCount == 1 && tree.spans.count == 4)
        #expect(tree.assembledAt == story.collector.moment.asOf && tree.structure.isComplete)
        #expect(tree.structure.parents == [nil, 0, 1, 2])
    }

    @Test func `spans that come backwards make the same tree`() {
        let (forth, _) = collected(Self.call)
        let (back, _) = collected(Self.call.reversed())
        #expect(forth.structure == back.structure && forth.spans.map(\.spanID) == back.spans.map(\.spanID))
    }

    @Test func `a late span re-opens its trace`() {
        var (_, story) = collected(Array(Self.call.dropFirst()))
        #expect(story.collector.incompleteTraces().map(\.traceID) == [one])
        story.pass(60)
        story.receives([Self.call[0]])
        #expect(story.collector.incompleteTraces().isEmpty)
        #expect(story.collector.facts(of: one)?.tree(asOf: Moment.origin.asOf).structure.isComplete == true)
        story.expectOneState()
    }

    @Test func `a trace without a root is incomplete and still assembled`() {
        let (tree, story) = collected([spanMs(2, in: 1, 0, 10), spanMs(3, in: 2, 1, 2)])
        #expect(tree.rootSpan == nil && tree.structure.orphans.count == 1 && tree.warnings.count == 1)
        #expect(story.collector.summary(of: one)?.hasRoot == false)
        #expect(story.collector.summary(of: one)?.root.key.spanID == SpanID(2))
    }

    @Test func `several roots are reported, the earliest is the root`() {
        let (tree, story) = collected([spanMs(5, 7, 9), spanMs(6, 3, 4)])
        #expect(tree.structure.roots.count == 2 && tree.rootSpan?.spanID == SpanID(6))
        #expect(story.collector.summary(of: one)?.root.key.spanID == SpanID(6) && !tree.structure.isComplete)
    }

    @Test func `a cycle is cut at its earliest span`() {
        let (tree, _) = collected([spanMs(1, in: 3, 5, 9), spanMs(2, in: 1, 3, 4), spanMs(3, in: 2, 6, 7)])
        #expect(tree.structure.cuts == [0] && tree.spans[0].spanID == SpanID(2) && tree.structure.roots.isEmpty)
    }

    @Test func `a span that is its own parent is a cycle of one`() {
        let (tree, story) = collected([spanMs(1, in: 1, 0, 10)])
        #expect(tree.structure.cuts == [0])
        #expect(story.collector.incompleteTraces().map(\.traceID) == [one])
    }

    @Test func `one span is found by its id, both halves of a shared one`() {
        let (_, story) = collected(Self.call + [spanMs(2, in: 1, 20, 30, service: "cart")])
        #expect(story.collector.span(one, SpanID(3)).map(\.serviceName) == ["cart"])
        #expect(story.collector.span(one, SpanID(2)).map(\.kind) == [.client, .server])
        #expect(story.collector.span(one, SpanID(99)).isEmpty)
        #expect(story.collector.span(TraceID(high: 9, low: 9), SpanID(1)).isEmpty)
    }

    @Test func `children come in order of their start`() {
        let (_, story) = collected([spanMs(1, 0, 90), spanMs(2, in: 1, 50, 60), spanMs(3, in: 1, 10, 20)])
        #expect(story.collector.children(one, SpanID(1)).map(\.key.spanID) == [SpanID(3), SpanID(2)])
        #expect(story.collector.children(one, SpanID(2)).isEmpty)
    }

    @Test func `the server's half of a shared id is its client's child and not its parent's`() {
        let (_, story) = collected([
            spanMs(1, 0, 90), spanMs(2, in: 1, 10, 80, service: "web", kind: .client),
            spanMs(2, in: 1, 20, 70, service: "cart"),
        ])
        #expect(story.collector.children(one, SpanID(1)).map(\.kind) == [.client])
        #expect(story.collector.children(one, SpanID(2)).map(\.kind) == [.server])
    }

    @Test func `the breakdown gives total and self time per service, the largest self time first`() {
        let (tree, _) = collected(Self.call)
        let rows = TraceAnalysis.latencyBreakdown(tree)
        #expect(rows.map(\.serviceName) == ["cart", "web"])
        #expect(rows.map(\.selfTime) == [.milliseconds(50), .milliseconds(50)].reversed())
        #expect(rows.map(\.total) == [.milliseconds(80), .milliseconds(170)])
        #expect(rows.map(\.errorRate) == [0.5, 0] && rows.map(\.totalMs) == [80, 170])
    }

    @Test func `the critical path tiles the root and names each service's share`() throws {
        let (tree, _) = collected(Self.call)
        let path = try #require(TraceAnalysis.criticalPath(tree))
        #expect(path.sections.map(\.duration).reduce(.zero, +) == .milliseconds(100))
        #expect(
            path.sections.first?.end == tree.spans[0].endTime && path.sections.last?.start == tree.spans[0].startTime)
        #expect(path.shares.map(\.duration).reduce(.zero, +) == .milliseconds(100))
        #expect(path.slack == [.zero, .zero, .zero, .zero])
    }

    @Test func `a span beside the path has slack`() throws {
        let (tree, _) = collected([spanMs(1, 0, 100), spanMs(2, in: 1, 0, 90), spanMs(3, in: 1, 0, 60)])
        let path = try #require(TraceAnalysis.criticalPath(tree))
        let place = try #require(tree.spans.firstIndex { $0.spanID == SpanID(3) })
        #expect(path.slack[place] == .milliseconds(30))
    }

    @Test func `a clock that goes wrong is corrected in the adjusted view only`() {
        var story = CollectorStory()
        var (client, server) = (spanMs(1, 0, 100, service: "web", kind: .client), spanMs(2, in: 1, 500, 540))
        client.resource = [SpanTag("host.name", "web-1")]
        server.resource = [SpanTag("host.name", "cart-1")]
        story.receives([client, server])
        let raw = story.collector.facts(of: one)!.tree(asOf: Moment.origin.asOf)
        let adjusted = TraceAnalysis.adjusted(raw)
        #expect(raw.isRaw && raw.spans[1].startTime == server.startTime)
        #expect(!adjusted.isRaw && adjusted.spans[1].startTime == client.startTime + .milliseconds(30))
    }

    @Test func `spans of one host share its clock`() {
        var story = CollectorStory()
        var spans = [spanMs(1, 0, 100, service: "web", kind: .client), spanMs(2, in: 1, 500, 540)]
        for index in spans.indices { spans[index].resource = [SpanTag("host.name", "same")] }
        story.receives(spans)
        let raw = story.collector.facts(of: one)!.tree(asOf: Moment.origin.asOf)
        #expect(TraceAnalysis.adjusted(raw).spans.map(\.startTime) == raw.spans.map(\.startTime))
    }

    @Test func `a span's own host tag comes before its process's, an address before a name`() {
        var story = CollectorStory()
        var span = spanMs(1, 0, 10, tags: [SpanTag("host.name", "b"), SpanTag("ip", "10.0.0.1")])
        span.resource = [SpanTag("ip", "10.0.0.9")]
        story.receives([span])
        #expect(story.collector.spans(of: one).map(\.host) == ["10.0.0.1"] && span.host == "10.0.0.1")
        story.expectOneState()
    }

    @Test func `a flame graph counts self time along the stack`() {
        let (tree, _) = collected(Self.call)
        let graph = FlameGraph(tree)
        #expect(graph.folded.split(separator: "\n").count == 4)
        #expect(graph.folded.hasPrefix("web: o 30000000\n"))
        #expect(graph.json.hasPrefix(#"{"name":"all","value":100000000,"children":[{"name":"web: o","#))
    }
}

@Suite struct `Search` {
    private func story() -> CollectorStory {
        var story = CollectorStory()
        for index in 0..<40 {
            let (trace, start) = (UInt64(index + 1), Int64(index * 100))
            story.receives([
                spanMs(1, start, start + Int64(index) + 1, trace: trace, service: "web", operation: "GET /"),
                spanMs(
                    2, in: 1, start, start + 1, trace: trace, service: index % 2 == 0 ? "cart" : "stock",
                    operation: "o\(index % 3)", status: index % 5 == 0 ? .error : .ok),
            ])
        }
        return story
    }

    private func ids(_ story: CollectorStory, _ change: (inout TraceCriteria) -> Void) -> [UInt64] {
        var search = TraceCriteria()
        search.limit = 1_000
        change(&search)
        let whole = story.collector.search(search)
        let parts = story.parts.flatMap { $0.search(search) }.sorted(by: FoundTrace.precedes)
        #expect(Array(parts.prefix(search.limit)) == whole)
        return whole.map(\.traceID.low)
    }

    @Test func `everything, the latest first`() {
        #expect(ids(story()) { _ in } == Array((1...40).reversed()))
    }

    @Test func `by service, whichever span it is`() {
        #expect(ids(story()) { $0.serviceName = "web" }.count == 40)
        #expect(ids(story()) { $0.serviceName = "cart" }.allSatisfy { $0 % 2 == 1 })
        #expect(ids(story()) { $0.serviceName = "nobody" }.isEmpty)
    }

    @Test func `by operation, of the same span as the service`() {
        #expect(ids(story()) { $0.operationName = "o1" }.count == 13)
        #expect(ids(story()) { ($0.serviceName, $0.operationName) = ("web", "o1") }.isEmpty)
        #expect(ids(story()) { ($0.serviceName, $0.operationName) = ("cart", "o1") }.allSatisfy { $0 % 6 == 5 })
    }

    @Test func `by the duration of the trace, both ends included`() {
        #expect(ids(story()) { $0.minimumDuration = .milliseconds(38) } == [40, 39, 38])
        #expect(ids(story()) { $0.maximumDuration = .milliseconds(2) } == [2, 1])
        #expect(ids(story()) { ($0.minimumDuration, $0.maximumDuration) = (.milliseconds(5), .milliseconds(5)) } == [5])
    }

    @Test func `by errors, with and without`() {
        #expect(ids(story()) { $0.hasError = true } == [36, 31, 26, 21, 16, 11, 6, 1])
        #expect(ids(story()) { $0.hasError = false }.count == 32)
    }

    @Test func `by the start of the trace, both ends included`() {
        let start = Timestamp(nanoseconds: Story.beginning)
        #expect(
            ids(story()) { ($0.from, $0.to) = (start + .milliseconds(200), start + .milliseconds(400)) } == [5, 4, 3])
    }

    @Test(arguments: [1, 3, 7, 39, 40, 41]) func `pages neither skip nor repeat`(_ limit: Int) {
        let story = story()
        var found: [UInt64] = []
        var search = TraceCriteria()
        search.limit = limit
        while true {
            let page = story.collector.search(search)
            if page.isEmpty { break }
            #expect(page.count <= limit)
            found += page.map(\.traceID.low)
            search.after = page.last?.place
        }
        #expect(found == Array((1...40).reversed()))
    }

    @Test func `traces that came meanwhile are before the next page, not in it`() {
        var story = story()
        var search = TraceCriteria()
        search.limit = 10
        search.after = story.collector.search(search).last?.place
        story.receives([spanMs(1, 99_000, 99_001, trace: 77)])
        #expect(story.collector.search(search).map(\.traceID.low) == Array((21...30).reversed()))
    }

    @Test func `traces of one moment are told apart by their ids`() {
        var story = CollectorStory()
        for trace in [5, 3, 9, 1, 7] { story.receives([spanMs(1, 0, 10, trace: UInt64(trace))]) }
        var search = TraceCriteria()
        search.limit = 2
        let first = story.collector.search(search)
        search.after = first.last?.place
        #expect(first.map(\.traceID.low) == [1, 3])
        #expect(story.collector.search(search).map(\.traceID.low) == [5, 7])
    }

    @Test func `a summary counts spans, errors and services`() throws {
        let summary = try #require(story().collector.summary(of: one))
        #expect(summary.spanCount == 2 && summary.errorCount == 1 && summary.hasRoot)
        #expect(summary.root.operationName == "GET /" && summary.duration == .milliseconds(1))
        #expect(summary.services.map(\.serviceName) == ["cart", "web"])
        #expect(summary.services.map(\.errorCount) == [1, 0] && summary.verdict == nil)
    }

    @Test func `the spans that fit are named for whoever reads their tags`() {
        var search = TraceCriteria()
        (search.serviceName, search.wantsFitting, search.limit) = ("cart", true, 1)
        #expect(story().collector.search(search).first?.fitting.map(\.serviceName) == ["cart"])
    }

    @Test func `nothing is found where nothing is asked for`() {
        #expect(ids(story()) { $0.limit = 0 }.isEmpty)
    }

    @Test func `slow spans come longest first, by service and operation where asked`() {
        let collector = story().collector
        let slow = collector.slowSpans(threshold: .milliseconds(37), limit: 10)
        #expect(slow.map(\.duration) == [.milliseconds(40), .milliseconds(39), .milliseconds(38)])
        #expect(collector.slowSpans(threshold: .zero, limit: 5).count == 5)
        #expect(collector.slowSpans(threshold: .zero, serviceName: "cart", limit: 1_000).count == 20)
        #expect(collector.slowSpans(threshold: .zero, serviceName: "nobody", limit: 5).isEmpty)
        #expect(collector.slowSpans(threshold: .zero, operationName: "o1", limit: 1_000).count == 13)
    }

    @Test func `slow spans of a large mesh are cut to the longest`() {
        var story = CollectorStory()
        for trace in 1...40 {
            story.receives((1...64).map { spanMs($0, 0, Int64($0) * 41 + Int64(trace), trace: UInt64(trace)) })
        }
        let slow = story.collector.slowSpans(threshold: .zero, limit: 3)
        #expect(slow.map(\.duration) == [2_664, 2_663, 2_662].map { Nanoseconds.milliseconds($0) })
        let parts = story.parts.flatMap { $0.slowSpans(threshold: .zero, limit: 3) }.sorted(by: SpanFacts.isSlower)
        #expect(Array(parts.prefix(3)) == slow)
    }
}

@Suite struct `Incomplete traces` {
    @Test func `are those without a root, the latest first`() {
        var story = CollectorStory()
        for trace in 1...6 {
            let start = Int64(trace) * 10
            story.receives([
                spanMs(2, in: trace % 2 == 0 ? 1 : nil, start, start + 1, trace: UInt64(trace))
            ])
        }
        #expect(story.collector.incompleteTraces().map(\.traceID.low) == [6, 4, 2])
        let first = story.collector.incompleteTraces(limit: 2)
        #expect(first.map(\.traceID.low) == [6, 4])
        #expect(story.collector.incompleteTraces(limit: 2, after: first.last?.place).map(\.traceID.low) == [2])
    }

    @Test func `the server's half of a shared id is no root while its client is there`() {
        var story = CollectorStory()
        story.receives([spanMs(2, in: 1, 0, 10, service: "web", kind: .client), spanMs(2, 2, 8, service: "cart")])
        #expect(story.collector.incompleteTraces().map(\.traceID) == [one])
    }
}
