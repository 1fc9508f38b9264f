// Gathers what many threads hand over and publishes it in batches, without making any of them wait.

internal import EventModel
internal import Logging
internal import Messaging
internal import ServiceLifecycle
internal import Synchronization

/// One message with how much is in it.
struct EncodedBatch: Sendable {
    var message: Message
    var count: Int
}

/// A bounded queue by key with one task that empties it. What does not fit is dropped and counted.
final class BatchPublisher<Key: Hashable & Sendable, Element: Sendable>: Sendable {
    /// Makes messages of at most so many bytes; what it leaves out is counted as invalid.
    typealias Encode = @Sendable (_ key: Key, _ elements: [Element], _ bytesMaximum: Int) -> [EncodedBatch]

    private struct Group {
        var elements: [Element] = []
        var bytes = 0
    }

    private struct State {
        var groups: [Key: Group] = [:]
        /// Keys in the order in which they came.
        var order: [Key] = []
        /// Encoded, and not taken by the bus yet.
        var unsent: [EncodedBatch] = []
        var bytes = 0
        var figures = PublisherFigures()
        var isClosing = false
        /// The task sleeps until something comes.
        var isIdle = true

        var isEmpty: Bool { order.isEmpty && unsent.isEmpty }
    }

    private let connection: MeshConnection
    private let limits: PublisherLimits
    private let encode: Encode
    private let state = Mutex(State())
    private let bell = Bell()
    /// Held while messages are handed to the bus, so that they go out in order.
    private let sending = Mutex(())

    init(_ connection: MeshConnection, _ limits: PublisherLimits, encode: @escaping Encode) {
        self.connection = connection
        self.limits = limits
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
            if state.groups[key] == nil { state.order.append(key) }
            state.groups[key, default: Group()].elements.append(element)
            state.groups[key, default: Group()].bytes += bytes
            state.bytes += bytes
            state.figures.pending += 1
            let isFull = (state.groups[key]?.elements.count ?? 0) >= limits.batch || state.bytes >= limits.batchBytes
            let rings = state.isIdle || isFull
            if rings { state.isIdle = false }
            return (true, rings)
        }
        if rings { bell.ring() }
        return isTaken
    }

    // MARK: Running

    /// Publishes until the task is cancelled or the service group shuts down; then what is left, for at most
    /// ``PublisherLimits/shutdown``.
    func run() async {
        await withGracefulShutdownHandler {
            await pump()
        } onGracefulShutdown: {
            self.state.withLock { $0.isClosing = true }
            self.bell.ring()
        }
        _ = await flush(within: limits.shutdown)
        state.withLock { state in
            state.isClosing = true
            state.figures.failed += UInt64(state.figures.pending)
            state.figures.pending = 0
            (state.groups, state.order, state.unsent, state.bytes) = ([:], [], [], 0)
        }
    }

    private func pump() async {
        while !Task.isCancelled {
            let (isIdle, isClosing) = state.withLock { state in
                state.isIdle = state.isEmpty
                return (state.isIdle, state.isClosing)
            }
            if isClosing { return }
            // A ring while idle begins an interval; the next one, that a batch is full, ends it.
            await bell.wait(atMost: isIdle ? .seconds(3_600) : limits.interval)
            if !isIdle { publishPending() }
        }
    }

    /// Hands everything that waits to the bus; what it does not take now stays.
    func publishPending() {
        guard connection.isConnected else { return }
        sending.withLock { _ in
            takePending()
            while let next = state.withLock({ $0.unsent.first }) {
                do throws(BusError) {
                    try connection.bus.publish(next.message)
                    settle(next, isPublished: true)
                } catch {
                    if error.code == .notConnected { return }
                    connection.logger.warning(
                        "not published", metadata: ["subject": "\(next.message.subject)", "reason": "\(error)"])
                    settle(next, isPublished: false)
                }
            }
        }
    }

    /// Encodes what waits, outside the lock that those who hand over need.
    private func takePending() {
        let taken = state.withLock { state -> [(key: Key, elements: [Element])] in
            defer { (state.groups, state.order, state.bytes) = ([:], [], 0) }
            return state.order.map { ($0, state.groups[$0]?.elements ?? []) }
        }
        let room = min(Limits.messageBytes, connection.bus.maximumPayload ?? Limits.messageBytes) - Self.headerBytes
        for (key, elements) in taken {
            var encoded: [EncodedBatch] = []
            for start in stride(from: 0, to: elements.count, by: limits.batch) {
                encoded += encode(key, Array(elements[start..<min(start + limits.batch, elements.count)]), room)
            }
            let invalid = elements.count - encoded.reduce(0) { $0 + $1.count }
            state.withLock { state in
                state.unsent += encoded
                state.figures.invalid += UInt64(invalid)
                state.figures.pending -= invalid
            }
        }
    }

    private func settle(_ batch: EncodedBatch, isPublished: Bool) {
        state.withLock { state in
            state.unsent.removeFirst()
            state.figures.pending -= batch.count
            if isPublished {
                state.figures.published += UInt64(batch.count)
            } else {
                state.figures.failed += UInt64(batch.count)
            }
        }
    }

    /// Publishes what waits and returns when the server has it.
    ///
    /// - Returns: false where something is left, or the server did not say so, within `limit`.
    func flush(within limit: Duration) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            publishPending()
            let isEmpty = state.withLock { $0.isEmpty }
            let left = deadline - .now
            if isEmpty {
                let result: ()? = try? await connection.bus.flush(timeout: max(left, .milliseconds(1)))
                return result != nil
            }
            if left <= .zero || Task.isCancelled { return false }
            try? await Task.sleep(for: min(left, .milliseconds(20)))
        }
    }

    private static var headerBytes: Int { 4_096 }
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
