// A subscription of the in-memory bus: a bounded queue and a semaphore for its one reader.

import Dispatch
import Synchronization

/// A bounded queue that drops the newest message when it is full, as core NATS does, and counts what it dropped.
final class InMemorySubscription: MessageSubscription {
    /// Accepting, handing out what is left, or done; nothing is delivered after the first.
    private enum Phase { case open, draining }

    private struct State {
        var phase = Phase.open
        var waiting: [Message] = []
        var waitingBytes = 0
        var dropped: UInt64 = 0
        var readerSleeps = false

        /// Whether the reader sleeps; it is considered awake from now on.
        mutating func wakeReader() -> Bool {
            defer { readerSleeps = false }
            return readerSleeps
        }
    }

    private let limits: PendingLimits
    private let state = Mutex(State())
    private let arrival = DispatchSemaphore(value: 0)
    private let onEnd: @Sendable () -> Void

    init(limits: PendingLimits, onEnd: @escaping @Sendable () -> Void) {
        self.limits = limits
        self.onEnd = onEnd
    }

    /// Takes a message in, or counts it as dropped.
    func deliver(_ message: Message) {
        let wakes = state.withLock { state -> Bool in
            guard case .open = state.phase else { return false }
            let bytes = state.waitingBytes + message.payload.count
            guard state.waiting.count < limits.messages, bytes <= limits.bytes else {
                state.dropped += 1
                return false
            }
            state.waiting.append(message)
            state.waitingBytes = bytes
            return state.wakeReader()
        }
        if wakes { arrival.signal() }
    }

    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        let deadline = ContinuousClock.now + timeout
        while true {
            if let messages = try take(maximum) { return messages }
            let remaining = deadline - ContinuousClock.now
            guard remaining > .zero else { return [] }
            _ = arrival.wait(timeout: .now() + .nanoseconds(remaining.wholeNanoseconds))
        }
    }

    /// What waits, or nil after noting that the reader is about to sleep.
    private func take(_ maximum: Int) throws(BusError) -> [Message]? {
        try state.withLock { state throws(BusError) -> [Message]? in
            guard state.waiting.isEmpty else {
                let messages = Array(state.waiting.prefix(maximum))
                state.waiting.removeFirst(messages.count)
                state.waitingBytes -= messages.reduce(0) { $0 + $1.payload.count }
                return messages
            }
            if case .draining = state.phase { throw BusError(.closed, "receive: the subscription has ended") }
            state.readerSleeps = true
            return nil
        }
    }

    var droppedCount: UInt64 { state.withLock { $0.dropped } }

    var pendingCount: Int { state.withLock { $0.waiting.count } }

    func drain() {
        onEnd()
        let wakes = state.withLock { state -> Bool in
            state.phase = .draining
            return state.wakeReader()
        }
        if wakes { arrival.signal() }
    }
}

extension Duration {
    /// Nanoseconds, saturating.
    fileprivate var wholeNanoseconds: Int {
        let (seconds, attoseconds) = components
        let (product, overflow) = Int(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : product + Int(attoseconds / 1_000_000_000)
    }
}
