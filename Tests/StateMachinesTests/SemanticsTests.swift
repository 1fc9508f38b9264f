// What version 2 of the semantics changes, and how versions come into force and are undone.

import EventModel
import TestKit
import Testing

@testable import StateMachines

/// A log of admission alone.
private struct RecordFilterLog {
    var admission = RecordFilter()
    private(set) var sequence: UInt64 = 0
    var now = Timestamp(nanoseconds: Story.beginning)

    init(version: UInt32) {
        if version > 1 { append(.policy(.semanticsActivated(version: version, reason: "a new log"))) }
    }

    func record(_ event: Event, id: String = "", subject: String = "clock.tick") -> EventRecord {
        EventRecord(
            sequence: SequenceNumber(sequence + 1), recordedAt: now, messageID: Array(id.utf8)[...],
            subject: Array(subject.utf8)[...], event: event)
    }

    @discardableResult
    mutating func append(
        _ event: Event, id: String = "", subject: String = "clock.tick"
    ) -> (verdict: RecordFilter.Verdict, outcome: Outcome) {
        let next = record(event, id: id, subject: subject)
        sequence += 1
        let (verdict, _, outcome) = admission.admit(next)
        return (verdict, outcome)
    }

    mutating func tick(_ count: Int) {
        for _ in 0..<count {
            now = now + .seconds(1)
            append(.clock(.tick(slot: UInt64(now.rawValue / 1_000_000_000))))
        }
    }
}

extension Story {
    /// A new log of this version.
    init(semantics: UInt32) {
        self.init()
        append(.policy(.semanticsActivated(version: semantics, reason: "a new log")))
    }
}

@Suite struct `Scopes of message ids` {
    private let tick = Event.clock(.tick(slot: 1))

    @Test func `in version 1 an id is one in the whole mesh`() {
        var log = RecordFilterLog(version: 1)
        log.append(tick, id: "m", subject: "registry.cart.registered")
        #expect(
            log.append(tick, id: "m", subject: "registry.checkout.registered").verdict
                == .duplicate(of: SequenceNumber(1)))
    }

    @Test func `in version 2 nobody can take the id of another owner or family`() {
        var log = RecordFilterLog(version: 2)
        let subjects = [
            "registry.cart.registered", "registry.checkout.registered", "trace.cart.spans", "mirror.cart.added.alice",
            "policy.alice.registry_configured", "clock.tick", "registry.cart%2Em.registered", "registry.c.registered",
        ]
        for subject in subjects { #expect(log.append(tick, id: "m", subject: subject).verdict == .admitted) }
        // The kind and whoever stands behind it do not matter, nor where the id begins.
        #expect(
            log.append(tick, id: "m", subject: "registry.cart.heartbeat").verdict == .duplicate(of: SequenceNumber(2)))
        #expect(log.append(tick, id: "art.m", subject: "registry.c.registered").verdict == .admitted)
        #expect(log.append(tick, id: ".m", subject: "registry").verdict == .admitted)
        #expect(log.append(tick, id: "m", subject: "registry").verdict == .admitted)
        #expect(log.admission.duplicateCount == 1)
    }

    @Test func `ids from before an activation count on for their two minutes`() {
        var log = RecordFilterLog(version: 1)
        log.append(tick, id: "old", subject: "registry.cart.registered")
        log.append(.policy(.semanticsActivated(version: 2, reason: "")), id: "act", subject: "policy.alice.x")
        let again = log.append(tick, id: "old", subject: "registry.cart.registered").verdict
        #expect(again == .duplicate(of: SequenceNumber(1)))
        let activation = Event.policy(.semanticsActivated(version: 2, reason: ""))
        #expect(
            log.append(activation, id: "act", subject: "policy.alice.x").verdict == .duplicate(of: SequenceNumber(2)))
        // A new id is no old one, however it is written.
        #expect(log.append(tick, id: "new", subject: "registry.cart.registered").verdict == .admitted)
        #expect(log.append(tick, id: "registry.cart.new", subject: "registry.x.y").verdict == .admitted)
        log.now = log.now + RecordFilter.duplicateWindow + Nanoseconds(1)
        #expect(log.append(tick, id: "old", subject: "registry.cart.registered").verdict == .admitted)
    }

    @Test func `a checkpoint keeps scopes and the record that brought them`() throws {
        var log = RecordFilterLog(version: 1)
        log.append(tick, id: "old", subject: "registry.cart.registered")
        log.append(.policy(.semanticsActivated(version: 2, reason: "")))
        log.append(tick, id: "m", subject: "registry.cart.registered")
        let digest = log.admission.digest()
        log.admission = try #require(RecordFilter(checkpoint: log.admission.encodeCheckpoint()))
        #expect(log.admission.digest() == digest)
        #expect(log.admission.semantics == .newest && log.admission.moment.semantics == .newest)
        #expect(log.append(tick, id: "m", subject: "registry.checkout.x").verdict == .admitted)
        #expect(log.append(tick, id: "m", subject: "registry.cart.x").verdict == .duplicate(of: SequenceNumber(3)))
        #expect(log.append(tick, id: "old", subject: "trace.cart.x").verdict == .duplicate(of: SequenceNumber(1)))
    }
}

@Suite struct `Claims of time` {
    private static let extremes: [Int64] = [.min, .min + 1, -1, 0, 1, .max - 1, .max]

    /// Any number, often one at the edge of what there is.
    private static func hostile(_ dice: inout some RandomNumberGenerator, around now: Int64) -> Int64 {
        switch Int.random(in: 0..<4, using: &dice) {
        case 0: extremes.randomElement(using: &dice) ?? 0
        case 1: now &+ Int64.random(in: -600_000_000_000...600_000_000_000, using: &dice)
        case 2: now &+ (Int64(1) << Int64.random(in: 0..<62, using: &dice))
        default: Int64.random(in: .min ... .max, using: &dice)
        }
    }

    private static func event(_ dice: inout some RandomNumberGenerator, _ now: Timestamp) -> Event {
        let value = hostile(&dice, around: now.rawValue)
        let time = Timestamp(nanoseconds: value)
        switch Int.random(in: 0..<10, using: &dice) {
        case 0, 1: return .clock(.tick(slot: UInt64(bitPattern: value)))
        case 2: return .clock(.leadershipClaimed(nodeID: "x", epoch: UInt64(bitPattern: value)))
        case 3: return .clock(.intakeGap(nodeID: "x", reason: "r", droppedCount: UInt64(bitPattern: value)))
        case 4: return registered([instance("a", incarnation: value)])
        case 5: return registered([instance("a", occurredAt: time)])
        case 6: return heartbeat(["a"], incarnation: 1, occurredAt: time)
        case 7: return healthReported([report("a", healthy: false, checked: time)])
        case 8: return healthReported([report("a", healthy: true, checked: now, latency: Nanoseconds(value))])
        default:
            return configured(RegistryConfiguration(staleAfter: Nanoseconds(value), evictAfter: Nanoseconds(value)))
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `whatever is claimed, slots stay near the clock and every honest process is heard`(_ seed: UInt64) {
        var dice = SeededGenerator(seed: seed)
        var story = Story(semantics: 2)
        story.serve(["a"])
        for _ in 0..<400 {
            story.now = story.now + .milliseconds(Int64.random(in: 0...3_000, using: &dice))
            story.append(Self.event(&dice, story.now))
            let latest = UInt64((story.now + Limits.timeAhead).rawValue / 1_000_000)
            #expect(story.state.admission.lastTickSlot <= latest)
        }
        // A process that began just now takes its name over, whatever claimed it before, and is believed.
        let start = story.now.rawValue + Limits.timeAhead.rawValue
        story.now = story.now + Limits.timeAhead + Limits.timeAhead
        let answer = story.append(registered([instance("a", incarnation: start)]))
        #expect(answer.accepted == 1, "\(answer.refused)")
        #expect(story.append(heartbeat(["a"], incarnation: start, occurredAt: story.now)).accepted == 1)
        let checked = report("a", healthy: true, checked: story.now, incarnation: start)
        #expect(story.append(healthReported([checked])).accepted == 1)
        let next = story.state.admission.lastTickSlot + 1
        #expect(story.append(.clock(.tick(slot: next))).accepted == 1)
        #expect(story.state.admission.lastTickSlot == next)
    }

    @Test func `a clock that was once far ahead lets nobody claim as much later`() {
        for version: UInt32 in [1, 2] {
            var story = Story(semantics: version)
            let present = story.now
            story.now = present + .seconds(86_400 * 365)
            story.tick()
            story.now = present
            let ahead = instance("a", occurredAt: present + .seconds(3_600))
            let answer = story.append(registered([ahead]))
            #expect(answer.accepted == (version == 1 ? 1 : 0))
            #expect(answer.refused.map(\.reason) == (version == 1 ? [] : [.timeAhead]))
        }
    }

    @Test func `version 1 still means what it meant`() {
        var story = Story()
        story.happens(.clock(.tick(slot: .max)))
        #expect(story.state.admission.lastTickSlot == .max)
        story.happens(registered([instance("a", incarnation: .max)]))
    }

    @Test func `a slot may go on from one that is too far, by one`() {
        var story = Story()
        story.happens(.clock(.tick(slot: 1 << 62)))
        story.happens(.policy(.semanticsActivated(version: 2, reason: "")))
        story.happens(.clock(.tick(slot: (1 << 62) + 1)))
        story.happens(.clock(.tick(slot: (1 << 62) + 3)), refused: [0: .timeAhead])
        story.happens(.clock(.tick(slot: 5)))
        #expect(story.state.admission.lastTickSlot == (1 << 62) + 1)
    }

    @Test func `a span that ends in years to come is refused`() {
        for version: UInt32 in [1, 2] {
            var story = CollectorStory()
            story.semantics = Semantics(version: version)
            #expect(story.receives([spanMs(1, 0, 300_000)]).accepted == 1)
            let outcome = story.receives([spanMs(2, 0, 300_001)])
            #expect(outcome.refused.map(\.reason) == (version == 1 ? [] : [.timeAhead]))
            let years = story.receives([spanMs(3, 0, 7_000_000_000_000)])
            #expect(years.refused.map(\.reason) == (version == 1 ? [] : [.timeAhead]))
            story.expectOneState()
        }
    }

    @Test func `contents of days to come are not erased`() {
        var story = MirrorStory()
        story.append(.policy(.semanticsActivated(version: 2, reason: "")))
        let day = story.now.rawValue / 86_400_000_000_000
        func erased(_ day: Int64) -> MirrorEvent {
            .contentsErased(ContentsErased(sourceService: "checkout", day: day, reason: ""))
        }
        story.happens(erased(day + 1))
        story.happens(erased(day + 2), refused: [0: .timeAhead])
        story.happens(erased(.max), refused: [0: .timeAhead])
    }
}

@Suite struct `Skipped records` {
    private static func activation(_ version: UInt32) -> Event {
        .policy(.semanticsActivated(version: version, reason: ""))
    }
    private static func skip(_ sequence: UInt64) -> Event {
        .policy(.recordSkipped(sequence: SequenceNumber(sequence), reason: ""))
    }

    @Test func `a taken activation is revoked within sixty ticks, and no longer`() {
        for (ticks, isRevoked) in [(0, true), (1, true), (60, true), (61, false), (500, false)] {
            var log = RecordFilterLog(version: 1)
            log.tick(1)
            log.append(Self.activation(2))
            #expect(log.admission.isSemanticsUnsettled)
            log.tick(ticks)
            #expect(log.admission.isSemanticsUnsettled == isRevoked)
            let (verdict, outcome) = log.append(Self.skip(2))
            #expect(verdict == (isRevoked ? .revoked(SequenceNumber(2)) : .admitted), "\(ticks) ticks")
            if !isRevoked { #expect(outcome.refused.map(\.reason) == [.notSkippable]) }
        }
    }

    @Test func `what is no activation, and how a log begins, can not be skipped`() {
        var log = RecordFilterLog(version: 2)
        #expect(!log.admission.isSemanticsUnsettled)
        log.tick(1)
        for sequence: UInt64 in [0, 1, 2, 3, 99, .max] {
            let (verdict, outcome) = log.append(Self.skip(sequence))
            #expect(verdict == .admitted && outcome.refused.map(\.reason) == [.notSkippable], "\(sequence)")
        }
    }

    @Test func `who passed a skipped record is told so, and folds as if nobody had understood it`() {
        var (skipping, opaque) = (RecordFilterLog(version: 2), RecordFilterLog(version: 2))
        for reason in [UnsettledActivations.reason, "malformed"] {
            var log = RecordFilterLog(version: 2)
            log.append(.opaque(reason: reason), id: "x")
            let outcome = log.append(Self.skip(2)).outcome
            #expect(outcome.accepted == (reason == UnsettledActivations.reason ? 1 : 0))
        }
        skipping.append(.opaque(reason: UnsettledActivations.reason), id: "x")
        opaque.append(.opaque(reason: "malformed"), id: "x")
        for log in [skipping, opaque] { #expect(log.admission.semantics == .newest) }
        skipping.tick(3)
        opaque.tick(3)
        #expect(skipping.admission.digest() == opaque.admission.digest())
    }

    @Test func `a repeated skip of an activation is as good as the first`() {
        // Whoever reads ahead does not know which ids are repeats, so live nodes must not look at them either.
        var log = RecordFilterLog(version: 1)
        log.tick(1)
        log.append(.clock(.tick(slot: 1)), id: "same")
        log.append(Self.activation(2))
        #expect(log.append(Self.skip(3), id: "same").verdict == .revoked(SequenceNumber(3)))
    }

    @Test func `reading ahead and following live decide alike, whatever comes`() {
        for seed: UInt64 in 0..<200 {
            var dice = SeededGenerator(seed: seed)
            var records: [EventRecord] = []
            for number: UInt64 in 1...400 {
                let event: Event =
                    switch Int.random(in: 0..<12, using: &dice) {
                    case 0: Self.activation(UInt32.random(in: 0...2, using: &dice))
                    case 1: Self.skip(UInt64.random(in: 0...number, using: &dice))
                    case 2: .opaque(reason: "malformed")
                    default: .clock(.tick(slot: number))
                    }
                records.append(
                    EventRecord(sequence: SequenceNumber(number), recordedAt: Timestamp(nanoseconds: 1), event: event))
            }
            var live = UnsettledActivations()
            var skippedLive: Set<SequenceNumber> = []
            for record in records { if let skipped = live.note(record) { skippedLive.insert(skipped) } }
            var skippedAhead: Set<SequenceNumber> = []
            for (index, record) in records.enumerated() {
                guard case .policy(.semanticsActivated) = record.event else { continue }
                var ahead = UnsettledActivations()
                _ = ahead.note(record)
                for next in records[(index + 1)...] where ahead.note(next) == record.sequence {
                    skippedAhead.insert(record.sequence)
                }
            }
            #expect(skippedLive == skippedAhead, "seed \(seed)")
        }
    }
}
