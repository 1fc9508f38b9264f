// What a node says on the bus: replies to publishers, notices to watchers, rejections.

import EventModel
import Logging
import Messaging
import Synchronization

/// Messages gathered during one batch, so that they go out together.
struct PendingReplies: Sendable {
    fileprivate var replies: [Reply] = []
    fileprivate var changes: [ChangeKey: SequenceNumber] = [:]

    var isEmpty: Bool { replies.isEmpty && changes.isEmpty }

    mutating func reply(_ outcome: OutcomeAnswer, to subject: String, asJSON: Bool) {
        replies.append(Reply(outcome: outcome, subject: subject, asJSON: asJSON))
    }

    mutating func changed(_ machine: String, _ key: String, _ sequence: SequenceNumber) {
        changes[ChangeKey(machine: machine, key: key)] = sequence
    }

    /// What one publisher is told.
    fileprivate struct Reply {
        var outcome: OutcomeAnswer
        var subject: String
        var asJSON: Bool
    }

    /// What watchers of one subject wait for.
    fileprivate struct ChangeKey: Hashable {
        var machine: String
        var key: String
    }
}

/// Publishes what the applier and the intake have to say.
final class ReplyPublisher: Sendable {
    private let bus: any MessageBus
    private let prefix: String
    private let logger: Logger
    private let rejectionBudget = Mutex((second: Int64(0), spent: 0))
    /// Rejections told on the bus in one second; all are counted.
    private static let rejectionsPerSecond = 200

    init(bus: any MessageBus, prefix: String, logger: Logger) {
        self.bus = bus
        self.prefix = prefix
        self.logger = logger
    }

    func say(_ pending: PendingReplies) {
        if pending.isEmpty { return }
        var messages = pending.replies.map { reply in
            WireFormat.message(reply.outcome.encode(), kind: .outcomeAnswer, to: reply.subject, asJSON: reply.asJSON)
        }
        for (change, sequence) in pending.changes.sorted(by: { $0.value < $1.value }) {
            var writer = WireWriter(capacity: 64)
            writer.field(1, change.key)
            writer.field(2, sequence)
            let subject = "\(prefix).changes.\(change.machine).\(SubjectToken.escape(change.key))"
            messages.append(WireFormat.message(writer.bytes, kind: .changeNotice, to: subject, asJSON: true))
        }
        let replies = pending.replies
        ReplySender(bus: bus, logger: logger).send(messages) { index, _ in
            index < replies.count ? Self.shortened(replies[index]) : nil
        }
    }

    /// The verdict without what it says of each event, for a server that takes no more.
    private static func shortened(_ reply: PendingReplies.Reply) -> Message {
        var outcome = reply.outcome
        (outcome.refused, outcome.consequences, outcome.replaced) = ([], [], [])
        var writer = WireWriter(capacity: 32)
        writer.field(6, "details_too_large")
        return WireFormat.message(
            outcome.encode() + writer.bytes, kind: .outcomeAnswer, to: reply.subject, asJSON: reply.asJSON)
    }

    func reject(_ rejections: [Rejection], now: Timestamp) {
        var messages: [Message] = []
        for rejection in rejections {
            if !rejection.replyTo.isEmpty {
                var writer = WireWriter()
                writer.field(3, "rejected")
                writer.field(6, rejection.reason)
                messages.append(
                    WireFormat.message(
                        writer.bytes, kind: .outcomeAnswer, to: rejection.replyTo, asJSON: rejection.wantsJSON))
            }
            guard mayTellRejection(now) else { continue }
            var writer = WireWriter()
            writer.field(1, rejection.subject)
            writer.field(2, rejection.reason)
            writer.field(3, rejection.size)
            writer.field(4, rejection.fingerprint.description)
            messages.append(
                WireFormat.message(writer.bytes, kind: .rejection, to: "\(prefix).rejected", asJSON: true))
        }
        publish(messages)
    }

    private func mayTellRejection(_ now: Timestamp) -> Bool {
        let second = now.rawValue / 1_000_000_000
        return rejectionBudget.withLock { budget in
            if budget.second != second { budget = (second, 0) }
            budget.spent += 1
            return budget.spent <= Self.rejectionsPerSecond
        }
    }

    private func publish(_ messages: [Message]) { ReplySender(bus: bus, logger: logger).send(messages) }
}

/// Answers as messages, in the encoding that was asked for.
enum WireFormat {
    static let json = MessageHeader("Content-Type", "application/json")

    static func message(
        _ binary: [UInt8], kind: MessageKind, to subject: String, asJSON: Bool, headers: [MessageHeader] = []
    ) -> Message {
        guard asJSON, let text = try? JSONTranscoder.json(fromBinary: binary, kind: kind) else {
            return Message(subject: subject, headers: headers, payload: binary)
        }
        return Message(subject: subject, headers: headers + [json], payload: text)
    }
}
