// From a message to a frame: decode, validate, number, stamp. Pure but for the router's memory and the rate buckets.

package import EventModel
import EventStore
import Messaging
import StateMachines

/// A record on its way from the log to the machines, with whoever waits for its outcome.
package struct StagedRecord: Sendable {
    package var record: EventRecord
    /// Where the outcome is expected; empty: nobody waits.
    var replyTo: String
    var wantsJSON: Bool
}

/// What was not taken, for `<prefix>.rejected` and for the sender.
struct Rejection: Sendable {
    var subject: String
    var reason: String
    var size: Int
    var fingerprint: Digest
    var replyTo: String
    var wantsJSON: Bool
}

/// One group: what goes to disk with one fsync and to the machines in one hop.
struct StagedBatch: Sendable {
    var frames = FrameBatch()
    var records: [StagedRecord] = []
    var rejections: [Rejection] = []
    var eventCount = 0
    /// A point of the log right before this batch that is to be anchored.
    var anchorPoint: AnchorPoint?

    var isEmpty: Bool { records.isEmpty && rejections.isEmpty }
}

/// Takes messages apart (decision 2).
struct RecordStager: Sendable {
    private var router: SubjectRouter
    private var limiter: RateLimiter
    private let isStream: Bool
    private let prefix: String
    private let vault: ContentVault
    /// In force behind what was staged last.
    private var semanticsVersion: UInt32
    /// What the room on the disk no longer permits (core mode).
    var pressure = DiskPressureLevel.none
    /// What `<prefix>.rejected` says of what is refused for want of room.
    static let pressureReason = "disk_pressure"

    /// - Parameter semanticsVersion: what is in force behind the log's last record.
    init(_ configuration: NodeConfiguration, semanticsVersion: UInt32, vault: ContentVault) {
        self.vault = vault
        self.semanticsVersion = semanticsVersion
        router = SubjectRouter(prefix: configuration.prefix)
        limiter = RateLimiter(
            bytesPerSecond: configuration.bytesPerSecond, spansPerSecond: configuration.spansPerSecond)
        isStream = configuration.mode != .core
        prefix = configuration.prefix
    }

    /// Puts one message into the batch: as a record, as an opaque record (streams), or as a rejection.
    mutating func stage(_ message: Message, after last: SequenceNumber, now: Timestamp, _ batch: inout StagedBatch) {
        let replyTo = replySubject(message)
        let wantsJSON = Self.isJSON(message)
        let sequence = message.stream?.sequence ?? last.next
        let recordedAt = message.stream?.recordedAt ?? now
        do throws(Rejected) {
            let route = try router.route(message.subject)
            if !isStream && pressure.refuses(route.type) { throw Rejected(reason: Self.pressureReason) }
            let whole = MirrorAttachment.split(try payload(message, route, wantsJSON), of: route.type)
            let facts = whole.facts
            let event = try decode(route, facts)
            if !isStream {
                try admit(route, event, message.payload.count, now)
                try refuseAtTheDoor(event)
            }
            let messageID = try messageID(message)
            try append(
                route, event, facts, messageID, sequence: sequence, recordedAt: recordedAt,
                sourceHash: isStream ? message.fingerprint : 0, contents: whole.contents, &batch)
            batch.records[batch.records.count - 1].replyTo = replyTo
            batch.records[batch.records.count - 1].wantsJSON = wantsJSON
        } catch {
            if isStream { return stageOpaque(message, error, sequence, recordedAt, replyTo, &batch) }
            batch.rejections.append(
                Rejection(
                    subject: message.subject, reason: error.reason, size: message.payload.count,
                    fingerprint: Digest.of(message.payload), replyTo: replyTo, wantsJSON: wantsJSON))
        }
    }

    /// Puts an event of the node's own into the batch (core mode).
    mutating func stage(
        _ event: Event, subject: String, messageID: String = "", after last: SequenceNumber, now: Timestamp,
        _ batch: inout StagedBatch
    ) {
        guard let (type, facts) = EventCodec.encode(event) else { preconditionFailure("a node has no opaque events") }
        let route = EventRoute(subject: Array(subject.utf8), type: type, owner: "")
        do throws(Rejected) {
            try append(
                route, event, facts[...], Array(messageID.utf8), sequence: last.next, recordedAt: now, sourceHash: 0,
                &batch)
        } catch {
            preconditionFailure("a node's own event is small")
        }
    }

    // MARK: Steps

    /// Where the outcome is told; empty where nobody waits, or where it is no inbox.
    private func replySubject(_ message: Message) -> String {
        let subject = message.header("Lattice-Reply") ?? (isStream ? "" : message.replyTo)
        return ReplySender.isInbox(subject, prefix: prefix) ? subject : ""
    }

    static func isJSON(_ message: Message) -> Bool {
        let type = message.header("Content-Type")?.lowercased() ?? ""
        if type.hasPrefix("application/json") { return true }
        // Anything but the two encodings there are (a default of some client, say) is left to the first byte.
        if type.hasPrefix("application/protobuf") || type.hasPrefix("application/x-protobuf") { return false }
        return message.payload.first == UInt8(ascii: "{")
    }

    private func payload(
        _ message: Message, _ route: EventRoute, _ isJSON: Bool
    ) throws(Rejected) -> ArraySlice<UInt8> {
        if message.payload.count > Limits.messageBytes { throw Rejected(reason: "message_too_large") }
        if !isJSON { return message.payload[...] }
        do throws(DecodeError) {
            return try JSONTranscoder.binary(fromJSON: message.payload, type: route.type)[...]
        } catch {
            throw Rejected(reason: error.description)
        }
    }

    private func decode(_ route: EventRoute, _ facts: ArraySlice<UInt8>) throws(Rejected) -> Event {
        let event: Event
        do throws(DecodeError) {
            event = try EventCodec.decode(
                type: route.type.rawValue, schemaVersion: EventType.currentSchemaVersion, facts: facts)
        } catch {
            throw Rejected(reason: error.description)
        }
        if let owner = event.owner, !owner.utf8.elementsEqual(route.owner.utf8) {
            throw Rejected(reason: "wrong_owner")
        }
        return event
    }

    private mutating func admit(
        _ route: EventRoute, _ event: Event, _ bytes: Int, _ now: Timestamp
    ) throws(Rejected) {
        let spans: Int
        switch route.type.family {
        case .clock, .policy, .audit: return
        case .trace: spans = event.count
        case .registry, .mirror: spans = 0
        }
        if !limiter.admits(route.owner, bytes: bytes, spans: spans, now: now) {
            throw Rejected(reason: "rate_limited")
        }
    }

    /// The only applier of a log does not write what would stop it (decision 148). Over a stream the order is another's:
    /// there the command line asks all nodes first.
    private func refuseAtTheDoor(_ event: Event) throws(Rejected) {
        switch event {
        case .policy(.semanticsActivated(let version, _)):
            if version < semanticsVersion || version > RecordFilter.supportedSemantics {
                throw Rejected(reason: RefusalReason.unsupportedSemantics.name)
            }
        // A node that serves has stopped at nothing.
        case .policy(.recordSkipped): throw Rejected(reason: RefusalReason.notSkippable.name)
        case .policy, .registry, .clock, .mirror, .trace, .audit, .opaque: break
        }
    }

    private func messageID(_ message: Message) throws(Rejected) -> [UInt8] {
        guard let id = message.header("Nats-Msg-Id") else { return [] }
        if id.utf8.count > Limits.identifierBytes { throw Rejected(reason: "too_long: Nats-Msg-Id") }
        return Array(id.utf8)
    }

    private mutating func append(
        _ route: EventRoute, _ event: Event, _ facts: ArraySlice<UInt8>, _ messageID: [UInt8],
        sequence: SequenceNumber, recordedAt: Timestamp, sourceHash: UInt64, contents: ArraySlice<UInt8> = [],
        _ batch: inout StagedBatch
    ) throws(Rejected) {
        let sealed = seal(contents, route, event, sequence, recordedAt)
        do throws(EventStoreError) {
            try batch.frames.append(
                sequence: sequence, recordedAt: recordedAt, sourceHash: sourceHash, eventType: route.type.rawValue,
                schemaVersion: EventType.currentSchemaVersion, flags: sealed.isEmpty ? [] : .sealedAttachment,
                messageID: messageID, subject: route.subject, facts: facts, attachment: sealed[...])
        } catch {
            throw Rejected(reason: "message_too_large")
        }
        let record = EventRecord(
            sequence: sequence, recordedAt: recordedAt, messageID: messageID[...], subject: route.subject[...],
            event: event)
        batch.records.append(StagedRecord(record: record, replyTo: "", wantsJSON: false))
        batch.eventCount += event.count
        if case .policy(.semanticsActivated(let version, _)) = event { semanticsVersion = version }
    }

    /// Contents in the form in which they are kept. Replicas must agree on the facts, whatever one of them has room for:
    /// what cannot be sealed is left out, and whoever asks for it is told so.
    private func seal(
        _ contents: ArraySlice<UInt8>, _ route: EventRoute, _ event: Event, _ sequence: SequenceNumber,
        _ recordedAt: Timestamp
    ) -> [UInt8] {
        if case .mirror(.contentsErased(let erased)) = event {
            vault.renew(source: erased.sourceService, day: erased.day)
        }
        if contents.isEmpty { return [] }
        let day = ContentVault.day(of: recordedAt)
        return (try? vault.seal(contents, source: route.owner, day: day, sequence: sequence)) ?? []
    }

    /// A stream's message that is not understood still has its place, so that replicas hold the same log.
    private func stageOpaque(
        _ message: Message, _ reason: Rejected, _ sequence: SequenceNumber, _ recordedAt: Timestamp, _ replyTo: String,
        _ batch: inout StagedBatch
    ) {
        let subject = Array(message.subject.utf8.prefix(1_024))
        // What is larger than a frame may be keeps its place and its hash.
        let facts = message.payload.count <= Limits.messageBytes * 8 ? message.payload : []
        do throws(EventStoreError) {
            try batch.frames.append(
                sequence: sequence, recordedAt: recordedAt, sourceHash: message.fingerprint,
                eventType: opaqueEventType, schemaVersion: 0, flags: .opaque, messageID: [], subject: subject,
                facts: facts)
        } catch {
            preconditionFailure("8 MiB fit into a frame")
        }
        let record = EventRecord(
            sequence: sequence, recordedAt: recordedAt, subject: subject[...], event: .opaque(reason: reason.reason))
        batch.records.append(StagedRecord(record: record, replyTo: replyTo, wantsJSON: Self.isJSON(message)))
    }
}

extension Event {
    /// Whose event it says it is; nil where the payload does not say.
    fileprivate var owner: String? {
        switch self {
        case .registry(let event): event.serviceName
        case .mirror(let event): event.sourceService
        case .trace(.spansReceived(let batch)): batch.serviceName
        case .clock, .policy, .audit, .opaque: nil
        }
    }

    /// How many facts the record carries.
    var count: Int {
        switch self {
        case .registry(let event): event.count
        case .mirror(let event): event.count
        case .trace(let event): event.count
        case .clock, .policy, .audit, .opaque: 1
        }
    }
}

extension Message {
    /// What the log remembers a stream's message by: SipHash of payload and subject.
    package var fingerprint: UInt64 {
        let digest = Digest.of(payload)
        return digest.low &+ Digest.of(Array(subject.utf8)).low
    }
}
