// A core NATS subscription, pulled in batches by its one reader.

internal import Messaging
internal import Synchronization

/// Blocks in libnats for the first message, then takes what waits.
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

    private let handle: NATSSubscriptionHandle
    private let reader = Mutex(Reader())
    /// Set once: nothing new is wanted, so an empty queue is the end.
    private let isEnding = Atomic(false)

    init(_ handle: consuming NATSSubscriptionHandle) { self.handle = handle }

    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        try reader.withLock { reader throws(BusError) in
            if !reader.leftovers.isEmpty { return reader.takeLeftovers(maximum) }
            let wait = isEnding.load(ordering: .acquiring) ? min(timeout, .milliseconds(10)) : timeout
            guard let first = try handle.next(timeoutMilliseconds: max(0, wait.wholeMilliseconds)) else {
                if isEnding.load(ordering: .acquiring) && handle.pendingCount == 0 {
                    return try confirmEnd(&reader, maximum)
                }
                return []
            }
            return collect(first, maximum, &reader)
        }
    }

    /// Draining has ended when libnats says so, or at once when there is no connection on which something could come.
    private func confirmEnd(_ reader: inout Reader, _ maximum: Int) throws(BusError) -> [Message] {
        guard let late = try handle.next(timeoutMilliseconds: 0) else {
            if !handle.isConnected { throw BusError(.closed, "receive: drained") }
            return []
        }
        return collect(late, maximum, &reader)
    }

    /// The first message and whatever waits behind it. The count is asked beforehand, because an empty queue is an
    /// error to libnats and costs more than a message.
    private func collect(_ first: consuming NATSMessageHandle, _ maximum: Int, _ reader: inout Reader) -> [Message] {
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

    var droppedCount: UInt64 { handle.droppedCount }

    var pendingCount: Int { handle.pendingCount }

    func drain() {
        handle.drain()
        isEnding.store(true, ordering: .releasing)
    }

    /// Takes over what has arrived, because libnats forgets it when the connection closes. A reader who is inside
    /// `receive` at this moment waits for a first message, so there is none.
    func rescue() {
        _ = reader.withLockIfAvailable { reader in
            while handle.pendingCount > 0, let message = try? handle.next(timeoutMilliseconds: 0) {
                reader.leftovers.append(message.message(&reader.subjects))
            }
        }
    }
}
