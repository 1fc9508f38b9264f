// A customer of a node: asks, publishes and waits for the outcome.

import EventModel
import Messaging
import NATSMessaging

/// One connection, one prefix.
struct NodeClient: Sendable {
    let bus: NATSMessageBus
    let prefix: String
    let timeout: Duration

    /// Asks a query and returns the answer's payload.
    func ask(_ query: String, _ request: [UInt8], asJSON: Bool) async throws(CommandFailure) -> [UInt8] {
        let type = asJSON ? "application/json" : "application/protobuf"
        let question = Message(
            subject: "\(prefix).queries.\(query)", headers: [MessageHeader("Content-Type", type)], payload: request)
        let answer = try await send(question)
        if let error = answer.header("Nats-Service-Error") {
            throw CommandFailure(.failed, Terminal.escaped(error))
        }
        return answer.payload
    }

    /// Publishes an event, given as canonical bytes, and returns the outcome's payload.
    func publish(_ event: String, _ facts: [UInt8], id: String?, asJSON: Bool) async throws(CommandFailure) -> [UInt8] {
        var payload = facts
        var headers = [MessageHeader("Content-Type", "application/protobuf")]
        if asJSON, let type = Self.type(of: event),
            let text = try? JSONTranscoder.json(fromBinary: facts, type: type)
        {
            payload = text
            headers = [MessageHeader("Content-Type", "application/json")]
        }
        if let id { headers.append(MessageHeader("Nats-Msg-Id", id)) }
        let token = String(UInt64.random(in: .min ... .max), radix: 36)
        let inbox = "\(bus.configuration.inboxPrefix).lattice.\(token)"
        headers.append(MessageHeader("Lattice-Reply", inbox + ".outcome"))
        var message = Message(subject: "\(prefix).events.\(event)", headers: headers, payload: payload)
        // Where a stream says that it has swallowed a repeat, of which no node hears.
        if id != nil { message.replyTo = inbox + ".stream" }
        return try await outcome(of: message, inbox + ".*")
    }

    /// The kind of an event by its subject, behind which may stand who does it.
    private static func type(of event: String) -> EventType? {
        let tokens = event.split(separator: ".")
        return EventType.allCases.first { type in
            type.family.rawValue == tokens[0] && tokens.dropFirst().prefix(2).last.map { $0 == type.name } == true
        }
    }

    /// The outcome, or the stream's word that the message is a repeat, in the form of an outcome. That it has a new
    /// message is no answer: its outcome follows.
    private static func outcome(on subscription: any MessageSubscription, within timeout: Duration) -> Message? {
        let end = ContinuousClock.now + timeout
        while case let rest = ContinuousClock.now.duration(to: end), rest > .zero {
            guard let message = try? subscription.receive(maximum: 1, timeout: rest).first else { return nil }
            if message.subject.hasSuffix(".outcome") { return message }
            guard let known = try? StreamAcknowledgement(message, to: message.subject), known.isDuplicate else {
                continue
            }
            var answer = message
            let number = known.sequence.rawValue
            answer.payload = Array(
                #"{"sequence":"\#(number)","outcome":"duplicate","first_sequence":"\#(number)"}"#.utf8)
            return answer
        }
        return nil
    }

    /// Publishes and waits on an inbox of its own: over a stream the plain reply belongs to the acknowledgement.
    private func outcome(of message: Message, _ inbox: String) async throws(CommandFailure) -> [UInt8] {
        let subscription: any MessageSubscription
        do throws(BusError) {
            subscription = try bus.subscribe(
                inbox, queueGroup: nil, limits: PendingLimits(messages: 8, bytes: 8 << 20))
            try bus.publish(message)
            try await bus.flush(timeout: timeout)
        } catch {
            throw failure(error)
        }
        let timeout = timeout
        let bar = ProgressBar.whileWaiting(upTo: timeout)
        defer { bar.cancel() }
        let answer = await blocking { Self.outcome(on: subscription, within: timeout) }
        subscription.drain()
        guard let answer else {
            throw CommandFailure(
                .unreachable,
                "no outcome within \(timeout): no node answers on prefix `\(prefix)`; start one with `lattice serve`, "
                    + "or look with `lattice query status`")
        }
        return answer.payload
    }

    private func send(_ message: Message) async throws(CommandFailure) -> Message {
        let bar = ProgressBar.whileWaiting(upTo: timeout)
        defer { bar.cancel() }
        do throws(BusError) {
            return try await bus.request(message, timeout: timeout)
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: BusError) -> CommandFailure {
        switch error.code {
        case .noResponders:
            CommandFailure(
                .unreachable, "no node answers on prefix `\(prefix)`; start one with `lattice serve`")
        case .timeout:
            CommandFailure(.unreachable, "no answer within \(timeout) on prefix `\(prefix)` (--timeout waits longer)")
        default: CommandFailure(error, url: bus.configuration.servers.joined(separator: ", "))
        }
    }

    func close() async { await bus.close() }
}
