// Streams: made, asked about, deleted, and published to with an acknowledgement.

package import EventModel
internal import FoundationEssentials
internal import Logging
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
    /// Whether nobody can remove messages but by these limits: a publisher can make the server send a request to remove,
    /// by its choice of a reply subject (decision 141).
    package var deniesRemoval = true

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
        var settings = StreamSettings(name: name, subjects: subjects)
        settings.max_age = maximumAge?.wholeNanoseconds ?? 0
        settings.max_bytes = maximumBytes ?? -1
        settings.duplicate_window = duplicateWindow.wholeNanoseconds
        settings.num_replicas = replicas
        if deniesRemoval { (settings.deny_delete, settings.deny_purge) = (true, true) }
        return settings
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

    /// Makes the stream if it is missing. One that is there keeps its settings, except that removal is denied where this
    /// user may say so.
    ///
    /// - Throws: `streamIncompatible` when it exists with settings that break a log; `streamUnavailable`, `timeout` or
    ///   `noResponders` when nobody can say or make it now.
    @discardableResult
    package func ensureStream(_ configuration: StreamConfiguration) async throws(BusError) -> StreamStatus {
        do throws(BusError) {
            return try await review(information(configuration.name), configuration)
        } catch {
            guard error.code == .streamNotFound else { throw error }
        }
        let operation = "STREAM.CREATE.\(configuration.name)"
        do throws(BusError) {
            let answer = try await ask(operation, encoded(configuration.settings))
            let made = try JetStreamAnswer<StreamInformation>.content(of: answer, operation)
            warnOfServer(made)
            return try made.status()
        } catch {
            // Somebody else made it meanwhile, another way.
            guard error.code == .streamIncompatible else { throw error }
            return try await review(information(configuration.name), configuration)
        }
    }

    private func review(
        _ existing: StreamInformation, _ wanted: StreamConfiguration
    ) async throws(BusError) -> StreamStatus {
        let review = StreamReview(existing.config, subjects: wanted.subjects)
        guard review.refusals.isEmpty else {
            let text = "stream \(wanted.name) exists and cannot feed a log: \(review.refusals.joined(separator: "; "))"
            throw BusError(.streamIncompatible, text)
        }
        for warning in review.warnings {
            bus.logger.warning("the stream's settings", metadata: ["stream": "\(wanted.name)", "note": "\(warning)"])
        }
        if wanted.deniesRemoval && review.permitsRemoval { await denyRemoval(wanted.name) }
        warnOfServer(existing)
        return try existing.status()
    }

    /// Denies what nobody should do, where this user may; where not, an operator is told how.
    private func denyRemoval(_ stream: String) async {
        let (info, update) = ("STREAM.INFO.\(stream)", "STREAM.UPDATE.\(stream)")
        do throws(BusError) {
            var whole = try await JetStreamAnswer<WholeStreamInformation>.content(of: ask(info, []), info).config
            (whole["deny_delete"], whole["deny_purge"]) = (.bool(true), .bool(true))
            _ = try await JetStreamAnswer<StreamInformation>.content(of: ask(update, encoded(whole)), update)
            bus.logger.notice("the stream now denies removal", metadata: ["stream": "\(stream)"])
        } catch {
            bus.logger.warning(
                "whoever may publish can remove the stream's messages: nats stream edit \(stream) --deny-purge --deny-delete",
                metadata: ["stream": "\(stream)", "reason": "\(error)"])
        }
    }

    /// 2.11.0 came out before the fix, 2.10.27 after it.
    private var hasSafeReplies: Bool {
        let is211 = bus.isServer(atLeast: NATSServerVersion(2, 11, 0))
        return bus.isServer(atLeast: is211 ? NATSServerVersion(2, 11, 1) : .safeReplies)
    }

    /// What is promised of a stream holds from some version of the server on (Operations, nats-server).
    private func warnOfServer(_ stream: StreamInformation) {
        if !hasSafeReplies {
            bus.logger.warning(
                "this nats-server lets whoever may publish delete streams (CVE-2025-30215)",
                metadata: ["stream": "\(stream.config.name)", "needed": "\(NATSServerVersion.safeReplies)"])
        }
        if stream.config.num_replicas > 1, !bus.isServer(atLeast: .replicas) {
            bus.logger.warning(
                "this nats-server can lose or double what a stream with replicas has acknowledged",
                metadata: ["stream": "\(stream.config.name)", "needed": "\(NATSServerVersion.replicas)"])
        }
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

extension Duration {
    /// Nanoseconds, saturating.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
