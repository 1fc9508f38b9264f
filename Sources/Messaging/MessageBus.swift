// The port to whatever carries messages: NATS in production, memory in tests.

package import EventModel

/// One message as it arrived, owned by whoever received it.
package struct Message: Sendable {
    /// The subject it was published on.
    package var subject: String
    /// Where an answer is expected; empty when nobody waits.
    package var replyTo: String
    /// Headers in order of arrival (libnats as a sender shuffles the names, not the values of one name); names compare
    /// as written, except where a reader says otherwise.
    package var headers: [MessageHeader]
    /// The body.
    package var payload: [UInt8]
    /// Where the stream put it; nil on core NATS.
    package var stream: StreamPosition?

    package init(
        subject: String, replyTo: String = "", headers: [MessageHeader] = [], payload: [UInt8],
        stream: StreamPosition? = nil
    ) {
        self.subject = subject
        self.replyTo = replyTo
        self.headers = headers
        self.payload = payload
        self.stream = stream
    }

    /// The first value of a header, its name compared without regard to ASCII case.
    package func header(_ name: String) -> String? {
        if headers.isEmpty { return nil }
        return headers.first { $0.name == name || $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// One header line.
package struct MessageHeader: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Where a JetStream stream put a message.
package struct StreamPosition: Sendable, Hashable {
    /// The stream's sequence.
    package var sequence: SequenceNumber
    /// When the stream stored it.
    package var recordedAt: Timestamp

    package init(sequence: SequenceNumber, recordedAt: Timestamp) {
        self.sequence = sequence
        self.recordedAt = recordedAt
    }
}

/// What the bus did not do, and why.
package struct BusError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure a caller can tell apart.
    package enum Code: String, Sendable, Hashable {
        case notConnected = "not_connected"
        case timeout
        case noResponders = "no_responders"
        case permissionDenied = "permission_denied"
        case authenticationFailed = "authentication_failed"
        case messageTooLarge = "message_too_large"
        case invalidArgument = "invalid_argument"
        case closed
        /// The task that waited was cancelled.
        case cancelled
        case streamNotFound = "stream_not_found"
        /// The stream holds no message of that sequence.
        case messageNotFound = "message_not_found"
        /// The stream is another one than the log was fed from, or it lost messages that the log has (decision 3).
        case streamRolledBack = "stream_rolled_back"
        /// The stream no longer holds the message after the last one on disk.
        case streamTrimmed = "stream_trimmed"
        /// The log is empty, but the stream no longer begins at its first message: fetch the log from a peer
        /// (decision 26).
        case streamHistoryMissing = "stream_history_missing"
        /// A stream of this name exists with settings that no log can be fed with.
        case streamIncompatible = "stream_incompatible"
        /// The stream can give or take nothing now: no leader, no quorum, no room.
        case streamUnavailable = "stream_unavailable"
        case other
    }

    package var code: Code
    /// The operation and its object, and what the library below said.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code.rawValue): \(message)" }
}

/// How a connection is doing.
package enum ConnectionState: String, Sendable, Hashable {
    case connecting, connected, reconnecting, draining, closed
}

/// How many messages and bytes may wait in a subscription before the bus drops (core NATS cannot make a sender wait).
package struct PendingLimits: Sendable, Hashable {
    package var messages: Int
    package var bytes: Int

    package init(messages: Int, bytes: Int) {
        self.messages = messages
        self.bytes = bytes
    }

    /// 256 Ki messages or 256 MiB.
    package static let standard = PendingLimits(messages: 262_144, bytes: 268_435_456)
}

/// A connection to whatever carries messages.
package protocol MessageBus: Sendable {
    /// Hands a message to the bus. Returning says nothing about its arrival.
    func publish(_ message: Message) throws(BusError)

    /// Hands several messages to the bus with as few wake-ups and packets as it can. One that it does not take keeps no other
    /// from being sent.
    ///
    /// - Returns: what is wrong with those that were not taken, by their place in the list.
    func publishEach(_ messages: [Message]) -> [(index: Int, error: BusError)]

    /// Publishes and waits for one answer, on a reply subject of the bus' own. Cancelling the task ends the wait.
    func request(_ message: Message, timeout: Duration) async throws(BusError) -> Message

    /// Opens a subscription that is pulled by its one reader; `queueGroup` shares the subject between subscribers.
    func subscribe(
        _ subject: String, queueGroup: String?, limits: PendingLimits
    ) throws(BusError) -> any MessageSubscription

    /// Returns when everything published before has reached the server.
    func flush(timeout: Duration) async throws(BusError)

    /// How the connection is doing now.
    var state: ConnectionState { get }

    /// How often the connection came back after a loss. Between two values messages may have been missed.
    var reconnectCount: UInt64 { get }

    /// The largest payload the server takes, in bytes; nil while unknown.
    var maximumPayload: Int? { get }

    /// Sends what is left, ends every subscription, closes. Idempotent.
    func close() async
}

extension MessageBus {
    /// Hands several messages to the bus with as few wake-ups and packets as it can.
    ///
    /// - Throws: what is wrong with the first that the bus does not take; the others are sent.
    package func publish(contentsOf messages: [Message]) throws(BusError) {
        if let failure = publishEach(messages).first { throw failure.error }
    }

    package func publishEach(_ messages: [Message]) -> [(index: Int, error: BusError)] {
        messages.enumerated().compactMap { index, message in
            do throws(BusError) {
                try publish(message)
                return nil
            } catch { return (index, error) }
        }
    }
}

/// A place where messages arrive. One thread at a time pulls; it may block, so it is a thread of its own and never one
/// of Swift concurrency's.
package protocol MessageSubscription: AnyObject, Sendable {
    /// Blocks until at least one message is there, `timeout` has passed, or the subscription ended; then takes
    /// whatever waits, up to `maximum`, without waiting further.
    ///
    /// - Returns: the messages in order; empty after a time-out.
    /// - Throws: `BusError` with code `closed` once the subscription has ended and nothing is left.
    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message]

    /// How many messages the bus dropped here since the subscription began, because nobody took them in time.
    var droppedCount: UInt64 { get }

    /// Messages that wait to be received.
    var pendingCount: Int { get }

    /// Ends the delivery of new messages; what has arrived can still be received, then `receive` throws `closed`.
    func drain()
}
