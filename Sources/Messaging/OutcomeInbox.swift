// Where outcomes of published events arrive, for as many publishers as wait.

import Dispatch
import Synchronization

/// One subscription and one thread for all outcomes; each waits under a token of its own.
///
/// The plain reply subject would do on core NATS only: over a stream it belongs to the stream's acknowledgement.
package final class OutcomeInbox: Sendable {
    private typealias Waiting = CheckedContinuation<Result<Message?, BusError>, Never>

    private let bus: any MessageBus
    private let subject: String
    private let waiting = Mutex<[String: Waiting]>([:])

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
            while let messages = try? subscription.receive(maximum: 256, timeout: .milliseconds(500)) {
                guard let self else { return subscription.drain() }
                for message in messages { self.settle(message.subject, .success(message)) }
            }
        }
    }

    /// Publishes an event and returns its outcome; throws `timeout` where none came, `cancelled` where the task was.
    package func outcome(of message: Message, timeout: Duration) async throws(BusError) -> Message {
        let inbox = "\(subject).\(String(UInt64.random(in: .min ... .max), radix: 36))"
        var message = message
        message.headers.append(MessageHeader("Lattice-Reply", inbox))
        let timer = Task {
            try await Task.sleep(for: timeout)
            settle(inbox, .success(nil))
        }
        defer { timer.cancel() }
        if let answer = try await wait(inbox, message) { return answer }
        throw BusError(Task.isCancelled ? .cancelled : .timeout, "no outcome in time")
    }

    private func wait(_ inbox: String, _ message: Message) async throws(BusError) -> Message? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Waiting) in
                waiting.withLock { $0[inbox] = continuation }
                do throws(BusError) {
                    try bus.publish(message)
                } catch {
                    settle(inbox, .failure(error))
                }
                if Task.isCancelled { settle(inbox, .success(nil)) }
            }
        } onCancel: {
            settle(inbox, .success(nil))
        }
        return try result.get()
    }

    private func settle(_ inbox: String, _ result: Result<Message?, BusError>) {
        waiting.withLock { $0.removeValue(forKey: inbox) }?.resume(returning: result)
    }
}
