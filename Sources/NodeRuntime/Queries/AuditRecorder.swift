// Who reads captured contents is in the log before the contents are handed out (Audit.md).

import EventModel
import Messaging
import Synchronization

/// Wakes whoever waits until a record of its own is applied.
final class AuditWatch: Sendable {
    private let waiting = Mutex<[[UInt8]: CheckedContinuation<Bool, Never>]>([:])

    /// Looks at a live record of the audit family.
    func applied(_ messageID: ArraySlice<UInt8>) {
        if messageID.isEmpty { return }
        waiting.withLock { $0.removeValue(forKey: Array(messageID)) }?.resume(returning: true)
    }

    /// Does something, and waits until the record with this message id is applied; false after the time-out.
    func wait(for messageID: String, timeout: Nanoseconds, after send: () -> Void) async -> Bool {
        let key = Array(messageID.utf8)
        return await withCheckedContinuation { continuation in
            waiting.withLock { $0[key] = continuation }
            send()
            Task {
                try? await Task.sleep(for: .nanoseconds(timeout.rawValue))
                self.waiting.withLock { $0.removeValue(forKey: key) }?.resume(returning: false)
            }
        }
    }
}

/// Records that contents were read. Only answers of a live node do: replay hands nothing out and records nothing.
final class AuditRecorder: Sendable {
    /// Who asks, as far as anybody knows.
    struct Asker: Sendable {
        /// The principal of the question's subject, which NATS permissions enforce; empty: it names nobody.
        var principal = ""
        /// Who the asker says it is.
        var claimed = ""
        var reason = ""
    }

    private let nodeID: String
    private let prefix: String
    private let timeout: Nanoseconds
    private let watch: AuditWatch
    private let send: @Sendable (AuditEvent, _ subject: String, _ messageID: String) -> Void

    /// - Parameter send: brings an event into the log, with the end of its subject and its message id.
    init(
        nodeID: String, configuration: NodeConfiguration, watch: AuditWatch,
        send: @escaping @Sendable (AuditEvent, _ subject: String, _ messageID: String) -> Void
    ) {
        self.nodeID = nodeID
        prefix = configuration.prefix
        timeout = configuration.queryTimeout
        self.watch = watch
        self.send = send
    }

    /// Records that contents are about to be handed out, and returns when that is durable and applied.
    ///
    /// - Throws: `timeout` where it could not be recorded; then nothing may be handed out.
    func record(_ read: ContentsRead, by asker: Asker) async throws(QueryError) {
        var read = read
        read.nodeID = nodeID
        read.actor = asker.principal.isEmpty ? asker.claimed : ""
        read.reason = asker.reason
        let event = AuditEvent.contentsRead(read)
        let principal = asker.principal.isEmpty ? Unverified.principal : asker.principal
        let subject = "audit.\(SubjectToken.escape(principal)).\(EventType.contentsRead.name)"
        let messageID = OwnMessageID.make("read")
        let isRecorded = await watch.wait(for: messageID, timeout: timeout) { send(event, subject, messageID) }
        if !isRecorded {
            throw QueryError(.timeout, "that the contents are read could not be recorded, so they are not handed out")
        }
    }
}

extension Node {
    /// In core mode the node's own thread records; over a stream everything goes through it.
    var auditRecorder: AuditRecorder {
        let (isCore, control, prefix, bus) = (
            configuration.mode == .core, writer.control, configuration.prefix, environment.answerBus
        )
        return AuditRecorder(
            nodeID: id, configuration: configuration, watch: outbox.gate.audits
        ) { event, subject, messageID in
            if isCore {
                return control.send(.record(.audit(event), subject: subject, messageID: messageID))
            }
            let facts = EventCodec.encode(.audit(event))?.facts ?? []
            // What cannot be sent is not recorded: whoever waits for it is told so.
            try? bus.publish(
                Message(
                    subject: "\(prefix).events.\(subject)", headers: [MessageHeader("Nats-Msg-Id", messageID)],
                    payload: facts))
        }
    }
}
