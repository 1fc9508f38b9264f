// A bus within the process, for tests: the semantics of core NATS without a server.

import Synchronization

/// Delivers synchronously, in the order of publication, to whoever subscribed before.
///
/// Wildcards, queue groups, request-reply, bounded pending messages with drops, and `noResponders` behave as on NATS;
/// it never reconnects.
package final class InMemoryMessageBus: MessageBus {
    private struct Member {
        let id: UInt64
        let pattern: SubjectPattern
        let queueGroup: String?
        let subscription: InMemorySubscription
    }

    private struct State {
        var isOpen = true
        var lastNumber: UInt64 = 0
        var members: [Member] = []
        var turns: [String: Int] = [:]
        var requests: [String: CheckedContinuation<Result<Message, BusError>, Never>] = [:]

        mutating func nextNumber() -> UInt64 {
            lastNumber += 1
            return lastNumber
        }

        mutating func newInbox() -> String { "_INBOX.\(nextNumber())" }

        /// Everybody without a group, and of each group the member whose turn it is.
        mutating func targets(of subject: String) -> [InMemorySubscription] {
            var targets: [InMemorySubscription] = []
            var groups: [String: [InMemorySubscription]] = [:]
            for member in members where member.pattern.matches(subject) {
                if let group = member.queueGroup {
                    groups[group, default: []].append(member.subscription)
                } else {
                    targets.append(member.subscription)
                }
            }
            for (group, candidates) in groups.sorted(by: { $0.key < $1.key }) {
                let turn = turns[group, default: 0]
                turns[group] = turn &+ 1
                targets.append(candidates[turn % candidates.count])
            }
            return targets
        }
    }

    private let bus = Mutex(State())
    /// The largest payload taken, in bytes.
    package let maximumPayload: Int?

    /// - Parameter maximumPayload: in bytes; NATS takes 1 MiB unless told otherwise.
    package init(maximumPayload: Int = 1_048_576) { self.maximumPayload = maximumPayload }

    package var state: ConnectionState { bus.withLock { $0.isOpen ? .connected : .closed } }

    package var reconnectCount: UInt64 { 0 }

    package func publish(_ message: Message) throws(BusError) {
        try check(message)
        let (targets, asker) = try bus.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "publish \(message.subject)") }
            return (state.targets(of: message.subject), state.requests.removeValue(forKey: message.subject))
        }
        for target in targets { target.deliver(message) }
        asker?.resume(returning: .success(message))
    }

    package func request(_ message: Message, timeout: Duration) async throws(BusError) -> Message {
        try check(message)
        let inbox = bus.withLock { $0.newInbox() }
        let expiry = Task {
            try await Task.sleep(for: timeout)
            finish(inbox, .failure(BusError(.timeout, "request \(message.subject)")))
        }
        defer { expiry.cancel() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { ask(message, inbox: inbox, $0) }
        } onCancel: {
            finish(inbox, .failure(BusError(.cancelled, "request \(message.subject)")))
        }
        return try result.get()
    }

    package func subscribe(
        _ subject: String, queueGroup: String?, limits: PendingLimits
    ) throws(BusError) -> any MessageSubscription {
        guard let pattern = SubjectPattern(subject) else {
            throw BusError(.invalidArgument, "subscribe: \(subject) is not a subject")
        }
        return try bus.withLock { state throws(BusError) in
            guard state.isOpen else { throw BusError(.closed, "subscribe \(subject)") }
            let id = state.nextNumber()
            let subscription = InMemorySubscription(limits: limits) { [weak self] in self?.remove(id) }
            state.members.append(
                Member(id: id, pattern: pattern, queueGroup: queueGroup, subscription: subscription))
            return subscription
        }
    }

    package func flush(timeout: Duration) async throws(BusError) {
        guard state == .connected else { throw BusError(.closed, "flush") }
    }

    package func close() async {
        let (members, requests) = bus.withLock { state in
            state.isOpen = false
            defer { state.requests = [:] }
            return (state.members, state.requests)
        }
        for member in members { member.subscription.drain() }
        for continuation in requests.values { continuation.resume(returning: .failure(BusError(.closed, "request"))) }
    }

    private func check(_ message: Message) throws(BusError) {
        guard SubjectSyntax.isPublishable(message.subject) else {
            throw BusError(.invalidArgument, "publish: \(message.subject) is not a subject")
        }
        guard message.headers.allSatisfy(SubjectSyntax.isSendable) else {
            throw BusError(.invalidArgument, "publish \(message.subject): a header would not arrive as it is")
        }
        if let maximumPayload, message.payload.count > maximumPayload {
            throw BusError(.messageTooLarge, "publish \(message.subject): \(message.payload.count) bytes")
        }
    }

    private func ask(
        _ message: Message, inbox: String, _ continuation: CheckedContinuation<Result<Message, BusError>, Never>
    ) {
        bus.withLock { $0.requests[inbox] = continuation }
        if Task.isCancelled {
            return finish(inbox, .failure(BusError(.cancelled, "request \(message.subject)")))
        }
        var question = message
        question.replyTo = inbox
        let targets = bus.withLock { $0.isOpen ? $0.targets(of: message.subject) : nil }
        guard let targets else { return finish(inbox, .failure(BusError(.closed, "request \(message.subject)"))) }
        if targets.isEmpty { finish(inbox, .failure(BusError(.noResponders, "request \(message.subject)"))) }
        for target in targets { target.deliver(question) }
    }

    private func finish(_ inbox: String, _ result: Result<Message, BusError>) {
        bus.withLock { $0.requests.removeValue(forKey: inbox) }?.resume(returning: result)
    }

    private func remove(_ id: UInt64) {
        bus.withLock { state in state.members.removeAll { $0.id == id } }
    }
}
