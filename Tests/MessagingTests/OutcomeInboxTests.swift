// Waiting for outcomes: each waits for its own, nobody waits for ever.

import Dispatch
import Messaging
import NATSMessaging
import Testing

@Suite struct `An inbox of outcomes` {
    /// Answers every event with its own payload, but those that ask for silence.
    private func answer(_ bus: any MessageBus) throws {
        let subscription = try bus.subscribe("events.>", queueGroup: nil, limits: .standard)
        DispatchQueue(label: "answers").async {
            while let messages = try? subscription.receive(maximum: 100, timeout: .milliseconds(20)) {
                for message in messages where message.text != "silence" {
                    guard let inbox = message.header("Lattice-Reply") else { continue }
                    try? bus.publish(Message(subject: inbox, payload: message.payload))
                }
            }
        }
    }

    private func failure(_ inbox: OutcomeInbox, _ what: String, timeout: Duration) async -> BusError.Code? {
        do throws(BusError) {
            _ = try await inbox.outcome(of: text("events.a", what), timeout: timeout)
            return nil
        } catch {
            return error.code
        }
    }

    @Test(arguments: BusKind.allCases)
    func `brings each outcome to whoever waits for it`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            try answer(bus)
            let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
            let isRight = try await withThrowingTaskGroup { group in
                for number in 0..<200 {
                    group.addTask {
                        try await inbox.outcome(of: text("events.a", "\(number)"), timeout: .seconds(10)).text
                            == "\(number)"
                    }
                }
                return try await group.reduce(true) { $0 && $1 }
            }
            #expect(isRight)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `says so when none came in time, and waits for the others`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            try answer(bus)
            let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
            async let short = failure(inbox, "silence", timeout: .milliseconds(30))
            async let long = failure(inbox, "silence", timeout: .seconds(3_600))
            #expect(await short == .timeout)
            #expect(try await inbox.outcome(of: text("events.a", "yes"), timeout: .seconds(10)).text == "yes")
            // Nothing comes after the end of the bus, and nobody waits for it.
            await bus.close()
            #expect(await long == .closed)
        }
    }

    @Test(arguments: BusKind.allCases)
    func `says at once that nobody listens to what has an id`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
            var message = text("events.a", "alone")
            message.headers = [MessageHeader("Nats-Msg-Id", "1")]
            let failure = await #expect(throws: BusError.self) {
                try await inbox.outcome(of: message, timeout: .seconds(3_600))
            }
            #expect(failure?.code == .noResponders)
            // Whoever hears it answers on the inbox for outcomes, not to whoever asked.
            try answer(bus)
            #expect(try await inbox.outcome(of: message, timeout: .seconds(10)).text == "alone")
        }
    }

    @Test(arguments: BusKind.allCases)
    func `lets go of a task that is cancelled`(_ kind: BusKind) async throws {
        try await kind.withBus { bus in
            let inbox = OutcomeInbox(bus, acknowledgement: StreamAcknowledgement.outcome)
            let waiting = Task { await failure(inbox, "silence", timeout: .seconds(3_600)) }
            try await Task.sleep(for: .milliseconds(10))
            waiting.cancel()
            #expect(await waiting.value == .cancelled)
        }
    }
}
