// What a connection does when libnats has closed it for good: users that are gone for a while, and errors of the server.

import Foundation
import Messaging
import TestKit
import Testing

@testable import NATSMessaging

@Suite struct `A connection that libnats has closed` {
    private static let both = """
        authorization { users: [ { user: app, password: x }, { user: other, password: x } ] }
        """
    private static let oneIsGone = "authorization { users: [ { user: other, password: x } ] }"

    private static func connect(_ server: TestServer, _ user: String) async throws -> NATSMessageBus {
        try await server.connect {
            $0.credentials = .userPassword(user: user, password: "x")
            $0.sendsAtOnce = true
        }
    }

    /// Takes the user away until libnats has given up.
    private static func shutOut(_ bus: NATSMessageBus, _ server: TestServer, _ more: String = "") async throws {
        try server.reload(more + oneIsGone)
        #expect(try await eventually { (try? bus.handle()) == nil })
    }

    @Test func `is opened anew when its user is back, with subscriptions, requests and inboxes`() async throws {
        let server = try await TestServer.start(configuration: Self.both)
        let (bus, other) = (try await Self.connect(server, "app"), try await Self.connect(server, "other"))
        let news = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        answerOnThread(try other.subscribe("echo", queueGroup: nil, limits: .standard), on: other)
        let silent = try other.subscribe("silent", queueGroup: nil, limits: .standard)
        try await other.flush(timeout: .seconds(5))
        #expect(try await bus.request(text("echo", "one"), timeout: .seconds(5)).text == "one")
        let asking = Task { try await bus.request(text("silent", ""), timeout: .seconds(600)) }
        _ = try await received(1, from: silent)

        try await Self.shutOut(bus, server)
        let lost = await #expect(throws: BusError.self) { try await asking.value }
        #expect(lost?.code == .notConnected)
        #expect(bus.state == .reconnecting)
        let refused = #expect(throws: BusError.self) { try bus.publish(text("news", "lost")) }
        #expect(refused?.code == .notConnected)
        #expect(try await onThread { try news.receive(maximum: 1, timeout: .milliseconds(50)) }.isEmpty)
        let late = try bus.subscribe("late", queueGroup: nil, limits: .standard)
        let reconnects = bus.reconnectCount

        try server.reload(Self.both)
        #expect(try await eventually { bus.state == .connected })
        #expect(bus.reconnectCount > reconnects)
        try await bus.flush(timeout: .seconds(5))
        for subject in ["news", "late"] { try other.publish(text(subject, "back")) }
        #expect(try await received(1, from: news).map(\.text) == ["back"])
        #expect(try await received(1, from: late).map(\.text) == ["back"])
        let answer = try await bus.request(text("echo", "two"), timeout: .seconds(5))
        #expect(answer.text == "two")
        await bus.close()
        #expect(bus.state == .closed)
        await other.close()
        await server.server.terminate()
    }

    @Test func `is opened anew each time, and a subscription can end meanwhile`() async throws {
        let server = try await TestServer.start(configuration: Self.both)
        let bus = try await Self.connect(server, "app")
        let news = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        let ended = try bus.subscribe("ended", queueGroup: nil, limits: .standard)
        for round in 0..<3 {
            try await Self.shutOut(bus, server)
            if round == 0 { ended.drain() }
            try server.reload(Self.both)
            #expect(try await eventually { bus.state == .connected })
            try bus.publish(text("news", "\(round)"))
            #expect(try await received(1, from: news).map(\.text) == ["\(round)"])
        }
        let error = #expect(throws: BusError.self) { try ended.receive(maximum: 1, timeout: .zero) }
        #expect(error?.code == .closed)
        try await Self.shutOut(bus, server)
        await bus.close()
        let over = #expect(throws: BusError.self) { try news.receive(maximum: 1, timeout: .seconds(5)) }
        #expect(over?.code == .closed && bus.state == .closed)
        await server.server.terminate()
    }

    @Test func `goes on with its stream, each message once`() async throws {
        let directory = try Scratch()
        // Where it stands in the file, JetStream outlives the file's being read again.
        let jetStream = "jetstream { store_dir: \"\(directory.path)/js\" }\n"
        let server = try await TestServer.start(configuration: jetStream + Self.both, in: directory)
        let (bus, other) = (try await Self.connect(server, "app"), try await Self.connect(server, "other"))
        let administration = JetStreamAdministration(other)
        try await administration.ensureStream(StreamConfiguration(name: "S", subjects: ["s.>"]))
        let source = try JetStreamSource(bus: bus, stream: "S", fingerprint: Message.testFingerprint)
        _ = try await onThread { try source.open(after: .beginning) }
        var seen: [String] = []
        for round in 0..<3 {
            try await administration.publish(round * 100..<round * 100 + 50)
            seen += try await received(50, from: source).map(\.text)
            try await Self.shutOut(bus, server, jetStream)
            try await administration.publish(round * 100 + 50..<round * 100 + 100)
            #expect(try await received(1, from: source, timeout: .milliseconds(50)).isEmpty)
            try server.reload(jetStream + Self.both)
            seen += try await received(50, from: source).map(\.text)
        }
        #expect(seen == (0..<300).map { "\($0)" })
        source.close()
        await bus.close()
        await other.close()
        await server.server.terminate()
    }

    @Test func `is tried for from the start where its user is not known yet, if told so`() async throws {
        let server = try await TestServer.start(configuration: Self.oneIsGone)
        let bus = try await server.connect {
            $0.credentials = .userPassword(user: "app", password: "x")
            $0.retriesFirstConnect = true
        }
        let news = try bus.subscribe("news", queueGroup: nil, limits: .standard)
        #expect(bus.state == .connecting)
        try server.reload(Self.both)
        #expect(try await eventually { bus.state == .connected })
        try bus.publish(text("news", "here"))
        #expect(try await received(1, from: news).map(\.text) == ["here"])
        await bus.close()
        await server.server.terminate()
    }

    @Test func `is not tried for where its own settings are wrong`() async throws {
        let server = try await TestServer.start()
        for wrong in ["lattice.inbox", "$JS", "_INBOX.*", "", "_INBOX." + String(repeating: "a", count: 200)] {
            let error = await #expect(throws: BusError.self) {
                try await server.connect {
                    $0.inboxPrefix = wrong
                    $0.retriesFirstConnect = true
                }
            }
            #expect(error?.code == .invalidArgument)
        }
        await server.server.terminate()
    }
}

extension JetStreamAdministration {
    /// Publishes numbers one after the other, each with the stream's word: a server that is given other users forgets its
    /// streams for a moment.
    func publish(_ numbers: Range<Int>) async throws {
        for number in numbers {
            var message = text("s.numbers", "\(number)")
            message.headers = [MessageHeader("Nats-Msg-Id", "\(number)")]
            let isTaken = try await eventually {
                (try? await publishAcknowledged(message, timeout: .seconds(2))) != nil
            }
            try #require(isTaken, "\(number) was not taken")
        }
    }
}
