// The port to a stream that orders messages itself (JetStream).

package import EventModel

/// Which stream a log is fed from: a stream of the same name made anew is another stream (decision 3).
package struct StreamIdentity: Sendable, Hashable {
    /// The stream's name.
    package var name: String
    /// When it was created, as the server says.
    package var createdAt: Timestamp

    package init(name: String, createdAt: Timestamp) {
        self.name = name
        self.createdAt = createdAt
    }
}

/// What a stream says of itself.
package struct StreamStatus: Sendable, Hashable {
    package var identity: StreamIdentity
    package var firstSequence: SequenceNumber
    package var lastSequence: SequenceNumber
    package var messageCount: UInt64

    package init(
        identity: StreamIdentity, firstSequence: SequenceNumber, lastSequence: SequenceNumber, messageCount: UInt64
    ) {
        self.identity = identity
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.messageCount = messageCount
    }
}

/// Where the log stands, so that a stream can be checked against it at each connect and reconnect.
package struct StreamResumePoint: Sendable, Hashable {
    /// Nil for an empty log that has not seen a stream yet.
    package var identity: StreamIdentity?
    /// The last sequence on disk; `.origin` for an empty log.
    package var lastSequence: SequenceNumber
    /// What the stream's message at `lastSequence` must look like; nil for an empty log.
    package var lastMessage: StreamMessageFingerprint?

    package init(
        identity: StreamIdentity?, lastSequence: SequenceNumber, lastMessage: StreamMessageFingerprint?
    ) {
        self.identity = identity
        self.lastSequence = lastSequence
        self.lastMessage = lastMessage
    }
}

/// Enough of a stream's message to know it again.
package struct StreamMessageFingerprint: Sendable, Hashable {
    package var recordedAt: Timestamp
    /// `Message.fingerprint` of subject and payload as they arrived.
    package var hash: UInt64

    package init(recordedAt: Timestamp, hash: UInt64) {
        self.recordedAt = recordedAt
        self.hash = hash
    }
}

/// A stream read by one node from where its log ends, each message once and in order.
///
/// `open` and `receive` block: they are called by one thread, which is none of Swift concurrency's.
package protocol StreamSource: AnyObject, Sendable {
    /// What the stream says of itself now.
    func status() async throws(BusError) -> StreamStatus

    /// Compares the stream with the log and begins to read after the log's last message. The comparison is repeated
    /// after every reconnect and whenever the consumer was lost.
    ///
    /// - Returns: what the stream said; its identity belongs into an empty log.
    /// - Throws: `streamRolledBack` (another stream, or it lost messages that the log has), `streamTrimmed` (it no
    ///   longer holds the message after the log's last), `streamHistoryMissing` (the same for an empty log),
    ///   `streamNotFound`, or that the bus cannot be reached.
    @discardableResult
    func open(after position: StreamResumePoint) throws(BusError) -> StreamStatus

    /// Blocks until at least one message is there or `timeout` has passed; then takes whatever waits, up to `maximum`.
    /// `stream` is set in every message, `replyTo` is empty: it belongs to the stream.
    ///
    /// - Returns: messages in increasing order of sequence; empty after a time-out, also while the bus is away.
    /// - Throws: the findings of `open`; all but `streamNotFound` are final.
    func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message]

    /// Why the stream did not take a message, by its answer to the publication; nil: it did.
    func refusal(in answer: Message) -> BusError?

    /// Ends reading. Idempotent; a `receive` under way ends within its time-out.
    func close()
}
