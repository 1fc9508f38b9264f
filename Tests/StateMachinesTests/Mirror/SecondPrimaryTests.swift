// A second instance of production's own version: where it may be, and what it counts for.

import EventModel
import Testing

@testable import StateMachines

@Suite struct `A second primary` {
    @Test func `must be on the list too, from the beginning and later`() {
        var story = MirrorStory()
        var configuration = mirror()
        configuration.baselineEndpoint = "192.168.0.1:80"
        story.happens(added(configuration), refused: [0: .shadowNotAllowed])
        let both = ["10.0.0.0/8:*", "192.168.0.0/16:*"]
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: both)))
        story.happens(added(configuration))
        let cause = story.capture("r1")
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: ["10.0.0.0/8:*"])))
        #expect(story.owed == [])
        story.happens(.shadowsAllowed(ShadowsAllowed(sourceService: "checkout", endpoints: both)))
        #expect(story.owed == ["\(cause).0 m"])
        story.expectSameFromScratch()
    }

    @Test func `without an answer is in the ledger and settles nothing`() {
        var story = MirrorStory()
        var configuration = mirror()
        configuration.baselineEndpoint = "10.0.0.7:80"
        story.happens(added(configuration))
        let cause = story.capture("r1")
        let event = ShadowDispatch(
            directive: directive(cause), outcome: .timedOut, reason: "timed_out", isBaseline: true)
        story.happens(.dispatched(Batch(serviceName: "checkout", events: [event])))
        #expect(story.owed == ["\(cause).0 m"])
        #expect(story.ledger() == ["baseline_unanswered": 1])
        story.happens(dispatched(cause))
        story.happens(compared(cause))
        // It may come after the copy is settled; of a mirror that is gone nobody wants to know.
        story.happens(compared(cause, verdict: .different, paths: [price()], isBaseline: true))
        #expect(story.counts().baselines == 1 && story.counts().equal == 1)
        story.expectSameFromScratch()
        story.happens(removed())
        story.happens(.dispatched(Batch(serviceName: "checkout", events: [event])), refused: [0: .unknownMirror])
    }

    @Test func `that there is not leaves a mirror the bytes that it always had`() {
        var writer = WireWriter()
        MirrorConfiguration.write(mirror(), &writer)
        var more = mirror()
        more.baselineEndpoint = "10.0.0.7:80"
        more.baselineAuthentication = "again"
        var longer = WireWriter()
        MirrorConfiguration.write(more, &longer)
        #expect(longer.bytes.starts(with: writer.bytes) && longer.bytes.count > writer.bytes.count)
    }
}
