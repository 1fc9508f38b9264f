// A JetStream stream read by hand-made pull requests, each message once and in order.

internal import Dispatch
internal import EventModel
internal import FoundationEssentials
internal import Logging
package import Messaging
internal import Synchronization

/// Reads a stream from where the log ends, and stops when it is no longer the stream that fed the log.
///
/// `natsSubscription_Fetch` corrupts the heap in libnats 3.4.1, and durable consumers lose delivered messages with
/// their client; so this is an ephemeral consumer without acknowledgements, made anew after the last message seen
/// whenever there is doubt: after a reconnect, a gap in its numbering, its deletion, or silence.
package final class JetStreamSource: StreamSource {
    /// How a source reads.
    package struct Options: Sendable, Hashable {
        /// Messages per request; two requests are outstanding.
        package var batch = 1024
        /// How long the server keeps a request that it cannot serve.
        package var expiry = Duration.seconds(5)
        /// How long the server keeps a consumer that nobody asks.
        package var inactivity = Duration.seconds(300)
        /// How long one question to the JetStream API may take.
        package var requestTimeout = Duration.seconds(2)

        package init() {}
    }

    private enum Phase {
        case unopened
        /// There is doubt: compare again and make a new consumer.
        case interrupted(notBefore: ContinuousClock.Instant)
        case reading(JetStreamConsumer)
        case failed(BusError)
    }

    private struct Reading {
        var phase = Phase.unopened
        var position = StreamReadingPosition(
            StreamResumePoint(identity: nil, lastSequence: .origin, lastMessage: nil))
        var reconnectCount: UInt64 = 0
        var lastPull: UInt64 = 0
        var subjects = SubjectCache()
        var line: Line?
        /// How long the stream could not be read, and how often it was tried.
        var unreadableSince: ContinuousClock.Instant?
        var attempts = 0
    }

    /// A connection, and where on it the server sends what was asked for.
    private struct Line {
        let connection: NATSConnectionHandle
        let subscription: NATSSubscriptionHandle
    }

    /// Longer than this without reading is told.
    private static let unreadableMax = Duration.seconds(2)

    /// The stream's name.
    package let stream: String
    private let bus: NATSMessageBus
    private let options: Options
    private let fingerprint: @Sendable (Message) -> UInt64
    private let inbox: String
    private let pullRequest: [UInt8]
    private let reading = Mutex(Reading())
    private let isClosed = Atomic(false)
    private let complaint = RepeatedComplaint()
    /// How often the consumer was made anew.
    private let restarts = Atomic<UInt64>(0)

    /// - Parameter fingerprint: the hash of subject and payload that the log keeps of its last message.
    package init(
        bus: NATSMessageBus, stream: String, options: Options = Options(),
        fingerprint: @escaping @Sendable (Message) -> UInt64
    ) throws(BusError) {
        guard SubjectSyntax.isPublishable(stream), !stream.contains(".") else {
            throw BusError(.invalidArgument, "\(stream) is no name of a stream")
        }
        self.bus = bus
        self.stream = stream
        self.options = options
        self.fingerprint = fingerprint
        inbox = try bus.newInboxSubject()
        let expiry = options.expiry.wholeNanoseconds
        pullRequest = Array(#"{"batch":\#(options.batch),"expires":\#(expiry)}"#.utf8)
    }

    /// How often the consumer was made anew since the source was opened.
    package var restartCount: UInt64 { restarts.load(ordering: .relaxed) }

    package func status() async throws(BusError) -> StreamStatus {
        var administration = JetStreamAdministration(bus)
        administration.timeout = options.requestTimeout
        return try await administration.status(of: stream)
    }

    package func refusal(in answer: Message) -> BusError? {
        do throws(BusError) {
            _ = try StreamAcknowledgement(answer, to: "an event of the node's own")
            return nil
        } catch {
            return error
        }
    }

    @discardableResult
    package func open(after resume: StreamResumePoint) throws(BusError) -> StreamStatus {
        try reading.withLock { reading throws(BusError) in
            try refuseIfClosed()
            (reading.phase, reading.unreadableSince) = (.unopened, nil)
            reading.position = StreamReadingPosition(resume)
            return try begin(&reading)
        }
    }

    package func receive(maximum: Int, timeout: Duration) throws(BusError) -> [Message] {
        try reading.withLock { reading throws(BusError) in
            let deadline = ContinuousClock.now + timeout
            var messages: [Message] = []
            repeat {
                try refuseIfClosed()
                let wait = slice(until: deadline)
                if try isReading(&reading) {
                    try take(maximum, waitMilliseconds: wait, from: &reading, into: &messages)
                } else {
                    try tellUnreadable(reading)
                    pause(min(wait, 20), reading)
                }
            } while messages.isEmpty && ContinuousClock.now < deadline
            return messages
        }
    }

    package func close() {
        if isClosed.exchange(true, ordering: .acquiringAndReleasing) { return }
        _ = reading.withLockIfAvailable { reading in
            if case .reading(let consumer) = reading.phase { abandon(consumer, reading) }
        }
    }

    private func refuseIfClosed() throws(BusError) {
        if isClosed.load(ordering: .acquiring) { throw BusError(.closed, "stream \(stream): closed") }
    }

    /// What an abandoned consumer still sends is asked for again, so it is only thrown away.
    private func pause(_ milliseconds: Int64, _ reading: Reading) {
        guard let line = reading.line, line.subscription.isConnected else {
            _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(Int(milliseconds)))
            return
        }
        _ = try? line.subscription.next(timeoutMilliseconds: milliseconds)
    }

    /// While the bus is away it says so itself; a stream that cannot be read on it is told to whoever waits for messages.
    private func tellUnreadable(_ reading: Reading) throws(BusError) {
        guard bus.state == .connected, let since = reading.unreadableSince,
            since.duration(to: .now) > Self.unreadableMax
        else { return }
        throw BusError(.streamUnavailable, "stream \(stream) cannot be read now")
    }

    /// A part of the wait that is short enough to notice `close` and a reconnect in.
    private func slice(until deadline: ContinuousClock.Instant) -> Int64 {
        min(100, max(0, (deadline - .now).wholeMilliseconds))
    }
}

// MARK: - Beginning, and beginning again

extension JetStreamSource {
    /// Whether there is a consumer that can be asked; makes one if it is time to.
    private func isReading(_ reading: inout Reading) throws(BusError) -> Bool {
        switch reading.phase {
        case .unopened: throw BusError(.invalidArgument, "stream \(stream): receive before open")
        case .failed(let error): throw error
        case .reading:
            if bus.reconnectCount == reading.reconnectCount { return true }
            reading.phase = .interrupted(notBefore: .now)
        case .interrupted: break
        }
        guard case .interrupted(let notBefore) = reading.phase, notBefore <= .now, bus.state == .connected else {
            if bus.state == .closed { throw BusError(.closed, "stream \(stream): the connection is closed") }
            return false
        }
        do throws(BusError) {
            try begin(&reading)
            restarts.add(1, ordering: .relaxed)
            return true
        } catch {
            if case .failed = reading.phase { throw error }
            noteUnreadable(&reading, error)
            if error.code == .streamNotFound { throw error }
            return false
        }
    }

    /// Another attempt later, with growing pauses: the stream may have no leader, and then there is no haste.
    private func noteUnreadable(_ reading: inout Reading, _ error: BusError) {
        reading.attempts += 1
        let pause = min(1_000, 50 << min(reading.attempts - 1, 5))
        reading.phase = .interrupted(notBefore: .now + .milliseconds(pause))
        if reading.unreadableSince == nil { reading.unreadableSince = .now }
        guard error.code != .streamNotFound, complaint.isDue() else { return }
        bus.logger.warning("stream not readable yet", metadata: ["stream": "\(stream)", "reason": "\(error)"])
    }

    /// Compares the stream with the position and makes a consumer after it.
    @discardableResult
    private func begin(_ reading: inout Reading) throws(BusError) -> StreamStatus {
        // Taken first: a reconnect during the comparison must lead to another.
        let reconnectCount = bus.reconnectCount
        let line = try line(&reading)
        let status = try verified(&reading)
        let consumer = try makeConsumer(after: reading.position.lastSequence, line)
        reading.reconnectCount = reconnectCount
        reading.position.identity = status.identity
        reading.phase = .reading(consumer)
        (reading.unreadableSince, reading.attempts) = (nil, 0)
        complaint.isOver()
        return status
    }

    /// The connection there is now, and the inbox on it.
    @discardableResult
    private func line(_ reading: inout Reading) throws(BusError) -> Line {
        let connection = try bus.handle()
        if let line = reading.line, line.connection === connection { return line }
        let subscription = try connection.subscribe(inbox + ".*", queueGroup: nil, limits: .standard)
        let line = Line(connection: connection, subscription: subscription)
        reading.line = line
        return line
    }

    /// The stream's status, if it is the one that fed the log; otherwise reading has failed for good.
    private func verified(_ reading: inout Reading) throws(BusError) -> StreamStatus {
        let operation = "STREAM.INFO.\(stream)"
        let status = try JetStreamAnswer<StreamInformation>.content(of: ask(operation, [], line(&reading)), operation)
            .status()
        do throws(BusError) {
            try reading.position.verify(status)
            if reading.position.canCompareLastMessage(status) { try compareLastMessage(&reading) }
        } catch {
            switch error.code {
            case .streamRolledBack, .streamTrimmed, .streamHistoryMissing: reading.phase = .failed(error)
            default: break
            }
            throw error
        }
        return status
    }

    private func compareLastMessage(_ reading: inout Reading) throws(BusError) {
        let position = reading.position
        guard let expected = position.fingerprint(fingerprint) else { return }
        let operation = "STREAM.MSG.GET.\(stream)"
        let stored: StoredMessage.Body
        do throws(BusError) {
            let question = Array(#"{"seq":\#(position.lastSequence)}"#.utf8)
            stored = try JetStreamAnswer<StoredMessage>.content(of: ask(operation, question, line(&reading)), operation)
                .message
        } catch {
            // Deleted by itself: the stream is the same by its creation time, and nothing is left to compare.
            if error.code == .messageNotFound { return }
            throw error
        }
        let message = Message(subject: stored.subject, payload: stored.data.map { [UInt8]($0) } ?? [])
        guard Timestamp(rfc3339: stored.time) == expected.recordedAt, fingerprint(message) == expected.hash else {
            let text = "stream \(stream) holds another message at \(position.lastSequence) than the log"
            throw BusError(.streamRolledBack, text)
        }
    }

    private func makeConsumer(after last: SequenceNumber, _ line: Line) throws(BusError) -> JetStreamConsumer {
        let operation = "CONSUMER.CREATE.\(stream)"
        let settings = ConsumerRequest.Settings(
            opt_start_seq: last.next.rawValue, inactive_threshold: options.inactivity.wholeNanoseconds)
        let answer = try ask(operation, encoded(ConsumerRequest(stream_name: stream, config: settings)), line)
        let name = try JetStreamAnswer<ConsumerInformation>.content(of: answer, operation).name
        return JetStreamConsumer(name: name, stream: stream)
    }

    private func ask(_ operation: String, _ payload: [UInt8], _ line: Line) throws(BusError) -> Message {
        let answer = try line.connection.request("$JS.API." + operation, payload, timeout: options.requestTimeout)
        var subjects = SubjectCache()
        return answer.message(&subjects)
    }

    /// Tells the server, without waiting, that a consumer is not needed any more; otherwise it finds out in time.
    private func abandon(_ consumer: JetStreamConsumer, _ reading: Reading) {
        let name = String(decoding: consumer.name, as: UTF8.self)
        _ = reading.line?.connection.publish(
            "$JS.API.CONSUMER.DELETE.\(stream).\(name)", replyTo: inbox + ".0", [])
    }
}

// MARK: - Taking messages

extension JetStreamSource {
    /// Waits for a first message and takes what is there; on doubt it leaves the phase `interrupted`.
    private func take(
        _ maximum: Int, waitMilliseconds: Int64, from reading: inout Reading, into messages: inout [Message]
    ) throws(BusError) {
        guard case .reading(var consumer) = reading.phase, let line = reading.line else { return }
        var isContinuous = false
        do throws(BusError) {
            isContinuous = try pull(maximum, waitMilliseconds, from: &consumer, line, &reading, into: &messages)
        } catch {
            // The connection has ended; on the next one there is another consumer.
            guard error.code == .closed else { throw error }
        }
        if isContinuous {
            reading.phase = .reading(consumer)
        } else if case .reading = reading.phase {
            abandon(consumer, reading)
            reading.phase = .interrupted(notBefore: .now)
        }
    }

    /// False when the consumer has to be made anew.
    private func pull(
        _ maximum: Int, _ waitMilliseconds: Int64, from consumer: inout JetStreamConsumer, _ line: Line,
        _ reading: inout Reading, into messages: inout [Message]
    ) throws(BusError) -> Bool {
        ask(&consumer, &reading, line)
        var wait = waitMilliseconds
        var waiting = 1
        while messages.count < maximum, waiting > 0 {
            guard let handle = try line.subscription.next(timeoutMilliseconds: wait) else {
                return !consumer.isOverdue(.now)
            }
            // An empty queue is an error to libnats and costs more than a message, so the count is asked first.
            waiting = wait > 0 || waiting == 1 ? line.subscription.pendingCount : waiting - 1
            wait = 0
            guard try accept(handle, &consumer, &reading, &messages) else { return false }
            ask(&consumer, &reading, line)
        }
        return true
    }

    /// Keeps two requests outstanding. One that cannot be sent is missed when it is overdue, or at the reconnect.
    private func ask(_ consumer: inout JetStreamConsumer, _ reading: inout Reading, _ line: Line) {
        while consumer.wantsPull {
            reading.lastPull += 1
            let overdueAt = ContinuousClock.now + options.expiry + JetStreamConsumer.patience
            consumer.add(.init(id: reading.lastPull, remaining: options.batch, overdueAt: overdueAt))
            _ = line.connection.publish(
                consumer.requestSubject, replyTo: "\(inbox).\(reading.lastPull)", pullRequest)
        }
    }

    /// Takes one message in. False when the consumer has to be made anew.
    private func accept(
        _ handle: borrowing NATSMessageHandle, _ consumer: inout JetStreamConsumer, _ reading: inout Reading,
        _ messages: inout [Message]
    ) throws(BusError) -> Bool {
        guard let delivery = handle.delivery(from: consumer.name) else { return noteStatus(handle, &consumer) }
        switch consumer.note(delivery.consumerSequence) {
        case .next: break
        case .repeated: return true
        case .gap: return false
        }
        let last = reading.position.lastSequence
        let sequence = SequenceNumber(delivery.streamSequence)
        if sequence <= last { return true }
        if sequence > last.next {
            // Deleted messages leave gaps; but what was trimmed before it was read is lost to this log.
            do throws(BusError) { _ = try verified(&reading) } catch { return false }
        }
        let position = StreamPosition(
            sequence: sequence, recordedAt: Timestamp(nanoseconds: delivery.recordedAtNanoseconds))
        let message = handle.message(&reading.subjects, at: position)
        messages.append(message)
        reading.position.advance(to: message, at: sequence)
        return true
    }

    /// Reads a message of the server's about a request. False when the consumer is gone.
    private func noteStatus(_ handle: borrowing NATSMessageHandle, _ consumer: inout JetStreamConsumer) -> Bool {
        guard let status = handle.header("Status") else { return true }
        let request = handle.subject.dropFirst(inbox.count + 1)
        guard let id = UInt64(request), status != "100", consumer.end(pull: id) else { return true }
        if status == "404" || status == "408" { return true }
        let description = handle.header("Description") ?? ""
        bus.logger.info("stream request ended", metadata: ["status": "\(status)", "reason": "\(description)"])
        return false
    }
}
