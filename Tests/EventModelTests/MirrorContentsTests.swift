// Where contents part from facts.

import EventModel
import Testing

@Suite struct `Contents and facts` {
    private let event = MirrorEvent.captured(
        Batch(serviceName: "checkout", events: [RequestCapture(requestID: "r1"), RequestCapture(requestID: "r2")]))

    @Test func `what was put together comes apart`() throws {
        let contents = MirrorAttachment.encode([CapturedContent(target: "/a"), CapturedContent(target: "/b")])
        let (type, payload) = MirrorAttachment.message(event, contents: contents)
        let parts = MirrorAttachment.split(payload[...], of: type)
        #expect(Array(parts.facts) == EventCodec.encode(.mirror(event))?.facts)
        #expect(Array(parts.contents) == contents)
        #expect(try MirrorAttachment.captured(parts.contents).map(\.target) == ["/a", "/b"])
    }

    @Test func `contents in front or in pieces come apart too`() throws {
        let facts = try #require(EventCodec.encode(.mirror(event))).facts
        var writer = WireWriter()
        writer.field(15, MirrorAttachment.encode([CapturedContent(target: "/a")]))
        writer.append(facts)
        writer.field(15, MirrorAttachment.encode([CapturedContent(target: "/b")]))
        let parts = MirrorAttachment.split(writer.bytes[...], of: .requestCaptured)
        #expect(Array(parts.facts) == facts)
        #expect(try MirrorAttachment.captured(parts.contents).map(\.target) == ["/a", "/b"])
    }

    @Test func `messages without contents, of other kinds, or broken stay as they are`() throws {
        let facts = try #require(EventCodec.encode(.mirror(event))).facts
        #expect(Array(MirrorAttachment.split(facts[...], of: .requestCaptured).facts) == facts)
        var writer = WireWriter()
        writer.append(facts)
        writer.field(15, [1, 2, 3])
        #expect(Array(MirrorAttachment.split(writer.bytes[...], of: .mirrorAdded).facts) == writer.bytes)
        let broken = Array(writer.bytes.dropLast())
        #expect(Array(MirrorAttachment.split(broken[...], of: .requestCaptured).facts) == broken)
    }
}
