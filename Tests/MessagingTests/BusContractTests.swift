// What every message bus must do, asked of the one in memory and of NATS.

import Messaging
import TestKit
import Testing

@Suite struct `Every message bus` {
    @Test(arguments: BusKind.allCases)
    func `delivers what is published after the subscription, in order`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            try bus.publish(text("orders.created", "too early"))
            try await bus.flush(timeout: .seconds(2))
            let subscription = try bus.subscribe("orders.created", queueGroup: nil, limits: .standard)
            let sent = (0..<5000).map { "\($0)" }
            try bus.publish(contentsOf: sent.map { text("orders.created", $0) })
            #expect(try await received(5000, from: subscription).map(\.text) == sent)
            #expect(try await received(1, from: subscription, timeout: .milliseconds(20)).isEmpty)
            #expect(subscription.droppedCount == 0)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `sends what it takes and says what it does not take`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            try await bus.flush(timeout: .seconds(2))
            let subscription = try bus.subscribe("many", queueGroup: nil, limits: .standard)
            let failures = bus.publishEach([text("many", "1"), text("no subject", "2"), text("many", "3")])
            #expect(failures.map(\.index) == [1])
            #expect(failures.first?.error.code == .invalidArgument)
            #expect(try await received(2, from: subscription).map(\.text) == ["1", "3"])
        }
    }

    @Test(arguments: BusKind.allCases)
    func `lets an asterisk stand for one token and an arrow for the rest`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let one = try bus.subscribe("events.*.created", queueGroup: nil, limits: .standard)
            let rest = try bus.subscribe("events.>", queueGroup: nil, limits: .standard)
            for subject in ["events.a.created", "events.a.b.created", "events.b.created", "events", "other.a.created"] {
                try bus.publish(text(subject, ""))
            }
            try await bus.flush(timeout: .seconds(2))
            #expect(try await received(2, from: one).map(\.subject) == ["events.a.created", "events.b.created"])
            #expect(
                try await received(3, from: rest).map(\.subject)
                    == ["events.a.created", "events.a.b.created", "events.b.created"])
            #expect(one.pendingCount == 0 && rest.pendingCount == 0)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `gives each message to one member of a queue group`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let members = try (0..<2).map { _ in try bus.subscribe("jobs", queueGroup: "workers", limits: .standard) }
            let watcher = try bus.subscribe("jobs", queueGroup: nil, limits: .standard)
            try bus.publish(contentsOf: (0..<200).map { text("jobs", "\($0)") })
            #expect(try await received(200, from: watcher).count == 200)
            #expect(try await eventually { members.reduce(0) { $0 + $1.pendingCount } == 200 })
            #expect(members.allSatisfy { $0.pendingCount > 0 })
        }
    }

    @Test(arguments: BusKind.allCases)
    func `brings the answer to whoever asked`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let subscription = try bus.subscribe("echo", queueGroup: nil, limits: .standard)
            answerOnThread(subscription, on: bus)
            let answers = try await withThrowingTaskGroup { group in
                for number in 0..<500 {
                    group.addTask {
                        let answer = try await bus.request(text("echo", "\(number)"), timeout: .seconds(5))
                        return answer.text == "\(number)"
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(answers == 500)
            subscription.drain()
        }
    }

    @Test(arguments: BusKind.allCases)
    func `says at once that nobody answers`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let error = await #expect(throws: BusError.self) {
                try await bus.request(text("nobody.home", ""), timeout: .seconds(30))
            }
            #expect(error?.code == .noResponders)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `ends the wait for an answer when the time is up`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let silent = try bus.subscribe("silent", queueGroup: nil, limits: .standard)
            let error = await #expect(throws: BusError.self) {
                try await bus.request(text("silent", ""), timeout: .milliseconds(30))
            }
            #expect(error?.code == .timeout)
            let question = try #require(try await received(1, from: silent).first)
            try bus.publish(Message(subject: question.replyTo, payload: []))
            try await bus.flush(timeout: .seconds(2))
        }
    }

    @Test(arguments: BusKind.allCases)
    func `ends the wait for an answer when its task is cancelled`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let silent = try bus.subscribe("silent", queueGroup: nil, limits: .standard)
            let asking = Task { try await bus.request(text("silent", ""), timeout: .seconds(60)) }
            _ = try await received(1, from: silent)
            asking.cancel()
            let error = await #expect(throws: BusError.self) { try await asking.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `carries headers, several of one name in order`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let subscription = try bus.subscribe("with.headers", queueGroup: nil, limits: .standard)
            let headers = [
                MessageHeader("Nats-Msg-Id", "7"), MessageHeader("Lattice-Reply", "_INBOX.a"),
                MessageHeader("Empty", ""), MessageHeader("Tag", "second"), MessageHeader("Tag", "first"),
            ]
            try bus.publish(Message(subject: "with.headers", replyTo: "back", headers: headers, payload: [1, 0, 2]))
            let message = try #require(try await received(1, from: subscription).first)
            #expect(message.replyTo == "back" && message.payload == [1, 0, 2])
            #expect(Set(message.headers) == Set(headers) && message.headers.count == 5)
            #expect(message.headers.filter { $0.name == "Tag" }.map(\.value) == ["second", "first"])
            #expect(message.header("nats-msg-id") == "7")
        }
    }

    @Test(arguments: BusKind.allCases)
    func `carries a mebibyte and refuses more`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let subscription = try bus.subscribe("large", queueGroup: nil, limits: .standard)
            let maximum = try #require(bus.maximumPayload)
            let payload = (0..<maximum).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try bus.publish(Message(subject: "large", payload: payload))
            #expect(try await received(1, from: subscription).first?.payload == payload)
            let error = #expect(throws: BusError.self) {
                try bus.publish(Message(subject: "large", payload: payload + [0]))
            }
            #expect(error?.code == .messageTooLarge)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `hands over what has arrived after drain and then ends`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let subscription = try bus.subscribe("last", queueGroup: nil, limits: .standard)
            try bus.publish(contentsOf: (0..<10).map { text("last", "\($0)") })
            #expect(try await eventually { subscription.pendingCount == 10 })
            subscription.drain()
            let ended = try await onThread { countUntilClosed(subscription) }
            #expect(ended == 10)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `hands over what has arrived after close and then ends`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let subscription = try bus.subscribe("last", queueGroup: nil, limits: .standard)
            try bus.publish(contentsOf: (0..<10).map { text("last", "\($0)") })
            await bus.close()
            await bus.close()
            #expect(bus.state == .closed)
            #expect(try await onThread { countUntilClosed(subscription) } == 10)
            #expect(throws: BusError.self) { try bus.publish(text("last", "")) }
            #expect(throws: BusError.self) { try bus.subscribe("last", queueGroup: nil, limits: .standard) }
            let error = await #expect(throws: BusError.self) {
                try await bus.request(text("last", ""), timeout: .seconds(1))
            }
            #expect(error?.code == .closed)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `drops and counts what does not fit, and goes on`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let limits = PendingLimits(messages: 10, bytes: 1_000_000)
            let subscription = try bus.subscribe("flood", queueGroup: nil, limits: limits)
            try bus.publish(contentsOf: (0..<100).map { text("flood", "\($0)") })
            #expect(try await eventually { subscription.droppedCount == 90 })
            #expect(try await received(10, from: subscription).map(\.text) == (0..<10).map { "\($0)" })
            try bus.publish(text("flood", "after"))
            #expect(try await received(1, from: subscription).map(\.text) == ["after"])
            #expect(subscription.droppedCount == 90)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `refuses subjects and headers that would break the protocol`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            for subject in ["", "a b", "a..b", ".a", "a.", "a.*", "a.>", "a\r\nPUB b 0\r\n"] {
                let error = #expect(throws: BusError.self) { try bus.publish(text(subject, "")) }
                #expect(error?.code == .invalidArgument)
            }
            for pattern in ["", "a b", "a..b", "a.>.b", "a*.b", "a.b>"] {
                let error = #expect(throws: BusError.self) {
                    try bus.subscribe(pattern, queueGroup: nil, limits: .standard)
                }
                #expect(error?.code == .invalidArgument)
            }
            for header in [
                MessageHeader("", "x"), MessageHeader("A", " x"), MessageHeader("A:B", "x"),
                MessageHeader("A", "x\r\nB: y"),
            ] {
                let message = Message(subject: "a", headers: [header], payload: [])
                #expect(throws: BusError.self) { try bus.publish(message) }
            }
        }
    }
}

/// How many messages come before the subscription says that it has ended; −1 if it does not.
private func countUntilClosed(_ subscription: any MessageSubscription) -> Int {
    var count = 0
    for _ in 0..<200 {
        do throws(BusError) {
            count += try subscription.receive(maximum: 3, timeout: .milliseconds(100)).count
        } catch { return error.code == .closed ? count : -1 }
    }
    return -1
}
