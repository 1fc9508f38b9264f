// Gathers what many threads hand over and publishes it in batches, without making any of them wait.

internal import EventModel
internal import Logging
internal import Messaging
internal import NATSMessaging
internal import ServiceLifecycle
internal import Synchronization

/// One message with how much is in it.
struct EncodedBatch: Sendable {
    var message: Message
    var count: Int
}

/// A bounded queue by key with one task that empties it. What does not fit is dropped and counted.
///
/// A batch leaves the queue once the node has said what became of it; until then it is sent again, under the same
/// `Nats-Msg-Id`, so that a repeat is told from a new one.
final class BatchPublisher<Key: Hashable & Sendable, Element: Sendable>: Sendable {
    /// Makes messages of at most so many bytes; what it leaves out is counted as invalid.
    typealias Encode = @Sendable (_ key: Key, _ elements: [Element], _ bytesMaximum: Int) -> [EncodedBatch]

    /// What waits under one key, and what of it is under way.
    private struct Lane {
        var elements: [Element] = []
        var bytes = 0
        /// Encoded, and handed back without an outcome.
        var returned: [Parcel] = []
        var underWay = 0
    }

    /// What one task delivers, in order.
    private struct Parcel: Sendable {
        var key: Key
        var batches: [EncodedBatch]
        var bytes: Int
    }

    private struct State {
        var lanes: [Key: Lane] = [:]
        /// Keys in the order in which they came.
        var order: [Key] = []
        var bytes = 0
        var figures = PublisherFigures()
        var isClosing = false
        /// The task sleeps until something comes.
        var isIdle = true
        /// When what waits is published without further company.
        var due: ContinuousClock.Instant?
        var isHurried = false

        var hasWaiting: Bool { lanes.values.contains { !$0.elements.isEmpty || !$0.returned.isEmpty } }
    }

    private let connection: MeshConnection
    private let limits: PublisherLimits
    /// How many batches of a key may be under way at once: one where order matters.
    private let parallel: @Sendable (Key) -> Int
    private let encode: Encode
    private let state = Mutex(State())
    private let wakeup = Wakeup()

    init(
        _ connection: MeshConnection, _ limits: PublisherLimits, parallel: @escaping @Sendable (Key) -> Int,
        encode: @escaping Encode
    ) {
        self.connection = connection
        self.limits = limits
        self.parallel = parallel
        self.encode = encode
    }

    var figures: PublisherFigures { state.withLock { $0.figures } }

    /// Takes something over; false: it was dropped. Never waits but for the lock.
    @discardableResult
    func add(_ key: Key, _ element: Element, bytes: Int) -> Bool {
        let (isTaken, rings) = state.withLock { state -> (Bool, Bool) in
            guard state.figures.pending < limits.elements, state.bytes + bytes <= limits.bytes, !state.isClosing else {
                state.figures.dropped += 1
                return (false, false)
            }
            if state.lanes[key] == nil { state.order.append(key) }
            state.lanes[key, default: Lane()].elements.append(element)
            state.lanes[key, default: Lane()].bytes += bytes
            state.bytes += bytes
            state.figures.pending += 1
            let isFull = (state.lanes[key]?.elements.count ?? 0) >= limits.batch || state.bytes >= limits.batchBytes
            let rings = state.isIdle || isFull
            if rings { state.isIdle = false }
            return (true, rings)
        }
        if rings { wakeup.ring() }
        return isTaken
    }

    // MARK: Running

    /// Publishes until the task is cancelled or the service group shuts down; then what is left, for at most
    /// ``PublisherLimits/shutdown``.
    func run() async {
        await cancelWhenGracefulShutdown { await self.pump() }
        state.withLock { $0.isClosing = true }
        // The task may be cancelled already, and what is left has to be told all the same.
        _ = await Task { await self.flush(within: self.limits.shutdown) }.value
        state.withLock { state in
            state.figures.failed += UInt64(state.figures.pending)
            state.figures.pending = 0
            (state.lanes, state.order, state.bytes) = ([:], [], 0)
        }
    }

    private func pump() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                // Rings that come before this task wakes are one, so that a ring says only that it is time to look.
                await wakeup.wait(atMost: state.withLock { pause(&$0) })
                guard state.withLock({ begin(&$0) }) else { continue }
                for parcel in takeReady() { group.addTask { await self.deliver(parcel) } }
            }
        }
    }

    /// How long there is nothing to do unless the wakeup rings. What waits first begins an interval.
    private func pause(_ state: inout State) -> Duration {
        state.isIdle = !state.hasWaiting
        if state.isIdle {
            state.due = nil
            return .seconds(3_600)
        }
        let now = ContinuousClock.now
        let due = state.due ?? now + limits.interval
        state.due = due
        return max(.zero, due - now)
    }

    /// Whether it is time to publish: the interval is over, or something waits that needs no company.
    private func begin(_ state: inout State) -> Bool {
        let isDue = state.due.map { $0 <= .now } ?? false
        let isFull =
            state.bytes >= limits.batchBytes
            || state.lanes.values.contains { $0.elements.count >= limits.batch || !$0.returned.isEmpty }
        guard state.isHurried || isDue || isFull else { return false }
        state.isHurried = false
        state.due = nil
        return true
    }

    /// Sends what waits without waiting for company; ``run()`` does it.
    func hurry() {
        state.withLock { $0.isHurried = true }
        wakeup.ring()
    }

    /// What may go now, encoded outside the lock that those who hand over need.
    private func takeReady() -> [Parcel] {
        guard connection.isConnected else { return [] }
        var ready: [Parcel] = []
        let taken = state.withLock { state -> [(key: Key, elements: [Element], bytes: Int)] in
            var taken: [(key: Key, elements: [Element], bytes: Int)] = []
            for key in state.order {
                guard var lane = state.lanes[key] else { continue }
                while lane.underWay < parallel(key) {
                    if !lane.returned.isEmpty {
                        ready.append(lane.returned.removeFirst())
                    } else if !lane.elements.isEmpty {
                        let count = min(limits.batch, lane.elements.count)
                        let bytes = lane.bytes * count / lane.elements.count
                        taken.append((key, Array(lane.elements.prefix(count)), bytes))
                        lane.elements.removeFirst(count)
                        lane.bytes -= bytes
                    } else {
                        break
                    }
                    lane.underWay += 1
                }
                state.lanes[key] = lane
            }
            return taken
        }
        let room = min(Limits.messageBytes, connection.bus.maximumPayload ?? Limits.messageBytes) - Self.headerBytes
        for (key, elements, bytes) in taken {
            var batches = encode(key, elements, room)
            let invalid = elements.count - batches.reduce(0) { $0 + $1.count }
            for index in batches.indices {
                batches[index].message.headers.append(Self.newID())
            }
            state.withLock { state in
                state.figures.invalid += UInt64(invalid)
                state.figures.pending -= invalid
            }
            ready.append(Parcel(key: key, batches: batches, bytes: bytes))
        }
        return ready
    }

    // MARK: Delivering

    /// What came of sending a batch once.
    private enum Result {
        case recorded(refused: Int)
        case lost(String)
        case later(String)
        /// Somebody else used the id first.
        case taken
    }

    /// Sends until each batch has an outcome, or hands back what has none when the task is cancelled.
    private func deliver(_ parcel: Parcel) async {
        var parcel = parcel
        var failures = 0
        while let batch = parcel.batches.first {
            switch await send(batch) {
            case .recorded(let refused):
                settle(&parcel) { figures in
                    figures.published += UInt64(batch.count - refused)
                    figures.refused += UInt64(refused)
                }
                failures = 0
            case .lost(let reason):
                connection.logger.warning(
                    "not published", metadata: ["subject": "\(batch.message.subject)", "reason": "\(reason)"])
                settle(&parcel) { $0.failed += UInt64(batch.count) }
            case .taken:
                parcel.batches[0].message.headers =
                    batch.message.headers.filter { $0.name != "Nats-Msg-Id" } + [Self.newID()]
            case .later(let reason):
                failures += 1
                connection.logger.debug(
                    "no outcome yet", metadata: ["subject": "\(batch.message.subject)", "reason": "\(reason)"])
                try? await Task.sleep(for: pause(failures))
            }
            if Task.isCancelled { break }
        }
        end(parcel)
    }

    private func pause(_ failures: Int) -> Duration {
        min(.milliseconds(100) * (1 << min(failures - 1, 6)), .seconds(5)) * Double.random(in: 0.5...1)
    }

    private func send(_ batch: EncodedBatch) async -> Result {
        guard connection.isConnected else { return .later("not connected") }
        do {
            let answer = try await connection.outcomes.outcome(of: batch.message, timeout: connection.requestTimeout)
            let notice = try OutcomeNotice.decode(answer.payload[...])
            if notice.isRecorded { return .recorded(refused: min(notice.refusals.count, batch.count)) }
            if notice.reason == OutcomeInbox.takenReason { return .taken }
            if notice.mayPass { return .later(notice.reason) }
            if notice.word == "refused" { return .recorded(refused: batch.count) }
            return .lost(notice.reason)
        } catch let error as BusError {
            switch error.code {
            case .messageTooLarge, .invalidArgument, .closed: return .lost("\(error)")
            default: return .later("\(error)")
            }
        } catch {
            return .lost("the outcome is not understood: \(error)")
        }
    }

    private func settle(_ parcel: inout Parcel, _ count: (inout PublisherFigures) -> Void) {
        let batch = parcel.batches.removeFirst()
        state.withLock { state in
            // The end may have counted it already.
            guard state.lanes[parcel.key] != nil else { return }
            state.figures.pending -= batch.count
            count(&state.figures)
        }
    }

    private func end(_ parcel: Parcel) {
        let hasMore = state.withLock { state in
            guard var lane = state.lanes[parcel.key] else { return false }
            lane.underWay -= 1
            if parcel.batches.isEmpty { state.bytes -= parcel.bytes } else { lane.returned.append(parcel) }
            let isEmpty = lane.elements.isEmpty && lane.returned.isEmpty
            if isEmpty, lane.underWay == 0 {
                state.lanes[parcel.key] = nil
                state.order.removeAll { $0 == parcel.key }
            } else {
                state.lanes[parcel.key] = lane
            }
            return lane.elements.count >= limits.batch || !lane.returned.isEmpty
        }
        if hasMore { wakeup.ring() }
    }

    /// Publishes what waits and returns when the node has said of all of it what became of it.
    ///
    /// - Returns: false where something is left after `limit`.
    func flush(within limit: Duration) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await Task.sleep(for: limit) }
            group.addTask {
                await withDiscardingTaskGroup { deliveries in
                    while !Task.isCancelled, self.figures.pending > 0 {
                        for parcel in self.takeReady() { deliveries.addTask { await self.deliver(parcel) } }
                        try? await Task.sleep(for: .milliseconds(2))
                    }
                }
            }
            await group.next()
            group.cancelAll()
        }
        return figures.pending == 0
    }

    private static var headerBytes: Int { 4_096 }

    /// 128 random bits: an id that others can guess can be taken by them (decision 150).
    private static func newID() -> MessageHeader {
        let parts = [UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)]
        return MessageHeader("Nats-Msg-Id", parts.map { String($0, radix: 36) }.joined())
    }
}

/// How much a publisher holds, and when it publishes.
public struct PublisherLimits: Sendable, Hashable {
    /// What may wait; more is dropped.
    public var elements: Int
    /// Bytes that may wait, as estimated; more is dropped.
    public var bytes: Int
    /// The most in one message.
    public var batch: Int
    /// Once so many bytes wait, they are published at once.
    public var batchBytes: Int
    /// How long something waits for company.
    public var interval: Duration
    /// How long the end may take: what waits then is published, or counted as failed.
    public var shutdown: Duration

    public init(
        elements: Int = 8_192, bytes: Int = 16_777_216, batch: Int = 64, batchBytes: Int = 524_288,
        interval: Duration = .milliseconds(200), shutdown: Duration = .seconds(3)
    ) {
        self.elements = elements
        self.bytes = bytes
        self.batch = batch
        self.batchBytes = batchBytes
        self.interval = interval
        self.shutdown = shutdown
    }
}
