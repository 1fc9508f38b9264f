// Decisions under other settings, beside those that were recorded: what a fork with these settings really does.

import EventModel
import Testing

@testable import StateMachines

/// A log that is told once and taken by both sides.
private struct Told {
    private(set) var records: [EventRecord] = []
    var now = Timestamp(nanoseconds: Story.beginning)
    private var slot: UInt64 = 0

    mutating func append(_ event: Event) {
        records.append(
            EventRecord(sequence: SequenceNumber(UInt64(records.count + 1)), recordedAt: now, event: event))
    }

    /// Ticks of five seconds; some go on beating.
    mutating func pass(_ seconds: Int64, beating: [String] = []) {
        for _ in 0..<(seconds / 5) {
            now = now + .seconds(5)
            if !beating.isEmpty { append(heartbeat(beating)) }
            slot += 1
            append(.clock(.tick(slot: slot)))
        }
    }

    mutating func select(
        _ candidates: [String], chosen: String, _ strategy: SelectionStrategy = .roundRobin, seed: UInt64 = 0
    ) {
        let selection = InstanceSelection(
            traceID: TraceID(high: 0, low: UInt64(records.count + 1)).bytes, candidates: candidates, chosen: chosen,
            strategy: strategy, asOf: SequenceNumber(UInt64(records.count)), seed: seed)
        append(.registry(.instanceSelected(Batch(serviceName: "checkout", events: [selection]))))
    }

    func whatIf(_ change: (inout WhatIfSettings) -> Void) -> WhatIfReport {
        var settings = WhatIfSettings()
        change(&settings)
        var run = WhatIfRun(from: MeshState(), settings)
        for record in records { run.take(record) }
        return run.report()
    }

    /// What a registry does that has had these settings from the beginning.
    func evictions(_ change: RegistryConfiguration) -> [String] {
        var state = MeshState()
        var evicted: [String] = []
        let first = EventRecord(
            sequence: SequenceNumber(1), recordedAt: Timestamp(nanoseconds: Story.beginning),
            event: .policy(.registryConfigured(change)))
        state.apply(first)
        for record in records {
            var shifted = record
            shifted.sequence = record.sequence.next
            evicted += state.apply(shifted).outcome.consequences.map(\.instanceID)
        }
        return evicted
    }
}

@Suite struct `What if` {
    @Test func `evictions are those of a registry that has the changed settings`() {
        var told = Told()
        told.append(registered(names(0..<10).map { instance($0) }))
        told.pass(1_200, beating: names(2..<10))
        for change in [
            RegistryConfiguration(evictAfter: .seconds(60)), RegistryConfiguration(staleAfter: .seconds(300)),
            RegistryConfiguration(evictAfter: .seconds(60), guardServiceBasisPoints: 5_000),
            RegistryConfiguration(guardServiceBasisPoints: 10_000, guardMeshBasisPoints: 10_000),
        ] {
            let report = told.whatIf { $0.registry = change }
            let expected = told.evictions(change)
            #expect(report.changedEvictions == expected.count)
            let onlyRecorded = report.evictions.rows.filter { $0.changed == nil }
            let onlyChanged = report.evictions.rows.filter { $0.recorded == nil }
            #expect(report.equalEvictions + report.evictions.count - onlyRecorded.count == expected.count)
            #expect(Set(onlyChanged.map(\.instanceID)).isSubset(of: Set(expected)))
        }
    }

    @Test func `a guard that would not have held is an episode of one side`() {
        var told = Told()
        told.append(registered(names(0..<4).map { instance($0) }))
        told.pass(120, beating: ["a-00"])
        let report = told.whatIf {
            $0.registry = RegistryConfiguration(guardServiceBasisPoints: 10_000, guardMeshBasisPoints: 10_000)
        }
        #expect(report.episodes.rows.map(\.isChanged) == [false] && report.episodes.rows.first?.kind == .guarded)
    }

    @Test func `settings that were recorded later do not undo the changed ones, and others of them hold`() {
        var told = Told()
        told.append(registered(names(0..<2).map { instance($0) }))
        told.append(configured(RegistryConfiguration(staleAfter: .seconds(20), evictAfter: .seconds(60))))
        told.pass(200, beating: ["a-00"])
        let report = told.whatIf { $0.registry = RegistryConfiguration(evictAfter: .seconds(100)) }
        let row = report.evictions.rows.first
        // Stale after 20 s on both sides; evicted 60 s later, or 100 s.
        #expect(report.evictions.count == 1 && row?.instanceID == "a-01")
        #expect(
            (row?.changed?.recordedAt).flatMap { late in row?.recorded.map { late - $0.recordedAt } } == .seconds(40))
    }

    @Test func `who is heard of after an eviction is said, a later process is not`() {
        var told = Told()
        told.append(registered([instance("a"), instance("b")]))
        told.pass(700, beating: ["b"])
        told.append(registered([instance("a", incarnation: 2)]))
        #expect(told.whatIf { $0.registry.evictAfter = .seconds(3_600) }.evictions.rows.first?.heardAgain == nil)
        told.append(heartbeat(["a"], incarnation: 1))
        let report = told.whatIf { $0.registry.evictAfter = .seconds(3_600) }
        #expect(report.evictions.rows.first?.heardAgain?.sequence == told.records.last?.sequence)
    }

    @Test func `who is stale under the changed settings is no candidate any more`() {
        var told = Told()
        told.append(registered([instance("a"), instance("b")]))
        told.pass(20, beating: ["a"])
        told.select(["a", "b"], chosen: "a")
        told.select(["a", "b"], chosen: "b")
        let report = told.whatIf { $0.registry.staleAfter = .seconds(10) }
        #expect(report.selectionCount == 2 && report.reproducedSelections == 2)
        #expect(report.selections.rows.map(\.changed) == ["a"] && report.selections.rows.first?.recorded == "b")
        #expect(report.shares.map(\.changed) == [2, 0] && report.shares.map(\.recorded) == [1, 1])
    }

    @Test func `below a higher panic threshold the unhealthy are candidates, and the time is an episode`() {
        var told = Told()
        told.append(registered([instance("a"), instance("b")]))
        told.append(healthReported([report("b", healthy: false, checked: told.now)]))
        told.select(["a"], chosen: "a")
        told.select(["a"], chosen: "a")
        let report = told.whatIf { $0.registry.panicBasisPoints = 6_000 }
        #expect(report.selections.rows.map(\.changed) == ["b"])
        #expect(report.episodes.rows.map(\.kind) == [.panic] && report.episodes.rows.first?.isChanged == true)
    }

    @Test func `a choice that the log can not make again is not counted as reproduced`() {
        var told = Told()
        told.append(registered([instance("a"), instance("b")]))
        told.select(["a", "b"], chosen: "b", .leastConnections)
        let report = told.whatIf { $0.strategy = .roundRobin }
        #expect(report.selectionCount == 1 && report.reproducedSelections == 0 && report.selections.count == 0)
    }

    @Test func `a mirror that is configured anew keeps the changed filter`() {
        var told = Told()
        func add(_ mode: MirrorMode) -> Event {
            let mirror = MirrorConfiguration(
                mirrorID: "m", sourceService: "checkout", shadowEndpoint: "10.0.0.9:80", mode: mode)
            return .mirror(.added(Batch(serviceName: "checkout", events: [mirror])))
        }
        func capture(_ id: String) -> Event {
            .mirror(.captured(Batch(serviceName: "checkout", events: [RequestCapture(requestID: id, intent: id)])))
        }
        told.append(.mirror(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["10.0.0.0/8:*"]))))
        told.append(add(.full))
        told.append(capture("search-1"))
        told.append(capture("order-1"))
        told.append(add(.full))
        told.append(capture("order-2"))
        // A repeat is refused on both sides and is no decision.
        told.append(capture("order-2"))
        let report = told.whatIf {
            $0.mirror.mode = .filtered
            $0.mirror.includeIntents = ["search*"]
        }
        #expect(report.captures.rows.map(\.requestID) == ["order-1", "order-2"])
        #expect(report.captures.rows.map(\.changed) == [.notIncluded, .notIncluded])
        #expect(report.mirrors.first?.captured == 3 && report.mirrors.first?.changed == 1)
        let other = told.whatIf {
            $0.mirror.mirrorID = "another"
            $0.mirror.mode = .replay
        }
        #expect(other.captures.count == 0)
    }

    @Test(arguments: [Int64(1), 3, 20])
    func `verdicts are those of a collector that has the changed factor and threshold`(_ factor: Int64) {
        var told = Told()
        var dice = UInt64(7)
        for number in UInt64(1)...900 {
            dice = dice &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let length = 10_000_000 + Int64(dice >> 40) % 9_000_000 + (number % 40 == 0 ? 30_000_000 : 0)
            let span = TraceSpan(
                spanID: SpanID(1), traceID: TraceID(high: 1, low: number), serviceName: "web", operationName: "o",
                kind: .server, startTime: told.now, endTime: told.now + Nanoseconds(length))
            told.append(.trace(.spansReceived(SpanBatch(serviceName: "web", spans: [span])!)))
            if number % 3 == 0 { told.pass(5) }
        }
        told.pass(60)
        let threshold = Nanoseconds.milliseconds(35)
        var settings = TraceSettings()
        settings.anomalyFactor = factor
        settings.anomalyThreshold = threshold
        var admission = RecordFilter()
        var collector = TraceCollector(settings)
        for record in told.records {
            let (verdict, moment, _) = admission.admit(record)
            _ = collector.apply(AdmittedRecord(record: record, moment: moment, verdict: verdict))
        }
        let report = told.whatIf {
            $0.anomalyFactor = factor
            $0.anomalyThreshold = threshold
        }
        #expect(report.judgedTraces == 900 && report.changedAnomalies == collector.anomalousTraces(limit: .max).count)
        #expect(report.changedAnomalies != report.recordedAnomalies)
    }

    @Test func `settings that can not be are named`() {
        var settings = WhatIfSettings()
        #expect(settings.isEmpty && settings.mistake(over: RegistrySettings()) == nil)
        settings.registry.staleAfter = .zero
        #expect(settings.mistake(over: RegistrySettings()) == "stale_after lies in 100ms to 1d")
        settings = WhatIfSettings()
        settings.mirror.sampleRateBasisPoints = 10_001
        #expect(settings.mistake(over: RegistrySettings())?.contains("10000") == true)
    }
}
