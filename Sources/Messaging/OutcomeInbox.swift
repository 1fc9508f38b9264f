// Where outcomes of published events arrive, for as many publishers as wait.

import Dispatch
import Synchronization

/// One subscription and one thread for all outcomes; each waits under a token of its own.
///
/// The plain reply subject would do on core NATS only: over a stream it belongs to the stream's acknowledgement. That is
/// asked for where a message has a `Nats-Msg-Id`, since a stream swallows repeats and no node hears of them.
package final class OutcomeInbox: Sendable {
    /// What a server's answer to a publication means for whoever waits for the outcome: the outcome, why there will be
    /// none, or nil, that it follows.
    package typealias Acknowledgement = @Sendable (Message) -> Result<Message, BusError>?

    private struct Waiting {
        var continuation: CheckedContinuation<Result<Message?, BusError>, Never>
        var deadline: ContinuousClock.Instant
    }

    private struct State {
        var waiting: [String: Waiting] = [:]
        /// Nothing comes any more.
        var isEnded = false
    }

    /// How late a timeout may be told.
    private static let tick = Duration.milliseconds(100)
    private static let idHeader = "Nats-Msg-Id"

    private let bus: any MessageBus
    private let subject: String
    private let acknowledgement: Acknowledgement
    private let isOpen = Mutex(false)
    private let state = Mutex(State())

    /// An inbox whose subscription is opened when it is first needed, and ends with this value.
    ///
    /// - Parameters:
    ///   - prefix: the inbox prefix that the bus's user may hear.
    ///   - acknowledgement: how to read what a stream, or the server, says of a message.
    package init(_ bus: any MessageBus, prefix: String = "_INBOX", acknowledgement: @escaping Acknowledgement) {
        self.bus = bus
        self.acknowledgement = acknowledgement
        let name = String(UInt64.random(in: .min ... .max), radix: 36)
        subject = "\(prefix).lattice-outcomes-\(name)"
    }

    private func open() throws(BusError) {
        try isOpen.withLock { isOpen throws(BusError) in
            if isOpen { return }
            let subscription = try bus.subscribe(
                subject + ".>", queueGroup: nil, limits: PendingLimits(messages: 65_536, bytes: 64 << 20))
            isOpen = true
            DispatchQueue(label: "lattice.outcomes").async { [weak self] in
                var nextLook = ContinuousClock.now + Self.tick
                while let messages = try? subscription.receive(maximum: 256, timeout: Self.tick) {
                    guard let self else { return subscription.drain() }
                    for message in messages { self.take(message) }
                    let now = ContinuousClock.now
                    if now < nextLook { continue }
                    self.giveUp { $0.deadline <= now }
                    nextLook = now + Self.tick
                }
                self?.state.withLock { $0.isEnded = true }
                self?.giveUp { _ in true }
            }
        }
    }

    private func take(_ message: Message) {
        guard message.subject.hasSuffix(Self.suffix) else { return settle(message.subject, .success(message)) }
        if let word = acknowledgement(message) {
            settle(String(message.subject.dropLast(Self.suffix.count)), word.map { $0 })
        }
    }

    private static let suffix = ".acknowledged"

    /// Publishes an event and returns its outcome; throws `timeout` where none came, up to 100 ms late, `cancelled` where
    /// the task was.
    package func outcome(of message: Message, timeout: Duration) async throws(BusError) -> Message {
        try open()
        let inbox = "\(subject).\(String(UInt64.random(in: .min ... .max), radix: 36))"
        var message = message
        if message.header(Self.idHeader) != nil { message.replyTo = inbox + Self.suffix }
        message.headers.append(MessageHeader("Lattice-Reply", inbox))
        if let answer = try await wait(inbox, message, until: .now + timeout) { return answer }
        throw BusError(Task.isCancelled ? .cancelled : .timeout, "no outcome in time")
    }

    private func wait(
        _ inbox: String, _ message: Message, until deadline: ContinuousClock.Instant
    ) async throws(BusError) -> Message? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isEnded = state.withLock { state in
                    state.waiting[inbox] = Waiting(continuation: continuation, deadline: deadline)
                    return state.isEnded
                }
                do throws(BusError) {
                    try bus.publish(message)
                } catch {
                    settle(inbox, .failure(error))
                }
                if Task.isCancelled || isEnded { settle(inbox, .success(nil)) }
            }
        } onCancel: {
            settle(inbox, .success(nil))
        }
        return try result.get()
    }

    private func settle(_ inbox: String, _ result: Result<Message?, BusError>) {
        state.withLock { $0.waiting.removeValue(forKey: inbox) }?.continuation.resume(returning: result)
    }

    private func giveUp(_ isOverdue: (Waiting) -> Bool) {
        let overdue = state.withLock { state in state.waiting.filter { isOverdue($0.value) }.keys }
        for inbox in overdue { settle(inbox, .success(nil)) }
    }
}
