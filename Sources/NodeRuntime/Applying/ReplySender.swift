// Answers on their way out: each by itself, so that one that cannot be sent holds up no other.

import EventModel
import Logging
import Messaging

/// Sends what a node says.
struct ReplySender: Sendable {
    let bus: any MessageBus
    let logger: Logger

    /// Whether an answer may be sent to a subject that somebody else chose: to inboxes only, never to the server's
    /// administration, to somebody's subscription or back into the node (decision 109).
    static func isInbox(_ subject: String, prefix: String) -> Bool {
        SubjectSyntax.isInbox(subject) && !subject.hasPrefix(prefix + ".")
    }

    /// Sends each; what is too large for the server is replaced by what `instead` makes of it, told its place in the list.
    func send(_ messages: [Message], instead: (Int, Message) -> Message? = { _, _ in nil }) {
        var failedCount = 0
        var lastError: BusError?
        for (index, error) in bus.publishEach(messages) {
            if error.code == .messageTooLarge, let other = instead(index, messages[index]), attempt(other) == nil {
                continue
            }
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
