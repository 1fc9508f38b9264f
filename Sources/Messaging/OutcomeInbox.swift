// Where outcomes of published events arrive, for as many publishers as wait.

import Dispatch
import Synchronization

/// One subscription and one thread for all outcomes; each waits under a token of its own.
///
/// The plain reply subject would do on core NATS only: over a stream it belongs to the stream's acknowledgement.
package final class OutcomeInbox: Sendable {
    private struct Waiting {
        var continuation: CheckedContinuation<Result<Message?, BusError>, Never>
        var deadline: ContinuousClock.Instant
    }

    /// How late a timeout may be told.
    private static let tick = Duration.milliseconds(100)

    private let bus: any MessageBus
    private let subject: String
    private struct State {
        var waiting: [String: Waiting] = [:]
        /// Nothing comes any more.
        var isEnded = false
    }

    private let state = Mutex(State())

    /// Opens the subscription; it ends with this value.
    ///
    /// - Parameter prefix: the inbox prefix that the bus's user may hear.
    package init(_ bus: any MessageBus, prefix: String = "_INBOX") throws(BusError) {
        self.bus = bus
        let name = String(UInt64.random(in: .min ... .max), radix: 36)
        subject = "\(prefix).lattice-outcomes-\(name)"
        let subscription = try bus.subscribe(
            subject + ".*", queueGroup: nil, limits: PendingLimits(messages: 65_536, bytes: 64 << 20))
        DispatchQueue(label: "lattice.outcomes").async { [weak self] in
            var nextLook = ContinuousClock.now + Self.tick
            while let messages = try? subscription.receive(maximum: 256, timeout: Self.tick) {
                guard let self else { return subscription.drain() }
                for message in messages { self.settle(message.subject, .success(message)) }
                let now = ContinuousClock.now
                if now < nextLook { continue }
                self.giveUp { $0.deadline <= now }
                nextLook = now + Self.tick
            }
            self?.state.withLock { $0.isEnded = true }
            self?.giveUp { _ in true }
        }
    }

    /// Publishes an event and returns its outcome; throws `timeout` where none came, up to 100 ms late, `cancelled` where
    /// the task was.
    package func outcome(of message: Message, timeout: Duration) async throws(BusError) -> Message {
        let inbox = "\(subject).\(String(UInt64.random(in: .min ... .max), radix: 36))"
        var message = message
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
