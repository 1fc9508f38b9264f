// The collector's settings change by events, for every part alike, and are part of what is digested.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `Settings of the collector` {
    private func change(_ body: (inout TracesConfiguration) -> Void) -> Event {
        var change = TracesConfiguration()
        body(&change)
        return .policy(.tracesConfigured(change))
    }

    @Test func `an event changes what it names and leaves the rest`() {
        var story = CollectorStory()
        let outcome = story.append(
            change {
                $0.timeToLive = .seconds(7_200)
                $0.anomalyFactor = 7
            })
        #expect(outcome.accepted == 1 && outcome.refused.isEmpty)
        var expected = TraceSettings()
        (expected.timeToLive, expected.anomalyFactor) = (.seconds(7_200), 7)
        #expect(story.collector.settings == expected)
        story.expectOneState()
    }

    @Test func `settings as they are at first are in no digest and in no checkpoint`() {
        var (touched, untouched) = (CollectorStory(), CollectorStory())
        touched.append(change { $0.spansPerTrace = 20_000 })
        untouched.append(.policy(.semanticsActivated(version: 1, reason: "")))
        #expect(touched.collector.encodeCheckpoint() == untouched.collector.encodeCheckpoint())
        untouched.expectOneState()
        touched.expectOneState()
        untouched.append(.clock(.tick(slot: 1)))
        touched.append(change { $0.spansPerTrace = 19_999 })
        #expect(touched.collector.encodeCheckpoint() != untouched.collector.encodeCheckpoint())
        touched.expectOneState()
    }

    @Test(arguments: 0..<18) func `what is out of range changes nothing`(_ index: Int) {
        let wrong: [(inout TracesConfiguration) -> Void] = [
            { $0.timeToLive = .milliseconds(999) }, { $0.timeToLive = .seconds(8 * 86_400) },
            { $0.spansPerTrace = 0 }, { $0.spansPerTrace = 65_537 }, { $0.settleAfter = .zero },
            { $0.settleAfter = .seconds(3_601) }, { $0.anomalyFactor = 0 }, { $0.anomalyFactor = 1_001 },
            { $0.anomalyFloor = .seconds(-1) }, { $0.anomalySamples = 0 }, { $0.anomalyThreshold = .seconds(-1) },
            { $0.seriesWindows = 0 }, { $0.seriesWindows = 2_017 }, { $0.services = 0 }, { $0.peers = 20_001 },
            { $0.operationsPerService = 10_001 },
            { $0.objectives = [Self.objective("", .seconds(1), 9_999)] },
            { $0.objectives = [Self.objective("checkout", .seconds(1), 10_001)] },
        ]
        var story = CollectorStory()
        let outcome = story.append(
            change {
                $0.anomalyFactor = 9
                wrong[index](&$0)
            })
        #expect(outcome.accepted == 0 && outcome.refused.map(\.reason) == [.invalidSetting])
        #expect(story.collector.settings == TraceSettings())
    }

    private static func objective(_ name: String, _ latency: Nanoseconds, _ points: UInt32) -> NamedObjective {
        NamedObjective(
            serviceName: name, objective: ServiceObjective(latency: latency, availabilityBasisPoints: points))
    }

    @Test func `objectives are set, replaced and taken away by service`() {
        var story = CollectorStory()
        story.append(
            change {
                $0.objectives = [
                    Self.objective("checkout", .milliseconds(250), 9_990), Self.objective("mirror", .zero, 0),
                ]
            })
        story.append(change { $0.objectives = [Self.objective("checkout", .milliseconds(200), 9_950)] })
        let objectives = story.collector.settings.objectives
        #expect(objectives.inOrder.map(\.name) == ["checkout", "discovery", "tracing"])
        #expect(objectives.byName[ByteName("checkout")]?.latency == .milliseconds(200))
        story.receives([spanMs(1, 0, 100), spanMs(2, 0, 300, trace: 2)])
        let rows = story.collector.series().complianceReport(objectives)
        #expect(rows.map(\.serviceName) == ["checkout", "discovery", "tracing"])
        #expect(rows[0].requestCount == 2 && rows[0].slowCount == 1)
        story.restarts()
        #expect(story.collector.settings.objectives == objectives)
        story.expectOneState()
    }

    @Test func `names that Unicode deems equal are two services, where names are bytes`() {
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        for version: UInt32 in [1, 2] {
            var story = CollectorStory()
            story.semantics = Semantics(version: version)
            for (name, points) in [(composed, UInt32(9_000)), (decomposed, 8_000)] {
                story.append(change { $0.objectives = [Self.objective(name, .seconds(1), points)] })
            }
            let found = story.collector.settings.objectives.inOrder.filter { $0.name == composed }
            let expected: [UInt32] = version == 1 ? [8_000] : [8_000, 9_000]
            #expect(found.map(\.objective.availabilityBasisPoints).sorted() == expected)
            story.restarts()
            story.expectOneState()
            story.append(change { $0.objectives = [Self.objective(decomposed, .zero, 0)] })
            #expect(
                story.collector.settings.objectives.inOrder.filter { $0.name == composed }.count == expected.count - 1)
        }
    }

    @Test func `a shorter time to live holds for the traces that are there`() {
        var story = CollectorStory()
        story.receives([spanMs(1, 0, 10)])
        story.pass(120)
        #expect(story.collector.traceCount == 1)
        story.append(change { $0.timeToLive = .seconds(60) })
        story.tick()
        #expect(story.collector.traceCount == 0 && story.collector.counters.expiredTraces == 1)
        story.expectOneState()
    }

    @Test func `a trace takes as many spans as it may by then`() {
        var story = CollectorStory()
        story.append(change { $0.spansPerTrace = 2 })
        #expect(story.receives((1...3).map { spanMs($0, 0, 10) }).refused.map(\.reason) == [.tooManySpans])
        story.append(change { $0.spansPerTrace = 3 })
        #expect(story.receives([spanMs(3, 0, 10)]).accepted == 1)
        story.expectOneState()
    }

    @Test func `a trace is judged when nothing came for as long as was set`() {
        var story = CollectorStory()
        story.append(change { $0.settleAfter = .seconds(30) })
        story.receives([spanMs(1, 0, 10)])
        story.pass(29)
        #expect(story.collector.summary(of: TraceID(high: 0, low: 1))?.verdict == nil)
        story.pass(1)
        #expect(story.collector.summary(of: TraceID(high: 0, low: 1))?.verdict != nil)
    }

    @Test func `limits follow factor, floor and samples at once, and after a restart`() {
        var story = CollectorStory()
        for index in 0..<120 { story.receives([spanMs(1, 0, 20, trace: UInt64(1_000 + index))]) }
        story.pass(300)
        func limit() -> Int64? { story.collector.baseline.limit(of: 1)?.limit }
        let first = limit()
        story.append(change { $0.anomalyFactor = 10 })
        let doubled = limit()
        story.append(change { $0.anomalyFloor = .milliseconds(7) })
        let floored = limit()
        #expect(first.map { $0 / 1_000_000 } == 25 && doubled.map { $0 / 1_000_000 } == 30)
        #expect(floored.map { $0 / 1_000_000 } == 90)
        story.restarts()
        #expect(limit() == floored)
        story.append(change { $0.anomalySamples = 121 })
        #expect(limit() == nil)
        story.expectOneState()
    }

    @Test func `a wider bound gives names numbers from then on, a narrower one lets no new ones in`() {
        var story = CollectorStory()
        story.append(change { $0.services = 1 })
        story.receives([spanMs(1, 0, 10, service: "a")])
        story.receives([spanMs(1, 0, 10, trace: 2, service: "b")])
        story.append(change { $0.services = 3 })
        story.receives([spanMs(1, 0, 10, trace: 3, service: "b")])
        #expect(story.collector.series().services.map(\.serviceName) == ["__other__", "a", "b"])
        story.append(change { $0.services = 1 })
        story.receives([spanMs(1, 0, 10, trace: 4, service: "b")])
        story.receives([spanMs(1, 0, 10, trace: 5, service: "c")])
        #expect(story.collector.series().services.map(\.callCount) == [2, 1, 2])
        story.restarts()
        story.receives([spanMs(1, 0, 10, trace: 6, service: "b")])
        #expect(story.collector.series().services.map(\.callCount) == [2, 1, 3])
        story.expectOneState()
    }

    @Test func `counts are kept for as many windows as were set`() {
        var story = CollectorStory()
        story.append(change { $0.seriesWindows = 2 })
        story.receives([spanMs(1, 0, 10)])
        story.pass(300)
        #expect(story.collector.series().services.map(\.callCount) == [1])
        story.pass(300)
        #expect(story.collector.series.sortedKeys.isEmpty)
        story.expectOneState()
    }

    @Test func `a checkpoint with settings that can not be is none`() {
        var story = CollectorStory()
        story.append(change { $0.seriesWindows = 2 })
        let bytes = story.collector.encodeCheckpoint()
        var found = 0
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] = damaged[index] &+ 0x55
            guard let other = TraceCollector(checkpoint: damaged) else { continue }
            #expect((1...2_016).contains(other.settings.windows))
            found += 1
        }
        #expect(found < bytes.count)
    }
}
