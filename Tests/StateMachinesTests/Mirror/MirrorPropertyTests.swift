// What holds for any history of mirrors.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

/// Random records around mirrors, the same for the same seed.
struct MirrorHistory {
    private var dice: SplitMix64
    private var sequence: UInt64 = 0
    private var now = Timestamp(nanoseconds: Story.beginning)
    private let isHostile: Bool
    private var captures: [UInt64] = [0]
    private static let services = ["checkout", "caf\u{E9}", "cafe\u{301}"]

    init(seed: UInt64, isHostile: Bool = false) {
        dice = SplitMix64(state: seed)
        self.isHostile = isHostile
    }

    mutating func records(_ count: Int) -> [EventRecord] { (0..<count).map { _ in record() } }

    private mutating func record() -> EventRecord {
        sequence += 1
        now =
            below(40) == 0 && isHostile
            ? Timestamp(nanoseconds: pick([.min, .max])) : now + .milliseconds(Int64(below(6_000)))
        var event = sequence <= 3 ? allowed(Self.services[Int(sequence) - 1]) : self.event()
        if let (type, facts) = EventCodec.encode(event) { event = decoded(type, facts) }
        return EventRecord(sequence: SequenceNumber(sequence), recordedAt: now, event: event)
    }

    private mutating func below(_ bound: Int) -> Int { Int(dice.next(below: UInt64(bound))) }
    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
    private mutating func id() -> String { pick(["m1", "m2", "m3", "\u{E9}", "e\u{301}"]) }
    private mutating func service() -> String { below(5) > 0 ? Self.services[0] : Self.services[below(3)] }
    private mutating func number() -> UInt64 {
        isHostile && below(3) == 0 ? pick([.max, 1 << 40, 0]) : UInt64(below(500))
    }

    private func allowed(_ service: String) -> Event {
        .mirror(.shadowsAllowed(ShadowsAllowed(sourceService: service, endpoints: ["10.0.0.0/8:*"])))
    }

    private mutating func event() -> Event {
        switch below(24) {
        case 0..<2: return .mirror(.added(Batch(serviceName: service(), events: [configuration()])))
        case 2 where below(4) == 0: return .mirror(removed(id(), of: service()))
        case 3: return .mirror(enabled(below(2) == 0, id(), of: service()))
        case 4..<11:
            captures.append(sequence)
            return .mirror(captured((0...below(5)).map { _ in capture() }, of: service()))
        case 11..<14:
            return .mirror(.dispatched(Batch(serviceName: service(), events: (0...below(6)).map { _ in settlement() })))
        case 14..<17:
            return .mirror(.compared(Batch(serviceName: service(), events: (0...below(6)).map { _ in comparison() })))
        case 17 where below(3) == 0:
            return .mirror(.drained(MirrorDrained(sourceService: service(), mirrorID: id(), limit: UInt32(below(3)))))
        case 18: return .clock(.leadershipClaimed(nodeID: pick(["a", "b"]), epoch: UInt64(below(12))))
        case 19: return .clock(.nodeResumed(nodeID: pick(["a", "b"]), reason: ""))
        case 20 where below(4) == 0:
            let endpoints = pick([["10.0.0.0/8:*"], ["10.0.0.9:*"], ["*"], []])
            return .mirror(.shadowsAllowed(ShadowsAllowed(sourceService: service(), endpoints: endpoints)))
        default: return .clock(.tick(slot: sequence))
        }
    }

    private mutating func configuration() -> MirrorConfiguration {
        var result = mirror(
            id(), to: pick(["10.0.0.9:80", "10.0.0.8:80", "x:80"]),
            mode: pick([.full, .full, .sampled, .filtered, .replay]))
        result.sampleRateBasisPoints = UInt32(truncatingIfNeeded: number() &* 20)
        result.bufferRequests = UInt32(truncatingIfNeeded: UInt64(1 + below(8)))
        result.bufferBytes = isHostile ? number() : UInt64(600 + below(3_000))
        result.enabled = below(4) > 0
        return result
    }

    private mutating func capture() -> RequestCapture {
        let length = number()
        return RequestCapture(
            requestID: "r\(below(400))", method: pick(["GET", "GET", "POST"]), payloadLength: length,
            payloadKept: below(6) == 0 ? length / 2 : length, responseKept: number(), hasShadowMark: below(12) == 0)
    }

    private mutating func target() -> DirectiveID {
        let cause = captures[captures.count - 1 - below(min(3, captures.count))]
        return DirectiveID(
            causeSequence: SequenceNumber(isHostile && below(9) == 0 ? .max : cause),
            causeIndex: UInt32(below(3)), mirrorID: id())
    }

    private mutating func settlement() -> ShadowDispatch {
        ShadowDispatch(
            directive: target(), outcome: pick([.succeeded, .succeeded, .failed, .timedOut, .skipped]),
            latency: Nanoseconds(isHostile ? pick([.min, .max, 0]) : Int64(below(1_000))), isRedispatched: below(2) == 0
        )
    }

    private mutating func comparison() -> ShadowComparison {
        let paths = (0..<below(3)).map { _ in
            DifferingPath(part: pick(ResponsePart.allCases), pattern: pick(["", "/\u{E9}", "/e\u{301}"]), kind: .value)
        }
        return ShadowComparison(
            directive: target(), verdict: pick(ComparisonVerdict.allCases), differenceCount: UInt32(paths.count),
            paths: paths, isBaseline: below(3) == 0)
    }
}

@Suite struct `Any history of mirrors` {
    private static let seeds = UInt64(1)...100

    private struct Fold {
        var admission = RecordFilter()
        var state = TrafficMirror()

        @discardableResult
        mutating func apply(_ record: EventRecord) -> Outcome {
            let (verdict, moment, _) = admission.admit(record)
            return state.apply(AdmittedRecord(record: record, moment: moment, verdict: verdict))
        }
    }

    @Test(arguments: [false, true])
    func `keeps the invariants and loses nothing silently`(isHostile: Bool) {
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed, isHostile: isHostile)
            var fold = Fold()
            for (index, record) in history.records(120).enumerated() {
                fold.apply(record)
                if index % 3 == 0 { #expect(fold.state.brokenInvariants() == [], "seed \(seed), record \(index)") }
                if index % 17 == 0 { _ = fold.state.digest() }
            }
        }
    }

    @Test(arguments: [false, true])
    func `goes on from a checkpoint as if it had never stopped`(isHostile: Bool) throws {
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed, isHostile: isHostile)
            var whole = Fold()
            for record in history.records(20 + Int(seed % 90)) { whole.apply(record) }
            let bytes = whole.state.encodeCheckpoint()
            var resumed = whole
            resumed.state = try #require(TrafficMirror(checkpoint: bytes), "seed \(seed)")
            #expect(resumed.state.encodeCheckpoint() == bytes, "seed \(seed)")
            #expect(resumed.state.brokenInvariants() == [], "seed \(seed)")
            for record in history.records(60) {
                #expect(whole.apply(record) == resumed.apply(record), "seed \(seed)")
                #expect(whole.state.digest() == resumed.state.digest(), "seed \(seed), record \(record.sequence)")
                #expect(whole.state.outbox() == resumed.state.outbox(), "seed \(seed)")
            }
            #expect(whole.state.encodeCheckpoint() == resumed.state.encodeCheckpoint(), "seed \(seed)")
        }
    }

    @Test func `has a digest kept by difference that equals the one from scratch`() throws {
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed)
            var fold = Fold()
            for round in 0..<8 {
                for record in history.records(15) { fold.apply(record) }
                if round % 2 == 0 { _ = fold.state.digest() }
                var scratch = try #require(TrafficMirror(checkpoint: fold.state.encodeCheckpoint()))
                var copy = fold.state
                #expect(copy.digest() == scratch.digest(), "seed \(seed), round \(round)")
            }
        }
    }

    @Test func `leaves a fork alone`() {
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed)
            var fold = Fold()
            for record in history.records(80) { fold.apply(record) }
            var fork = fold.state
            let (before, digest) = (fork.encodeCheckpoint(), fork.digest())
            for record in history.records(40) { fold.apply(record) }
            #expect(fork.encodeCheckpoint() == before, "seed \(seed)")
            #expect(fork.digest() == digest, "seed \(seed)")
        }
    }

    @Test func `reaches what mirrors are for`() {
        var seen = MirrorLedger()
        var counts = MirrorCounts()
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed)
            var fold = Fold()
            for record in history.records(500) { fold.apply(record) }
            for row in fold.state.stats() {
                for (reason, count) in row.ledger.entries { seen.count(reason, count) }
                counts.mirrored += row.counts.mirrored
                counts.different += row.counts.different
                counts.redispatched += row.counts.redispatched
            }
        }
        #expect(counts.mirrored > 1_000)
        #expect(counts.different > 20)
        #expect(counts.redispatched > 50)
        for reason in [MirrorLedgerReason.overflow, .expired, .lost, .drained, .notCompared, .truncated, .notSampled] {
            #expect(seen[reason] > 0, "\(reason.name)")
        }
    }

    @Test func `a damaged checkpoint is refused, or is a state that goes on`() {
        for seed in Self.seeds {
            var history = MirrorHistory(seed: seed)
            var fold = Fold()
            for record in history.records(60) { fold.apply(record) }
            let bytes = fold.state.encodeCheckpoint()
            var dice = SplitMix64(state: seed)
            for _ in 0..<20 {
                var damaged = bytes
                let place = Int(dice.next(below: UInt64(bytes.count)))
                damaged[place] = UInt8(truncatingIfNeeded: dice.next())
                guard let state = TrafficMirror(checkpoint: damaged) else { continue }
                var other = fold
                other.state = state
                var further = history
                for record in further.records(10) { other.apply(record) }
            }
        }
    }
}
