// Reading a stream: every message once, or a reason why not.

import EventModel
import Messaging
import NATSMessaging
import TestKit
import Testing

@Suite struct `A stream source` {
    @Test func `reads the backlog and goes on live`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<3000)
            let source = try fixture.source()
            try await fixture.open(source, after: .beginning)
            #expect(try await received(3000, from: source).map(\.text) == (0..<3000).map { "\($0)" })
            try await fixture.publish(3000..<3010)
            let live = try await received(10, from: source)
            #expect(live.map(\.text) == (3000..<3010).map { "\($0)" })
            #expect(live.map { $0.stream?.sequence.rawValue } == (3001...3010).map { UInt64($0) })
            #expect(live.allSatisfy { $0.replyTo.isEmpty && $0.subject == "s.numbers" })
            #expect(try await received(1, from: source, timeout: .milliseconds(50)).isEmpty)
            #expect(source.restartCount == 0)
            source.close()
            let error = #expect(throws: BusError.self) { try source.receive(maximum: 1, timeout: .zero) }
            #expect(error?.code == .closed)
        }
    }

    @Test func `reads each message once across restarts of the reader`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<1000)
            var position = StreamResumePoint.beginning
            var seen: [String] = []
            while seen.count < 1000 {
                let source = try fixture.source { $0.batch = 64 }
                let identity = try await fixture.open(source, after: position).identity
                let messages = try await received(137, from: source, timeout: .milliseconds(500))
                try #require(!messages.isEmpty)
                seen += messages.map(\.text)
                position = try #require(messages.last).resumePoint(identity)
            }
            #expect(seen == (0..<1000).map { "\($0)" })
        }
    }

    @Test func `makes a new consumer when its own is deleted`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<100)
            let source = try fixture.source { $0.expiry = .milliseconds(500) }
            try await fixture.open(source, after: .beginning)
            var seen = try await received(100, from: source).map(\.text)
            try await fixture.deleteConsumers()
            try await fixture.publish(100..<200)
            seen += try await received(100, from: source).map(\.text)
            #expect(seen == (0..<200).map { "\($0)" })
            #expect(source.restartCount >= 1)
        }
    }

    @Test func `finds out that a stream was made anew, while open and when opening`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<10)
            let source = try fixture.source()
            let identity = try await fixture.open(source, after: .beginning).identity
            let last = try #require(try await received(10, from: source).last)
            try await fixture.administration.deleteStream("S")
            let gone = try await fixture.failure(of: source)
            #expect(gone?.code == .streamNotFound)
            try await fixture.makeStream()
            try await fixture.publish(0..<20)
            #expect(try await fixture.failure(of: source)?.code == .streamRolledBack)

            let other = try fixture.source()
            let error = await #expect(throws: BusError.self) {
                try await fixture.open(other, after: last.resumePoint(identity))
            }
            #expect(error?.code == .streamRolledBack)
        }
    }

    @Test func `compares the log's last message with the stream's`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<10)
            let source = try fixture.source()
            let identity = try await fixture.open(source, after: .beginning).identity
            let last = try #require(try await received(10, from: source).last)
            var same = last.resumePoint(identity)
            try await fixture.open(try fixture.source(), after: same)
            same.lastMessage?.hash ^= 1
            var later = last.resumePoint(identity)
            later.lastSequence = SequenceNumber(11)
            var otherTime = last.resumePoint(identity)
            otherTime.lastMessage?.recordedAt = .zero
            for wrong in [same, later, otherTime] {
                let error = await #expect(throws: BusError.self) {
                    try await fixture.open(try fixture.source(), after: wrong)
                }
                #expect(error?.code == .streamRolledBack)
            }
        }
    }

    @Test func `tells a trimmed stream from one whose history a new log has missed`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<10)
            let source = try fixture.source()
            let identity = try await fixture.open(source, after: .beginning).identity
            let messages = try await received(10, from: source)
            try await fixture.administration.purgeStream("S")
            try await fixture.publish(10..<12)

            let missing = await #expect(throws: BusError.self) {
                try await fixture.open(try fixture.source(), after: .beginning)
            }
            #expect(missing?.code == .streamHistoryMissing)
            let trimmed = await #expect(throws: BusError.self) {
                try await fixture.open(try fixture.source(), after: messages[4].resumePoint(identity))
            }
            #expect(trimmed?.code == .streamTrimmed)
            let complete = try fixture.source()
            try await fixture.open(complete, after: messages[9].resumePoint(identity))
            #expect(try await received(2, from: complete).map(\.text) == ["10", "11"])
            #expect(try await received(2, from: source).map(\.text) == ["10", "11"])
        }
    }

    @Test func `stops when messages were trimmed before it read them`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<100)
            let source = try fixture.source { $0.batch = 10 }
            try await fixture.open(source, after: .beginning)
            _ = try await received(5, from: source)
            try await fixture.administration.purgeStream("S")
            try await fixture.publish(100..<110)
            #expect(try await fixture.failure(of: source)?.code == .streamTrimmed)
        }
    }

    @Test func `reads on across a restart of the server`() async throws {
        try await withStream { fixture in
            try await fixture.publish(0..<500)
            let source = try fixture.source()
            try await fixture.open(source, after: .beginning)
            var seen = try await received(300, from: source).map(\.text)
            await fixture.server.server.terminate()
            let again = try await fixture.server.restarted(jetStream: true)
            #expect(try await eventually { fixture.bus.state == .connected })
            try await fixture.publish(500..<600)
            seen += try await received(300, from: source).map(\.text)
            #expect(seen == (0..<600).map { "\($0)" })
            #expect(source.restartCount >= 1)
            await fixture.bus.close()
            await again.server.terminate()
        }
    }

    @Test func `waits in silence while the server is away`() async throws {
        try await withStream { fixture in
            let source = try fixture.source()
            try await fixture.open(source, after: .beginning)
            await fixture.server.server.kill()
            #expect(try await received(1, from: source, timeout: .milliseconds(200)).isEmpty)
            await fixture.bus.close()
            let error = try await fixture.failure(of: source)
            #expect(error?.code == .closed)
        }
    }
}

@Suite struct `A stream` {
    @Test func `takes a message id once`() async throws {
        try await withStream { fixture in
            var message = text("s.numbers", "once")
            message.headers = [MessageHeader("Nats-Msg-Id", "a-1")]
            let first = try await fixture.administration.publishAcknowledged(message, timeout: .seconds(5))
            let second = try await fixture.administration.publishAcknowledged(message, timeout: .seconds(5))
            #expect(!first.isDuplicate && second.isDuplicate)
            #expect(first.sequence == SequenceNumber(1) && second.sequence == first.sequence && first.stream == "S")
            #expect(try await fixture.administration.status(of: "S").messageCount == 1)

            let source = try fixture.source()
            try await fixture.open(source, after: .beginning)
            #expect(try await received(1, from: source).first?.header("Nats-Msg-Id") == "a-1")
        }
    }

    @Test func `is made once, and one that is there keeps what its operator said`() async throws {
        try await withStream { fixture in
            let first = try await fixture.administration.status(of: "S")
            var wanted = StreamConfiguration(
                name: "S", subjects: ["s.>"], maximumAge: .seconds(60), maximumBytes: 1 << 20)
            wanted.deniesRemoval = false
            let second = try await fixture.administration.ensureStream(wanted)
            #expect(first.identity == second.identity)
            #expect(try await fixture.settings(of: "S").contains(#""max_age":0"#))
            let nobody = await #expect(throws: BusError.self) {
                try await fixture.administration.publishAcknowledged(text("other", ""), timeout: .seconds(5))
            }
            #expect(nobody?.code == .noResponders)
            let missing = await #expect(throws: BusError.self) { try await fixture.administration.status(of: "T") }
            #expect(missing?.code == .streamNotFound)
        }
    }

    @Test(arguments: [
        #""max_msgs_per_subject":1"#, #""allow_rollup_hdrs":true"#, #""retention":"workqueue""#, #""max_msgs":10"#,
    ])
    func `is refused for what would break a log, and said to be`(setting: String) async throws {
        try await withStream { fixture in
            try await fixture.create("T", "t.>", setting)
            let error = await #expect(throws: BusError.self) {
                try await fixture.administration.ensureStream(StreamConfiguration(name: "T", subjects: ["t.>"]))
            }
            #expect(error?.code == .streamIncompatible)
            #expect(error?.message.contains(setting.split(separator: "\"")[0]) == true, "\(String(describing: error))")
        }
    }

    @Test func `denies removal: a new one from the start, one that is there when a node comes`() async throws {
        try await withStream { fixture in
            #expect(try await !fixture.settings(of: "S").contains(#""deny_purge":true"#))
            try await fixture.publish(0..<3)
            for (name, subject) in [("S", "s.>"), ("T", "t.>")] {
                try await fixture.administration.ensureStream(StreamConfiguration(name: name, subjects: [subject]))
                let settings = try await fixture.settings(of: name)
                #expect(settings.contains(#""deny_purge":true"#) && settings.contains(#""deny_delete":true"#))
                let error = await #expect(throws: BusError.self) {
                    try await fixture.administration.purgeStream(name)
                }
                #expect(error?.message.contains("purge") == true)
            }
            #expect(try await fixture.administration.status(of: "S").messageCount == 3)
        }
    }
}

/// A server with a stream `S`.
struct StreamFixture: Sendable {
    let server: TestServer
    let bus: NATSMessageBus
    let administration: JetStreamAdministration

    func makeStream() async throws {
        var configuration = StreamConfiguration(name: "S", subjects: ["s.>"])
        // Some of these stories are about what is gone.
        configuration.deniesRemoval = false
        try await administration.ensureStream(configuration)
    }

    /// Makes a stream as an operator may, with a setting more.
    func create(_ name: String, _ subject: String, _ setting: String) async throws {
        let request = #"{"name":"\#(name)","subjects":["\#(subject)"],"storage":"file",\#(setting)}"#
        let answer = try await bus.request(text("$JS.API.STREAM.CREATE.\(name)", request), timeout: .seconds(5))
        try #require(!answer.text.contains(#""error""#), "\(answer.text)")
    }

    /// What the server says of a stream, as JSON.
    func settings(of stream: String) async throws -> String {
        try await bus.request(text("$JS.API.STREAM.INFO.\(stream)", ""), timeout: .seconds(5)).text
    }

    /// Publishes numbers and waits until the stream has them.
    func publish(_ numbers: Range<Int>) async throws {
        try bus.publish(contentsOf: numbers.dropLast().map { text("s.numbers", "\($0)") })
        let last = text("s.numbers", "\(numbers.upperBound - 1)")
        _ = try await administration.publishAcknowledged(last, timeout: .seconds(10))
    }

    func source(_ adjust: (inout JetStreamSource.Options) -> Void = { _ in }) throws -> JetStreamSource {
        var options = JetStreamSource.Options()
        adjust(&options)
        return try JetStreamSource(bus: bus, stream: "S", options: options, fingerprint: Message.testFingerprint)
    }

    @discardableResult
    func open(_ source: JetStreamSource, after position: StreamResumePoint) async throws -> StreamStatus {
        try await onThread { try source.open(after: position) }
    }

    /// What `receive` throws in the end; nil if it throws nothing for ten seconds.
    func failure(of source: JetStreamSource) async throws -> BusError? {
        try await onThread {
            let deadline = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < deadline {
                do throws(BusError) { _ = try source.receive(maximum: 1, timeout: .milliseconds(100)) } catch {
                    return error
                }
            }
            return nil
        }
    }

    /// Deletes every consumer of the stream, behind the back of its reader.
    func deleteConsumers() async throws {
        let answer = try await bus.request(text("$JS.API.CONSUMER.NAMES.S", ""), timeout: .seconds(5))
        let list = try #require(answer.text.split(separator: "\"consumers\":[").last?.split(separator: "]").first)
        for name in list.split(separator: ",") {
            let name = name.split(separator: "\"").joined()
            _ = try await bus.request(text("$JS.API.CONSUMER.DELETE.S.\(name)", ""), timeout: .seconds(5))
        }
    }
}

/// Runs a test with a stream and ends everything after it.
func withStream(_ body: (StreamFixture) async throws -> Void) async throws {
    let server = try await TestServer.start(jetStream: true)
    let bus = try await server.connect { $0.sendsAtOnce = true }
    let fixture = StreamFixture(server: server, bus: bus, administration: JetStreamAdministration(bus))
    try await fixture.makeStream()
    try await body(fixture)
    await bus.close()
    await server.server.terminate()
}

extension StreamResumePoint {
    /// An empty log.
    static let beginning = StreamResumePoint(identity: nil, lastSequence: .origin, lastMessage: nil)
}

extension Message {
    /// Where a log stands whose last record is this message.
    func resumePoint(_ identity: StreamIdentity) -> StreamResumePoint {
        StreamResumePoint(
            identity: identity, lastSequence: stream?.sequence ?? .origin,
            lastMessage: StreamMessageFingerprint(
                recordedAt: stream?.recordedAt ?? .zero, hash: Message.testFingerprint(self)))
    }
}
