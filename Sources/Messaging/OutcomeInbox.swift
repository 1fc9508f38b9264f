// Where outcomes of published events arrive, for as many publishers as wait.

import Dispatch
package import EventModel
import Synchronization

/// One subscription and one thread for all outcomes; each waits under a token of its own.
///
/// The plain reply subject would do on core NATS only: over a stream it belongs to the stream's acknowledgement. That is
/// asked for where a message has a `Nats-Msg-Id`, since a stream swallows repeats and no node hears of them.
package final class OutcomeInbox: Sendable {
    /// What a stream's answer to a publication means for whoever waits for the outcome.
    package enum Word: Sendable {
        /// The outcome comes from a node.
        case follows
        /// There will be none.
        case failed(BusError)
        /// The stream took the id before, at this sequence. A stream takes an id once, whoever sends it: whether that is the
        /// same message sent again, only the record tells (decision 150).
        case repeats(SequenceNumber)
    }

    /// Reads a stream's answer.
    package typealias Acknowledgement = @Sendable (Message) -> Word

    /// Why a message is not in the log whose id another owner used first.
    package static let takenReason = "message_id_taken"

    /// Of one message: whoever waits, or what came before anybody did.
    private struct Waiting {
        var deadline: ContinuousClock.Instant
        var continuation: CheckedContinuation<Result<Message, BusError>, Never>?
        var result: Result<Message, BusError>?
    }

    private struct State {
        var waiting: [String: Waiting] = [:]
        /// Nothing comes any more.
        var isEnded = false
    }

    /// How late a timeout may be told.
    private static let tick = Duration.milliseconds(100)

    private let bus: any MessageBus
    private let subject: String
    private let acknowledgement: Acknowledgement
    private let asksAlways: Bool
    private let isOpen = Mutex(false)
    private let state = Mutex(State())

    /// An inbox whose subscription is opened when it is first needed, and ends with this value.
    ///
    /// - Parameters:
    ///   - prefix: the inbox prefix that the bus's user may hear.
    ///   - asksAlways: whether what has no id is asked for too: it costs a request, and names what a stream refuses.
    ///   - acknowledgement: how to read what a stream says of a message.
    package init(
        _ bus: any MessageBus, prefix: String = "_INBOX", asksAlways: Bool = false,
        acknowledgement: @escaping Acknowledgement
    ) {
        self.asksAlways = asksAlways
        self.bus = bus
        self.acknowledgement = acknowledgement
        let name = String(UInt64.random(in: .min ... .max), radix: 36)
        subject = "\(prefix).lattice-outcomes-\(name)"
    }

    private func open() throws(BusError) {
        try isOpen.withLock { isOpen throws(BusError) in
            if isOpen { return }
            let subscription = try bus.subscribe(
                subject + ".*", queueGroup: nil, limits: PendingLimits(messages: 65_536, bytes: 64 << 20))
            isOpen = true
            DispatchQueue(label: "lattice.outcomes").async { [weak self] in
                var nextLook = ContinuousClock.now + Self.tick
                while let messages = try? subscription.receive(maximum: 256, timeout: Self.tick) {
                    guard let self else { return subscription.drain() }
                    for message in messages { self.settle(message.subject, .success(message)) }
                    let now = ContinuousClock.now
                    if now < nextLook { continue }
                    self.settleAll(.failure(BusError(.timeout, "no outcome in time"))) { $0.deadline <= now }
                    nextLook = now + Self.tick
                }
                self?.state.withLock { $0.isEnded = true }
                self?.settleAll(.failure(BusError(.closed, "no outcome: the connection is closed"))) { _ in true }
            }
        }
    }

    /// Publishes an event and returns its outcome; throws `timeout` where none came, up to 100 ms late, `cancelled` where
    /// the task was, `closed` where the connection ended. What has an id is also asked for: `noResponders` where nobody
    /// listens at all, and what the stream says of it.
    package func outcome(of message: Message, timeout: Duration) async throws(BusError) -> Message {
        try open()
        let inbox = "\(subject).\(String(UInt64.random(in: .min ... .max), radix: 36))"
        var message = message
        message.headers.append(MessageHeader("Lattice-Reply", inbox))
        let isEnded = state.withLock { state in
            state.waiting[inbox] = Waiting(deadline: .now + timeout)
            return state.isEnded
        }
        if isEnded { settle(inbox, .failure(BusError(.closed, "no outcome: the connection is closed"))) }
        guard asksAlways || message.header("Nats-Msg-Id") != nil else {
            do throws(BusError) {
                try bus.publish(message)
            } catch {
                settle(inbox, .failure(error))
            }
            return try await result(inbox)
        }
        let asking = Task { [message] in await ask(message, inbox, timeout) }
        defer { asking.cancel() }
        return try await result(inbox)
    }

    /// Publishes and waits for the stream's word, of which there is none on core NATS.
    private func ask(_ message: Message, _ inbox: String, _ timeout: Duration) async {
        do throws(BusError) {
            switch acknowledgement(try await bus.request(message, timeout: timeout)) {
            case .follows: return
            case .failed(let error): settle(inbox, .failure(error))
            case .repeats(let sequence): settle(inbox, .success(try await known(sequence, message, timeout)))
            }
        } catch {
            if error.code != .timeout && error.code != .cancelled { settle(inbox, .failure(error)) }
        }
    }

    /// The outcome of a message whose id the stream knows: a duplicate where the record is one of the same family and owner,
    /// a rejection where it is another's. Where no node says, it is not known, and the publisher asks again.
    private func known(
        _ sequence: SequenceNumber, _ message: Message, _ timeout: Duration
    ) async throws(BusError) -> Message {
        guard let (prefix, own) = Self.place(of: message.subject) else {
            throw BusError(.invalidArgument, "\(message.subject) is no event's")
        }
        var query = NodeQuery()
        query.sequence = sequence
        query.position.minimumSequence = sequence
        let question = Message(
            subject: "\(prefix).queries.node.outcome",
            headers: [MessageHeader("Content-Type", "application/protobuf")], payload: query.encode())
        let answer = try await bus.request(question, timeout: timeout)
        guard answer.header("Nats-Service-Error") == nil, let found = try? OutcomeNotice.decode(answer.payload[...]),
            !found.subject.isEmpty
        else {
            throw BusError(.other, "the stream has a message of this id at \(sequence), and no node says whose it is")
        }
        var writer = WireWriter(capacity: 48)
        if Self.scope(of: found.subject) == Self.scope(of: own) {
            writer.field(1, sequence)
            writer.field(3, "duplicate")
            writer.field(7, sequence)
        } else {
            writer.field(3, "rejected")
            writer.field(6, Self.takenReason)
        }
        return Message(subject: message.subject, payload: writer.bytes)
    }

    /// The prefix of an event's subject, and what stands behind `.events.`.
    private static func place(of subject: String) -> (prefix: Substring, own: String)? {
        guard let middle = subject.firstRange(of: ".events.") else { return nil }
        return (subject[..<middle.lowerBound], String(subject[middle.upperBound...]))
    }

    /// Family and owner.
    private static func scope(of subject: String) -> [UInt8] {
        var dots = 0
        return Array(
            subject.utf8.prefix { byte in
                if byte == UInt8(ascii: ".") { dots += 1 }
                return dots < 2
            })
    }

    private func result(_ inbox: String) async throws(BusError) -> Message {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Result<Message, BusError>? in
                    guard let result = state.waiting[inbox]?.result else {
                        state.waiting[inbox]?.continuation = continuation
                        return nil
                    }
                    state.waiting[inbox] = nil
                    return result
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            settle(inbox, .failure(BusError(.cancelled, "no outcome: cancelled")))
        }
        return try result.get()
    }

    /// The first word counts; the entry goes when it is told.
    private func settle(_ inbox: String, _ result: Result<Message, BusError>) {
        let continuation = state.withLock { state -> CheckedContinuation<Result<Message, BusError>, Never>? in
            guard let waiting = state.waiting[inbox] else { return nil }
            if let continuation = waiting.continuation {
                state.waiting[inbox] = nil
                return continuation
            }
            if waiting.result == nil { state.waiting[inbox]?.result = result }
            return nil
        }
        continuation?.resume(returning: result)
    }

    private func settleAll(_ result: Result<Message, BusError>, where isOver: (Waiting) -> Bool) {
        let over = state.withLock { state in state.waiting.filter { isOver($0.value) }.keys }
        for inbox in over { settle(inbox, result) }
    }
}
