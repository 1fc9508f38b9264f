// Answers on their way out: each by itself, so that one that can not be sent holds up no other.

import EventModel
import Logging
import Messaging

/// Sends what a node says.
struct Delivery: Sendable {
    let bus: any MessageBus
    let logger: Logger

    /// Whether an answer may be sent to a subject that somebody else chose: to inboxes only, never to the server's
    /// administration or back into the node (operations.md, Identity).
    static func isInbox(_ subject: String, prefix: String) -> Bool {
        SubjectSyntax.isPublishable(subject) && !subject.hasPrefix("$") && !subject.hasPrefix(prefix + ".")
    }

    /// Sends each; what is too large for the server is replaced by what `instead` makes of it.
    func send(_ messages: [Message], instead: (Message) -> Message? = { _ in nil }) {
        var failedCount = 0
        var lastError: BusError?
        for message in messages {
            guard let error = attempt(message) else { continue }
            if error.code == .messageTooLarge, let other = instead(message), attempt(other) == nil { continue }
            failedCount += 1
            lastError = error
        }
        if let lastError {
            logger.warning("answers not sent", metadata: ["count": "\(failedCount)", "error": "\(lastError)"])
        }
    }

    private func attempt(_ message: Message) -> BusError? {
        do throws(BusError) {
            try bus.publish(message)
            return nil
        } catch {
            return error
        }
    }
}
