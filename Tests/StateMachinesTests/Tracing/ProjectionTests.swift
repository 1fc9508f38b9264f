// What the collector counts: latency, percentiles, calls between services, objectives, anomalies.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Latency percentiles` {
    private func story(_ milliseconds: [Int64], service: String = "checkout") -> CollectorStory {
        var story = CollectorStory()
        for (index, duration) in milliseconds.enumerated() {
            story.receives([spanMs(1, 0, duration, trace: UInt64(index + 1), service: service)])
        }
        return story
    }

    @Test func `are exact to a tenth of a per cent and never too small`() {
        var maker = TraceMaker(seed: 7)
        var values = (0..<2_000).map { _ in Int64(maker.below(100_000_000) + 1) }
        var histogram = LatencyHistogram()
        for value in values { histogram.add(value) }
        values.sort()
        for points in stride(from: UInt32(0), through: 10_000, by: 125) {
            let rank = max(1, (values.count * Int(points) + 9_999) / 10_000)
            let exact = values[rank - 1]
            let found = histogram.percentile(basisPoints: points)?.rawValue ?? 0
            #expect(found >= exact && Double(found) <= Double(exact) * 1.001 + 1, "\(points)")
        }
    }

    @Test func `of one span are that span`() {
        let found = story([10]).collector.series().latencyPercentiles(
            service: "checkout", basisPoints: [0, 5_000, 10_000])
        for value in found.values.sorted() { #expect(abs(value.rawValue - 10_000_000) <= 10_000) }
        #expect(found.count == 3)
    }

    @Test func `of a service that nobody saw are none`() {
        #expect(story([10]).collector.series().latencyPercentiles(service: "cart", basisPoints: [5_000]).isEmpty)
        #expect(story([10]).collector.series().percentiles(service: "cart", operation: nil, basisPoints: [1]) == nil)
    }

    @Test func `of the parts merge into those of the whole`() {
        let story = story((1...200).map { Int64($0) })
        var merged = story.parts[0].series()
        for part in story.parts.dropFirst() { merged.merge(part.series()) }
        let points: [UInt32] = [0, 5_000, 9_000, 9_900, 10_000]
        #expect(
            merged.percentiles(service: "checkout", operation: nil, basisPoints: points)
                == story.collector.series().percentiles(service: "checkout", operation: nil, basisPoints: points))
    }

    @Test func `are told by operation too`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10, operation: "a"), spanMs(2, 0, 90, operation: "b", status: .error)])
        let report = story.collector.series().percentiles(service: "checkout", operation: "b", basisPoints: [5_000])
        #expect(report?.callCount == 1 && report?.errorCount == 1)
        #expect((report?.percentiles.first?.latency.rawValue ?? 0) / 100_000 == 900)
    }

    @Test func `of some windows leave the others out`() {
        var story = CollectorStory()
        story.now = story.now + .seconds(600)
        story.receives([spanMs(1, 0, 10), spanMs(2, 600_000, 600_090)])
        let start = Timestamp(nanoseconds: Story.beginning)
        let first = TraceSeries.windows(from: start, to: start + .seconds(1))
        #expect(story.collector.series(windows: first).latency(service: "checkout").count == 1)
        #expect(story.collector.series(windows: TraceSeries.windows(from: start, to: .zero)).services[0].callCount == 2)
        #expect(TraceSeries.windows(from: .zero, to: .zero) == nil)
    }

    @Test func `a value and its bin are close, over the whole range`() {
        for exponent in 0..<63 {
            for delta in [Int64(-1), 0, 1] {
                let value = (Int64(1) << exponent) + delta
                let range = LatencyHistogram.values(of: LatencyHistogram.bin(of: value))
                #expect(range.contains(value), "\(value)")
                #expect(Double(range.upperBound - range.lowerBound) <= Double(value) / 1_000, "\(value)")
            }
        }
        #expect(LatencyHistogram.bin(of: -5) == LatencyHistogram.bin(of: 0))
        #expect(LatencyHistogram.values(of: LatencyHistogram.bin(of: .max)).upperBound == .max)
    }

    @Test func `what was added can be taken back to nothing`() {
        var histogram = LatencyHistogram()
        for value in [Int64(5), 7, 5_000_000] { histogram.add(value) }
        for value in [Int64(5_000_000), 5, 7] { histogram.remove(value) }
        #expect(histogram.isEmpty && histogram == LatencyHistogram())
    }

    @Test func `bins of a checkpoint must ascend and count something`() {
        #expect(LatencyHistogram(bins: [UInt16(1), 2], counts: [Int32(1), 1]) != nil)
        #expect(LatencyHistogram(bins: [UInt16(2), 1], counts: [Int32(1), 1]) == nil)
        #expect(LatencyHistogram(bins: [UInt16(1)], counts: [Int32(0)]) == nil)
        #expect(LatencyHistogram(bins: [UInt16(1)], counts: [Int32]()) == nil)
    }

    @Test func `services and operations are told with their counts, by name`() {
        var story = CollectorStory()
        story.receives([
            spanMs(1, 0, 10, service: "web", operation: "b"),
            spanMs(2, 0, 10, service: "web", operation: "a", kind: .client),
            spanMs(3, 0, 10, service: "web", operation: "a", status: .cancelled), spanMs(4, 0, 10, service: "cart"),
        ])
        let series = story.collector.series()
        #expect(series.services.map(\.serviceName) == ["cart", "web"] && series.services.map(\.callCount) == [1, 3])
        let operations = series.operations(of: "web")
        #expect(operations.map(\.operationName) == ["a", "a", "b"])
        #expect(operations.map(\.kind) == [.server, .client, .server] && operations.map(\.errorCount) == [1, 0, 0])
        #expect(series.operations(of: nil).count == 4)
    }
}

@Suite struct `Dependencies` {
    private func graph(_ spans: [TraceSpan]) -> DependencyGraph {
        var story = CollectorStory()
        story.receives(spans)
        story.expectOneState()
        return story.collector.series().dependencyGraph
    }

    private func links(_ spans: [TraceSpan]) -> [String] {
        graph(spans).edges.map { "\($0.parent)>\($0.child) \($0.callCount)/\($0.errorCount)" }
    }

    @Test func `client and server of one call count once`() {
        #expect(
            links([spanMs(1, 0, 90, service: "web", kind: .client), spanMs(2, in: 1, 10, 80, service: "cart")])
                == ["web>cart 1/0"])
    }

    @Test func `halves of a shared id count once`() {
        #expect(
            links([spanMs(1, 0, 90, service: "web", kind: .client), spanMs(1, 10, 80, service: "cart")])
                == ["web>cart 1/0"])
    }

    @Test func `an error on either side is an error of the call`() {
        let client = spanMs(1, 0, 90, service: "web", kind: .client, status: .error)
        let server = spanMs(2, in: 1, 10, 80, service: "cart", status: .timeout)
        #expect(links([client, spanMs(2, in: 1, 10, 80, service: "cart")]) == ["web>cart 1/1"])
        #expect(links([spanMs(1, 0, 90, service: "web", kind: .client), server]) == ["web>cart 1/1"])
        #expect(links([client, server]) == ["web>cart 1/1"])
    }

    @Test func `a leaf client's peer is a virtual node`() {
        let found = graph([spanMs(1, 0, 9, service: "cart", kind: .client, peer: "mysql")])
        #expect(found.edges.map(\.child) == ["mysql"] && found.edges.map(\.isChildVirtual) == [true])
        #expect(found.edges.map(\.isParentVirtual) == [false])
    }

    @Test(arguments: [
        "db.system", "db.system.name", "server.address", "peer.service", "net.peer.name", "messaging.system",
    ])
    func `the peer may stand in the tags`(_ key: String) {
        #expect(
            links([spanMs(1, 0, 9, kind: .client, tags: [SpanTag("x", "y"), SpanTag(key, "pg")])]) == [
                "checkout>pg 1/0"
            ])
    }

    @Test func `the first of the tags' names counts, the span's own word before all`() {
        let tags = [SpanTag("server.address", "10.0.0.1"), SpanTag("peer.service", "stock")]
        #expect(links([spanMs(1, 0, 9, kind: .client, tags: tags)]) == ["checkout>stock 1/0"])
        #expect(links([spanMs(1, 0, 9, kind: .client, peer: "own", tags: tags)]) == ["checkout>own 1/0"])
        #expect(links([spanMs(1, 0, 9, kind: .server, tags: tags)]).isEmpty, "a server's address is its own")
    }

    @Test func `messages go from the producer over the broker to the consumer`() {
        #expect(
            links([
                spanMs(1, 0, 9, service: "orders", kind: .producer, peer: "kafka"),
                spanMs(2, in: 1, 20, 30, service: "mail", kind: .consumer, peer: "kafka"),
            ]) == ["kafka>mail 1/0", "orders>kafka 1/0"])
    }

    @Test func `services that call themselves stand apart`() {
        let found = graph([spanMs(1, 0, 90, kind: .client), spanMs(2, in: 1, 10, 80)])
        #expect(found.edges.isEmpty && found.selfEdges.map(\.callCount) == [1])
    }

    @Test func `a side without its other side is counted, not lost`() {
        let found = graph([spanMs(1, 0, 90, kind: .client), spanMs(2, 0, 9, kind: .producer)])
        #expect(found.edges.isEmpty && found.unpairedCount == 2)
    }

    @Test func `spans inside of a service are no calls`() {
        #expect(links([spanMs(1, 0, 90, kind: .internal), spanMs(2, in: 1, 0, 9, kind: .internal)]).isEmpty)
    }

    @Test func `a late server takes the call over from its client`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 90, service: "web", kind: .client, peer: "cart-lb")])
        #expect(story.collector.series().dependencyGraph.edges.map(\.child) == ["cart-lb"])
        story.receives([spanMs(2, in: 1, 10, 80, service: "cart")])
        #expect(story.collector.series().dependencyGraph.edges.map(\.child) == ["cart"])
        story.expectOneState()
    }

    @Test func `edges carry the latency of their calls`() {
        let found = graph([spanMs(1, 0, 90, service: "web", kind: .client), spanMs(2, in: 1, 10, 80, service: "cart")])
        #expect(found.edges.first?.latency.count == 1)
        #expect((found.edges.first?.latency.percentile(basisPoints: 10_000)?.rawValue ?? 0) / 1_000_000 == 70)
    }
}

@Suite struct `Objectives` {
    private func report(_ spans: [TraceSpan], _ points: UInt32 = 9_000) -> ServiceCompliance {
        var story = CollectorStory()
        story.receives(spans)
        let objective = ServiceObjective(latency: .milliseconds(50), availabilityBasisPoints: points)
        return story.collector.series().complianceReport(NamedObjectives(["checkout": objective]))[0]
    }

    private func requests(_ count: Int, failing: Int = 0, slow: Int = 0) -> [TraceSpan] {
        (0..<count).map { index in
            spanMs(
                UInt64(index + 1), 0, index >= count - slow ? 90 : 10, status: index < failing ? .error : .ok)
        }
    }

    @Test func `all is well`() {
        let row = report(requests(10))
        #expect(row.isCompliant && row.compliance == 1 && row.burnRate == 0 && row.errorBudgetLeft == 1)
    }

    @Test func `errors and slow requests spend the budget`() {
        let row = report(requests(20, failing: 1, slow: 2))
        #expect(row.requestCount == 20 && row.errorCount == 1 && row.slowCount == 2 && row.goodCount == 17)
        #expect(!row.isCompliant && row.compliance == 0.85)
        #expect(abs(row.burnRate - 1.5) < 1e-9 && abs(row.errorBudgetLeft + 0.5) < 1e-9)
    }

    @Test func `exactly as good as promised is good`() {
        let row = report(requests(10, failing: 1))
        #expect(row.isCompliant && abs(row.burnRate - 1) < 1e-9 && abs(row.errorBudgetLeft) < 1e-9)
    }

    @Test func `a slow failure counts once`() {
        let row = report([spanMs(1, 0, 90, status: .error)])
        #expect(row.errorCount == 1 && row.slowCount == 0 && row.goodCount == 0)
    }

    @Test func `no requests keep every promise`() {
        let row = report([])
        #expect(row.isCompliant && row.compliance == 1 && row.requestCount == 0 && row.burnRate == 0)
    }

    @Test func `who promises everything burns without end at the first failure`() {
        let row = report(requests(2, failing: 1), 10_000)
        #expect(row.burnRate == .infinity && !row.isCompliant)
    }

    @Test func `requests are what a service serves; of one that serves none, all it does`() {
        #expect(report([spanMs(1, 0, 10), spanMs(2, in: 1, 0, 9, kind: .client, status: .error)]).errorCount == 0)
        #expect(report([spanMs(2, in: 1, 0, 9, kind: .client, status: .error)]).errorCount == 1)
    }

    @Test func `the specification's services are reported unless others are named`() {
        let rows = TraceCollector().series().complianceReport()
        #expect(rows.map(\.serviceName) == ["discovery", "mirror", "tracing"])
        #expect(SERVICE_SLO["tracing"]?.latencyMs == 25 && SERVICE_SLO["tracing"]?.availability == 0.999)
    }
}

@Suite struct `Anomalies` {
    /// A window of ordinary roots, then the next one.
    private func seasoned(_ settings: TraceSettings = TraceSettings(), count: Int = 120) -> CollectorStory {
        var story = CollectorStory(settings)
        for index in 0..<count {
            story.receives([spanMs(1, 0, 20 + Int64(index % 5), trace: UInt64(1_000 + index))])
        }
        story.pass(300)
        return story
    }

    private func verdict(_ story: inout CollectorStory, _ span: TraceSpan) -> TraceVerdict? {
        var span = span
        (span.startTime, span.endTime) = (span.startTime + .seconds(300), span.endTime + .seconds(300))
        span.traceID = TraceID(high: 0, low: 1)
        story.receives([span])
        story.pass(11)
        story.expectOneState()
        return story.collector.summary(of: TraceID(high: 0, low: 1))?.verdict
    }

    @Test func `a root far beyond its operation's baseline is slow, and the verdict says by how much`() throws {
        var story = seasoned()
        let found = try #require(verdict(&story, spanMs(1, 0, 500)))
        #expect(found.isSlow && found.isAnomalous && !found.hasError)
        #expect(found.duration == .milliseconds(500) && found.median.rawValue / 1_000_000 == 22)
        #expect(found.excess == Nanoseconds(found.duration.rawValue - found.limit.rawValue))
        #expect(story.collector.anomalousTraces(limit: 5).map(\.traceID.low) == [1])
    }

    @Test func `a root as long as the others is ordinary`() {
        var story = seasoned()
        #expect(verdict(&story, spanMs(1, 0, 24))?.isAnomalous == false)
        #expect(story.collector.anomalousTraces(limit: 5).isEmpty)
    }

    @Test func `the limit is median and five times the largest of deviation, five per cent and a millisecond`() {
        #expect(AnomalyBaseline.limit(median: 100_000_000, deviation: 10_000_000, TraceSettings()) == 174_130_000)
        #expect(AnomalyBaseline.limit(median: 100_000_000, deviation: 0, TraceSettings()) == 125_000_000)
        #expect(AnomalyBaseline.limit(median: 1_000, deviation: 0, TraceSettings()) == 5_001_000)
        #expect(AnomalyBaseline.limit(median: .max, deviation: .max, TraceSettings()) == .max)
    }

    @Test func `fewer than a hundred samples say nothing`() {
        var story = seasoned(count: 99)
        let found = verdict(&story, spanMs(1, 0, 500))
        #expect(found?.isSlow == false && found?.limit == .zero && found?.excess == .zero)
    }

    @Test func `an error is an anomaly whatever the baseline`() {
        var story = CollectorStory()
        let found = verdict(&story, spanMs(1, 0, 5, status: .error))
        #expect(found?.hasError == true && found?.isSlow == false && found?.isAnomalous == true)
    }

    @Test func `an absolute threshold counts where one is set`() {
        var settings = TraceSettings()
        settings.anomalyThreshold = .milliseconds(50)
        var story = CollectorStory(settings)
        #expect(verdict(&story, spanMs(1, 0, 51))?.isOverThreshold == true)
        var other = CollectorStory(settings)
        #expect(verdict(&other, spanMs(1, 0, 50))?.isOverThreshold == false)
    }

    @Test func `a verdict falls when nothing came for ten seconds, and then stands`() {
        var story = CollectorStory()
        let id = TraceID(high: 0, low: 1)
        story.receives([spanMs(1, 0, 5)])
        story.pass(9)
        #expect(story.collector.summary(of: id)?.verdict == nil)
        story.pass(1)
        #expect(story.collector.summary(of: id)?.verdict?.isAnomalous == false)
        story.receives([spanMs(2, in: 1, 1, 2, status: .error)])
        story.pass(20)
        #expect(story.collector.summary(of: id)?.verdict?.isAnomalous == false, "decision 20: it stands")
        #expect(story.collector.counters.lateSpans == 1)
        story.expectOneState()
    }

    @Test func `a trace without a root waits for one`() {
        var story = CollectorStory()
        let id = TraceID(high: 0, low: 1)
        story.receives([spanMs(2, in: 1, 1, 2, status: .error)])
        story.pass(20)
        #expect(story.collector.summary(of: id)?.verdict == nil)
        story.receives([spanMs(1, 0, 5)])
        story.pass(20)
        #expect(story.collector.summary(of: id)?.verdict?.hasError == true)
        story.expectOneState()
    }

    @Test func `the furthest over its limit comes first, and no more than asked for`() {
        var story = seasoned()
        for (trace, duration) in [(1, 200), (2, 900), (3, 500)] as [(UInt64, Int64)] {
            story.receives([spanMs(1, 300_000, 300_000 + duration, trace: trace)])
        }
        story.pass(11)
        #expect(story.collector.anomalousTraces(limit: 5).map(\.traceID.low) == [2, 3, 1])
        #expect(story.collector.anomalousTraces(limit: 2).count == 2)
        let parts = story.parts.flatMap { $0.anomalousTraces(limit: 5) }.sorted(by: FoundTrace.isMoreAnomalous)
        #expect(parts.map(\.traceID.low) == [2, 3, 1])
    }

    @Test func `a baseline of the window before the last is forgotten`() {
        var story = seasoned()
        story.pass(600)
        var span = spanMs(1, 900_000, 900_500)
        span.traceID = TraceID(high: 0, low: 1)
        story.receives([span])
        story.pass(11)
        #expect(story.collector.summary(of: TraceID(high: 0, low: 1))?.verdict?.limit == .zero)
    }
}
