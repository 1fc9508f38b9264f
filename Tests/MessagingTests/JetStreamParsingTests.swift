// The small readers of JetStream's texts.

import EventModel
import Messaging
import Testing

@testable import NATSMessaging

@Suite struct `JetStream's texts` {
    @Test(arguments: [
        "$JS.ACK.EVENTS.c0nsumer.1.42.7.1700000000123456789.3",
        "$JS.ACK.hub.ACCOUNTHASH.EVENTS.c0nsumer.1.42.7.1700000000123456789.3",
        "$JS.ACK._.ACCOUNTHASH.EVENTS.c0nsumer.1.42.7.1700000000123456789.3.random",
    ])
    func `tell where a message stands, in both forms`(_ subject: String) {
        let delivery = delivery(subject, "c0nsumer")
        #expect(delivery?.streamSequence == 42)
        #expect(delivery?.consumerSequence == 7)
        #expect(delivery?.recordedAtNanoseconds == 1_700_000_000_123_456_789)
    }

    @Test(arguments: [
        "$JS.ACK.EVENTS.other.1.42.7.1700000000123456789.3", "$JS.ACK.EVENTS.c0nsumer.1.42.x.1700000000123456789.3",
        "$JS.ACK.EVENTS.c0nsumer.1.42", "_INBOX.a.1", "", "$JS.ACK.a.b.c.d.e.f.g.h.i.j.k.l.m",
        "$JS.ACK.EVENTS.c0nsumer.1.99999999999999999999.7.1.3",
    ])
    func `are refused when they are something else`(_ subject: String) {
        #expect(delivery(subject, "c0nsumer") == nil)
    }

    @Test func `count what a consumer delivered, and show what is missing`() {
        var consumer = JetStreamConsumer(name: "c", stream: "S")
        consumer.add(.init(id: 1, remaining: 2, overdueAt: .now + .seconds(60)))
        consumer.add(.init(id: 2, remaining: 2, overdueAt: .now + .seconds(60)))
        #expect(!consumer.wantsPull)
        #expect(consumer.note(1) == .next && consumer.note(1) == .repeated)
        #expect(consumer.note(3) == .gap && consumer.lastSequence == 1)
        #expect(consumer.note(2) == .next && consumer.pulls.map(\.id) == [2] && consumer.wantsPull)
        #expect(consumer.end(pull: 2) && !consumer.end(pull: 2) && !consumer.end(pull: 1))
        #expect(!consumer.isOverdue(.now))
    }

    @Test func `give times to the nanosecond`() {
        #expect(Timestamp(rfc3339: "1970-01-01T00:00:00Z") == .zero)
        #expect(Timestamp(rfc3339: "2023-11-14T22:13:20.123456789Z")?.rawValue == 1_700_000_000_123_456_789)
        #expect(Timestamp(rfc3339: "2023-11-14T23:13:20.5+01:00")?.rawValue == 1_700_000_000_500_000_000)
        #expect(Timestamp(rfc3339: "2024-02-29T00:00:00Z")?.rawValue == 1_709_164_800_000_000_000)
        #expect(Timestamp(rfc3339: "0001-01-01T00:00:00Z") == nil)
        for wrong in [
            "", "2023-11-14", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20.1234567890Z",
        ] {
            #expect(Timestamp(rfc3339: wrong) == nil)
        }
    }

    private func delivery(_ subject: String, _ consumer: String) -> JetStreamDelivery? {
        let bytes = Array(subject.utf8)
        return JetStreamDelivery(acknowledgementSubject: bytes.span, consumer: Array(consumer.utf8))
    }
}
