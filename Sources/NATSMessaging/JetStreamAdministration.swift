// Streams: made, asked about, deleted, and published to with an acknowledgement.

package import EventModel
internal import FoundationEssentials
package import Messaging

/// The settings of a stream that a log is fed from; everything else is the server's default.
package struct StreamConfiguration: Sendable, Hashable {
    package var name: String
    package var subjects: [String]
    /// How long messages are kept; nil for ever. It must cover the longest outage of a node.
    package var maximumAge: Duration?
    /// How many bytes are kept; nil without limit. The oldest messages go first.
    package var maximumBytes: Int64?
    /// Within it a `Nats-Msg-Id` is taken once.
    package var duplicateWindow: Duration
    package var replicas: Int

    package init(
        name: String, subjects: [String], maximumAge: Duration? = nil, maximumBytes: Int64? = nil,
        duplicateWindow: Duration = .seconds(120), replicas: Int = 1
    ) {
        self.name = name
        self.subjects = subjects
        self.maximumAge = maximumAge
        self.maximumBytes = maximumBytes
        self.duplicateWindow = duplicateWindow
        self.replicas = replicas
    }

    fileprivate var settings: StreamSettings {
        StreamSettings(
            name: name, subjects: subjects, retention: "limits", storage: "file", discard: "old",
            max_age: maximumAge?.wholeNanoseconds ?? 0, max_bytes: maximumBytes ?? -1,
            duplicate_window: duplicateWindow.wholeNanoseconds, num_replicas: replicas)
    }
}

/// The stream's word that it has a message: stored by NATS, not on disk for certain (decision 4).
package struct StreamAcknowledgement: Sendable, Hashable {
    package var stream: String
    package var sequence: SequenceNumber
    /// A message of the same `Nats-Msg-Id` was there; `sequence` is its own.
    package var isDuplicate: Bool

    /// Reads a stream's answer to a publication.
    ///
    /// - Throws: the error in it, `noResponders` where no stream takes the subject.
    package init(_ answer: Message, to subject: String) throws(BusError) {
        let content = try JetStreamAnswer<PublicationAnswer>.content(of: answer, "publish \(subject)")
        stream = content.stream
        sequence = SequenceNumber(content.seq)
        isDuplicate = content.duplicate ?? false
    }

    /// What it means for whoever waits for the outcome of a message: a refusal is the end; the outcome of what was stored
    /// follows; of an id that was there before nobody but a node knows whose it is.
    package static func outcome(_ answer: Message) -> OutcomeInbox.Word {
        do throws(BusError) {
            let known = try StreamAcknowledgement(answer, to: "an event")
            return known.isDuplicate ? .repeats(known.sequence) : .follows
        } catch {
            return .failed(error)
        }
    }
}

/// Administers streams by requests to `$JS.API.>`.
package struct JetStreamAdministration: Sendable {
    private let bus: NATSMessageBus
    /// How long one request may take.
    package var timeout = Duration.seconds(5)

    package init(_ bus: NATSMessageBus) { self.bus = bus }

    /// Makes the stream if it is missing.
    ///
    /// - Throws: `streamIncompatible` when it exists with other settings, which are left as they are.
    @discardableResult
    package func ensureStream(_ configuration: StreamConfiguration) async throws(BusError) -> StreamStatus {
        do throws(BusError) {
            let existing = try await information(configuration.name)
            let differences = existing.config.differences(from: configuration.settings)
            guard differences.isEmpty else {
                let text = "stream \(configuration.name) exists with another \(differences.joined(separator: ", "))"
                throw BusError(.streamIncompatible, text)
            }
            return try existing.status()
        } catch {
            guard error.code == .streamNotFound else { throw error }
        }
        let operation = "STREAM.CREATE.\(configuration.name)"
        let answer = try await ask(operation, encoded(configuration.settings))
        return try JetStreamAnswer<StreamInformation>.content(of: answer, operation).status()
    }

    /// What the stream says of itself.
    package func status(of stream: String) async throws(BusError) -> StreamStatus {
        try await information(stream).status()
    }

    /// Deletes the stream and its messages.
    package func deleteStream(_ stream: String) async throws(BusError) {
        let operation = "STREAM.DELETE.\(stream)"
        _ = try await JetStreamAnswer<SuccessAnswer>.content(of: ask(operation, []), operation)
    }

    /// Removes the stream's messages; its sequence goes on.
    package func purgeStream(_ stream: String) async throws(BusError) {
        let operation = "STREAM.PURGE.\(stream)"
        _ = try await JetStreamAnswer<SuccessAnswer>.content(of: ask(operation, []), operation)
    }

    /// Publishes and waits until the stream has the message. `Nats-Msg-Id` among the headers makes a retry harmless.
    ///
    /// - Throws: `noResponders` when no stream takes the subject.
    package func publishAcknowledged(
        _ message: Message, timeout: Duration
    ) async throws(BusError) -> StreamAcknowledgement {
        try StreamAcknowledgement(try await bus.request(message, timeout: timeout), to: message.subject)
    }

    private func information(_ stream: String) async throws(BusError) -> StreamInformation {
        let operation = "STREAM.INFO.\(stream)"
        return try await JetStreamAnswer<StreamInformation>.content(of: ask(operation, []), operation)
    }

    private func ask(_ operation: String, _ payload: [UInt8]) async throws(BusError) -> Message {
        try await bus.request(Message(subject: "$JS.API." + operation, payload: payload), timeout: timeout)
    }
}

extension StreamSettings {
    /// The names of the settings that are not the same.
    fileprivate func differences(from wanted: StreamSettings) -> [String] {
        var differences: [String] = []
        if Set(subjects ?? []) != Set(wanted.subjects ?? []) { differences.append("subjects") }
        if retention != wanted.retention { differences.append("retention") }
        if storage != wanted.storage { differences.append("storage") }
        if discard != wanted.discard { differences.append("discard") }
        if max_age != wanted.max_age { differences.append("max_age") }
        if max_bytes != wanted.max_bytes { differences.append("max_bytes") }
        if duplicate_window != wanted.duplicate_window { differences.append("duplicate_window") }
        if num_replicas != wanted.num_replicas { differences.append("num_replicas") }
        return differences
    }
}

extension Duration {
    /// Nanoseconds, saturating.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
