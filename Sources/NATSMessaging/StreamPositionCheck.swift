// Whether a stream is still the one a log was fed from, and still holds what comes next.

internal import EventModel
internal import Messaging

/// Where reading stands, and what the last message must look like (decision 3).
struct StreamReadingPosition {
    /// What is known of the message at `lastSequence`.
    enum Last {
        case nothing
        /// What the log says.
        case logged(StreamMessageFingerprint)
        /// What was received since; hashed only when it has to be compared.
        case received(Message)
    }

    var identity: StreamIdentity?
    var lastSequence: SequenceNumber
    var last: Last

    init(_ resume: StreamResumePoint) {
        identity = resume.identity
        lastSequence = resume.lastSequence
        last = resume.lastMessage.map { .logged($0) } ?? .nothing
    }

    /// Moves on to a message that was received.
    mutating func advance(to message: Message, at sequence: SequenceNumber) {
        lastSequence = sequence
        last = .received(message)
    }

    func fingerprint(_ hash: (Message) -> UInt64) -> StreamMessageFingerprint? {
        switch last {
        case .nothing: nil
        case .logged(let fingerprint): fingerprint
        case .received(let message):
            StreamMessageFingerprint(recordedAt: message.stream?.recordedAt ?? .zero, hash: hash(message))
        }
    }

    /// Compares what can be compared without fetching a message.
    func verify(_ status: StreamStatus) throws(BusError) {
        let name = status.identity.name
        if let identity, identity != status.identity {
            throw BusError(.streamRolledBack, "stream \(name) was made anew after it fed the log")
        }
        if status.lastSequence < lastSequence {
            let text = "stream \(name) ends at \(status.lastSequence), but the log at \(lastSequence)"
            throw BusError(.streamRolledBack, text)
        }
        if status.firstSequence > lastSequence.next {
            let isEmpty = lastSequence == .origin
            let text = "stream \(name) begins at \(status.firstSequence), but the log ends at \(lastSequence)"
            throw BusError(isEmpty ? .streamHistoryMissing : .streamTrimmed, text)
        }
    }

    /// Whether the stream holds a message that must equal the log's last.
    func canCompareLastMessage(_ status: StreamStatus) -> Bool {
        lastSequence > .origin && status.firstSequence <= lastSequence && lastSequence <= status.lastSequence
    }
}
