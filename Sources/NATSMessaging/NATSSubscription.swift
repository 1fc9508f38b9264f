// A core NATS subscription, pulled in batches by its one reader.

internal import Dispatch
internal import Messaging
internal import Synchronization

/// Blocks in libnats for the first message, then takes what waits. It outlives the connection it was made on: the bus opens it
/// anew on the next one.
final class NATSSubscription: MessageSubscription {
    /// What only the reader touches; `close` takes over what is left when the reader is away.
    private struct Reader {
        var subjects = SubjectCache()
        /// What was rescued from libnats before the connection closed.
        var leftovers: [Message] = []

        mutating func takeLeftovers(_ maximum: Int) -> [Message] {
            let messages = Array(leftovers.prefix(maximum))
            leftovers.removeFirst(messages.count)
            return messages
        }
    }

    private struct Line {
        /// Nil while there is no connection.
        var handle: NATSSubscriptionHandle?
        /// Of the connections before.
        var droppedBefore: UInt64 = 0
        /// Set once: nothing new is wanted, so an empty queue is the end.
        var isEnding = false
    }

    private let subject: String
    private let queueGroup: String?
    private let limits: PendingLimits
    private let reader = Mutex(Reader())
    private let line = Mutex(Line())
    /// How often a reader without a connection looks for one.
    private static let look = Duration.milliseconds(10)

    init(_ subject: String, queueGroup: String?, limits: PendingLimits) {
        self.subject = subject
        self.queueGroup = queueGroup
        self.limits = limits
    }

    /// Goes on with this connection.
    func open(on connection: NATSConnectionHandle) throws(BusError) {
        if line.withLock({ $0.isEnding }) { return }
        let handle = try connection.subscribe(subject, queueGroup: queueGroup, limits: limits)
        let isEnding = line.withLock { line in
            line.droppedBefore += line.handle?.droppedCount ?? 0
            line.handle = handle
            return line.isEnding
        }
        if isEnding { handle.drain() }
    }

    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        try reader.withLock { reader throws(BusError) in
            if !reader.leftovers.isEmpty { return reader.takeLeftovers(maximum) }
            let deadline = ContinuousClock.now + timeout
            while true {
                let (handle, isEnding) = line.withLock { ($0.handle, $0.isEnding) }
                let wait = max(.zero, deadline - .now)
                if let handle, let messages = try take(maximum, from: handle, isEnding, wait, &reader) {
                    return messages
                }
                if isEnding { throw BusError(.closed, "receive: the subscription has ended") }
                guard wait > .zero else { return [] }
                Self.pause(min(wait, Self.look))
            }
        }
    }

    /// What is there within the time; nil where the connection has ended and another will follow.
    private func take(
        _ maximum: Int, from handle: NATSSubscriptionHandle, _ isEnding: Bool, _ timeout: Duration,
        _ reader: inout Reader
    ) throws(BusError) -> [Message]? {
        do throws(BusError) {
            let wait = isEnding ? min(timeout, .milliseconds(10)) : timeout
            guard let first = try handle.next(timeoutMilliseconds: max(0, wait.wholeMilliseconds)) else {
                if isEnding && handle.pendingCount == 0 { return try confirmEnd(handle, &reader, maximum) }
                return []
            }
            return collect(first, maximum, from: handle, &reader)
        } catch {
            guard error.code == .closed, !isEnding else { throw error }
            forget(handle)
            return nil
        }
    }

    private func forget(_ handle: NATSSubscriptionHandle) {
        line.withLock { line in
            guard line.handle === handle else { return }
            line.droppedBefore += handle.droppedCount
            line.handle = nil
        }
    }

    private static func pause(_ duration: Duration) {
        let nanoseconds = Int(clamping: duration.wholeNanoseconds)
        _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .nanoseconds(nanoseconds))
    }

    /// Draining has ended when libnats says so, or at once when there is no connection on which something could come.
    private func confirmEnd(
        _ handle: NATSSubscriptionHandle, _ reader: inout Reader, _ maximum: Int
    ) throws(BusError) -> [Message] {
        guard let late = try handle.next(timeoutMilliseconds: 0) else {
            if !handle.isConnected { throw BusError(.closed, "receive: drained") }
            return []
        }
        return collect(late, maximum, from: handle, &reader)
    }

    /// The first message and whatever waits behind it. The count is asked beforehand, because an empty queue is an
    /// error to libnats and costs more than a message.
    private func collect(
        _ first: consuming NATSMessageHandle, _ maximum: Int, from handle: NATSSubscriptionHandle,
        _ reader: inout Reader
    ) -> [Message] {
        let count = min(handle.pendingCount, maximum - 1)
        var messages: [Message] = []
        messages.reserveCapacity(count + 1)
        messages.append(first.message(&reader.subjects))
        var remaining = count
        while remaining > 0, let next = try? handle.next(timeoutMilliseconds: 0) {
            messages.append(next.message(&reader.subjects))
            remaining -= 1
        }
        return messages
    }

    var droppedCount: UInt64 { line.withLock { $0.droppedBefore + ($0.handle?.droppedCount ?? 0) } }

    var pendingCount: Int { line.withLock { $0.handle }?.pendingCount ?? 0 }

    func drain() {
        // libnats first: who sees that it ends must find nothing new after an empty queue.
        line.withLock { $0.handle }?.drain()
        line.withLock { $0.isEnding = true }
    }

    /// Takes over what has arrived, because libnats forgets it when the connection closes. A reader who is inside
    /// `receive` at this moment waits for a first message, so there is none.
    func rescue() {
        guard let handle = line.withLock({ $0.handle }) else { return }
        _ = reader.withLockIfAvailable { reader in
            while handle.pendingCount > 0, let message = try? handle.next(timeoutMilliseconds: 0) {
                reader.leftovers.append(message.message(&reader.subjects))
            }
        }
    }
}
