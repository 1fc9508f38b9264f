// The first fold over the log: log time, expiry time, repeats by message id, semantics, leadership.

import DequeModule
package import EventModel

/// Looks at each record before any other machine does and says whether they are to take it.
package struct RecordFilter: Sendable {
    package static let name = "admission"
    /// The newest meaning of events that this code knows (decision 2).
    package static let supportedSemantics = Semantics.newest.version
    /// A step between two records counts at most this much towards expiry.
    package static let expiryStepMaximum = Nanoseconds.seconds(5)
    /// How long a message id is remembered, in log time…
    package static let duplicateWindow = Nanoseconds.seconds(120)
    /// …and how many at the most.
    package static let duplicateCapacity = 131_072

    /// What is to happen with a record.
    package enum Verdict: Sendable, Hashable {
        /// The machines take it.
        case admitted
        /// This fold refuses it, and no machine sees it.
        case refused
        /// Its id came before, at this sequence.
        case duplicate(of: SequenceNumber)
        /// Not understood; kept in the log.
        case opaque
        /// It activates semantics that this code does not have: the node must stop here.
        case unsupportedSemantics(UInt32)
        /// It skips an activation that was taken here: the node must stop, and reads the log anew as it is now.
        case revoked(SequenceNumber)
    }

    private struct SeenID: Sendable, Hashable {
        /// With its scope where ids have one.
        var id: [UInt8]
        var sequence: SequenceNumber
        var logTime: Timestamp
    }

    package private(set) var moment = Moment.origin
    package private(set) var semantics = Semantics.first
    /// The record that activated it; `.origin` for the first version.
    private var semanticsSince = SequenceNumber.origin
    private var unsettled = UnsettledActivations()
    /// The last records that were skipped, so that whoever skipped them is told so; no part of the state.
    private var skipped: [SequenceNumber] = []
    private static let skippedMaximum = 64
    package private(set) var leaderID = ""
    package private(set) var leaderEpoch: UInt64 = 0
    package private(set) var lastTickSlot: UInt64 = 0
    package private(set) var backwardSteps: UInt64 = 0
    package private(set) var gapCount: UInt64 = 0
    package private(set) var duplicateCount: UInt64 = 0
    private var seen: Deque<SeenID> = []
    private var sequenceByID: [[UInt8]: SequenceNumber] = [:]
    private var seenDigest = Digest.zero

    package init() {}

    /// Takes one record: moves time on, then judges.
    package mutating func admit(_ record: EventRecord) -> (verdict: Verdict, moment: Moment, outcome: Outcome) {
        advance(to: record)
        var outcome = Outcome()
        if let revoked = unsettled.note(record) { return (.revoked(revoked), moment, outcome) }
        if case .opaque(let reason) = record.event {
            if reason == UnsettledActivations.reason { noteSkipped(record.sequence) }
            return (.opaque, moment, outcome)
        }
        if !record.messageID.isEmpty, let first = remember(record) {
            duplicateCount &+= 1
            return (.duplicate(of: first), moment, outcome)
        }
        var verdict = Verdict.admitted
        switch record.event {
        case .clock(let event):
            take(event, &outcome)
            if semantics.boundsClaims && !outcome.refused.isEmpty { verdict = .refused }
        case .policy(.semanticsActivated(let version, _)): verdict = activate(version, &outcome)
        case .policy(.recordSkipped(let sequence, _)):
            if skipped.contains(sequence) { outcome.accepted = 1 } else { outcome.refuse(0, .notSkippable) }
        // What nobody folds is taken all the same: it is in the log.
        case .audit, .policy(.directivesResumed): outcome.accepted = 1
        case .policy, .registry, .mirror, .trace, .opaque: break
        }
        return (verdict, moment, outcome)
    }

    private mutating func advance(to record: EventRecord) {
        let first = moment.sequence == .origin
        let step = first ? Nanoseconds.zero : record.recordedAt - moment.recordedAt
        if step < .zero { backwardSteps &+= 1 }
        let counted = max(.zero, min(step, Self.expiryStepMaximum))
        moment = Moment(
            sequence: record.sequence, recordedAt: record.recordedAt, logTime: max(moment.logTime, record.recordedAt),
            expiryTime: moment.expiryTime + counted)
        moment.semantics = semantics
    }

    private mutating func noteSkipped(_ sequence: SequenceNumber) {
        skipped.append(sequence)
        if skipped.count > Self.skippedMaximum { skipped.removeFirst() }
    }

    /// The version that is in force.
    package var semanticsVersion: UInt32 { semantics.version }

    /// Whether the last activation may still be undone: a state until then is none to start from.
    package var isSemanticsUnsettled: Bool { !unsettled.isEmpty }

    private mutating func take(_ event: ClockEvent, _ outcome: inout Outcome) {
        switch event {
        case .tick(let slot):
            guard isPossible(slot) else { return outcome.refuse(0, .timeAhead) }
            lastTickSlot = max(lastTickSlot, slot)
        case .nodeResumed: break
        case .intakeGap: gapCount &+= 1
        case .leadershipClaimed(let nodeID, let epoch):
            guard epoch > leaderEpoch, epoch - leaderEpoch == 1 else { return outcome.refuse(0, .staleEpoch) }
            leaderID = nodeID
            leaderEpoch = epoch
        }
        outcome.accepted = 1
    }

    /// Slots count intervals since 1970, and the log does not say how long one is, but at least a millisecond; or they go
    /// on from the last one where a clock was set back.
    private func isPossible(_ slot: UInt64) -> Bool {
        guard moment.semantics.boundsClaims, slot > lastTickSlot, slot - lastTickSlot > 1 else { return true }
        let latest = (moment.recordedAt + Limits.timeAhead).rawValue / 1_000_000
        return slot <= UInt64(max(0, latest))
    }

    private mutating func activate(_ version: UInt32, _ outcome: inout Outcome) -> Verdict {
        if version > Self.supportedSemantics { return .unsupportedSemantics(version) }
        if version < semantics.version {
            outcome.refuse(0, .unsupportedSemantics)
            return .admitted
        }
        if version > semantics.version {
            semantics = Semantics(version: version)
            semanticsSince = moment.sequence
            moment.semantics = semantics
        }
        outcome.accepted = 1
        return .admitted
    }

    /// Remembers an id within the window; answers the first sequence if it was there already.
    private mutating func remember(_ record: EventRecord) -> SequenceNumber? {
        forgetExpired()
        let id = semantics.scopesMessageIDs ? Self.scopedID(of: record) : Array(record.messageID)
        if let first = sequenceByID[id] { return first }
        if let first = unscopedSequence(of: record) { return first }
        if seen.count == Self.duplicateCapacity { forgetOldest() }
        let entry = SeenID(id: id, sequence: record.sequence, logTime: moment.logTime)
        seen.append(entry)
        sequenceByID[id] = record.sequence
        seenDigest = seenDigest &+ Self.digest(of: entry)
        return nil
    }

    /// The first two tokens of the subject, family and owner, before the id. No token has a dot, so nothing is ambiguous.
    private static func scopedID(of record: EventRecord) -> [UInt8] {
        let dot = UInt8(ascii: ".")
        var id: [UInt8] = []
        id.reserveCapacity(record.subject.count + record.messageID.count + 2)
        var dots = 0
        for byte in record.subject {
            if byte == dot { dots += 1 }
            if dots == 2 { break }
            id.append(byte)
        }
        if dots == 0 { id.append(dot) }
        id.append(dot)
        id.append(contentsOf: record.messageID)
        return id
    }

    /// Ids from before ids had scopes count on for their two minutes.
    private func unscopedSequence(of record: EventRecord) -> SequenceNumber? {
        guard semantics.scopesMessageIDs, let oldest = seen.first, oldest.sequence <= semanticsSince,
            let first = sequenceByID[Array(record.messageID)], first <= semanticsSince
        else { return nil }
        return first
    }

    private mutating func forgetExpired() {
        while let oldest = seen.first, moment.logTime - oldest.logTime > Self.duplicateWindow { forgetOldest() }
    }

    private mutating func forgetOldest() {
        let oldest = seen.removeFirst()
        sequenceByID[oldest.id] = nil
        seenDigest = seenDigest &- Self.digest(of: oldest)
    }

    private static func digest(of entry: SeenID) -> Digest {
        var writer = WireWriter()
        write(entry, &writer)
        return .of(writer.bytes)
    }

    private static func write(_ entry: SeenID, _ writer: inout WireWriter) {
        writer.field(1, entry.id)
        writer.field(2, entry.sequence)
        writer.field(3, entry.logTime)
    }

    // MARK: Digest and checkpoint

    /// The fingerprint of the state.
    package func digest() -> Digest {
        var writer = WireWriter()
        writeHead(&writer)
        return Digest.of(writer.bytes) &+ seenDigest
    }

    private func writeHead(_ writer: inout WireWriter) {
        writer.field(1, moment.sequence)
        writer.field(2, moment.recordedAt)
        writer.field(3, moment.logTime)
        writer.field(4, moment.expiryTime)
        writer.field(5, semantics.version)
        writer.field(6, leaderID)
        writer.field(7, leaderEpoch)
        writer.field(8, lastTickSlot)
        writer.field(9, backwardSteps)
        writer.field(10, gapCount)
        writer.field(11, duplicateCount)
        writer.field(12, semanticsSince)
    }

    /// The whole state.
    package func encodeCheckpoint() -> [UInt8] {
        var writer = WireWriter(capacity: 256 + seen.count * 48)
        writeHead(&writer)
        for entry in seen { writer.message(16) { inner in Self.write(entry, &inner) } }
        return writer.bytes
    }

    /// The state of a checkpoint; nil where the bytes are not one.
    package init?(checkpoint: [UInt8]) {
        var reader = CheckpointReader(checkpoint)
        while let field = reader.next() {
            switch field.number {
            case 1: moment.sequence = SequenceNumber(field.value)
            case 2: moment.recordedAt = Timestamp(nanoseconds: field.signed)
            case 3: moment.logTime = Timestamp(nanoseconds: field.signed)
            case 4: moment.expiryTime = Nanoseconds(field.signed)
            case 5: semantics = Semantics(version: UInt32(truncatingIfNeeded: field.value))
            case 6: leaderID = reader.text(field)
            case 7: leaderEpoch = field.value
            case 8: lastTickSlot = field.value
            case 9: backwardSteps = field.value
            case 10: gapCount = field.value
            case 11: duplicateCount = field.value
            case 12: semanticsSince = SequenceNumber(field.value)
            case 16: guard restore(reader.nested(field)) else { return nil }
            default: return nil
            }
        }
        guard reader.isComplete, moment.expiryTime >= .zero, seen.count <= Self.duplicateCapacity else { return nil }
        moment.semantics = semantics
    }

    private mutating func restore(_ nested: CheckpointReader) -> Bool {
        var reader = nested
        var entry = SeenID(id: [], sequence: .origin, logTime: .zero)
        while let field = reader.next() {
            switch field.number {
            case 1: entry.id = reader.bytes(field)
            case 2: entry.sequence = SequenceNumber(field.value)
            case 3: entry.logTime = Timestamp(nanoseconds: field.signed)
            default: return false
            }
        }
        guard reader.isComplete, sequenceByID[entry.id] == nil else { return false }
        seen.append(entry)
        sequenceByID[entry.id] = entry.sequence
        seenDigest = seenDigest &+ Self.digest(of: entry)
        return true
    }
}
