// The port to a stream that orders messages itself (JetStream).

public import EventModel

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
