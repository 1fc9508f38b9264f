// What holds for any history.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `Any history` {
    private static let seeds = UInt64(1)...200

    /// Registry and admission through their checkpoints.
    private func restored(_ state: MeshState, indexKey: UInt64 = 7) -> MeshState? {
        guard let admission = RecordFilter(checkpoint: state.admission.encodeCheckpoint()),
            let registry = ServiceRegistry(checkpoint: state.registry.encodeCheckpoint(), indexKey: indexKey),
            let mirror = TrafficMirror(checkpoint: state.mirror.encodeCheckpoint()),
            let tracing = TraceCollector(checkpoint: state.tracing.encodeCheckpoint())
        else { return nil }
        return MeshState(admission: admission, registry: registry, mirror: mirror, tracing: tracing)
    }

    private func bytes(_ state: MeshState) -> [[UInt8]] {
        [
            state.admission.encodeCheckpoint(), state.mirror.encodeCheckpoint(), state.registry.encodeCheckpoint(),
            state.tracing.encodeCheckpoint(),
        ]
    }

    @Test func `is folded to the same digest again, whatever key the index has`() {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var (one, other) = (MeshState(indexKey: 0), MeshState(indexKey: seed &* 0x9E37_79B9))
            for record in history.records(120) {
                #expect(one.apply(record).outcome == other.apply(record).outcome, "seed \(seed)")
            }
            #expect(one.digests() == other.digests(), "seed \(seed)")
            #expect(bytes(one) == bytes(other), "seed \(seed)")
        }
    }

    @Test func `goes on from a checkpoint as if it had never stopped`() throws {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var whole = MeshState()
            for record in history.records(20 + Int(seed % 90)) { whole.apply(record) }
            var resumed = try #require(restored(whole))
            #expect(bytes(resumed) == bytes(whole), "seed \(seed)")
            for record in history.records(60) {
                #expect(whole.apply(record).outcome == resumed.apply(record).outcome, "seed \(seed)")
                #expect(whole.digests() == resumed.digests(), "seed \(seed), record \(record.sequence)")
            }
            #expect(bytes(resumed) == bytes(whole), "seed \(seed)")
        }
    }

    @Test func `leaves a fork alone, and the fork leaves it alone`() {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var original = MeshState()
            for record in history.records(80) { original.apply(record) }
            var fork = original
            let (before, atFork) = (bytes(original), original.digests())
            var elsewhere = history
            _ = elsewhere.record()
            for record in history.records(40) { original.apply(record) }
            #expect(bytes(fork) == before, "seed \(seed)")
            #expect(fork.digests() == atFork, "seed \(seed)")
            let (after, digests) = (bytes(original), original.digests())
            for record in elsewhere.records(40) { fork.apply(record) }
            #expect(bytes(original) == after, "seed \(seed)")
            #expect(original.digests() == digests, "seed \(seed)")
        }
    }

    @Test func `has a digest kept by difference that equals the one from scratch`() throws {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var state = MeshState()
            for round in 0..<8 {
                for record in history.records(15) { state.apply(record) }
                // Every other time several rungs of touched rows pile up.
                if round % 2 == 0 { _ = state.digests() }
                var scratch = try #require(restored(state))
                var copy = state
                #expect(copy.digests() == scratch.digests(), "seed \(seed), round \(round)")
            }
        }
    }

    @Test(arguments: [false, true])
    func `keeps the invariants`(isHostile: Bool) {
        for seed in Self.seeds {
            var history = History(seed: seed, isHostile: isHostile)
            var state = MeshState()
            for (index, record) in history.records(100).enumerated() {
                state.apply(record)
                if index % 4 == 0 { #expect(state.registry.brokenInvariants() == [], "seed \(seed), record \(index)") }
                if index % 17 == 0 { _ = state.digests() }
            }
        }
    }

    @Test func `sees evictions, protections and their ends`() {
        var evictions = 0
        var protections = 0
        var duplicates = 0
        for seed in Self.seeds {
            var history = History(seed: seed)
            var state = MeshState()
            for record in history.records(120) {
                evictions += state.apply(record).outcome.consequences.count
                protections += state.registry.serviceTopology(withZones: false).services.count { $0.protected }
            }
            duplicates += Int(state.admission.duplicateCount)
        }
        #expect(evictions > 100 && protections > 1_000 && duplicates > 100)
    }

    @Test func `never shrinks a service to nothing by evictions within one window`() {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var state = MeshState()
            for record in history.records(120) {
                let before = state
                let evicted = state.apply(record).outcome.consequences
                for service in History.services {
                    let had = before.registry.resolve(serviceName: service, healthyOnly: false).instances.count
                    let gone = evicted.count { $0.serviceName.utf8.elementsEqual(service.utf8) }
                    let index = before.registry.services.index(of: service)
                    let guarding = index.map { before.registry.services[$0].eviction }
                    let isReleased = guarding?.releasedInWindow != nil
                    #expect(gone == 0 || gone < had || had == 1 || isReleased, "seed \(seed)")
                }
            }
        }
    }

    @Test func `gives the same answers when its frames are split`() {
        for seed in Self.seeds {
            var history = History(seed: seed)
            var (whole, split) = (MeshState(), MeshState())
            var sequence: UInt64 = 0
            for record in history.records(120) {
                if case .registry(.healthSwept) = record.event { continue }
                whole.apply(plain(record, record.event, record.sequence))
                for event in pieces(record.event) {
                    sequence += 1
                    split.apply(plain(record, event, SequenceNumber(sequence)))
                }
                for service in History.services {
                    let answers = [whole, split].map {
                        $0.registry.resolve(serviceName: service, healthyOnly: false)
                    }
                    #expect(answers[0].instances == answers[1].instances, "seed \(seed), record \(record.sequence)")
                    #expect(answers[0].protected == answers[1].protected, "seed \(seed)")
                }
            }
        }
    }

    private func plain(_ record: EventRecord, _ event: Event, _ sequence: SequenceNumber) -> EventRecord {
        EventRecord(sequence: sequence, recordedAt: record.recordedAt, event: event)
    }

    private func pieces(_ event: Event) -> [Event] {
        guard case .registry(let event) = event else { return [event] }
        switch event {
        case .registered(let batch): return batch.events.map { registered([$0], of: batch.serviceName) }
        case .deregistered(let batch):
            return batch.events.map { .registry(.deregistered(Batch(serviceName: batch.serviceName, events: [$0]))) }
        case .healthReported(let batch): return batch.events.map { healthReported([$0], of: batch.serviceName) }
        case .heartbeat(let batch):
            var result: [Event] = []
            var cursor = batch.makeCursor()
            while let beat = cursor.next(in: batch.facts.span) {
                let start = batch.facts.startIndex
                let range = start + beat.instanceID.lowerBound..<start + beat.instanceID.upperBound
                let id = String(decoding: batch.facts[range], as: UTF8.self)
                result.append(heartbeat([id], of: batch.serviceName, incarnation: beat.incarnation))
            }
            return result
        default: return [.registry(event)]
        }
    }
}

@Suite struct `Hostile input` {
    @Test func `no decodable record stops the fold`() {
        for seed in UInt64(1)...150 {
            var history = History(seed: seed, isHostile: true)
            var state = MeshState()
            for record in history.records(120) { state.apply(record) }
            let bytes = state.registry.encodeCheckpoint()
            let restored = ServiceRegistry(checkpoint: bytes)
            #expect(restored?.encodeCheckpoint() == bytes, "seed \(seed)")
            #expect(RecordFilter(checkpoint: state.admission.encodeCheckpoint()) != nil, "seed \(seed)")
        }
    }

    /// A checkpoint of a state with something of everything.
    private func sample(_ seed: UInt64) -> (registry: [UInt8], admission: [UInt8], rest: [EventRecord]) {
        var history = History(seed: seed)
        var state = MeshState()
        for record in history.records(70) { state.apply(record) }
        return (state.registry.encodeCheckpoint(), state.admission.encodeCheckpoint(), history.records(20))
    }

    private func goOn(_ registry: ServiceRegistry, _ admission: RecordFilter, _ records: [EventRecord]) {
        var state = MeshState(
            admission: admission, registry: registry, mirror: TrafficMirror(), tracing: TraceCollector())
        for record in records { state.apply(record) }
        _ = state.digests()
        _ = state.registry.encodeCheckpoint()
        #expect(state.registry.brokenInvariants() == [])
    }

    @Test func `a checkpoint with bits flipped is none or a state that goes on`() {
        for seed in UInt64(1)...8 {
            let sample = sample(seed)
            var dice = SplitMix64(state: seed)
            for _ in 0..<150 {
                var (registry, admission) = (sample.registry, sample.admission)
                for _ in 0...dice.next(below: 3) {
                    registry[Int(dice.next(below: UInt64(registry.count)))] ^= 1 << UInt8(dice.next(below: 8))
                    admission[Int(dice.next(below: UInt64(admission.count)))] ^= 1 << UInt8(dice.next(below: 8))
                }
                guard let first = RecordFilter(checkpoint: admission) ?? RecordFilter(checkpoint: sample.admission),
                    let second = ServiceRegistry(checkpoint: registry)
                else { continue }
                goOn(second, first, sample.rest)
            }
        }
    }

    @Test func `a cut or random checkpoint is none or a state`() {
        let sample = sample(3)
        for count in 0..<sample.registry.count {
            _ = ServiceRegistry(checkpoint: Array(sample.registry[..<count]))
        }
        for count in 0..<sample.admission.count { _ = RecordFilter(checkpoint: Array(sample.admission[..<count])) }
        var dice = SplitMix64(state: 1)
        for length in 0..<2_000 {
            let bytes = (0..<length % 64).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
            _ = (ServiceRegistry(checkpoint: bytes), RecordFilter(checkpoint: bytes))
        }
    }

    @Test func `numbers that folding can not have left are refused`() {
        var settings = WireWriter()
        settings.field(1, Nanoseconds.seconds(30))
        settings.field(2, Nanoseconds.seconds(600))
        func checkpoint(_ body: (inout WireWriter) -> Void) -> ServiceRegistry? {
            var writer = WireWriter()
            body(&writer)
            writer.message(9) { inner in
                inner.field(1, Nanoseconds.seconds(30))
                inner.field(2, Nanoseconds.seconds(600))
            }
            return ServiceRegistry(checkpoint: writer.bytes)
        }
        #expect(checkpoint { _ in } != nil)
        #expect(checkpoint { $0.field(4, Int64.min) } == nil)
        #expect(checkpoint { $0.field(6, Int64.min) } == nil)
        #expect(checkpoint { $0.field(7, Int64.max) } == nil)
        #expect(checkpoint { $0.field(8, Int64(-1)) } == nil)
        for number in 3...6 {
            #expect(
                checkpoint { writer in
                    writer.message(17) { inner in
                        inner.field(1, "checkout")
                        inner.field(number, Int64.min)
                    }
                } == nil)
        }
        #expect(ServiceRegistry(checkpoint: []) == nil)
    }

    @Test func `rows that can not be are refused`() {
        func row(_ body: (inout WireWriter) -> Void) -> ServiceRegistry? {
            var story = Story()
            story.serve(["a"])
            var writer = WireWriter(copying: story.registry.encodeCheckpoint()[...])
            writer.message(18) { inner in
                inner.field(1, "b")
                inner.field(2, "checkout")
                body(&inner)
            }
            return ServiceRegistry(checkpoint: writer.bytes)
        }
        #expect(row { _ in } != nil)
        #expect(row { $0.field(6, UInt32(1_001)) } == nil)
        #expect(row { $0.field(1, "a") } == nil)
        #expect(row { $0.field(2, "nobody") } == nil)
        #expect(row { $0.field(1, [UInt8(0xFF)]) } == nil)
        #expect(row { $0.field(20, "new") } == nil)
        for number in [7, 13, 14] { #expect(row { $0.field(number, [UInt8(0xFF)]) } == nil) }
        let order = row { writer in
            for name in ["b", "a"] { writer.message(14) { inner in inner.field(1, name) } }
        }
        #expect(order == nil)
    }

    @Test func `the greatest epoch has no successor`() {
        var writer = WireWriter()
        writer.field(7, UInt64.max)
        for number in 9...11 { writer.field(number, UInt64.max) }
        guard let admission = RecordFilter(checkpoint: writer.bytes) else {
            Issue.record("an epoch is a number")
            return
        }
        var state = MeshState(
            admission: admission, registry: ServiceRegistry(), mirror: TrafficMirror(), tracing: TraceCollector())
        for (index, epoch) in [0, 1, UInt64.max].enumerated() {
            let event = Event.clock(.leadershipClaimed(nodeID: "n", epoch: epoch))
            let record = EventRecord(
                sequence: SequenceNumber(UInt64(index + 1)), recordedAt: .zero, messageID: [1], event: event)
            state.apply(record)
        }
        #expect(state.admission.leaderEpoch == .max)
    }

    @Test func `an id twice in the memory of repeats is refused`() {
        var story = Story()
        story.happens(.clock(.tick(slot: 1)), id: "m-1")
        let bytes = story.state.admission.encodeCheckpoint()
        var writer = WireWriter(copying: bytes[...])
        writer.message(16) { inner in inner.field(1, Array("m-1".utf8)) }
        #expect(RecordFilter(checkpoint: writer.bytes) == nil)
    }
}
