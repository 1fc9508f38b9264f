// The life of mirrors and of the requests that they copy.

import EventModel
import Testing

@testable import MeshRules
@testable import StateMachines

@Suite struct `The life of a mirror` {
    @Test func `it is added, shown, disabled, enabled and removed`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        #expect(story.state.stats().map(\.configuration.mirrorID) == ["m"])
        #expect(story.state.stats()[0].configuration.createdAt == story.now)
        story.happens(enabled(false))
        #expect(story.state.mirrors(of: "checkout").map(\.enabled) == [false])
        story.happens(enabled(true))
        #expect(story.state.mirrors(of: "checkout").map(\.enabled) == [true])
        story.happens(removed())
        #expect(story.state.stats().isEmpty)
        #expect(story.state.pendingCount(mirrorID: "m") == nil)
        story.expectSameFromScratch()
    }

    @Test func `watchers are told when the mirrors of a service are others, and of nothing else`() {
        var story = MirrorStory()
        for event in [added(mirror()), enabled(false), enabled(true)] {
            #expect(story.append(.mirror(event)).changed == ["checkout"])
        }
        let allowed = MirrorEvent.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["10.0.0.0/8:*"]))
        #expect(story.append(.mirror(allowed)).changed == ["checkout"])
        #expect(story.append(.mirror(captured([RequestCapture(requestID: "r")]))).changed == [])
        #expect(story.append(.mirror(removed())).changed == ["checkout"])
        #expect(story.append(.mirror(removed())).changed == [], "it was refused")
    }

    @Test func `adding it again replaces its configuration and keeps its counts`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        let created = story.now
        let cause = story.capture("r1")
        story.now = story.now + .seconds(1)
        story.happens(added(mirror(to: "10.0.0.8:81", mode: .sampled)), replaced: [0])
        #expect(story.state.stats()[0].configuration.createdAt == created)
        #expect(story.counts().mirrored == 1)
        #expect(story.state.outbox().directives.map(\.shadowEndpoint) == ["10.0.0.8:81"])
        #expect(story.owed == ["\(cause).0 m"])
        story.expectSameFromScratch()
    }

    @Test func `nothing is allowed that is not on the list`() {
        var story = MirrorStory(allowing: [])
        story.happens(added(mirror()), refused: [0: .shadowNotAllowed])
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "cart", endpoints: ["10.0.0.0/8:*"])))
        story.happens(added(mirror()), refused: [0: .shadowNotAllowed])
        story.happens(added(mirror("n", of: "cart", to: "192.168.0.1:80"), of: "cart"), refused: [0: .shadowNotAllowed])
        story.happens(added(mirror("n", of: "cart"), of: "cart"))
    }

    @Test func `a list that no longer names the shadow stops it, and a later one lets it go on`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        let cause = story.capture("r1")
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["other:80"])))
        #expect(story.owed == [])
        story.capture("r2")
        #expect(story.ledger() == ["shadow_not_allowed": 1])
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["10.0.0.9:8080"])))
        #expect(story.owed == ["\(cause).0 m"])
        story.expectSameFromScratch()
    }

    @Test func `a list that is none changes nothing`() {
        var story = MirrorStory()
        story.happens(
            .shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["*"])), refused: [0: .invalidSetting])
        #expect(story.state.allowedShadows(of: "checkout").entries == ["10.0.0.0/8:*"])
    }

    @Test func `what can not be is refused by its reason`() {
        var story = MirrorStory()
        var wrong = mirror()
        wrong.sampleRateBasisPoints = 10_001
        story.happens(added(wrong), refused: [0: .invalidSetting])
        wrong = mirror()
        wrong.ignoreFields = ["/~"]
        story.happens(added(wrong), refused: [0: .invalidSetting])
        story.happens(removed("x"), refused: [0: .unknownMirror])
        story.happens(enabled(true, "x"), refused: [0: .unknownMirror])
        story.happens(added(mirror()))
        story.happens(removed(of: "cart"), refused: [0: .wrongService])
        story.happens(enabled(false, of: "cart"), refused: [0: .wrongService])
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "cart", endpoints: ["10.0.0.0/8:*"])))
        story.happens(added(mirror(of: "cart"), of: "cart"), refused: [0: .wrongService])
    }

    @Test func `one source has at most sixty-four mirrors`() {
        var story = MirrorStory()
        let all = (0..<65).map { mirror("m\($0)") }
        story.happens(.added(Batch(serviceName: "checkout", events: all)), refused: [64: .tooManyMirrors])
    }

    @Test func `names that Unicode deems equal are two mirrors`() {
        var story = MirrorStory()
        story.happens(added(mirror("caf\u{E9}"), mirror("cafe\u{301}")))
        story.happens(removed("caf\u{E9}"))
        #expect(story.state.stats().map { $0.configuration.mirrorID.utf8.count } == [6])
    }

    @Test func `what waits for a removed mirror is in the ledger`() {
        var story = MirrorStory()
        story.happens(added(mirror()))
        story.capture("r1", "r2")
        story.happens(removed())
        #expect(story.state.ledger[.removed] == 2)
        #expect(story.owed == [])
        story.expectSameFromScratch()
    }
}

@Suite struct `A captured request` {
    private func story(_ mirrors: MirrorConfiguration...) -> MirrorStory {
        var story = MirrorStory()
        story.happens(.added(Batch(serviceName: "checkout", events: mirrors)))
        return story
    }

    @Test func `is owed to each mirror that takes it, by cause and mirror`() {
        var story = story(mirror("b"), mirror("a"), mirror("c", mode: .replay))
        let cause = story.capture("r1", "r2")
        #expect(story.owed == ["\(cause).0 a", "\(cause).0 b", "\(cause).1 a", "\(cause).1 b"])
        #expect(story.state.pendingCount(mirrorID: "a") == 2)
        #expect(story.ledger("c") == ["replay_only": 2])
        story.expectSameFromScratch()
    }

    @Test func `is taken for nothing where no mirror is`() {
        var story = MirrorStory()
        story.capture("r1", "r1")
        story.happens(captured([RequestCapture(requestID: "r")], of: "nobody"))
        #expect(story.owed == [])
    }

    @Test func `is copied once however often it is captured`() {
        var story = story(mirror())
        let cause = story.capture("r1", "r1", refused: [1: .duplicateRequest])
        story.capture("r1", refused: [0: .duplicateRequest])
        #expect(story.owed == ["\(cause).0 m"])
    }

    @Test func `is forgotten after four thousand others`() {
        var story = story(mirror())
        story.capture("first")
        let others = (0..<4_096).map { RequestCapture(requestID: "r\($0)") }
        story.happens(captured(others))
        story.capture("first")
        story.expectSameFromScratch()
    }

    @Test func `is skipped with its reason`() {
        var small = mirror("small")
        small.payloadLimit = 10
        var story = story(
            mirror(), mirror("off", enabled: false), mirror("none", mode: .sampled, rate: 0),
            mirror("other", mode: .filtered, include: ["order.*"]), small)
        story.happens(
            captured([
                RequestCapture(requestID: "a", hasShadowMark: true), RequestCapture(requestID: "b", method: "POST"),
                RequestCapture(requestID: "c", payloadLength: 20, payloadKept: 16),
                RequestCapture(requestID: "d", payloadLength: 11, payloadKept: 11),
            ]))
        #expect(story.ledger() == ["shadow_marked": 1, "method_not_allowed": 1, "truncated": 1])
        #expect(story.ledger("off") == ["disabled": 4])
        #expect(story.ledger("none")["not_sampled"] == 2)
        #expect(story.ledger("other")["not_included"] == 2)
        #expect(story.ledger("small")["truncated"] == 2)
        #expect(story.state.stats().map(\.pendingCount) == [1, 0, 0, 0, 0])
    }

    @Test func `pushes the oldest out of a full buffer`() {
        var few = mirror()
        few.bufferRequests = 2
        var story = story(few)
        let cause = story.capture("r1", "r2", "r3")
        #expect(story.owed == ["\(cause).1 m", "\(cause).2 m"])
        #expect(story.ledger() == ["overflow": 1])
        story.expectSameFromScratch()
    }

    @Test func `is bounded by bytes too, and dropped alone where it can never fit`() {
        var few = mirror()
        few.bufferBytes = 1_000
        var story = story(few)
        let sized = [300, 200, 800, 400].enumerated().map {
            RequestCapture(requestID: "r\($0.offset)", payloadLength: $0.element, payloadKept: $0.element)
        }
        let cause = story.happens(captured(sized))
        #expect(story.owed == ["\(cause).3 m"])
        #expect(story.ledger() == ["overflow": 2, "too_large": 1])
        let huge = RequestCapture(requestID: "h", payloadLength: .max, payloadKept: .max, responseKept: .max)
        story.happens(captured([huge]))
        #expect(story.state.stats()[0].pendingBytes == 656)
    }

    @Test func `finds less room after its mirror was made smaller`() {
        var story = story(mirror())
        let cause = story.capture("r1", "r2", "r3")
        var few = mirror()
        few.bufferRequests = 1
        story.happens(added(few), replaced: [0])
        #expect(story.owed == ["\(cause).2 m"])
        #expect(story.ledger() == ["overflow": 2])
    }

    @Test func `is sampled by its seed, not by its id`() {
        let bucket = SampleBucket.of("customer-7")
        var story = story(mirror(mode: .sampled, rate: bucket + 1))
        story.happens(captured([RequestCapture(requestID: "x", sampleSeed: "customer-7")]))
        #expect(story.state.pendingCount(mirrorID: "m") == 1)
    }
}

@Suite struct `A directive` {
    private func story() -> MirrorStory {
        var story = MirrorStory()
        story.claim("n1", 1)
        story.happens(added(mirror()))
        return story
    }

    @Test func `is owed until the shadow has answered, and ends with the comparison`() {
        var story = story()
        let cause = story.capture("r1")
        story.happens(dispatched(cause))
        #expect(story.owed == [])
        #expect(story.state.stats()[0].awaitingComparisonCount == 1)
        story.happens(compared(cause, verdict: .different, paths: [price()]))
        #expect(story.state.stats()[0].awaitingComparisonCount == 0)
        #expect(story.counts().succeeded == 1 && story.counts().different == 1)
        #expect(story.counts().latencyMaximum == .milliseconds(5))
        story.expectSameFromScratch()
    }

    @Test(arguments: [
        (DispatchOutcome.failed, "dispatch_failed"), (.timedOut, "dispatch_timed_out"),
        (.rejected, "dispatch_rejected"), (.skipped, "dispatch_skipped"),
    ])
    func `ends without an answer in the ledger`(_ example: (DispatchOutcome, String)) {
        var story = story()
        let cause = story.capture("r1")
        story.happens(dispatched(cause, outcome: example.0))
        #expect(story.ledger() == [example.1: 1])
        #expect(story.owed == [])
    }

    @Test func `is settled once`() {
        var story = story()
        let cause = story.capture("r1")
        story.happens(dispatched(cause))
        story.happens(dispatched(cause), refused: [0: .unknownDirective])
        story.happens(compared(cause))
        story.happens(compared(cause), refused: [0: .unknownDirective])
        story.happens(dispatched(cause, 1), refused: [0: .unknownDirective])
        story.happens(dispatched(cause, 0, "x"), refused: [0: .unknownMirror])
        story.happens(dispatched(cause, of: "cart"), refused: [0: .wrongService])
        story.happens(dispatched(cause, latency: Nanoseconds(-1)), refused: [0: .negativeLatency])
    }

    @Test func `is dropped after sixty seconds`() {
        var story = story()
        let cause = story.capture("r1", "r2")
        story.happens(dispatched(cause))
        story.pass(60)
        #expect(story.state.pendingCount(mirrorID: "m") == 1)
        story.pass(5)
        #expect(story.ledger() == ["expired": 1, "not_compared": 1])
        story.expectSameFromScratch()
    }

    @Test func `does not grow old while the node is paused`() {
        var story = story()
        story.capture("r1")
        story.now = story.now + .seconds(3_600)
        story.append(.clock(.tick(slot: 99)))
        #expect(story.state.pendingCount(mirrorID: "m") == 1)
    }

    @Test func `is drained by number, oldest first`() {
        var story = story()
        let cause = story.capture("r1", "r2", "r3")
        story.happens(.drained(MirrorDrained(sourceService: "checkout", mirrorID: "m", limit: 2)))
        #expect(story.owed == ["\(cause).2 m"])
        story.happens(.drained(MirrorDrained(sourceService: "checkout", mirrorID: "m")))
        #expect(story.ledger() == ["drained": 3])
        story.happens(
            .drained(MirrorDrained(sourceService: "checkout", mirrorID: "x")), refused: [0: .unknownMirror])
    }

    @Test func `is sent at most once more after its node was lost`() {
        var story = story()
        let cause = story.capture("r1", "r2")
        story.happens(dispatched(cause))
        story.claim("n2", 2)
        #expect(story.owed == ["\(cause).1 m again"])
        story.happens(dispatched(cause, 1, again: true))
        #expect(story.counts().redispatched == 1)
        let next = story.capture("r3")
        story.claim("n3", 3)
        story.claim("n4", 4)
        #expect(story.owed == [])
        #expect(story.ledger() == ["lost": 1])
        story.happens(dispatched(next), refused: [0: .unknownDirective])
        story.expectSameFromScratch()
    }

    @Test func `counts one loss where its node comes back and claims anew`() {
        var story = story()
        let cause = story.capture("r1")
        story.resume("n1")
        let later = story.capture("r2")
        #expect(story.owed == ["\(cause).0 m again", "\(later).0 m"])
        story.resume("n1")
        story.claim("n1", 2)
        #expect(story.owed == ["\(cause).0 m again", "\(later).0 m"])
        #expect(story.ledger() == [:])
    }

    @Test func `is sent once more by the next leader of a stream, and by that in its next life`() {
        var story = story()
        story.lead("n1")
        let cause = story.capture("r1", "r2")
        story.claim("n2", 2)
        story.lead("n2")
        #expect(story.owed == ["\(cause).0 m again", "\(cause).1 m again"])
        #expect(story.ledger() == [:], "the claim and the first word of its leader are one loss")
        story.happens(dispatched(cause, 0, again: true))
        let later = story.capture("r3")
        story.lead("n2")
        #expect(story.owed == ["\(later).0 m again"])
        #expect(story.ledger() == ["lost": 1], "the second loss of r2")
        story.expectSameFromScratch()
    }

    @Test func `is not marked by a follower that comes back or a claim that is refused`() {
        var story = story()
        let cause = story.capture("r1")
        story.resume("n2")
        story.claim("n2", 1)
        story.claim("n2", 7)
        #expect(story.owed == ["\(cause).0 m"])
        #expect(story.state.leaderID == "n1")
    }

    @Test func `of a hundred none is lost silently when the node is killed`() {
        var story = story()
        let cause = story.happens(captured((0..<100).map { RequestCapture(requestID: "r\($0)") }))
        for index in 0..<30 { story.happens(dispatched(cause, UInt32(index))) }
        story.resume("n1")
        story.claim("n1", 2)
        #expect(story.owed.count == 70)
        #expect(story.owed.allSatisfy { $0.hasSuffix("again") })
        for index in 30..<100 { story.happens(dispatched(cause, UInt32(index), outcome: .failed, again: true)) }
        #expect(story.owed == [])
        #expect(story.ledger() == ["dispatch_failed": 70])
        #expect(story.counts().redispatched == 70)
    }

    @Test func `can be asked for behind a position and by number`() {
        var story = story()
        let cause = story.capture("r1", "r2", "r3")
        let first = story.state.outbox(limit: 1).directives
        #expect(first.map(\.id.causeIndex) == [0])
        let rest = story.state.outbox(after: first[0].cause).directives
        #expect(rest.map(\.id) == [directive(cause, 1), directive(cause, 2)])
        #expect(story.state.outbox(after: rest[1].cause).isEmpty)
    }

    @Test func `of a disabled mirror is still sent`() {
        var story = story()
        let cause = story.capture("r1")
        story.happens(enabled(false))
        #expect(story.owed == ["\(cause).0 m"])
    }
}
